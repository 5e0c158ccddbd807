//! Reads: from where, how much, and what there was.

use super::DataStream;
use super::sequence::SequenceNumber;
use crate::error::Result;
use crate::record::Records;

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record within retention.
    TrimHorizon,
    /// With the next record that comes.
    Latest,
    /// With this record.
    At(SequenceNumber),
    /// With the one after it.
    After(SequenceNumber),
    /// With the first that arrived then or later (milliseconds since 1970).
    Time(u64),
}

/// How much one read brings.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// Records.
    pub records: usize,
    /// About so many bytes; one record is brought however large it is.
    pub bytes: usize,
}

/// What one read brought.
#[derive(Clone, Debug)]
pub struct Read {
    /// The position of the first record.
    pub first: u64,
    /// The records, in order, with keys.
    pub puts: Vec<Records>,
    /// Where to go on.
    pub next: u64,
    /// How old the next record is, in milliseconds; 0 at the tip.
    pub behind_ms: u64,
    /// The shard is closed and this was its last record: there is nothing at `next`, and never will be.
    pub ended: bool,
    /// Records that were asked for and are gone: they outlived their retention before they were read.
    pub missed: u64,
}

impl DataStream {
    /// The position at which a reader begins.
    ///
    /// # Errors
    /// `NotFound` for a shard that is not there; `Invalid` for a number of another shard or another stream, one that was
    /// never given, or a time in the future.
    pub async fn start(&self, shard: u32, start: Start) -> Result<u64> {
        let _ = (shard, start);
        todo!()
    }

    /// Reads on from `position`.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn read(&self, shard: u32, position: u64, limit: ReadLimit) -> Result<Read> {
        let _ = (shard, position, limit);
        todo!()
    }

    /// Waits until there is a record at `position`, or the shard is closed there.
    ///
    /// # Errors
    /// `NotFound` once the stream is gone; `Closed` when the service stops.
    pub async fn grown(&self, shard: u32, position: u64) -> Result<()> {
        let _ = (shard, position);
        todo!()
    }
}
