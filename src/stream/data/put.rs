//! Puts: each record into the shard that its hash key says.

use super::DataStream;
use super::sequence::SequenceNumber;
use crate::error::Result;
use crate::record::{CallId, Records};

/// The records of one call.
#[derive(Clone, Debug)]
pub struct Put {
    /// The records, with keys.
    pub records: Records,
    /// The hash key of each.
    pub hashes: Vec<u128>,
    /// The SDK call that brought them, if it can be known again.
    pub call: Option<CallId>,
}

/// What became of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It is durable.
    Stored {
        /// In this shard.
        shard: u32,
        /// Under this number.
        sequence: SequenceNumber,
    },
    /// Nothing of it is stored.
    Refused {
        /// The shard that it was for.
        shard: u32,
        /// Why.
        why: Refusal,
    },
}

/// Why a record was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The shard's throughput limit, or a disk budget.
    Throttled,
    /// A fault of ours, or of the disk.
    Failed,
}

impl DataStream {
    /// Stores one call's records; those that are `Stored` are durable when it returns. A call that was stored before is
    /// answered as it was then, also when its shards were split or merged since.
    ///
    /// # Errors
    /// `NotFound` while it is being made and once it takes no more puts; `Invalid` for a record larger than the
    /// stream takes.
    pub async fn put(&self, put: Put) -> Result<Vec<Placed>> {
        let _ = put;
        todo!()
    }
}
