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
use crate::limits::{
    CHECKPOINT_BYTES_MAX, CHECKPOINT_SOURCE_BYTES_MAX, CHECKPOINT_SOURCES_MAX, INGEST_RECORDS_BYTES_MAX,
    INGEST_RECORDS_MAX,
};
use crate::record::{Batch, CallId, Records, ShardId, Span, StreamId};

pub mod local;
pub mod memory;

#[cfg(test)]
mod conformance;

/// One put: the records of one call for one shard, with what must become durable together with them.
#[derive(Clone, Debug)]
pub struct Append {
    /// The records, at least one; with a key for each or for none.
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

/// How far one source has been copied into a shard: durable in the same frame as the records that it speaks of, so that
/// either both are there after a crash or neither is.
///
/// A shard keeps the newest of each source, up to
/// [`CHECKPOINT_SOURCES_MAX`]; a put that would add one more is refused. A source that
/// is finished is forgotten by a checkpoint whose `at` is empty. On disk a checkpoint is encrypted with its records, but
/// stands in the clear beside them once their segment is sealed: it must not hold what nobody may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which source, for instance the name of a shard elsewhere; 1 to
    /// [`CHECKPOINT_SOURCE_BYTES_MAX`] bytes.
    pub source: String,
    /// Where to go on, in the source's own words; at most
    /// [`CHECKPOINT_BYTES_MAX`] bytes. Empty: the source is forgotten.
    pub at: Bytes,
}

impl Checkpoint {
    fn fault(&self) -> Option<String> {
        let (source, at) = (self.source.len(), self.at.len());
        if source == 0 || source > CHECKPOINT_SOURCE_BYTES_MAX {
            Some(format!("a checkpoint's source has {source} bytes, 1 to {CHECKPOINT_SOURCE_BYTES_MAX} are taken"))
        } else if at > CHECKPOINT_BYTES_MAX {
            Some(format!("a checkpoint has {at} bytes, at most {CHECKPOINT_BYTES_MAX} are taken"))
        } else {
            None
        }
    }

    /// Takes its place among those of a shard.
    fn enter(&self, checkpoints: &mut BTreeMap<String, Bytes>) {
        if self.at.is_empty() {
            checkpoints.remove(&self.source);
        } else {
            // A copy: it is kept for long, and may be a part of something large.
            checkpoints.insert(self.source.clone(), Bytes::copy_from_slice(&self.at));
        }
    }
}

impl Append {
    /// A put of records alone, in the clear, bound by the journal's budget only.
    pub fn of(records: Records) -> Self {
        Append { records, call: None, checkpoint: None, encrypt: false, bytes_max: None }
    }

    /// Refuses what no journal takes: `Invalid`, naming the bound.
    pub(crate) fn check(&self) -> Result<()> {
        let fault = self.records_fault().or_else(|| self.checkpoint.as_ref().and_then(Checkpoint::fault));
        fault.map_or(Ok(()), |fault| Err(Error::invalid(fault)))
    }

    fn records_fault(&self) -> Option<String> {
        let Records { ends, data, keys, .. } = &self.records;
        let bytes = self.records.bytes();
        if ends.is_empty() {
            return Some("a put has no record".to_owned());
        } else if ends.len() > INGEST_RECORDS_MAX {
            return Some(format!("a put has {} records, at most {INGEST_RECORDS_MAX} are taken", ends.len()));
        } else if bytes > INGEST_RECORDS_BYTES_MAX {
            return Some(format!("a put has {bytes} bytes, at most {INGEST_RECORDS_BYTES_MAX} are taken"));
        } else if !divide(ends, data) {
            return Some(format!("the ends of a put do not divide its {} bytes", data.len()));
        }
        let keys = keys.as_ref()?;
        if keys.ends.len() != ends.len() {
            return Some(format!("a put has {} keys for its {} records", keys.ends.len(), ends.len()));
        }
        let divided = divide(&keys.ends, &keys.data);
        (!divided).then(|| format!("the key ends of a put do not divide its {} bytes of keys", keys.data.len()))
    }
}

fn divide(ends: &[u32], data: &Bytes) -> bool {
    ends.is_sorted() && ends.last().map(|end| *end as usize) == Some(data.len())
}

/// The error for a put that would add a source to a shard that keeps as many as it may.
fn too_many_sources(source: &str) -> Error {
    Error::invalid(format!(
        "the shard keeps checkpoints of {CHECKPOINT_SOURCES_MAX} sources, no more are taken: {source:?} would be one more"
    ))
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
    /// bytes, keys included. A put is cut at `start` only. Empty at the tail.
    async fn read(&self, shard: ShardId, start: u64, bytes_max: usize) -> Result<Batch>;

    /// Waits until the shard's end is greater than `position`.
    async fn grown(&self, shard: ShardId, position: u64) -> Result<()>;

    /// The ends of a shard; zero for one that was never written.
    async fn extent(&self, shard: ShardId) -> Result<Extent>;

    /// The first position whose record arrived at or after `arrived_ms`, found among what can still be read as if arrivals
    /// only rose; the shard's end when there is none. Whole puts arrive together, so it is the first of a put, or the
    /// oldest that is left of one.
    async fn position_at(&self, shard: ShardId, arrived_ms: u64) -> Result<u64>;

    /// Where the records of `call` were stored in `shard`, as far as calls are remembered. Waits for one that is in
    /// flight: queued before this was asked.
    async fn recall(&self, shard: ShardId, call: CallId) -> Result<Option<Span>>;

    /// The newest durable checkpoint of each source, whether or not the records that came with it are still there. Waits for
    /// puts that were queued before this was asked, also for those whose callers have gone away.
    async fn checkpoints(&self, shard: ShardId) -> Result<BTreeMap<String, Bytes>>;

    /// Lets everything before `end` go: it is never read again. What is really freed is whole segments, so a shard that
    /// is slow holds the disk of what was trimmed until a segment is full, or until all of it was trimmed and nothing was
    /// put for [`SEGMENT_SPARE_IDLE`](crate::limits::SEGMENT_SPARE_IDLE). After a restart the start is that of the oldest segment again.
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
