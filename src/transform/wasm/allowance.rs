//! What one try of a batch may burn and take.
//!
//! The limits of a plugin are wide, since what it needs is not known: a record that takes all there is would cost many times
//! what the others do, once for each try until it stands alone. So a batch is tried with little first. What fails for want
//! of more proves nothing yet; only a record that stands alone gets all that the limits grant.
//!
//! What became of a batch must not depend on whether an instance that had others before it took it: that one may have done already
//! what a fresh one does first. So where instances are kept a fresh one gets more for a whole batch, as much again as a start may
//! burn, and only one that took a whole batch with that is kept: then it does not fail where a kept one would not.

use super::Limits;
use crate::limits::{
    PLUGIN_FIRST_BYTE_FUEL, PLUGIN_FIRST_FUEL, PLUGIN_FIRST_MEMORY, PLUGIN_OUTPUT_BYTES_FREE, PLUGIN_RUNTIME_BYTES,
    PLUGIN_RUNTIME_FIRST_BYTE_FUEL,
};

/// How generous a try is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// What plugins usually need.
    First,
    /// As much again as a start may burn, and twice the memory.
    Batch,
    /// All that the limits grant.
    Whole,
}

/// What a try may burn and take.
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

    /// Fuel of a batch of so many bytes.
    pub(super) fn fuel_of(&self, bytes: u64) -> u64 {
        self.fuel.saturating_add(self.fuel_per_byte.saturating_mul(bytes))
    }

    /// Bytes of output of a batch of so many bytes.
    pub(super) fn output_of(&self, bytes: u64) -> u64 {
        PLUGIN_OUTPUT_BYTES_FREE.saturating_add(u64::from(self.output_ratio).saturating_mul(bytes))
    }

    /// What a batch of so many bytes is allowed, on an instance that had `started` bytes of memory after its `init`.
    pub(super) fn allow(&self, grant: Grant, bytes: u64, started: u64) -> Allowance {
        let whole = Allowance { fuel: self.fuel_of(bytes), memory: self.memory };
        let is_runtime = started >= PLUGIN_RUNTIME_BYTES;
        let per_byte = if is_runtime { PLUGIN_RUNTIME_FIRST_BYTE_FUEL } else { PLUGIN_FIRST_BYTE_FUEL };
        let fuel = PLUGIN_FIRST_FUEL.saturating_add(per_byte.saturating_mul(bytes));
        let memory = PLUGIN_FIRST_MEMORY.saturating_add(started.saturating_mul(2));
        match grant {
            Grant::First => Allowance { fuel: fuel.min(whole.fuel), memory: memory.min(whole.memory) },
            Grant::Batch => Allowance {
                fuel: fuel.saturating_add(self.fuel).min(whole.fuel),
                memory: memory.saturating_mul(2).min(whole.memory),
            },
            Grant::Whole => whole,
        }
    }
}
