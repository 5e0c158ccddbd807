//! A whole edge on a free port over a journal in memory, and a client that speaks both encodings.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde_json::{Map, Value, json};
use standpipe::api::access::Access;
use standpipe::api::edge::Edge;
use standpipe::api::kinesis::{Bounds, Document, Wire};
use standpipe::api::server::{Ended, Server};
use standpipe::api::{Account, Context};
use standpipe::catalog::Catalog;
use standpipe::clock::Clock;
use standpipe::config::{AccessKey, Config, DeliveryStream, Destination, Secret, Store};
use standpipe::disk::sim::SimDisk;
use standpipe::journal::Journal;
use standpipe::journal::memory::MemoryJournal;
use standpipe::stream::Streams;
use standpipe::stream::data::{DataStreams, FileStream, Settings};
use standpipe::telemetry::metrics::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub(crate) const ACCOUNT: &str = "000000000000";
pub(crate) const BOTH: [Wire; 2] = [Wire::Json, Wire::Cbor];
/// When the clock of every service starts: 2026-01-02.
pub(crate) const START_MS: u64 = 1_767_312_000_250;

/// What a service is started with.
pub(crate) struct Setup {
    pub(crate) keys: Vec<AccessKey>,
    pub(crate) state_delay: Duration,
    pub(crate) file: Vec<FileStream>,
    pub(crate) journal: MakesJournal,
}

pub(crate) type MakesJournal = Box<dyn FnOnce(Clock) -> Arc<dyn Journal>>;

impl Default for Setup {
    fn default() -> Self {
        let journal: MakesJournal = Box::new(|clock| Arc::new(MemoryJournal::new(clock)));
        Setup { keys: Vec::new(), state_delay: Duration::ZERO, file: Vec::new(), journal }
    }
}

/// A running edge.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) stop: CancellationToken,
    pub(crate) ended: JoinHandle<Ended>,
    _stop: tokio_util::sync::DropGuard,
    _access: watch::Sender<Arc<Access>>,
}

/// Without keys: everybody may do everything; states do not last.
pub(crate) async fn open() -> Service {
    start(Setup::default()).await
}

pub(crate) fn key(id: &str, policy: Option<Value>) -> AccessKey {
    AccessKey {
        id: id.into(),
        secret: Secret::new(SECRET.into()),
        session_token: None,
        policy: policy.map(|statement| json!({"Version": "2012-10-17", "Statement": statement}).to_string()),
    }
}

pub(crate) async fn start(setup: Setup) -> Service {
    let clock = Clock::simulated(7, START_MS);
    let config = Config { account_id: ACCOUNT.into(), access_keys: setup.keys, ..Config::new("/nowhere") };
    let from_api = Arc::new(|name: &str, _: &Value| {
        Ok(DeliveryStream::new(name, Destination::new(Store::Local { path: "/".into() })))
    });
    let catalog = Catalog::open(Arc::new(SimDisk::new(1)), clock.clone(), &config, from_api).await.unwrap();
    let settings = Settings {
        account_id: ACCOUNT.into(),
        region: config.region.clone(),
        shards_max: 50,
        state_delay: setup.state_delay,
        can_encrypt: true,
    };
    let journal = (setup.journal)(clock.clone());
    let disk = Arc::new(SimDisk::new(2));
    let streams = DataStreams::open(disk, journal.clone(), clock.clone(), settings, setup.file).await.unwrap();
    let account = Account { id: ACCOUNT.into(), region: config.region.as_str().into() };
    let access = Access::new(&config.access_keys, &[], &account).unwrap();
    let stop = CancellationToken::new();
    let context = Context {
        catalog,
        streams: Streams::new(journal),
        data_streams: streams,
        stopping: stop.clone(),
        account,
        metrics: Arc::new(Metrics::default()),
        clock: clock.clone(),
        glue: None,
    };
    let (sender, receiver) = watch::channel(Arc::new(access));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(clock.clone());
    let ended =
        tokio::spawn(server.serve(listener, Edge::new(context, receiver), stop.clone(), Duration::from_secs(5)));
    Service { address, clock, stop: stop.clone(), ended, _stop: stop.drop_guard(), _access: sender }
}

impl Service {
    /// Calls an operation and gives its answer, whatever it is.
    pub(crate) async fn call(&self, wire: Wire, operation: &str, body: Value) -> Answer {
        Call::kinesis(wire, operation, &body).send(self).await
    }

    /// Calls an operation that must go well.
    pub(crate) async fn ok(&self, wire: Wire, operation: &str, body: Value) -> Value {
        let answer = self.call(wire, operation, body.clone()).await;
        assert_eq!(answer.status, 200, "{operation} {body}: {:?}", answer.body());
        answer.body()
    }

    /// Calls an operation that must fail with HTTP status 400: its code and message.
    pub(crate) async fn refused(&self, wire: Wire, operation: &str, body: Value) -> (String, String) {
        let answer = self.call(wire, operation, body.clone()).await;
        assert_eq!(answer.status, 400, "{operation} {body}: {:?}", answer.body());
        answer.refusal()
    }

    /// Makes a stream of `shards` shards.
    pub(crate) async fn create(&self, name: &str, shards: u32) {
        self.ok(Wire::Json, "CreateStream", json!({"StreamName": name, "ShardCount": shards})).await;
    }

    /// Lets the service's clock go on.
    pub(crate) async fn advance(&self, time: Duration) {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }
}

/// `arn:aws:kinesis:…:stream/<path>`.
pub(crate) fn arn(path: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{path}")
}

/// A request before it is on the wire.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Call {
    pub(crate) fn new(method: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Call { method, target: "/".into(), headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn kinesis(wire: Wire, operation: &str, body: &Value) -> Self {
        let bytes = match wire {
            Wire::Json => body.to_string().into_bytes(),
            Wire::Cbor => document("", body).write(wire),
        };
        Call::raw(wire, operation, bytes)
    }

    pub(crate) fn raw(wire: Wire, operation: &str, body: impl Into<Vec<u8>>) -> Self {
        Call::new("POST", body)
            .with("content-type", wire.content_type())
            .with("x-amz-target", &format!("Kinesis_20131202.{operation}"))
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Signs it for `service` with the key `id`.
    pub(crate) fn signed(mut self, service: &Service, id: &str, scope: &str, secret: &str) -> Self {
        let identity = aws_credential_types::Credentials::from_keys(id, secret, None).into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(scope)
            .time(UNIX_EPOCH + Duration::from_millis(service.clock.now_ms()))
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let uri = format!("http://{}{}", service.address, self.target);
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let signable = SignableRequest::new(self.method, uri, headers, SignableBody::Bytes(&self.body)).unwrap();
        let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
        for header in instructions.into_parts().0 {
            self.headers.push((header.name().into(), header.value().into()));
        }
        self
    }

    /// Sends it on a connection of its own.
    pub(crate) async fn send(&self, service: &Service) -> Answer {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: {}\r\n", self.method, self.target, service.address);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let length = self.body.len().to_string();
        head.extend(["content-length: ", &length, "\r\nconnection: close\r\n\r\n"]);
        let mut stream = TcpStream::connect(service.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // The answer may come before the body is through.
        let _ = stream.write_all(&self.body).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        Answer::read(&bytes)
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let split = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let split = split.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, bytes: bytes[split + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.into_iter().find(|(sent, _)| *sent == name).map(|(_, value)| value)
    }

    /// The body as JSON, whatever its encoding; times are numbers of seconds, blobs are base64, no body is null.
    pub(crate) fn body(&self) -> Value {
        if self.bytes.is_empty() {
            return Value::Null;
        }
        match self.header("content-type") {
            Some("application/x-amz-cbor-1.1") => {
                value(&Document::read(Wire::Cbor, &self.bytes, Bounds { depth: 32, values: 1_000_000 }).unwrap())
            }
            _ => serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("not JSON: {self:?}")),
        }
    }

    /// Code and message of an error, which the header names too.
    pub(crate) fn refusal(&self) -> (String, String) {
        let body = self.body();
        let code = body["__type"].as_str().unwrap_or_else(|| panic!("no error: {self:?}"));
        assert_eq!(self.header("x-amzn-errortype"), Some(code));
        let member = if code == "SerializationException" { "Message" } else { "message" };
        (code.to_owned(), body[member].as_str().unwrap().to_owned())
    }
}

/// JSON as a document: `Data` is a blob, members that are called `…Timestamp` are times.
fn document(name: &str, value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(flag) => Document::Bool(*flag),
        Value::Number(number) if name.ends_with("Timestamp") => {
            Document::Time(format!("{:.0}", number.as_f64().unwrap() * 1000.0).parse().unwrap())
        }
        Value::Number(number) => {
            number.as_i64().map_or_else(|| Document::Float(number.as_f64().unwrap()), Document::Int)
        }
        Value::String(text) if name == "Data" => Document::Blob(base64_simd::STANDARD.decode_to_vec(text).unwrap()),
        Value::String(text) => Document::Text(text.clone()),
        Value::Array(items) => Document::List(items.iter().map(|item| document("", item)).collect()),
        Value::Object(members) => {
            Document::Map(members.iter().map(|(name, value)| (name.clone(), document(name, value))).collect())
        }
    }
}

pub(crate) fn value(document: &Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(flag) => (*flag).into(),
        Document::Int(number) => (*number).into(),
        Document::Float(number) => (*number).into(),
        Document::Text(text) => text.as_str().into(),
        Document::Blob(blob) => base64_simd::STANDARD.encode_to_string(blob).into(),
        Document::Time(ms) => (*ms as f64 / 1000.0).into(),
        Document::List(items) => items.iter().map(value).collect(),
        Document::Map(members) => {
            Value::Object(members.iter().map(|(name, of)| (name.clone(), value(of))).collect::<Map<_, _>>())
        }
    }
}
