//! Who holds records back from retention: delivery streams, each up to where it has delivered.

use super::DataStreams;
use crate::record::StreamId;

/// Holds all records of one data stream that one delivery stream has not delivered, until it is dropped.
pub struct Pin {
    // registry, data stream, delivery stream
}

impl DataStreams {
    /// Holds everything of `stream` from now on for the delivery stream `by`. One that is there already is taken over
    /// with what it knows.
    pub fn pin(&self, stream: StreamId, by: StreamId) -> Pin {
        let _ = (stream, by);
        todo!()
    }
}

impl Pin {
    /// Everything before `position` of `shard` is past for this delivery stream.
    pub fn past(&self, shard: u32, position: u64) {
        let _ = (shard, position);
        todo!()
    }
}

/// What each delivery stream holds.
#[derive(Default)]
pub(super) struct Pins;

impl Pins {
    /// The delivery streams that hold records of a data stream.
    pub(super) fn pinned_by(&self, stream: StreamId) -> Vec<StreamId> {
        let _ = stream;
        Vec::new()
    }
}
