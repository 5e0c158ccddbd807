//! Partition keys: what two plain paths cost a row beside the same asked of jq, beside an expression that needs jq, and with the
//! event time: `cargo bench --bench keys`.
//!
//! Records are some 300 bytes long, chunks about 1 MiB, as delivery has them.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use standpipe::config::{self, EventTime};
use standpipe::transform::builtin::Builtin;
use standpipe::transform::{Origins, Rows};

const RECORDS: usize = 3_500;
const ARRIVED_MS: u64 = 1_795_255_200_000;

fn record(number: usize) -> String {
    format!(
        "{{\"id\":{number},\"time\":\"2026-11-21T09:{:02}:{:02}Z\",\"tenant\":{{\"name\":\"tenant-{}\",\"plan\":\"free\"}},\
         \"request\":{{\"method\":\"GET\",\"path\":\"/a/b/{number}\",\"agent\":\"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101\"}},\
         \"tags\":[\"a\",\"b\",\"c\"],\"level\":\"info\",\"message\":\"something of some length has happened to somebody, once again\"}}",
        number / 60 % 60,
        number % 60,
        number % 100
    )
}

fn chunk() -> (Rows, Origins) {
    let mut rows = Rows::default();
    for number in 0..RECORDS {
        rows.data.extend_from_slice(record(number).as_bytes());
        rows.ends.push(rows.data.len() as u32);
        rows.origins.push(number as u32);
    }
    (rows, Origins { arrived_ms: vec![ARRIVED_MS; RECORDS], ..Origins::default() })
}

fn keys(criterion: &mut Criterion) {
    let (rows, origins) = chunk();
    let mut group = criterion.benchmark_group("keys");
    group.throughput(Throughput::Bytes(rows.data.len() as u64));
    let time = EventTime { prints: vec!["yyyy/MM/dd/HH".to_owned()], ..EventTime::new(".time") };
    let cases = [
        ("two plain paths", Some("{t:.tenant.name,l:.level}"), None),
        ("two plain paths and event time", Some("{t:.tenant.name,l:.level}"), Some(time.clone())),
        ("event time", None, Some(time)),
        ("the same paths by jq", Some("{t:(.tenant.name),l:(.level)}"), None),
        ("hour by jq", Some("{h:.time|strptime(\"%Y-%m-%dT%H:%M:%SZ\")|mktime|strftime(\"%H\")}"), None),
    ];
    for (name, query, event_time) in cases {
        let settings = config::Builtin::Keys { query: query.map(str::to_owned), event_time };
        let builtin = Builtin::new(&settings).expect("the settings are right");
        assert!(builtin.run(&rows, &origins, usize::MAX).0.failed.is_empty(), "{name}");
        group.bench_function(name, |bencher| bencher.iter(|| black_box(builtin.run(&rows, &origins, usize::MAX))));
    }
    // What checking the documents costs at the least, and copying the rows.
    group.bench_function("serde_json alone", |bencher| {
        bencher.iter(|| {
            for row in 0..rows.len() {
                let checked = serde_json::from_slice::<serde::de::IgnoredAny>(rows.get(row));
                black_box(checked.expect("it is JSON"));
            }
            black_box(rows.clone())
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(5)).sample_size(20);
    targets = keys
}
criterion_main!(benches);
