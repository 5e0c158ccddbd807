//! Who holds records back from retention: delivery streams, each up to where it has delivered.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::DataStreams;
use crate::record::StreamId;

/// Holds all records of one data stream that one delivery stream has not delivered.
///
/// Dropping it keeps the hold: a pipeline that stops or crashes goes on later from where it was, and takes its hold over by
/// [`DataStreams::pin`]. Only [`release`](Pin::release) lets go, for a delivery stream that is deleted.
pub struct Pin {
    streams: DataStreams,
    stream: StreamId,
    by: StreamId,
}

impl DataStreams {
    /// Holds everything of `stream` from now on for the delivery stream `by`. One that is there already is taken over
    /// with what it knows.
    pub fn pin(&self, stream: StreamId, by: StreamId) -> Pin {
        self.shared.pins.add(stream, by);
        Pin { streams: self.clone(), stream, by }
    }

    /// The delivery streams that read the data stream `stream`.
    pub fn pinned_by(&self, stream: StreamId) -> Vec<StreamId> {
        self.shared.pins.pinned_by(stream)
    }
}

impl Pin {
    /// Everything before `position` of `shard` is past for this delivery stream. A lower position than was said before
    /// changes nothing.
    pub fn past(&self, shard: u32, position: u64) {
        self.streams.shared.pins.past(self.stream, self.by, shard, position);
    }

    /// Lets go: the delivery stream is deleted, or reads another data stream.
    pub fn release(self) {
        self.streams.shared.pins.release(self.stream, self.by);
    }
}

/// All holds.
#[derive(Default)]
pub(super) struct Pins {
    /// Whether all delivery streams that there were at the start have their holds.
    settled: AtomicBool,
    held: Mutex<BTreeMap<StreamId, Holds>>,
}

/// By delivery stream: up to where it has delivered each shard; 0 where nothing was said yet.
type Holds = BTreeMap<StreamId, HashMap<u32, u64>>;

impl Pins {
    /// Says that all delivery streams that there were at the start have their holds.
    pub(super) fn settle(&self) {
        self.settled.store(true, Ordering::Release);
    }

    /// Whether that was said.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    fn add(&self, stream: StreamId, by: StreamId) {
        self.held().entry(stream).or_default().entry(by).or_default();
    }

    fn past(&self, stream: StreamId, by: StreamId, shard: u32, position: u64) {
        let mut held = self.held();
        // A pipeline that outlives its release, or its data stream, holds nothing.
        let Some(shards) = held.get_mut(&stream).and_then(|holds| holds.get_mut(&by)) else { return };
        let past = shards.entry(shard).or_default();
        *past = position.max(*past);
    }

    fn release(&self, stream: StreamId, by: StreamId) {
        let mut held = self.held();
        let Some(holds) = held.get_mut(&stream) else { return };
        holds.remove(&by);
        if holds.is_empty() {
            held.remove(&stream);
        }
    }

    /// The first position of a shard that somebody still needs; none when nobody holds the stream.
    pub(super) fn lowest(&self, stream: StreamId, shard: u32) -> Option<u64> {
        let held = self.held();
        held.get(&stream)?.values().map(|shards| shards.get(&shard).copied().unwrap_or_default()).min()
    }

    /// The delivery streams that read a data stream.
    pub(super) fn pinned_by(&self, stream: StreamId) -> Vec<StreamId> {
        self.held().get(&stream).map(|holds| holds.keys().copied().collect()).unwrap_or_default()
    }

    /// Up to where the delivery stream `by` has delivered a shard.
    pub(super) fn position(&self, stream: StreamId, by: StreamId, shard: u32) -> u64 {
        let held = self.held();
        held.get(&stream).and_then(|holds| holds.get(&by)?.get(&shard).copied()).unwrap_or_default()
    }

    /// Drops what is known of shards that are no more.
    pub(super) fn forget_shards(&self, stream: StreamId, gone: &[u32]) {
        for shards in self.held().get_mut(&stream).into_iter().flat_map(BTreeMap::values_mut) {
            shards.retain(|shard, _| !gone.contains(shard));
        }
    }

    /// Drops what is known of streams that are no more.
    pub(super) fn retain(&self, exists: impl Fn(StreamId) -> bool) {
        self.held().retain(|stream, _| exists(*stream));
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<StreamId, Holds>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLICKS: StreamId = StreamId(1);
    const TO_S3: StreamId = StreamId(7);
    const TO_DISK: StreamId = StreamId(8);

    #[test]
    fn the_slowest_holds_and_what_is_not_known_holds_all() {
        let pins = Pins::default();
        assert_eq!(pins.lowest(CLICKS, 0), None, "nobody reads it");
        pins.add(CLICKS, TO_S3);
        assert_eq!(pins.lowest(CLICKS, 0), Some(0));
        pins.past(CLICKS, TO_S3, 0, 10);
        pins.add(CLICKS, TO_DISK);
        assert_eq!(pins.lowest(CLICKS, 0), Some(0), "the second has said nothing");
        pins.past(CLICKS, TO_DISK, 0, 30);
        pins.past(CLICKS, TO_DISK, 0, 20);
        assert_eq!(pins.lowest(CLICKS, 0), Some(10));
        pins.release(CLICKS, TO_S3);
        assert_eq!(pins.lowest(CLICKS, 0), Some(30), "20 came after 30 and takes nothing back");
        assert_eq!(pins.lowest(CLICKS, 1), Some(0), "a shard of which nothing is known is held whole");
        assert_eq!(pins.pinned_by(CLICKS), [TO_DISK]);
    }

    #[test]
    fn a_pin_that_is_taken_over_keeps_its_place_and_one_that_is_released_is_gone() {
        let pins = Pins::default();
        pins.add(CLICKS, TO_S3);
        pins.past(CLICKS, TO_S3, 2, 5);
        pins.add(CLICKS, TO_S3);
        assert_eq!((pins.lowest(CLICKS, 2), pins.position(CLICKS, TO_S3, 2)), (Some(5), 5));
        pins.release(CLICKS, TO_S3);
        pins.past(CLICKS, TO_S3, 2, 6);
        assert_eq!((pins.lowest(CLICKS, 2), pins.pinned_by(CLICKS)), (None, vec![]));
    }

    #[test]
    fn shards_and_streams_that_are_gone_are_forgotten() {
        let pins = Pins::default();
        pins.add(CLICKS, TO_S3);
        pins.past(CLICKS, TO_S3, 0, 5);
        pins.past(CLICKS, TO_S3, 1, 6);
        pins.forget_shards(CLICKS, &[0]);
        assert_eq!((pins.lowest(CLICKS, 0), pins.lowest(CLICKS, 1)), (Some(0), Some(6)));
        pins.retain(|_| false);
        assert_eq!(pins.lowest(CLICKS, 1), None);
    }
}
