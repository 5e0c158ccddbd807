//! Plugins: what the border costs, masking beside the same work done natively, what the limits cost, a start from the
//! cache, one poison record among 100,000: `cargo bench --bench transform`, or one group of it, `cargo bench --bench
//! transform -- border`.
//!
//! Records are 300 bytes long, batches 500 of them where nothing else is said. With `STANDPIPE_BENCH_PLUGINS` set to a
//! directory, every module in it is measured on the same records. Those with an interpreter are built by a script:
//! `transforms/build mask-js mask-python`, then `STANDPIPE_BENCH_PLUGINS=transforms/target/plugins cargo bench --bench
//! transform`. What came out stands in transforms/README.md.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use standpipe::clock::Clock;
use standpipe::telemetry::metrics::Metrics;
use standpipe::transform::wasm::{Limits, Plugin, Plugins, Step};
use standpipe::transform::{Origins, Rows};
use tempfile::TempDir;
use tokio::runtime::Runtime;

#[path = "support/engines.rs"]
mod engines;
#[expect(unused_imports, unreachable_pub, reason = "its lints and tests are run where it belongs")]
#[path = "../../transforms/examples/mask/src/mask.rs"]
mod mask;
mod support;

use support::Random;
use support::cpu::Cpu;

const BATCH: usize = 500;
const RECORD_BYTES: usize = 300;

/// Plugins in a directory of their own.
struct Rig {
    runtime: Runtime,
    plugins: Plugins,
    dir: TempDir,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let runtime = Runtime::new().expect("a runtime");
        Rig { runtime, plugins: open(dir.path()), dir }
    }

    fn plugin_within(&self, path: &Path, change: impl FnOnce(&mut Limits)) -> Arc<Plugin> {
        let mut step = self.step(path, &[]);
        change(&mut step.limits);
        self.runtime.block_on(self.plugins.plugin("bench", &step)).expect("it starts")
    }

    fn step(&self, path: &Path, config: &[(&str, &str)]) -> Step {
        let module = Bytes::from(std::fs::read(path).expect("the module is there"));
        let sha256 = self.runtime.block_on(self.plugins.install("bench", module, None)).expect("it is a plugin");
        let config: BTreeMap<_, _> = config.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let limits = Limits {
            memory: Some(128 << 20),
            fuel: Some(10_000_000_000),
            fuel_per_byte: 10_000,
            output_ratio: 16,
            batch_records: u32::try_from(BATCH).expect("500 fit"),
            batch_bytes: 1 << 20,
            sparing: true,
        };
        Step { plugin: "bench".into(), arn: None, sha256, config, limits }
    }

    fn plugin(&self, path: &Path, config: &[(&str, &str)]) -> Arc<Plugin> {
        self.runtime.block_on(self.plugins.plugin("bench", &self.step(path, config))).expect("it starts")
    }
}

fn open(dir: &Path) -> Plugins {
    Plugins::open(dir.to_owned(), Clock::real(), Arc::new(Metrics::default())).expect("the store opens")
}

fn identity() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/plugins/identity.wasm"))
}

fn masking() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/transforms/examples/mask/mask.wasm"))
}

/// Log lines; one in ten is at level debug.
fn lines(count: usize) -> (Rows, Origins) {
    let mut random = Random::new(1);
    let mut rows = Rows::default();
    for number in 0..count {
        let level = if random.next().is_multiple_of(10) { "debug" } else { "info" };
        let service = ["api", "mail", "web", "search"][(random.next() % 4) as usize];
        let line = format!(
            r#"{{"time":"2026-11-21T08:15:02.250Z","level":"{level}","service":"{service}","ip":"203.0.113.{}","user":"rosa{number}@example.com","path":"/v1/items/{number}","status":200,"trace":"{:016x}{:016x}","message":"handled in time, nothing remarkable"#,
            random.next() % 256,
            random.next(),
            random.next(),
        );
        rows.data.extend_from_slice(format!("{line:x<width$}\"}}", width = RECORD_BYTES - 2).as_bytes());
        rows.ends.push(u32::try_from(rows.data.len()).expect("a few megabytes"));
        rows.origins.push(u32::try_from(number).expect("a few thousand"));
    }
    let origins =
        Origins { arrived_ms: vec![1_000; count], positions: (0..count as u64).collect(), ..Origins::default() };
    (rows, origins)
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    level: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    service: std::borrow::Cow<'a, str>,
}

/// What the plugin does, without one.
fn mask_natively(rows: &Rows) -> (Vec<u8>, Vec<u32>, String, Vec<u32>) {
    let (mut data, mut ends) = (Vec::with_capacity(rows.data.len()), Vec::with_capacity(rows.len()));
    let (mut keys, mut key_ends) = (String::new(), Vec::new());
    for row in 0..rows.len() {
        let line: Line<'_> = serde_json::from_slice(rows.get(row)).expect("it is JSON");
        if line.level != "debug" {
            mask::append(rows.get(row), &mut data);
            keys.push_str(&line.service);
            ends.push(u32::try_from(data.len()).expect("a few megabytes"));
            key_ends.push(u32::try_from(keys.len()).expect("a few megabytes"));
        }
    }
    (data, ends, keys, key_ends)
}

fn border(criterion: &mut Criterion) {
    let rig = Rig::new();
    let mut group = criterion.benchmark_group("border");
    group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for lifetime in ["kept", "batch"] {
        let plugin = rig.plugin(identity(), &[("lifetime", lifetime)]);
        for count in [1, 100, BATCH, 20 * BATCH] {
            let (rows, origins) = lines(count);
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::new(lifetime, count), |bencher| {
                bencher.iter(|| black_box(plugin.run(&rows, &origins).expect("it runs")));
            });
        }
    }
    group.finish();
}

fn work(criterion: &mut Criterion) {
    let rig = Rig::new();
    let (rows, origins) = lines(8 * BATCH);
    let mut group = criterion.benchmark_group("mask");
    group.throughput(Throughput::Bytes(rows.data.len() as u64));
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    group.bench_function("native", |bencher| bencher.iter(|| black_box(mask_natively(&rows))));
    let plugin = rig.plugin(masking(), &[]);
    group.bench_function("rust", |bencher| bencher.iter(|| black_box(plugin.run(&rows, &origins).expect("it runs"))));
    for path in others() {
        let plugin = rig.plugin(&path, &[]);
        let name = stem(&path);
        let (_, usage) = plugin.run_measured(&rows, &origins).expect("it runs");
        said(&name, &format!("{} fuel a byte, {} bytes", usage.fuel / rows.data.len() as u64, usage.memory_bytes));
        group.bench_function(name, |bencher| bencher.iter(|| black_box(plugin.run(&rows, &origins).expect("it runs"))));
    }
    let (_, usage) = plugin.run_measured(&rows, &origins).expect("it runs");
    said("rust", &format!("{} fuel a byte, {} bytes", usage.fuel / rows.data.len() as u64, usage.memory_bytes));
    group.throughput(Throughput::Bytes(2 * rows.data.len() as u64));
    group.bench_function("rust on two threads", |bencher| {
        bencher.iter(|| {
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| black_box(plugin.run(&rows, &origins).expect("it runs")));
                }
            });
        });
    });
    group.finish();
}

fn limits(criterion: &mut Criterion) {
    let (rows, origins) = lines(BATCH);
    let mut group = criterion.benchmark_group("limits");
    group.throughput(Throughput::Bytes(rows.data.len() as u64));
    group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for path in all() {
        let module = std::fs::read(&path).expect("the module is there");
        for (way, change) in engines::WAYS {
            // Made when it is first asked for: large modules take seconds for each way.
            let mut bare = None;
            group.bench_function(BenchmarkId::new(stem(&path), way), |bencher| {
                let bare = bare.get_or_insert_with(|| engines::Bare::new(&module, change));
                bencher.iter(|| black_box(bare.run(&rows, &origins)));
            });
        }
    }
    group.finish();
}

/// What one record that fails its batch costs among 100,000.
fn poison(_: &mut Criterion) {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let rig = Rig::new();
    let (clean, origins) = lines(200 * BATCH);
    for path in all() {
        let (plugin, record) = poisoned(&rig, &path);
        let rows = replaced(&clean, 70_123, record.as_bytes());
        let run = |rows: &Rows| {
            let thread = Cpu::of_this_thread();
            let began = thread.used();
            let (outcome, usage) = plugin.run_measured(rows, &origins).expect("it runs");
            (thread.used().saturating_sub(began).as_secs_f64(), outcome.failed.len(), usage)
        };
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            without.push(run(&clean).0);
            let (seconds, failed, usage) = run(&rows);
            assert_eq!(failed, 1, "{}: {usage:?}", path.display());
            with.push(seconds);
        }
        let (without, with) = (median(without), median(with));
        let percent = (with / without - 1.0) * 100.0;
        let cost = (with - without) * 1e3;
        said(&stem(&path), &format!("one poison record in 100,000 costs {cost:.2} ms, {percent:.2} % more"));
    }
}

/// A plugin, and a record that fails it: by a trap, or where nothing makes the plugin trap by the fuel that it burns.
fn poisoned(rig: &Rig, path: &Path) -> (Arc<Plugin>, String) {
    match stem(path).as_str() {
        "mask-js" => (rig.plugin(path, &[]), r#"{"level":"info","service":{"toString":1}}"#.to_owned()),
        "mask-python" => (rig.plugin(path, &[]), r#"{"level":"info","service":"\ud800"}"#.to_owned()),
        _ => {
            let (rows, origins) = lines(BATCH);
            let (_, usage) = rig.plugin(path, &[]).run_measured(&rows, &origins).expect("it runs");
            let each = usage.fuel / rows.data.len() as u64 + 1;
            let tight = |limits: &mut Limits| (limits.fuel, limits.fuel_per_byte) = (Some(1_000_000), each);
            let record = format!(r#"{{"level":"info","message":"{}"}}"#, "1.1.1.1 ".repeat(2_000));
            (rig.plugin_within(path, tight), record)
        }
    }
}

fn replaced(rows: &Rows, row: usize, by: &[u8]) -> Rows {
    let mut with = Rows { origins: rows.origins.clone(), ..Rows::default() };
    for number in 0..rows.len() {
        with.data.extend_from_slice(if number == row { by } else { rows.get(number) });
        with.ends.push(u32::try_from(with.data.len()).expect("some megabytes"));
    }
    with
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The Rust example, and what STANDPIPE_BENCH_PLUGINS has.
fn all() -> Vec<std::path::PathBuf> {
    let mut paths = vec![masking().to_owned()];
    paths.extend(others());
    paths
}

fn others() -> Vec<std::path::PathBuf> {
    let Ok(dir) = std::env::var("STANDPIPE_BENCH_PLUGINS") else { return Vec::new() };
    let entries = std::fs::read_dir(dir).expect("STANDPIPE_BENCH_PLUGINS is a directory");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect()
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn said(name: &str, what: &str) {
    println!("{name}: {what}");
}

/// What sixteen delivery streams with plugins hold in memory.
fn resident(criterion: &mut Criterion) {
    let rig = Rig::new();
    let plugin = rig.plugin(masking(), &[]);
    let mut group = criterion.benchmark_group("resident");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
    let (rows, origins) = lines(BATCH);
    // Sixteen streams with the same module, and what that holds in memory.
    let before = resident_mib();
    let step = plugin.step().clone();
    let mut streams = Vec::new();
    for number in 0..16 {
        let plugin = rig.runtime.block_on(rig.plugins.plugin(&format!("stream-{number}"), &step)).expect("it starts");
        plugin.run(&rows, &origins).expect("it runs");
        streams.push(plugin);
    }
    let after = resident_mib();
    said("16 streams", &format!("{after:.1} MiB resident, {:.1} more than with one plugin", after - before));
    group.bench_function("16 streams in turn", |bencher| {
        bencher.iter(|| streams.iter().for_each(|plugin| _ = black_box(plugin.run(&rows, &origins).expect("it runs"))));
    });
    group.finish();
}

fn resident_mib() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|field| field.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0 / 1_048_576.0
}

fn start(criterion: &mut Criterion) {
    let rig = Rig::new();
    let mut group = criterion.benchmark_group("start from the cache");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(1));
    group.bench_function("an empty store", |bencher| bencher.iter(|| black_box(open(rig.dir.path()))));
    for path in all() {
        let step = rig.step(&path, &[]);
        let name = stem(&path);
        group.bench_function(name, |bencher| {
            bencher.iter_with_setup(
                || open(rig.dir.path()),
                |plugins| {
                    let plugin = rig.runtime.block_on(plugins.plugin("bench", &step)).expect("it starts");
                    (plugins, plugin)
                },
            );
        });
    }
    group.finish();
}

criterion_group!(benches, border, work, limits, resident, start, poison);
criterion_main!(benches);
