//! Delivery streams that read a data stream, as their users see them: what is put under keys, comes in shards, is resharded,
//! aggregated, or deleted, is in objects in the end, and the numbers add up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use md5::{Digest, Md5};
use standpipe::app::Service;
use standpipe::clock::Clock;
use standpipe::config::{Config, Source, StartAt};
use standpipe::destination::{Stores, local::LocalDirectory};
use standpipe::disk::sim::SimDisk;
use standpipe::journal::Append;
use standpipe::record::{Keys, Records};
use standpipe::stream::data::{Distribution, Mode, NewDataStream, Placed, Put, Reshard, hash_of};
use standpipe::telemetry::status::StreamStatus;

const CONFIG: &str = r#"
data_dir = "/data"
[delivery_stream.web]
buffer = { size = "BUFFER", interval = "0s" }
[delivery_stream.web.destination]
type = "local"
path = "/lake"
delimiter = "always"
"#;

struct House {
    data: SimDisk,
    lake: SimDisk,
    buffer: &'static str,
    start: StartAt,
}

impl House {
    fn new(buffer: &'static str, start: StartAt) -> House {
        House { data: SimDisk::new(3), lake: SimDisk::new(4), buffer, start }
    }

    async fn start(&self) -> Service {
        self.start_as(Source::DataStream { name: "clicks".to_owned(), start: self.start }).await
    }

    async fn start_as(&self, source: Source) -> Service {
        let text = CONFIG.replace("BUFFER", self.buffer);
        let mut config = Config::parse(&text, "feeds.toml", Path::new("/"), &|_| None).expect("a valid config");
        config.delivery_streams[0].source = source;
        let stores = Stores::fixed(Arc::new(LocalDirectory::new(Arc::new(self.lake.clone()))));
        Service::start(&config, Clock::real(), Arc::new(self.data.clone()), stores).await.expect("it starts")
    }

    /// The lines of all objects, in the order of the objects' names, each with its object.
    fn lines(&self) -> Vec<(String, String)> {
        let mut files = self.lake.files();
        files.sort();
        let text = |file: &String| String::from_utf8(self.lake.read(file).expect("it was listed")).expect("text");
        files
            .iter()
            .flat_map(|file| text(file).lines().map(|line| (file.clone(), line.to_owned())).collect::<Vec<_>>())
            .collect()
    }

    /// The same without objects, sorted.
    fn records(&self) -> Vec<String> {
        let mut records: Vec<_> = self.lines().into_iter().map(|(_, line)| line).collect();
        records.sort();
        records
    }
}

async fn make(service: &Service, shards: u32) {
    make_named(service, "clicks", shards).await;
}

async fn make_named(service: &Service, name: &str, shards: u32) {
    let new = NewDataStream {
        name: name.to_owned(),
        mode: Mode::Provisioned,
        shards: Some(shards),
        record_bytes_max: 1 << 20,
        distribution: Distribution::PartitionKey,
        warm_mibps: None,
        tags: Vec::new(),
    };
    service.data_streams.create(new).await.expect("it is new");
}

/// Puts records of the form `key=…`.
async fn put(service: &Service, records: &[String]) {
    let key = |record: &String| record.split('=').next().expect("there is a first part").to_owned();
    put_keyed(service, &records.iter().map(key).collect::<Vec<_>>(), records).await;
}

async fn put_keyed<T: AsRef<[u8]>>(service: &Service, keys: &[String], records: &[T]) {
    let column = Records::from_slices(0, keys);
    let put = Put {
        hashes: keys.iter().map(|key| hash_of(key.as_bytes())).collect(),
        records: Records {
            keys: Some(Keys { ends: column.ends, data: column.data }),
            ..Records::from_slices(Clock::real().now_ms(), records)
        },
        call: None,
    };
    let placed = service.data_streams.get("clicks").expect("it is there").put(put).await.expect("it takes puts");
    assert!(placed.iter().all(|placed| matches!(placed, Placed::Stored { .. })), "{placed:?}");
}

/// Records of ten keys: `k3=0007`.
fn keyed(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("k{}={n:04}", n % 10)).collect()
}

/// Waits until the status is as asked; the numbers add up at any time.
async fn until(service: &Service, what: impl Fn(&StreamStatus) -> bool) -> StreamStatus {
    let clock = Clock::real();
    let mut last = None;
    for _ in 0..400 {
        let status = service.status().await.streams.remove(0);
        assert_eq!(status.unaccounted(), 0, "{status:?}");
        if what(&status) {
            return status;
        }
        last = Some(status);
        clock.sleep(Duration::from_millis(25)).await;
    }
    panic!("it never came: {last:?}");
}

async fn stop(service: Service) {
    let report = service.stop(Duration::from_secs(20)).await.expect("it stops");
    assert!(report.left.is_empty(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_shards_are_delivered_through_splits_and_merges_and_restarts() {
    let house = House::new("1 KiB", StartAt::Horizon);
    let mut put_so_far = 0;
    for (life, targets) in [[2, 4], [3, 6], [3, 5]].into_iter().enumerate() {
        let service = house.start().await;
        if life == 0 {
            until(&service, |web| {
                web.state == "failing" && web.last_error.as_deref() == Some("data stream clicks does not exist")
            })
            .await;
            make(&service, 3).await;
        }
        for target in targets {
            for _ in 0..5 {
                put(&service, &keyed(put_so_far..put_so_far + 20)).await;
                put_so_far += 20;
            }
            service.data_streams.reshard("clicks", Reshard::Uniform { target }).await.expect("it can be changed");
        }
        if life == 1 {
            // A kill: nothing is flushed.
            drop(service);
            house.data.restart();
        } else {
            let done = until(&service, |web| web.delivered == put_so_far as u64).await;
            assert_eq!((done.accepted, done.backlog_records, done.damaged), (put_so_far as u64, 0, 0));
            stop(service).await;
        }
    }
    let mut expected = keyed(0..put_so_far);
    expected.sort();
    assert_eq!(house.records(), expected, "each once");
    // Within an object the records of a key stand in their order.
    let lines = house.lines();
    for (one, next) in lines.iter().zip(&lines[1..]).filter(|(one, next)| one.0 == next.0) {
        let (key, other) = (one.1.split('=').next(), next.1.split('=').next());
        assert!(key != other || one.1 < next.1, "{one:?} {next:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_is_what_comes_after_the_delivery_stream_was_made() {
    let house = House::new("1 KiB", StartAt::Latest);
    let service = house.start_as(Source::Direct).await;
    make(&service, 2).await;
    stop(service).await;
    house.data.restart();
    let service = house.start().await;
    put(&service, &keyed(0..10)).await;
    until(&service, |web| web.delivered == 10).await;
    stop(service).await;
    assert_eq!(house.records().len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_put_directly_before_the_source_was_named_is_delivered_too() {
    let house = House::new("1 MiB", StartAt::Horizon);
    let service = house.start_as(Source::Direct).await;
    make(&service, 1).await;
    let direct = Records::from_slices(Clock::real().now_ms(), &["direct=1"]);
    let web = service.catalog.get("web").expect("it is in the config").id;
    service.streams.get(web).append(Append::of(direct)).await.expect("it is stored");
    put(&service, &keyed(0..1)).await;
    drop(service);
    house.data.restart();
    let service = house.start().await;
    until(&service, |web| web.delivered == 2 && web.backlog_records == 0).await;
    stop(service).await;
    assert_eq!(house.records(), ["direct=1", "k0=0000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aggregates_are_taken_apart() {
    let house = House::new("1 MiB", StartAt::Horizon);
    let service = house.start().await;
    make(&service, 1).await;
    // Two user records, "one" and "two", and their MD5.
    let message = b"\x0a\x01a\x1a\x07\x08\x00\x1a\x03one\x1a\x07\x08\x00\x1a\x03two";
    let digest = Md5::digest(message);
    let aggregate = [&[0xf3, 0x89, 0x9a, 0xc2][..], message, &digest].concat();
    put_keyed(&service, &["a".to_owned(), "b".to_owned()], &[&aggregate[..], b"three"]).await;
    let done = until(&service, |web| web.backlog_records == 0 && web.delivered > 0).await;
    assert_eq!((done.accepted, done.delivered, done.unpacked, done.delivered_bytes), (2, 2, 1, 11));
    stop(service).await;
    assert_eq!(house.records(), ["one", "three", "two"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_stream_that_is_deleted_is_given_up_and_its_successor_delivered() {
    let house = House::new("1 KiB", StartAt::Horizon);
    let service = house.start().await;
    make(&service, 2).await;
    put(&service, &keyed(0..40)).await;
    until(&service, |web| web.delivered == 40).await;
    house.lake.fail_from(standpipe::disk::sim::Op::Create, 1, 5);
    put(&service, &keyed(40..80)).await;
    until(&service, |web| web.under_way > 0 && web.last_error.is_some()).await;
    service.data_streams.delete("clicks", true).await.expect("it can be deleted");
    until(&service, |web| web.discarded > 0).await;
    make(&service, 1).await;
    put(&service, &keyed(80..90)).await;
    // What is held in memory may still get through when the store is back: not knowing is not allowed.
    house.lake.heal();
    let done = until(&service, |web| web.delivered + web.discarded == 90 && web.backlog_records == 0).await;
    assert!(done.delivered >= 50, "{done:?}");
    let report = service.stop(Duration::from_secs(20)).await.expect("it stops");
    assert!(report.left.is_empty(), "{report}");
    let found = house.records();
    assert!(keyed(80..90).iter().all(|record| found.contains(record)));
    assert_eq!(found.len() as u64, done.delivered, "what is counted as delivered is there, and nothing else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_source_after_a_restart_is_followed_and_the_first_is_taken_up_where_it_was_left() {
    let house = House::new("1 KiB", StartAt::Horizon);
    let service = house.start().await;
    make(&service, 2).await;
    make_named(&service, "views", 1).await;
    put(&service, &keyed(0..10)).await;
    until(&service, |web| web.delivered == 10).await;
    stop(service).await;

    for source in [Source::DataStream { name: "views".to_owned(), start: StartAt::Horizon }, Source::Direct] {
        let service = house.start_as(source).await;
        let before = until(&service, |web| web.state != "starting").await;
        // It is put into, and that is none of its concern.
        put(&service, &keyed(10..15)).await;
        let now = until(&service, |web| web.state != "starting").await;
        assert_eq!((now.backlog_records, now.accepted), (0, before.accepted));
        stop(service).await;
    }
    let service = house.start().await;
    until(&service, |web| web.delivered == 20 && web.backlog_records == 0).await;
    stop(service).await;
    let mut expected = [keyed(0..15), keyed(10..15)].concat();
    expected.sort();
    assert_eq!(house.records(), expected);
}
