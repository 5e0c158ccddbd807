//! A receiver of what is sent to HTTP endpoints, which answers as it is told: rightly, or with each wrong thing that there is.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test takes a part of it")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// What to answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// As the protocol wants it.
    Taken,
    /// A well-formed answer with another status.
    Status(u16),
    /// 200 with this body.
    Body(String),
    /// Right but for its media type.
    ContentType(&'static str),
    /// Right but without a length.
    Chunked,
    /// Right but said to be compressed.
    Gzipped,
    /// Chunks without end.
    Endless,
    /// The connection ends.
    Hangup,
    /// Nothing.
    Never,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Got {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    /// Bytes of the body as they came.
    pub sent_bytes: usize,
    /// The body, uncompressed.
    pub bytes: Vec<u8>,
    pub json: Value,
}

impl Got {
    /// A header, empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The request's id, which its header and its body say alike.
    pub fn id(&self) -> &str {
        assert_eq!(self.json["requestId"], self.header("x-amz-firehose-request-id"));
        self.header("x-amz-firehose-request-id")
    }

    /// The records, as text.
    pub fn records(&self) -> Vec<String> {
        let decode = |record: &Value| {
            let data = base64_simd::STANDARD.decode_to_vec(record["data"].as_str().unwrap()).unwrap();
            String::from_utf8(data).unwrap()
        };
        self.json["records"].as_array().unwrap().iter().map(decode).collect()
    }
}

/// A server that answers by a function of the request and of how many there were before.
pub struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    pub async fn start(reply: impl Fn(&Got, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let (reply, seen) = (Arc::new(reply), got.clone());
        let task = tokio::spawn(async move {
            // Connections end with the receiver.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (reply, seen) = (reply.clone(), seen.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let (reply, seen) = (reply.clone(), seen.clone());
                        async move {
                            let got = take(request).await;
                            let before = seen.lock().unwrap().len();
                            let reply = reply(&got, before);
                            let id = got.header("x-amz-firehose-request-id").to_owned();
                            seen.lock().unwrap().push(got);
                            answer(reply, &id).await
                        }
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    drop(http.serve_connection(TokioIo::new(socket), service).await);
                });
            }
        });
        Receiver { address, got, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}/firehose?x=1", self.address)
    }

    pub fn requests(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(request: Request<Incoming>) -> Got {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let headers: BTreeMap<_, _> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let mut bytes = Vec::new();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut bytes).unwrap();
    } else {
        bytes.extend_from_slice(&body);
    }
    let json = serde_json::from_slice(&bytes).unwrap_or_default();
    let (method, path) = (head.method.to_string(), head.uri.to_string());
    Got { method, path, headers, sent_bytes: body.len(), bytes, json }
}

/// A hang-up is an error, by which the server ends the connection.
async fn answer(reply: Reply, id: &str) -> Result<Answer, std::io::Error> {
    let right = |status: u16| {
        let mut body = json!({ "requestId": id, "timestamp": 1_700_000_000_000_u64 });
        if status != 200 {
            body["errorMessage"] = "not now".into();
        }
        body.to_string()
    };
    let json = "application/json";
    let (status, media, body) = match reply.clone() {
        Reply::Taken | Reply::Chunked | Reply::Gzipped => (200, json, right(200)),
        Reply::Status(status) => (status, json, right(status)),
        Reply::Body(body) => (200, json, body),
        Reply::ContentType(media) => (200, media, right(200)),
        Reply::Endless => (200, json, String::new()),
        Reply::Hangup => return Err(std::io::Error::other("the receiver hangs up")),
        Reply::Never => std::future::pending().await,
    };
    let mut response = Response::builder().status(status).header("content-type", media);
    if matches!(reply, Reply::Gzipped) {
        response = response.header("content-encoding", "gzip");
    }
    if (300..400).contains(&status) {
        response = response.header("location", "/elsewhere");
    }
    let body = match reply {
        Reply::Endless => endless(),
        Reply::Chunked => StreamBody::new(stream::iter([Ok(Frame::data(body.into()))])).boxed_unsync(),
        _ => Full::new(body.into()).boxed_unsync(),
    };
    Ok(response.body(body).unwrap())
}

fn endless() -> UnsyncBoxBody<Bytes, Infallible> {
    let chunks = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b' '; 4_096]))));
    StreamBody::new(chunks).boxed_unsync()
}
