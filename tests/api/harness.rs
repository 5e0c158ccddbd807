//! A whole edge on a free port, over a journal in memory that can be told to refuse; and a client that sends
//! exactly the bytes it is told to.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use serde_json::Value;
use standpipe::api::access::Access;
use standpipe::api::edge::Edge;
use standpipe::api::server::{Bounds, Ended, Server};
use standpipe::api::{Account, Context};
use standpipe::catalog::Catalog;
use standpipe::clock::Clock;
use standpipe::config::{AccessKey, Buckets, Config, DeliveryStream, Destination, Secret, ServerConfig, Store};
use standpipe::disk::RealDisk;
use standpipe::error::{Error, Result};
use standpipe::journal::memory::MemoryJournal;
use standpipe::journal::{Append, Appended, Extent, Journal};
use standpipe::record::{Batch, CallId, Records, ShardId, Span, StreamId};
use standpipe::stream::Streams;
use standpipe::stream::data::{DataStreams, Settings};
use standpipe::telemetry::metrics::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub(crate) const ACCOUNT: &str = "000000000000";

/// The journal: what was put, in order, and the calls it knows again.
#[derive(Default)]
pub(crate) struct Shelf {
    inner: Mutex<Inner>,
    /// Appends are refused for want of room.
    pub(crate) full: AtomicBool,
    /// Appends wait for [`Shelf::go`].
    pub(crate) slow: AtomicBool,
    pub(crate) go: Notify,
    pub(crate) waiting: Notify,
}

#[derive(Default)]
struct Inner {
    puts: Vec<(ShardId, Append)>,
    calls: HashMap<(ShardId, CallId), Span>,
    ends: HashMap<ShardId, u64>,
}

impl Shelf {
    /// All records of all streams, in order.
    pub(crate) fn records(&self) -> Vec<Vec<u8>> {
        let inner = self.inner.lock().unwrap();
        inner.puts.iter().flat_map(|(_, put)| put.records.iter().map(<[u8]>::to_vec)).collect()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.records().into_iter().map(|record| String::from_utf8(record).unwrap()).collect()
    }

    pub(crate) fn appends(&self) -> Vec<Append> {
        self.inner.lock().unwrap().puts.iter().map(|(_, put)| put.clone()).collect()
    }
}

#[async_trait]
impl Journal for Shelf {
    async fn append(&self, shard: ShardId, put: Append) -> Result<Appended> {
        if self.slow.load(Ordering::SeqCst) {
            self.waiting.notify_one();
            self.go.notified().await;
        }
        if self.full.load(Ordering::SeqCst) {
            return Err(Error::unavailable("the disk budget of /var/lib/x is used up"));
        }
        assert!(!put.records.is_empty(), "a put holds a record");
        let mut inner = self.inner.lock().unwrap();
        if let Some(span) = put.call.and_then(|call| inner.calls.get(&(shard, call)).copied()) {
            return Ok(Appended { span, repeated: true });
        }
        let end = inner.ends.entry(shard).or_default();
        let span = Span { shard, start: *end, end: *end + put.records.len() as u64 };
        *end = span.end;
        if let Some(call) = put.call {
            inner.calls.insert((shard, call), span);
        }
        inner.puts.push((shard, put));
        Ok(Appended { span, repeated: false })
    }

    async fn read(&self, shard: ShardId, start: u64, _: usize) -> Result<Batch> {
        Ok(Batch { span: Span { shard, start, end: start }, puts: Vec::<Records>::new() })
    }

    async fn grown(&self, _: ShardId, _: u64) -> Result<()> {
        std::future::pending().await
    }

    async fn extent(&self, _: ShardId) -> Result<Extent> {
        Ok(Extent::default())
    }

    async fn position_at(&self, _: ShardId, _: u64) -> Result<u64> {
        Ok(0)
    }

    async fn recall(&self, shard: ShardId, call: CallId) -> Result<Option<Span>> {
        Ok(self.inner.lock().unwrap().calls.get(&(shard, call)).copied())
    }

    async fn checkpoints(&self, _: ShardId) -> Result<BTreeMap<String, Bytes>> {
        Ok(BTreeMap::new())
    }

    async fn trim(&self, _: ShardId, _: u64) -> Result<()> {
        Ok(())
    }

    async fn remove(&self, _: StreamId) -> Result<()> {
        Ok(())
    }

    fn healthy(&self) -> Result<()> {
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        0
    }

    async fn close(&self) {}
}

pub(crate) fn key(id: &str, policy: Option<&str>) -> AccessKey {
    AccessKey {
        id: id.into(),
        secret: Secret::new(SECRET.into()),
        session_token: None,
        policy: policy.map(str::to_owned),
    }
}

fn stream(name: &str) -> DeliveryStream {
    let destination = Destination::new(Store::Local { path: "/nowhere".into() });
    DeliveryStream { bytes_max: Some(77), encrypted: name == "sealed", ..DeliveryStream::new(name, destination) }
}

fn config(keys: Vec<AccessKey>, tokens: &[&str]) -> Config {
    let server = ServerConfig {
        ingest_tokens: tokens.iter().map(|token| Secret::new((*token).to_owned())).collect(),
        grace: Duration::from_secs(5),
        ..ServerConfig::default()
    };
    Config {
        account_id: ACCOUNT.into(),
        encryption_key: Some(Secret::new([7; 32])),
        server,
        access_keys: keys,
        buckets: Buckets::Local("/nowhere".into()),
        delivery_streams: ["web", "web-2", "sealed"].map(stream).into(),
        ..Config::new("/nowhere")
    }
}

/// A running edge.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    pub(crate) ended: JoinHandle<Ended>,
    pub(crate) access: watch::Sender<Arc<Access>>,
    _disk: tempfile::TempDir,
}

/// Without keys and tokens: everybody may do everything.
pub(crate) async fn open() -> Service {
    start(Vec::new(), &[], Bounds::default()).await
}

pub(crate) async fn start(keys: Vec<AccessKey>, tokens: &[&str], bounds: Bounds) -> Service {
    let disk = tempfile::tempdir().unwrap();
    let clock = Clock::real();
    let config = config(keys, tokens);
    let from_api = Arc::new(|name: &str, _: &Value| Ok(stream(name)));
    let real = Arc::new(RealDisk::open(disk.path()).unwrap());
    let catalog = Catalog::open(real.clone(), clock.clone(), &config, from_api).await.unwrap();
    let settings = Settings {
        account_id: ACCOUNT.into(),
        region: config.region.clone(),
        shards_max: 50,
        state_delay: Duration::ZERO,
        can_encrypt: true,
    };
    let journal = Arc::new(MemoryJournal::new(clock.clone()));
    let data_streams = DataStreams::open(real, journal, clock.clone(), settings, Vec::new()).await.unwrap();
    let shelf = Arc::new(Shelf::default());
    let metrics = Arc::new(Metrics::default());
    let account = Account { id: ACCOUNT.into(), region: config.region.as_str().into() };
    let access = Access::new(&config.access_keys, &config.server.ingest_tokens, &account).unwrap();
    let context = Context {
        catalog,
        streams: Streams::new(shelf.clone()),
        data_streams,
        stopping: CancellationToken::new(),
        account,
        metrics: metrics.clone(),
        clock: clock.clone(),
        glue: None,
    };
    let (sender, receiver) = watch::channel(Arc::new(access));
    let edge = Edge::new(context, receiver);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = Server::new(clock).with_bounds(bounds);
    let ended = tokio::spawn(server.serve(listener, edge, stop.clone(), config.server.grace));
    Service { address, shelf, metrics, stop, ended, access: sender, _disk: disk }
}

/// A request before it is on the wire.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// `__type` of the AWS APIs, with the status.
    pub(crate) fn error(&self) -> (u16, String) {
        (self.status, self.json()["__type"].as_str().unwrap_or("").to_owned())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(sent, _)| *sent == name)
            .map(|(_, value)| value)
    }
}

impl Call {
    pub(crate) fn aws(operation: &str, body: impl Into<Vec<u8>>) -> Self {
        Call { method: "POST", target: "/".into(), headers: Vec::new(), body: body.into() }
            .with("content-type", "application/x-amz-json-1.1")
            .with("x-amz-target", &format!("Firehose_20150804.{operation}"))
    }

    pub(crate) fn ingest(stream: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let target = format!("/v1/streams/{stream}/records");
        Call { method: "POST", target, headers: Vec::new(), body: body.into() }.with("content-type", content_type)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn signed(self, service: &Service, id: &str) -> Self {
        self.signed_at(service, id, SECRET, Clock::real().now_ms())
    }

    pub(crate) fn signed_at(mut self, service: &Service, id: &str, secret: &str, time_ms: u64) -> Self {
        let identity = aws_credential_types::Credentials::from_keys(id, secret, None).into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("firehose")
            .time(UNIX_EPOCH + Duration::from_millis(time_ms))
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

    pub(crate) fn head(&self, service: &Service) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: {}\r\n", self.method, self.target, service.address);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head
    }

    /// Sends it on a connection of its own.
    pub(crate) async fn send(&self, service: &Service) -> Answer {
        let head = self.head(service) + &format!("content-length: {}\r\nconnection: close\r\n\r\n", self.body.len());
        raw(service, head.as_bytes(), &self.body).await
    }
}

/// Sends bytes and reads to the end.
pub(crate) async fn raw(service: &Service, head: &[u8], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    stream.write_all(head).await.unwrap();
    // The answer may come before the body is through.
    let _ = stream.write_all(body).await;
    read(&mut stream).await
}

/// Reads an answer to the end of the connection.
pub(crate) async fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let split = split.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(&bytes)));
    let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: bytes[split + 4..].to_vec() }
}

pub(crate) fn put_record(stream: &str, data: &str) -> Call {
    let data = base64_simd::STANDARD.encode_to_string(data);
    Call::aws("PutRecord", format!(r#"{{"DeliveryStreamName":"{stream}","Record":{{"Data":"{data}"}}}}"#))
}
