//! The one door: which path and header lead where, and that nobody gets anywhere without a verdict on who they are.

mod cors;

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::{Semaphore, watch};

use super::access::{Access, Caller, Credentials, Gate};
use super::kinesis::{self, Wire};
use super::server::{Body, BodyError, Handler, Received, Request, Response};
use super::sigv4::{self, Rules};
use super::{ApiError, Context, RequestFacts, firehose, ingest, tail, wire};
use crate::limits;

/// Everything that the public listener serves. Cheap to clone.
#[derive(Clone)]
pub struct Edge {
    context: Context,
    access: watch::Receiver<Arc<Access>>,
    tails: Arc<Semaphore>,
}

/// The signatures that the Firehose API takes.
const FIREHOSE_RULES: Rules = Rules { services: &["firehose"], signed_if_sent: &[] };

/// The signatures that the Kinesis API takes. The content type decides how the body is read, and yet need not be signed
/// (JavaScript 2 does not): a body must be a map, and no bytes are one in JSON (`{` or a blank first) and one in CBOR
/// (`a0` to `bf` first), so that nobody can turn one valid call into another.
const KINESIS_RULES: Rules = Rules { services: &["kinesis"], signed_if_sent: &[] };

const WELCOME: &str = "This is Standpipe. It takes records through\n  \
    the Amazon Data Firehose API and the Kinesis Data Streams API: POST / (point an AWS SDK's endpoint here)\n  \
    plain HTTP: POST /v1/streams/NAME/records, and GET of it to read\n";

impl Edge {
    /// Serves `context` to those whom `access` knows; a change of it takes effect with the next request.
    pub fn new(context: Context, access: watch::Receiver<Arc<Access>>) -> Self {
        Edge { context, access, tails: tail::places() }
    }

    /// Who calls an AWS API, and with what.
    async fn admitted(&self, request: Request, rules: &Rules, bytes_max: usize) -> Result<Admitted, ApiError> {
        let access = self.access.borrow().clone();
        let Request { head, body, peer, arrived_ms, request_id } = request;
        let signed = signed_part(&head);
        let credentials = access.aws(&signed, rules, arrived_ms);
        let (caller, body) = admit(&access, credentials, &signed, body, bytes_max).await?;
        let facts = RequestFacts {
            request_id,
            access_key_id: access.key_id(caller),
            peer: canonical(peer.ip()),
            arrived_ms,
            invocation_id: invocation_id(&head, "amz-sdk-invocation-id"),
            body_sha256: body.sha256,
        };
        Ok(Admitted { access, caller, headers: head.headers, body, facts })
    }

    async fn firehose(&self, request: Request) -> Result<Vec<u8>, ApiError> {
        let batch = wire::operation(&request.head.headers, firehose::TARGET) == Some("PutRecordBatch");
        let admitted = self.admitted(request, &FIREHOSE_RULES, limits::API_BODY_BYTES_MAX).await;
        let Admitted { access, caller, headers, body, facts } = admitted
            .map_err(|error| if error.status == 413 && batch { firehose::put::batch_too_large() } else { error })?;
        wire::check_content_type(&headers)?;
        let operation = wire::operation(&headers, firehose::TARGET).ok_or_else(|| {
            let apis = [firehose::TARGET, kinesis::TARGET];
            let [firehose, kinesis] = apis;
            ApiError::unknown_operation(format!(
                "X-Amz-Target must have the form {firehose}.Operation or {kinesis}.Operation"
            ))
        })?;
        firehose::call(&self.context, &Gate { access: &access, caller }, operation, body, &facts).await
    }

    /// A call of the Kinesis API, in either encoding, answered in the same.
    async fn kinesis(&self, mut request: Request) -> Response {
        let page = cors::of_page(&request.head.headers);
        let open = self.access.borrow().is_open();
        let mut response = match Wire::of(&request.head.headers) {
            None => {
                let response = kinesis::wire::foreign(&request.head.headers);
                request.body.discard().await;
                response
            }
            Some(wire) => self.kinesis_call(request, wire).await,
        };
        let mut id = [0; 64];
        self.context.clock.fill(&mut id);
        if let Ok(id) = HeaderValue::try_from(base64_simd::STANDARD.encode_to_string(id)) {
            response.headers_mut().insert("x-amz-id-2", id);
        }
        if page && !open {
            cors::expose(&mut response);
        }
        response
    }

    async fn kinesis_call(&self, request: Request, wire: Wire) -> Response {
        let request_id = request.request_id.clone();
        let answered = async {
            let admitted = self.admitted(request, &KINESIS_RULES, limits::KINESIS_BODY_BYTES_MAX).await?;
            let Admitted { access, caller, headers, body, facts } = admitted;
            let operation = wire::operation(&headers, kinesis::TARGET).ok_or_else(|| {
                let api = kinesis::TARGET;
                ApiError::unknown_operation(format!("X-Amz-Target must have the form {api}.Operation"))
            })?;
            kinesis::call(&self.context, &Gate { access: &access, caller }, operation, wire, body, &facts).await
        };
        answered.await.unwrap_or_else(|mut error| {
            report(&request_id, "/", &error);
            // Kinesis tells who the caller is not with the same status as everything else that the caller got wrong.
            if error.status == 403 {
                error.status = 400;
            }
            kinesis::wire::refusal(wire, &error)
        })
    }

    async fn ingest(&self, request: Request, name: &str) -> Result<Vec<u8>, ApiError> {
        let access = self.access.borrow().clone();
        let Request { head, body, peer, arrived_ms, request_id } = request;
        let signed = signed_part(&head);
        let credentials = access.ingest(&signed, &ingest::RULES, arrived_ms);
        let (caller, received) = admit(&access, credentials, &signed, body, limits::INGEST_BODY_BYTES_MAX).await?;
        let facts = RequestFacts {
            request_id,
            access_key_id: access.key_id(caller),
            peer: canonical(peer.ip()),
            arrived_ms,
            invocation_id: invocation_id(&head, ingest::CALL_NAME),
            body_sha256: received.sha256,
        };
        ingest::put(&self.context, &Gate { access: &access, caller }, name, &head.headers, received, &facts).await
    }

    async fn tail(&self, request: Request, target: tail::Target<'_>) -> Result<Response, ApiError> {
        let access = self.access.borrow().clone();
        let Request { head, body, arrived_ms, .. } = request;
        let signed = signed_part(&head);
        let credentials = access.tail(&signed, &tail::RULES, arrived_ms);
        // What has no body is not held.
        let (caller, Received { hold, .. }) = admit(&access, credentials, &signed, body, 0).await?;
        let room = tail::Room { place: tail::place(&self.tails)?, pieces: hold };
        tail::call(&self.context, &Gate { access: &access, caller }, target, signed.query, room).await
    }
}

/// A call whose caller is known, with its body.
struct Admitted {
    access: Arc<Access>,
    caller: Caller,
    headers: HeaderMap,
    body: Received,
    facts: RequestFacts,
}

/// Whether a call is for the Kinesis API: it says so, or speaks an encoding that no other API here has.
fn is_kinesis(headers: &HeaderMap) -> bool {
    match wire::target(headers) {
        Some((api, _)) if api == kinesis::TARGET => true,
        Some((api, _)) if api == firehose::TARGET => false,
        _ => Wire::of(headers) == Some(Wire::Cbor),
    }
}

impl Handler for Edge {
    async fn handle(&self, mut request: Request) -> Response {
        let path = request.head.uri.path().to_owned();
        let method = request.head.method.clone();
        let request_id = request.request_id.clone();
        let failed = |error: &ApiError| report(&request_id, &path, error);
        match (path.as_str(), ingest::stream_name(&path)) {
            _ if method == Method::GET
                && let Some(target) = tail::Target::of(&path) =>
            {
                self.tail(request, target).await.unwrap_or_else(|error| {
                    failed(&error);
                    ingest::refusal(&error)
                })
            }
            ("/", _) if method == Method::POST && is_kinesis(&request.head.headers) => self.kinesis(request).await,
            ("/", _) if cors::asks(&method, &request.head.headers) && !self.access.borrow().is_open() => {
                request.body.discard().await;
                cors::granted(&request.head.headers)
            }
            ("/", _) if method == Method::POST => match self.firehose(request).await {
                Ok(body) => wire::aws_ok(body),
                Err(error) => {
                    failed(&error);
                    wire::aws_error(&error)
                }
            },
            ("/", _) if method == Method::GET || method == Method::HEAD => wire::text(StatusCode::OK, WELCOME),
            (_, Some(name)) if method == Method::POST => match self.ingest(request, name).await {
                Ok(body) => wire::json(StatusCode::OK, body),
                Err(error) => {
                    failed(&error);
                    ingest::refusal(&error)
                }
            },
            (path, name) => {
                request.body.discard().await;
                if path == "/" || name.is_some() { ingest::wrong_method(&method) } else { ingest::no_such_path() }
            }
        }
    }
}

/// Who calls, and with what body. One that nobody known can have sent is read and thrown away, so that strangers
/// cannot take up memory; they still hear why they were refused.
async fn admit(
    access: &Access,
    credentials: Result<Credentials<'_>, ApiError>,
    signed: &sigv4::Request<'_>,
    mut body: Body,
    bytes_max: usize,
) -> Result<(Caller, Received), ApiError> {
    let credentials = match credentials {
        Ok(credentials) => credentials,
        Err(error) => {
            body.discard().await;
            return Err(error);
        }
    };
    if !access.may_be_known(&credentials) {
        let sha256 = body.discard().await.unwrap_or_default();
        let verdict = access.verify(&credentials, signed, &sha256);
        return Err(verdict.err().unwrap_or_else(|| ApiError::unrecognized_client("The access key is not known.")));
    }
    let received = body.read(bytes_max).await?;
    let caller = access.verify(&credentials, signed, &received.sha256)?;
    Ok((caller, received))
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let message = error.to_string();
        match error {
            BodyError::TooLarge(_) => ApiError::request_too_large(message),
            BodyError::TooSlow(_) => ApiError::request_timeout(message),
            BodyError::Cut => ApiError::serialization(message),
            BodyError::Busy => ApiError::service_unavailable("Slow down."),
        }
    }
}

fn signed_part(head: &http::request::Parts) -> sigv4::Request<'_> {
    sigv4::Request {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or(""),
        headers: &head.headers,
        authority: head.uri.authority().map(http::uri::Authority::as_str),
    }
}

/// The client's own name for its call, if it is one of sensible length; else retries are not recognised.
fn invocation_id(head: &http::request::Parts, header: &str) -> Option<String> {
    let id = head.headers.get(header)?.to_str().ok()?;
    (1..=limits::INVOCATION_ID_MAX).contains(&id.len()).then(|| id.to_owned())
}

/// An IPv4 address that came in by an IPv6 socket is shown as what it is.
fn canonical(peer: IpAddr) -> IpAddr {
    peer.to_canonical()
}

/// What we hear of a call that failed: faults of ours always, the client's on demand. Never what it sent.
fn report(request_id: &str, path: &str, error: &ApiError) {
    let cause = error.cause.as_deref().unwrap_or("");
    if error.status == 500 {
        tracing::error!(request_id, path, code = error.code, cause, "a call failed by a fault of ours");
    } else {
        tracing::debug!(request_id, path, code = error.code, cause, "a call was refused");
    }
}
