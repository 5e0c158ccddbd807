//! Delivery to an HTTP endpoint as its users see it: a stream of the configuration file, records put, a receiver that answers as it is
//! told, and a folder for what could not be sent.
#![allow(clippy::unwrap_used, reason = "it is a test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use serde_json::Value;
use standpipe::app::Service;
use standpipe::clock::Clock;
use standpipe::config::Config;
use standpipe::destination::Stores;
use standpipe::disk::sim::SimDisk;
use standpipe::journal::Append;
use standpipe::record::Records;
use standpipe::telemetry::status::StreamStatus;

#[path = "support/endpoint.rs"]
mod receiver;

use receiver::{Receiver, Reply};

const GRACE: Duration = Duration::from_secs(5);
const ARN: &str = "arn:aws:firehose:us-east-1:000000000000:deliverystream/web";

struct House {
    disk: SimDisk,
    lake: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        House { disk: SimDisk::new(7), lake: tempfile::tempdir().unwrap() }
    }

    /// A service with a stream `web` to `url`.
    async fn start(&self, url: &str, request: &str, more: &str) -> Service {
        let lake = self.lake.path().display();
        let text = format!(
            "data_dir = \"/data\"\n[delivery_stream.web]\nbuffer = {{ size = \"1 MiB\", interval = \"0s\" }}\n{more}\n\
             [delivery_stream.web.destination]\ntype = \"http\"\nurl = \"{url}\"\nrequest = {{ {request} }}\n\
             error_prefix = \"errors/!{{firehose:error-output-type}}/\"\n\
             failures = {{ type = \"local\", path = \"{lake}\" }}\n"
        );
        let config = Config::parse(&text, "test.toml", Path::new("/"), &|_| None).unwrap_or_else(|e| panic!("{e}"));
        Service::start(&config, Clock::real(), Arc::new(self.disk.clone()), Stores::new()).await.unwrap()
    }

    /// The lines of the objects of one error type, by the object's name.
    fn failures(&self, kind: &str) -> BTreeMap<String, Vec<Value>> {
        let folder = self.lake.path().join("errors").join(kind);
        let objects = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let read = |entry: std::fs::DirEntry| {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            (entry.file_name().into_string().unwrap(), lines)
        };
        objects.map(read).collect()
    }

    /// What is in the backup.
    fn copies(&self) -> String {
        files(&self.lake.path().join("all")).iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

async fn put(service: &Service, records: &[&str]) {
    let entry = service.catalog.get("web").unwrap();
    let records = Records::from_slices(1_700_000_000_123, records);
    service.streams.get(entry.id).append(Append::of(records)).await.unwrap();
}

/// Waits until everything is past.
async fn drained(service: &Service) -> StreamStatus {
    let clock = Clock::real();
    for _ in 0..1_200 {
        let now = service.status().await.streams.into_iter().find(|found| found.name == "web").unwrap();
        assert_eq!(now.unaccounted(), 0, "{now:?}");
        if now.accepted > 0 && now.backlog_records == 0 && now.under_way == 0 {
            return now;
        }
        clock.sleep(Duration::from_millis(25)).await;
    }
    panic!("it never came: {:?}", service.status().await.streams);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_arrive_in_order_with_all_that_firehose_says() {
    let receiver = Receiver::start(|_, _| Reply::Taken).await;
    let house = House::new();
    let request = "access_key = \"hush\", gzip = true, attributes = { env = \"prod\" }";
    let service = house.start(&receiver.url(), request, "").await;
    put(&service, &["one", "", "{\"three\":3}\n"]).await;
    let status = drained(&service).await;
    assert_eq!((status.delivered, status.failed, status.objects), (3, 0, 0), "{status:?}");
    assert_eq!(status.delivered_bytes, 15);
    let [got] = receiver.requests().try_into().unwrap_or_else(|all| panic!("{all:?}"));
    assert_eq!(got.records(), ["one", "", "{\"three\":3}\n"]);
    assert_eq!(got.id().len(), 36);
    for (name, value) in [
        ("x-amz-firehose-protocol-version", "1.0"),
        ("x-amz-firehose-source-arn", ARN),
        ("x-amz-firehose-access-key", "hush"),
        ("x-amz-firehose-common-attributes", "{\"commonAttributes\":{\"env\":\"prod\"}}"),
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    assert!(house.failures("http-endpoint-failed").is_empty());
    service.stop(GRACE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_repeated_as_it_was_until_it_is_taken() {
    let receiver =
        Receiver::start(|_, before| [Reply::Status(503), Reply::Hangup, Reply::Taken][before.min(2)].clone());
    let receiver = receiver.await;
    let house = House::new();
    let service = house.start(&receiver.url(), "", "").await;
    put(&service, &["a", "b"]).await;
    let status = drained(&service).await;
    assert_eq!((status.delivered, status.failed), (2, 0), "{status:?}");
    let got = receiver.requests();
    assert_eq!(got.len(), 3);
    assert!(got.iter().all(|one| one.id() == got[0].id() && one.bytes == got[0].bytes));
    service.stop(GRACE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_data_is_in_the_backup_and_each_attempt_is_counted() {
    let receiver = Receiver::start(|_, before| [Reply::Status(503), Reply::Taken][before.min(1)].clone()).await;
    let house = House::new();
    let more = format!(
        "[delivery_stream.web.backup]\nbuffer = {{ size = \"1 MiB\", interval = \"0s\" }}\n\
         destination = {{ type = \"local\", path = \"{}\", prefix = \"all/\", delimiter = \"always\" }}\n",
        house.lake.path().display()
    );
    let service = house.start(&receiver.url(), "", &more).await;
    put(&service, &["one", "three"]).await;
    let status = drained(&service).await;
    assert_eq!((status.delivered, status.failed), (2, 0), "{status:?}");
    let counted = service.metrics.stream("web");
    let counts = [&counted.endpoint_success, &counted.endpoint_records, &counted.endpoint_bytes].map(Counter::get);
    assert_eq!(counts, [1, 4, 16], "two attempts at two records, of which one request was taken");
    // What is buffered for the backup is put at the end.
    service.stop(GRACE).await.unwrap();
    assert_eq!(house.copies(), "one\nthree\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_in_time_goes_to_the_store_with_its_reason() {
    let receiver =
        Receiver::start(
            |got, _| {
                if got.records().contains(&"good".to_owned()) { Reply::Taken } else { Reply::Status(500) }
            },
        )
        .await;
    let house = House::new();
    let service = house.start(&receiver.url(), "retry = \"1s\"", "").await;
    put(&service, &["bad", "worse"]).await;
    drained(&service).await;
    put(&service, &["good"]).await;
    let status = drained(&service).await;
    assert_eq!((status.delivered, status.failed, status.objects), (1, 2, 1), "{status:?}");
    let failures = house.failures("http-endpoint-failed");
    let [(name, lines)] = failures.into_iter().collect::<Vec<_>>().try_into().unwrap();
    let id = receiver.requests()[0].id().to_owned();
    assert!(name.ends_with(&id), "{name}");
    assert_eq!(lines.len(), 2);
    let line = lines[0].as_object().unwrap();
    let names: Vec<_> = line.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "attemptsMade",
            "arrivalTimestamp",
            "errorCode",
            "errorMessage",
            "attemptEndingTimestamp",
            "rawData",
            "subsequenceNumber",
            "dataId"
        ]
    );
    let attempts = receiver.requests().iter().filter(|got| got.id() == id).count();
    assert!(attempts >= 2 && line["attemptsMade"] == attempts, "{attempts} {line:?}");
    assert_eq!((&line["rawData"], &line["arrivalTimestamp"]), (&"YmFk".into(), &1_700_000_000_123_u64.into()));
    assert_eq!(line["errorCode"], "HttpEndpoint.DestinationException");
    assert!(line["errorMessage"].as_str().unwrap().contains("not now"), "{line:?}");
    assert_eq!(line["dataId"], format!("{id}.0"));
    service.stop(GRACE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_413_is_final_and_the_records_are_kept() {
    let receiver = Receiver::start(|_, _| Reply::Status(413)).await;
    let house = House::new();
    let service = house.start(&receiver.url(), "", "").await;
    put(&service, &["large"]).await;
    let status = drained(&service).await;
    assert_eq!((status.delivered, status.failed), (0, 1), "{status:?}");
    assert_eq!(receiver.requests().len(), 1);
    let failures = house.failures("http-endpoint-failed");
    assert_eq!(failures.values().next().unwrap()[0]["attemptsMade"], 1);
    service.stop(GRACE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_process_sends_the_same_request_again() {
    let receiver = Receiver::start(|_, before| if before < 2 { Reply::Status(429) } else { Reply::Taken }).await;
    let house = House::new();
    let service = house.start(&receiver.url(), "", "").await;
    put(&service, &["a", "b"]).await;
    while receiver.requests().is_empty() {
        Clock::real().sleep(Duration::from_millis(10)).await;
    }
    service.stop(GRACE).await.unwrap();
    let sent = receiver.requests().len();
    let service = house.start(&receiver.url(), "", "").await;
    let status = drained(&service).await;
    assert_eq!((status.delivered, status.failed), (2, 0), "{status:?}");
    let got = receiver.requests();
    assert!(got.len() > sent && sent >= 1);
    assert!(got.iter().all(|one| one.id() == got[0].id() && one.bytes == got[0].bytes));
    service.stop(GRACE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_processor_refuses_is_not_sent() {
    let receiver = Receiver::start(|_, _| Reply::Taken).await;
    let house = House::new();
    let service = house.start(&receiver.url(), "", "process = [{ type = \"require-json\" }]").await;
    put(&service, &["{\"a\":1}", "{", "2"]).await;
    let status = drained(&service).await;
    assert_eq!((status.delivered, status.failed, status.objects), (2, 1, 1), "{status:?}");
    assert_eq!(receiver.requests()[0].records(), ["{\"a\":1}", "2"]);
    assert_eq!(house.failures("processing-failed").values().next().unwrap()[0]["rawData"], "ew==");
    service.stop(GRACE).await.unwrap();
}
