//! Reads of the journal in CPU time, 1 MiB at a time, of records of 300 bytes with keys: from fresh memory and from the
//! page cache, beside CRC-32C over as many bytes: `cargo bench --bench read`. The rates are printed at the end.
//!
//! What is read is summed up by its reader, who would else never touch it: fresh records are shared, not copied. All
//! happens on one thread, whose CPU time alone is counted, the kernel's part included. The rates are of the bytes of
//! records and keys.
//!
//! November 2026, two busy cores, one run: from fresh memory 10.6 GB/s, from the page cache 4.8, CRC-32C alone 14.

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use standpipe::clock::Clock;
use standpipe::disk::RealDisk;
use standpipe::journal::local::{LocalJournal, Options};
use standpipe::journal::{Append, Journal};
use standpipe::record::{Keys, Records, ShardId, StreamId};
use tokio::runtime::Runtime;

use support::Random;
use support::cpu::{Cpu, Meter};

const SHARD: ShardId = ShardId { stream: StreamId(1), index: 0 };
/// More than the caches of a processor hold.
const BYTES: usize = 64 << 20;
const RECORD_BYTES: usize = 300;
/// A usual call of PutRecords.
const RECORDS: usize = 500;
const READ_BYTES: usize = 1 << 20;

/// One call's records, each with a key of 24 bytes.
fn call(random: &mut Random) -> Records {
    let text = |bytes: usize, random: &mut Random| -> Vec<u8> {
        (0..bytes.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).take(bytes).collect()
    };
    let records: Vec<Vec<u8>> = (0..RECORDS).map(|_| text(RECORD_BYTES, random)).collect();
    let keys: Vec<String> = (0..RECORDS).map(|_| format!("user-{:019}", random.next() >> 4)).collect();
    let Records { ends, data, .. } = Records::from_slices(0, &keys);
    Records { keys: Some(Keys { ends, data }), ..Records::from_slices(1_700_000_000_000, &records) }
}

/// A journal that holds about [`BYTES`], and how many exactly.
async fn filled(dir: &std::path::Path, fresh_bytes: usize) -> (LocalJournal, u64) {
    let disk = Arc::new(RealDisk::open(dir).expect("a directory of ours"));
    let options = Options { fresh_bytes, ..Options::default() };
    let journal = LocalJournal::open_inline(disk, Clock::real(), options).await.expect("a new journal");
    let (mut random, mut bytes) = (Random::new(1), 0);
    while bytes < BYTES {
        let records = call(&mut random);
        bytes += records.bytes();
        journal.append(SHARD, Append::of(records)).await.expect("the put is taken");
    }
    (journal, bytes as u64)
}

/// Reads all there is, every byte of it; how many.
async fn read(journal: &dyn Journal) -> u64 {
    let (mut at, mut bytes) = (0, 0);
    loop {
        let batch = journal.read(SHARD, at, READ_BYTES).await.expect("the journal reads");
        if batch.span.is_empty() {
            return bytes;
        }
        for Records { data, keys, .. } in &batch.puts {
            for column in [Some(data), keys.as_ref().map(|keys| &keys.data)].into_iter().flatten() {
                black_box(crc32c::crc32c(column));
                bytes += column.len() as u64;
            }
        }
        at = batch.span.end;
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn reads(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("read");
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    let this = Cpu::of_this_thread();
    for (from, fresh_bytes) in [("fresh memory", 4 * BYTES), ("page cache", 0)] {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk of the build");
        let (journal, bytes) = runtime.block_on(filled(dir.path(), fresh_bytes));
        let meter = Meter::default();
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(from, |bencher| {
            bencher.iter_custom(|rounds| {
                let before = this.used();
                for _ in 0..rounds {
                    assert_eq!(runtime.block_on(read(&journal)), bytes, "all is read");
                }
                let cpu = this.used().saturating_sub(before);
                meter.add(rounds * bytes, cpu);
                cpu
            });
        });
        println!("reads from {from}: {:.0} MB/s of a core", meter.mb_per_second());
        runtime.block_on(journal.close());
    }
    let (bytes, meter) = (support::weblogs(1, BYTES), Meter::default());
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("crc32c alone", |bencher| {
        bencher.iter_custom(|rounds| {
            let before = this.used();
            for _ in 0..rounds {
                black_box(crc32c::crc32c(black_box(&bytes)));
            }
            let cpu = this.used().saturating_sub(before);
            meter.add(rounds * bytes.len() as u64, cpu);
            cpu
        });
    });
    println!("crc32c alone: {:.0} MB/s of a core", meter.mb_per_second());
    group.finish();
}

criterion_group!(benches, reads);
criterion_main!(benches);
