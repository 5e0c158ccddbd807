//! The put path in CPU time, from HTTP bytes to the synced journal, beside SHA-256, base64 and CRC-32C over the same
//! bytes: `cargo bench --bench put`. The ratio is printed at the end.
//!
//! The whole service side runs on one thread, whose CPU time alone is counted: HTTP, signature, JSON, base64, framing,
//! write and sync, the kernel's part included. The rates are of record bytes.

#[path = "../load/calls.rs"]
#[expect(dead_code, reason = "the load generator takes the rest")]
mod calls;
mod support;

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
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
use standpipe::stream::Streams;
use standpipe::stream::data::{DataStreams, Settings};
use tokio::net::TcpListener;
use tokio::sync::watch;

use calls::{Api, Call, Calls, Signing};
use support::cpu::{Cpu, Meter};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const RECORDS: usize = 500;
/// More than the caches hold.
const CALLS: usize = 50;
const CONFIG: &str = r#"
data_dir = "data"
[[access_key]]
id = "bench"
secret = "bench"
[delivery_stream.web-logs.destination]
type = "local"
path = "lake"
"#;

/// Serves puts on the calling thread for ever, and says where.
async fn serve(dir: &std::path::Path, started: mpsc::Sender<(SocketAddr, Cpu)>) -> Result<(), Failure> {
    let config = Config::parse(CONFIG, "bench.toml", dir, &|_| None)?;
    let clock = Clock::real();
    let disk = Arc::new(RealDisk::open(dir)?);
    let journal = LocalJournal::open_inline(disk.clone(), clock.clone(), Options::default()).await?;
    let account = Account { id: config.account_id.as_str().into(), region: config.region.as_str().into() };
    let access = Arc::new(Access::new(&config.access_keys, &[], &account)?);
    let journal = Arc::new(journal);
    let settings = Settings {
        account_id: config.account_id.clone(),
        region: config.region.clone(),
        shards_max: config.kinesis.shards_max,
        state_delay: config.kinesis.state_delay,
        can_encrypt: false,
    };
    let data_streams = DataStreams::open(disk.clone(), journal.clone(), clock.clone(), settings, Vec::new()).await?;
    let context = Context {
        catalog: Catalog::open(disk, clock.clone(), &config, from_api(config.buckets.clone())).await?,
        streams: Streams::new(journal),
        data_streams,
        stopping: tokio_util::sync::CancellationToken::new(),
        account,
        metrics: Arc::default(),
        clock: clock.clone(),
    };
    let (_changes, access) = watch::channel(access);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    started.send((listener.local_addr()?, Cpu::of_this_thread()))?;
    let stop = tokio_util::sync::CancellationToken::new();
    Server::new(clock).serve(listener, Edge::new(context, access), stop, config.server.grace).await;
    Ok(())
}

/// Starts the service side on a thread of its own.
fn start(dir: std::path::PathBuf) -> (SocketAddr, Cpu) {
    let (started, starts) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(serve(&dir, started)).expect("the service side starts");
    });
    starts.recv().expect("the service side is there")
}

/// Sends one call and reads its answer.
fn put(socket: &mut TcpStream, call: &Call, answer: &mut Vec<u8>) -> Result<(), Failure> {
    socket.write_all(&call.head)?;
    socket.write_all(b"\r\n")?;
    socket.write_all(&call.body)?;
    answer.clear();
    let mut piece = [0; 16 << 10];
    while !answer.ends_with(b"]}") {
        let read = socket.read(&mut piece)?;
        if read == 0 || !piece.starts_with(b"HTTP/1.1 200") && answer.is_empty() {
            return Err(String::from_utf8_lossy(&piece[..read]).into());
        }
        answer.extend_from_slice(&piece[..read]);
    }
    Ok(())
}

/// Hash of the body, base64 and checksum of each record: what no service can do without.
fn bare(calls: &[Call], into: &mut [u8]) {
    for call in calls {
        black_box(digest(&SHA256, &call.body));
        let mut rest = &call.body[..];
        while let Some(at) = memchr::memmem::find(rest, br#""Data":""#) {
            rest = &rest[at + 8..];
            let end = memchr::memchr(b'"', rest).expect("a string ends");
            let out = base64_simd::Out::from_slice(&mut *into);
            let record = base64_simd::STANDARD.decode(&rest[..end], out).expect("it was encoded by us");
            black_box(crc32c::crc32c(record));
            rest = &rest[end..];
        }
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn puts(criterion: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk of the build");
    let (address, service) = start(dir.path().to_owned());
    let signing = Signing {
        api: Api::Firehose,
        address: &address.to_string(),
        stream: "web-logs",
        key: "bench",
        secret: "bench",
        region: "us-east-1",
    };
    let calls = Calls::make(&Clock::real(), &signing, RECORDS, CALLS).expect("calls can be signed").0;
    let bytes: u64 = calls.iter().map(|call| call.record_bytes).sum();
    let (path, limit) = (Meter::default(), Meter::default());

    let mut group = criterion.benchmark_group("put");
    group.throughput(Throughput::Bytes(bytes));
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    let mut socket = TcpStream::connect(address).expect("the service side listens");
    socket.set_nodelay(true).expect("a socket");
    let mut answer = Vec::new();
    group.bench_function("path", |bencher| {
        bencher.iter_custom(|rounds| {
            let before = service.used();
            for call in (0..rounds).flat_map(|_| &calls) {
                put(&mut socket, call, &mut answer).expect("the put is taken");
            }
            let cpu = service.used().saturating_sub(before);
            path.add(rounds * bytes, cpu);
            cpu
        });
    });
    let (this, mut into) = (Cpu::of_this_thread(), vec![0; 1 << 20]);
    group.bench_function("sha256, base64 and crc32c alone", |bencher| {
        bencher.iter_custom(|rounds| {
            let before = this.used();
            for _ in 0..rounds {
                bare(&calls, &mut into);
            }
            let cpu = this.used().saturating_sub(before);
            limit.add(rounds * bytes, cpu);
            cpu
        });
    });
    group.finish();
    let (path, limit) = (path.mb_per_second(), limit.mb_per_second());
    println!("put path {path:.0} MB/s of a core, the three alone {limit:.0}: {:.2} times their CPU", limit / path);
}

criterion_group!(benches, puts);
criterion_main!(benches);
