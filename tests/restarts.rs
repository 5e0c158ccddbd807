//! Pipelines that are started again while the service goes on: what they had begun neither runs on beside them nor is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use standpipe::app::Service;
use standpipe::clock::Clock;
use standpipe::config::Config;
use standpipe::destination::{Body, Created, Destination, ObjectFacts, Stores};
use standpipe::disk::sim::{Op, SimDisk};
use standpipe::error::{Error, Result};
use standpipe::journal::Append;
use standpipe::record::Records;
use standpipe::stream::data::{Distribution, Mode, NewDataStream};
use standpipe::telemetry::status::Status;

const CONFIG: &str = r#"
data_dir = "/nowhere"
[delivery_stream.web]
[delivery_stream.web.buffer]
size = "1 KiB"
interval = "0s"
[delivery_stream.web.destination]
type = "local"
path = "/lake"
"#;

/// What a store does with an object.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    Refuse,
    Hang,
    /// Panics the first time, then takes what comes.
    PanicOnce,
}

struct Store {
    does: Does,
    begun: AtomicUsize,
    /// Creations under way.
    alive: Arc<AtomicUsize>,
    objects: AtomicUsize,
}

impl Store {
    fn that(does: Does) -> Arc<Store> {
        Arc::new(Store { does, begun: 0.into(), alive: Arc::default(), objects: 0.into() })
    }
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Destination for Store {
    async fn create(&self, _: &str, mut body: Body, _: ObjectFacts) -> Result<Created> {
        self.alive.fetch_add(1, Ordering::SeqCst);
        let _alive = Alive(self.alive.clone());
        let times = self.begun.fetch_add(1, Ordering::SeqCst);
        match self.does {
            Does::Refuse => return Err(Error::unavailable("no")),
            Does::Hang => std::future::pending().await,
            Does::PanicOnce => assert!(times > 0, "the test wants a panic"),
        }
        while let Some(chunk) = body.next().await {
            chunk?;
        }
        self.objects.fetch_add(1, Ordering::SeqCst);
        Ok(Created::Created)
    }

    async fn probe(&self) -> Result<String> {
        Ok("a store of a test".to_owned())
    }
}

async fn start(config: &str, disk: &SimDisk, store: &Arc<Store>) -> Service {
    let config = Config::parse(config, "restarts.toml", std::path::Path::new("/"), &|_| None).expect("a valid config");
    let stores = Stores::fixed(store.clone());
    Service::start(&config, Clock::real(), Arc::new(disk.clone()), stores).await.expect("it starts")
}

async fn put(service: &Service, text: &str) {
    let stream = service.streams.get(service.catalog.get("web").expect("it is in the config").id);
    let records = Records::from_slices(Clock::real().now_ms(), &[text]);
    stream.append(Append::of(records)).await.expect("it is stored");
}

/// Waits until something is so; a test that waits in vain fails.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let clock = Clock::real();
    for _ in 0..1_000 {
        if is_so() {
            return;
        }
        clock.sleep(Duration::from_millis(20)).await;
    }
    panic!("not so: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_while_a_stream_drains_discards_nothing() {
    let disk = SimDisk::new(1);
    let service = start(CONFIG, &disk, &Store::that(Does::Refuse)).await;
    put(&service, "acknowledged").await;
    assert_eq!(service.stop(Duration::from_secs(5)).await.expect("it stops").left, [("web".to_owned(), 1)]);
    disk.restart();
    // It vanished from the file, so it drains.
    let store = Store::that(Does::PanicOnce);
    let service = start("data_dir = \"/nowhere\"\n", &disk, &store).await;
    until("the stream is gone", || service.catalog.get("web").is_none()).await;
    assert_eq!(store.objects.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deliveries_of_a_pipeline_that_failed_end_with_it() {
    let disk = SimDisk::new(1);
    let store = Store::that(Does::Hang);
    let service = start(CONFIG, &disk, &store).await;
    put(&service, "one").await;
    until("the first object is under way", || store.begun.load(Ordering::SeqCst) == 1).await;
    // The journal's write succeeds, that of the second plan does not.
    disk.fail(Op::Write, 2, 5);
    put(&service, "two").await;
    until("the pipeline has started again", || store.begun.load(Ordering::SeqCst) >= 3).await;
    until("one delivery a plan is under way", || store.alive.load(Ordering::SeqCst) == 2).await;
    service.stop(Duration::ZERO).await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_stream_that_could_not_be_cleared_away_is_tried_again() {
    let disk = SimDisk::new(1);
    let service = start(CONFIG, &disk, &Store::that(Does::Refuse)).await;
    put(&service, "acknowledged").await;
    service.stop(Duration::from_secs(5)).await.expect("it stops");
    disk.restart();
    let store = Store::that(Does::PanicOnce);
    let service = start("data_dir = \"/nowhere\"\n", &disk, &store).await;
    disk.fail_from(Op::Remove, 1, 5);
    until("the stream has drained", || store.objects.load(Ordering::SeqCst) == 1).await;
    Clock::real().sleep(Duration::from_millis(200)).await;
    assert!(service.catalog.get("web").is_some());
    disk.heal();
    until("the stream is gone", || service.catalog.get("web").is_none()).await;
    assert!(disk.files().iter().all(|name| !name.starts_with("journal/")), "{:?}", disk.files());
}

/// On one thread the pipelines' task has not run yet when the stop is ordered.
#[tokio::test]
async fn a_stop_right_after_the_start_says_what_is_left() {
    let disk = SimDisk::new(1);
    let store = Store::that(Does::Refuse);
    let service = start(CONFIG, &disk, &store).await;
    put(&service, "acknowledged").await;
    let left = [("web".to_owned(), 1)];
    assert_eq!(service.stop(Duration::from_secs(5)).await.expect("it stops").left, left);
    disk.restart();
    let service = start(CONFIG, &disk, &store).await;
    assert_eq!(service.stop(Duration::from_secs(5)).await.expect("it stops").left, left);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn importers_end_with_the_service() {
    // Nobody listens there: it is tried again for ever.
    let source = r#"source = { kinesis = { stream = "clicks", region = "us-east-1", endpoint = "http://127.0.0.1:1", credentials = { access_key_id = "a", secret_access_key = "b" } } }"#;
    let config = CONFIG.replace("[delivery_stream.web]\n", &format!("[delivery_stream.web]\n{source}\n"));
    let disk = SimDisk::new(1);
    let service = start(&config, &disk, &Store::that(Does::Refuse)).await;
    let clock = Clock::real();
    let fails = async {
        while service.status().await.streams[0].last_error.is_none() {
            clock.sleep(Duration::from_millis(20)).await;
        }
    };
    clock.within(Duration::from_secs(30), fails).await.expect("the importer runs");
    let counters = service.metrics.stream("web");
    let metrics = service.metrics.clone();
    service.stop(Duration::from_secs(5)).await.expect("it stops");
    // One handle is ours, one is kept with all counters.
    until("nobody copies any more", || Arc::strong_count(&counters) <= 2).await;
    drop(metrics);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_counted_of_a_data_stream_goes_with_it() {
    let config = "data_dir = \"/nowhere\"\n[data_stream.kept]\n[kinesis]\nstate_delay = \"0s\"\n";
    let service = start(config, &SimDisk::new(1), &Store::that(Does::Refuse)).await;
    let new = NewDataStream {
        name: "clicks".into(),
        mode: Mode::OnDemand,
        shards: None,
        record_bytes_max: 1 << 20,
        distribution: Distribution::default(),
        warm_mibps: None,
        tags: Vec::new(),
    };
    service.data_streams.create(new).await.expect("the name is free");
    for name in ["kept", "clicks"] {
        service.metrics.data_stream(name).incoming_records.inc();
    }
    let shown = |name: &str| {
        let text = service.metrics.render(&Status::default()).expect("a text");
        text.contains(&format!("standpipe_data_stream_incoming_records_total{{stream=\"{name}\"}} 1"))
    };
    assert!(shown("clicks"));
    service.data_streams.delete("clicks", false).await.expect("nobody needs it");
    until("it is not shown any more", || !shown("clicks")).await;
    assert!(shown("kept"));
    service.stop(Duration::from_secs(5)).await.expect("it stops");
}
