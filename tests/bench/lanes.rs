//! Delivery by partitions in CPU time and memory, beside the same records through the same plugin into one object after the other:
//! `cargo bench --bench lanes`. Each case is a process of its own, so that the peak of its memory is its own.
//!
//! Records are put into the journal, and counted from then until the last of them is delivered: all threads of the process.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use standpipe::app::Service;
use standpipe::clock::Clock;
use standpipe::config::Config;
use standpipe::destination::Stores;
use standpipe::disk::RealDisk;
use standpipe::journal::Append;
use standpipe::record::Records;

use support::cpu::Cpu;
use support::median;

const RECORDS: usize = 200_000;
const PUT: usize = 500;
const ROUNDS: usize = 3;
const CONFIG: &str = r#"
data_dir = "DIR/data"
[plugin.partition]
module = "MODULE"
[delivery_stream.web]
buffer = { size = "64 MiB", interval = "300s" }
[[delivery_stream.web.process]]
type = "plugin"
plugin = "partition"
[delivery_stream.web.destination]
type = "local"
path = "DIR/lake"
prefix = "PREFIX"
error_prefix = "errors/!{firehose:error-output-type}/"
delimiter = "always"
compression = "gzip"
"#;
const BY_TENANT: &str = "t/!{partitionKeyFromLambda:tenant}/!{partitionKeyFromLambda:hour}/";

/// What is delivered: how many tenants there are, whether the first has almost all, and whether the prefix tells them apart.
const CASES: [(&str, usize, bool, bool); 5] = [
    ("one object after the other", 500, false, false),
    ("1 partition", 1, false, true),
    ("50 partitions", 50, false, true),
    ("500 partitions", 500, false, true),
    ("1 hot partition and 499 cold", 500, true, true),
];

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn main() {
    if let Ok(case) = std::env::var("BENCH_LANES_CASE") {
        return run(case.parse().expect("a number"));
    }
    let this = std::env::current_exe().expect("a program");
    println!("{RECORDS} records of about 300 bytes, median of {ROUNDS}:");
    for (case, (name, ..)) in CASES.iter().enumerate() {
        let runs: Vec<(f64, f64, f64, f64)> = (0..ROUNDS).map(|_| child(&this, case)).collect();
        let of = |pick: fn(&(f64, f64, f64, f64)) -> f64| median(runs.iter().map(pick));
        let (mb, seconds, peak, objects) = (of(|run| run.0), of(|run| run.1), of(|run| run.2), of(|run| run.3));
        println!("  {name:<30} {:>7.1} MB/s of a core, peak {peak:.0} MiB, {objects} objects", mb / seconds);
    }
}

fn child(program: &Path, case: usize) -> (f64, f64, f64, f64) {
    let output = Command::new(program).env("BENCH_LANES_CASE", case.to_string()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("numbers");
    let mut numbers = text.split_whitespace().map(|number| number.parse().expect("a number"));
    let mut next = || numbers.next().expect("four numbers");
    (next(), next(), next(), next())
}

#[expect(clippy::print_stdout, reason = "the other process reads it")]
fn run(case: usize) {
    let (_, tenants, is_hot, is_partitioned) = CASES[case];
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk of the build");
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("transforms/examples/partition/partition.wasm");
    let text = CONFIG
        .replace("DIR", &dir.path().display().to_string())
        .replace("MODULE", &module.display().to_string())
        .replace("PREFIX", if is_partitioned { BY_TENANT } else { "t/!{timestamp:yyyy}/" });
    let config = Config::parse(&text, "bench.toml", dir.path(), &|_| None).expect("a valid configuration");
    let records: Vec<String> = (0..RECORDS).map(|number| record(number, tenants, is_hot)).collect();
    let mb = records.iter().map(String::len).sum::<usize>() as f64 / 1e6;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (seconds, objects) = runtime.block_on(deliver(&config, &records));
    println!("{mb} {seconds} {} {objects}", peak_mib());
}

async fn deliver(config: &Config, records: &[String]) -> (f64, u64) {
    let disk = Arc::new(RealDisk::open(&config.data_dir).expect("a directory of ours"));
    let service = Service::start(config, Clock::real(), disk, Stores::new()).await.expect("it starts");
    let entry = service.catalog.get("web").expect("it is in the configuration");
    let stream = service.streams.get(entry.id);
    let before = Cpu::Process.used();
    for put in records.chunks(PUT) {
        let records = Records::from_slices(Clock::real().now_ms(), put);
        stream.append(Append::of(records)).await.expect("the journal has room");
    }
    // Nothing more comes: what is open is cut when the service stops.
    let objects = objects_of(config);
    let report = service.stop(Duration::from_mins(10)).await.expect("it stops");
    assert!(report.left.is_empty(), "{report}");
    (Cpu::Process.used().saturating_sub(before).as_secs_f64(), objects_of(config) - objects)
}

/// So many objects there are in the lake.
fn objects_of(config: &Config) -> u64 {
    fn count(dir: &Path) -> u64 {
        let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
        entries.flatten().map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
    }
    config.data_dir.parent().map_or(0, |dir| count(&dir.join("lake")))
}

fn record(number: usize, tenants: usize, is_hot: bool) -> String {
    let tenant = if is_hot && !number.is_multiple_of(100) { 0 } else { number.wrapping_mul(7_919) / 100 % tenants };
    let mut random = support::Random::new(number as u64);
    let mut noise = String::new();
    for _ in 0..12 {
        _ = write!(noise, "{:016x}", random.next());
    }
    format!("{{\"tenant\":\"t{tenant}\",\"time\":\"2026-11-21T05:30:00Z\",\"n\":{number},\"noise\":\"{noise}\"}}")
}

/// The most memory that this process had at a time.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let fields: BTreeMap<_, _> = status.lines().filter_map(|line| line.split_once(':')).collect();
    let kib = fields.get("VmHWM").and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
