//! Where an object ends: by size or by time, whichever is first. Pure: it holds numbers, not records, and is told the time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use crate::clock::Instant;
use crate::config::Buffering;
use crate::limits::PLAN_SPANS_MAX;
use crate::record::{Records, ShardId, Span};

/// What stands between the last cut and the read positions of all shards.
///
/// The size trigger counts bytes as they were put, before compression, and is met by the record that reaches it: an
/// object holds less than one record more than the size asked for, and never two objects where one would do.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer {
    /// The positions of each shard.
    spans: BTreeMap<ShardId, Range<u64>>,
    /// Bytes of the records in it.
    pub bytes: u64,
    /// Arrival of the oldest record in it, milliseconds since 1970.
    pub oldest_ms: Option<u64>,
    /// Arrival of the newest record in it, milliseconds since 1970.
    pub newest_ms: u64,
    /// When it is to be cut for its age: set by its first record, or by the first missing position.
    pub deadline: Option<Instant>,
}

impl Buffer {
    /// Whether no position has been taken in.
    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Whether the size trigger is met, or there are as many shards in it as one object may have.
    pub(super) fn is_full(&self, buffering: &Buffering) -> bool {
        self.bytes >= buffering.size_bytes || self.spans.len() >= PLAN_SPANS_MAX
    }

    /// Whether it has positions of `shard`.
    pub(super) fn holds(&self, shard: ShardId) -> bool {
        self.spans.contains_key(&shard)
    }

    /// Its positions, in order of the shards.
    pub(super) fn spans(&self) -> Vec<Span> {
        self.spans
            .iter()
            .map(|(shard, Range { start, end })| Span { shard: *shard, start: *start, end: *end })
            .collect()
    }

    /// Notes that `count` positions from `first` on hold nothing.
    pub(super) fn skip(&mut self, shard: ShardId, first: u64, count: u64, now: Instant) {
        self.extend(shard, first, count);
        self.deadline.get_or_insert(now);
    }

    /// Takes in as many of `records`, which stand at `first`, as the size trigger allows, at least one, and says how many.
    /// It must not be full.
    pub(super) fn take(
        &mut self,
        (shard, first): (ShardId, u64),
        records: &Records,
        buffering: &Buffering,
        now: Instant,
        now_ms: u64,
    ) -> usize {
        assert!(!self.is_full(buffering), "a full buffer is cut before it is filled on");
        let wanted = buffering.size_bytes - self.bytes;
        let taken = records.ends.partition_point(|end| u64::from(*end) < wanted).saturating_add(1).min(records.len());
        if taken == 0 {
            return 0;
        }
        self.extend(shard, first, taken as u64);
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

    fn extend(&mut self, shard: ShardId, first: u64, count: u64) {
        let span = self.spans.entry(shard).or_insert(first..first);
        assert_eq!(span.end, first, "a shard is taken in without holes");
        span.end += count;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;

    use crate::record::StreamId;

    fn shard(index: u32) -> ShardId {
        ShardId { stream: StreamId(1), index }
    }

    fn buffering(size_bytes: u64, seconds: u64) -> Buffering {
        Buffering { size_bytes, interval: Duration::from_secs(seconds) }
    }

    #[tokio::test(start_paused = true)]
    async fn the_record_that_reaches_the_size_is_the_last() {
        let now = Clock::simulated(1, 0).instant();
        let mut buffer = Buffer::default();
        let records = Records::from_slices(100, &["aaaa", "bbbb", "cccc"]);
        assert_eq!(buffer.take((shard(0), 5), &records, &buffering(8, 60), now, 100), 2);
        assert!(buffer.is_full(&buffering(8, 60)));
        assert_eq!(buffer.spans(), [Span { shard: shard(0), start: 5, end: 7 }]);
        assert_eq!((buffer.bytes, buffer.oldest_ms), (8, Some(100)));
    }

    #[tokio::test(start_paused = true)]
    async fn shards_share_the_size_and_stand_in_their_order() {
        let now = Clock::simulated(1, 0).instant();
        let (mut buffer, hints) = (Buffer::default(), buffering(6, 60));
        let two = Records::from_slices(100, &["aa", "bb"]);
        assert_eq!(buffer.take((shard(3), 9), &two, &hints, now, 100), 2);
        buffer.skip(shard(1), 40, 2, now);
        assert_eq!(buffer.take((shard(1), 42), &two, &hints, now, 100), 1);
        assert!(buffer.is_full(&hints) && buffer.holds(shard(1)) && !buffer.holds(shard(2)));
        let span = |index, start, end| Span { shard: shard(index), start, end };
        assert_eq!(buffer.spans(), [span(1, 40, 43), span(3, 9, 11)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_larger_than_the_size_is_taken_alone_and_empty_ones_ride_along() {
        let now = Clock::simulated(1, 0).instant();
        let mut buffer = Buffer::default();
        let records = Records::from_slices(0, &["", "", "0123456789", ""]);
        assert_eq!(buffer.take((shard(0), 0), &records, &buffering(4, 60), now, 0), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn age_from_a_backlog_counts_and_a_jumping_clock_does_no_harm() {
        let now = Clock::simulated(1, 0).instant();
        let due = |arrived, now_ms| {
            let mut buffer = Buffer::default();
            buffer.take((shard(0), 0), &Records::from_slices(arrived, &["x"]), &buffering(100, 60), now, now_ms);
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
            let (mut buffer, mut at, mut objects) = (Buffer::default(), 0, 0u64);
            while at < all.len() {
                at += buffer.take((shard(0), at as u64), &all.slice(at, all.len()), &hints, now, 0);
                prop_assert_eq!(buffer.spans().last().unwrap().end, at as u64);
                if buffer.is_full(&hints) {
                    objects += 1;
                    buffer = Buffer::default();
                }
            }
            let total: u64 = lens.iter().map(|len| *len as u64).sum();
            prop_assert!(objects <= total / size);
        }
    }
}
