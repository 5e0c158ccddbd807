//! AWS's limits of reading a shard, over all its readers but registered consumers: 5 calls and 2 MiB a second.
//!
//! A call may bring more than a second's bytes: it leaves a debt, so after 10 MiB nothing is read for 5 seconds.

use std::sync::{Mutex, PoisonError};

use super::DataStream;
use super::definition::{Definition, Limits};
use crate::clock::Instant;
use crate::limits::{SHARD_READ_BYTES_PER_SECOND, SHARD_READS_PER_SECOND};

/// What may still be read of one shard.
#[derive(Default)]
pub(super) struct ReadRates(Mutex<Bucket>);

#[derive(Default)]
struct Bucket {
    filled: Option<Instant>,
    calls: f64,
    /// Below zero after a large answer.
    bytes: f64,
}

impl DataStream {
    /// Whether a shard's limits, where `definition` has any, let another GetRecords call in; it is counted.
    pub fn may_read(&self, definition: &Definition, shard: u32) -> bool {
        let known = definition.limits == Limits::Aws && definition.shard(shard).is_some();
        let all = &self.streams.shared;
        !known || all.rates.of(self.id).shard(shard).reads.admit(all.clock.instant())
    }

    /// Counts what such a call brought.
    pub fn has_read(&self, definition: &Definition, shard: u32, bytes: usize) {
        if definition.limits == Limits::Aws && definition.shard(shard).is_some() {
            self.streams.shared.rates.of(self.id).shard(shard).reads.spend(bytes);
        }
    }
}

impl ReadRates {
    fn admit(&self, now: Instant) -> bool {
        const CALLS: f64 = SHARD_READS_PER_SECOND as f64;
        const BYTES: f64 = SHARD_READ_BYTES_PER_SECOND as f64;
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A shard that was never read has its whole burst.
        let seconds = bucket.filled.map_or(1.0, |filled| now.saturating_duration_since(filled).as_secs_f64());
        bucket.filled = Some(now);
        bucket.calls = (bucket.calls + seconds * CALLS).min(CALLS);
        bucket.bytes = (bucket.bytes + seconds * BYTES).min(BYTES);
        let admitted = bucket.calls >= 1.0 && bucket.bytes > 0.0;
        bucket.calls -= f64::from(u8::from(admitted));
        admitted
    }

    fn spend(&self, bytes: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes -= bytes as f64;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn five_calls_a_second_and_a_debt_after_a_large_answer() {
        let (shard, start) = (ReadRates::default(), Clock::real().instant());
        let at = |ms| start + Duration::from_millis(ms);
        let admitted = |ms| (0..9).filter(|_| shard.admit(at(ms))).count();
        assert_eq!([admitted(0), admitted(100), admitted(400), admitted(60_000)], [5, 0, 2, 5]);
        shard.spend(10 << 20);
        assert_eq!([admitted(63_900), admitted(64_100)], [0, 5]);
    }
}
