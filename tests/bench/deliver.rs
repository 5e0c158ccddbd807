//! The delivery path in CPU time, from the journal's files to committed objects, beside the compressor alone over the
//! same bytes: `cargo bench --bench deliver`. The ratios are printed at the end.
//!
//! Records are read from disk, checked, joined, encoded, put to a local directory, synced, and committed in the
//! ledger. The rates are of record bytes; all threads of the process are counted.

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use libdeflater::{CompressionLvl, Compressor};
use standpipe::clock::Clock;
use standpipe::config::{Config, DeliveryStream, Level};
use standpipe::destination::Stores;
use standpipe::disk::RealDisk;
use standpipe::journal::Append;
use standpipe::journal::local::{LocalJournal, Options};
use standpipe::ledger::Ledger;
use standpipe::ledger::local::{LocalLedger, Options as LedgerOptions};
use standpipe::limits::ENCODE_CHUNK_BYTES;
use standpipe::pipeline::{self, Capacity, Orders, Outboxes, Parts, Staging, Until};
use standpipe::record::{Records, StreamId};
use standpipe::stream::{Feed, Stream};
use standpipe::transform::Registry;
use standpipe::transform::function::Caller;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use support::cpu::{Cpu, Meter};

const BYTES: usize = 64 << 20;
const RECORDS: usize = 500;
const CONFIG: &str = r#"
data_dir = "data"
[delivery_stream.web-logs]
buffer = { size = "8 MiB", interval = "300s" }
[delivery_stream.web-logs.destination]
type = "local"
path = "lake"
compression = "gzip"
compression_level = "LEVEL"
delimiter = "always"
"#;

/// A stream and what delivers it.
struct Bench {
    clock: Clock,
    stream: Stream,
    settings: Arc<DeliveryStream>,
    ledger: Arc<dyn Ledger>,
    staging: Staging,
    webhooks: Outboxes,
}

impl Bench {
    fn new(dir: &std::path::Path, level: Level) -> Self {
        let text = CONFIG.replace("LEVEL", &format!("{level:?}").to_lowercase());
        let config = Config::parse(&text, "bench.toml", dir, &|_| None).expect("a valid configuration");
        let clock = Clock::real();
        let disk = Arc::new(RealDisk::open(&dir.join("data")).expect("a directory of ours"));
        // What was put must come from the disk, as a backlog does.
        let options = Options { fresh_bytes: 0, ..Options::default() };
        let journal = LocalJournal::open(disk.clone(), clock.clone(), options).expect("a new journal");
        let ledger = LocalLedger::open(disk.clone(), clock.clone(), LedgerOptions::default()).expect("a new ledger");
        Bench {
            webhooks: Outboxes::new(disk.clone()),
            staging: Staging::open(disk, clock.clone(), None).expect("a new directory"),
            clock,
            stream: Stream::new(Arc::new(journal), StreamId(1)),
            settings: Arc::new(config.delivery_streams[0].clone()),
            ledger: Arc::new(ledger),
        }
    }

    async fn fill(&self, puts: &[Records]) {
        for records in puts {
            let put = Append::of(records.clone());
            self.stream.append(put).await.expect("the journal has room");
        }
    }

    /// Delivers all that is in the journal.
    async fn deliver(&self) {
        let orders = Orders { stream: self.settings.clone(), version: 1, until: Until::Flushed };
        let (_changes, orders) = watch::channel(orders);
        let parts = Parts {
            name: self.settings.name.clone(),
            feed: Feed::direct(&self.stream),
            ledger: self.ledger.clone(),
            stores: Stores::new(),
            clock: self.clock.clone(),
            capacity: Capacity::new(std::thread::available_parallelism().map_or(1, usize::from)),
            registry: Registry::without_plugins(watch::channel(Arc::default()).1),
            caller: Caller { delivery_stream_arn: String::new(), region: String::new(), source_arn: None },
            staging: self.staging.clone(),
            webhooks: self.webhooks.clone(),
            metrics: Arc::default(),
            state: Arc::default(),
            orders,
        };
        let ended = Box::pin(pipeline::deliver(parts)).await.expect("nothing fails");
        assert_eq!(ended.left, 0, "everything is delivered");
    }
}

/// The lines of `logs` as puts.
fn puts(logs: &[u8]) -> Vec<Records> {
    let lines: Vec<_> = logs.split_inclusive(|byte| *byte == b'\n').map(|line| &line[..line.len() - 1]).collect();
    lines.chunks(RECORDS).map(|records| Records::from_slices(Clock::real().now_ms(), records)).collect()
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn deliveries(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let logs = support::weblogs(1, BYTES);
    let puts = puts(&logs);
    let mut group = criterion.benchmark_group("deliver");
    group.throughput(Throughput::Bytes(logs.len() as u64));
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    for (level, libdeflate) in [(Level::Fast, 1), (Level::Balanced, 5)] {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk of the build");
        let bench = Bench::new(dir.path(), level);
        let (path, limit) = (Meter::default(), Meter::default());
        group.bench_function(BenchmarkId::new("path", format!("{level:?}")), |bencher| {
            bencher.iter_custom(|rounds| {
                (0..rounds)
                    .map(|_| {
                        runtime.block_on(bench.fill(&puts));
                        let before = Cpu::Process.used();
                        runtime.block_on(bench.deliver());
                        let cpu = Cpu::Process.used().saturating_sub(before);
                        path.add(logs.len() as u64, cpu);
                        cpu
                    })
                    .sum()
            });
        });
        let this = Cpu::of_this_thread();
        let mut compressor = Compressor::new(CompressionLvl::new(libdeflate).expect("libdeflate has it"));
        let mut out = vec![0; compressor.gzip_compress_bound(ENCODE_CHUNK_BYTES)];
        group.bench_function(BenchmarkId::new("compressor alone", format!("{level:?}")), |bencher| {
            bencher.iter_custom(|rounds| {
                let before = this.used();
                for raw in (0..rounds).flat_map(|_| logs.chunks(ENCODE_CHUNK_BYTES)) {
                    black_box(compressor.gzip_compress(raw, &mut out).expect("the bound suffices"));
                }
                let cpu = this.used().saturating_sub(before);
                limit.add(rounds * logs.len() as u64, cpu);
                cpu
            });
        });
        let (path, limit) = (path.mb_per_second(), limit.mb_per_second());
        println!(
            "gzip {level:?}: delivery {path:.0} MB/s of a core, the compressor alone {limit:.0}: {:.1} %",
            path / limit * 100.0
        );
    }
    group.finish();
}

criterion_group!(benches, deliveries);
criterion_main!(benches);
