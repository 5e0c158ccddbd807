//! What data streams need, over restarts, crashes and damage: checkpoints outlive their records, times are found past
//! damage, and a shard that gets no more puts gives its disk back.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::disk::sim::Op;
use crate::journal::conformance::sources::{checkpoints, copied, keyed, pairs};
use crate::journal::conformance::{put, shard, texts};
use crate::limits::{SEGMENT_FILE_IDLE, SEGMENT_SPARE_IDLE};
use crate::record::CallId;

fn id() -> ShardId {
    shard(1, 0)
}

/// The put at a position: one record with what it copies, half a segment long.
fn copy(position: u64) -> Append {
    let at = position.to_string();
    let (source, at) = match position {
        0 => ("once", "0"),
        1 => ("forgotten", "1"),
        4 => ("forgotten", ""),
        _ => ("often", at.as_str()),
    };
    copied(&format!("{position}{}", "x".repeat(900)), source, at)
}

/// What came with the first `end` puts.
fn expected(end: u64) -> BTreeMap<String, Bytes> {
    let mut expected = BTreeMap::new();
    (0..end).filter_map(|position| copy(position).checkpoint).for_each(|checkpoint| checkpoint.enter(&mut expected));
    expected
}

/// Puts up to position `end`, letting go what is older than two puts; ends early where the disk does.
async fn copies(journal: &LocalJournal, end: u64) -> u64 {
    let mut acknowledged = journal.extent(id()).await.unwrap().end;
    while acknowledged < end {
        let Ok(appended) = journal.append(id(), copy(acknowledged)).await else { break };
        acknowledged = appended.span.end;
        let _ = journal.trim(id(), acknowledged.saturating_sub(acknowledged % 3)).await;
    }
    acknowledged
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_at_any_step_the_checkpoints_are_those_of_the_records_that_are_there() {
    for crashing_life in 0..3 {
        for step in 0..70 {
            let (disk, clock) = (SimDisk::new(step), Clock::simulated(1, START_MS));
            let mut acknowledged = 0;
            for life in 0..4 {
                if life == crashing_life {
                    disk.crash_after(step);
                }
                let Ok(journal) = open(&disk, &clock, small()).await else {
                    disk.crash();
                    continue;
                };
                let end = journal.extent(id()).await.unwrap().end;
                assert!(end >= acknowledged, "life {life} step {step}");
                assert_eq!(journal.checkpoints(id()).await.unwrap(), expected(end), "life {life} step {step}");
                acknowledged = copies(&journal, end + 5).await;
                assert_eq!(journal.checkpoints(id()).await.unwrap(), expected(acknowledged), "life {life} step {step}");
                if life % 2 == 0 {
                    journal.close().await;
                }
                drop(journal);
                tokio::task::yield_now().await;
                disk.crash();
            }
            assert!(acknowledged >= 10, "{acknowledged}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn checkpoints_outlive_all_records_and_each_sidecar() {
    let (disk, clock) = (SimDisk::new(1), Clock::simulated(1, START_MS));
    for life in 0..4 {
        let journal = open(&disk, &clock, small()).await.unwrap();
        if life == 0 {
            journal.append(id(), copied("a", "early", "1")).await.unwrap();
        }
        assert_eq!(checkpoints(&journal, id()).await, pairs(&[("early", "1")]), "life {life}");
        // A segment that is appended to, behind a sidecar that alone knows: it must not go.
        for round in 0..5 {
            journal.append(id(), put(&"x".repeat(100 + 900 * round))).await.unwrap();
            journal.trim(id(), u64::MAX).await.unwrap();
        }
        assert!(of_kind(&disk, "idx").len() <= 2, "{:?}", disk.files());
        drop(journal);
        tokio::task::yield_now().await;
        disk.crash();
    }
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_that_cannot_be_written_holds_the_frames_that_came_with_checkpoints() {
    let (disk, clock) = (SimDisk::new(1), Clock::simulated(1, START_MS));
    let journal = open(&disk, &clock, small()).await.unwrap();
    journal.append(id(), copied(&"a".repeat(3_000), "s", "1")).await.unwrap();
    disk.fail_from(Op::Rename, 1, 5);
    journal.append(id(), put("b")).await.unwrap();
    journal.trim(id(), u64::MAX).await.unwrap();
    assert_eq!(of_kind(&disk, "seg").len(), 2);
    disk.heal();
    drop(journal);
    tokio::task::yield_now().await;
    disk.crash();
    let journal = open(&disk, &clock, small()).await.unwrap();
    assert_eq!(checkpoints(&journal, id()).await, pairs(&[("s", "1")]));
    assert!(of_kind(&disk, "new").is_empty(), "what a failed replacing left is gone");
}

#[tokio::test(start_paused = true)]
async fn a_put_that_failed_moves_no_checkpoint() {
    for (op, kind) in [(Op::Write, Kind::Unavailable), (Op::Sync, Kind::Internal)] {
        let journal_disk = SimDisk::new(1);
        let journal = open(&journal_disk, &Clock::simulated(1, START_MS), small()).await.unwrap();
        journal.append(id(), copied("a", "s", "1")).await.unwrap();
        journal_disk.fail(op, 1, 28);
        assert_eq!(journal.append(id(), copied("b", "s", "2")).await.unwrap_err().kind(), kind);
        assert_eq!(checkpoints(&journal, id()).await, pairs(&[("s", "1")]));
    }
}

#[tokio::test(start_paused = true)]
async fn lost_records_keep_the_checkpoint_that_their_segment_was_sealed_with() {
    let (disk, clock) = (SimDisk::new(1), Clock::simulated(1, START_MS));
    for sealed in [false, true] {
        let segment = format!("journal/0000000000000001/{}/{:020}.seg", u32::from(sealed), 0);
        let id = shard(1, u32::from(sealed));
        let journal = open(&disk, &clock, small()).await.unwrap();
        for at in ["1", "2", "3"] {
            journal.append(id, copied(at, "s", at)).await.unwrap();
        }
        if sealed {
            // The next start seals it.
            journal.close().await;
            disk.restart();
            open(&disk, &clock, small()).await.unwrap().close().await;
        }
        disk.restart();
        // The middle one of three; and the sealed segment is longer than its sidecar says, so that it is read again.
        disk.flip(&segment, (1_024 + 110 + 92) * 8);
        let len = disk.read(&segment).unwrap().len();
        if sealed {
            disk.overwrite(&segment, len, b"more");
        }
        let journal = open(&disk, &clock, small()).await.unwrap();
        assert_eq!(texts(&journal, id, 0, 1_000).await, ["1", "3"]);
        assert_eq!(checkpoints(&journal, id).await, pairs(&[("s", "3")]));
        journal.close().await;
        disk.restart();
    }
}

#[tokio::test(start_paused = true)]
async fn keys_read_back_from_encrypted_segments_after_restarts() {
    let (disk, clock) = (SimDisk::new(1), Clock::simulated(1, START_MS));
    let options = Options { encryption_key: Some(Zeroizing::new([7; 32])), ..small() };
    let puts = [Append { encrypt: true, ..keyed("a b") }, keyed("c"), Append { encrypt: true, ..keyed("d e") }];
    for life in 0..3 {
        let journal = open(&disk, &clock, options.clone()).await.unwrap();
        for put in puts.iter().filter(|_| life == 0) {
            journal.append(id(), put.clone()).await.unwrap();
        }
        let mut at = 0;
        for put in &puts {
            let batch = journal.read(id(), at, 0).await.unwrap();
            assert_eq!(batch.puts, [put.records.clone()]);
            at = batch.span.end;
        }
        journal.close().await;
        drop(journal);
        disk.crash();
    }
}

#[tokio::test(start_paused = true)]
async fn times_are_found_past_damage() {
    const PUTS: u64 = 40;
    let text = "x".repeat(20_000);
    let append = |number: u64| {
        let mut append = put(&text);
        append.records.arrived_ms = START_MS + 10 * number;
        append
    };
    let frame = frame::stored_bytes(&put(&text).records, None, false);
    let options = Options { fresh_bytes: 0, ..Options::default() };
    let clock = Clock::simulated(1, START_MS);
    // Single ones, all that the index points to, a long stretch, all.
    let all: Vec<BTreeSet<u64>> =
        vec![[0].into(), [7].into(), (0..PUTS).step_by(7).collect(), (5..30).collect(), (0..PUTS).collect()];
    for damaged in all {
        let disk = SimDisk::new(1);
        let journal = open(&disk, &clock, options.clone()).await.unwrap();
        for number in 0..PUTS {
            journal.append(id(), append(number)).await.unwrap();
        }
        for _ in 0..2 {
            journal.close().await;
            disk.restart();
        }
        open(&disk, &clock, options.clone()).await.unwrap().close().await;
        disk.restart();
        let segment = &of_kind(&disk, "seg")[0];
        for number in &damaged {
            disk.flip(segment, ((1_024 + number * frame + 50) * 8) as usize);
        }
        let journal = open(&disk, &clock, options.clone()).await.unwrap();
        assert_eq!(journal.extent(id()).await.unwrap().damaged, 0, "it is sealed and was not read");
        for known in [false, true] {
            for number in 0..=PUTS {
                let first = (number..PUTS).find(|number| !damaged.contains(number)).unwrap_or(PUTS);
                let found = journal.position_at(id(), START_MS + 10 * number - 5).await.unwrap();
                // Where nothing before it came earlier, nobody has to look, and a read passes over what is lost.
                let unread = if number == 0 { 0 } else { first };
                assert_eq!(found, unread, "{number} of {damaged:?}, {known}");
            }
            assert_eq!(texts(&journal, id(), 0, 30_000).await.len(), PUTS as usize - damaged.len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_without_calls_is_not_asked_for_them() {
    let (disk, clock) = (SimDisk::new(1), Clock::simulated(1, START_MS));
    let journal = open(&disk, &clock, small()).await.unwrap();
    let mut called = put("a");
    called.records.arrived_ms = START_MS;
    called.call = Some(CallId([1; 16]));
    let span = journal.append(id(), called).await.unwrap().span;
    journal.append(shard(2, 0), put("a")).await.unwrap();
    journal.close().await;
    drop(journal);
    disk.crash();
    let journal = open(&disk, &clock, small()).await.unwrap();
    assert_eq!(journal.recall(id(), CallId([1; 16])).await.unwrap(), Some(span));
    journal.close().await;
    // Only the writer knows calls, and it is gone.
    assert_eq!(journal.recall(id(), CallId([1; 16])).await.unwrap_err().kind(), Kind::Closed);
    assert_eq!(journal.recall(shard(2, 0), CallId([1; 16])).await.unwrap(), None);
    clock.sleep(crate::limits::CALL_MEMORY + Duration::from_secs(1)).await;
    assert_eq!(journal.recall(id(), CallId([1; 16])).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn shards_that_get_no_more_puts_give_their_disk_back() {
    let (disk, clock) = (SimDisk::new(1), Clock::simulated(1, START_MS));
    let journal = open(&disk, &clock, Options::default()).await.unwrap();
    let [early, late, wanted, busy] = [1, 2, 3, 4].map(|stream| shard(stream, 0));
    for shard in [early, late, wanted] {
        journal.append(shard, put("a b")).await.unwrap();
    }
    journal.trim(early, 2).await.unwrap();
    journal.trim(wanted, 1).await.unwrap();
    let segments = |shard: ShardId| {
        let folder = segment::shard_dir(shard).display().to_string();
        of_kind(&disk, "seg").iter().filter(|file| file.starts_with(&folder)).count()
    };
    // The writer is never idle.
    let begun = clock.instant();
    while clock.instant() - begun < SEGMENT_SPARE_IDLE - Duration::from_secs(10) {
        journal.append(busy, put("x")).await.unwrap();
        clock.sleep(Duration::from_secs(5)).await;
    }
    assert_eq!([early, late, wanted].map(segments), [1, 1, 1], "a stream may be slow");
    while clock.instant() - begun < SEGMENT_SPARE_IDLE + 2 * SEGMENT_FILE_IDLE {
        journal.append(busy, put("x")).await.unwrap();
        clock.sleep(Duration::from_secs(5)).await;
    }
    assert_eq!([early, late, wanted].map(segments), [0, 1, 1]);
    journal.trim(late, 2).await.unwrap();
    assert_eq!([early, late, wanted, busy].map(segments), [0, 0, 1, 1]);
    journal.trim(busy, u64::MAX).await.unwrap();
    clock.sleep(SEGMENT_SPARE_IDLE + 2 * SEGMENT_FILE_IDLE).await;
    assert_eq!([early, late, wanted, busy].map(segments), [0, 0, 1, 0], "also when nothing is put any more");
    let on_disk: u64 = disk.files().iter().map(|file| disk.read(file).unwrap().len() as u64).sum();
    assert_eq!(journal.disk_bytes(), on_disk);
    assert_eq!(journal.append(early, put("c")).await.unwrap().span.start, 2);
    assert_eq!(texts(&journal, early, 0, 100).await, ["c"]);
}
