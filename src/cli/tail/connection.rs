//! One GET after the other of a stream's records, signed as the SDKs sign.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use http::header::DATE;
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use super::super::client::{self, Endpoint};
use super::TailArgs;
use super::lines::Lines;
use crate::clock::Clock;
use crate::config::{StartAt, names};
use crate::error::{Error, Kind, Result};
use crate::limits::TAIL_HEARTBEAT;

/// How long the head of an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer that says why not.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// Where the records are.
pub(super) struct Connection<'a> {
    clock: &'a Clock,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    credentials: Option<SharedCredentialsProvider>,
    region: &'a str,
    service: &'static str,
    address: String,
}

/// An answer on its way.
pub(super) struct Answer<'a> {
    clock: &'a Clock,
    body: Incoming,
    lines: Lines,
    began_ms: Option<u64>,
}

impl<'a> Connection<'a> {
    /// Makes ready; nothing is sent yet.
    ///
    /// # Errors
    /// `Invalid` for a name or an endpoint that is none.
    pub(super) async fn new(args: &'a TailArgs, clock: &'a Clock) -> Result<Self> {
        let (path, service) = if args.data_stream { ("data-streams", "kinesis") } else { ("streams", "firehose") };
        names::data_stream_name(&args.stream)?;
        names::endpoint(&args.endpoint)?;
        let endpoint = Endpoint { url: &args.endpoint, region: &args.region, attempts: 1 };
        let shared = client::shared(&endpoint).await;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(|error| Error::unavailable("the system's certificates cannot be read").because(error))?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Connection {
            clock,
            client: Client::builder(TokioExecutor::new()).build(connector),
            credentials: shared.credentials_provider(),
            region: &args.region,
            service,
            address: format!("{}/v1/{path}/{}/records", args.endpoint.trim_end_matches('/'), args.stream),
        })
    }

    /// Asks for what there is from `from` on.
    ///
    /// # Errors
    /// `Unavailable` when a later attempt may have an answer; any other kind with the service's own words.
    pub(super) async fn open(&self, from: StartAt, follow: bool) -> Result<Answer<'a>> {
        let mut address = format!("{}?from={}", self.address, escape(&shown(from)));
        if !follow {
            address.push_str("&follow=false");
        }
        let uri: Uri =
            address.parse().map_err(|error| Error::invalid(format!("{address:?} is no URL")).because(error))?;
        let request = self.signed(uri).await?;
        let unreachable = || Error::unavailable(format!("no answer from {}", self.address));
        let answer = self.clock.within(ANSWER_TIME_MAX, self.client.request(request)).await;
        let answer = answer.ok_or_else(unreachable)?.map_err(|error| unreachable().because(error))?;
        let (head, body) = answer.into_parts();
        if !head.status.is_success() {
            return Err(refusal(head.status.as_u16(), body).await);
        }
        let date = head.headers.get(DATE).and_then(|date| DateTime::parse_from_rfc2822(date.to_str().ok()?).ok());
        let began_ms = date.and_then(|date| u64::try_from(date.timestamp_millis()).ok());
        Ok(Answer { clock: self.clock, body, lines: Lines::default(), began_ms })
    }

    async fn signed(&self, uri: Uri) -> Result<Request<Empty<Bytes>>> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::invalid("the request cannot be signed").because(error)
        };
        let credentials = self.credentials.as_ref().ok_or_else(|| Error::invalid("there are no AWS credentials"))?;
        let identity = credentials.provide_credentials().await.map_err(|error| failed(error.into()))?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(UNIX_EPOCH + Duration::from_millis(self.clock.now_ms()))
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| failed(error.into()))?
            .into();
        let mut request = Request::get(uri.clone()).body(Empty::new()).map_err(|error| failed(error.into()))?;
        let signable = SignableRequest::new("GET", uri.to_string(), std::iter::empty(), SignableBody::Bytes(b""));
        let signable = signable.map_err(|error| failed(error.into()))?;
        let (instructions, _) = sign(signable, &parameters).map_err(|error| failed(error.into()))?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

impl Answer<'_> {
    /// When it began, by the service's clock, as far as it says so: milliseconds since 1970, whole seconds.
    pub(super) fn began_ms(&self) -> Option<u64> {
        self.began_ms
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// `Unavailable` when it broke off, or nothing came for longer than a service that is there lets one wait.
    pub(super) async fn line(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(line) = self.lines.next() {
                if line.is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            let frame = self.clock.within(4 * TAIL_HEARTBEAT, self.body.frame()).await;
            match frame.ok_or_else(|| Error::unavailable("nothing came from the service for a minute"))? {
                None => return Ok(None),
                Some(Err(error)) => return Err(Error::unavailable("the answer broke off").because(error)),
                Some(Ok(frame)) => {
                    if let Some(piece) = frame.data_ref() {
                        self.lines.push(piece)?;
                    }
                }
            }
        }
    }
}

/// What the service says of a request that it does not take.
async fn refusal(status: u16, body: Incoming) -> Error {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let body = Limited::new(body, REFUSAL_BYTES_MAX).collect().await.map(http_body_util::Collected::to_bytes);
    let said = body.ok().and_then(|body| serde_json::from_slice::<Refusal>(&body).ok());
    let said = said.map_or_else(|| "no Standpipe answers there".to_owned(), |refusal| refusal.message);
    let kind = match status {
        404 => Kind::NotFound,
        408 | 429 | 500.. => Kind::Unavailable,
        _ => Kind::Invalid,
    };
    Error::new(kind, format!("{said} (status {status})"))
}

fn shown(from: StartAt) -> String {
    match from {
        StartAt::Latest => "latest".to_owned(),
        StartAt::Horizon => "horizon".to_owned(),
        StartAt::Time(ms) => {
            let time = i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
            time.to_rfc3339_opts(SecondsFormat::Millis, true)
        }
    }
}

/// As signatures want it: all but the unreserved characters.
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
