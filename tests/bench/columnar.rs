//! JSON to Parquet, ours beside arrow-json and ArrowWriter alone on the same rows with the same properties, on one thread:
//! `cargo bench --bench columnar`. What is compared is printed first: CPU time of both in turns, and which part of their speed is ours.

mod support;

use std::hint::black_box;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::json::ReaderBuilder;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use standpipe::config::{
    Columnar, Format, Json, Parquet, ParquetCompression, ParquetVersion, Schema, Statistics, TableSchema,
};
use standpipe::format::columnar::Converter;

use support::cpu::Cpu;
use support::{Random, median};

/// Bytes of rows.
const BYTES: usize = 16 << 20;
/// Bytes of rows that are converted at once, as the pipeline's chunks.
const CHUNK: usize = 1 << 20;
/// Rows of one of arrow-json's batches: its default is 1,024, which is slower.
const BATCH: usize = 8_192;
/// How often each is measured; the first time warms up.
const TURNS: usize = 9;

const NESTED: &[(&str, &str)] = &[
    ("id", "bigint"),
    ("at", "timestamp"),
    ("price", "double"),
    ("ok", "boolean"),
    ("name", "string"),
    ("user", "struct<id:int,name:string,tags:array<string>>"),
    ("counts", "array<bigint>"),
];

/// What a service says of a call: some 700 bytes, half of them in objects and lists.
const EVENTS: &[(&str, &str)] = &[
    ("event_id", "string"),
    ("event_time", "timestamp"),
    ("source", "string"),
    ("name", "string"),
    ("region", "string"),
    ("read_only", "boolean"),
    ("error_code", "string"),
    (
        "caller",
        "struct<type:string,account:string,arn:string,session:struct<issuer:string,mfa:boolean,created:timestamp>>",
    ),
    ("request", "struct<bucket:string,key:string,bytes:bigint,headers:map<string,string>>"),
    ("resources", "array<struct<arn:string,account:string>>"),
    ("latencies_ms", "array<double>"),
];

fn events() -> Vec<u8> {
    let mut random = Random::new(7);
    let mut out = Vec::with_capacity(BYTES + (1 << 10));
    while out.len() < BYTES {
        let (user, key) = (random.next() % 2_000, random.next());
        let error = if random.next().is_multiple_of(20) { r#""AccessDenied""# } else { "null" };
        let name = ["GetObject", "PutObject", "ListObjectsV2", "HeadObject"][(random.next() % 4) as usize];
        let latencies: Vec<_> =
            (0..=random.next() % 5).map(|_| format!("{}.{:03}", random.next() % 200, random.next() % 1_000)).collect();
        let row = format!(
            r#"{{"event_id":"{:016x}-{:08x}","event_time":"2026-11-21T{:02}:{:02}:{:02}.{:03}Z","source":"s3.example.com","name":"{name}","region":"eu-central-{}","read_only":{},"error_code":{error},"caller":{{"type":"AssumedRole","account":"{:012}","arn":"arn:aws:sts::123456789012:assumed-role/reader/user-{user}","session":{{"issuer":"arn:aws:iam::123456789012:role/reader","mfa":false,"created":"2026-11-21T0{}:00:00Z"}}}},"request":{{"bucket":"logs-{}","key":"year=2026/month=11/{key:016x}.gz","bytes":{},"headers":{{"host":"logs.example.com","user-agent":"sdk/2.{} lang/rust#1.95"}}}},"resources":[{{"arn":"arn:aws:s3:::logs-{}","account":"123456789012"}}],"latencies_ms":[{}],"extra":{{"trace":["{:08x}",{{"sampled":true}}]}}}}"#,
            random.next(),
            random.next() as u32,
            random.next() % 24,
            random.next() % 60,
            random.next() % 60,
            random.next() % 1_000,
            random.next() % 3,
            random.next().is_multiple_of(2),
            user * 7_919,
            user % 9,
            user % 40,
            random.next() % 5_000_000,
            user % 12,
            user % 40,
            latencies.join(","),
            random.next() as u32,
        );
        out.extend_from_slice(row.as_bytes());
        out.push(b'\n');
    }
    out
}

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

/// The properties that our settings ask for; zstd at 3, our default where parquet's own is 1.
fn properties(options: &Parquet) -> WriterProperties {
    let compression = match options.compression {
        ParquetCompression::None => Compression::UNCOMPRESSED,
        ParquetCompression::Snappy => Compression::SNAPPY,
        ParquetCompression::Zstd => Compression::ZSTD(ZstdLevel::try_new(3).expect("zstd has it")),
        ParquetCompression::Gzip => unreachable!("it is not compared"),
    };
    assert_eq!((options.statistics, options.version, options.level), (Statistics::Page, ParquetVersion::V1, None));
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_max_row_group_row_count(Some(options.row_group_rows as usize))
        .set_data_page_size_limit(options.page_bytes as usize)
        .set_dictionary_page_size_limit(options.page_bytes as usize)
        .set_dictionary_enabled(options.dictionary)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_compression(compression)
        .build()
}

fn theirs(schema: &SchemaRef, properties: &WriterProperties, rows: &[u8]) -> usize {
    let options = ArrowWriterOptions::new().with_properties(properties.clone()).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema.clone(), options).expect("it writes");
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

/// Its name, rows and columns.
type Set<'a> = (&'a str, Vec<u8>, &'a [(&'a str, &'a str)]);

/// Both in turns, so that whatever else the machine does meets both: MB of JSON in a second of CPU, and which part of theirs ours is.
#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn compare(what: &str, rows: &[u8], ours: &dyn Fn() -> usize, theirs: &dyn Fn() -> usize) {
    let this = Cpu::of_this_thread();
    let timed = |run: &dyn Fn() -> usize| {
        let before = this.used();
        black_box(run());
        this.used().saturating_sub(before).as_secs_f64()
    };
    let turns: Vec<_> = (0..=TURNS).map(|_| (timed(ours), timed(theirs))).skip(1).collect();
    let speed = |seconds: f64| rows.len() as f64 / seconds / 1e6;
    let (mine, other) = (median(turns.iter().map(|turn| turn.0)), median(turns.iter().map(|turn| turn.1)));
    let ratio = median(turns.iter().map(|(ours, theirs)| theirs / ours));
    println!(
        "{what}: ours {:.0} MB/s, arrow-json + ArrowWriter {:.0} MB/s: {:.0} %",
        speed(mine),
        speed(other),
        100.0 * ratio
    );
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn ratios(sets: &[Set<'_>]) {
    for (name, rows, columns) in sets {
        let mean = rows.len() / lines(rows).count();
        println!("{name}: {} rows of {mean} bytes", lines(rows).count());
        let plain = Converter::new(&settings(columns, ParquetCompression::None)).expect("settings are right");
        let schema = plain.schema().clone();
        compare(&format!("{name}, read alone"), rows, &|| read_ours(&plain, rows), &|| read_theirs(&schema, rows));
        for compression in [ParquetCompression::Snappy, ParquetCompression::Zstd] {
            let settings = settings(columns, compression);
            let Format::Parquet(options) = &settings.format else { unreachable!("it is Parquet") };
            let (converter, properties) = (Converter::new(&settings).expect("settings are right"), properties(options));
            let (ours, theirs) = (|| ours(&converter, rows), || theirs(&schema, &properties, rows));
            compare(&format!("{name}, Parquet {compression:?}"), rows, &ours, &theirs);
        }
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn speeds(criterion: &mut Criterion) {
    let (logs, columns) = weblogs();
    let columns: Vec<_> = columns.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    let sets = [("web logs", logs, columns.as_slice()), ("events", events(), EVENTS), ("nested", nested(), NESTED)];
    ratios(&sets);
    for (name, rows, columns) in sets {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(rows.len() as u64));
        group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(3));
        let plain = Converter::new(&settings(columns, ParquetCompression::None)).expect("settings are right");
        let schema = plain.schema().clone();
        assert_eq!(read_ours(&plain, &rows), read_theirs(&schema, &rows), "both read all rows");
        group.bench_function("read, ours", |bencher| bencher.iter(|| black_box(read_ours(&plain, &rows))));
        group.bench_function("read, arrow-json", |bencher| bencher.iter(|| black_box(read_theirs(&schema, &rows))));
        group.bench_function("check, ours", |bencher| bencher.iter(|| black_box(check_ours(&plain, &rows))));
        for ours_is in [ParquetCompression::Snappy, ParquetCompression::Zstd] {
            let settings = settings(columns, ours_is);
            let converter = Converter::new(&settings).expect("settings are right");
            let Format::Parquet(options) = &settings.format else { unreachable!("it is Parquet") };
            let theirs_is = properties(options);
            let sizes = (ours(&converter, &rows), theirs(&schema, &theirs_is, &rows));
            println!(
                "{name}, {ours_is:?}: {} bytes of JSON become {} with ours, {} with theirs",
                rows.len(),
                sizes.0,
                sizes.1
            );
            let id = |who: &str| BenchmarkId::new(format!("Parquet {ours_is:?}"), who);
            group.bench_function(id("ours"), |bencher| bencher.iter(|| black_box(ours(&converter, &rows))));
            group.bench_function(id("arrow"), |bencher| bencher.iter(|| black_box(theirs(&schema, &theirs_is, &rows))));
        }
        group.finish();
    }
}

criterion_group!(benches, speeds);
criterion_main!(benches);
