//! Error output: an object for each type of error, with the fields of that type, each record in one of them once, also where an
//! attempt broke off between two of them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use standpipe::destination::local::LocalDirectory;
use standpipe::destination::{Body, Created, Destination, ObjectFacts, Stores};
use standpipe::disk::RealDisk;
use standpipe::error::{Error, Result};

use super::restarts::Down;
use super::{House, Setting, put, status, stop, until};

const TABLE: &str = r#"
[delivery_stream.web]
buffer = { size = "1 MiB", interval = "1s" }
[[delivery_stream.web.process]]
type = "require-json"
EXTRACT
[delivery_stream.web.destination]
type = "local"
path = "LAKE"
prefix = "lake/PARTITION"
error_prefix = "errors/TYPE"
[delivery_stream.web.destination.format]
parquet = {}
schema = { columns = { n = "bigint", tenant = "string" } }
"#;
const EXTRACT: &str = "[[delivery_stream.web.process]]\ntype = \"extract\"\nquery = '{tenant: .tenant}'\n";
const TYPES: [&str; 3] = ["processing-failed", "dynamic-partitioning-failed", "format-conversion-failed"];

fn setting(by_tenant: bool, types: &str) -> Setting {
    let (extract, partition) = if by_tenant { (EXTRACT, "!{partitionKeyFromQuery:tenant}/") } else { ("", "") };
    let tables = TABLE.replace("EXTRACT", extract).replace("PARTITION", partition).replace("TYPE", types);
    Setting { tables, ..Setting::default() }
}

/// One of each type, and one that is delivered.
fn records(round: usize) -> [String; 4] {
    [
        format!("{{\"n\": {round}, \"tenant\": \"a\"}}"),
        format!("no json {round}"),
        format!("{{\"n\": {round}, \"tenant\": null}}"),
        format!("{{\"n\": \"many {round}\", \"tenant\": \"a\"}}"),
    ]
}

/// The records of each folder of the error output, and how many there are; of each the members that its type has.
fn failed(house: &House) -> BTreeMap<&'static str, Vec<String>> {
    let raw = |document: &Value, of: &str| {
        let names: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = if of == "format-conversion-failed" {
            "attemptsMade arrivalTimestamp lastErrorCode lastErrorMessage attemptEndingTimestamp rawData sequenceNumber subSequenceNumber"
        } else {
            "rawData errorCode errorMessage attemptsMade arrivalTimestamp attemptEndingTimestamp"
        };
        let mut expected: Vec<&str> = expected.split(' ').collect();
        let mut names = names;
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected, "{of}");
        let raw = base64_simd::STANDARD.decode_to_vec(document["rawData"].as_str().unwrap()).unwrap();
        String::from_utf8(raw).unwrap()
    };
    let of = |of: &'static str| {
        let mut all: Vec<_> =
            house.documents(&format!("errors/{of}")).iter().map(|document| raw(document, of)).collect();
        all.sort_unstable();
        (of, all)
    };
    TYPES.into_iter().map(of).collect()
}

/// Fails once for each word, at the first key that has it.
struct Breaks {
    inner: LocalDirectory,
    words: Vec<(&'static str, AtomicBool)>,
}

#[async_trait]
impl Destination for Breaks {
    async fn create(&self, key: &str, body: Body, facts: ObjectFacts) -> Result<Created> {
        let mut breaks = self.words.iter().filter(|(word, _)| key.contains(word));
        if breaks.any(|(_, broke)| !broke.swap(true, Ordering::SeqCst)) {
            return Err(Error::unavailable("down"));
        }
        self.inner.create(key, body, facts).await
    }

    async fn find(&self, key: &str) -> Result<Option<u64>> {
        self.inner.find(key).await
    }

    async fn probe(&self) -> Result<String> {
        self.inner.probe().await
    }
}

fn breaking(house: &House, words: &[&'static str]) -> Stores {
    let inner = LocalDirectory::new(Arc::new(RealDisk::open(house.lake.path()).unwrap()));
    let words = words.iter().map(|word| (*word, AtomicBool::new(false))).collect();
    Stores::fixed(Arc::new(Breaks { inner, words }))
}

async fn each_type_has_its_object(by_tenant: bool) {
    let (house, setting) = (House::new(), setting(by_tenant, "!{firehose:error-output-type}/"));
    let service = house.start_into(&setting, breaking(&house, &TYPES)).await;
    put(&service, "web", &records(0)).await;
    // Attempts that break off before each of the objects, and what is left of them in another process.
    until(&service, "web", |web| web.last_error.is_some() || web.backlog_records == 0).await;
    put(&service, "web", &records(1)).await;
    service.stop(Duration::ZERO).await.unwrap();
    let service = house.start_into(&setting, breaking(&house, &TYPES[2..])).await;
    put(&service, "web", &records(2)).await;
    let web = until(&service, "web", |web| web.accepted == 12 && web.backlog_records == 0).await;
    let expected = if by_tenant { (3, 9) } else { (6, 6) };
    assert_eq!((web.delivered, web.failed), expected, "{web:?}");
    let files =
        files(house.lake.path().join("errors")).len() as u64 + files(house.lake.path().join("lake")).len() as u64;
    assert_eq!(web.objects, files, "what is counted is what is there");
    assert!(web.last_object.as_deref().is_some_and(|key| key.starts_with("lake/")), "{web:?}");
    stop(service).await;
    let of = |at: usize| (0..3).map(|round| records(round)[at].clone()).collect::<Vec<_>>();
    let partitions = if by_tenant { of(2) } else { Vec::new() };
    assert_eq!(failed(&house), BTreeMap::from([(TYPES[0], of(1)), (TYPES[1], partitions), (TYPES[2], of(3))]));
}

fn files(folder: PathBuf) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.retain(|file| !file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn each_type_of_error_has_an_object_of_its_own() {
    each_type_has_its_object(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_type_of_error_of_a_partitioned_stream_has_an_object_of_its_own() {
    each_type_has_its_object(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_that_is_the_same_for_all_types_has_all_objects() {
    let (house, setting) = (House::new(), setting(false, ""));
    let service = house.start(&setting).await;
    put(&service, "web", &records(0)).await;
    until(&service, "web", |web| web.accepted == 4 && web.backlog_records == 0).await;
    stop(service).await;
    assert_eq!(files(house.lake.path().join("errors")).len(), 2);
    assert_eq!(house.documents("errors").len(), 2);
}

/// Rewrites every line of the ledger as an earlier version would have written it.
fn make_ledger_old(house: &House) -> usize {
    let mut changed = 0;
    for path in files(house.data.path().join("ledger")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut out = String::new();
        for line in text.lines() {
            let mut entry: Value = serde_json::from_str(&line[9..]).unwrap();
            let keys = entry.get_mut("plan").and_then(|plan| plan.as_object_mut()?.remove("error_keys"));
            changed += usize::from(keys.is_some());
            // An early `synced` is never wrong; offsets have changed.
            entry["synced"] = 0.into();
            let json = entry.to_string();
            writeln!(out, "{:08x} {json}", crc32c::crc32c(json.as_bytes())).unwrap();
        }
        std::fs::write(path, out).unwrap();
    }
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_planned_is_carried_out_as_it_would_have_been() {
    let (house, setting) = (House::new(), setting(false, "!{firehose:error-output-type}/"));
    let service = house.start_into(&setting, Stores::fixed(Arc::new(Down::default()))).await;
    put(&service, "web", &records(0)).await;
    until(&service, "web", |web| web.under_way == 1 && web.last_error.is_some()).await;
    service.stop(Duration::ZERO).await.unwrap();
    assert_eq!(make_ledger_old(&house), 1);
    let service = house.start(&setting).await;
    until(&service, "web", |web| web.accepted == 4 && web.backlog_records == 0).await;
    assert_eq!(status(&service, "web").await.failed, 2);
    stop(service).await;
    let documents = house.documents("errors/processing-failed");
    let mut codes: Vec<_> = documents.iter().map(|document| document["errorCode"].as_str().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["DataFormatConversion.MalformedData", "RequireJson.ParseError"]);
    assert!(house.documents("errors/format-conversion-failed").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decompressed_is_apart_as_it_came() {
    let house = House::new();
    let tables = TABLE.split("[delivery_stream.web.destination.format]").next().unwrap();
    let tables = tables.replace("require-json", "decompress").replace("EXTRACT", "");
    let tables = tables.replace("PARTITION", "").replace("TYPE", "!{firehose:error-output-type}/");
    let service = house.start(&Setting { tables, ..Setting::default() }).await;
    put(&service, "web", &["no gzip"]).await;
    until(&service, "web", |web| web.accepted == 1 && web.backlog_records == 0).await;
    let web = status(&service, "web").await;
    assert_eq!((web.failed, web.objects, web.last_object), (1, 1, None), "error output is no delivered object");
    stop(service).await;
    let documents = house.documents("errors/decompression-failed");
    let document = documents[0].as_object().unwrap();
    assert_eq!((&document["errorCode"], &document["attemptsMade"]), (&"Decompression failed.".into(), &1.into()));
    assert!(document["rawData"] == "bm8gZ3ppcA==" && !document.contains_key("lambdaARN"), "{document:?}");
}
