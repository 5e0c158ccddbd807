//! Time and randomness: the only file that asks the system for either, so that a test can hold both in its hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A monotonic instant; under a simulated clock it moves with tokio's paused time.
pub type Instant = tokio::time::Instant;

/// A cheap handle to time and randomness.
#[derive(Clone)]
pub struct Clock(Arc<Source>);

enum Source {
    Real,
    Simulated { start: Instant, start_ms: u64, state: AtomicU64 },
}

impl Clock {
    /// The system's clock and its random numbers.
    pub fn real() -> Self {
        Clock(Arc::new(Source::Real))
    }

    /// A clock that starts at `start_ms` and moves with tokio's (paused) time; random numbers follow from `seed`.
    pub fn simulated(seed: u64, start_ms: u64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        let start = Instant::now();
        Clock(Arc::new(Source::Simulated { start, start_ms, state: AtomicU64::new(seed) }))
    }

    /// Milliseconds since 1970, UTC.
    pub fn now_ms(&self) -> u64 {
        match &*self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the clock")]
            Source::Real => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            Source::Simulated { start, start_ms, .. } => {
                start_ms + u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
            }
        }
    }

    /// Now, for measuring spans of time: never goes back, whatever happens to the wall clock.
    pub fn instant(&self) -> Instant {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        Instant::now()
    }

    /// Waits.
    pub async fn sleep(&self, duration: Duration) {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        tokio::time::sleep(duration).await;
    }

    /// Waits until `deadline`.
    pub async fn sleep_until(&self, deadline: Instant) {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        tokio::time::sleep_until(deadline).await;
    }

    /// Runs `future` for at most `limit`; `None` when the time ran out.
    pub async fn within<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        tokio::time::timeout(limit, future).await.ok()
    }

    /// Fills `bytes` with random ones; from the operating system unless simulated, so fit for keys.
    pub fn fill(&self, bytes: &mut [u8]) {
        match &*self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the source of randomness")]
            Source::Real => getrandom::fill(bytes).expect("the operating system has random numbers"),
            Source::Simulated { state, .. } => {
                for chunk in bytes.chunks_mut(8) {
                    let word = split_mix(state).to_le_bytes();
                    chunk.copy_from_slice(&word[..chunk.len()]);
                }
            }
        }
    }

    /// A random number.
    pub fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A random UUID (version 4), in its usual text form.
    pub fn uuid(&self) -> String {
        let mut b = [0u8; 16];
        self.fill(&mut b);
        b[6] = b[6] & 0x0f | 0x40;
        b[8] = b[8] & 0x3f | 0x80;
        let word = u128::from_be_bytes(b);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            (word >> 96) as u32,
            (word >> 80) as u16,
            (word >> 64) as u16,
            (word >> 48) as u16,
            word & 0xffff_ffff_ffff
        )
    }
}

/// Sebastiano Vigna's SplitMix64: enough for tests, and the same everywhere.
fn split_mix(state: &AtomicU64) -> u64 {
    let mut z = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn simulated_time_moves_only_by_sleeping() {
        let clock = Clock::simulated(1, 1_000);
        assert_eq!(clock.now_ms(), 1_000);
        clock.sleep(Duration::from_secs(5)).await;
        assert_eq!(clock.now_ms(), 6_000);
    }

    #[tokio::test]
    async fn a_seed_gives_the_same_numbers_and_uuids_are_well_formed() {
        let (a, b) = (Clock::simulated(42, 0), Clock::simulated(42, 0));
        assert_eq!(a.random(), b.random());
        let uuid = Clock::real().uuid();
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
    }
}
