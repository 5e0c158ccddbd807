//! A partitioned stream from puts to objects, with a step that splits, drops, fails and gives keys, broken at every operation on
//! either disk: what was acknowledged is delivered once, in its lane, and every reading made the same batches.

mod changes;
mod damage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::super::{Capacity, Orders, Parts, Spill, Staging, State, Until, deliver, staged_file};
use crate::clock::Clock;
use crate::config::{Buffering, Compression, DeliveryStream, Destination, Processor, check_partitioned};
use crate::destination::{Stores, local::LocalDirectory};
use crate::disk::Disk as _;
use crate::disk::sim::SimDisk;
use crate::error::Result;
use crate::journal::local::{DiskMax, LocalJournal};
use crate::journal::{Append, Journal};
use crate::ledger::local::LocalLedger;
use crate::ledger::{Ledger, Standing};
use crate::record::{Records, ShardId, StreamId};
use crate::stream::{Feed, Stream};
use crate::telemetry::metrics::Metrics;
use crate::transform::function::{self, Caller};
use crate::transform::{Failed, Failure, KeyColumn, Known, Origins, Outcome, Registry, Rows, wasm};

const ID: StreamId = StreamId(7);
const SHARD: ShardId = ShardId { stream: ID, index: 0 };

/// A test's own step, where a plugin's module has this hash.
pub(in super::super) fn fake(hash: &str) -> Option<fn(&Rows, &Origins) -> Result<Outcome>> {
    match hash {
        "plain" => Some(|rows, origins| Ok(sort(rows, origins, 0, str::to_owned))),
        "shouting" => Some(|rows, origins| Ok(sort(rows, origins, 0, str::to_uppercase))),
        MOODY => Some(|rows, origins| {
            let mood = MOODS.fetch_add(1, Ordering::Relaxed);
            Ok(sort(rows, origins, mood, |key| format!("{key}-{}", mood % 3)))
        }),
        _ => None,
    }
}

/// The URL of a function that answers otherwise every time: each call has its own mood, and lanes of its own.
const MOODY: &str = "moody";
static MOODS: AtomicU64 = AtomicU64::new(1);

/// `a+b|id` becomes a row for each key; `drop`, `fail` and `nokey` stand for what they say. Each row tells of which batch and mood it is.
fn sort(rows: &Rows, origins: &Origins, mood: u64, spell: impl Fn(&str) -> String) -> Outcome {
    let mut outcome = Outcome::default();
    let mut column = KeyColumn { name: "k".to_owned(), ..KeyColumn::default() };
    let first = origins.positions.first().copied().unwrap_or(0);
    for row in 0..rows.len() {
        let text = std::str::from_utf8(rows.get(row)).unwrap();
        let (keys, id) = text.split_once('|').unwrap();
        let origin = rows.origins[row];
        match keys {
            "drop" => continue,
            "fail" => {
                let failure = Failure { code: "Fake.Bad".into(), message: "bad".into(), attempts: 1, by: None };
                outcome.failed.push(Failed { origin, failure });
                continue;
            }
            _ => {}
        }
        for key in keys.split('+') {
            let line = format!("{id} {first} {} {mood}", origins.positions.len());
            outcome.rows.data.extend_from_slice(line.as_bytes());
            outcome.rows.ends.push(outcome.rows.data.len() as u32);
            outcome.rows.origins.push(origin);
            column.data.push_str(&if key == "nokey" { String::new() } else { spell(key) });
            column.ends.push(column.data.len() as u32);
        }
    }
    outcome.rows.keys.push(column);
    outcome
}

fn settings(hash: &str, prefix: &str, interval: Duration) -> (Arc<DeliveryStream>, Registry) {
    let function = function::Settings {
        name: MOODY.into(),
        url: MOODY.into(),
        arn: "arn".into(),
        timeout: Duration::from_secs(1),
        retries: 0,
        batch_bytes: 1,
    };
    let limits = wasm::Limits {
        memory: Some(1),
        fuel: Some(1),
        fuel_per_byte: 1,
        output_ratio: 1,
        batch_records: 1,
        batch_bytes: 1,
        sparing: true,
    };
    let step = |hash: &str| {
        let (plugin, sha256) = (hash.to_owned(), hash.to_owned());
        (plugin.clone(), Known::Wasm(wasm::Step { plugin, arn: None, sha256, config: BTreeMap::new(), limits }))
    };
    let names = BTreeMap::from([step("plain"), step("shouting"), (MOODY.to_owned(), Known::Function(function))]);
    let (_, names) = watch::channel(Arc::new(names));
    let errors = "errors/!{firehose:error-output-type}/";
    let (prefix, error_prefix) = check_partitioned(Some(prefix), Some(errors)).unwrap();
    let destination = Destination {
        prefix,
        error_prefix,
        compression: Compression::Gzip,
        delimiter: crate::config::Delimiter::Always,
        ..Destination::local("/lake")
    };
    let process =
        vec![Processor::Plugin { name: hash.into(), config: BTreeMap::new(), retries: None, batch_bytes: None }];
    let buffer = Buffering { size_bytes: 1 << 10, interval };
    (
        Arc::new(DeliveryStream { buffer, process, ..DeliveryStream::new("web", destination) }),
        Registry::without_plugins(names),
    )
}

/// A machine with the disk of the data directory, that of the lake, and one for what is spilled, which never breaks.
struct Machine {
    data: SimDisk,
    lake: SimDisk,
    spill: SimDisk,
}

/// What one life is like.
struct Life {
    hash: &'static str,
    prefix: &'static str,
    interval: Duration,
    puts: std::ops::Range<usize>,
    /// Pauses for so long after each put.
    pause: Duration,
    /// The settings change after so many puts: to these steps.
    change: Option<(usize, &'static str)>,
}

const KEYED: &str = "t/!{partitionKeyFromLambda:k}/";

/// The records of one put: of several lanes, and with everything that can become of them.
fn records(put: usize) -> Vec<String> {
    ["a", "b", "a+b", "drop", "fail", "nokey", "../x+a+a", "c+nokey"]
        .iter()
        .enumerate()
        .map(|(n, keys)| format!("{keys}|{put}-{n}-{}", "x".repeat(60)))
        .collect()
}

impl Machine {
    fn new(seed: u64) -> Self {
        Machine { data: SimDisk::new(seed), lake: SimDisk::new(seed ^ 1), spill: SimDisk::new(seed) }
    }

    /// One life of the process; every record that was acknowledged is added. Gives how it stood in the end.
    async fn live(&self, life: Life, acknowledged: &mut Vec<String>) -> Result<(Standing, u64)> {
        let (disk, clock) = (Arc::new(self.data.clone()), Clock::real());
        let ledger =
            Arc::new(LocalLedger::open(disk.clone(), clock.clone(), crate::ledger::local::Options::default())?);
        let options = crate::journal::local::Options {
            disk_max: DiskMax::Bytes(64 << 20),
            ends_min: ledger.ends_at_start().clone(),
            ..crate::journal::local::Options::default()
        };
        let journal: Arc<dyn Journal> = Arc::new(LocalJournal::open(disk, clock.clone(), options)?);
        let stream = Stream::new(journal.clone(), ID);
        let staging = Staging::open(Arc::new(self.data.clone()), clock.clone(), None)?;
        let before = ledger.standing(ID).await?;
        let marks = before.shards.into_iter().map(|(shard, stands)| (shard, stands.committed));
        let needed = before.unfinished.iter().filter_map(|(_, plan)| Some((staged_file(plan).unwrap()?, ID)));
        staging.retain(&needed.collect(), &BTreeMap::from([(ID, marks.collect())]))?;
        let (settings, registry) = settings(life.hash, life.prefix, life.interval);
        let version = 2 * life.puts.start as u64 + 1;
        let first = Orders { stream: settings, version, until: Until::Forever };
        let (orders, receiver) = watch::channel(first);
        let capacity = Capacity::new(2).with_spill(Spill::open(Arc::new(self.spill.clone()), &clock, Some(&[7; 32]))?);
        // Every other life has no memory.
        let _memory = life.pause.is_zero().then(|| capacity.encoded(crate::limits::ENCODED_BYTES_MAX).unwrap());
        let parts = Parts {
            name: "web".to_owned(),
            feed: Feed::direct(&stream),
            ledger: ledger.clone(),
            stores: Stores::fixed(Arc::new(LocalDirectory::new(Arc::new(self.lake.clone())))),
            clock: clock.clone(),
            capacity,
            registry,
            caller: Caller { delivery_stream_arn: String::new(), region: String::new(), source_arn: None },
            staging,
            webhooks: crate::pipeline::Outboxes::new(Arc::new(self.data.clone())),
            metrics: Metrics::default().stream("web"),
            state: Arc::new(State::default()),
            orders: receiver,
        };
        let delivery = tokio::spawn(deliver(parts));
        for (number, put) in life.puts.enumerate() {
            if let Some((_, hash)) = life.change.filter(|(at, _)| *at == number) {
                let stream = self::settings(hash, life.prefix, life.interval).0;
                orders.send_modify(|orders| (orders.stream, orders.version) = (stream, version + 1));
            }
            let records = records(put);
            let append = Append::of(Records::from_slices(clock.now_ms(), &records));
            if stream.append(append).await.is_ok() {
                acknowledged.extend(records);
            }
            clock.sleep(life.pause).await;
        }
        orders.send_modify(|orders| orders.until = Until::Flushed);
        let ended = delivery.await.unwrap();
        let end = journal.extent(SHARD).await.map(|extent| extent.end);
        let standing = ledger.standing(ID).await;
        journal.close().await;
        ledger.close().await;
        ended.map(|_| ())?;
        Ok((standing?, end?))
    }

    /// Every row in the lake: its lane and its text.
    fn delivered(&self) -> Vec<(String, String)> {
        use std::io::Read;
        let mut found = Vec::new();
        for name in self.lake.files() {
            let bytes = self.lake.read(&name).unwrap();
            let lane = name.rsplit('/').nth(1).unwrap().to_owned();
            if name.starts_with("errors/") {
                for line in std::str::from_utf8(&bytes).unwrap().lines() {
                    let document: serde_json::Value = serde_json::from_str(line).unwrap();
                    let raw = base64_simd::STANDARD.decode_to_vec(document["rawData"].as_str().unwrap()).unwrap();
                    found.push(("errors".to_owned(), String::from_utf8(raw).unwrap()));
                }
                continue;
            }
            let mut text = String::new();
            flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
            assert!(!text.is_empty(), "{name} is empty");
            found.extend(text.lines().map(|line| (lane.clone(), line.to_owned())));
        }
        found
    }
}

/// What a record becomes: its lanes, in order.
fn lanes_of(record: &str) -> Vec<String> {
    match record.split_once('|').unwrap().0 {
        "drop" => Vec::new(),
        "fail" | "nokey" | "c+nokey" => vec!["errors".to_owned()],
        "../x+a+a" => ["%2E.%2Fx", "a", "a"].map(str::to_owned).into(),
        keys => keys.split('+').map(str::to_owned).collect(),
    }
}

fn check(machine: &Machine, acknowledged: &[String], context: &str) {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut batches: BTreeMap<String, BTreeSet<(u64, u64, u64)>> = BTreeMap::new();
    for (lane, line) in machine.delivered() {
        let id = line.split_once('|').map_or(&*line, |(_, id)| id);
        let id = id.split(' ').next().unwrap().to_owned();
        if lane != "errors" {
            let mut numbers = line.split(' ').skip(1).map(|number| number.parse().unwrap());
            let mut next = || numbers.next().unwrap();
            batches.entry(id.clone()).or_default().insert((next(), next(), next()));
        }
        let lane = lane.split('-').next().unwrap();
        found.entry(id).or_default().push(lane.to_lowercase().replace("%2e", "%2E").replace("%2f", "%2F"));
    }
    let sent: BTreeMap<String, String> =
        (0..100).flat_map(records).map(|record| (record.split_once('|').unwrap().1.to_owned(), record)).collect();
    for (id, lanes) in &mut found {
        let mut expected = lanes_of(&sent[id]);
        lanes.sort();
        expected.sort();
        assert_eq!(*lanes, expected, "{context}: {id}");
    }
    for record in acknowledged.iter().filter(|record| !lanes_of(record).is_empty()) {
        assert!(found.contains_key(record.split_once('|').unwrap().1), "{context}: {record} was acknowledged");
    }
    let all: BTreeSet<(u64, u64, u64)> = batches.values().flatten().copied().collect();
    assert!(batches.values().all(|of| of.len() == 1), "{context}: rows of one record are of two batches");
    for ((start, len, _), (next, ..)) in all.iter().zip(all.iter().skip(1)) {
        assert!(start + len <= *next, "{context}: batches {start}+{len} and {next} overlap");
    }
}

fn settled(standing: &Standing, end: u64, context: &str) {
    assert_eq!(
        (standing.past(), standing.early()),
        (end, 0),
        "{context}: everything is past, and counted: {standing:?}"
    );
    assert!(!standing.has_lanes() && standing.unfinished.is_empty(), "{context}");
    let total = standing.total;
    assert_eq!((total.damaged, total.expired, total.discarded), (0, 0, 0), "{context}");
    assert_eq!(total.positions(), end, "{context}");
    // Of eight records of a put four are delivered, three fail, one is dropped; six rows come of three of them.
    let puts = end / 8;
    assert_eq!((total.delivered, total.failed, total.dropped, total.unpacked), (4 * puts, 3 * puts, puts, 3 * puts));
}

fn process<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ended = runtime.block_on(life);
    runtime.shutdown_background();
    ended
}

const INTERVALS: [Duration; 3] = [Duration::from_mins(1), Duration::from_millis(4), Duration::ZERO];

fn life(hash: &'static str, prefix: &'static str, step: u64, puts: std::ops::Range<usize>) -> Life {
    let pause = Duration::from_millis([0, 2][step as usize % 2]);
    Life { hash, prefix, interval: INTERVALS[step as usize % 3], puts, pause, change: None }
}

/// Breaks the route at operation `step` of one disk; says whether there were that many operations at all.
fn break_at(hash: &'static str, cut: bool, on_lake: bool, step: u64) -> bool {
    let name = format!("cut {cut}, at operation {step} of the {}", if on_lake { "lake" } else { "data directory" });
    let machine = Machine::new(step);
    let broken = if on_lake { &machine.lake } else { &machine.data };
    broken.crash_after(step);
    let mut acknowledged = Vec::new();
    // Whatever this life said, it is over; only what was acknowledged counts.
    let _ = process(machine.live(life(hash, KEYED, step, 0..6), &mut acknowledged));
    let reached = broken.operations() > step;
    for disk in [&machine.data, &machine.lake] {
        if cut { disk.crash() } else { disk.restart() }
    }
    // Every other time the steps or the prefix have changed in between.
    let (hash, prefix) =
        [(hash, KEYED), ("shouting", KEYED), (hash, "t/x/!{partitionKeyFromLambda:k}/")][(step / 2) as usize % 3];
    let ended = process(machine.live(life(hash, prefix, step / 3, 6..9), &mut acknowledged));
    let (standing, end) = ended.unwrap_or_else(|error| panic!("{name}: the next life failed: {error}"));
    check(&machine, &acknowledged, &name);
    settled(&standing, end, &name);
    let staged = machine.data.files().into_iter().find(|file| file.starts_with("staged/"));
    assert_eq!(staged, None, "{name}: everything is past");
    reached
}

fn break_everywhere(hash: &'static str, cut: bool, on_lake: bool) {
    let steps = (0..10_000).take_while(|step| break_at(hash, cut, on_lake, *step)).count();
    assert!(steps > if on_lake { 12 } else { 25 }, "only {steps} operations: the test no longer covers the route");
}

#[test]
fn power_cut_at_every_operation_of_the_data_directory() {
    break_everywhere("plain", true, false);
}

#[test]
fn killed_at_every_operation_of_the_data_directory() {
    break_everywhere("plain", false, false);
}

#[test]
fn power_cut_at_every_operation_of_the_destination() {
    break_everywhere("plain", true, true);
}

#[test]
fn power_cut_at_every_operation_while_a_function_answers_otherwise_every_time() {
    break_everywhere(MOODY, true, false);
}

#[test]
fn killed_at_every_operation_while_a_function_answers_otherwise_every_time() {
    break_everywhere(MOODY, false, false);
}

#[test]
fn power_cut_at_every_operation_of_the_destination_of_what_a_function_answered() {
    break_everywhere(MOODY, true, true);
}

#[test]
fn nothing_breaks_and_everything_arrives_in_its_lane() {
    for (step, hash) in (0..12).map(|step| (step / 2, ["plain", MOODY][step as usize % 2])) {
        let machine = Machine::new(step);
        let mut acknowledged = Vec::new();
        let (standing, end) =
            process(machine.live(life(hash, KEYED, step, 0..40), &mut acknowledged)).expect("a whole life");
        assert_eq!((acknowledged.len(), end), (320, 320));
        check(&machine, &acknowledged, "undisturbed");
        settled(&standing, end, "undisturbed");
    }
}

/// A file that is lost though rows of its batch were planned: no function is called in its place, nothing is delivered, and all is well
/// once it is there again.
#[test]
fn what_a_function_answered_and_is_lost_holds_the_stream_until_it_is_there_again() {
    let (machine, mut acknowledged) = (Machine::new(1), Vec::new());
    machine.lake.crash_after(0);
    let _ = process(machine.live(life(MOODY, KEYED, 2, 0..6), &mut acknowledged));
    machine.lake.restart();
    machine.lake.crash_after(1 << 40);
    let names: Vec<_> = machine.data.files().into_iter().filter(|name| name.starts_with("staged/lane-")).collect();
    let files: Vec<_> = names.iter().map(|name| machine.data.read(name).unwrap()).collect();
    assert!(!names.is_empty(), "what was planned is kept");
    for name in &names {
        machine.data.remove(std::path::Path::new(name)).unwrap();
    }
    let (standing, _) = process(machine.live(life(MOODY, KEYED, 2, 6..6), &mut acknowledged)).unwrap();
    assert!(standing.has_lanes() && machine.delivered().is_empty(), "{standing:?}");
    names.iter().zip(&files).for_each(|(name, file)| machine.data.put(name, file));
    let (standing, end) = process(machine.live(life(MOODY, KEYED, 2, 6..7), &mut acknowledged)).unwrap();
    check(&machine, &acknowledged, "the files are there again");
    settled(&standing, end, "the files are there again");
}

/// A stream becomes partitioned and is not any more, each time after a life that ended anywhere: what was planned in one way is
/// finished in it.
#[test]
fn a_stream_becomes_partitioned_and_back() {
    const PLAIN: &str = "p/!{timestamp:yyyy}/";
    for step in 0..60 {
        let hash = ["plain", MOODY][step as usize / 2 % 2];
        let (machine, mut acknowledged) = (Machine::new(step), Vec::new());
        let prefixes = if step % 2 == 0 { [KEYED, PLAIN, KEYED] } else { [PLAIN, KEYED, PLAIN] };
        for (round, prefix) in prefixes.into_iter().enumerate() {
            machine.data.crash_after(if round < 2 { 8 + step } else { 1 << 40 });
            let _ = process(machine.live(life(hash, prefix, step / 2, 4 * round..4 * round + 4), &mut acknowledged));
            machine.data.restart();
            machine.lake.restart();
        }
        machine.data.crash_after(1 << 40);
        let last = process(machine.live(life(hash, prefixes[2], step, 12..13), &mut acknowledged));
        let (standing, end) = last.unwrap_or_else(|error| panic!("{step}: {error}"));
        assert_eq!(
            (standing.past(), standing.early(), standing.total.positions()),
            (end, 0, end),
            "{step}: {standing:?}"
        );
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for (_, line) in machine.delivered() {
            let id = line.split_once('|').map_or(&*line, |(_, id)| id);
            *found.entry(id.split(' ').next().unwrap().to_owned()).or_default() += 1;
        }
        for record in acknowledged {
            let (keys, id) = record.split_once('|').unwrap();
            let rows = keys.split('+').count();
            let expected = match keys {
                "drop" => vec![0],
                // Not partitioned, it is delivered; else it fails whole.
                "c+nokey" => vec![1, 2],
                _ => vec![rows],
            };
            let times = found.get(id).copied().unwrap_or(0);
            assert!(expected.contains(&times), "{step}: {record} is there {times} times");
        }
    }
}
