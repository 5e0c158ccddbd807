//! What is going on on one connection: requests under way until their answers are sent, and answers that nobody reads.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::clock::{Clock, Instant};

/// Of a request that waits for us, not for its client.
const NOT_THE_CLIENT: u64 = u64::MAX;

/// Whether something is going on on a connection, and since when not.
pub(super) struct Activity {
    clock: Clock,
    began: Instant,
    busy: AtomicUsize,
    /// When a request last began or ended, in milliseconds since `began`.
    changed_ms: AtomicU64,
    /// Of each request under way, when its client last took something of the answer, in milliseconds since `began`.
    /// There are never more than the connection may have requests at once.
    taken_ms: Mutex<Vec<Weak<AtomicU64>>>,
}

/// As long as it lives, a request is under way.
pub(super) struct Busy {
    activity: Arc<Activity>,
    taken_ms: Arc<AtomicU64>,
}

impl Activity {
    pub(super) fn new(clock: Clock) -> Self {
        let began = clock.instant();
        Activity { clock, began, busy: AtomicUsize::new(0), changed_ms: AtomicU64::new(0), taken_ms: Mutex::default() }
    }

    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        let taken_ms = Arc::new(AtomicU64::new(NOT_THE_CLIENT));
        let mut all = self.taken_ms.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|taken| taken.strong_count() > 0);
        all.push(Arc::downgrade(&taken_ms));
        Busy { activity: self.clone(), taken_ms }
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.clock.instant().duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    /// How long nothing has been going on; `None` while something is.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        let idle_ms = self.age_ms().saturating_sub(self.changed_ms.load(Ordering::Relaxed));
        (self.busy.load(Ordering::Relaxed) == 0).then(|| Duration::from_millis(idle_ms))
    }

    /// How long the client has not read on in one of its answers: the longest of them.
    pub(super) fn stalled_for(&self) -> Duration {
        let all = self.taken_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all.iter().filter_map(Weak::upgrade).map(|taken| taken.load(Ordering::Relaxed));
        let oldest = taken.filter(|taken| *taken != NOT_THE_CLIENT).min();
        Duration::from_millis(oldest.map_or(0, |taken| self.age_ms().saturating_sub(taken)))
    }
}

impl Busy {
    /// The client took something, or can.
    pub(super) fn progress(&self) {
        self.taken_ms.store(self.activity.age_ms(), Ordering::Relaxed);
    }

    /// The client has all that there is.
    pub(super) fn waits_for_us(&self) {
        self.taken_ms.store(NOT_THE_CLIENT, Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.activity.changed_ms.store(self.activity.age_ms(), Ordering::Relaxed);
        self.activity.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_stalls_and_who_waits_for_us_does_not() {
        let clock = Clock::simulated(1, 0);
        let activity = Arc::new(Activity::new(clock.clone()));
        let (reads, waits) = (activity.begin(), activity.begin());
        clock.sleep(Duration::from_secs(9)).await;
        assert_eq!((activity.stalled_for(), activity.idle_for()), (Duration::ZERO, None));
        reads.progress();
        waits.progress();
        waits.waits_for_us();
        clock.sleep(Duration::from_secs(7)).await;
        assert_eq!(activity.stalled_for(), Duration::from_secs(7));
        drop((reads, waits));
        clock.sleep(Duration::from_secs(2)).await;
        assert_eq!((activity.stalled_for(), activity.idle_for()), (Duration::ZERO, Some(Duration::from_secs(2))));
    }
}
