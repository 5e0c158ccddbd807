//! The power fails at every operation of random scenarios: what was acknowledged holds, and nothing half.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;

use super::*;
use crate::disk::sim::{Op, SimDisk};
use crate::ledger::conformance::{Model, Step};

/// So small that files are begun all the time.
const SMALL: Options = Options { file_bytes: 1_500, files_kept: 4, bytes_kept: 1 << 20, run: Run::Task };
const STREAMS: [u64; 3] = [1, 2, 3];

fn open(disk: &SimDisk) -> Result<LocalLedger> {
    LocalLedger::open(Arc::new(disk.clone()), Clock::simulated(9, 1_000), SMALL)
}

/// What must be found after a crash.
struct Expected {
    /// What was acknowledged.
    model: Model,
    /// Each stream as it would be if the call that was not answered with `Ok` had taken effect.
    perhaps: BTreeMap<u64, Model>,
    last_id: PlanId,
    operations: u64,
}

/// Makes random calls, `width` at once (for different streams), until one fails.
async fn run(disk: &SimDisk, seed: u64, rounds: usize, width: usize) -> Expected {
    let clock = Clock::simulated(seed, 0);
    let mut expected =
        Expected { model: Model::default(), perhaps: BTreeMap::new(), last_id: 0, operations: disk.operations() };
    let opened = open(disk);
    expected.operations = disk.operations();
    let Ok(ledger) = opened else { return expected };
    for _ in 0..rounds {
        let first = clock.random() as usize % STREAMS.len();
        let streams = (0..width).map(|n| STREAMS[(first + n) % STREAMS.len()]);
        let steps: Vec<_> = streams.map(|stream| (stream, Step::random_for(&clock, &expected.model, stream))).collect();
        let results = join_all(steps.iter().map(|(_, step)| step.run(&ledger))).await;
        expected.take(steps, results).await;
        if !expected.perhaps.is_empty() {
            break;
        }
    }
    expected.operations = disk.operations();
    expected
}

impl Expected {
    async fn take(&mut self, steps: Vec<(u64, Step)>, results: Vec<Result<Option<PlanId>>>) {
        for ((stream, step), result) in steps.into_iter().zip(results) {
            match result {
                Ok(id) => {
                    if let Some(id) = id {
                        assert!(id > self.last_id, "plan numbers rise");
                        self.last_id = id;
                        self.model.numbered_from(id - 1);
                    }
                    let theirs = step.run(&self.model).await;
                    assert_eq!(theirs.expect("the ledger accepted what the model refuses"), id);
                }
                Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::Internal) => {
                    let perhaps = self.model.copy();
                    // What the model refuses would have been refused in any case.
                    if step.run(&perhaps).await.is_ok() {
                        self.perhaps.insert(stream, perhaps);
                    }
                }
                Err(_) => assert!(step.run(&self.model).await.is_err(), "the ledger refused {step:?}"),
            }
        }
    }

    /// Compares what is found; what took effect after all is taken over.
    async fn check(&mut self, ledger: &LocalLedger, context: &str) {
        for id in STREAMS {
            let stream = StreamId(id);
            let found = ledger.standing(stream).await.unwrap();
            let sure = self.model.standing(stream).await.unwrap();
            if found == sure {
                continue;
            }
            let perhaps = self.perhaps.get(&id).unwrap_or_else(|| panic!("{context}: {found:?} for {sure:?}"));
            let other = perhaps.standing(stream).await.unwrap();
            assert_eq!(without_new_ids(&found, &sure), without_new_ids(&other, &sure), "{context}");
        }
    }
}

/// The number of a plan that was never answered is not known.
fn without_new_ids(found: &Standing, sure: &Standing) -> Standing {
    let known = |id| sure.unfinished.iter().any(|(known, _)| *known == id);
    let mut found = found.clone();
    for (id, _) in &mut found.unfinished {
        *id = if known(*id) { *id } else { 0 };
    }
    found
}

async fn next_id(ledger: &LocalLedger) -> PlanId {
    let start = ledger.standing(StreamId(50)).await.unwrap().past();
    let id = ledger.plan(crate::ledger::conformance::plan(50, 0, start, start + 1)).await.unwrap();
    ledger.commit(id, crate::ledger::conformance::delivered(1)).await.unwrap();
    id
}

async fn at_every_operation(seed: u64, width: usize) {
    let mut crash_at = 0;
    loop {
        let disk = SimDisk::new(seed * 1_000 + crash_at);
        disk.crash_after(crash_at);
        let mut expected = run(&disk, seed, 60, width).await;
        if crash_at >= expected.operations {
            break;
        }
        disk.crash();
        // The start after the crash is cut off too, a step later each time, until one gets through.
        let mut starts = 0;
        let ledger = loop {
            disk.crash_after(starts);
            match open(&disk) {
                Ok(ledger) => break ledger,
                Err(error) if error.kind() == Kind::Corrupt => panic!("seed {seed} at {crash_at}: {error}"),
                Err(_) => disk.crash(),
            }
            starts += 1;
        };
        disk.restart();
        drop(ledger);
        let ledger = open(&disk).unwrap();
        expected.check(&ledger, &format!("seed {seed}, crash at operation {crash_at}")).await;
        assert!(next_id(&ledger).await > expected.last_id, "seed {seed} at {crash_at}: plan numbers rise");
        crash_at += 1;
    }
    assert!(crash_at > 60, "the scenario is long enough to mean something");
}

#[tokio::test]
async fn a_power_cut_at_every_operation_loses_nothing_acknowledged() {
    for seed in 0..4 {
        at_every_operation(seed, 1).await;
    }
}

#[tokio::test]
async fn a_power_cut_in_a_group_keeps_each_line_whole_or_not_at_all() {
    for seed in 100..103 {
        at_every_operation(seed, 3).await;
    }
}

/// A write that failed for want of room is not there, unless the power fails before the next call gets through.
#[tokio::test]
async fn a_full_disk_refuses_and_the_next_call_starts_clean() {
    for seed in 0..60 {
        let disk = SimDisk::new(seed);
        let ledger = open(&disk).unwrap();
        let (clock, mut expected) = (Clock::simulated(seed, 0), run(&SimDisk::new(0), 0, 0, 1).await);
        for round in 0..40 {
            if clock.random().is_multiple_of(4) {
                let op = [Op::Write, Op::Create][clock.random() as usize % 2];
                disk.fail(op, 1, std::io::ErrorKind::StorageFull);
            }
            let stream = STREAMS[round % 3];
            let step = Step::random_for(&clock, &expected.model, stream);
            let result = step.run(&ledger).await;
            if result.is_ok() {
                expected.perhaps.clear();
            }
            expected.take(vec![(stream, step)], vec![result]).await;
            if let Ok(standing) = ledger.standing(StreamId(stream)).await {
                assert_eq!(standing, expected.model.standing(StreamId(stream)).await.unwrap(), "seed {seed}");
            }
        }
        disk.crash();
        expected.check(&open(&disk).unwrap(), &format!("seed {seed}")).await;
    }
}

#[tokio::test]
async fn a_failed_sync_poisons_and_a_restart_heals() {
    for seed in 0..60 {
        let disk = SimDisk::new(seed);
        let (sync, nth) = if seed % 2 == 0 { (Op::Sync, 3 + seed / 2) } else { (Op::SyncDir, 3) };
        disk.fail(sync, nth, 5);
        let mut expected = run(&disk, seed, 60, 1).await;
        if expected.perhaps.is_empty() {
            continue;
        }
        disk.crash();
        expected.check(&open(&disk).unwrap(), &format!("seed {seed}")).await;
    }
}
