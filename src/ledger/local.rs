//! The ledger in append-only files, which an operator can read with `less` and check line by line.
//!
//! # Format, version 3
//! The files are `ledger/<number, 20 digits>.jsonl`; the one with the greatest number is appended to. A line is
//!
//! ```text
//! <CRC-32C of the JSON, 8 lower-case hexadecimal digits> <JSON object>\n
//! ```
//!
//! Each object has `kind`, and `synced`: how many bytes of the file were on disk for sure when the line was written.
//! The kinds and their fields are those of [`Entry`]. A file begins with a `header`, then a snapshot of what was true
//! when it was begun: for each delivery stream a `stream` line, followed by a `shard` line for each of its shards and an
//! `open` line for each of its unfinished plans, and, for a partitioned stream that has planned above its watermark, a
//! `routing` line and a `lane` line for each lane; `begin` ends the snapshot. Then comes what happened: `start`, `plan`,
//! `replan`, `commit`, `skip`, `advance`, `retire`, `remove`. An orderly stop leaves `end`. Version 2, which is read too, has
//! no partitioned streams.
//!
//! # Rules
//! - A call returns after the sync of its line. Calls that wait at the same time share one sync.
//! - A file that is full, and one that an earlier process wrote, is not appended to: a new one is begun with the state,
//!   synced with its directory, and counts from then on. Older files stay as history, within bounds.
//! - **Start** takes the newest file whose snapshot is whole, and its lines up to the first that is not. If a later line
//!   says that this one had been synced, it was not torn by a crash but damaged since: the ledger refuses to
//!   open and names file and line. Otherwise the rest is a torn tail, never acknowledged, and forgotten.
//! - A write that fails leaves nothing; the next call begins a new file. A sync that fails poisons: nothing is
//!   taken until a restart, because nobody can know what is on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::{Ledger, Plan, PlanId, Standing, Tally};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::error::{Error, Kind, Result};
use crate::limits::{LEDGER_BYTES_KEPT_MAX, LEDGER_CALLS_QUEUED_MAX, LEDGER_FILE_BYTES, LEDGER_FILES_KEPT_MAX};
use crate::record::{ShardId, StreamId};

#[cfg(test)]
mod crash;
mod files;
mod history;
mod line;
mod state;
#[cfg(test)]
mod tests;
mod writer;

pub use history::{Recorded, read_history};
pub use line::{After, Entry};

use files::Files;
use writer::{Call, Change, Poison, Writer};

/// Where the ledger's writer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// On a thread of its own: its syncs hold nobody up.
    Thread,
    /// As a task of the caller's runtime, so that a simulation is deterministic.
    Task,
}

/// Settings; the default is what the service uses.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes after which a new file is begun.
    pub file_bytes: u64,
    /// How many files are kept, the current one included; at least two are.
    pub files_kept: usize,
    /// How many bytes of older files are kept.
    pub bytes_kept: u64,
    /// Where the writer runs.
    pub run: Run,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            file_bytes: LEDGER_FILE_BYTES,
            files_kept: LEDGER_FILES_KEPT_MAX,
            bytes_kept: LEDGER_BYTES_KEPT_MAX,
            run: Run::Thread,
        }
    }
}

/// The ledger over a [`Disk`]. See the module for its files, and [`Ledger`] for its guarantee.
pub struct LocalLedger {
    calls: mpsc::Sender<Call>,
    poison: Poison,
    ends_at_start: BTreeMap<ShardId, u64>,
}

impl LocalLedger {
    /// Opens the ledger under `ledger/`, made if missing. Blocks.
    ///
    /// [`Kind::Corrupt`] when what was acknowledged is damaged, [`Kind::Invalid`] when a newer version wrote it,
    /// [`Kind::Conflict`] when another process has it, [`Kind::Unavailable`] when the disk refuses.
    pub fn open(disk: Arc<dyn Disk>, clock: Clock, options: Options) -> Result<LocalLedger> {
        let (files, state) = Files::open(disk, options)?;
        let poison = Poison::default();
        let ends_at_start = state.ends();
        let writer = Writer::new(state, files, clock, poison.clone());
        let (calls, queue) = mpsc::channel(LEDGER_CALLS_QUEUED_MAX);
        match options.run {
            Run::Task => drop(tokio::spawn(writer.run(queue))),
            Run::Thread => std::thread::Builder::new()
                .name("ledger".into())
                .spawn(move || writer.run_on_thread(queue))
                .map(drop)
                .map_err(|error| Error::new(Kind::Internal, "cannot start the ledger's thread").because(error))?,
        }
        Ok(LocalLedger { calls, poison, ends_at_start })
    }

    /// Where the plans of each shard ended when the ledger was opened: positions before it have been given out.
    pub fn ends_at_start(&self) -> &BTreeMap<ShardId, u64> {
        &self.ends_at_start
    }

    async fn change(&self, change: Change) -> Result<Option<PlanId>> {
        self.call(|reply| Call::Change(change, reply)).await?
    }

    async fn call<T>(&self, call: impl FnOnce(oneshot::Sender<T>) -> Call) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.calls.send(call(reply)).await.map_err(|_| Error::closed("the ledger is closed"))?;
        answer.await.map_err(|_| Error::closed("the ledger is closed"))
    }
}

#[async_trait]
impl Ledger for LocalLedger {
    async fn plan(&self, plan: Plan) -> Result<PlanId> {
        let id = self.change(Change::Plan(Box::new(plan))).await?;
        Ok(id.expect("the writer answers a plan with its number"))
    }

    async fn replan(&self, old: PlanId, plan: Plan) -> Result<PlanId> {
        let id = self.change(Change::Replan(old, Box::new(plan))).await?;
        Ok(id.expect("the writer answers a plan with its number"))
    }

    async fn commit(&self, plan: PlanId, tally: Tally) -> Result<()> {
        self.change(Change::Commit(plan, tally)).await.map(drop)
    }

    async fn begin(&self, stream: StreamId, shard: ShardId, position: u64) -> Result<()> {
        self.change(Change::Begin { stream, shard, position }).await.map(drop)
    }

    async fn skip(&self, stream: StreamId, shard: ShardId, end: u64, tally: Tally) -> Result<()> {
        self.change(Change::Skip { stream, shard, end, tally }).await.map(drop)
    }

    async fn advance(&self, stream: StreamId, to: Vec<(ShardId, u64)>, tally: Tally) -> Result<()> {
        self.change(Change::Advance { stream, to, tally }).await.map(drop)
    }

    async fn retire(&self, stream: StreamId, shard: ShardId) -> Result<()> {
        self.change(Change::Retire { stream, shard }).await.map(drop)
    }

    async fn standing(&self, stream: StreamId) -> Result<Standing> {
        self.call(|reply| Call::Standing(stream, reply)).await?
    }

    async fn remove(&self, stream: StreamId) -> Result<()> {
        self.change(Change::Remove(stream)).await.map(drop)
    }

    fn healthy(&self) -> Result<()> {
        self.poison.check()
    }

    /// Returns when the files are closed and the lock is let go.
    async fn close(&self) {
        // The second time nobody is there to answer.
        let _ = self.call(Call::Close).await;
    }
}
