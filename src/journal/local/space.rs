//! Whether a put may still be written: the journal's disk budget, the stream's own, and what must stay free.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::state::{Inner, Shard};
use crate::clock::Instant;
use crate::disk::Space;
use crate::error::{Error, Result};
use crate::limits::{FREE_CHECK_EVERY, FREE_PERCENT_MIN, GROUP_BYTES_MAX, SHORT_PERCENT};
use crate::record::StreamId;

/// A disk budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskMax {
    /// So many bytes.
    Bytes(u64),
    /// So many percent of the file system.
    Percent(u8),
}

impl DiskMax {
    pub(super) fn bytes(self, total: u64) -> u64 {
        match self {
            DiskMax::Bytes(bytes) => bytes,
            DiskMax::Percent(percent) => percent_of(total, u64::from(percent)),
        }
    }
}

/// What is known about the room on the disk, with what the group at hand is going to take.
pub(super) struct Room {
    known: Space,
    checked: Option<Instant>,
    /// Written since the check.
    written: u64,
    /// Admitted to the group and not counted as written yet.
    pending: u64,
    pending_of: HashMap<StreamId, u64>,
}

impl Room {
    pub(super) fn new() -> Self {
        let known = Space { total: 0, available: 0 };
        Room { known, checked: None, written: 0, pending: 0, pending_of: HashMap::new() }
    }

    /// Takes room for a put of `bytes`; the error names the bound that is reached.
    pub(super) fn take(&mut self, inner: &Inner, shard: &Shard, bytes: u64, stream_max: Option<u64>) -> Result<()> {
        self.look(inner)?;
        let mine = self.pending_of.get(&shard.id.stream).copied().unwrap_or(0);
        if let Some(max) = stream_max {
            let used = shard.stream_bytes.load(Ordering::Relaxed) + mine;
            if used + bytes > max {
                return Err(Error::unavailable(format!(
                    "stream {} uses {used} of its {max} bytes of disk (max_bytes), a put of {bytes} bytes does not fit",
                    shard.id.stream
                )));
            }
        }
        let available = self.known.available.saturating_sub(self.written + self.pending);
        let space = Space { available, ..self.known };
        check(inner, space, self.pending, bytes)?;
        let held = shard.stream_bytes.load(Ordering::Relaxed) + mine;
        check_share(inner, space, self.pending, held, bytes)?;
        self.pending += bytes;
        self.pending_of.insert(shard.id.stream, mine + bytes);
        Ok(())
    }

    /// The journal's own budget in bytes, as far as it is known.
    pub(super) fn journal_max(&self, inner: &Inner) -> u64 {
        inner.options.disk_max.bytes(self.known.total)
    }

    /// The group was written, or not.
    pub(super) fn settle(&mut self) {
        self.written += std::mem::take(&mut self.pending);
        self.pending_of.clear();
    }

    fn look(&mut self, inner: &Inner) -> Result<()> {
        let fresh = self.checked.is_some_and(|checked| inner.clock.instant() - checked < FREE_CHECK_EVERY);
        // Near the mark every byte counts, also those that the file system takes for itself.
        let left = self.known.available.saturating_sub(self.written + free_bytes_min(inner, self.known));
        if fresh && self.written < GROUP_BYTES_MAX as u64 && left > 4 * GROUP_BYTES_MAX as u64 {
            return Ok(());
        }
        self.known = ask(inner)?;
        self.checked = Some(inner.clock.instant());
        self.written = 0;
        Ok(())
    }
}

/// Whether any put could be written at the moment.
pub(super) fn check_now(inner: &Inner) -> Result<()> {
    check(inner, ask(inner)?, 0, 0)
}

fn ask(inner: &Inner) -> Result<Space> {
    let failed = |error| Error::unavailable("cannot ask for the room on the journal's file system").because(error);
    inner.disk.space().map_err(failed)
}

fn check(inner: &Inner, space: Space, pending: u64, bytes: u64) -> Result<()> {
    let max = inner.options.disk_max.bytes(space.total);
    let used = inner.disk_bytes.load(Ordering::Relaxed) + pending;
    if used + bytes > max {
        return Err(Error::unavailable(format!(
            "the journal uses {used} of its {max} bytes of disk (journal.max_bytes), a put of {bytes} bytes does not fit"
        )));
    }
    let free_min = free_bytes_min(inner, space);
    if space.available < free_min + bytes {
        return Err(Error::unavailable(format!(
            "{} bytes are free on the journal's file system, {free_min} must stay free",
            space.available
        )));
    }
    Ok(())
}

/// Once disk is short, a stream may hold no more than an even share of it, so that one whose destination is down leaves
/// room for the others. `held` is what the stream has.
fn check_share(inner: &Inner, space: Space, pending: u64, held: u64, bytes: u64) -> Result<()> {
    let used = inner.disk_bytes.load(Ordering::Relaxed) + pending;
    let free = space.available.saturating_sub(free_bytes_min(inner, space));
    let max = inner.options.disk_max.bytes(space.total).min(used + free);
    if used + bytes <= percent_of(max, SHORT_PERCENT) {
        return Ok(());
    }
    // One more than there are: room for the next.
    let share = max / (inner.streams_on_disk() + 1);
    if held + bytes <= share {
        return Ok(());
    }
    Err(Error::unavailable(format!(
        "the journal uses {used} of the {max} bytes of disk that it may, and the stream holds {held}: while disk is short a \
         stream's share is {share}"
    )))
}

/// The low-water mark.
fn free_bytes_min(inner: &Inner, space: Space) -> u64 {
    inner.options.free_bytes_min.min(percent_of(space.total, FREE_PERCENT_MIN))
}

fn percent_of(total: u64, percent: u64) -> u64 {
    (u128::from(total) * u128::from(percent) / 100) as u64
}
