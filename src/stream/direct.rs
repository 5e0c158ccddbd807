//! Streams of one shard and one reader.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::Reader;
use crate::error::Result;
use crate::journal::{Append, Appended, Extent, Journal};
use crate::record::{Batch, ShardId, StreamId};

/// One stream of direct puts: one shard, one reader. Cheap to clone.
#[derive(Clone)]
pub struct Stream {
    pub(super) journal: Arc<dyn Journal>,
    shard: ShardId,
}

impl Stream {
    /// The stream `id` in `journal`; it comes into being with its first put.
    pub fn new(journal: Arc<dyn Journal>, id: StreamId) -> Self {
        Stream { journal, shard: ShardId { stream: id, index: 0 } }
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

    /// Says that everything before `position` is past: committed in the ledger.
    pub async fn delivered(&self, position: u64) -> Result<()> {
        self.journal.trim(self.shard, position).await
    }

    /// Forgets the stream and frees its disk.
    pub async fn remove(&self) -> Result<()> {
        self.journal.remove(self.shard.stream).await
    }
}

/// All streams of one journal.
#[derive(Clone)]
pub struct Streams(pub(super) Arc<dyn Journal>);

impl Streams {
    /// The streams of `journal`.
    pub fn new(journal: Arc<dyn Journal>) -> Self {
        Streams(journal)
    }

    /// The stream with this id.
    pub fn get(&self, id: StreamId) -> Stream {
        Stream::new(self.0.clone(), id)
    }

    /// Reads the shards of all of them.
    pub fn reader(&self) -> Reader {
        Reader::of(self.0.clone())
    }

    /// Whether puts can be taken at all; the error says why not.
    pub fn healthy(&self) -> Result<()> {
        self.0.healthy()
    }
}
