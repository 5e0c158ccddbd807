//! What a pipeline lets others see: where it stands, what it did last, what went wrong last.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::ledger::{Standing, Stands, Tally};
use crate::record::ShardId;

/// The visible state of one pipeline; read by status and metrics.
#[derive(Default)]
pub struct State(Mutex<Seen>);

/// A copy of what is visible.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Whether it has read the ledger and runs.
    pub running: bool,
    /// Where its shards stand: everything before `committed` is past.
    pub shards: BTreeMap<ShardId, Stands>,
    /// Positions that were past in shards that are no more.
    pub retired: u64,
    /// Positions above `committed` that are counted in `total` already: of a partitioned stream.
    pub early: u64,
    /// Shards that are not read yet, since their parents are not, but will be from their first record on.
    pub ahead: Arc<[ShardId]>,
    /// The sum over everything that is past.
    pub total: Tally,
    /// Bytes of records in the open buffer and under way.
    pub buffered_bytes: u64,
    /// Objects planned and not committed.
    pub under_way: usize,
    /// Arrival of the oldest record that is not past, milliseconds since 1970; none when there is none.
    pub oldest_ms: Option<u64>,
    /// The last object of delivered records and when it became durable.
    pub last_object: Option<(String, u64)>,
    /// The last failure and when; gone after the next success.
    pub last_error: Option<(String, u64)>,
    /// Why nothing can be read, and since when; gone when something can.
    pub fault: Option<(String, u64)>,
}

impl State {
    /// A copy.
    pub fn seen(&self) -> Seen {
        self.lock().clone()
    }

    pub(super) fn stands(&self, standing: &Standing) {
        let mut seen = self.lock();
        seen.running = true;
        (seen.total, seen.retired) = (standing.total, standing.retired);
        seen.early = standing.early().max(0).cast_unsigned();
        seen.shards.clone_from(&standing.shards);
    }

    pub(super) fn reads(&self, ahead: Arc<[ShardId]>, fault: Option<Error>, now_ms: u64) {
        let mut seen = self.lock();
        seen.ahead = ahead;
        seen.fault = fault.map(|fault| (fault.to_string(), seen.fault.as_ref().map_or(now_ms, |(_, since)| *since)));
    }

    pub(super) fn holds(&self, oldest_ms: Option<u64>, buffered_bytes: u64, under_way: usize) {
        let mut seen = self.lock();
        (seen.oldest_ms, seen.buffered_bytes, seen.under_way) = (oldest_ms, buffered_bytes, under_way);
        if oldest_ms.is_none() && under_way == 0 {
            // Nothing waits, so nothing waits for what failed.
            seen.last_error = None;
        }
    }

    /// A plan is done; `key` is that of its object of delivered records, if it has one.
    pub(super) fn delivered(&self, key: Option<&str>, now_ms: u64) {
        let mut seen = self.lock();
        seen.last_error = None;
        if let Some(key) = key {
            seen.last_object = Some((key.to_owned(), now_ms));
        }
    }

    /// Something went wrong, and is tried again.
    pub fn failed(&self, error: &Error, now_ms: u64) {
        self.lock().last_error = Some((error.to_string(), now_ms));
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
