//! Routing, order, sizes, retries across splits and merges, throttling.

use std::time::Duration;

use proptest::prelude::*;

use super::super::lineage::Step;
use super::super::rig::{Rig, START_MS, inside, place, refused, repeated};
use super::super::{Status, hash_of};
use super::*;

#[tokio::test(start_paused = true)]
async fn each_record_goes_where_its_hash_says_and_answers_keep_the_order() {
    let rig = Rig::new(3);
    let [low, middle, high] = [0, 1, 2].map(|at| inside(at, 3));
    let placed =
        rig.put(None, &[(high, "a"), (low, "b"), (high, "c"), (middle, "d"), (u128::MAX, "e"), (0, "f")]).await;
    let stood: Vec<_> = placed.iter().map(place).map(|(shard, index, _)| (shard, index)).collect();
    assert_eq!(stood, [(2, 1), (0, 1), (2, 2), (1, 1), (2, 3), (0, 2)]);
    assert_eq!(rig.texts(2).await, ["a", "c", "e"]);
    assert_eq!(rig.texts(0).await, ["b", "f"]);
    let read = rig.read(2, 0).await;
    assert_eq!(read.puts[0].keys.as_ref().unwrap().get(1), b"k");
    assert_eq!(read.puts[0].arrived_ms, START_MS);
}

#[tokio::test(start_paused = true)]
async fn a_record_over_the_size_refuses_the_call_and_nothing_is_stored() {
    let rig = Rig::new(2);
    rig.change(|definition| definition.record_bytes_max = 4);
    let error = rig.stream.put(rig.call(None, &[(0, "abc"), (0, "abcd")])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(
        error.message(),
        "Record 1 has 5 bytes with its partition key, at most 4 are taken by stream clicks under account 000000000000."
    );
    assert!(rig.texts(0).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_no_puts_is_not_found() {
    let rig = Rig::new(1);
    let refused = |message: &str| message == "Stream clicks under account 000000000000 not found.";
    for status in [Status::Creating, Status::Deleting] {
        rig.change(|definition| definition.passing = Some((status, u64::MAX)));
        let error = rig.stream.put(rig.call(None, &[(0, "a")])).await.unwrap_err();
        assert!(error.kind() == Kind::NotFound && refused(error.message()), "{status:?}: {error}");
    }
    rig.change(|definition| definition.passing = Some((Status::Updating, u64::MAX)));
    rig.put(None, &[(0, "a")]).await;
    rig.change(|definition| definition.vanished_ms = Some(START_MS));
    assert_eq!(rig.stream.put(rig.call(None, &[(0, "a")])).await.unwrap_err().kind(), Kind::NotFound);
    rig.remove();
    assert_eq!(rig.stream.put(rig.call(None, &[(0, "a")])).await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_answered_as_the_first_call_was_after_a_split_and_a_merge() {
    let rig = Rig::new(2);
    let records = [(inside(0, 4), "a"), (inside(2, 4), "b"), (inside(1, 4), "c")];
    let first = rig.put(Some(1), &records).await;
    rig.clock.sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.put(Some(1), &records).await, repeated(&first), "before any change");
    rig.reshard(&[Step::Split { shard: 0, start: inside(1, 4) - 5 }]).await;
    assert_eq!(rig.put(Some(1), &records).await, repeated(&first), "after a split");
    let later = rig.put(Some(2), &records).await;
    assert_eq!(later.iter().map(place).map(|(shard, ..)| shard).collect::<Vec<_>>(), [2, 1, 3]);
    rig.reshard(&[Step::Merge { lower: 3, upper: 1 }]).await;
    rig.reshard(&[Step::Merge { lower: 2, upper: 4 }]).await;
    assert_eq!(rig.put(Some(1), &records).await, repeated(&first), "after a merge of children with another shard");
    assert_eq!(rig.put(Some(2), &records).await, repeated(&later));
    assert!(rig.texts(4).await.is_empty() && rig.texts(5).await.is_empty());
    rig.clock.sleep(CALL_MEMORY + Duration::from_secs(6)).await;
    let new = rig.put(Some(1), &records).await;
    assert!(new.iter().map(place).all(|(shard, ..)| shard == 5), "so late it is another call");
}

#[tokio::test(start_paused = true)]
async fn a_retry_stores_what_the_first_call_did_not() {
    let rig = Rig::new(2);
    let (low, high) = (inside(0, 2), inside(1, 2));
    // The first attempt got no further than one of its shards.
    let part = rig.put(Some(1), &[(low, "a")]).await;
    rig.reshard(&[Step::Merge { lower: 0, upper: 1 }]).await;
    let whole = [(low, "a"), (high, "b")];
    let second = rig.put(Some(1), &whole).await;
    assert_eq!((second[0], place(&second[1]).0), (repeated(&part)[0], 2));
    assert_eq!(rig.put(Some(1), &whole).await, repeated(&second));
    assert_eq!(rig.texts(2).await, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn where_we_choose_a_retry_finds_its_shard_also_after_a_change() {
    let rig = Rig::new(3);
    rig.change(|definition| definition.distribution = Distribution::Auto);
    let records = [(0, "a"), (0, "b")];
    let mut firsts = Vec::new();
    for call in 0..12 {
        let placed = rig.put(Some(call), &records).await;
        assert_eq!(place(&placed[0]).0, place(&placed[1]).0, "a call stays together");
        assert_eq!(rig.put(Some(call), &records).await, repeated(&placed));
        firsts.push(placed);
    }
    let split = inside(0, 6) + 1_000;
    rig.reshard(&[Step::Split { shard: 0, start: split }]).await;
    for (call, first) in firsts.iter().enumerate() {
        assert_eq!(rig.put(Some(call as u8), &records).await, repeated(first));
    }
    let mut shards: Vec<_> = Vec::new();
    for _ in 0..4 {
        shards.push(place(&rig.put(None, &records).await[0]).0);
    }
    shards.sort_unstable();
    assert_eq!(shards, [1, 2, 3, 4], "calls without a name go round");
}

#[tokio::test(start_paused = true)]
async fn a_reshard_waits_for_a_put_whose_caller_went_away() {
    let rig = Rig::new(1);
    let all = rig.stream.gate.clone().acquire_many_owned(crate::limits::DATA_PUTS_AT_ONCE_MAX - 1).await.unwrap();
    let put = rig.stream.put(rig.call(None, &[(0, "a")]));
    {
        let mut put = std::pin::pin!(put);
        // The in-memory journal is never slow, so the only wait is for the permit: poll once with none left.
        let last = rig.stream.gate.clone().acquire_owned().await.unwrap();
        assert!(futures_util::poll!(put.as_mut()).is_pending());
        drop(last);
    }
    drop(all);
    assert!(rig.texts(0).await.is_empty(), "one that had no permit yet is not carried through");

    let (release, held) = tokio::sync::oneshot::channel::<()>();
    let (stored, done) = tokio::sync::oneshot::channel();
    let mut carried = Carried(Some(Box::pin(async move {
        let _ = held.await;
        let _ = stored.send(());
        Ok(Vec::new())
    })));
    assert!(futures_util::poll!(&mut carried).is_pending());
    drop(carried);
    let _ = release.send(());
    assert!(done.await.is_ok(), "one that has is");
}

#[tokio::test(start_paused = true)]
async fn under_awss_limits_a_thousand_records_a_second_and_a_retry_costs_nothing() {
    let rig = Rig::new(2);
    rig.change(|definition| definition.limits = Limits::Aws);
    let (low, high) = (inside(0, 2), inside(1, 2));
    let many = vec![(low, "x"); 600];
    assert_eq!(refused(&rig.put(Some(1), &many).await, Refusal::Throttled), 0);
    let second = rig.put(Some(2), &many).await;
    assert_eq!(refused(&second, Refusal::Throttled), 200);
    assert!(matches!(second[400], Placed::Refused { shard: 0, why: Refusal::Throttled }), "the last ones are refused");
    assert_eq!(refused(&rig.put(Some(3), &[(high, "y")]).await, Refusal::Throttled), 0, "each shard by itself");
    rig.clock.sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.put(Some(2), &many).await, repeated(&second), "answered as then, from the same records");
    rig.reshard(&[SPLIT_LOW]).await;
    assert_eq!(rig.put(Some(2), &many).await, repeated(&second));
    assert_eq!(rig.texts(0).await.len(), 1_000);
}

const SPLIT_LOW: Step = Step::Split { shard: 0, start: 1 << 126 };

#[tokio::test(start_paused = true)]
async fn a_disk_budget_throttles_one_shard_and_the_others_go_on() {
    let rig = Rig::new(1);
    rig.change(|definition| definition.bytes_max = Some(20));
    assert_eq!(refused(&rig.put(None, &[(0, "abc")]).await, Refusal::Throttled), 0);
    assert_eq!(refused(&rig.put(None, &[(0, "abcdefghijklm")]).await, Refusal::Throttled), 1);
    rig.change(|definition| definition.encryption_key = Some("alias/aws/kinesis".into()));
    assert_eq!(refused(&rig.put(None, &[(0, "abc")]).await, Refusal::Failed), 1, "the journal has no key");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_is_retried_and_resharded_each_record_is_there_once_and_in_order(
        calls in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..20), any::<bool>(), 0..4_u8), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let rig = Rig::new(2);
            let mut wanted = 0;
            for (number, (keys, again, change)) in calls.iter().enumerate() {
                let texts: Vec<_> = (0..keys.len()).map(|at| format!("{number:03}-{at:03}")).collect();
                let records: Vec<_> = keys.iter().zip(&texts).map(|(key, text)| (hash_of(&[*key]), &**text)).collect();
                let first = rig.put(Some(number as u8), &records).await;
                wanted += records.len();
                reshard(&rig, *change).await;
                if *again {
                    assert_eq!(rig.put(Some(number as u8), &records).await, repeated(&first));
                }
            }
            let shards = rig.stream.definition().unwrap().shards.clone();
            let mut all = Vec::new();
            for shard in shards {
                let texts = rig.texts(shard.index).await;
                assert!(texts.is_sorted(), "{texts:?}");
                all.extend(texts);
            }
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), wanted);
        });
    }
}

/// Splits the first open shard, merges the last two, or does nothing.
async fn reshard(rig: &Rig, change: u8) {
    let mut open: Vec<_> = rig.stream.definition().unwrap().open_shards().cloned().collect();
    open.sort_by_key(|shard| shard.range.start);
    let first = &open[0];
    match (change, open.as_slice()) {
        (0, _) => {
            let start = first.range.start + (first.range.end - first.range.start) / 2;
            rig.reshard(&[Step::Split { shard: first.index, start }]).await;
        }
        (1, [.., low, high]) => rig.reshard(&[Step::Merge { lower: low.index, upper: high.index }]).await,
        _ => {}
    }
}
