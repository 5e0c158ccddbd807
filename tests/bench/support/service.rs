//! The service side in this process, on a thread of its own, whose CPU time is all that it takes: HTTP, signatures, the
//! journal and the kernel's part of both.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use standpipe::api::access::Access;
use standpipe::api::edge::Edge;
use standpipe::api::firehose::control::from_api;
use standpipe::api::server::Server;
use standpipe::api::{Account, Context};
use standpipe::catalog::Catalog;
use standpipe::clock::Clock;
use standpipe::config::Config;
use standpipe::disk::RealDisk;
use standpipe::journal::local::{LocalJournal, Options};
use standpipe::limits::DATA_RECORD_BYTES_DEFAULT;
use standpipe::stream::Streams;
use standpipe::stream::data::{DataStreams, Distribution, Mode, NewDataStream, Settings};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::calls::{Api, Signing};
use crate::support::cpu::Cpu;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A delivery stream `web-logs`, of which nothing is delivered.
const CONFIG: &str = r#"
data_dir = "data"
[[access_key]]
id = "bench"
secret = "bench"
[delivery_stream.web-logs.destination]
type = "local"
path = "lake"
"#;
/// Data streams, and how many shards each has.
const DATA_STREAMS: [(&str, u32); 2] = [("one", 1), ("four", 4)];

/// A service that takes calls.
pub(crate) struct Service {
    address: String,
    /// The CPU time that it takes.
    pub(crate) cpu: Cpu,
}

impl Service {
    /// Starts one that keeps `fresh_bytes` of what was put in memory.
    pub(crate) fn start(dir: &Path, fresh_bytes: usize) -> Self {
        let (started, starts) = mpsc::channel();
        let dir = dir.to_owned();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(serve(dir, fresh_bytes, started)).expect("the service side starts");
        };
        // A name of its own, for a profiler.
        std::thread::Builder::new().name("service".into()).spawn(serve).expect("a thread");
        let (address, cpu) = starts.recv().expect("the service side is there");
        Service { address: address.to_string(), cpu }
    }

    /// For whom calls to it are signed.
    pub(crate) fn signing<'a>(&'a self, api: Api, stream: &'a str) -> Signing<'a> {
        Signing { api, address: &self.address, stream, key: "bench", secret: "bench", region: "us-east-1" }
    }

    /// A new connection to it.
    pub(crate) fn connect(&self) -> Connection {
        let socket = TcpStream::connect(&self.address).expect("the service side listens");
        socket.set_nodelay(true).expect("a socket");
        Connection { socket, answer: Vec::new() }
    }
}

/// Serves calls on the calling thread for ever, and says where.
async fn serve(dir: PathBuf, fresh_bytes: usize, started: mpsc::Sender<(SocketAddr, Cpu)>) -> Result<(), Failure> {
    let config = Config::parse(CONFIG, "bench.toml", &dir, &|_| None)?;
    let clock = Clock::real();
    let disk = Arc::new(RealDisk::open(&dir)?);
    let options = Options { fresh_bytes, ..Options::default() };
    let journal = Arc::new(LocalJournal::open_inline(disk.clone(), clock.clone(), options).await?);
    let account = Account { id: config.account_id.as_str().into(), region: config.region.as_str().into() };
    let (_changes, access) = watch::channel(Arc::new(Access::new(&config.access_keys, &[], &account)?));
    let settings = Settings {
        account_id: config.account_id.clone(),
        region: config.region.clone(),
        shards_max: config.kinesis.shards_max,
        state_delay: config.kinesis.state_delay,
        can_encrypt: false,
    };
    let data_streams = DataStreams::open(disk.clone(), journal.clone(), clock.clone(), settings, Vec::new()).await?;
    for (name, shards) in DATA_STREAMS {
        data_streams.create(data_stream(name, shards)).await?;
    }
    let context = Context {
        catalog: Catalog::open(disk, clock.clone(), &config, from_api(config.buckets.clone())).await?,
        streams: Streams::new(journal),
        data_streams,
        stopping: tokio_util::sync::CancellationToken::new(),
        account,
        metrics: Arc::default(),
        clock: clock.clone(),
        glue: None,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    started.send((listener.local_addr()?, Cpu::of_this_thread()))?;
    let stop = tokio_util::sync::CancellationToken::new();
    Server::new(clock).serve(listener, Edge::new(context, access), stop, config.server.grace).await;
    Ok(())
}

fn data_stream(name: &str, shards: u32) -> NewDataStream {
    NewDataStream {
        name: name.to_owned(),
        mode: Mode::Provisioned,
        shards: Some(shards),
        record_bytes_max: DATA_RECORD_BYTES_DEFAULT,
        distribution: Distribution::PartitionKey,
        warm_mibps: None,
        tags: Vec::new(),
    }
}

/// A kept connection, with one call at a time.
pub(crate) struct Connection {
    socket: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    /// Sends one call, whose head has no end yet, and reads the body of its answer.
    ///
    /// # Errors
    /// What was answered, where that was not 200.
    pub(crate) fn call(&mut self, head: &[u8], body: &[u8]) -> Result<&[u8], Failure> {
        self.socket.write_all(&[head, b"\r\n"].concat())?;
        self.socket.write_all(body)?;
        self.answer.clear();
        let start = loop {
            self.read()?;
            if let Some(end) = memchr::memmem::find(&self.answer, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = std::str::from_utf8(&self.answer[..start])?.to_ascii_lowercase();
        let length = head.split_once("content-length: ").ok_or("an answer without content-length")?.1;
        let end = start + length.split("\r\n").next().unwrap_or_default().parse::<usize>()?;
        while self.answer.len() < end {
            self.read()?;
        }
        if !head.starts_with("http/1.1 200") {
            return Err(String::from_utf8_lossy(&self.answer).into());
        }
        Ok(&self.answer[start..end])
    }

    fn read(&mut self) -> Result<(), Failure> {
        let held = self.answer.len();
        self.answer.resize(held + (256 << 10), 0);
        let read = self.socket.read(&mut self.answer[held..])?;
        self.answer.truncate(held + read);
        if read == 0 { Err("the service closed the connection".into()) } else { Ok(()) }
    }
}
