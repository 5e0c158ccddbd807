//! Where an object ends: by size or by time, whichever is first. Pure: it holds numbers, not records, and is told the time.

use std::time::Duration;

use crate::clock::Instant;
use crate::config::Buffering;
use crate::record::Records;

/// What stands between the last cut and the read position of one shard.
///
/// The size trigger counts bytes as they were put, before compression, and is met by the record that reaches it: an
/// object holds less than one record more than the size asked for, and never two objects where one would do.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    /// First position.
    pub start: u64,
    /// One past the last position.
    pub end: u64,
    /// Bytes of the records in it.
    pub bytes: u64,
    /// Positions in it that have no record: damaged, or trimmed before they were read.
    pub missing: u64,
    /// Arrival of the oldest record in it, milliseconds since 1970.
    pub oldest_ms: Option<u64>,
    /// Arrival of the newest record in it, milliseconds since 1970.
    pub newest_ms: u64,
    /// When it is to be cut for its age: set by its first record, or by the first missing position.
    pub deadline: Option<Instant>,
}

impl Buffer {
    /// An empty buffer at `start`.
    pub(super) fn new(start: u64) -> Self {
        Buffer { start, end: start, bytes: 0, missing: 0, oldest_ms: None, newest_ms: 0, deadline: None }
    }

    /// Whether no position has been taken in.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether the size trigger is met.
    pub(super) fn is_full(&self, buffering: &Buffering) -> bool {
        self.bytes >= buffering.size_bytes
    }

    /// Notes that `count` positions hold nothing.
    pub(super) fn skip(&mut self, count: u64, now: Instant) {
        self.end += count;
        self.missing += count;
        self.deadline.get_or_insert(now);
    }

    /// Takes in as many of `records` as the size trigger allows, at least one, and says how many. It must not be full.
    pub(super) fn take(&mut self, records: &Records, buffering: &Buffering, now: Instant, now_ms: u64) -> usize {
        assert!(!self.is_full(buffering), "a full buffer is cut before it is filled on");
        let wanted = buffering.size_bytes - self.bytes;
        let taken = records.ends.partition_point(|end| u64::from(*end) < wanted).saturating_add(1).min(records.len());
        if taken == 0 {
            return 0;
        }
        self.end += taken as u64;
        self.bytes += u64::from(records.ends[taken - 1]);
        self.oldest_ms = Some(self.oldest_ms.map_or(records.arrived_ms, |oldest| oldest.min(records.arrived_ms)));
        self.newest_ms = self.newest_ms.max(records.arrived_ms);
        // How old the record is already (it may come from a backlog) shortens the wait; a clock that jumped may
        // neither lengthen it nor make it negative.
        let age = Duration::from_millis(now_ms.saturating_sub(records.arrived_ms));
        let due = now + buffering.interval.saturating_sub(age);
        self.deadline = Some(self.deadline.map_or(due, |deadline| deadline.min(due)));
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;

    fn buffering(size_bytes: u64, seconds: u64) -> Buffering {
        Buffering { size_bytes, interval: Duration::from_secs(seconds) }
    }

    #[tokio::test(start_paused = true)]
    async fn the_record_that_reaches_the_size_is_the_last() {
        let now = Clock::simulated(1, 0).instant();
        let mut buffer = Buffer::new(5);
        let records = Records::from_slices(100, &["aaaa", "bbbb", "cccc"]);
        assert_eq!(buffer.take(&records, &buffering(8, 60), now, 100), 2);
        assert!(buffer.is_full(&buffering(8, 60)));
        assert_eq!((buffer.start, buffer.end, buffer.bytes, buffer.oldest_ms), (5, 7, 8, Some(100)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_larger_than_the_size_is_taken_alone_and_empty_ones_ride_along() {
        let now = Clock::simulated(1, 0).instant();
        let mut buffer = Buffer::new(0);
        let records = Records::from_slices(0, &["", "", "0123456789", ""]);
        assert_eq!(buffer.take(&records, &buffering(4, 60), now, 0), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn age_from_a_backlog_counts_and_a_jumping_clock_does_no_harm() {
        let now = Clock::simulated(1, 0).instant();
        let due = |arrived, now_ms| {
            let mut buffer = Buffer::new(0);
            buffer.take(&Records::from_slices(arrived, &["x"]), &buffering(100, 60), now, now_ms);
            buffer.deadline.unwrap() - now
        };
        assert_eq!(due(1_000, 21_000), Duration::from_secs(40));
        assert_eq!(due(1_000, 4_000_000), Duration::ZERO);
        assert_eq!(due(5_000_000, 1_000), Duration::from_mins(1));
    }

    proptest! {
        #[test]
        fn cuts_lose_nothing_and_make_no_object_too_many(lens in prop::collection::vec(0usize..50, 1..200), size in 1u64..120) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _guard = runtime.enter();
            let now = Clock::simulated(1, 0).instant();
            let hints = buffering(size, 60);
            let bodies: Vec<Vec<u8>> = lens.iter().map(|len| vec![b'x'; *len]).collect();
            let all = Records::from_slices(0, &bodies);
            let (mut buffer, mut at, mut objects) = (Buffer::new(0), 0, 0u64);
            while at < all.len() {
                at += buffer.take(&all.slice(at, all.len()), &hints, now, 0);
                prop_assert_eq!(buffer.end, at as u64);
                if buffer.is_full(&hints) {
                    objects += 1;
                    buffer = Buffer::new(buffer.end);
                }
            }
            let total: u64 = lens.iter().map(|len| *len as u64).sum();
            prop_assert!(objects <= total / size);
        }
    }
}
