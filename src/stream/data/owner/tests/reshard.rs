//! Puts go on while shards are split and merged.

use std::collections::BTreeMap;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::journal::local::{LocalJournal, Options};

const PUTTERS: u128 = 8;

/// Puts numbered records all over until it is told to stop; where each was stored.
async fn put_on(streams: DataStreams, who: u128, stop: CancellationToken) -> Vec<(String, u32, u64)> {
    let stream = streams.get("a").unwrap();
    let mut stored = Vec::new();
    for number in 0_u128.. {
        if stop.is_cancelled() {
            break;
        }
        let texts: Vec<String> = (0..3).map(|part| format!("{who}-{number}-{part}")).collect();
        let hashes = (0..3).map(|part| inside((number * 7 + who + part * 5) % 16, 16)).collect();
        let put = Put { records: Records::from_slices(START_MS, &texts), hashes, call: None };
        for (text, placed) in texts.into_iter().zip(stream.put(put).await.unwrap()) {
            let Placed::Stored { shard, sequence, .. } = placed else { panic!("{text}: {placed:?}") };
            stored.push((text, shard, sequence.position().unwrap()));
        }
        tokio::task::yield_now().await;
    }
    stored
}

/// All records of a shard, by position; the shard's end is where it is closed.
async fn held(journal: &dyn Journal, at: ShardId, closed: Option<u64>) -> BTreeMap<(u32, u64), String> {
    let end = journal.extent(at).await.unwrap().end;
    assert_eq!(closed.unwrap_or(end), end, "{at:?}");
    let (mut held, mut position) = (BTreeMap::new(), 0);
    while position < end {
        let batch = journal.read(at, position, 1 << 20).await.unwrap();
        for record in batch.puts.iter().flat_map(Records::iter) {
            held.insert((at.index, position), String::from_utf8(record.to_vec()).unwrap());
            position += 1;
        }
    }
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_behind_the_end_of_a_closed_shard() {
    let (disk, clock) = (Arc::new(SimDisk::new(1)), Clock::real());
    let journal = LocalJournal::open(disk.clone(), clock.clone(), Options::default()).unwrap();
    let journal: Arc<dyn Journal> = Arc::new(journal);
    let settings = settings(Duration::ZERO);
    let streams = DataStreams::open(disk, journal.clone(), clock, settings, Vec::new()).await.unwrap();
    let id = streams.create(new_stream("a", 2)).await.unwrap().id();
    let (stop, mut putters) = (CancellationToken::new(), JoinSet::new());
    for who in 0..PUTTERS {
        putters.spawn(put_on(streams.clone(), who, stop.clone()));
    }
    for target in [4, 7, 5, 3, 6, 3] {
        streams.reshard("a", Reshard::Uniform { target }).await.unwrap();
    }
    stop.cancel();
    let stored: Vec<_> = putters.join_all().await.into_iter().flatten().collect();
    assert!(!stored.is_empty());
    let mut all = BTreeMap::new();
    for shard in &definition(&streams, "a").shards {
        let at = ShardId { stream: id, index: shard.index };
        all.append(&mut held(journal.as_ref(), at, shard.closed.map(|closed| closed.end)).await);
    }
    assert_eq!(all.len(), stored.len());
    for (text, shard, position) in stored {
        assert_eq!(all.get(&(shard, position)), Some(&text));
    }
    journal.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_put_that_hangs_makes_the_reshard_give_up_and_nobody_else_wait() {
    let house = House::new(2);
    let streams = house.open().await.unwrap();
    let stream = streams.create(new_stream("a", 1)).await.unwrap();
    streams.create(new_stream("b", 1)).await.unwrap();
    let hanging = stream.gate.clone().acquire_owned().await.unwrap();
    let resharding = streams.reshard("a", split("0", 1 << 100));
    let others = async {
        streams.reshard("b", split("0", 1 << 100)).await.unwrap();
        tag(&streams, "a", "team").await.unwrap();
        house.clock.now_ms()
    };
    let (resharded, others_ms) = tokio::join!(resharding, others);
    assert_eq!(others_ms, START_MS);
    refused(resharded, Kind::Unavailable, "puts to data stream a have been under way for 10 s");
    drop(hanging);
    streams.reshard("a", split("0", 1 << 100)).await.unwrap();
    assert_eq!(definition(&streams, "a").open_shards().count(), 2);
}

fn merge(shard: &str, adjacent: &str) -> Reshard {
    Reshard::Merge { shard: shard.into(), adjacent: adjacent.into() }
}

#[tokio::test(start_paused = true)]
async fn a_reshard_that_makes_no_sense_is_refused_in_awss_words() {
    let streams = House::new(3).open().await.unwrap();
    streams.create(new_stream("a", 2)).await.unwrap();
    let half = 1_u128 << 127;
    let outside = |start: u128| {
        format!(
            "NewStartingHashKey {start} used in SplitShard() on shard shardId-000000000000 in stream a under account \
             000000000000 is not both greater than one plus the shard's StartingHashKey 0 and less than the shard's \
             EndingHashKey 170141183460469231731687303715884105727."
        )
    };
    let not_adjacent = |a: u32, b: u32| {
        format!(
            "Shards shardId-00000000000{a} and shardId-00000000000{b} in stream a under account 000000000000 are not \
             an adjacent pair of shards eligible for merging"
        )
    };
    let no_shard = |name: &str| format!("Could not find shard {name} in stream a under account 000000000000.");
    let up = "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: 2 \
              Target shard count: 5";
    for (reshard, kind, said) in [
        (split("0", 1), Kind::Invalid, outside(1)),
        (split("0", half - 1), Kind::Invalid, outside(half - 1)),
        (split("0", u128::MAX), Kind::Invalid, outside(u128::MAX)),
        (split("7", 9), Kind::NotFound, no_shard("7")),
        (split("nonsense", 9), Kind::NotFound, no_shard("nonsense")),
        (merge("1", "0"), Kind::Invalid, not_adjacent(1, 0)),
        (merge("0", "0"), Kind::Invalid, not_adjacent(0, 0)),
        (merge("0", "shardId-5"), Kind::NotFound, no_shard("shardId-5")),
        (Reshard::Uniform { target: 5 }, Kind::Invalid, up.into()),
        (Reshard::Uniform { target: 0 }, Kind::Invalid, "TargetShardCount 0 is not between 1 and 10000".into()),
    ] {
        refused(streams.reshard("a", reshard).await, kind, &said);
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_reshard_and_how_often() {
    let streams = House::new(4).open().await.unwrap();
    let on_demand = NewDataStream { mode: Mode::OnDemand, shards: None, ..new_stream("load", 0) };
    let load = streams.create(on_demand).await.unwrap().id();
    let said = "Request is invalid. Stream load under account 000000000000 is in On-Demand mode.";
    let error = refused(streams.reshard("load", split("0", 9)).await, Kind::Invalid, said);
    assert!(Validation::is_behind(&error));
    let hot = vec![Step::Split { shard: 3, start: u128::MAX - 9 }];
    streams.rescale(load, hot.clone()).await.unwrap();
    assert_eq!(definition(&streams, "load").open_shards().count(), 5);
    let said = "data stream load was changed while its load was looked at";
    refused(streams.rescale(load, hot).await, Kind::Conflict, said);

    streams.create(new_stream("a", 2)).await.unwrap();
    streams.reshard("a", split("0", 2)).await.unwrap();
    let said = "Shard shardId-000000000000 in stream a under account 000000000000 has already been merged or split, and \
                thus is not eligible for merging or splitting.";
    refused(streams.reshard("a", split("0", 2)).await, Kind::Conflict, said);
    for target in [4, 8, 4, 2, 1, 2, 1, 2, 1, 2] {
        streams.reshard("a", Reshard::Uniform { target }).await.unwrap();
    }
    let said = "The shard count of stream a under account 000000000000 was updated 10 times in the last 24 hours, which \
                is the most there may be.";
    refused(streams.reshard("a", Reshard::Uniform { target: 4 }).await, Kind::Throttled, said);
}
