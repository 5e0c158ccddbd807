//! Streams of one shard, whose records are trimmed once they are delivered.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::Reader;
use super::holds::Holds;
use crate::error::Result;
use crate::journal::{Append, Appended, Extent, Journal};
use crate::record::{Batch, ShardId, StreamId};

/// One stream of direct puts: one shard. Cheap to clone.
#[derive(Clone)]
pub struct Stream {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) holds: Holds,
    shard: ShardId,
}

impl Stream {
    /// The stream `id` in `journal`; it comes into being with its first put.
    pub fn new(journal: Arc<dyn Journal>, id: StreamId) -> Self {
        Streams::new(journal).get(id)
    }

    /// Its only shard.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// Stores a put; durable when it returns.
    pub async fn append(&self, put: Append) -> Result<Appended> {
        self.journal.append(self.shard, put).await
    }

    /// Reads on from `position`; see [`Journal::read`].
    pub async fn read(&self, position: u64, bytes_max: usize) -> Result<Batch> {
        self.journal.read(self.shard, position, bytes_max).await
    }

    /// Waits until there is something at `position`.
    pub async fn grown(&self, position: u64) -> Result<()> {
        self.journal.grown(self.shard, position).await
    }

    /// What is there.
    pub async fn extent(&self) -> Result<Extent> {
        self.journal.extent(self.shard).await
    }

    /// How far each source has been copied into it; see [`Journal::checkpoints`].
    pub async fn checkpoints(&self) -> Result<BTreeMap<String, Bytes>> {
        self.journal.checkpoints(self.shard).await
    }

    /// The first position whose record arrived then or later; see [`Journal::position_at`].
    pub async fn position_at(&self, arrived_ms: u64) -> Result<u64> {
        self.journal.position_at(self.shard, arrived_ms).await
    }

    /// Forgets the stream and frees its disk.
    pub async fn remove(&self) -> Result<()> {
        self.journal.remove(self.shard.stream).await
    }
}

/// All streams of one journal.
#[derive(Clone)]
pub struct Streams {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) holds: Holds,
}

impl Streams {
    /// The streams of `journal`.
    pub fn new(journal: Arc<dyn Journal>) -> Self {
        Streams { journal, holds: Holds::default() }
    }

    /// The stream with this id.
    pub fn get(&self, id: StreamId) -> Stream {
        let shard = ShardId { stream: id, index: 0 };
        Stream { journal: self.journal.clone(), holds: self.holds.clone(), shard }
    }

    /// Holds what is put into the stream `id` for its backup, until that has said how far it is.
    pub fn hold_for_backup(&self, id: StreamId) {
        self.holds.hold(id, id);
        self.holds.hold(id, id.backup());
    }

    /// Lets it go again: there is no backup any more.
    pub fn release_backup(&self, id: StreamId) {
        self.holds.release(id, id.backup());
    }

    /// Forgets who reads the stream `id`, which is gone.
    pub fn forget(&self, id: StreamId) {
        self.holds.release(id, id);
        self.holds.release(id, id.backup());
    }

    /// Reads the shards of all of them.
    pub fn reader(&self) -> Reader {
        Reader::of(self.journal.clone())
    }

    /// Whether puts can be taken at all; the error says why not.
    pub fn healthy(&self) -> Result<()> {
        self.journal.healthy()
    }
}
