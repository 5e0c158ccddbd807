//! The pauses between attempts at a request, and when there are no more.

use std::time::Duration;

use crate::limits::{ENDPOINT_JITTER_PERCENT, ENDPOINT_PAUSE_MAX, ENDPOINT_PAUSE_MIN};

/// The pauses of one request: each twice the one before, 15 % shorter or longer, and together the retry duration. Only they
/// count; how long answers take does not.
pub(super) struct Pauses {
    next: Duration,
    spent: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Pauses { next: ENDPOINT_PAUSE_MIN, spent: Duration::ZERO }
    }
}

impl Pauses {
    /// The pause before the next attempt, or none if `retry` is over.
    pub(super) fn next(&mut self, retry: Duration, random: u64) -> Option<Duration> {
        let left = retry.checked_sub(self.spent).filter(|left| !left.is_zero())?;
        let percent = 100 - ENDPOINT_JITTER_PERCENT + random % (2 * ENDPOINT_JITTER_PERCENT + 1);
        let pause = self.next * percent as u32 / 100;
        self.next = (self.next * 2).min(ENDPOINT_PAUSE_MAX);
        Some(pause.min(left))
    }

    /// Counts a pause that is over.
    pub(super) fn took(&mut self, time: Duration) {
        self.spent += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pauses of a request that is never taken, in milliseconds.
    fn pauses(retry: Duration, random: u64) -> Vec<u128> {
        let mut pauses = Pauses::default();
        let mut all = Vec::new();
        while let Some(pause) = pauses.next(retry, random) {
            pauses.took(pause);
            all.push(pause.as_millis());
        }
        all
    }

    #[test]
    fn pauses_double_vary_by_15_percent_and_fill_the_duration() {
        assert_eq!(pauses(Duration::ZERO, 0), [0; 0]);
        assert_eq!(pauses(Duration::from_secs(10), 15), [1_000, 2_000, 4_000, 3_000]);
        assert_eq!(pauses(Duration::from_secs(10), 0), [850, 1_700, 3_400, 4_050]);
        assert_eq!(pauses(Duration::from_secs(4), 30), [1_150, 2_300, 550]);
        let long = pauses(Duration::from_hours(2), 15);
        assert_eq!(long.iter().sum::<u128>(), 7_200_000);
        assert_eq!(long[7..9], [120_000, 120_000]);
        let mut seen: Vec<_> = (0..1_000).map(|random| pauses(Duration::from_mins(5), random)[0]).collect();
        seen.sort_unstable();
        assert_eq!((seen[0], seen[999]), (850, 1_150));
    }
}
