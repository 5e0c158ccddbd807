//! The owner over a simulated disk: what was answered survives a crash, and nothing is lost or doubled by a reshard.

use std::sync::Arc;
use std::time::Duration;

use super::super::lineage::Step;
use super::super::rig::inside;
use super::super::{
    DataStreams, Definition, Distribution, FileStream, Limits, Mode, NewDataStream, Placed, Put, ReadLimit, Reshard,
    Settings, Snapshot, Status, Validation,
};
use crate::clock::Clock;
use crate::disk::sim::{Op, SimDisk};
use crate::error::{Error, Kind, Result};
use crate::journal::Journal;
use crate::journal::memory::MemoryJournal;
use crate::limits::DATA_RECORD_BYTES_DEFAULT;
use crate::record::{Records, ShardId};

mod adopt;
mod crash;
mod reshard;
mod unsure;

const START_MS: u64 = 1_700_000_000_000;

fn settings(state_delay: Duration) -> Settings {
    Settings {
        account_id: "000000000000".into(),
        region: "us-east-1".into(),
        shards_max: 20,
        state_delay,
        can_encrypt: true,
    }
}

fn new_stream(name: &str, shards: u32) -> NewDataStream {
    NewDataStream {
        name: name.into(),
        mode: Mode::Provisioned,
        shards: Some(shards),
        record_bytes_max: DATA_RECORD_BYTES_DEFAULT,
        distribution: Distribution::PartitionKey,
        warm_mibps: None,
        tags: Vec::new(),
    }
}

/// A service's data streams, over a disk that outlives them.
struct House {
    disk: SimDisk,
    journal: Arc<MemoryJournal>,
    clock: Clock,
    settings: Settings,
}

impl House {
    fn new(seed: u64) -> House {
        let clock = Clock::simulated(seed, START_MS);
        let journal = Arc::new(MemoryJournal::new(clock.clone()));
        House { disk: SimDisk::new(seed), journal, clock, settings: settings(Duration::ZERO) }
    }

    async fn open(&self) -> Result<DataStreams> {
        self.open_with(Vec::new()).await
    }

    async fn open_with(&self, file: Vec<FileStream>) -> Result<DataStreams> {
        let disk = Arc::new(self.disk.clone());
        DataStreams::open(disk, self.journal.clone(), self.clock.clone(), self.settings.clone(), file).await
    }

    async fn put(&self, streams: &DataStreams, name: &str, hash: u128) -> Result<Placed> {
        let records = Records::from_slices(self.clock.now_ms(), &["a record"]);
        let put = Put { records, hashes: vec![hash], call: None };
        Ok(streams.get(name)?.put(put).await?[0])
    }
}

fn definition(streams: &DataStreams, name: &str) -> Arc<Definition> {
    streams.get(name).unwrap().definition().unwrap()
}

async fn tag(streams: &DataStreams, name: &str, key: &str) -> Result<()> {
    let (tags, settings) = (vec![(key.to_owned(), "v".to_owned())], streams.settings().clone());
    streams.change(name, move |definition, _| definition.add_tags(tags, &settings)).await
}

fn split(shard: &str, new_start: u128) -> Reshard {
    Reshard::Split { shard: shard.into(), new_start }
}

#[track_caller]
fn refused<T>(result: Result<T>, kind: Kind, said: &str) -> Error {
    let Err(error) = result else { panic!("it is refused: {said}") };
    assert_eq!((error.kind(), error.message()), (kind, said));
    error
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_made_changed_and_deleted() {
    let house = House::new(1);
    let streams = house.open().await.unwrap();
    let mut seen = streams.watch();
    let made = streams.create(new_stream("clicks", 2)).await.unwrap();
    assert!(seen.has_changed().unwrap() && seen.borrow_and_update().contains_key("clicks"));
    assert_eq!(streams.by_id(made.id()).unwrap().definition().unwrap().open_shards().count(), 2);
    tag(&streams, "clicks", "team").await.unwrap();
    assert_eq!(made.definition().unwrap().tags, [("team".to_owned(), "v".to_owned())]);
    house.put(&streams, "clicks", 7).await.unwrap();

    streams.delete("clicks", false).await.unwrap();
    let said = "Stream clicks under account 000000000000 not found.";
    refused(made.definition(), Kind::NotFound, said);
    refused(streams.get("clicks").map(drop), Kind::NotFound, said);
    refused(streams.delete("clicks", false).await, Kind::NotFound, said);
    refused(tag(&streams, "clicks", "team").await, Kind::NotFound, said);
    assert!(streams.by_id(made.id()).is_none());
    assert_eq!(house.journal.disk_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_fails_changes_nothing() {
    let streams = House::new(2).open().await.unwrap();
    streams.create(new_stream("clicks", 1)).await.unwrap();
    let before = definition(&streams, "clicks");
    let failed = streams.change("clicks", |definition, _| {
        definition.retention = Duration::ZERO;
        Err::<(), _>(Error::invalid("no"))
    });
    refused(failed.await, Kind::Invalid, "no");
    assert_eq!(definition(&streams, "clicks"), before);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_fails_the_change_alone() {
    let house = House::new(3);
    let streams = house.open().await.unwrap();
    streams.create(new_stream("clicks", 1)).await.unwrap();
    house.disk.fail(Op::Sync, 1, std::io::ErrorKind::Other);
    refused(tag(&streams, "clicks", "team").await, Kind::Unavailable, "the data streams could not be stored");
    assert_eq!(definition(&streams, "clicks").tags, []);
    tag(&streams, "clicks", "team").await.unwrap();
    assert_eq!(definition(&streams, "clicks").tags.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_taken_and_the_account_has_so_many_shards() {
    let streams = House::new(4).open().await.unwrap();
    streams.create(new_stream("clicks", 15)).await.unwrap();
    let said = "Stream clicks under account 000000000000 already exists.";
    refused(streams.create(new_stream("clicks", 1)).await.map(drop), Kind::Conflict, said);
    let limit = |more: u32| {
        format!(
            "This request would exceed the shard limit for the account 000000000000 in us-east-1. Current shard count \
             for the account: 15. Limit: 20. Number of additional shards that would have resulted from this request: \
             {more}. Refer to the AWS Service Limits page \
             (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to \
             request higher limits."
        )
    };
    refused(streams.create(new_stream("more", 6)).await.map(drop), Kind::Throttled, &limit(6));
    refused(streams.reshard("clicks", Reshard::Uniform { target: 30 }).await, Kind::Throttled, &limit(15));
    assert_eq!(definition(&streams, "clicks").open_shards().count(), 15);
    // On-demand streams count for nothing, and a merge makes room.
    let on_demand = NewDataStream { mode: Mode::OnDemand, shards: None, ..new_stream("load", 0) };
    streams.create(on_demand).await.unwrap();
    streams.reshard("clicks", Reshard::Merge { shard: "0".into(), adjacent: "shardId-1".into() }).await.unwrap();
    streams.create(new_stream("more", 6)).await.unwrap();
    assert_eq!(definition(&streams, "load").open_shards().count(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_made_is_refused() {
    let streams = House::new(5).open().await.unwrap();
    let auto = Distribution::Auto;
    for new in [
        new_stream("", 1),
        new_stream("a b", 1),
        new_stream(&"a".repeat(129), 1),
        new_stream("a", 0),
        new_stream("a", 10_001),
        NewDataStream { shards: None, ..new_stream("a", 1) },
        NewDataStream { record_bytes_max: DATA_RECORD_BYTES_DEFAULT - 1, ..new_stream("a", 1) },
        NewDataStream { record_bytes_max: (10 << 20) + 1, ..new_stream("a", 1) },
        NewDataStream { distribution: auto, ..new_stream("a", 1) },
        NewDataStream { warm_mibps: Some(1), ..new_stream("a", 1) },
        NewDataStream { tags: vec![("a\0".into(), String::new())], ..new_stream("a", 1) },
    ] {
        let error = streams.create(new.clone()).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{new:?}");
    }
    assert!(streams.snapshot().is_empty());
}

#[tokio::test(start_paused = true)]
async fn states_last_as_long_as_they_are_told_to() {
    let house = House { settings: settings(Duration::from_secs(2)), ..House::new(6) };
    let streams = house.open().await.unwrap();
    let status = |name: &str| definition(&streams, name).status(house.clock.now_ms());
    for name in ["a", "b", "c", "d", "e"] {
        streams.create(new_stream(name, 1)).await.unwrap();
    }
    assert_eq!(status("a"), Status::Creating);
    let said = "There are 5 streams under account 000000000000 in state CREATING, which is the most there may be.";
    refused(streams.create(new_stream("f", 1)).await.map(drop), Kind::Throttled, said);
    let said = "Stream a under account 000000000000 not ACTIVE, instead in state CREATING";
    refused(streams.reshard("a", split("0", 1 << 100)).await, Kind::Conflict, said);
    refused(tag(&streams, "a", "team").await, Kind::Conflict, said);
    assert_eq!(house.put(&streams, "a", 7).await.unwrap_err().kind(), Kind::NotFound);

    house.clock.sleep(Duration::from_secs(2)).await;
    streams.reshard("a", split("0", 1 << 100)).await.unwrap();
    assert_eq!(status("a"), Status::Updating);
    let said = "Stream a under account 000000000000 not ACTIVE, instead in state UPDATING";
    refused(streams.reshard("a", split("1", 1 << 99)).await, Kind::Conflict, said);
    tag(&streams, "a", "team").await.unwrap();
    house.put(&streams, "a", 7).await.unwrap();

    house.clock.sleep(Duration::from_secs(2)).await;
    streams.delete("a", false).await.unwrap();
    assert_eq!(status("a"), Status::Deleting);
    streams.delete("a", false).await.unwrap();
    refused(
        streams.create(new_stream("a", 1)).await.map(drop),
        Kind::Conflict,
        "Stream a under account 000000000000 already exists.",
    );
    let mut seen = streams.watch();
    seen.wait_for(|all| !all.contains_key("a")).await.unwrap();
    assert_eq!(house.clock.now_ms(), START_MS + 6_000);
    streams.create(new_stream("a", 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_finished_by_the_next_start() {
    let house = House { settings: settings(Duration::from_secs(2)), ..House::new(7) };
    let streams = house.open().await.unwrap();
    streams.create(new_stream("a", 1)).await.unwrap();
    house.clock.sleep(Duration::from_secs(2)).await;
    house.put(&streams, "a", 7).await.unwrap();
    streams.delete("a", false).await.unwrap();
    drop(streams);
    house.disk.crash();
    house.clock.sleep(Duration::from_secs(2)).await;
    assert!(house.journal.disk_bytes() > 0);
    let streams = house.open().await.unwrap();
    assert!(streams.snapshot().is_empty());
    freed(&house).await;
}

/// Waits until the journal is empty.
async fn freed(house: &House) {
    for _ in 0..1_000 {
        if house.journal.disk_bytes() == 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the records of the deleted stream are still there");
}

#[tokio::test(start_paused = true)]
async fn a_stream_made_again_takes_no_old_number_for_its_own() {
    let house = House::new(8);
    let streams = house.open().await.unwrap();
    streams.create(new_stream("a", 1)).await.unwrap();
    // Children are dated ahead of the clock, each generation by a second more.
    for shard in ["0", "1", "3"] {
        streams.reshard("a", split(shard, 1_000_000 >> shard.parse::<u32>().unwrap())).await.unwrap();
    }
    let old = definition(&streams, "a");
    let newest = old.shards.iter().map(|shard| shard.first_sequence().created_s).max();
    assert_eq!(newest, Some(START_MS / 1_000 + 3));
    streams.delete("a", false).await.unwrap();
    house.disk.restart();
    let streams = house.open().await.unwrap();
    let new = streams.create(new_stream("a", 1)).await.unwrap();
    assert_ne!(new.id(), old.id);
    let first = new.definition().unwrap().shards[0].clone();
    assert!(Some(first.first_sequence().created_s) > newest);
    assert_eq!(first.opened_ms, START_MS);
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_consumers_or_readers_is_kept() {
    let house = House::new(9);
    let streams = house.open().await.unwrap();
    let stream = streams.create(new_stream("a", 1)).await.unwrap();
    let settings = streams.settings().clone();
    let registered = streams
        .change("a", move |definition, now_ms| definition.register_consumer("app", Vec::new(), &settings, now_ms));
    let consumer = registered.await.unwrap();
    assert_eq!(
        consumer.arn("a", streams.settings()),
        "arn:aws:kinesis:us-east-1:000000000000:stream/a/consumer/app:1700000000"
    );
    let said = "Stream a under account 000000000000 has 1 registered consumers: deregister them first, or enforce \
                their deletion.";
    refused(streams.delete("a", false).await, Kind::Conflict, said);
    let settings = streams.settings().clone();
    let name = "app:1700000000";
    streams.change("a", move |definition, _| definition.deregister_consumer(name, &settings)).await.unwrap();

    let pin = streams.pin(stream.id(), crate::record::StreamId(5));
    let said = "Stream a under account 000000000000 is the source of 1 delivery streams: delete these first, or enforce \
                its deletion.";
    refused(streams.delete("a", false).await, Kind::Conflict, said);
    pin.release();
    streams.delete("a", false).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn closed_shards_are_forgotten_only_after_their_retention() {
    let house = House::new(10);
    let streams = house.open().await.unwrap();
    let id = streams.create(new_stream("a", 1)).await.unwrap().id();
    streams.reshard("a", split("0", 1 << 100)).await.unwrap();
    let indexes = || definition(&streams, "a").shards.iter().map(|shard| shard.index).collect::<Vec<_>>();
    streams.forget_shards(id, vec![0, 1, 9]).await.unwrap();
    assert_eq!(indexes(), [0, 1, 2]);
    house.clock.sleep(Duration::from_hours(24) + Duration::from_millis(1)).await;
    streams.forget_shards(id, vec![0, 1, 9]).await.unwrap();
    assert_eq!(indexes(), [1, 2]);
    streams.gone(id).await.unwrap();
    assert_eq!(indexes(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn the_shards_of_a_stream_count_from_when_it_becomes_provisioned() {
    let house = House::new(1);
    let streams = house.open().await.unwrap();
    streams.create(NewDataStream { mode: Mode::OnDemand, shards: None, ..new_stream("demand", 1) }).await.unwrap();
    let provision = async || {
        let settings = streams.settings().clone();
        let set =
            move |definition: &mut Definition, now_ms| definition.set_mode(Mode::Provisioned, None, &settings, now_ms);
        streams.change("demand", set).await
    };
    streams.create(new_stream("full", 17)).await.unwrap();
    assert_eq!(provision().await.unwrap_err().kind(), Kind::Throttled, "it has 4, and 20 are the most");
    assert_eq!(definition(&streams, "demand").mode, Mode::OnDemand);
    streams.delete("full", false).await.unwrap();
    streams.create(new_stream("full", 16)).await.unwrap();
    provision().await.unwrap();
    provision().await.unwrap();
}
