//! A run of failed attempts: said when it begins, now and then while it lasts, and when it is over.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Instant;
use crate::limits::OUTAGE_REMINDER;

/// Whether a pipeline's attempts fail at the moment, and since when.
#[derive(Default)]
pub(super) struct Outage(Mutex<Option<Run>>);

/// How long attempts have failed, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Toll {
    /// Failed attempts, the latest included.
    pub attempts: u64,
    /// Since the first of them.
    pub lasted: Duration,
}

struct Run {
    began: Instant,
    attempts: u64,
    said: Instant,
}

impl Outage {
    /// Whether the last attempt failed.
    pub(super) fn lasts(&self) -> bool {
        self.lock().is_some()
    }

    /// Notes a failed attempt; its toll if an operator should hear of it now.
    pub(super) fn failed(&self, now: Instant) -> Option<Toll> {
        let mut run = self.lock();
        let first = run.is_none();
        let run = run.get_or_insert(Run { began: now, attempts: 0, said: now });
        run.attempts += 1;
        if !first && now - run.said < OUTAGE_REMINDER {
            return None;
        }
        run.said = now;
        Some(Toll { attempts: run.attempts, lasted: now - run.began })
    }

    /// Notes a success; the toll of the run that it ends.
    pub(super) fn over(&self, now: Instant) -> Option<Toll> {
        self.lock().take().map(|run| Toll { attempts: run.attempts, lasted: now - run.began })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_said_at_once_and_again_while_it_lasts() {
        let (began, outage) = (Clock::simulated(1, 0).instant(), Outage::default());
        let toll = |attempts, lasted| Some(Toll { attempts, lasted });
        assert!(!outage.lasts());
        assert_eq!(outage.failed(began), toll(1, Duration::ZERO));
        assert_eq!(outage.failed(began + OUTAGE_REMINDER / 2), None);
        assert_eq!(outage.failed(began + OUTAGE_REMINDER), toll(3, OUTAGE_REMINDER));
        assert_eq!(outage.failed(began + OUTAGE_REMINDER), None);
        assert!(outage.lasts());
        assert_eq!(outage.over(began + OUTAGE_REMINDER * 2), toll(4, OUTAGE_REMINDER * 2));
        assert_eq!(outage.over(began + OUTAGE_REMINDER * 2), None);
        assert_eq!(outage.failed(began + OUTAGE_REMINDER * 2), toll(1, Duration::ZERO), "the next one is said anew");
    }
}
