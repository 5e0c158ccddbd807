//! The wire: accepts connections, lets the faults happen, passes the rest to s3s, and takes note of every call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use s3s::Body;
use s3s::service::S3Service;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::faults::{Fault, Faults, Op};
use super::store::Store;

/// One call and what became of it.
#[derive(Clone, Debug)]
pub struct Call {
    pub op: Op,
    /// `/bucket/key`.
    pub path: String,
    /// The headers by lower-case name.
    pub headers: BTreeMap<String, String>,
    pub body_bytes: usize,
    /// The status that was answered; none if the connection was broken instead.
    pub status: Option<u16>,
}

impl Call {
    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

#[derive(Default)]
pub(super) struct Calls(Mutex<Vec<Call>>);

impl Calls {
    pub(super) fn all(&self) -> Vec<Call> {
        self.0.lock().unwrap().clone()
    }
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) service: S3Service,
    pub(super) store: Arc<Store>,
    pub(super) faults: Faults,
    pub(super) refuse_conditions: bool,
    pub(super) refuse_checksums: bool,
    pub(super) calls: Calls,
}

/// Makes hyper close the connection without an answer.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken on purpose")
    }
}

impl std::error::Error for Broken {}

/// Serves until it is aborted, which breaks all connections.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let (head, mut incoming) = request.into_parts();
    let op = op_of(&head.method, &head.uri);
    let fault = shared.faults.take(op);
    let limit = if let Fault::CutBody(bytes) = fault { bytes } else { usize::MAX };
    let body = receive(&mut incoming, limit).await;
    let mut call = Call {
        op,
        path: head.uri.path().to_owned(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body_bytes: body.as_ref().map_or(0, Bytes::len),
        status: None,
    };
    let result = match body {
        Some(body) => happen(&shared, fault, Request::from_parts(head, body), &call).await,
        None => Err(Broken),
    };
    call.status = result.as_ref().ok().map(|response| response.status().as_u16());
    shared.calls.0.lock().unwrap().push(call);
    result
}

/// Lets `fault` happen to the call.
async fn happen(shared: &Shared, fault: Fault, request: Request<Bytes>, call: &Call) -> Result<Response<Body>, Broken> {
    if shared.refuse_conditions && call.headers.contains_key("if-none-match") {
        return Ok(error(501, "NotImplemented", None));
    }
    if shared.refuse_checksums && call.headers.keys().any(|name| name.starts_with("x-amz-checksum-")) {
        return Ok(error(400, "InvalidArgument", None));
    }
    match fault {
        Fault::None => serve(shared, request).await,
        Fault::Answer(status, code) => Ok(error(status, code, None)),
        Fault::Redirect(region) => Ok(error(301, "PermanentRedirect", Some(region))),
        Fault::ErrorIn200(code) => Ok(error(200, code, None)),
        Fault::StoreThenAnswer(status, code) => {
            serve(shared, request).await?;
            Ok(error(status, code, None))
        }
        Fault::StoreThenClose => {
            serve(shared, request).await?;
            Err(Broken)
        }
        Fault::CutBody(_) => Err(Broken),
        Fault::Garble => serve(shared, request.map(|body| garbled(&body))).await,
        Fault::Delay(time) => {
            #[expect(clippy::disallowed_methods, reason = "the server has a clock of its own, as a real one has")]
            tokio::time::sleep(time).await;
            serve(shared, request).await
        }
        Fault::Hang => std::future::pending().await,
    }
}

async fn serve(shared: &Shared, request: Request<Bytes>) -> Result<Response<Body>, Broken> {
    shared.service.call(request.map(Body::from)).await.map_err(|_| Broken)
}

/// The whole body; none where it is cut at `limit`, or by the client.
async fn receive(incoming: &mut Incoming, limit: usize) -> Option<Bytes> {
    let mut body = BytesMut::new();
    while body.len() < limit {
        match incoming.frame().await {
            None => return Some(body.freeze()),
            Some(Ok(frame)) => body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            Some(Err(_)) => return None,
        }
    }
    None
}

fn garbled(body: &Bytes) -> Bytes {
    let mut bytes = body.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.into()
}

fn error(status: u16, code: &str, region: Option<&str>) -> Response<Body> {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>on order</Message></Error>"
    );
    let mut response = Response::builder().status(status).header("content-type", "application/xml");
    if let Some(region) = region {
        response = response.header("x-amz-bucket-region", region);
    }
    response.body(Body::from(xml)).unwrap()
}

fn op_of(method: &Method, uri: &Uri) -> Op {
    let query = uri.query().unwrap_or("");
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    match *method {
        Method::PUT if has("partNumber") => Op::Part,
        Method::PUT if uri.path().trim_matches('/').contains('/') => Op::Put,
        Method::POST if has("uploads") => Op::Begin,
        Method::POST if has("uploadId") => Op::Complete,
        Method::DELETE if has("uploadId") => Op::Abort,
        _ => Op::Other,
    }
}
