//! The put path in CPU time, from HTTP bytes to the synced journal, beside SHA-256, base64 and CRC-32C over the same
//! bytes, and PutRecords beside PutRecordBatch, in turns: `cargo bench --bench put`. The ratios are printed at the end.
//!
//! The whole service side runs on one thread, whose CPU time alone is counted: HTTP, signature, JSON, base64, framing,
//! write and sync, the kernel's part included. The rates are of record bytes.
//!
//! November 2026, two busy cores, medians of 25 turns, the median of five runs and how far they lie apart: PutRecordBatch
//! 3.6 CPU s/GB (3.5 to 4.0); PutRecords to one shard 1.16 times that (1.14 to 1.21), in CBOR 1.03 times (0.99 to 1.05);
//! to 4 shards, which are 4 files to sync for each call, 2.07 times (2.02 to 2.26). The same kind against itself differs
//! by up to 0.03.

#[path = "../load/calls.rs"]
#[expect(dead_code, reason = "the load generator takes the rest")]
mod calls;
#[path = "support/service.rs"]
mod service;
mod support;

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use standpipe::clock::Clock;
use standpipe::limits::FRESH_BYTES_MAX;

use calls::{Api, Call, Calls};
use service::{Connection, Service};
use support::cpu::{Cpu, Meter};
use support::median;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const RECORDS: usize = 500;
/// More than the caches hold.
const CALLS: usize = 50;
/// Which puts are compared, the first one with all others.
const KINDS: [(&str, Api, &str); 5] = [
    ("PutRecordBatch", Api::Firehose, "web-logs"),
    ("PutRecordBatch again", Api::Firehose, "web-logs"),
    ("PutRecords", Api::Kinesis, "one"),
    ("PutRecords to 4 shards", Api::Kinesis, "four"),
    ("PutRecords in CBOR", Api::KinesisCbor, "one"),
];
/// How often they take turns.
const TURNS: usize = 25;

/// Sends calls and sees that all records are taken; the CPU time of the service.
fn put(service: &Service, connection: &mut Connection, calls: &[Call]) -> Duration {
    let before = service.cpu.used();
    for call in calls {
        let answer = connection.call(&call.head, &call.body).expect("the put is taken");
        let none_failed = [&br#"FailedPutCount":0"#[..], br#"FailedRecordCount":0"#, b"FailedRecordCount\0"];
        assert!(none_failed.iter().any(|text| memchr::memmem::find(answer, text).is_some()), "all records are taken");
    }
    service.cpu.used().saturating_sub(before)
}

fn record_bytes(calls: &[Call]) -> u64 {
    calls.iter().map(|call| call.record_bytes).sum()
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

/// All kinds in turns, so that whatever else the machine does meets all of them.
#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn compare(service: &Service) {
    let calls = KINDS.map(|(_, api, stream)| {
        Calls::make(&Clock::real(), &service.signing(api, stream), RECORDS, CALLS).expect("calls can be signed").0
    });
    let mut connection = service.connect();
    // Seconds of CPU for each GB, by kind.
    let mut costs = KINDS.map(|_| Vec::with_capacity(TURNS));
    for turn in 0..=TURNS {
        for (calls, costs) in calls.iter().zip(&mut costs) {
            let cpu = put(service, &mut connection, calls);
            // The first turn warms up.
            costs.extend((turn > 0).then(|| cpu.as_secs_f64() * 1e9 / record_bytes(calls) as f64));
        }
    }
    for ((name, ..), cost) in KINDS.iter().zip(&costs) {
        let ratio = median(cost.iter().zip(&costs[0]).map(|(cost, first)| cost / first));
        let cost = median(cost.iter().copied());
        println!("{name}: {cost:.2} CPU s/GB, {:.0} MB/s of a core, {ratio:.3} times {}", 1_000.0 / cost, KINDS[0].0);
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn puts(criterion: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk of the build");
    let service = Service::start(dir.path(), FRESH_BYTES_MAX);
    let signing = service.signing(Api::Firehose, "web-logs");
    let calls = Calls::make(&Clock::real(), &signing, RECORDS, CALLS).expect("calls can be signed").0;
    let bytes = record_bytes(&calls);
    let (path, limit) = (Meter::default(), Meter::default());

    let mut group = criterion.benchmark_group("put");
    group.throughput(Throughput::Bytes(bytes));
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    let mut connection = service.connect();
    group.bench_function("path", |bencher| {
        bencher.iter_custom(|rounds| {
            let cpu = (0..rounds).map(|_| put(&service, &mut connection, &calls)).sum();
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
    compare(&service);
}

criterion_group!(benches, puts);
criterion_main!(benches);
