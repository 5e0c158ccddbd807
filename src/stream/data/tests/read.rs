//! Where readers begin, what they get, and what they are told.

use super::super::lineage::Step;
use super::super::rig::{Rig, START_MS, inside, place, texts};
use super::*;
use crate::journal::Journal;

const ALL: ReadLimit = ReadLimit { records: 1_000, bytes: 1 << 20 };

fn of(records: &[&str]) -> Vec<(u128, String)> {
    records.iter().map(|text| (0, (*text).to_owned())).collect()
}

async fn put(rig: &Rig, records: &[&str]) -> Vec<SequenceNumber> {
    let owned = of(records);
    let borrowed: Vec<_> = owned.iter().map(|(hash, text)| (*hash, &**text)).collect();
    let placed = rig.put(None, &borrowed).await;
    let shard = rig.stream.definition().unwrap().shard(place(&placed[0]).0).unwrap().clone();
    placed.iter().map(|one| shard.sequence(place(one).1 - 1, rig.clock.now_ms())).collect()
}

#[tokio::test(start_paused = true)]
async fn every_way_to_begin() {
    let rig = Rig::new(1);
    let numbers = put(&rig, &["a", "b"]).await;
    rig.clock.sleep(Duration::from_secs(10)).await;
    put(&rig, &["c"]).await;
    let first = rig.stream.definition().unwrap().shards[0].first_sequence();
    let table = [
        (Start::TrimHorizon, 0),
        (Start::Latest, 3),
        (Start::At(numbers[1]), 1),
        (Start::After(numbers[1]), 2),
        (Start::At(first), 0),
        (Start::After(first), 0),
        (Start::Time(0), 0),
        (Start::Time(START_MS), 0),
        (Start::Time(START_MS + 1), 2),
        (Start::Time(START_MS + 10_000), 2),
    ];
    for (start, position) in table {
        assert_eq!(rig.stream.start(0, start).await.unwrap(), position, "{start:?}");
    }
    rig.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.stream.start(0, Start::Time(START_MS + 10_500)).await.unwrap(), 3, "nothing came since");
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_has_an_end_to_begin_at() {
    let rig = Rig::new(1);
    let numbers = put(&rig, &["a", "b"]).await;
    rig.reshard(&[Step::Split { shard: 0, start: 1 << 127 }]).await;
    let last = rig.stream.definition().unwrap().shards[0].last_sequence().unwrap();
    for start in [Start::Latest, Start::At(last), Start::After(last), Start::After(numbers[1])] {
        assert_eq!(rig.stream.start(0, start).await.unwrap(), 2, "{start:?}");
    }
    let read = rig.read(0, 2).await;
    assert!(read.ended && read.puts.is_empty() && read.behind_ms == 0 && read.next == 2);
    let read = rig.read(0, 0).await;
    assert!(read.ended && texts(&read) == ["a", "b"], "told with the last record");
}

#[tokio::test(start_paused = true)]
async fn numbers_of_elsewhere_are_refused_in_awss_words() {
    let rig = Rig::new(2);
    let number = put(&rig, &["a"]).await[0];
    let written = |number: SequenceNumber| {
        let mut digits = Vec::new();
        number.write(&mut digits);
        String::from_utf8(digits).unwrap()
    };
    let foreign = SequenceNumber { created_s: number.created_s - 1, ..number };
    let future = SequenceNumber { index: number.index + 1, ..number };
    let end = SequenceNumber { index: 0x7fff_ffff_ffff_ffff, ..number };
    let used = "used in GetShardIterator on shard shardId-000000000000 in stream clicks under account 000000000000";
    let now = START_MS;
    let table = [
        (
            1,
            Start::At(number),
            "Invalid StartingSequenceNumber. It encodes shardId-000000000000, while it was used in a call to a shard with \
             shardId-000000000001"
                .to_owned(),
        ),
        (
            0,
            Start::At(foreign),
            format!(
                "StartingSequenceNumber {} {used} is invalid because it did not come from this stream.",
                written(foreign)
            ),
        ),
        (0, Start::At(future), format!("StartingSequenceNumber {} {used} is invalid.", written(future))),
        (0, Start::After(end), format!("StartingSequenceNumber {} {used} is invalid.", written(end))),
        (
            0,
            Start::Time(now + 1),
            format!(
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: \
                 {}, currentTimestampInMillis: {now}",
                now + 1
            ),
        ),
    ];
    for (shard, start, message) in table {
        let error = rig.stream.start(shard, start).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::Invalid, &*message));
    }
    let error = rig.stream.start(7, Start::Latest).await.unwrap_err();
    let message = "Shard shardId-000000000007 in stream clicks under account 000000000000 does not exist";
    assert_eq!((error.kind(), error.message()), (Kind::NotFound, message));
}

#[tokio::test(start_paused = true)]
async fn reads_are_cut_by_records_and_by_bytes_and_bring_one_at_least() {
    let rig = Rig::new(1);
    put(&rig, &["aaa", "bbb", "ccc"]).await;
    put(&rig, &["ddd"]).await;
    rig.clock.sleep(Duration::from_secs(3)).await;
    // Each record has three bytes and a key of one.
    let table = [
        (0, 1_000, 1, &["aaa"][..], 3_000),
        (0, 1_000, 8, &["aaa", "bbb"], 3_000),
        (0, 2, 1_000, &["aaa", "bbb"], 3_000),
        (0, 0, 1_000, &["aaa"], 3_000),
        (1, 1_000, 11, &["bbb", "ccc"], 3_000),
        (1, 1_000, 12, &["bbb", "ccc", "ddd"], 0),
        (0, 3, 1_000, &["aaa", "bbb", "ccc"], 3_000),
        (3, 1_000, 1_000, &["ddd"], 0),
        (4, 1_000, 1_000, &[], 0),
    ];
    for (position, records, bytes, wanted, behind_ms) in table {
        let read = rig.stream.read(0, position, ReadLimit { records, bytes }).await.unwrap();
        assert_eq!(texts(&read), wanted, "{records} records, {bytes} bytes from {position}");
        assert_eq!((read.first, read.next), (position, position + wanted.len() as u64));
        assert_eq!((read.behind_ms, read.ended, read.missed), (behind_ms, false, 0), "from {position}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_falls_behind_retention_is_told_how_much_is_gone() {
    let rig = Rig::new(1);
    rig.change(|definition| definition.retention = Duration::from_mins(1));
    put(&rig, &["a", "b"]).await;
    rig.clock.sleep(Duration::from_secs(59)).await;
    put(&rig, &["c"]).await;
    assert_eq!(rig.read(0, 0).await.missed, 0);
    rig.clock.sleep(Duration::from_secs(3)).await;
    let read = rig.read(0, 1).await;
    assert_eq!((read.first, read.missed, texts(&read)), (2, 1, vec!["c".to_owned()]));
    assert_eq!(rig.stream.start(0, Start::TrimHorizon).await.unwrap(), 2);
    assert_eq!(rig.stream.start(0, Start::Time(0)).await.unwrap(), 2);

    rig.journal.trim(rig.stream.shard_id(0), 3).await.unwrap();
    let read = rig.read(0, 0).await;
    assert_eq!((read.first, read.missed, read.behind_ms), (3, 3, 0));
    rig.reshard(&[Step::Split { shard: 0, start: 1 << 127 }]).await;
    let read = rig.read(0, 1).await;
    assert_eq!((read.next, read.missed, read.ended), (3, 2, true), "also where nothing is left");
}

#[tokio::test(start_paused = true)]
async fn what_a_delivery_stream_holds_can_be_read() {
    let rig = Rig::new(1);
    rig.change(|definition| definition.retention = Duration::from_mins(1));
    let pin = rig.streams.pin(rig.stream.id(), crate::record::StreamId(7));
    put(&rig, &["a", "b"]).await;
    rig.clock.sleep(Duration::from_hours(1)).await;
    pin.past(0, 1);
    let read = rig.read(0, 0).await;
    assert_eq!((texts(&read), read.missed), (vec!["b".to_owned()], 1));
    pin.release();
    assert_eq!(rig.read(0, 1).await.missed, 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_woken_by_a_record_by_the_end_of_the_shard_and_by_its_removal() {
    let rig = Rig::new(1);
    let stream = rig.stream.clone();
    let waiting = |position| {
        let stream = stream.clone();
        tokio::spawn(async move { stream.grown(0, position).await })
    };
    let (record, end) = (waiting(0), waiting(1));
    tokio::task::yield_now().await;
    put(&rig, &["a"]).await;
    record.await.unwrap().unwrap();
    rig.change(|definition| definition.tags.push(("a".into(), "b".into())));
    tokio::task::yield_now().await;
    assert!(!end.is_finished(), "another change is none of its concern");
    rig.reshard(&[Step::Split { shard: 0, start: inside(0, 1) }]).await;
    end.await.unwrap().unwrap();
    rig.stream.grown(0, 5).await.unwrap();

    let stream = rig.stream.clone();
    let child = tokio::spawn(async move { stream.grown(1, 0).await });
    tokio::task::yield_now().await;
    rig.remove();
    assert_eq!(child.await.unwrap().unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_being_made_has_no_shards_to_read() {
    let rig = Rig::new(1);
    rig.change(|definition| definition.passing = Some((Status::Creating, START_MS + 1_000)));
    assert_eq!(rig.stream.start(0, Start::Latest).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(rig.stream.read(0, 0, ALL).await.unwrap_err().kind(), Kind::NotFound);
    rig.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.stream.start(0, Start::Latest).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_that_lost_its_tail_comes_to_its_end_all_the_same() {
    let rig = Rig::new(1);
    put(&rig, &["a", "b"]).await;
    rig.reshard(&[Step::Split { shard: 0, start: 1 << 127 }]).await;
    rig.change(|definition| definition.shards[0].closed.as_mut().unwrap().end = 5);
    // Nobody waits for what will never come.
    rig.clock.within(Duration::from_secs(1), rig.stream.grown(0, 2)).await.expect("the end is there").unwrap();
    let read = rig.read(0, 1).await;
    assert_eq!((texts(&read), read.next, read.ended, read.damaged), (vec!["b".to_owned()], 2, false, 0));
    for (position, damaged) in [(2, 3), (4, 1), (5, 0)] {
        let read = rig.read(0, position).await;
        assert_eq!((read.first, read.next, read.ended), (5, 5, true), "from {position}");
        assert_eq!((read.missed, read.damaged, read.puts.len()), (0, damaged, 0), "from {position}");
    }
}
