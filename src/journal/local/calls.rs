//! The memory of stored calls: by it a retry of a call is known and answered with the first one's span.

use std::collections::{HashMap, VecDeque};

use super::sidecar::Stored;
use crate::limits::CALL_MEMORY;
use crate::record::{CallId, ShardId, Span};

/// Which call went where, for [`CALL_MEMORY`] and up to a number. One SDK call may reach several shards: each has its
/// own entry.
pub(super) struct Calls {
    /// In the order in which they were stored; the front is forgotten first.
    ring: VecDeque<(ShardId, Stored)>,
    /// The number of the ring's front, counted from the first entry ever.
    base: u64,
    /// From a part of the call's name (it is a digest already) to its number. Where two calls share that part, the
    /// older one is forgotten early.
    numbers: HashMap<u64, u64>,
    max: usize,
    forgotten_early: u64,
}

impl Calls {
    /// Remembers at most `max` calls.
    pub(super) fn new(max: usize) -> Self {
        Calls { ring: VecDeque::new(), base: 0, numbers: HashMap::new(), max, forgotten_early: 0 }
    }

    /// The span of a call that was stored within the last [`CALL_MEMORY`].
    pub(super) fn find(&self, shard: ShardId, call: CallId, now_ms: u64) -> Option<Span> {
        let number = self.numbers.get(&short(shard, call))?;
        let (of, stored) = self.ring.get(number.checked_sub(self.base)? as usize)?;
        let known = *of == shard && stored.call == call && !expired(stored, now_ms);
        known.then(|| Span { shard, start: stored.start, end: stored.start + u64::from(stored.count) })
    }

    /// Remembers a call, and forgets what is too old or too much.
    pub(super) fn remember(&mut self, shard: ShardId, stored: Stored, now_ms: u64) {
        if self.max == 0 {
            return;
        }
        while self.ring.front().is_some_and(|(_, oldest)| expired(oldest, now_ms)) {
            self.forget_oldest();
        }
        if self.ring.len() == self.max {
            self.forget_oldest();
            self.forgotten_early += 1;
            if self.forgotten_early.is_power_of_two() {
                tracing::warn!(
                    calls = self.max,
                    forgotten_early = self.forgotten_early,
                    "more calls than can be remembered: a late retry may be stored twice"
                );
            }
        }
        self.numbers.insert(short(shard, stored.call), self.base + self.ring.len() as u64);
        self.ring.push_back((shard, stored));
    }

    /// The calls of one shard from position `start` that are not too old, for a sidecar.
    pub(super) fn of(&self, shard: ShardId, start: u64, now_ms: u64) -> Vec<Stored> {
        let mine = self.ring.iter().filter(|(of, stored)| *of == shard && stored.start >= start);
        mine.map(|(_, stored)| *stored).filter(|stored| !expired(stored, now_ms)).collect()
    }

    fn forget_oldest(&mut self) {
        let Some((shard, stored)) = self.ring.pop_front() else { return };
        let key = short(shard, stored.call);
        // A later entry of the same name has taken the place over.
        if self.numbers.get(&key) == Some(&self.base) {
            self.numbers.remove(&key);
        }
        self.base += 1;
    }
}

/// Whether a call need not be known any more.
pub(super) fn expired(stored: &Stored, now_ms: u64) -> bool {
    stored.arrived_ms.saturating_add(CALL_MEMORY.as_millis() as u64) < now_ms
}

fn short(shard: ShardId, call: CallId) -> u64 {
    let part = u64::from_le_bytes(call.0[..8].try_into().expect("eight bytes"));
    part ^ shard.stream.0.rotate_left(17) ^ u64::from(shard.index).rotate_left(43)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::StreamId;

    const SHARD: ShardId = ShardId { stream: StreamId(1), index: 0 };

    fn stored(name: u8, start: u64, arrived_ms: u64) -> Stored {
        Stored { call: CallId([name; 16]), start, count: 2, arrived_ms }
    }

    #[test]
    fn a_call_is_known_in_its_shard_until_it_is_too_old() {
        let mut calls = Calls::new(10);
        calls.remember(SHARD, stored(1, 5, 1_000), 1_000);
        let memory_ms = CALL_MEMORY.as_millis() as u64;
        let span = Some(Span { shard: SHARD, start: 5, end: 7 });
        assert_eq!(calls.find(SHARD, CallId([1; 16]), 1_000), span);
        assert_eq!(calls.find(SHARD, CallId([1; 16]), 1_000 + memory_ms), span);
        assert_eq!(calls.find(SHARD, CallId([1; 16]), 1_001 + memory_ms), None);
        assert_eq!(calls.find(ShardId { index: 1, ..SHARD }, CallId([1; 16]), 1_000), None);
        assert_eq!(calls.find(SHARD, CallId([2; 16]), 1_000), None);
        calls.remember(SHARD, stored(3, 9, 2_000 + memory_ms), 2_000 + memory_ms);
        assert_eq!((calls.ring.len(), calls.numbers.len()), (1, 1));
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let mut calls = Calls::new(3);
        for name in 0..10 {
            calls.remember(SHARD, stored(name, u64::from(name), 0), 0);
        }
        for name in 0..10 {
            assert_eq!(calls.find(SHARD, CallId([name; 16]), 0).is_some(), name >= 7, "{name}");
        }
        assert_eq!((calls.ring.len(), calls.numbers.len(), calls.forgotten_early), (3, 3, 7));
        assert_eq!(calls.of(SHARD, 8, 0).iter().map(|stored| stored.start).collect::<Vec<_>>(), [8, 9]);
    }

    #[test]
    fn calls_that_share_a_part_of_their_name_are_not_mistaken() {
        let mut calls = Calls::new(3);
        let mut twin = CallId([1; 16]);
        twin.0[15] = 9;
        calls.remember(SHARD, stored(1, 5, 0), 0);
        assert_eq!(calls.find(SHARD, twin, 0), None);
        calls.remember(SHARD, Stored { call: twin, ..stored(1, 8, 0) }, 0);
        assert_eq!(calls.find(SHARD, twin, 0).map(|span| span.start), Some(8));
        assert_eq!(calls.find(SHARD, CallId([1; 16]), 0), None);
    }
}
