//! GetRecords in CPU time, from a call's bytes to those of its answer, from memory and from the page cache, beside what
//! nobody can do without: base64 of the records (in JSON), and the socket. And the writing of answers alone, by size of
//! record: `cargo bench --bench get`. The ratios are printed at the end.
//!
//! The whole service side runs on one thread, whose CPU time alone is counted: HTTP, signature, journal, encoding, the
//! kernel's part of disk and socket included. Calls bring what one may: 10,000 records, or 10 MiB. The rates are of
//! record bytes.
//!
//! November 2026, two busy cores, two runs, MB/s of a core: from memory 1,177 and 1,403 in JSON, 1,488 and 1,772 in CBOR,
//! from the page cache 731 and 715, 849 and 889.

#[path = "../load/calls.rs"]
#[expect(dead_code, reason = "the load generator takes the rest")]
mod calls;
#[path = "support/service.rs"]
mod service;
mod support;

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use standpipe::api::kinesis::data::encode::Page;
use standpipe::api::kinesis::{Bounds, Document, Wire};
use standpipe::clock::Clock;
use standpipe::record::{Keys, Records};
use standpipe::stream::data::{HashRange, Shard};

use calls::{Api, Calls};
use service::{Connection, Service};
use support::cpu::{Cpu, Meter};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Records of one put.
const RECORDS: usize = 500;
/// Puts of web logs: more than the caches of a processor hold, of which a pass reads all.
const PUTS: usize = 400;
const STREAM: &str = "one";
/// Bytes of the records of one answer, where it alone is written.
const PAGE_BYTES: usize = 8 << 20;

/// A call of GetRecords, ready to be sent.
struct Get {
    head: Bytes,
    body: Bytes,
}

/// All of a stream's records as they are read by calls in one encoding.
struct Pass {
    name: &'static str,
    calls: Vec<Get>,
    record_bytes: u64,
    answer_bytes: u64,
}

fn call(service: &Service, api: Api, operation: &str, input: &Document) -> Get {
    let body = input.write(api.wire());
    let target = format!("Kinesis_20131202.{operation}");
    let head = calls::head(&Clock::real(), &service.signing(api, STREAM), &target, &body).expect("it can be signed");
    Get { head: head.into(), body: body.into() }
}

/// Fills the stream; the bytes of its records.
fn fill(service: &Service) -> u64 {
    let calls = Calls::make(&Clock::real(), &service.signing(Api::Kinesis, STREAM), RECORDS, PUTS);
    let mut connection = service.connect();
    let put = |call: &calls::Call| {
        connection.call(&call.head, &call.body).expect("the put is taken");
        call.record_bytes
    };
    calls.expect("calls can be signed").0.iter().map(put).sum()
}

/// Reads all once, and keeps the calls to read it again: a place in a shard is good for five minutes.
fn pass(service: &Service, name: &'static str, api: Api) -> Pass {
    let ask = |connection: &mut Connection, call: &Get| {
        let answer = connection.call(&call.head, &call.body).expect("it is answered").to_owned();
        let values = Bounds { values: usize::MAX, ..Bounds::default() };
        (answer.len() as u64, Document::read(api.wire(), &answer, values).expect("it can be read"))
    };
    let mut connection = service.connect();
    let begin = [("StreamName", STREAM), ("ShardId", "shardId-000000000000"), ("ShardIteratorType", "TRIM_HORIZON")];
    let begin = Document::map(begin.map(|(name, value)| (name, value.into())));
    let (_, mut answer) = ask(&mut connection, &call(service, api, "GetShardIterator", &begin));
    let mut pass = Pass { name, calls: Vec::new(), record_bytes: 0, answer_bytes: 0 };
    loop {
        let place = ["ShardIterator", "NextShardIterator"].into_iter().find_map(|member| answer.text(member));
        let get = call(service, api, "GetRecords", &Document::map([("ShardIterator", place.expect("one").into())]));
        let (bytes, found) = ask(&mut connection, &get);
        let records = found.list("Records");
        if records.is_empty() {
            return pass;
        }
        pass.record_bytes += records.iter().map(data_bytes).sum::<u64>();
        pass.answer_bytes += bytes;
        pass.calls.push(get);
        answer = found;
    }
}

fn data_bytes(record: &Document) -> u64 {
    match record.get("Data") {
        Some(Document::Blob(data)) => data.len() as u64,
        Some(Document::Text(base64)) => base64_simd::STANDARD.decode_to_vec(base64).expect("it is base64").len() as u64,
        other => panic!("a record without data: {other:?}"),
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn gets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("get");
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    for (from, fresh_bytes) in [("memory", usize::MAX), ("page cache", 0)] {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk of the build");
        let service = Service::start(dir.path(), fresh_bytes);
        let stored = fill(&service);
        for (name, api) in [("JSON", Api::Kinesis), ("CBOR", Api::KinesisCbor)] {
            let pass = pass(&service, name, api);
            assert_eq!(pass.record_bytes, stored, "all is read");
            let (path, limit) = (read(&mut group, from, &service, &pass), bare(&mut group, from, &pass));
            println!(
                "GetRecords in {name} from {from}: {path:.0} MB/s of a core, what it cannot do without {limit:.0}: {:.2} \
                 times its CPU",
                limit / path
            );
        }
    }
    group.finish();
}

/// Reads by all calls of a pass.
fn read(group: &mut BenchmarkGroup<'_, WallTime>, from: &str, service: &Service, pass: &Pass) -> f64 {
    let (meter, mut connection) = (Meter::default(), service.connect());
    group.throughput(Throughput::Bytes(pass.record_bytes));
    group.bench_function(BenchmarkId::new(from, pass.name), |bencher| {
        bencher.iter_custom(|rounds| {
            let before = service.cpu.used();
            let mut bytes = 0;
            for get in (0..rounds).flat_map(|_| &pass.calls) {
                bytes += connection.call(&get.head, &get.body).expect("it is answered").len() as u64;
            }
            let cpu = service.cpu.used().saturating_sub(before);
            // But for the digits of MillisBehindLatest.
            assert!(bytes.abs_diff(rounds * pass.answer_bytes) < bytes / 1_000, "each pass brings the same");
            meter.add(rounds * pass.record_bytes, cpu);
            cpu
        });
    });
    meter.mb_per_second()
}

/// As many bytes into a socket, and the records in base64 where they are sent so.
fn bare(group: &mut BenchmarkGroup<'_, WallTime>, from: &str, pass: &Pass) -> f64 {
    let (meter, this, mut socket) = (Meter::default(), Cpu::of_this_thread(), sink());
    let (piece, records) = (vec![b'x'; 64 << 10], support::weblogs(1, pass.record_bytes as usize));
    group.bench_function(BenchmarkId::new(format!("{from}, base64 and socket alone"), pass.name), |bencher| {
        bencher.iter_custom(|rounds| {
            let before = this.used();
            for _ in 0..rounds {
                if pass.name == "JSON" {
                    records
                        .chunks(48 << 10)
                        .for_each(|data| _ = black_box(base64_simd::STANDARD.encode_to_string(data)));
                }
                (0..pass.answer_bytes.div_ceil(64 << 10)).for_each(|_| socket.write_all(&piece).expect("it is read"));
            }
            let cpu = this.used().saturating_sub(before);
            meter.add(rounds * pass.record_bytes, cpu);
            cpu
        });
    });
    meter.mb_per_second()
}

/// A socket of which another thread reads all that is written.
fn sink() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let socket = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    let (mut other, _) = listener.accept().expect("it is there");
    std::thread::spawn(move || {
        let mut into = vec![0; 256 << 10];
        while other.read(&mut into).is_ok_and(|read| read > 0) {}
    });
    socket
}

fn shard() -> Shard {
    Shard {
        index: 0,
        range: HashRange::ALL,
        parent: None,
        adjacent_parent: None,
        created_ms: 1_767_312_000_250,
        opened_ms: 1_767_312_000_250,
        closed: None,
    }
}

fn puts(record_bytes: usize) -> Vec<Records> {
    let data: Vec<Vec<u8>> = (0..RECORDS).map(|index| vec![index as u8; record_bytes]).collect();
    let keys: Vec<String> = (0..RECORDS).map(|index| format!("user-{index:08}")).collect();
    let Records { ends, data: bytes, .. } = Records::from_slices(0, &keys);
    let keys = Some(Keys { ends, data: bytes });
    let put = Records { keys, ..Records::from_slices(1_767_312_000_250, &data) };
    // Each with bytes of its own, which no cache holds all of.
    let copy = || Records { data: Bytes::copy_from_slice(&put.data), ..put.clone() };
    (0..PAGE_BYTES / (RECORDS * record_bytes)).map(|_| copy()).collect()
}

fn page(wire: Wire, shard: &Shard, puts: &[Records]) -> Vec<Bytes> {
    let mut page = Page::new(wire, shard, false, 1_000_000);
    for records in puts {
        page.add(records);
    }
    page.end(Some(("NextShardIterator", b"AAAA")), 0, &[])
}

fn pages(criterion: &mut Criterion) {
    let shard = shard();
    let mut group = criterion.benchmark_group("page");
    for record_bytes in [300, 1_024] {
        let puts = puts(record_bytes);
        let bytes: usize = puts.iter().map(|records| records.data.len()).sum();
        group.throughput(Throughput::Bytes(bytes as u64));
        for (name, wire) in [("JSON", Wire::Json), ("CBOR", Wire::Cbor)] {
            group.bench_with_input(BenchmarkId::new(name, record_bytes), &puts, |bench, puts| {
                bench.iter(|| black_box(page(wire, &shard, puts)));
            });
        }
        group.bench_with_input(BenchmarkId::new("base64 alone", record_bytes), &puts, |bench, puts| {
            let encode = |put: &Records| base64_simd::STANDARD.encode_to_string(&put.data).len();
            bench.iter(|| puts.iter().map(encode).sum::<usize>());
        });
    }
    group.finish();
}

criterion_group!(benches, gets, pages);
criterion_main!(benches);
