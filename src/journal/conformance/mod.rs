//! What every journal does: one suite, run over the one in memory and the one on disk (simulated and real).

use std::sync::Arc;
use std::time::Duration;

use super::memory::MemoryJournal;
use super::{Append, Appended, Extent, Journal};
use crate::clock::Clock;
use crate::error::Kind;
use crate::limits::{INGEST_RECORDS_BYTES_MAX, INGEST_RECORDS_MAX};
use crate::record::{CallId, Records, ShardId, Span, StreamId};

pub(super) mod sources;

/// Runs the whole suite; every test has streams of its own.
pub(super) async fn suite(journal: Arc<dyn Journal>, clock: &Clock) {
    puts_are_read_back_whole_and_in_order(&*journal).await;
    reads_begin_anywhere(&*journal).await;
    an_unwritten_shard_is_empty(&*journal).await;
    bad_puts_are_refused(&*journal).await;
    shards_are_apart(&*journal).await;
    trimmed_records_are_gone(&*journal).await;
    a_stream_has_its_own_budget(&*journal).await;
    a_retried_call_is_stored_once(&journal, clock).await;
    sources::suite(&*journal, clock).await;
    concurrent_puts_are_all_there(&journal).await;
    readers_are_woken(&journal, clock).await;
    a_removed_stream_stays_away(&journal, clock).await;
    a_closed_journal_refuses(&journal, clock).await;
}

pub(super) fn shard(stream: u64, index: u32) -> ShardId {
    ShardId { stream: StreamId(stream), index }
}

pub(super) fn put(text: &str) -> Append {
    let records = Records::from_slices(1_000, &text.split(' ').collect::<Vec<_>>());
    Append::of(records)
}

/// All records from `start` on, one read of about `bytes_max` bytes after the other.
pub(super) async fn texts(journal: &dyn Journal, shard: ShardId, start: u64, bytes_max: usize) -> Vec<String> {
    let mut texts = Vec::new();
    let mut at = start;
    loop {
        let batch = journal.read(shard, at, bytes_max).await.unwrap();
        assert_eq!(batch.span.len(), batch.puts.iter().map(|put| put.len() as u64).sum::<u64>());
        assert_eq!(batch.span.is_empty(), batch.puts.is_empty());
        if batch.span.is_empty() {
            return texts;
        }
        assert!(batch.span.start >= at && batch.puts.iter().all(|put| !put.is_empty()));
        for put in &batch.puts {
            texts.extend(put.iter().map(|record| String::from_utf8_lossy(record).into_owned()));
        }
        at = batch.span.end;
    }
}

async fn puts_are_read_back_whole_and_in_order(journal: &dyn Journal) {
    let shard = shard(1, 0);
    let first = journal.append(shard, put("a b c")).await.unwrap();
    assert_eq!(first, Appended { span: Span { shard, start: 0, end: 3 }, repeated: false });
    let second = journal.append(shard, put("d ")).await.unwrap();
    assert_eq!(second.span, Span { shard, start: 3, end: 5 });
    let batch = journal.read(shard, 0, 1_000).await.unwrap();
    assert_eq!(batch.span, Span { shard, start: 0, end: 5 });
    assert_eq!(batch.puts, [put("a b c").records, put("d ").records]);
    let extent = journal.extent(shard).await.unwrap();
    assert_eq!((extent.start, extent.end, extent.damaged), (0, 5, 0));
    assert!(extent.disk_bytes > 0 && journal.disk_bytes() >= extent.disk_bytes);
    journal.healthy().unwrap();
}

async fn reads_begin_anywhere(journal: &dyn Journal) {
    let shard = shard(2, 0);
    let all = ["a", "bb", "", "dddd", "e", "f"];
    for text in ["a bb", " dddd e", "f"] {
        journal.append(shard, put(text)).await.unwrap();
    }
    for start in 0..=6 {
        for bytes_max in [0, 1, 4, 1_000] {
            assert_eq!(texts(journal, shard, start, bytes_max).await, all[start as usize..], "{start} {bytes_max}");
        }
    }
    let one = journal.read(shard, 1, 0).await.unwrap();
    assert_eq!((one.span.start, one.span.end), (1, 2), "one put's remainder however small the bound is");
    let beyond = journal.read(shard, 99, 1_000).await.unwrap();
    assert_eq!((beyond.span.start, beyond.span.len()), (99, 0));
}

async fn an_unwritten_shard_is_empty(journal: &dyn Journal) {
    let shard = shard(3, 7);
    assert_eq!(journal.extent(shard).await.unwrap(), Extent::default());
    assert!(journal.read(shard, 0, 100).await.unwrap().span.is_empty());
    journal.trim(shard, 5).await.unwrap();
    assert_eq!(journal.extent(shard).await.unwrap(), Extent::default());
}

async fn bad_puts_are_refused(journal: &dyn Journal) {
    let shard = shard(4, 0);
    let with = |ends: Vec<u32>, bytes: usize| {
        let records = Records::new(0, ends, vec![0; bytes].into());
        Append { records, ..put("") }
    };
    let bad = [
        with(vec![], 0),
        with(vec![2, 1, 3], 3),
        with(vec![1], 2),
        with(vec![3], 2),
        with(vec![INGEST_RECORDS_BYTES_MAX as u32 + 1], INGEST_RECORDS_BYTES_MAX + 1),
        with(vec![0; INGEST_RECORDS_MAX + 1], 0),
    ];
    for put in bad {
        assert_eq!(journal.append(shard, put).await.unwrap_err().kind(), Kind::Invalid);
    }
    assert_eq!(journal.extent(shard).await.unwrap(), Extent::default());
    let empty_records = journal.append(shard, with(vec![0, 0], 0)).await.unwrap();
    assert_eq!(empty_records.span.len(), 2);
    assert_eq!(texts(journal, shard, 0, 10).await, ["", ""]);
}

async fn shards_are_apart(journal: &dyn Journal) {
    let shards = [shard(5, 0), shard(5, 1), shard(6, 0)];
    for (number, shard) in shards.iter().enumerate() {
        let span = journal.append(*shard, put(&format!("x{number}"))).await.unwrap().span;
        assert_eq!((span.start, span.end), (0, 1));
    }
    for (number, shard) in shards.iter().enumerate() {
        assert_eq!(texts(journal, *shard, 0, 100).await, [format!("x{number}")]);
    }
}

async fn trimmed_records_are_gone(journal: &dyn Journal) {
    let shard = shard(7, 0);
    for text in ["a b", "c d", "e f"] {
        journal.append(shard, put(text)).await.unwrap();
    }
    journal.trim(shard, 3).await.unwrap();
    assert_eq!(journal.extent(shard).await.unwrap().start, 3);
    assert_eq!(journal.read(shard, 0, 1).await.unwrap().span, Span { shard, start: 3, end: 4 });
    assert_eq!(texts(journal, shard, 0, 100).await, ["d", "e", "f"]);
    journal.trim(shard, 1).await.unwrap();
    assert_eq!(journal.extent(shard).await.unwrap().start, 3, "a trim never goes back");
    journal.trim(shard, 99).await.unwrap();
    let extent = journal.extent(shard).await.unwrap();
    assert_eq!((extent.start, extent.end), (6, 6), "nor beyond the end");
    assert_eq!(journal.append(shard, put("g")).await.unwrap().span.start, 6);
    assert_eq!(texts(journal, shard, 0, 100).await, ["g"]);
}

async fn a_stream_has_its_own_budget(journal: &dyn Journal) {
    let (tight, other) = (shard(8, 0), shard(9, 0));
    let big = Append { bytes_max: Some(300_000), ..put(&"x".repeat(100_000)) };
    journal.append(tight, big.clone()).await.unwrap();
    journal.append(tight, big.clone()).await.unwrap();
    let error = journal.append(tight, big.clone()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.message().contains("300000"), "{error}");
    journal.append(other, big.clone()).await.unwrap();
    assert_eq!(journal.extent(tight).await.unwrap().end, 2);
    journal.trim(tight, 2).await.unwrap();
    // What was trimmed is given back by and by; a put that is refused asks for it.
    let again = journal.append(tight, big.clone()).await;
    if again.is_err() {
        let mut tries = 0;
        while journal.append(tight, big.clone()).await.is_err() {
            tries += 1;
            assert!(tries < 1_000, "room comes back");
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(journal.extent(tight).await.unwrap().end, 3);
}

async fn a_retried_call_is_stored_once(journal: &Arc<dyn Journal>, clock: &Clock) {
    let id = shard(10, 0);
    let named = |name: u8| {
        let mut append = put("a b");
        append.records.arrived_ms = clock.now_ms();
        Append { call: Some(CallId([name; 16])), ..append }
    };
    let first = journal.append(id, named(1)).await.unwrap();
    journal.append(id, put("x")).await.unwrap();
    let again = journal.append(id, named(1)).await.unwrap();
    assert_eq!((again.span, again.repeated), (first.span, true));
    let elsewhere = journal.append(shard(10, 1), named(1)).await.unwrap();
    assert!(!elsewhere.repeated, "one call may reach several shards");
    let calls: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let (journal, put) = (journal.clone(), named(2));
                async move { journal.append(id, put).await.unwrap() }
            })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    assert_eq!(answers.iter().filter(|answer| !answer.repeated).count(), 1);
    assert!(answers.iter().all(|answer| answer.span == Span { shard: id, start: 3, end: 5 }));
    assert_eq!(texts(&**journal, id, 0, 100).await, ["a", "b", "x", "a", "b"]);
}

async fn concurrent_puts_are_all_there(journal: &Arc<dyn Journal>) {
    let puts: Vec<_> = (0..100u32)
        .map(|number| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let shard = shard(11, number % 3);
                (number, journal.append(shard, put(&format!("{number} {number}"))).await.unwrap().span)
            })
        })
        .collect();
    for done in puts {
        let (number, span) = done.await.unwrap();
        let batch = journal.read(span.shard, span.start, 0).await.unwrap();
        assert_eq!(batch.span, span);
        assert_eq!(batch.puts, [put(&format!("{number} {number}")).records]);
    }
    for index in 0..3 {
        assert_eq!(journal.extent(shard(11, index)).await.unwrap().end, if index == 0 { 68 } else { 66 });
    }
}

async fn readers_are_woken(journal: &Arc<dyn Journal>, clock: &Clock) {
    let shard = shard(12, 0);
    let waiting = tokio::spawn({
        let journal = journal.clone();
        async move { journal.grown(shard, 1).await }
    });
    journal.append(shard, put("a")).await.unwrap();
    clock.sleep(Duration::from_millis(1)).await;
    assert!(!waiting.is_finished());
    journal.append(shard, put("b")).await.unwrap();
    waiting.await.unwrap().unwrap();
    journal.grown(shard, 0).await.unwrap();
}

async fn a_removed_stream_stays_away(journal: &Arc<dyn Journal>, clock: &Clock) {
    let (gone, kept) = (shard(13, 0), shard(14, 0));
    journal.append(gone, put("a")).await.unwrap();
    journal.append(shard(13, 1), put("a")).await.unwrap();
    journal.append(kept, put("b")).await.unwrap();
    let waiting = tokio::spawn({
        let journal = journal.clone();
        async move { journal.grown(gone, 5).await }
    });
    clock.sleep(Duration::from_millis(1)).await;
    journal.remove(gone.stream).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), Kind::NotFound);
    assert_eq!(journal.append(gone, put("a")).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(journal.read(gone, 0, 10).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(journal.extent(gone).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(journal.position_at(gone, 0).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(journal.recall(gone, CallId([1; 16])).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(journal.checkpoints(gone).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(journal.grown(gone, 0).await.unwrap_err().kind(), Kind::NotFound);
    journal.remove(gone.stream).await.unwrap();
    assert_eq!(texts(&**journal, kept, 0, 10).await, ["b"]);
    // What others hold may still grow by a sidecar that is being written.
    for _ in 0..1_000 {
        if journal.disk_bytes() == held(&**journal).await {
            return;
        }
        clock.sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(journal.disk_bytes(), held(&**journal).await, "nothing of it takes any disk");
}

/// Bytes of all shards that these tests have.
async fn held(journal: &dyn Journal) -> u64 {
    let mut bytes = 0;
    for (stream, index) in (1..50).flat_map(|stream| (0..10).map(move |index| (stream, index))) {
        bytes += journal.extent(shard(stream, index)).await.map_or(0, |extent| extent.disk_bytes);
    }
    bytes
}

async fn a_closed_journal_refuses(journal: &Arc<dyn Journal>, clock: &Clock) {
    let shard = shard(15, 0);
    journal.append(shard, put("a")).await.unwrap();
    let waiting = tokio::spawn({
        let journal = journal.clone();
        async move { journal.grown(shard, 5).await }
    });
    clock.sleep(Duration::from_millis(1)).await;
    journal.close().await;
    journal.close().await;
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), Kind::Closed);
    assert_eq!(journal.append(shard, put("b")).await.unwrap_err().kind(), Kind::Closed);
    assert_eq!(journal.healthy().unwrap_err().kind(), Kind::Closed);
    assert_eq!(texts(&**journal, shard, 0, 10).await, ["a"], "reads go on");
}

#[tokio::test(start_paused = true)]
async fn the_journal_in_memory_conforms() {
    let clock = Clock::simulated(1, 1_700_000_000_000);
    suite(Arc::new(MemoryJournal::new(clock.clone())), &clock).await;
    sources::sources_are_bounded(&MemoryJournal::new(clock)).await;
}
