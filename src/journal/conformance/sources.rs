//! What data streams need of a journal: keys, checkpoints, times, and calls that are asked for.

use super::*;
use crate::journal::Checkpoint;
use crate::limits::{CHECKPOINT_BYTES_MAX, CHECKPOINT_SOURCE_BYTES_MAX, CHECKPOINT_SOURCES_MAX};
use crate::record::Keys;

/// The part of the suite that is here.
pub(super) async fn suite(journal: &dyn Journal, clock: &Clock) {
    keys_are_read_back(journal).await;
    bad_keys_and_checkpoints_are_refused(journal).await;
    the_newest_checkpoint_of_each_source_is_kept(journal).await;
    a_put_that_is_not_stored_moves_no_checkpoint(journal, clock).await;
    a_put_whose_caller_went_away_moves_its_checkpoint(journal).await;
    times_are_found(journal).await;
    calls_are_recalled(journal, clock).await;
}

/// A put whose records have keys: that of `x` is `key-of-x`.
pub(in crate::journal) fn keyed(text: &str) -> Append {
    let mut append = put(text);
    let keys: Vec<String> = text.split(' ').map(|record| format!("key-of-{record}")).collect();
    let Records { ends, data, .. } = Records::from_slices(0, &keys);
    append.records.keys = Some(Keys { ends, data });
    append
}

/// A put with a checkpoint.
pub(in crate::journal) fn copied(text: &str, source: &str, at: &str) -> Append {
    let checkpoint = Checkpoint { source: source.to_owned(), at: at.to_owned().into() };
    Append { checkpoint: Some(checkpoint), ..put(text) }
}

/// The checkpoints of a shard, as text.
pub(in crate::journal) async fn checkpoints(journal: &dyn Journal, shard: ShardId) -> Vec<(String, String)> {
    let checkpoints = journal.checkpoints(shard).await.unwrap();
    checkpoints.into_iter().map(|(source, at)| (source, String::from_utf8(at.to_vec()).unwrap())).collect()
}

pub(in crate::journal) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(source, at)| ((*source).to_owned(), (*at).to_owned())).collect()
}

async fn keys_are_read_back(journal: &dyn Journal) {
    let shard = shard(20, 0);
    let puts = [keyed("a bb"), put("c"), keyed("d  f"), keyed("")];
    for put in &puts {
        journal.append(shard, put.clone()).await.unwrap();
    }
    let all: Vec<_> = puts.iter().map(|put| put.records.clone()).collect();
    assert_eq!(journal.read(shard, 0, 10_000).await.unwrap().puts, all);
    assert_eq!(journal.read(shard, 1, 0).await.unwrap().puts, [all[0].slice(1, 2)]);
    let cut = journal.read(shard, 4, 10_000).await.unwrap();
    assert_eq!(cut.puts, [all[2].slice(1, 3), all[3].clone()]);
    let keys = cut.puts[0].keys.as_ref().unwrap();
    assert_eq!((keys.get(0), keys.get(1)), (&b"key-of-"[..], &b"key-of-f"[..]));
}

async fn bad_keys_and_checkpoints_are_refused(journal: &dyn Journal) {
    let shard = shard(21, 0);
    let with_keys = |ends: Vec<u32>, bytes: usize| {
        let mut append = put("a b");
        append.records.keys = Some(Keys { ends, data: vec![b'k'; bytes].into() });
        append
    };
    let long = |bytes: usize| "x".repeat(bytes);
    let most = INGEST_RECORDS_BYTES_MAX - 1;
    let bad = [
        (with_keys(vec![1], 1), "1 keys for its 2 records"),
        (with_keys(vec![], 0), "0 keys for its 2 records"),
        (with_keys(vec![1, 2, 3], 3), "3 keys for its 2 records"),
        (with_keys(vec![2, 1], 1), "do not divide its 1 bytes of keys"),
        (with_keys(vec![1, 2], 3), "do not divide its 3 bytes of keys"),
        (with_keys(vec![1, 4], 3), "do not divide its 3 bytes of keys"),
        (with_keys(vec![0, most as u32], most), "16777217 bytes, at most 16777216"),
        (copied("a", "", "1"), "source has 0 bytes"),
        (copied("a", &long(CHECKPOINT_SOURCE_BYTES_MAX + 1), "1"), "source has 257 bytes"),
        (copied("a", "s", &long(CHECKPOINT_BYTES_MAX + 1)), "checkpoint has 1025 bytes, at most 1024"),
    ];
    for (put, says) in bad {
        let error = journal.append(shard, put).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.message().contains(says), "{error}");
    }
    assert_eq!(journal.extent(shard).await.unwrap(), Extent::default());
    let (source, at) = (long(CHECKPOINT_SOURCE_BYTES_MAX), long(CHECKPOINT_BYTES_MAX));
    journal.append(shard, copied("a", &source, &at)).await.unwrap();
    journal.append(shard, with_keys(vec![0, 0], 0)).await.unwrap();
    assert_eq!(checkpoints(journal, shard).await, pairs(&[(&source, &at)]));
}

async fn the_newest_checkpoint_of_each_source_is_kept(journal: &dyn Journal) {
    let shards = [shard(22, 0), shard(22, 1)];
    assert_eq!(checkpoints(journal, shards[0]).await, []);
    for (text, source, at) in [("a", "one", "1"), ("b", "two", "1"), ("c d", "one", "2")] {
        journal.append(shards[0], copied(text, source, at)).await.unwrap();
    }
    journal.append(shards[0], put("e")).await.unwrap();
    journal.append(shards[1], copied("x", "one", "9")).await.unwrap();
    let expected = pairs(&[("one", "2"), ("two", "1")]);
    assert_eq!(checkpoints(journal, shards[0]).await, expected);
    assert_eq!(checkpoints(journal, shards[1]).await, pairs(&[("one", "9")]));
    journal.trim(shards[0], 99).await.unwrap();
    assert_eq!(checkpoints(journal, shards[0]).await, expected, "they outlive the records");
    journal.append(shards[0], copied("f", "two", "")).await.unwrap();
    journal.append(shards[0], copied("g", "three", "")).await.unwrap();
    assert_eq!(checkpoints(journal, shards[0]).await, pairs(&[("one", "2")]), "an empty one forgets its source");
    journal.append(shards[0], copied("h", "two", "5")).await.unwrap();
    assert_eq!(checkpoints(journal, shards[0]).await, pairs(&[("one", "2"), ("two", "5")]));
}

async fn a_put_that_is_not_stored_moves_no_checkpoint(journal: &dyn Journal, clock: &Clock) {
    let shard = shard(23, 0);
    let named = |put: Append| {
        let records = Records { arrived_ms: clock.now_ms(), ..put.records };
        Append { call: Some(CallId([7; 16])), records, ..put }
    };
    journal.append(shard, named(copied("a", "s", "1"))).await.unwrap();
    let error = journal.append(shard, Append { bytes_max: Some(1), ..copied("b", "s", "2") }).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(journal.append(shard, named(copied("a", "s", "3"))).await.unwrap().repeated);
    assert_eq!(checkpoints(journal, shard).await, pairs(&[("s", "1")]));
}

/// An importer that is started anew asks where to go on while a put of the one before is under way.
async fn a_put_whose_caller_went_away_moves_its_checkpoint(journal: &dyn Journal) {
    let shard = shard(27, 0);
    let mut append = Box::pin(journal.append(shard, copied("a", "s", "1")));
    let _ = futures_util::poll!(&mut append);
    drop(append);
    assert_eq!(checkpoints(journal, shard).await, pairs(&[("s", "1")]));
    assert_eq!(texts(journal, shard, 0, 100).await, ["a"]);
}

async fn times_are_found(journal: &dyn Journal) {
    let shard = shard(24, 0);
    assert_eq!(journal.position_at(shard, 5).await.unwrap(), 0, "a shard that was never written");
    // Two records each, and enough bytes for several marks; two puts come at the same time.
    let arrival = |number: u64| 10_000 + number / 2 * 10;
    for number in 0..40 {
        let mut append = put(&format!("{number} {}", "x".repeat(20_000)));
        append.records.arrived_ms = arrival(number);
        journal.append(shard, append).await.unwrap();
    }
    for trimmed in [0, 1, 14, 33, 79, 80] {
        journal.trim(shard, trimmed).await.unwrap();
        for arrived_ms in (9_990..10_210).step_by(5).chain([0, u64::MAX]) {
            let first = (0..40).find(|number| arrival(*number) >= arrived_ms && 2 * number + 2 > trimmed);
            let expected = first.map_or(80, |number| (2 * number).max(trimmed));
            let found = journal.position_at(shard, arrived_ms).await.unwrap();
            assert_eq!(found, expected, "{arrived_ms} from {trimmed} on");
        }
    }
}

async fn calls_are_recalled(journal: &dyn Journal, clock: &Clock) {
    let (one, other) = (shard(25, 0), shard(25, 1));
    let call = CallId([3; 16]);
    assert_eq!(journal.recall(one, call).await.unwrap(), None);
    journal.append(one, put("x")).await.unwrap();
    assert_eq!(journal.recall(one, call).await.unwrap(), None);
    let mut append = put("a b");
    append.records.arrived_ms = clock.now_ms();
    append.call = Some(call);
    let (appended, recalled) = tokio::join!(biased; journal.append(one, append), journal.recall(one, call));
    let span = Span { shard: one, start: 1, end: 3 };
    assert_eq!((appended.unwrap().span, recalled.unwrap()), (span, Some(span)), "one in flight is waited for");
    assert_eq!(journal.recall(one, call).await.unwrap(), Some(span));
    assert_eq!(journal.recall(one, CallId([4; 16])).await.unwrap(), None);
    assert_eq!(journal.recall(other, call).await.unwrap(), None, "a call is known by its shard");
}

/// A shard keeps checkpoints of so many sources and no more. Apart from the suite, for it takes many puts.
pub(in crate::journal) async fn sources_are_bounded(journal: &dyn Journal) {
    let id = shard(26, 0);
    for first in (0..CHECKPOINT_SOURCES_MAX).step_by(2_000) {
        let puts = (first..first + 2_000).map(|number| journal.append(id, copied("a", &number.to_string(), "1")));
        futures_util::future::try_join_all(puts).await.unwrap();
    }
    let error = journal.append(id, copied("a", "one more", "1")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("20000") && error.message().contains("one more"), "{error}");
    journal.append(id, copied("a", "7", "2")).await.unwrap();
    journal.append(id, copied("a", "one more", "")).await.unwrap();
    journal.append(id, copied("a", "8", "")).await.unwrap();
    // Two at once, and room for one: whichever comes first.
    let (first, second) = tokio::join!(biased; journal.append(id, copied("a", "one more", "1")), journal.append(id, copied("a", "two more", "1")));
    assert_eq!((first.is_ok(), second.unwrap_err().kind()), (true, Kind::Invalid));
    journal.append(shard(26, 1), copied("a", "another shard", "1")).await.unwrap();
    assert_eq!(journal.checkpoints(id).await.unwrap().len(), CHECKPOINT_SOURCES_MAX);
}
