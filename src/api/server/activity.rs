//! What is going on on one connection: requests under way until their answers are sent, and answers that nobody reads.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::clock::{Clock, Instant};

/// Of a request that waits for us, not for its client, or holds nothing.
const NEVER: u64 = u64::MAX;

/// Whether something is going on on a connection, and since when not.
pub(super) struct Activity {
    clock: Clock,
    began: Instant,
    busy: AtomicUsize,
    /// When a request last began or ended, in milliseconds since `began`.
    changed_ms: AtomicU64,
    /// Of each request under way. There are never more than the connection may have requests at once.
    under_way: Mutex<Vec<Weak<Times>>>,
}

/// What is known of one request, in milliseconds since `began`.
struct Times {
    /// When its client last took something of the answer.
    taken_ms: AtomicU64,
    /// Since when its answer holds the room that it holds.
    held_ms: AtomicU64,
}

/// As long as it lives, a request is under way.
pub(super) struct Busy {
    activity: Arc<Activity>,
    times: Arc<Times>,
}

impl Activity {
    pub(super) fn new(clock: Clock) -> Self {
        let began = clock.instant();
        Activity { clock, began, busy: AtomicUsize::new(0), changed_ms: AtomicU64::new(0), under_way: Mutex::default() }
    }

    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        let times = Arc::new(Times { taken_ms: AtomicU64::new(NEVER), held_ms: AtomicU64::new(NEVER) });
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|times| times.strong_count() > 0);
        all.push(Arc::downgrade(&times));
        Busy { activity: self.clone(), times }
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
        self.longest(|times| &times.taken_ms)
    }

    /// How long one of its answers has been holding the same room: the longest of them.
    pub(super) fn held_for(&self) -> Duration {
        self.longest(|times| &times.held_ms)
    }

    fn longest(&self, since: fn(&Times) -> &AtomicU64) -> Duration {
        let all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let since = all.iter().filter_map(Weak::upgrade).map(|times| since(&times).load(Ordering::Relaxed));
        let oldest = since.filter(|ms| *ms != NEVER).min();
        Duration::from_millis(oldest.map_or(0, |ms| self.age_ms().saturating_sub(ms)))
    }
}

impl Busy {
    /// The client took something, or can.
    pub(super) fn progress(&self) {
        self.times.taken_ms.store(self.activity.age_ms(), Ordering::Relaxed);
    }

    /// The client has all that there is.
    pub(super) fn waits_for_us(&self) {
        self.times.taken_ms.store(NEVER, Ordering::Relaxed);
    }

    /// The answer holds room, or holds none any more.
    pub(super) fn holds(&self, room: bool) {
        let held_ms = &self.times.held_ms;
        if !room {
            held_ms.store(NEVER, Ordering::Relaxed);
        } else if held_ms.load(Ordering::Relaxed) == NEVER {
            held_ms.store(self.activity.age_ms(), Ordering::Relaxed);
        }
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
    async fn who_reads_nothing_stalls_and_who_waits_for_us_or_holds_nothing_does_not() {
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
        assert_eq!(activity.held_for(), Duration::ZERO);
        reads.holds(true);
        clock.sleep(Duration::from_secs(3)).await;
        reads.holds(true);
        assert_eq!(activity.held_for(), Duration::from_secs(3));
        reads.holds(false);
        assert_eq!(activity.held_for(), Duration::ZERO);
        drop((reads, waits));
        clock.sleep(Duration::from_secs(2)).await;
        assert_eq!((activity.stalled_for(), activity.idle_for()), (Duration::ZERO, Some(Duration::from_secs(2))));
    }
}
