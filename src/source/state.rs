//! What an importer lets others see.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The visible state of one importer.
#[derive(Default)]
pub struct State(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    seen: Seen,
    /// Milliseconds that each shard is behind.
    behind: BTreeMap<String, u64>,
}

/// A copy of what is visible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Records copied since the start of the process.
    pub copied: u64,
    /// Shards that are being copied.
    pub shards: usize,
    /// How old the oldest record is that is not copied yet, in milliseconds; none before the first answer.
    pub behind_ms: Option<u64>,
    /// How often records were gone before they could be copied, since the start of the process.
    pub gaps: u64,
    /// The last failure and when (milliseconds since 1970); gone after the next success.
    pub last_error: Option<(String, u64)>,
}

impl State {
    /// A copy.
    pub fn seen(&self) -> Seen {
        let inner = self.lock();
        let behind_ms = inner.behind.values().max().copied();
        Seen { shards: inner.behind.len(), behind_ms, ..inner.seen.clone() }
    }

    /// Records of `shard` were copied, or there were none; what is left is `behind_ms` old.
    pub(super) fn copied(&self, shard: &str, records: u64, behind_ms: u64) {
        let mut inner = self.lock();
        inner.seen.copied += records;
        inner.seen.last_error = None;
        match inner.behind.get_mut(shard) {
            Some(known) => *known = behind_ms,
            None => _ = inner.behind.insert(shard.to_owned(), behind_ms),
        }
    }

    /// `shard` is not copied any more.
    pub(super) fn left(&self, shard: &str) {
        self.lock().behind.remove(shard);
    }

    /// Records were gone before they were copied.
    pub(super) fn gap(&self) {
        self.lock().seen.gaps += 1;
    }

    /// Something went wrong, and is tried again.
    pub fn failed(&self, what: impl Into<String>, now_ms: u64) {
        self.lock().seen.last_error = Some((what.into(), now_ms));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
