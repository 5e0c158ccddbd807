//! What one try of a batch may burn and take.
//!
//! The limits of a plugin are wide, since what it needs is not known: a record that takes all there is would cost many times
//! what the others do, once for each try until it stands alone. So a batch is tried with little first. What fails for want
//! of more proves nothing yet; only a record that stands alone gets all that the limits grant.
//!
//! What became of a batch must not depend on whether an instance that had others before it took it: that one may have done already
//! what a fresh one does first. So where instances are kept a fresh one gets more for a whole batch, as much again as a start may
//! burn and the memory of one's own tables, and only one that took a whole batch with that is kept: then it does not fail where a
//! kept one would not.
//!
//! Where the configuration does not say, the limits themselves follow from what is known: an instance that started with the runtime
//! of a language in it may take more than one of machine code alone, and a batch with many bytes more than one with few. So the
//! one record that takes all there is finds little to take.

use super::Limits;
use crate::limits::{
    PLUGIN_BATCH_MEMORY_DEFAULT, PLUGIN_COMPILED_FUEL_DEFAULT, PLUGIN_FIRST_BYTE_FUEL, PLUGIN_FIRST_BYTE_MEMORY,
    PLUGIN_FIRST_FUEL, PLUGIN_FIRST_MEMORY, PLUGIN_FUEL_DEFAULT, PLUGIN_MEMORY_DEFAULT, PLUGIN_ONCE_MEMORY,
    PLUGIN_OUTPUT_BYTES_FREE, PLUGIN_OUTPUT_MEMORY_DEFAULT, PLUGIN_RUNTIME_BYTES, PLUGIN_RUNTIME_FIRST_BYTE_FUEL,
    PLUGIN_STARTED_MEMORY_DEFAULT,
};

/// How generous a try is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// What plugins usually need.
    First,
    /// As much again as a start may burn, and memory for what is fetched once.
    Batch,
    /// All that the limits grant.
    Whole,
}

/// What a start or a try may burn and take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) fuel: u64,
    /// Bytes of linear memory.
    pub(super) memory: u64,
}

impl Limits {
    /// The generosity to begin with.
    pub(super) fn first(&self) -> Grant {
        if self.sparing { Grant::First } else { Grant::Whole }
    }

    /// What a start is allowed.
    pub(super) fn start(&self) -> Allowance {
        Allowance {
            fuel: self.fuel.unwrap_or(PLUGIN_FUEL_DEFAULT),
            memory: self.memory.unwrap_or(PLUGIN_MEMORY_DEFAULT),
        }
    }

    /// The most fuel that a batch of so many bytes may be allowed.
    pub(super) fn fuel_of(&self, bytes: u64) -> u64 {
        self.start().fuel.saturating_add(self.fuel_per_byte.saturating_mul(bytes))
    }

    /// Bytes of output of a batch of so many bytes.
    pub(super) fn output_of(&self, bytes: u64) -> u64 {
        PLUGIN_OUTPUT_BYTES_FREE.saturating_add(u64::from(self.output_ratio).saturating_mul(bytes))
    }

    /// What a batch of so many bytes is allowed, on an instance that had `started` bytes of memory after its `init`.
    pub(super) fn allow(&self, grant: Grant, bytes: u64, started: u64) -> Allowance {
        let is_runtime = started >= PLUGIN_RUNTIME_BYTES;
        let usual = if is_runtime { PLUGIN_FUEL_DEFAULT } else { PLUGIN_COMPILED_FUEL_DEFAULT };
        let base = self.fuel.unwrap_or(usual);
        let whole = Allowance {
            fuel: base.saturating_add(self.fuel_per_byte.saturating_mul(bytes)),
            memory: self.memory.unwrap_or_else(|| self.usual_memory(bytes, started)),
        };
        let per_byte = if is_runtime { PLUGIN_RUNTIME_FIRST_BYTE_FUEL } else { PLUGIN_FIRST_BYTE_FUEL };
        let fuel = PLUGIN_FIRST_FUEL.saturating_add(per_byte.saturating_mul(bytes));
        let memory = PLUGIN_FIRST_MEMORY
            .saturating_add(started.saturating_mul(2))
            .saturating_add(PLUGIN_FIRST_BYTE_MEMORY.saturating_mul(bytes));
        match grant {
            Grant::First => Allowance { fuel, memory }.within(whole),
            Grant::Batch => {
                let memory = memory.saturating_add(PLUGIN_ONCE_MEMORY);
                Allowance { fuel: fuel.saturating_add(base), memory }.within(whole)
            }
            Grant::Whole => whole,
        }
    }

    /// The memory of a batch where the configuration does not say.
    fn usual_memory(&self, bytes: u64, started: u64) -> u64 {
        PLUGIN_BATCH_MEMORY_DEFAULT
            .saturating_add(started.saturating_mul(PLUGIN_STARTED_MEMORY_DEFAULT))
            .saturating_add(self.output_of(bytes).saturating_mul(PLUGIN_OUTPUT_MEMORY_DEFAULT))
            .min(PLUGIN_MEMORY_DEFAULT)
    }

    /// Whether an instance that took a batch whole may be kept. One with more memory than any batch brings may hold what a fresh one
    /// could not fetch again.
    pub(super) fn may_keep(&self, grant: Grant, memory: u64, started: u64) -> bool {
        !self.sparing || grant == Grant::Batch && memory <= self.allow(Grant::Batch, 0, started).memory
    }
}

impl Allowance {
    fn within(self, whole: Allowance) -> Allowance {
        Allowance { fuel: self.fuel.min(whole.fuel), memory: self.memory.min(whole.memory) }
    }
}
