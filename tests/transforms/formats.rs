//! Parquet and ORC in a service: each record is a row once, over restarts, in its partition; what does not fit is in the error
//! output alone; and what is read back is what came.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{House, Setting, put, status, stop, until};

const TABLE: &str = r#"
[delivery_stream.web]
buffer = { size = "8 KiB", interval = "1s" }
PROCESS
[delivery_stream.web.destination]
type = "local"
path = "LAKE"
prefix = "lake/PARTITION"
error_prefix = "errors/!{firehose:error-output-type}/"
FORMAT
"#;
const PARQUET: &str = r#"
[delivery_stream.web.destination.format]
parquet = { compression = "snappy" }
schema = { columns = { n = "bigint", tenant = "string", weight = "double" } }
"#;
const EXTRACT: &str = "[[delivery_stream.web.process]]\ntype = \"extract\"\nquery = '{tenant: .tenant}'\n";

fn setting(process: &str, partition: &str, format: &str) -> Setting {
    let tables = TABLE.replace("PROCESS", process).replace("PARTITION", partition).replace("FORMAT", format);
    Setting { tables, ..Setting::default() }
}

/// Each tenth has a number that is none.
fn record(number: usize) -> String {
    let n = if number % 10 == 9 { "\"none\"".to_owned() } else { number.to_string() };
    format!("{{\"n\": {n},\n \"tenant\": \"t{}\", \"weight\": {}.5, \"unknown\": [1]}}", number % 3, number)
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            files.extend(self::files(&entry.path()));
        } else if !entry.file_name().to_string_lossy().starts_with('.') {
            files.push(entry.path());
        }
    }
    files
}

fn parquet(path: &Path) -> Vec<RecordBatch> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    builder.build().unwrap().map(Result::unwrap).collect()
}

fn orc(path: &Path) -> Vec<RecordBatch> {
    let builder = orc_rust::ArrowReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    builder.build().map(Result::unwrap).collect()
}

/// The numbers of the records in a batch, each with its tenant; the weight must be that of the number.
fn rows(batch: &RecordBatch) -> Vec<(usize, String)> {
    let column = |name| batch.column_by_name(name).unwrap().clone();
    let (n, tenant, weight) = (column("n"), column("tenant"), column("weight"));
    let (n, weight) = (n.as_primitive::<Int64Type>(), weight.as_primitive::<Float64Type>());
    let row = |row: usize| {
        assert!((weight.value(row) - n.value(row) as f64 - 0.5).abs() < 1e-9);
        (usize::try_from(n.value(row)).unwrap(), tenant.as_string::<i32>().value(row).to_owned())
    };
    (0..n.len()).map(row).collect()
}

/// Puts 300 records in three lives, each of which ends in the middle, and waits until all are delivered.
async fn live(house: &House, setting: &Setting) {
    for round in 0..3 {
        let service = house.start(setting).await;
        for batch in 0..5 {
            let first = round * 100 + batch * 20;
            let records: Vec<String> = (first..first + 20).map(record).collect();
            put(&service, "web", &records).await;
        }
        status(&service, "web").await;
        service.stop(Duration::ZERO).await.unwrap();
    }
    let service = house.start(setting).await;
    let web = until(&service, "web", |web| web.accepted == 300 && web.backlog_records == 0).await;
    assert_eq!((web.delivered, web.failed, web.dropped, web.damaged), (270, 30, 0, 0), "{web:?}");
    let all = files(&house.lake.path().join("lake"));
    let bytes: u64 = all.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert_eq!(web.object_bytes, bytes, "what is counted is what is there");
    stop(service).await;
}

fn all_once(found: impl IntoIterator<Item = (usize, String)>) {
    let mut counts = BTreeMap::<(usize, String), usize>::new();
    found.into_iter().for_each(|row| *counts.entry(row).or_default() += 1);
    let wanted = (0..300).filter(|n| n % 10 != 9).map(|n| ((n, format!("t{}", n % 3)), 1));
    assert_eq!(counts, wanted.collect());
}

fn failed(house: &House) {
    let failed = house.documents("errors/format-conversion-failed");
    assert_eq!(failed.len(), 30);
    for document in failed {
        assert_eq!(document["lastErrorCode"], "DataFormatConversion.MalformedData", "{document}");
        assert!(document["lastErrorMessage"].as_str().unwrap().contains("\"none\""), "{document}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_become_parquet() {
    let house = House::new();
    live(&house, &setting("", "", PARQUET)).await;
    let files = files(&house.lake.path().join("lake"));
    assert!(files.iter().all(|file| file.extension().is_some_and(|extension| extension == "parquet")), "{files:?}");
    all_once(files.iter().flat_map(|file| parquet(file)).flat_map(|batch| rows(&batch)));
    failed(&house);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_partition_has_parquet_of_its_own() {
    let house = House::new();
    live(&house, &setting(EXTRACT, "tenant=!{partitionKeyFromQuery:tenant}/", PARQUET)).await;
    let mut found = Vec::new();
    for tenant in ["t0", "t1", "t2"] {
        for file in files(&house.lake.path().join(format!("lake/tenant={tenant}"))) {
            let rows: Vec<_> = parquet(&file).iter().flat_map(rows).collect();
            assert!(rows.iter().all(|(_, of)| of == tenant), "{rows:?}");
            found.extend(rows);
        }
    }
    all_once(found);
    failed(&house);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_become_orc() {
    let house = House::new();
    live(&house, &setting("", "", &PARQUET.replace("parquet = { compression = \"snappy\" }", "orc = {}"))).await;
    let files = files(&house.lake.path().join("lake"));
    assert!(files.iter().all(|file| file.extension().is_some_and(|extension| extension == "orc")), "{files:?}");
    all_once(files.iter().flat_map(|file| orc(file)).flat_map(|batch| rows(&batch)));
    failed(&house);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_found_in_the_rows_of_each_object() {
    let house = House::new();
    let format = "[delivery_stream.web.destination.format]\nparquet = {}\nschema = { infer = {} }\n";
    let setting = setting("", "", format);
    let service = house.start(&setting).await;
    let records = ["{\"a\": 1}", "{\"a\": 2.5, \"b\": {\"c\": true}}", "no json", "{\"b\": null, \"d\": \"x\"}"];
    put(&service, "web", &records).await;
    let web = until(&service, "web", |web| web.accepted == 4 && web.backlog_records == 0).await;
    assert_eq!((web.delivered, web.failed), (3, 1), "{web:?}");
    stop(service).await;
    let files = files(&house.lake.path().join("lake"));
    let batches: Vec<_> = files.iter().flat_map(|file| parquet(file)).collect();
    assert_eq!(batches.len(), 1);
    let names: Vec<_> = batches[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["a", "b", "d"]);
    let a = batches[0].column(0).as_primitive::<Float64Type>();
    assert_eq!((a.value(0), a.value(1), a.is_null(2)), (1.0, 2.5, true));
    let failed = house.documents("errors/format-conversion-failed");
    assert_eq!(failed[0]["lastErrorCode"], "DataFormatConversion.ParseError", "{failed:?}");
}
