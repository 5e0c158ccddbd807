//! Partitions by the keys that a plugin gives: each record once, in the folder of its tenant and hour, over restarts, and counts that
//! add up at any moment.

use std::collections::BTreeMap;
use std::time::Duration;

use standpipe::app::Service;
use standpipe::clock::Clock;
use standpipe::record::{Keys, Records};
use standpipe::stream::data::{Put, hash_of};

use super::{House, Setting, example, named, put, status, stop, until};

const TABLES: &str = r#"
[data_stream.clicks]
shards = 3
[delivery_stream.web]
buffer = { size = "8 KiB", interval = "1s" }
SOURCE
[delivery_stream.web.destination]
type = "local"
path = "LAKE"
prefix = "lake/tenant=!{partitionKeyFromLambda:tenant}/hour=!{partitionKeyFromLambda:hour}/"
error_prefix = "errors/!{firehose:error-output-type}/"
delimiter = "always"
"#;

fn setting(source: &str) -> Setting {
    let process = BTreeMap::from([("web".to_owned(), vec![named("partition")])]);
    let tables = TABLES.replace("SOURCE", source);
    Setting { tables, process, ..Setting::default() }.plugin("partition", example("partition"), &[])
}

/// Each tenth fails; the others are of seven tenants and two hours.
fn record(number: usize) -> String {
    match number % 10 {
        9 => format!("{{\"tenant\":\"../x\",\"n\":{number}}}"),
        _ => format!(
            "{{\"tenant\":\"t{}\",\"time\":\"2026-11-21T0{}:30:00Z\",\"n\":{number},\"pad\":\"{}\"}}",
            number % 7,
            number % 2,
            "x".repeat(50)
        ),
    }
}

async fn put_by_key(service: &Service, records: &[String]) {
    let keys = Records::from_slices(0, records);
    let put = Put {
        hashes: records.iter().map(|record| hash_of(record.as_bytes())).collect(),
        records: Records {
            keys: Some(Keys { ends: keys.ends, data: keys.data }),
            ..Records::from_slices(Clock::real().now_ms(), records)
        },
        call: None,
    };
    service.data_streams.get("clicks").unwrap().put(put).await.unwrap();
}

async fn arrives(source: &str) {
    let (house, setting, by_key) = (House::new(), setting(source), !source.is_empty());
    let mut next = 0;
    for round in 0..5 {
        let service = house.start(&setting).await;
        for _ in 0..6 {
            let records: Vec<String> = (next..next + 100).map(record).collect();
            next += records.len();
            if by_key {
                put_by_key(&service, &records).await;
            } else {
                put(&service, "web", &records).await;
            }
            status(&service, "web").await;
        }
        if round % 2 == 1 {
            // Some objects are there when it ends, and some are not.
            until(&service, "web", |web| web.objects > 3).await;
        }
        service.stop(Duration::ZERO).await.unwrap();
    }
    let service = house.start(&setting).await;
    let web = until(&service, "web", |web| web.accepted == 3_000 && web.backlog_records == 0).await;
    assert_eq!((web.delivered, web.failed, web.dropped, web.damaged), (2_700, 300, 0, 0), "{web:?}");
    stop(service).await;
    let mut expected: Vec<String> = (0..3_000).filter(|number| number % 10 != 9).map(record).collect();
    let mut found = Vec::new();
    for (tenant, hour) in (0..7).flat_map(|tenant| (0..2).map(move |hour| (tenant, hour))) {
        let lines = house.lines(&format!("lake/tenant=t{tenant}/hour=2026-11-21-0{hour}"));
        let is_own = |line: &String| line.contains(&format!("\"t{tenant}\"")) && line.contains(&format!("T0{hour}:"));
        assert!(lines.iter().all(is_own), "{tenant} {hour}");
        found.extend(lines);
    }
    expected.sort();
    found.sort();
    assert!(found == expected, "{} for {}", found.len(), expected.len());
    assert_eq!(house.documents("errors").len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_directly_arrives_in_its_partition() {
    arrives("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_a_data_stream_arrives_in_its_partition() {
    arrives("source = { data_stream = \"clicks\", start = \"horizon\" }").await;
}
