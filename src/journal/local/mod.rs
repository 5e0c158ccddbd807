//! The journal on this machine's disk: segment files, one writer, group commit.
//!
//! ```text
//! append ──▶ room among queued bytes ──▶ queue ──▶ writer ──▶ frames ──▶ segment file ──▶ sync ──▶ answer
//!                                                    │                                     └─▶ fresh puts ──▶ readers
//!                                                    └─▶ keeper: sidecars, freeing, removing
//! ```
//! The bytes on disk are specified in `frame`, `segment`, `sidecar` and `damage`; what a put can meet with in `writer`;
//! what a start does in `recover`.
//!
//! Why frames do not carry the checksum of the one before: number of the segment, offset and dense positions say already
//! that a frame is in its place and that none is missing.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};
use zeroize::Zeroizing;

use super::{Append, Appended, Extent, Journal};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::error::{Error, Kind, Result};
use crate::limits::{
    APPEND_BYTES_QUEUED_MAX, APPENDS_QUEUED_MAX, CALLS_REMEMBERED_MAX, FREE_BYTES_MIN, FRESH_BYTES_MAX, SEGMENT_BYTES,
};
use crate::record::{Batch, CallId, ShardId, Span, StreamId};

mod active;
mod calls;
mod cipher;
mod damage;
mod frame;
mod fresh;
mod group;
mod home;
mod keeper;
mod read;
mod recover;
mod scan;
mod seek;
mod segment;
mod sidecar;
mod space;
mod state;
mod sync;
#[cfg(test)]
mod tests;
mod walk;
mod writer;

pub use home::claim;
pub use space::DiskMax;

use keeper::{Job, Keeper};
use read::Quick;
use state::{Inner, Shard, lock};
use sync::{Syncer, Target};
use writer::{Message, Writer};

/// What can be chosen about a journal. The default is what limits.rs says.
#[derive(Clone)]
pub struct Options {
    /// Beyond it puts are refused.
    pub disk_max: DiskMax,
    /// Opens and seals encrypted frames.
    pub encryption_key: Option<Zeroizing<[u8; 32]>>,
    /// Bytes after which a segment is sealed.
    pub segment_bytes: u64,
    /// Bytes of fresh records kept in memory.
    pub fresh_bytes: usize,
    /// Calls remembered at once.
    pub calls_max: usize,
    /// Bytes that must stay free on the file system (or 5 percent of it, whichever is less).
    pub free_bytes_min: u64,
    /// Positions before these were given out for sure, whatever the disk says: who planned or delivered them knows. They
    /// are never given out again, or what is put there would be taken for delivered.
    pub ends_min: BTreeMap<ShardId, u64>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            disk_max: DiskMax::Percent(80),
            encryption_key: None,
            segment_bytes: SEGMENT_BYTES,
            fresh_bytes: FRESH_BYTES_MAX,
            calls_max: CALLS_REMEMBERED_MAX,
            free_bytes_min: FREE_BYTES_MIN,
            ends_min: BTreeMap::new(),
        }
    }
}

/// The journal in the folder `journal` of a data directory. A cheap handle; see [`Journal`] for what it promises.
pub struct LocalJournal {
    inner: Arc<Inner>,
    queue: mpsc::Sender<Message>,
    /// One for each byte that may be queued.
    room: Arc<Semaphore>,
    keeper: Keeper,
    /// Disk calls are made where they come up, on the caller's own task.
    inline: bool,
}

impl LocalJournal {
    /// Opens the journal, with threads of its own for writing. Blocks until what is on disk is known: sidecars are read,
    /// segments without one are read whole.
    ///
    /// `Invalid` when there are segments that the key in `options` does not open; `Unavailable` when the disk fails.
    pub fn open(disk: Arc<dyn Disk>, clock: Clock, options: Options) -> Result<LocalJournal> {
        let failed =
            |error: io::Error| Error::new(Kind::Unavailable, "cannot start the journal's threads").because(error);
        let syncer = Syncer::with_threads(disk.clone()).map_err(failed)?;
        let inner = Arc::new(Inner::new(disk, clock, options));
        let keeper = Keeper::start(inner.clone()).map_err(failed)?;
        let (mut journal, writer, jobs) = LocalJournal::assemble(inner, syncer, keeper)?;
        journal.inline = false;
        let (keeper, writing) = (journal.keeper.clone(), journal.inner.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        std::thread::Builder::new()
            .name("journal-writer".into())
            .spawn(move || {
                runtime.block_on(async {
                    let seal = async {
                        for job in jobs {
                            // After the end nothing is touched any more; the next start finds what is left to seal.
                            if writing.refusal().is_ok() {
                                keeper.give(job).await;
                            }
                        }
                        drop(keeper);
                    };
                    // Side by side: sealing what was found must not keep puts waiting.
                    tokio::join!(writer.run(), seal);
                });
            })
            .map_err(failed)?;
        Ok(journal)
    }

    /// Opens the journal without any thread: the writer is a task of the runtime that this is called on, and every
    /// disk call is made where it comes up. For simulations, where all must happen in an order that the seed gives.
    pub async fn open_inline(disk: Arc<dyn Disk>, clock: Clock, options: Options) -> Result<LocalJournal> {
        let syncer = Syncer::inline(disk.clone());
        let inner = Arc::new(Inner::new(disk, clock, options));
        let keeper = Keeper::Inline(inner.clone());
        let (journal, writer, jobs) = LocalJournal::assemble(inner, syncer, keeper)?;
        for job in jobs {
            journal.keeper.give(job).await;
        }
        drop(tokio::spawn(writer.run()));
        Ok(journal)
    }

    fn assemble(inner: Arc<Inner>, syncer: Syncer, keeper: Keeper) -> Result<(LocalJournal, Writer, Vec<Job>)> {
        let found = recover::recover(&inner)?;
        make_durable(&syncer, &found.targets)?;
        let jobs = found.unsealed.into_iter().map(|(shard, sidecar)| Job::Seal(shard, sidecar, None)).collect();
        let (queue, waiting) = mpsc::channel(APPENDS_QUEUED_MAX);
        let writer = Writer::new(inner.clone(), waiting, keeper.clone(), syncer, found.calls);
        let room = Arc::new(Semaphore::new(APPEND_BYTES_QUEUED_MAX));
        Ok((LocalJournal { inner, queue, room, keeper, inline: true }, writer, jobs))
    }

    /// Does what may wait for the disk.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> Result<T> + Send + 'static) -> Result<T> {
        if self.inline {
            return work(&self.inner);
        }
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(|error| Error::new(Kind::Internal, "a read of the journal has stopped").because(error))?
    }

    async fn tell<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(message(answer)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| Error::new(Kind::Internal, "the journal's writer has stopped"))
    }
}

#[async_trait]
impl Journal for LocalJournal {
    async fn append(&self, shard: ShardId, put: Append) -> Result<Appended> {
        put.check()?;
        self.inner.refusal()?;
        if put.encrypt && self.inner.master.is_none() {
            return Err(active::no_key());
        }
        if put.call.is_some() {
            // Noted before it is queued: who asks for the call must not miss one in flight.
            self.inner.find_or_make(shard)?.called(self.inner.clock.now_ms().max(put.records.arrived_ms));
        }
        let bytes =
            frame::stored_bytes(&put.records, put.checkpoint.as_ref(), put.encrypt).min(APPEND_BYTES_QUEUED_MAX as u64);
        let permit = self.room.clone().acquire_many_owned(bytes as u32).await.map_err(|_| closed())?;
        self.tell(|answer| Message::Put(group::Put { shard, append: put, answer, _permit: permit })).await?
    }

    async fn read(&self, shard: ShardId, start: u64, bytes_max: usize) -> Result<Batch> {
        let Some(shard) = self.inner.find(shard)? else {
            return Ok(read::empty(shard, start));
        };
        if let Quick::Batch(batch) = read::quick(&self.inner, &shard, start, bytes_max) {
            return Ok(batch);
        }
        self.blocking(move |inner| read::from_disk(inner, &shard, start, bytes_max)).await
    }

    async fn grown(&self, shard: ShardId, position: u64) -> Result<()> {
        let shard = self.inner.find_or_make(shard)?;
        let mut tip = shard.tip.subscribe();
        let tip = tip.wait_for(|tip| tip.end > position || tip.over.is_some()).await.map_err(|_| closed())?;
        match tip.over {
            _ if tip.end > position => Ok(()),
            Some(Kind::NotFound) => self.inner.find(shard.id).map(drop),
            _ => Err(closed()),
        }
    }

    async fn extent(&self, shard: ShardId) -> Result<Extent> {
        let Some(shard) = self.inner.find(shard)? else { return Ok(Extent::default()) };
        let view = lock(&shard.view);
        Ok(Extent { start: view.start, end: view.end, disk_bytes: view.disk_bytes(), damaged: view.damaged })
    }

    async fn position_at(&self, shard: ShardId, arrived_ms: u64) -> Result<u64> {
        let Some(shard) = self.inner.find(shard)? else { return Ok(0) };
        if let Some(position) = seek::quick(&shard, arrived_ms) {
            return Ok(position);
        }
        self.blocking(move |inner| seek::from_disk(inner, &shard, arrived_ms)).await
    }

    async fn recall(&self, shard: ShardId, call: CallId) -> Result<Option<Span>> {
        let Some(known) = self.inner.find(shard)? else { return Ok(None) };
        if !known.has_calls(self.inner.clock.now_ms()) {
            return Ok(None);
        }
        self.tell(|answer| Message::Recall(shard, call, answer)).await
    }

    async fn checkpoints(&self, shard: ShardId) -> Result<BTreeMap<String, Bytes>> {
        // Whoever asks goes on copying from there: a put that is still queued, though its caller has gone away, is not to
        // be copied again. A journal that is closed has nothing queued.
        let _ = self.tell(Message::Pass).await;
        let shard = self.inner.find(shard)?;
        Ok(shard.map(|shard| lock(&shard.view).checkpoints.clone()).unwrap_or_default())
    }

    async fn trim(&self, shard: ShardId, end: u64) -> Result<()> {
        let Some(shard) = self.inner.find(shard)? else { return Ok(()) };
        let (tidy, retire) = trim(&self.inner, &shard, end);
        if retire {
            // A journal that is closing frees it at its next start.
            let _ = self.tell(|done| Message::Retire(shard.id, done)).await;
        }
        if tidy {
            let (done, tidied) = oneshot::channel();
            self.keeper.give(Job::Tidy(shard, Some(done))).await;
            let _ = tidied.await;
        }
        Ok(())
    }

    async fn remove(&self, stream: StreamId) -> Result<()> {
        self.tell(|done| Message::Remove(stream, done)).await?
    }

    fn healthy(&self) -> Result<()> {
        self.inner.refusal()?;
        self.inner.writes_go_well()?;
        space::check_now(&self.inner)
    }

    fn disk_bytes(&self) -> u64 {
        self.inner.disk_bytes.load(Ordering::Relaxed)
    }

    async fn close(&self) {
        let _ = self.tell(Message::Close).await;
    }
}

/// Moves a shard's start. Returns whether segments can be freed, and whether the active one is worth freeing.
fn trim(inner: &Inner, shard: &Shard, end: u64) -> (bool, bool) {
    let mut view = lock(&shard.view);
    view.start = view.start.max(end.min(view.end));
    lock(&inner.fresh).forget(shard.id, view.start);
    let retire = view.overdue(writer::spare_bytes(inner), inner.clock.instant());
    (view.freeable().is_some(), retire)
}

/// What was found may be in the page cache only, where the process alone died: nothing is read, and no position given,
/// that a power cut could still take back.
fn make_durable(syncer: &Syncer, targets: &[Target]) -> Result<()> {
    for result in syncer.sync(targets) {
        result.map_err(|error| Error::unavailable("cannot make durable what the journal holds").because(error))?;
    }
    Ok(())
}

fn closed() -> Error {
    Error::closed("the journal is closed")
}
