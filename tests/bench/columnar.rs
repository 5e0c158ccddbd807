//! JSON to Parquet, ours beside arrow-json and ArrowWriter alone on the same rows: `cargo bench --bench columnar`.

mod support;

use std::hint::black_box;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::json::ReaderBuilder;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use standpipe::config::{Columnar, Format, Json, Parquet, ParquetCompression, Schema, TableSchema};
use standpipe::format::columnar::Converter;

/// Bytes of rows.
const BYTES: usize = 16 << 20;
/// Bytes of rows that are converted at once, as the pipeline's chunks.
const CHUNK: usize = 1 << 20;
/// Rows of one of arrow-json's batches: its default is 1,024, which is slower.
const BATCH: usize = 8_192;

const NESTED: &[(&str, &str)] = &[
    ("id", "bigint"),
    ("at", "timestamp"),
    ("price", "double"),
    ("ok", "boolean"),
    ("name", "string"),
    ("user", "struct<id:int,name:string,tags:array<string>>"),
    ("counts", "array<bigint>"),
];

fn nested() -> Vec<u8> {
    let mut out = Vec::new();
    for number in 0u64.. {
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let row = format!(
            "{{\"id\":{},\"at\":\"2026-11-21T{:02}:{:02}:07.{:03}Z\",\"price\":{}.{},\"ok\":{},\"name\":\"item {} of \\\"many\\\"\",\
             \"user\":{{\"id\":{},\"name\":\"user-{}\",\"tags\":[\"a\",\"b{}\"]}},\"counts\":[{},{},3],\"ignored\":{{\"x\":[1,2]}}}}\n",
            mixed >> 20,
            mixed % 24,
            mixed % 60,
            mixed % 1_000,
            mixed % 10_000,
            mixed % 89 + 10,
            number % 3 == 0,
            mixed % 5_000,
            mixed % 100_000,
            mixed % 977,
            mixed % 7,
            number,
            mixed % 100,
        );
        out.extend_from_slice(row.as_bytes());
        if out.len() >= BYTES {
            break;
        }
    }
    out
}

fn weblogs() -> (Vec<u8>, Vec<(String, &'static str)>) {
    let rows = support::weblogs(1, BYTES);
    let first = rows.split(|byte| *byte == b'\n').next().expect("there is a row");
    let first: serde_json::Value = serde_json::from_slice(first).expect("rows are JSON");
    let columns = first.as_object().expect("rows are objects").iter().map(|(key, value)| {
        let kind = match value {
            serde_json::Value::Number(number) if number.is_f64() => "double",
            serde_json::Value::Number(_) => "bigint",
            serde_json::Value::Bool(_) => "boolean",
            _ => "string",
        };
        (key.clone(), kind)
    });
    let columns = columns.collect();
    (rows, columns)
}

fn settings(columns: &[(&str, &str)], compression: ParquetCompression) -> Columnar {
    let table = TableSchema::of_texts(columns.iter().copied()).expect("the table is one");
    let format = Format::Parquet(Parquet { compression, ..Parquet::default() });
    Columnar { format, schema: Schema::Table(table), json: Json::default() }
}

/// Ranges of about [`CHUNK`] bytes that end where rows do.
fn chunks(rows: &[u8]) -> Vec<&[u8]> {
    let (mut chunks, mut rest) = (Vec::new(), rows);
    while !rest.is_empty() {
        let end = rest.iter().skip(CHUNK).position(|byte| *byte == b'\n').map_or(rest.len(), |more| CHUNK + more + 1);
        let (chunk, after) = rest.split_at(end);
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

fn lines(chunk: &[u8]) -> impl Iterator<Item = &[u8]> {
    chunk.split(|byte| *byte == b'\n').filter(|row| !row.is_empty())
}

fn ours(converter: &Converter, rows: &[u8]) -> usize {
    let mut writer = converter.writer().expect("it writes");
    let mut bytes = 0;
    for chunk in chunks(rows) {
        let made = converter.convert(lines(chunk)).expect("it converts");
        assert!(made.misfits.is_empty(), "all rows fit: {:?}", made.misfits[0]);
        for batch in made.batches {
            bytes += writer.push(batch).expect("it writes").iter().map(bytes::Bytes::len).sum::<usize>();
        }
    }
    bytes + writer.finish().expect("it ends").iter().map(bytes::Bytes::len).sum::<usize>()
}

fn theirs(schema: &SchemaRef, compression: Compression, rows: &[u8]) -> usize {
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).expect("it writes");
    let reader = ReaderBuilder::new(schema.clone()).with_batch_size(BATCH).build(rows).expect("it reads");
    for batch in reader {
        writer.write(&batch.expect("all rows fit")).expect("it writes");
    }
    writer.into_inner().expect("it ends").len()
}

fn read_ours(converter: &Converter, rows: &[u8]) -> usize {
    chunks(rows).into_iter().map(|chunk| converter.convert(lines(chunk)).expect("it converts").rows).sum()
}

fn check_ours(converter: &Converter, rows: &[u8]) -> usize {
    chunks(rows).into_iter().map(|chunk| converter.check(lines(chunk)).len()).sum()
}

fn read_theirs(schema: &SchemaRef, rows: &[u8]) -> usize {
    let reader = ReaderBuilder::new(schema.clone()).with_batch_size(BATCH).build(rows).expect("it reads");
    reader.map(|batch| batch.expect("all rows fit").num_rows()).sum()
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn speeds(criterion: &mut Criterion) {
    let (logs, columns) = weblogs();
    let columns: Vec<_> = columns.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    for (name, rows, columns) in [("web logs", logs, columns.as_slice()), ("nested", nested(), NESTED)] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(rows.len() as u64));
        group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(3));
        let plain = Converter::new(&settings(columns, ParquetCompression::None)).expect("settings are right");
        let schema = plain.schema().clone();
        assert_eq!(read_ours(&plain, &rows), read_theirs(&schema, &rows), "both read all rows");
        group.bench_function("read, ours", |bencher| bencher.iter(|| black_box(read_ours(&plain, &rows))));
        group.bench_function("read, arrow-json", |bencher| bencher.iter(|| black_box(read_theirs(&schema, &rows))));
        group.bench_function("check, ours", |bencher| bencher.iter(|| black_box(check_ours(&plain, &rows))));
        // Both at zstd 3, our default; parquet's own is 1.
        let zstd = Compression::ZSTD(ZstdLevel::try_new(3).expect("zstd has it"));
        for (ours_is, theirs_is) in
            [(ParquetCompression::Snappy, Compression::SNAPPY), (ParquetCompression::Zstd, zstd)]
        {
            let converter = Converter::new(&settings(columns, ours_is)).expect("settings are right");
            let sizes = (ours(&converter, &rows), theirs(&schema, theirs_is, &rows));
            println!(
                "{name}, {ours_is:?}: {} bytes of JSON become {} with ours, {} with theirs",
                rows.len(),
                sizes.0,
                sizes.1
            );
            let id = |who: &str| BenchmarkId::new(format!("Parquet {ours_is:?}"), who);
            group.bench_function(id("ours"), |bencher| bencher.iter(|| black_box(ours(&converter, &rows))));
            group.bench_function(id("arrow"), |bencher| bencher.iter(|| black_box(theirs(&schema, theirs_is, &rows))));
        }
        group.finish();
    }
}

criterion_group!(benches, speeds);
criterion_main!(benches);
