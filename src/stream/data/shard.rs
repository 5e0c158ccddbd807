//! One shard of a data stream.

use super::hash::HashRange;
use super::sequence::SequenceNumber;
use crate::error::Result;

/// One shard: what it takes, where it comes from, and where it ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Shard {
    /// Its number, never given twice in a stream; also its number in the journal.
    pub index: u32,
    /// What it takes.
    pub range: HashRange,
    /// The shard that was split, or the first of the two that were merged.
    pub parent: Option<u32>,
    /// The second of the two that were merged.
    pub adjacent_parent: Option<u32>,
    /// When it was made, milliseconds since 1970: part of its sequence numbers (in seconds).
    pub created_ms: u64,
    /// Where and when it ended, if it did.
    pub closed: Option<Closed>,
}

/// The end of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// One past its last position.
    pub end: u64,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
}

impl Shard {
    /// The sequence number of the record at `position`.
    pub fn sequence(&self, position: u64, arrived_ms: u64) -> SequenceNumber {
        let _ = (position, arrived_ms);
        todo!()
    }

    /// Its StartingSequenceNumber.
    pub fn first_sequence(&self) -> SequenceNumber {
        todo!()
    }

    /// Its EndingSequenceNumber, once it is closed.
    pub fn last_sequence(&self) -> Option<SequenceNumber> {
        todo!()
    }
}

/// `shardId-000000000000`.
pub fn shard_name(index: u32) -> String {
    format!("shardId-{index:012}")
}

/// The number in a shard's name, in any of the forms that AWS takes: `shardId-000000000001`, `shardId-1`, `1`.
///
/// # Errors
/// `NotFound`; the caller adds whose shard it is.
pub(super) fn shard_index(name: &str) -> Result<u32> {
    let _ = name;
    todo!()
}
