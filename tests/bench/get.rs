//! What it takes to write the answer of GetRecords from records in memory: `cargo bench --bench get`. The rates are of
//! record bytes; base64 alone over the same bytes stands beside them.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use standpipe::api::kinesis::Wire;
use standpipe::api::kinesis::data::encode::Page;
use standpipe::record::{Keys, Records};
use standpipe::stream::data::{HashRange, Shard};

/// Records of one put, as a batch of the KPL or an agent has them.
const RECORDS_OF_PUT: usize = 100;
/// Bytes of the records of one answer.
const BYTES: usize = 8 << 20;

fn shard() -> Shard {
    Shard {
        index: 0,
        range: HashRange { start: 0, end: u128::MAX },
        parent: None,
        adjacent_parent: None,
        created_ms: 1_767_312_000_250,
        opened_ms: 1_767_312_000_250,
        closed: None,
    }
}

fn puts(record_bytes: usize) -> Vec<Records> {
    let data: Vec<Vec<u8>> = (0..RECORDS_OF_PUT).map(|index| vec![index as u8; record_bytes]).collect();
    let keys: Vec<String> = (0..RECORDS_OF_PUT).map(|index| format!("user-{index:08}")).collect();
    let Records { ends, data: bytes, .. } = Records::from_slices(0, &keys);
    let keys = Some(Keys { ends, data: bytes });
    let put = Records { keys, ..Records::from_slices(1_767_312_000_250, &data) };
    vec![put; BYTES / (RECORDS_OF_PUT * record_bytes)]
}

fn page(wire: Wire, shard: &Shard, puts: &[Records]) -> Vec<Bytes> {
    let mut page = Page::new(wire, shard, false, 1_000_000);
    for records in puts {
        page.add(records);
    }
    page.end(Some(("NextShardIterator", b"AAAA")), 0, &[])
}

fn encode(criterion: &mut Criterion) {
    let shard = shard();
    let mut group = criterion.benchmark_group("get_records");
    for record_bytes in [300, 1_024] {
        let puts = puts(record_bytes);
        let bytes: usize = puts.iter().map(|records| records.data.len()).sum();
        group.throughput(Throughput::Bytes(bytes as u64));
        for (name, wire) in [("json", Wire::Json), ("cbor", Wire::Cbor)] {
            group.bench_with_input(BenchmarkId::new(name, record_bytes), &puts, |bench, puts| {
                bench.iter(|| black_box(page(wire, &shard, puts)));
            });
        }
        group.bench_with_input(BenchmarkId::new("base64", record_bytes), &puts, |bench, puts| {
            bench
                .iter(|| puts.iter().map(|put| base64_simd::STANDARD.encode_to_string(&put.data).len()).sum::<usize>());
        });
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
