//! The route of a record, broken at every step: the process is stopped, or the power cut, at every single operation on
//! the disk of the data directory and on that of the destination, and after the next start each acknowledged record is
//! in exactly one object.
//!
//! The code is the service's own from `append` to the object; only the disks are simulated (see `disk::sim`).

#[path = "support/endpoint.rs"]
#[expect(clippy::unwrap_used, reason = "it is a test's")]
mod receiver;
#[path = "route/told.rs"]
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use standpipe::app::{Service, StopReport};
use standpipe::clock::Clock;
use standpipe::config::{Config, Source, StartAt};
use standpipe::destination::{Stores, local::LocalDirectory};
use standpipe::disk::{Disk, sim::SimDisk};
use standpipe::error::Result;
use standpipe::journal::Append;
use standpipe::record::{CallId, Keys, Records};
use standpipe::stream::data::{DataStreams, Distribution, Mode, NewDataStream, Placed, Put, Reshard, hash_of};

const CONFIG: &str = r#"
data_dir = "/nowhere"
[delivery_stream.web]
encrypted = ENCRYPTED
[delivery_stream.web.buffer]
size = "1 KiB"
interval = "0s"
[[delivery_stream.web.process]]
type = "require-json"
[delivery_stream.web.destination]
type = "local"
path = "/lake"
compression = "gzip"
delimiter = "always"
prefix = "!{timestamp:yyyy/MM/dd/HH}/"
error_prefix = "errors/!{firehose:error-output-type}/"
"#;

/// How records get to the delivery stream.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// They are put into it.
    Direct,
    /// They are put into a data stream of two shards, which is split and merged now and then.
    DataStream,
}

/// A machine with the disk of the data directory and that of the lake.
struct Machine {
    data: SimDisk,
    lake: SimDisk,
    config: Config,
    way: Way,
}

/// What the producer knows: how often each record was acknowledged, and which were sent at all.
#[derive(Default)]
struct Producer {
    acknowledged: Vec<String>,
    sent: Vec<String>,
    reshards: usize,
}

impl Machine {
    fn new(seed: u64, way: Way) -> Self {
        let text = CONFIG.replace("ENCRYPTED", "false");
        let mut config =
            Config::parse(&text, "route.toml", std::path::Path::new("/"), &|_| None).expect("a valid config");
        if way == Way::DataStream {
            config.delivery_streams[0].source =
                Source::DataStream { name: "clicks".to_owned(), start: StartAt::Horizon };
        }
        Machine { data: SimDisk::new(seed), lake: SimDisk::new(seed ^ 1), config, way }
    }

    async fn start(&self) -> Result<Service> {
        let lake: Arc<dyn Disk> = Arc::new(self.lake.clone());
        let stores = Stores::fixed(Arc::new(LocalDirectory::new(lake)));
        Service::start(&self.config, Clock::real(), Arc::new(self.data.clone()), stores).await
    }

    /// One life of the process: starts, takes puts from `first` on, delivers. Ends early where the disk fails.
    async fn live(&self, producer: &mut Producer, first: usize, puts: usize) -> Result<StopReport> {
        let service = self.start().await?;
        if self.way == Way::DataStream && service.data_streams.get("clicks").is_err() {
            // Without it nothing can be put, and nothing is acknowledged.
            let _ = service.data_streams.create(two_shards()).await;
        }
        for put in first..first + puts {
            let ids: Vec<String> =
                (0..4).map(|n| format!("{{\"id\":\"{put}-{n}\",\"pad\":\"{}\"}}", "x".repeat(90))).collect();
            let broken = format!("broken-{put}");
            let mut records: Vec<&str> = ids.iter().map(String::as_str).collect();
            records.push(&broken);
            producer.sent.extend(records.iter().map(|record| (*record).to_owned()));
            // A retry of the same call must not be stored twice.
            for _ in 0..2 {
                let call = CallId([put as u8; 16]);
                let stored = match self.way {
                    Way::Direct => put_directly(&service, call, &records).await,
                    Way::DataStream => put_by_key(&service.data_streams, call, &records).await,
                };
                producer.acknowledged.extend(stored);
            }
            if self.way == Way::DataStream {
                // Whether it can be changed just now is not the question.
                let target = if put % 2 == 0 { 3 } else { 1 };
                let resharded = service.data_streams.reshard("clicks", Reshard::Uniform { target }).await;
                producer.reshards += usize::from(resharded.is_ok());
            }
        }
        service.stop(Duration::from_secs(20)).await
    }

    /// Every record in the lake and how often it is there.
    fn delivered(&self) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        for name in self.lake.files() {
            let bytes = self.lake.read(&name).expect("it was listed");
            for record in records_of(&name, &bytes) {
                *found.entry(record).or_default() += 1;
            }
        }
        found
    }

    fn check(&self, producer: &Producer, step: &str) {
        let delivered = self.delivered();
        for record in &producer.acknowledged {
            assert_eq!(delivered.get(record), Some(&1), "{step}: {record} was acknowledged");
        }
        for (record, times) in &delivered {
            assert!(producer.sent.contains(record), "{step}: {record} was never sent");
            assert_eq!(*times, 1, "{step}: {record} was delivered {times} times");
        }
    }
}

/// The records that were acknowledged.
async fn put_directly(service: &Service, call: CallId, records: &[&str]) -> Vec<String> {
    let stream = service.streams.get(service.catalog.get("web").expect("it is in the config").id);
    let append = Append { call: Some(call), ..Append::of(Records::from_slices(Clock::real().now_ms(), records)) };
    match stream.append(append).await {
        Ok(_) => records.iter().map(|record| (*record).to_owned()).collect(),
        Err(_) => Vec::new(),
    }
}

fn two_shards() -> NewDataStream {
    NewDataStream {
        name: "clicks".to_owned(),
        mode: Mode::Provisioned,
        shards: Some(2),
        record_bytes_max: 1 << 20,
        distribution: Distribution::PartitionKey,
        warm_mibps: None,
        tags: Vec::new(),
    }
}

/// The same, each record under a key of its own.
async fn put_by_key(streams: &DataStreams, call: CallId, records: &[&str]) -> Vec<String> {
    let keys = Records::from_slices(0, records);
    let put = Put {
        hashes: records.iter().map(|record| hash_of(record.as_bytes())).collect(),
        records: Records {
            keys: Some(Keys { ends: keys.ends, data: keys.data }),
            ..Records::from_slices(Clock::real().now_ms(), records)
        },
        call: Some(call),
    };
    let placed = match streams.get("clicks") {
        Ok(stream) => stream.put(put).await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let stored = records.iter().zip(placed).filter(|(_, placed)| matches!(placed, Placed::Stored { .. }));
    stored.map(|(record, _)| (*record).to_owned()).collect()
}

/// The records in an object of the lake: lines of gzip, or the error output's documents.
fn records_of(name: &str, bytes: &[u8]) -> Vec<String> {
    use std::io::Read;
    if name.starts_with("errors/") {
        return String::from_utf8(bytes.to_vec())
            .expect("error output is text")
            .lines()
            .map(|line| {
                let document: serde_json::Value = serde_json::from_str(line).expect("a document a line");
                let raw = base64_simd::STANDARD.decode_to_vec(document["rawData"].as_str().expect("has rawData"));
                String::from_utf8(raw.expect("base64")).expect("the test sends text")
            })
            .collect();
    }
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text).expect("whole gzip members of text");
    text.lines().map(str::to_owned).collect()
}

/// Runs one life on a runtime of its own, so that its end takes every task with it, as the end of a process does.
fn process(life: impl Future<Output = Result<StopReport>>) -> Result<StopReport> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let ended = runtime.block_on(life);
    runtime.shutdown_background();
    ended
}

#[derive(Clone, Copy, Debug)]
enum Disaster {
    Kill,
    PowerCut,
}

/// Breaks the route at operation `step` of one disk; says whether there were that many operations at all.
fn break_at(way: Way, disaster: Disaster, on_lake: bool, step: u64) -> bool {
    let name =
        format!("{way:?}: {disaster:?} at operation {step} of the {}", if on_lake { "lake" } else { "data directory" });
    let machine = Machine::new(step, way);
    let broken = if on_lake { &machine.lake } else { &machine.data };
    broken.crash_after(step);
    let mut producer = Producer::default();
    // Whatever this life said, it is over; only what was acknowledged counts.
    let _ = process(machine.live(&mut producer, 0, 5));
    let reached = broken.operations() > step;
    match disaster {
        Disaster::Kill => {
            machine.data.restart();
            machine.lake.restart();
        }
        Disaster::PowerCut => {
            machine.data.crash();
            machine.lake.crash();
        }
    }
    let report = process(machine.live(&mut producer, 5, 2));
    let report = report.unwrap_or_else(|error| panic!("{name}: the next start failed: {error}"));
    assert!(report.left.is_empty(), "{name}: the next life left something: {report}");
    machine.check(&producer, &name);
    reached
}

fn break_everywhere(way: Way, disaster: Disaster, on_lake: bool) {
    let steps = (0..10_000).take_while(|step| break_at(way, disaster, on_lake, *step)).count();
    // The route has at least: claim, catalog, journal, ledger, and three operations an object.
    assert!(steps > if on_lake { 3 } else { 15 }, "only {steps} operations: the test no longer covers the route");
}

#[test]
fn killed_at_every_operation_of_the_data_directory() {
    break_everywhere(Way::Direct, Disaster::Kill, false);
}

#[test]
fn power_cut_at_every_operation_of_the_data_directory() {
    break_everywhere(Way::Direct, Disaster::PowerCut, false);
}

#[test]
fn killed_at_every_operation_of_the_destination() {
    break_everywhere(Way::Direct, Disaster::Kill, true);
}

#[test]
fn power_cut_at_every_operation_of_the_destination() {
    break_everywhere(Way::Direct, Disaster::PowerCut, true);
}

#[test]
fn killed_at_every_operation_while_a_data_stream_is_delivered() {
    break_everywhere(Way::DataStream, Disaster::Kill, false);
}

#[test]
fn power_cut_at_every_operation_while_a_data_stream_is_delivered() {
    break_everywhere(Way::DataStream, Disaster::PowerCut, false);
}

#[test]
fn power_cut_at_every_operation_of_the_destination_of_a_data_stream() {
    break_everywhere(Way::DataStream, Disaster::PowerCut, true);
}

#[test]
fn nothing_breaks_and_everything_arrives() {
    for way in [Way::Direct, Way::DataStream] {
        let machine = Machine::new(7, way);
        let mut producer = Producer::default();
        let report = process(machine.live(&mut producer, 0, 20)).expect("a whole life");
        assert!(report.left.is_empty(), "{way:?}: {report}");
        assert_eq!(producer.acknowledged.len(), 2 * 20 * 5, "each put was acknowledged, and so was its retry");
        machine.check(&producer, "undisturbed");
        assert_eq!(producer.reshards > 5, way == Way::DataStream, "{}", producer.reshards);
    }
}

/// One life delivers; then the journal loses its tail, or all of it, while the ledger keeps what it knows. Were the
/// positions given out again, the next puts would be acknowledged and taken for delivered.
fn journal_loses(what: &str, lose: impl Fn(&Machine) -> SimDisk) {
    let mut machine = Machine::new(11, Way::Direct);
    let mut producer = Producer::default();
    process(machine.live(&mut producer, 0, 5)).expect("a whole life");
    machine.data = lose(&machine);
    for life in 1..3 {
        let report = process(machine.live(&mut producer, 5 * life, 2)).expect("a life after the loss");
        assert!(report.left.is_empty(), "{what}: {report}");
        machine.check(&producer, what);
        machine.data.restart();
    }
}

#[test]
fn what_is_put_after_the_journal_lost_its_tail_is_delivered() {
    journal_loses("a flipped bit in the last frame", |machine| {
        let segment = machine.data.files().into_iter().rfind(|name| name.contains(".seg")).expect("a segment");
        let bytes = machine.data.read(&segment).expect("it was listed").len();
        machine.data.flip(&segment, 8 * (bytes - 10));
        machine.data.restart();
        machine.data.clone()
    });
}

#[test]
fn what_is_put_after_the_journal_was_removed_is_delivered() {
    journal_loses("the whole journal", |machine| {
        let left = SimDisk::new(12);
        for name in machine.data.files().iter().filter(|name| !name.starts_with("journal/")) {
            left.put(name, &machine.data.read(name).expect("it was listed"));
        }
        left
    });
}
