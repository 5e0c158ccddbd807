//! Delivery as its users see it: the service's own code from a put to objects in S3 (a server in memory that speaks
//! the protocol, with faults to order) and in directories.
#![allow(clippy::unwrap_used, reason = "it is a test")]

#[path = "delivery/backup.rs"]
mod backup;
#[path = "support/endpoint.rs"]
mod receiver;
mod support;
#[path = "delivery/webhook.rs"]
mod webhook;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use standpipe::app::{Service, StopReport};
use standpipe::clock::Clock;
use standpipe::config::Config;
use standpipe::destination::Stores;
use standpipe::disk::sim::SimDisk;
use standpipe::journal::Append;
use standpipe::record::Records;
use standpipe::telemetry::status::{StreamStatus, each};
use support::s3::{Fault, Op, Options, Server};

const GRACE: Duration = Duration::from_secs(20);

/// A data directory that survives restarts of the service, and what is put into it.
struct House {
    disk: SimDisk,
    lake: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        House { disk: SimDisk::new(7), lake: tempfile::tempdir().unwrap() }
    }

    /// Starts the service with these delivery streams; `LAKE` in the text is a directory that is there.
    async fn start(&self, streams: &str) -> Service {
        let text = format!("data_dir = \"/data\"\n{streams}").replace("LAKE", self.lake.path().to_str().unwrap());
        let config = Config::parse(&text, "test.toml", Path::new("/"), &|_| None).unwrap_or_else(|e| panic!("{e}"));
        Service::start(&config, Clock::real(), Arc::new(self.disk.clone()), Stores::new()).await.unwrap()
    }

    /// Every record under `folder` of the lake, by the object that holds it.
    fn objects(&self, folder: &str) -> BTreeMap<String, Vec<String>> {
        let mut objects = BTreeMap::new();
        let mut folders = vec![self.lake.path().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    let name = entry.path().display().to_string();
                    objects.insert(name, lines(&std::fs::read(entry.path()).unwrap()));
                }
            }
        }
        objects
    }
}

/// The lines of gzip members, or of plain text.
fn lines(bytes: &[u8]) -> Vec<String> {
    let mut text = String::new();
    match bytes {
        [0x1f, 0x8b, ..] => _ = flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap(),
        _ => text = String::from_utf8(bytes.to_vec()).unwrap(),
    }
    text.lines().map(str::to_owned).collect()
}

/// A delivery stream into a bucket of `server`.
fn s3_stream(name: &str, bucket: &str, server: &Server, more: &str) -> String {
    let Options { access_key, secret_key, .. } = server.options().clone();
    let endpoint = server.endpoint();
    format!(
        "[delivery_stream.{name}]\n{more}\nbuffer = {{ size = \"1 KiB\", interval = \"0s\" }}\n\
         [delivery_stream.{name}.destination]\ntype = \"s3\"\nbucket = \"{bucket}\"\nprefix = \"{name}/\"\n\
         endpoint = \"{endpoint}\"\nregion = \"us-east-1\"\npath_style = true\ncompression = \"gzip\"\n\
         delimiter = \"always\"\n\
         credentials = {{ access_key_id = \"{access_key}\", secret_access_key = \"{secret_key}\" }}\n"
    )
}

fn local_stream(name: &str, buffer: &str, more: &str) -> String {
    format!(
        "[delivery_stream.{name}]\n{more}\nbuffer = {{ {buffer} }}\n[delivery_stream.{name}.destination]\n\
         type = \"local\"\npath = \"LAKE\"\nprefix = \"{name}/\"\ndelimiter = \"always\"\n"
    )
}

async fn put(service: &Service, stream: &str, records: &[String]) {
    let entry = service.catalog.get(stream).unwrap();
    let records = Records::from_slices(Clock::real().now_ms(), records);
    let append = Append { encrypt: entry.stream.encrypted, bytes_max: entry.stream.bytes_max, ..Append::of(records) };
    service.streams.get(entry.id).append(append).await.unwrap();
}

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(100))).collect()
}

async fn status(service: &Service, stream: &str) -> StreamStatus {
    let status = service.status().await;
    let found = each(&status.streams).find(|found| found.name == stream).unwrap().clone();
    assert_eq!(found.unaccounted(), 0, "{found:?}");
    found
}

/// Waits until the stream's status is as asked; fails loudly after a while.
async fn until(service: &Service, stream: &str, what: impl Fn(&StreamStatus) -> bool) -> StreamStatus {
    let clock = Clock::real();
    for _ in 0..600 {
        let now = status(service, stream).await;
        if what(&now) {
            return now;
        }
        clock.sleep(Duration::from_millis(25)).await;
    }
    panic!("it never came: {:?}", status(service, stream).await);
}

/// All records of a bucket in the order of keys and lines; each must be there once.
fn in_bucket(server: &Server, bucket: &str) -> Vec<String> {
    let objects = server.store().objects(bucket);
    let mut found: Vec<String> = objects
        .iter()
        .filter(|(key, _)| !key.contains(".standpipe-probe"))
        .flat_map(|(_, object)| lines(&object.bytes))
        .collect();
    found.sort_by_key(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_u64());
    found
}

fn is_clean(report: &StopReport) {
    assert!(report.left.is_empty(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_store_ends_in_each_record_once() {
    let server = Server::usual().await;
    for fault in [
        Fault::Answer(500, "InternalError"),
        Fault::Answer(503, "SlowDown"),
        Fault::Answer(409, "ConditionalRequestConflict"),
        Fault::StoreThenAnswer(500, "InternalError"),
        Fault::StoreThenAnswer(412, "PreconditionFailed"),
        Fault::StoreThenClose,
        Fault::CutBody(10),
        Fault::Garble,
    ] {
        server.faults().by_chance(Some(Op::Put), fault, 0.06);
    }
    let house = House::new();
    let service = house.start(&s3_stream("web", "lake", &server, "")).await;
    for batch in 0..60 {
        put(&service, "web", &numbered(batch * 10..batch * 10 + 10)).await;
    }
    until(&service, "web", |web| web.backlog_records == 0).await;
    is_clean(&service.stop(GRACE).await.unwrap());
    assert_eq!(in_bucket(&server, "lake"), numbered(0..600));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_bucket_stops_nobody_else_and_its_records_wait() {
    let (dead, alive) = (Server::usual().await, Server::usual().await);
    dead.faults().always(Op::Put, Fault::Hang);
    let house = House::new();
    let config = s3_stream("dead", "lake", &dead, "") + &s3_stream("alive", "lake", &alive, "");
    let service = house.start(&config).await;
    for batch in 0..20 {
        put(&service, "dead", &numbered(batch * 10..batch * 10 + 10)).await;
        put(&service, "alive", &numbered(batch * 10..batch * 10 + 10)).await;
    }
    until(&service, "alive", |alive| alive.delivered == 200).await;
    let waiting = status(&service, "dead").await;
    assert_eq!((waiting.accepted, waiting.delivered, waiting.backlog_records), (200, 0, 200));
    let report = service.stop(Duration::from_millis(300)).await.unwrap();
    assert_eq!(report.left, [("dead".to_owned(), 200)], "what a stop leaves behind is said");

    dead.faults().clear();
    let service = house.start(&config).await;
    until(&service, "dead", |dead| dead.delivered == 200).await;
    is_clean(&service.stop(GRACE).await.unwrap());
    assert_eq!(in_bucket(&dead, "lake"), numbered(0..200));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_for_a_mistyped_bucket_go_to_the_one_that_is_named_after() {
    let server = Server::usual().await;
    let house = House::new();
    let service = house.start(&s3_stream("web", "lkae", &server, "")).await;
    for batch in 0..12 {
        put(&service, "web", &numbered(batch * 10..batch * 10 + 10)).await;
    }
    let failing = until(&service, "web", |web| web.last_error.is_some() && web.under_way > 2).await;
    assert!(failing.last_error.unwrap().contains("create bucket \"lkae\""), "it says what to do");
    service.stop(GRACE).await.unwrap();

    let service = house.start(&s3_stream("web", "lake", &server, "")).await;
    until(&service, "web", |web| web.delivered == 120).await;
    is_clean(&service.stop(GRACE).await.unwrap());
    assert_eq!(in_bucket(&server, "lake"), numbered(0..120));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timer_cuts_without_new_traffic_and_the_size_cuts_no_object_too_many() {
    let house = House::new();
    let config = local_stream("timer", "size = \"1 MiB\", interval = \"1s\"", "")
        + &local_stream("size", "size = \"64 KiB\", interval = \"900s\"", "");
    let service = house.start(&config).await;
    put(&service, "timer", &numbered(0..3)).await;
    let records = numbered(0..5_000);
    for batch in records.chunks(70) {
        put(&service, "size", batch).await;
    }
    until(&service, "timer", |timer| timer.delivered == 3).await;
    let bytes: usize = records.iter().map(String::len).sum();
    let by_size = (bytes / (64 << 10)) as u64;
    let cut = until(&service, "size", |size| size.objects >= by_size).await;
    assert!(cut.backlog_records > 0, "the rest waits for its trigger");
    is_clean(&service.stop(GRACE).await.unwrap());
    assert_eq!(house.objects("timer").len(), 1);
    assert_eq!(house.objects("size").len() as u64, by_size + 1);
    let mut found: Vec<_> = house.objects("size").into_values().collect();
    found.sort_by_key(|lines| serde_json::from_str::<serde_json::Value>(&lines[0]).unwrap()["n"].as_u64());
    assert_eq!(found.concat(), records, "in order, each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_fails_goes_to_the_error_output_and_the_rest_goes_on() {
    let house = House::new();
    let process = "process = [{ type = \"require-json\" }]";
    let service = house.start(&local_stream("web", "size = \"1 KiB\", interval = \"0s\"", process)).await;
    let mut records = numbered(0..50);
    records[20] = "{\"n\": 20, ".to_owned();
    put(&service, "web", &records).await;
    let done = until(&service, "web", |web| web.backlog_records == 0).await;
    assert_eq!((done.accepted, done.delivered, done.failed), (50, 49, 1));
    is_clean(&service.stop(GRACE).await.unwrap());
    let errors = house.objects("web").into_iter().filter(|(name, _)| name.contains("/web/processing-failed/"));
    let failed: Vec<String> = errors.flat_map(|(_, lines)| lines).collect();
    assert_eq!(failed.len(), 1, "one line for the one record");
    let line: serde_json::Value = serde_json::from_str(&failed[0]).unwrap();
    assert_eq!(line["errorCode"], "RequireJson.ParseError");
    assert_eq!(line["rawData"], base64_simd::STANDARD.encode_to_string(&records[20]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_setting_counts_for_what_is_not_planned_yet() {
    let house = House::new();
    let buffer = "size = \"1 MiB\", interval = \"900s\"";
    let service = house.start(&local_stream("web", buffer, "")).await;
    put(&service, "web", &numbered(0..10)).await;
    // A kill: nothing is flushed.
    drop(service);
    house.disk.restart();
    let changed =
        local_stream("web", buffer, "").replace("prefix = \"web/\"", "prefix = \"new/\"\ncompression = \"gzip\"");
    let service = house.start(&changed).await;
    put(&service, "web", &numbered(10..20)).await;
    is_clean(&service.stop(GRACE).await.unwrap());
    let objects = house.objects("new");
    let (name, found) = objects.first_key_value().unwrap();
    assert!(name.contains("web-2-") && Path::new(name).extension().is_some_and(|end| end == "gz"), "{name}");
    assert_eq!((objects.len(), found.clone()), (1, numbered(0..20)));
    assert!(house.objects("web").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_vanishes_from_the_file_drains_and_is_gone() {
    let house = House::new();
    let buffer = "size = \"1 MiB\", interval = \"900s\"";
    let service = house.start(&local_stream("old", buffer, "")).await;
    put(&service, "old", &numbered(0..10)).await;
    drop(service);
    house.disk.restart();
    let service = house.start(&local_stream("new", buffer, "")).await;
    let clock = Clock::real();
    for _ in 0..400 {
        if service.catalog.get("old").is_none() {
            break;
        }
        clock.sleep(Duration::from_millis(25)).await;
    }
    assert!(service.catalog.get("old").is_none(), "it is gone");
    assert_eq!(house.objects("old").into_values().collect::<Vec<_>>(), [numbered(0..10)], "what it held is delivered");
    is_clean(&service.stop(GRACE).await.unwrap());
    assert!(
        house.disk.files().iter().all(|file| !file.contains(".seg")),
        "its disk is freed: {:?}",
        house.disk.files()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_an_encrypted_stream_are_not_readable_on_disk() {
    let house = House::new();
    let key = "encryption_key = \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\n";
    let config = key.to_owned() + &local_stream("web", "size = \"1 MiB\", interval = \"900s\"", "encrypted = true");
    let service = house.start(&config).await;
    put(&service, "web", &["the secret word".to_owned()]).await;
    for file in house.disk.files() {
        let bytes = house.disk.read(&file).unwrap();
        assert!(!bytes.windows(15).any(|window| window == b"the secret word"), "{file}");
    }
    drop(service);
    house.disk.crash();
    let service = house.start(&config).await;
    is_clean(&service.stop(GRACE).await.unwrap());
    assert_eq!(house.objects("web").into_values().collect::<Vec<_>>(), [["the secret word".to_owned()]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_cut_by_size_though_its_time_is_over() {
    let house = House::new();
    let service = house.start(&local_stream("web", "size = \"64 MiB\", interval = \"900s\"", "")).await;
    // More than one read of the journal brings.
    let records: Vec<String> =
        (0..9_000).map(|n| format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(1_000))).collect();
    for batch in records.chunks(500) {
        put(&service, "web", batch).await;
    }
    drop(service);
    house.disk.restart();
    // By now every record is older than the interval.
    Clock::real().sleep(Duration::from_millis(1_100)).await;
    let service = house.start(&local_stream("web", "size = \"4 MiB\", interval = \"1s\"", "")).await;
    let done = until(&service, "web", |web| web.backlog_records == 0).await;
    let bytes: usize = records.iter().map(String::len).sum();
    assert_eq!(done.objects, bytes.div_ceil(4 << 20) as u64);
    is_clean(&service.stop(GRACE).await.unwrap());
    assert_eq!(house.objects("web").values().map(Vec::len).sum::<usize>(), records.len());
}
