//! Retention, pins, forgotten shards, vanished streams, on-demand streams, and how a stream stands.

use super::super::lineage::Step;
use super::super::owner::Change;
use super::super::rig::{Rig, START_MS, inside};
use super::super::{Consumer, ConsumerStands, PinStands};
use super::*;
use crate::journal::Journal;
use crate::limits::{DEMAND_HOT_LOOKS, SUBSCRIPTION_TAKEOVER_AFTER};

const MINUTE: Duration = Duration::from_mins(1);

async fn start_of(rig: &Rig, shard: u32) -> u64 {
    rig.journal.extent(rig.stream.shard_id(shard)).await.unwrap().start
}

#[tokio::test(start_paused = true)]
async fn records_over_their_retention_are_let_go_and_counted() {
    let rig = Rig::kept(1, MINUTE);
    rig.put(None, &[(0, "a"), (0, "b")]).await;
    rig.clock.sleep(Duration::from_secs(30)).await;
    rig.put(None, &[(0, "c")]).await;
    rig.clock.sleep(Duration::from_secs(29)).await;
    assert_eq!(start_of(&rig, 0).await, 0);
    rig.clock.sleep(Duration::from_secs(6)).await;
    assert_eq!(start_of(&rig, 0).await, 2);
    rig.clock.sleep(MINUTE).await;
    assert_eq!((start_of(&rig, 0).await, rig.stream.stands().await.unwrap().expired), (3, 3));
    // Asleep by now; the next put wakes it.
    rig.clock.sleep(Duration::from_hours(5)).await;
    rig.put(None, &[(0, "d")]).await;
    rig.clock.sleep(MINUTE + Duration::from_secs(6)).await;
    assert_eq!(start_of(&rig, 0).await, 4);
}

#[tokio::test(start_paused = true)]
async fn a_retention_of_a_second_frees_within_a_second_more() {
    let rig = Rig::kept(1, Duration::from_secs(1));
    rig.put(None, &[(0, "a")]).await;
    rig.clock.sleep(Duration::from_millis(1_600)).await;
    assert_eq!(rig.journal.disk_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_before_all_is_settled_nor_while_a_delivery_stream_needs_it() {
    let rig = Rig::new(1);
    rig.change(|definition| definition.retention = MINUTE);
    spawn(&rig.streams);
    rig.put(None, &[(0, "a"), (0, "b"), (0, "c")]).await;
    rig.clock.sleep(3 * MINUTE).await;
    assert_eq!(start_of(&rig, 0).await, 0, "who holds what is not known yet");
    let pin = rig.streams.pin(rig.stream.id(), StreamId(7));
    pin.past(0, 1);
    rig.streams.settled();
    rig.clock.sleep(MINUTE).await;
    assert_eq!(start_of(&rig, 0).await, 1);
    drop(pin);
    rig.clock.sleep(MINUTE).await;
    assert_eq!(start_of(&rig, 0).await, 1, "a pipeline that restarts keeps its hold");
    rig.streams.pin(rig.stream.id(), StreamId(7)).release();
    rig.clock.sleep(MINUTE).await;
    assert_eq!(start_of(&rig, 0).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_longer_retention_is_heard_of_at_once() {
    let rig = Rig::kept(1, MINUTE);
    rig.put(None, &[(0, "a")]).await;
    rig.clock.sleep(MINUTE / 2).await;
    rig.change(|definition| definition.retention = 10 * MINUTE);
    rig.clock.sleep(9 * MINUTE).await;
    assert_eq!(start_of(&rig, 0).await, 0);
    rig.change(|definition| definition.retention = MINUTE);
    rig.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(start_of(&rig, 0).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_is_forgotten_once_nobody_can_ask_for_it() {
    let mut rig = Rig::kept(1, MINUTE);
    let pin = rig.streams.pin(rig.stream.id(), StreamId(7));
    rig.put(None, &[(0, "a")]).await;
    rig.reshard(&[Step::Split { shard: 0, start: inside(0, 1) }]).await;
    rig.clock.sleep(2 * MINUTE).await;
    assert!(!rig.asked_by_now(), "the delivery stream has not read it");
    pin.past(0, 1);
    let Change::ForgetShards { id, shards } = rig.asked().await else { panic!("something else was asked") };
    assert_eq!((id, shards), (rig.stream.id(), vec![0]));
    assert_eq!(start_of(&rig, 0).await, 1);
}

/// A rescale leaves shards that never had a record. Were they forgotten while a delivery stream still reads their parent,
/// it would take what became of them for something that comes after nothing, and deliver it first.
#[tokio::test(start_paused = true)]
async fn what_stands_between_a_shard_that_is_held_and_its_descendants_is_not_forgotten() {
    let mut rig = Rig::kept(1, MINUTE);
    let pin = rig.streams.pin(rig.stream.id(), StreamId(7));
    rig.put(None, &[(0, "a")]).await;
    let steps = [Step::Split { shard: 0, start: inside(0, 1) }, Step::Merge { lower: 1, upper: 2 }];
    rig.reshard(&steps).await;
    rig.clock.sleep(3 * MINUTE).await;
    assert!(!rig.asked_by_now(), "the delivery stream has not read their parent");
    pin.past(0, 1);
    let Change::ForgetShards { shards, .. } = rig.asked().await else { panic!("something else was asked") };
    assert_eq!(shards, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_that_lost_its_tail_is_forgotten_like_another() {
    let mut rig = Rig::kept(1, MINUTE);
    rig.put(None, &[(0, "a")]).await;
    rig.reshard(&[Step::Split { shard: 0, start: inside(0, 1) }]).await;
    rig.change(|definition| definition.shards[0].closed.as_mut().unwrap().end = 3);
    assert_eq!(rig.stream.stands().await.unwrap().shards[0].end, 1, "what is lost is not shown as held");
    let asked = rig.clock.clone().within(10 * MINUTE, rig.asked()).await;
    assert!(matches!(asked, Some(Change::ForgetShards { shards, .. }) if shards == [0]));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_vanished_goes_with_its_last_record() {
    let mut rig = Rig::kept(2, MINUTE);
    rig.put(None, &[(0, "a")]).await;
    rig.change(|definition| definition.vanished_ms = Some(START_MS));
    rig.clock.sleep(MINUTE / 2).await;
    assert!(!rig.asked_by_now());
    assert!(matches!(rig.asked().await, Change::Gone { id } if id == rig.stream.id()));
    assert!(rig.clock.now_ms() >= START_MS + 60_000);
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_last_handle() {
    let rig = Rig::kept(1, MINUTE);
    let shared = Arc::downgrade(&rig.streams.shared);
    rig.clock.sleep(MINUTE).await;
    drop(rig);
    tokio::task::yield_now().await;
    assert!(shared.upgrade().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_shards_of_an_on_demand_stream_follow_a_lasting_load() {
    // No keeper here: we look ourselves.
    let rig = Rig::new(4);
    rig.change(|definition| definition.mode = Mode::OnDemand);
    let definition = rig.stream.definition().unwrap();
    let (mut kept, hot) = (kept_of(&definition), inside(1, 4));
    let now = || rig.clock.now_ms();
    assert_eq!(kept.look(&rig.stream, now()).await, None, "idle: until the next put");
    for _ in 0..60 {
        rig.put(None, &vec![(hot, "x"); 600]).await;
        rig.clock.sleep(Duration::from_secs(1)).await;
    }
    let loads = rig.stream.loads(&definition);
    assert_eq!(loads.iter().map(|load| load.rate.records_per_second).collect::<Vec<_>>(), [0, 600, 0, 0]);
    let mut patience = Patience::default();
    let step = (0..DEMAND_HOT_LOOKS).find_map(|_| patience.look(&loads, 4));
    assert!(matches!(step, Some(Step::Split { shard: 1, .. })), "{step:?}");
    assert_eq!(kept.look(&rig.stream, now()).await, Some(now() + 10_000));
}

fn kept_of(definition: &Arc<Definition>) -> Kept {
    Kept { definition: definition.clone(), trim_due: None, look_due: None, patience: Patience::default() }
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_how_it_stands() {
    let rig = Rig::kept(2, Duration::from_hours(24));
    let consumer = Consumer { name: "fan".into(), created_ms: START_MS, tags: Vec::new(), policy: None };
    rig.change(|definition| definition.consumers.push(consumer));
    let pin = rig.streams.pin(rig.stream.id(), StreamId(7));
    rig.put(None, &[(0, "a"), (0, "b"), (u128::MAX, "c")]).await;
    pin.past(0, 1);
    let _subscription = rig.stream.subscribe("fan", 1).unwrap();
    rig.clock.sleep(Duration::from_secs(1)).await;
    let stands = rig.stream.stands().await.unwrap();
    let ends: Vec<_> = stands.shards.iter().map(|shard| (shard.index, shard.open, shard.start, shard.end)).collect();
    assert_eq!(ends, [(0, true, 0, 2), (1, true, 0, 1)]);
    assert_eq!((stands.shards[0].oldest_ms, stands.shards[0].rate.records_per_second), (Some(START_MS), 2));
    assert_eq!(stands.pins, [PinStands { by: StreamId(7), behind: 2 }]);
    assert_eq!(stands.consumers, [ConsumerStands { name: "fan".into(), shards: vec![1] }]);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_end_with_their_consumer_and_are_taken_over_by_the_next() {
    let rig = Rig::kept(1, MINUTE);
    assert_eq!(rig.stream.subscribe("fan", 0).err().map(|error| error.kind()), Some(Kind::NotFound));
    let consumer = Consumer { name: "fan".into(), created_ms: START_MS, tags: Vec::new(), policy: None };
    rig.change(|definition| definition.consumers.push(consumer));
    assert_eq!(rig.stream.subscribe("fan", 9).err().map(|error| error.kind()), Some(Kind::NotFound));
    let first = rig.stream.subscribe("fan", 0).unwrap();
    let error = rig.stream.subscribe("fan", 0).err().unwrap();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.message().contains("000000000000:clicks:fan:shardId-000000000000"), "{error}");
    rig.clock.sleep(SUBSCRIPTION_TAKEOVER_AFTER).await;
    let second = rig.stream.subscribe("fan", 0).unwrap();
    assert!(first.over().is_cancelled());
    drop(first);
    assert!(!second.over().is_cancelled());
    rig.change(|definition| definition.consumers.clear());
    second.over().cancelled().await;
}
