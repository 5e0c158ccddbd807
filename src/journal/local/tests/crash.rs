//! Random lives of a journal that end in a power cut, a killed process or a clean end, by seed, against a model.
//!
//! After each life every acknowledged put is there, whole with its keys, once and in order, and the checkpoints are those
//! that came with the puts that are there, or were there before they were freed; a put whose answer was lost is there whole
//! or not at all, and a retry of its call finds out which; a put that was refused is never there.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::*;
use crate::disk::sim::Op;
use crate::error::Kind;
use crate::journal::conformance::sources::{copied, keyed};
use crate::journal::conformance::{put, shard};
use crate::limits::CALL_MEMORY;
use crate::record::CallId;

/// A put whose answer was lost.
#[derive(Clone)]
struct Lost {
    shard: ShardId,
    append: Append,
}

/// What must be there.
#[derive(Default)]
struct Model {
    /// All records of each shard from position 0.
    records: BTreeMap<ShardId, Vec<String>>,
    lost: Vec<Lost>,
    stored: Vec<(ShardId, Append, Appended)>,
    /// What came with the stored puts.
    checkpoints: BTreeMap<ShardId, BTreeMap<String, Bytes>>,
    names: u64,
}

struct Life {
    seed: u64,
    rng: Clock,
    clock: Clock,
    disk: SimDisk,
    model: Model,
    options: Options,
}

fn texts_of(append: &Append) -> Vec<String> {
    append.records.iter().map(|record| String::from_utf8(record.to_vec()).unwrap()).collect()
}

impl Life {
    fn new(seed: u64) -> Self {
        let rng = Clock::simulated(seed, 0);
        let segment_bytes = [1_500, 3_000, 10_000, 100_000][(rng.random() % 4) as usize];
        let fresh_bytes = [0, 500, 1 << 20][(rng.random() % 3) as usize];
        let options =
            Options { segment_bytes, fresh_bytes, encryption_key: Some(Zeroizing::new([9; 32])), ..Options::default() };
        let clock = Clock::simulated(seed, START_MS);
        Life { seed, rng, clock, disk: SimDisk::new(seed), model: Model::default(), options }
    }

    fn below(&self, n: u64) -> u64 {
        self.rng.random() % n
    }

    fn some_put(&mut self) -> (ShardId, Append) {
        let shard = shard(1 + self.below(2), self.below(2) as u32);
        let records: Vec<String> = (0..=self.below(3))
            .map(|_| {
                self.model.names += 1;
                format!("{}{}", self.model.names, "-".repeat(self.below(500) as usize))
            })
            .collect();
        let mut append = put(&records.join(" "));
        if self.below(2) == 0 {
            append.records.keys = keyed(&records.join(" ")).records.keys;
        }
        if self.below(3) == 0 {
            let at = if self.below(4) == 0 { String::new() } else { self.model.names.to_string() };
            append.checkpoint = copied("", ["north", "south", "west"][self.below(3) as usize], &at).checkpoint;
        }
        append.records.arrived_ms = self.clock.now_ms();
        append.encrypt = self.below(12) == 0;
        if self.below(2) == 0 {
            let mut call = [0; 16];
            self.rng.fill(&mut call);
            append.call = Some(CallId(call));
        }
        (shard, append)
    }

    /// Some puts at once. An answer of `Internal` is a lost one.
    async fn puts(&mut self, journal: &LocalJournal) {
        let puts: Vec<_> = (0..=self.below(9)).map(|_| self.some_put()).collect();
        let answers = join_all(puts.iter().map(|(shard, put)| journal.append(*shard, put.clone()))).await;
        let mut done: Vec<_> = puts.into_iter().zip(answers).collect();
        done.sort_by_key(|(_, answer)| answer.as_ref().map_or(0, |appended| appended.span.start));
        for ((shard, append), answer) in done {
            match answer {
                Ok(appended) => self.stored(shard, append, appended),
                Err(error) if error.kind() == Kind::Internal => self.model.lost.push(Lost { shard, append }),
                Err(error) => assert_eq!(error.kind(), Kind::Unavailable, "seed {}: {error}", self.seed),
            }
        }
        self.compare_checkpoints(journal).await;
    }

    /// In one life only what was acknowledged is seen.
    async fn compare_checkpoints(&self, journal: &LocalJournal) {
        for (&shard, checkpoints) in &self.model.checkpoints {
            assert_eq!(journal.checkpoints(shard).await.unwrap(), *checkpoints, "seed {} {shard:?}", self.seed);
        }
    }

    fn stored(&mut self, shard: ShardId, append: Append, appended: Appended) {
        let records = self.model.records.entry(shard).or_default();
        assert_eq!(appended.span.start, records.len() as u64, "seed {}: positions are dense", self.seed);
        assert!(!appended.repeated);
        records.extend(texts_of(&append));
        let checkpoints = self.model.checkpoints.entry(shard).or_default();
        append.checkpoint.iter().for_each(|checkpoint| checkpoint.enter(checkpoints));
        self.model.stored.push((shard, append, appended));
    }

    async fn read(&self, journal: &LocalJournal) {
        for (&shard, records) in &self.model.records {
            let start = journal.extent(shard).await.unwrap().start;
            let from = (start + self.below(5)).min(records.len() as u64);
            match journal.read(shard, from, self.below(2_000) as usize).await {
                Ok(batch) => self.compare(&batch, records),
                Err(error) => assert_eq!(error.kind(), Kind::Unavailable, "{error}"),
            }
        }
    }

    fn compare(&self, batch: &Batch, records: &[String]) {
        let read: Vec<_> = batch.puts.iter().flat_map(Records::iter).map(String::from_utf8_lossy).collect();
        assert_eq!(read, records[batch.span.start as usize..batch.span.end as usize], "seed {}", self.seed);
    }

    async fn live(&mut self, journal: &LocalJournal) {
        for _ in 0..self.below(25) {
            match self.below(10) {
                0 => self.read(journal).await,
                1 => {
                    let shard = shard(1 + self.below(2), self.below(2) as u32);
                    let end = self.model.records.get(&shard).map_or(0, Vec::len) as u64;
                    journal.trim(shard, self.below(end + 1)).await.unwrap();
                }
                2 => {
                    let seconds = if self.below(8) == 0 { 310 } else { self.below(40) };
                    self.clock.sleep(Duration::from_secs(seconds)).await;
                }
                _ => self.puts(journal).await,
            }
        }
    }

    /// Opens the journal, which may crash in the middle of it, and checks what is there.
    async fn reopen(&mut self) -> LocalJournal {
        if self.below(3) == 0 {
            self.disk.crash_after(self.below(12));
            if let Ok(journal) = open(&self.disk, &self.clock, self.options.clone()).await {
                journal.close().await;
            }
            self.disk.crash();
        }
        let journal = open(&self.disk, &self.clock, self.options.clone()).await.unwrap();
        self.check(&journal).await;
        journal
    }

    async fn check(&mut self, journal: &LocalJournal) {
        let seed = self.seed;
        let shards: Vec<_> = [(1, 0), (1, 1), (2, 0), (2, 1)].map(|(stream, index)| shard(stream, index)).into();
        for shard in shards {
            let extent = journal.extent(shard).await.unwrap();
            assert_eq!(extent.damaged, 0, "seed {seed}");
            let acked = self.model.records.get(&shard).map_or(0, Vec::len) as u64;
            assert!(extent.end >= acked, "seed {seed}: acknowledged up to {acked}, there up to {}", extent.end);
            let mut at = extent.start;
            while at < extent.end {
                let batch = journal.read(shard, at, 3_000).await.unwrap();
                assert_eq!(batch.span.start, at, "seed {seed}");
                self.compare_or_find(&batch);
                at = batch.span.end;
            }
            assert_eq!(self.model.records.get(&shard).map_or(0, Vec::len) as u64, extent.end, "seed {seed}");
        }
        self.compare_checkpoints(journal).await;
        self.retry(journal).await;
    }

    /// Puts beyond what was acknowledged must be lost ones, whole; from now on they are there.
    fn compare_or_find(&mut self, batch: &Batch) {
        let mut position = batch.span.start;
        let shard = batch.span.shard;
        for put in &batch.puts {
            let records = self.model.records.entry(shard).or_default();
            if position >= records.len() as u64 {
                let found = self.model.lost.iter().position(|lost| lost.shard == shard && lost.append.records == *put);
                let found = found.unwrap_or_else(|| panic!("seed {}: a put that nobody made, or twice", self.seed));
                let lost = self.model.lost.remove(found);
                let span = Span { shard, start: position, end: position + put.len() as u64 };
                self.stored(shard, lost.append, Appended { span, repeated: false });
            }
            let records = &self.model.records[&shard];
            let read: Vec<_> = put.iter().map(String::from_utf8_lossy).collect();
            assert_eq!(read, records[position as usize..position as usize + put.len()], "seed {}", self.seed);
            position += put.len() as u64;
        }
    }

    /// Retries of stored calls are known; those of lost ones are stored now.
    async fn retry(&mut self, journal: &LocalJournal) {
        for (shard, append, appended) in self.model.stored.iter().rev().take(10) {
            let age_ms = self.clock.now_ms() - append.records.arrived_ms;
            if append.call.is_some() && age_ms < CALL_MEMORY.as_millis() as u64 {
                assert_eq!(journal.recall(*shard, append.call.unwrap()).await.unwrap(), Some(appended.span));
                let again = journal.append(*shard, append.clone()).await.unwrap();
                assert_eq!(again, Appended { repeated: true, ..*appended }, "seed {}", self.seed);
            }
        }
        for lost in std::mem::take(&mut self.model.lost) {
            if lost.append.call.is_some() {
                let appended = journal.append(lost.shard, lost.append.clone()).await.unwrap();
                self.stored(lost.shard, lost.append, appended);
            }
        }
    }

    async fn run(mut self) {
        for _ in 0..5 {
            let journal = self.reopen().await;
            let end = self.below(4);
            match end {
                0 => self.disk.crash_after(self.below(60)),
                1 => self.disk.fail([Op::Sync, Op::SyncDir, Op::Write][self.below(3) as usize], 1 + self.below(20), 5),
                _ => {}
            }
            self.live(&journal).await;
            // One fault at a time: a sync that failed and, before its bytes could be cut off, the death of the process.
            let sync_failed = journal.healthy().is_err_and(|error| error.message().contains("cannot sync"));
            journal.close().await;
            drop(journal);
            tokio::task::yield_now().await;
            let killed = end == 2 || end == 1 && self.below(2) == 0 || end == 0 && !sync_failed && self.below(2) == 0;
            // A failed sync loses bytes that the process still sees, and a kill leaves bytes that are not durable yet.
            if killed {
                self.disk.restart();
            } else {
                self.disk.crash();
            }
        }
        let journal = self.reopen().await;
        journal.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_crashes_acknowledged_puts_are_there_whole_once_and_in_order() {
    for seed in 0..200 {
        Life::new(seed).run().await;
    }
}
