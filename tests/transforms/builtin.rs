//! The built-in processors in a service: aggregates of records are taken apart and partitioned by a query and by the time that they
//! say of themselves, each once, over restarts, with line feeds between records and none after the last.

use std::path::Path;
use std::time::Duration;

use super::{House, Setting, put, status, stop, until};

const TABLES: &str = r#"
[delivery_stream.web]
buffer = { size = "8 KiB", interval = "1s" }
[[delivery_stream.web.process]]
type = "deaggregate"
[[delivery_stream.web.process]]
type = "extract"
query = '{tenant: .tenant, level: (.level | ascii_downcase)}'
[[delivery_stream.web.process]]
type = "append-delimiter"
[delivery_stream.web.event_time]
from = ".at"
[delivery_stream.web.destination]
type = "local"
path = "LAKE"
prefix = "lake/tenant=!{partitionKeyFromQuery:tenant}/level=!{partitionKeyFromQuery:level}/!{eventTime:'day='yyyy-MM-dd}/"
error_prefix = "errors/!{firehose:error-output-type}/"
"#;

const TENANTS: [(&str, &str); 4] = [("acme", "acme"), ("../../x", "%2E.%2F..%2Fx"), ("a/b", "a%2Fb"), (".", "%2E")];

/// What one sub-record says, and the folder that is its.
fn row(number: usize) -> (String, String) {
    let (tenant, folder) = TENANTS[number % 4];
    let (level, day) = (["INFO", "Warn"][number / 4 % 2], 20 + number / 8 % 2);
    let row =
        format!("{{\"tenant\":\"{tenant}\",\"level\":\"{level}\",\"at\":\"2025-11-{day}T12:00:00Z\",\"n\":{number}}}");
    (row, format!("lake/tenant={folder}/level={}/day=2025-11-{day}", level.to_lowercase()))
}

/// Three rows in a record; of each tenth one that has no time, so that none of the three is delivered.
fn record(number: usize) -> String {
    let rows = (number * 3..number * 3 + 3).map(|row_number| match (number % 10, row_number % 3) {
        (9, 1) => "{\"tenant\":\"t\",\"level\":\"x\"}".to_owned(),
        _ => row(row_number).0,
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// The objects below a folder.
fn objects(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| std::fs::read_to_string(entry.path()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_partitioned_by_query_and_by_their_own_time() {
    let house = House::new();
    let setting = Setting { tables: TABLES.to_owned(), ..Setting::default() };
    for round in 0..3 {
        let service = house.start(&setting).await;
        let records: Vec<String> = (round * 100..round * 100 + 100).map(record).collect();
        put(&service, "web", &records).await;
        status(&service, "web").await;
        service.stop(Duration::ZERO).await.unwrap();
    }
    let service = house.start(&setting).await;
    let web = until(&service, "web", |web| web.accepted == 300 && web.backlog_records == 0).await;
    assert_eq!((web.delivered, web.failed, web.dropped, web.damaged), (270, 30, 0, 0), "{web:?}");
    stop(service).await;
    let mut expected = std::collections::BTreeMap::<String, Vec<String>>::new();
    for number in (0..300).filter(|number| number % 10 != 9).flat_map(|number| number * 3..number * 3 + 3) {
        let (row, folder) = row(number);
        expected.entry(folder).or_default().push(row);
    }
    assert_eq!(expected.len(), 16);
    for (folder, rows) in &expected {
        let objects = objects(&house.lake.path().join(folder));
        assert!(objects.iter().all(|object| object.starts_with('{') && object.ends_with('}')), "{folder}");
        let mut found: Vec<&str> = objects.iter().flat_map(|object| object.split('\n')).collect();
        let mut rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        found.sort_unstable();
        rows.sort_unstable();
        assert_eq!(found, rows, "{folder}");
    }
    let failed = house.documents("errors/dynamic-partitioning-failed");
    assert_eq!(failed.len(), 30);
    assert!(failed.iter().all(|document| document["errorCode"] == "DynamicPartitioning.EventTimeFailed"), "{failed:?}");
    let outside: Vec<_> =
        std::fs::read_dir(house.lake.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(outside.len(), 2, "{outside:?}");
}
