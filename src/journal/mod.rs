//! The durable log: what an acknowledgement rests on.
//!
//! > **A put that was acknowledged is read back, whole, once and in order, whatever crashed in between, until it is
//! > trimmed.**
//!
//! One [`Journal`] holds all shards of all streams. [`local`] keeps it in segment files; [`memory`] is the model that
//! the conformance suite compares it with.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{Error, Result};
use crate::limits::{INGEST_RECORDS_BYTES_MAX, INGEST_RECORDS_MAX};
use crate::record::{Batch, CallId, Records, ShardId, Span, StreamId};

pub mod local;
pub mod memory;

#[cfg(test)]
mod conformance;

/// One put: the records of one call for one shard, with what must become durable together with them.
#[derive(Clone, Debug)]
pub struct Append {
    /// The records; not empty.
    pub records: Records,
    /// The SDK call that brought them, if it can be known again.
    pub call: Option<CallId>,
    /// How far the source that they were copied from has been copied with them, if they were copied.
    pub checkpoint: Option<Checkpoint>,
    /// Whether the frames of this put are to be encrypted at rest.
    pub encrypt: bool,
    /// The stream's own disk budget in bytes, if it has one.
    pub bytes_max: Option<u64>,
}

/// How far one source has been copied into a shard: durable in the same frame as the records that it speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which source, for instance the name of a shard elsewhere; 1 to
    /// [`CHECKPOINT_SOURCE_BYTES_MAX`](crate::limits::CHECKPOINT_SOURCE_BYTES_MAX) bytes.
    pub source: String,
    /// Where to go on, in the source's own words; at most
    /// [`CHECKPOINT_BYTES_MAX`](crate::limits::CHECKPOINT_BYTES_MAX) bytes.
    pub at: Bytes,
}

impl Append {
    /// A put of records alone, in the clear, bound by the journal's budget only.
    pub fn of(records: Records) -> Self {
        Append { records, call: None, checkpoint: None, encrypt: false, bytes_max: None }
    }

    /// Refuses what no journal takes: `Invalid`, naming the bound.
    pub(crate) fn check(&self) -> Result<()> {
        let Records { ends, data, .. } = &self.records;
        let fault = if ends.is_empty() {
            "a put has no record".to_owned()
        } else if ends.len() > INGEST_RECORDS_MAX {
            format!("a put has {} records, at most {INGEST_RECORDS_MAX} are taken", ends.len())
        } else if data.len() > INGEST_RECORDS_BYTES_MAX {
            format!("a put has {} bytes, at most {INGEST_RECORDS_BYTES_MAX} are taken", data.len())
        } else if !ends.is_sorted() || ends.last().map(|end| *end as usize) != Some(data.len()) {
            format!("the ends of a put do not divide its {} bytes", data.len())
        } else {
            return Ok(());
        };
        Err(Error::invalid(fault))
    }
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where its records stand.
    pub span: Span,
    /// It was a retry of a call that had been stored: nothing was written again.
    pub repeated: bool,
}

/// The ends of a shard, and what lies between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Extent {
    /// The oldest position that can still be read.
    pub start: u64,
    /// One past the newest durable position.
    pub end: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// How many positions in all were lost to damage: skipped by reads, never delivered.
    pub damaged: u64,
}

/// A durable log of many shards. See the module for its guarantee.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Stores a put; durable when it returns `Ok`. On `Err` nothing of it is ever read, except that after
    /// [`Kind::Internal`](crate::error::Kind::Internal) (a failed sync) it may be, once, after a restart.
    ///
    /// A put whose call was stored within the last [`CALL_MEMORY`](crate::limits::CALL_MEMORY) is answered with the
    /// first one's span; while the first is in flight the second waits for it.
    /// [`Kind::Unavailable`](crate::error::Kind::Unavailable) when a disk budget is used up.
    async fn append(&self, shard: ShardId, put: Append) -> Result<Appended>;

    /// Reads from position `start`: at least one put's remainder if there is one, then more until about `bytes_max`
    /// bytes. A put is cut at `start` only. Empty at the tail.
    async fn read(&self, shard: ShardId, start: u64, bytes_max: usize) -> Result<Batch>;

    /// Waits until the shard's end is greater than `position`.
    async fn grown(&self, shard: ShardId, position: u64) -> Result<()>;

    /// The ends of a shard; zero for one that was never written.
    async fn extent(&self, shard: ShardId) -> Result<Extent>;

    /// The first position whose record arrived at or after `arrived_ms`, found among what can still be read as if arrivals
    /// only rose; the shard's end when there is none. Whole puts arrive together, so it is the first of a put.
    async fn position_at(&self, shard: ShardId, arrived_ms: u64) -> Result<u64>;

    /// Where the records of `call` were stored in `shard`, as far as calls are remembered. Waits for one that is in
    /// flight.
    async fn recall(&self, shard: ShardId, call: CallId) -> Result<Option<Span>>;

    /// The newest durable checkpoint of each source, whether or not the records that came with it are still there.
    async fn checkpoints(&self, shard: ShardId) -> Result<BTreeMap<String, Bytes>>;

    /// Lets everything before `end` go. What is really freed is whole segments.
    async fn trim(&self, shard: ShardId, end: u64) -> Result<()>;

    /// Forgets a stream and frees its disk.
    async fn remove(&self, stream: StreamId) -> Result<()>;

    /// Whether appends can be taken at the moment; the error says why not.
    fn healthy(&self) -> Result<()>;

    /// Bytes on disk of all streams.
    fn disk_bytes(&self) -> u64;

    /// Finishes what is queued and refuses more. Idempotent.
    async fn close(&self);
}
