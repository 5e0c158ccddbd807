//! Encoders by compression, level and chunk size, on web logs: `cargo bench --bench compress`.
//!
//! The sizes are printed first; each speed stands beside the bare library's on the same bytes.

mod support;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use libdeflater::{CompressionLvl, Compressor};
use standpipe::config::{Compression, Level};
use standpipe::format::{Container, Encoding};

const LEVELS: [Level; 3] = [Level::Fast, Level::Balanced, Level::Best];
const LEVELLED: [Compression; 3] = [Compression::Gzip, Compression::Zstd, Compression::Zip];
const ONE_LEVEL: [Compression; 2] = [Compression::Snappy, Compression::HadoopSnappy];
const CHUNKS: [usize; 3] = [256 << 10, 1 << 20, 4 << 20];

/// Encodes `logs` as one object and gives back its size.
fn encode(encoding: Encoding, logs: &[u8], chunk_bytes: usize) -> usize {
    let mut container = Container::new(encoding, "bench");
    let mut bytes = container.head().len();
    for raw in logs.chunks(chunk_bytes) {
        let chunk = encoding.encode_chunk(raw);
        container.add(&chunk);
        bytes += chunk.bytes.len();
    }
    bytes + container.tail().len()
}

fn encodings() -> Vec<Encoding> {
    let levelled = LEVELLED.iter().flat_map(|&compression| LEVELS.map(|level| Encoding { compression, level }));
    levelled.chain(ONE_LEVEL.map(|compression| Encoding { compression, level: Level::default() })).collect()
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn sizes(logs: &[u8]) {
    for encoding in encodings() {
        let ratios = CHUNKS.map(|chunk| encode(encoding, logs, chunk) as f64 / logs.len() as f64);
        println!("{encoding:?}: {ratios:.4?} of the size in chunks of 256 KiB, 1 MiB, 4 MiB");
    }
}

fn speeds(criterion: &mut Criterion) {
    let logs = support::weblogs(1, 8 << 20);
    sizes(&logs);
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes(logs.len() as u64));
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    for encoding in encodings() {
        let id = BenchmarkId::new(format!("{:?}", encoding.compression), format!("{:?}", encoding.level));
        group.bench_function(id, |bencher| bencher.iter(|| black_box(encode(encoding, &logs, 1 << 20))));
    }
    for level in [1, 5] {
        let mut compressor = Compressor::new(CompressionLvl::new(level).expect("libdeflate has it"));
        let mut out = vec![0; compressor.gzip_compress_bound(1 << 20)];
        group.bench_function(BenchmarkId::new("bare libdeflate", level), |bencher| {
            bencher.iter(|| {
                for raw in logs.chunks(1 << 20) {
                    black_box(compressor.gzip_compress(raw, &mut out).expect("the bound suffices"));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, speeds);
criterion_main!(benches);
