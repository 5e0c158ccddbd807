//! Tests of the journal on disk: conformance, then what happens when the disk fails.

use std::sync::Arc;

use super::*;
use crate::disk::RealDisk;
use crate::disk::sim::SimDisk;
use crate::journal::conformance::sources::sources_are_bounded;
use crate::journal::conformance::suite;
use crate::record::{Records, Span};

mod crash;
mod damage;
mod faults;
mod life;
mod sources;

pub(super) const START_MS: u64 = 1_700_000_000_000;

/// A journal on a simulated disk.
pub(super) async fn open(disk: &SimDisk, clock: &Clock, options: Options) -> Result<LocalJournal> {
    LocalJournal::open_inline(Arc::new(disk.clone()), clock.clone(), options).await
}

/// Small segments and nothing in memory: every read comes from disk.
pub(super) fn small() -> Options {
    Options { segment_bytes: 2_000, fresh_bytes: 0, ..Options::default() }
}

#[tokio::test(start_paused = true)]
async fn it_conforms_on_a_simulated_disk() {
    for options in [Options::default(), small(), Options { fresh_bytes: 300, ..small() }] {
        let clock = Clock::simulated(1, START_MS);
        let journal = open(&SimDisk::new(1), &clock, options).await.unwrap();
        suite(Arc::new(journal), &clock).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms_on_a_real_disk_with_threads() {
    for options in [Options::default(), small()] {
        let options = Options { free_bytes_min: 0, ..options };
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::open(dir.path()).unwrap());
        let journal = LocalJournal::open(disk, Clock::real(), options).unwrap();
        suite(Arc::new(journal), &Clock::real()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_sources_of_a_shard_are_bounded_also_after_a_restart() {
    let (disk, clock) = (SimDisk::new(1), Clock::simulated(1, START_MS));
    let journal = open(&disk, &clock, Options::default()).await.unwrap();
    sources_are_bounded(&journal).await;
    let checkpoints = journal.checkpoints(shard_of_sources()).await.unwrap();
    journal.close().await;
    drop(journal);
    disk.crash();
    let journal = open(&disk, &clock, Options::default()).await.unwrap();
    assert_eq!(journal.checkpoints(shard_of_sources()).await.unwrap(), checkpoints);
}

fn shard_of_sources() -> ShardId {
    crate::journal::conformance::shard(26, 0)
}

/// The files whose names end so.
pub(super) fn of_kind(disk: &SimDisk, extension: &str) -> Vec<String> {
    let ends_so = |file: &String| file.rsplit_once('.').is_some_and(|(_, end)| end == extension);
    disk.files().into_iter().filter(ends_so).collect()
}
