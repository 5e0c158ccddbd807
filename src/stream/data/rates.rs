//! The traffic of each stream: how much is put into each shard, and AWS's throughput limits of a shard, as token buckets.
//!
//! The limits are those of spec/kinesis.md, section 4: 1 MiB and 1000 records a second, with a burst of one second. A
//! record larger than the burst is taken when the bucket is full and leaves a debt, which refills at the same rate.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::Notify;

use crate::clock::Instant;
use crate::limits::{SHARD_WRITE_BYTES_PER_SECOND, SHARD_WRITE_RECORDS_PER_SECOND};
use crate::record::StreamId;

/// Seconds that one slot of a meter counts.
const SLOT_SECONDS: u64 = 10;
/// Slots of a meter: a minute, and the one that is being filled.
const SLOTS: usize = 7;

/// The traffic of all streams; a stream is known from its first put or read.
#[derive(Default)]
pub(super) struct Rates {
    streams: RwLock<HashMap<StreamId, Arc<StreamRates>>>,
    /// See [`woken`](Self::woken).
    woken: Arc<Notify>,
}

impl Rates {
    /// The traffic of a stream.
    pub(super) fn of(&self, stream: StreamId) -> Arc<StreamRates> {
        entry(&self.streams, stream)
    }

    /// Told when a stream that slept gets a record, or all is settled.
    pub(super) fn woken(&self) -> Arc<Notify> {
        self.woken.clone()
    }

    /// Drops what is known of streams that are no more.
    pub(super) fn retain(&self, exists: impl Fn(StreamId) -> bool) {
        self.streams.write().unwrap_or_else(PoisonError::into_inner).retain(|stream, _| exists(*stream));
    }

    /// Notes that `stream` has new records, and tells the keeper if it sleeps over it.
    pub(super) fn wake(&self, stream: &StreamRates) {
        // Nearly always it is awake: a load that all cores share, no write.
        if stream.asleep.load(Ordering::SeqCst) && stream.asleep.swap(false, Ordering::SeqCst) {
            self.woken.notify_one();
        }
    }
}

/// The traffic of one stream.
#[derive(Default)]
pub(super) struct StreamRates {
    shards: RwLock<HashMap<u32, Arc<ShardRates>>>,
    turn: AtomicUsize,
    asleep: AtomicBool,
    expired: AtomicU64,
}

impl StreamRates {
    /// The traffic of a shard.
    pub(super) fn shard(&self, index: u32) -> Arc<ShardRates> {
        entry(&self.shards, index)
    }

    /// Drops what is known of shards that are no more.
    pub(super) fn forget_shards(&self, gone: &[u32]) {
        self.shards.write().unwrap_or_else(PoisonError::into_inner).retain(|shard, _| !gone.contains(shard));
    }

    /// Whose turn it is, where records go round.
    pub(super) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether the keeper is to be woken by the next put.
    pub(super) fn sleep(&self, asleep: bool) {
        self.asleep.store(asleep, Ordering::SeqCst);
    }

    /// Whether nothing was put since it was said to [`sleep`](Self::sleep).
    pub(super) fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::SeqCst)
    }

    /// Counts records that outlived their retention.
    pub(super) fn count_expired(&self, records: u64) {
        self.expired.fetch_add(records, Ordering::Relaxed);
    }

    /// Records that outlived their retention since the start.
    pub(super) fn expired(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }
}

/// How much comes in, over the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Bytes a second, partition keys included.
    pub bytes_per_second: u64,
    /// Records a second.
    pub records_per_second: u64,
}

/// The traffic of one shard.
#[derive(Default)]
pub(super) struct ShardRates {
    // One lock for both, taken once for each call and shard, and never across an await.
    traffic: Mutex<(Meter, Bucket)>,
    horizon: Mutex<Option<Horizon>>,
}

/// Where a shard's horizon was found to be.
#[derive(Clone, Copy)]
pub(super) struct Horizon {
    /// When.
    pub(super) found: Instant,
    /// Records that arrived before this (milliseconds since 1970) are over.
    pub(super) arrived_ms: u64,
    /// The first position that is not.
    pub(super) position: u64,
}

impl ShardRates {
    /// Counts records that were stored.
    pub(super) fn count(&self, now: Instant, bytes: usize, records: usize) {
        lock(&self.traffic).0.add(now, bytes as u64, records as u64);
    }

    /// How many of the next records, of these sizes in bytes, AWS's limits let in: those after the first that is over
    /// them are refused too, so that what a call left in a shard is always the first of its records.
    pub(super) fn admit(&self, now: Instant, sizes: impl IntoIterator<Item = usize>) -> usize {
        let mut traffic = lock(&self.traffic);
        traffic.1.refill(now);
        sizes.into_iter().take_while(|bytes| traffic.1.take(*bytes)).count()
    }

    /// What came in over the last minute.
    pub(super) fn rate(&self, now: Instant) -> Rate {
        lock(&self.traffic).0.rate(now)
    }

    /// What was found last.
    pub(super) fn horizon(&self) -> Option<Horizon> {
        *lock(&self.horizon)
    }

    /// Keeps what was found.
    pub(super) fn keep_horizon(&self, horizon: Horizon) {
        *lock(&self.horizon) = Some(horizon);
    }
}

/// Counts by slots of ten seconds.
#[derive(Default)]
struct Meter {
    begun: Option<Instant>,
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Default)]
struct Slot {
    number: u64,
    bytes: u64,
    records: u64,
}

impl Meter {
    fn add(&mut self, now: Instant, bytes: u64, records: u64) {
        let number = seconds(*self.begun.get_or_insert(now), now) / SLOT_SECONDS;
        let slot = &mut self.slots[number as usize % SLOTS];
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        slot.bytes += bytes;
        slot.records += records;
    }

    fn rate(&self, now: Instant) -> Rate {
        let Some(begun) = self.begun else { return Rate::default() };
        let elapsed = seconds(begun, now);
        let current = elapsed / SLOT_SECONDS;
        let oldest = current.saturating_sub(SLOTS as u64 - 1);
        let seen = || self.slots.iter().filter(|slot| (oldest..=current).contains(&slot.number));
        let span = (elapsed - oldest * SLOT_SECONDS).max(1);
        Rate {
            bytes_per_second: seen().map(|slot| slot.bytes).sum::<u64>() / span,
            records_per_second: seen().map(|slot| slot.records).sum::<u64>() / span,
        }
    }
}

/// What may still come in this moment; below zero after a record larger than the burst.
#[derive(Default)]
struct Bucket {
    filled: Option<Instant>,
    bytes: f64,
    records: f64,
}

impl Bucket {
    const BYTES: f64 = SHARD_WRITE_BYTES_PER_SECOND as f64;
    const RECORDS: f64 = SHARD_WRITE_RECORDS_PER_SECOND as f64;

    fn refill(&mut self, now: Instant) {
        // A shard that nothing was put into yet has its whole burst.
        let seconds = self.filled.map_or(1.0, |filled| now.saturating_duration_since(filled).as_secs_f64());
        self.filled = Some(now.max(self.filled.unwrap_or(now)));
        self.bytes = (self.bytes + seconds * Self::BYTES).min(Self::BYTES);
        self.records = (self.records + seconds * Self::RECORDS).min(Self::RECORDS);
    }

    fn take(&mut self, bytes: usize) -> bool {
        let bytes = bytes as f64;
        let fits = self.records >= 1.0 && self.bytes >= bytes.min(Self::BYTES);
        if fits {
            self.records -= 1.0;
            self.bytes -= bytes;
        }
        fits
    }
}

fn seconds(from: Instant, to: Instant) -> u64 {
    to.saturating_duration_since(from).as_secs()
}

fn entry<K: std::hash::Hash + Eq, V: Default>(map: &RwLock<HashMap<K, Arc<V>>>, key: K) -> Arc<V> {
    if let Some(known) = map.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return known.clone();
    }
    map.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    fn at(ms: u64) -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *START.get_or_init(|| Clock::real().instant()) + Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_of_a_second_then_a_thousand_records_a_second() {
        let shard = ShardRates::default();
        assert_eq!(shard.admit(at(0), vec![1; 1_500]), 1_000);
        assert_eq!(shard.admit(at(0), [1]), 0);
        assert_eq!(shard.admit(at(100), vec![1; 500]), 100, "a tenth of a second later");
        assert_eq!(shard.admit(at(60_000), vec![1; 1_500]), 1_000, "never more than a second's worth");
    }

    #[test]
    fn a_large_record_needs_a_full_bucket_and_leaves_a_debt() {
        let shard = ShardRates::default();
        let mib = 1 << 20;
        assert_eq!(shard.admit(at(0), [4 * mib, 1]), 1);
        assert_eq!(shard.admit(at(2_900), [1]), 0, "4 MiB less a burst is three seconds of debt");
        assert_eq!(shard.admit(at(3_500), [mib / 4]), 1);
        assert_eq!(shard.admit(at(4_000), [4 * mib]), 0, "the bucket is not full");
        assert_eq!(shard.admit(at(9_000), [mib, 1]), 1);
    }

    #[test]
    fn bytes_are_bounded_and_the_first_refusal_ends_the_call() {
        let shard = ShardRates::default();
        assert_eq!(
            shard.admit(at(0), [600_000, 600_000, 10]),
            1,
            "10 bytes would fit, but stand behind one that does not"
        );
    }

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        let meter = ShardRates::default();
        assert_eq!(meter.rate(at(0)), Rate::default());
        for second in 0..100 {
            meter.count(at(second * 1_000), 500, 5);
        }
        assert_eq!(meter.rate(at(100_000)), Rate { bytes_per_second: 500, records_per_second: 5 });
        assert_eq!(meter.rate(at(130_000)), Rate { bytes_per_second: 250, records_per_second: 2 });
        assert_eq!(meter.rate(at(180_000)), Rate::default());
    }

    #[test]
    fn a_put_wakes_who_sleeps_over_the_stream() {
        let rates = Rates::default();
        let stream = rates.of(StreamId(1));
        stream.sleep(true);
        assert!(stream.is_asleep());
        rates.wake(&rates.of(StreamId(1)));
        assert!(!stream.is_asleep());
        assert!(futures_util::FutureExt::now_or_never(rates.woken().notified()).is_some());
        rates.wake(&stream);
        assert!(futures_util::FutureExt::now_or_never(rates.woken().notified()).is_none(), "once is enough");
    }
}
