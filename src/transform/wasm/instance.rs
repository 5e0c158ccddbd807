//! One instance: made, told where it runs, given batches.

use std::sync::Arc;

use wasmtime::Store;

use super::Limits;
use super::allowance::Grant;
use super::bindings::Transform;
use super::bindings::standpipe::transform::types::{Batch, Facts, Lifetime, Outcome as Answer};
use super::check::Checked;
use super::engine::Runtime;
use super::fault::{Fault, OUT_OF_FUEL, internal};
use super::guest::Guest;
use super::pool::Place;
use super::voice::{Voice, bounded};
use super::wasi::Random;
use crate::error::{Error, Result};
use crate::limits::{PLUGIN_KEYS_MAX, PLUGIN_OUTPUT_BYTES_FREE};

/// An instance, with its memory.
pub(super) struct Instance {
    store: Store<Guest>,
    calls: Transform,
    /// Whether it may be given another batch.
    pub(super) kept: bool,
    /// Bytes of its memory after `init`.
    started: u64,
    /// Given back last.
    _place: Place,
}

/// What a batch cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) fuel: u64,
    pub(super) memory_bytes: usize,
}

/// What an instance gave for a batch.
pub(super) struct Given {
    /// What the plugin answers, unchecked.
    pub(super) answer: std::result::Result<Answer, Fault>,
    pub(super) cost: Cost,
    /// Whether it wanted more than it was allowed, and the limits grant more: then the answer, whatever it is, says nothing
    /// about the batch.
    pub(super) wants_more: bool,
}

/// Bytes of a row's numbers: where it ends, its input, its status, and where each of its keys ends.
const ROW_BYTES: u64 = 4 + 4 + 1 + 4 * PLUGIN_KEYS_MAX as u64;

impl Instance {
    /// Makes an instance and calls `init`, which always sees the same: 1970, the same randomness. An error says what is
    /// wrong with the plugin or its configuration.
    pub(super) fn new(
        runtime: &Runtime,
        checked: &Checked,
        voice: &Arc<Voice>,
        config: &[(&str, &str)],
        limits: &Limits,
        place: Place,
    ) -> Result<Self> {
        let allowed = limits.start();
        let guest = Guest::new(voice, allowed.memory, checked.wasi);
        let mut store = Store::new(&runtime.engine, guest);
        store.limiter(Guest::limiter);
        store.set_hostcall_fuel(usize::try_from(PLUGIN_OUTPUT_BYTES_FREE).unwrap_or(usize::MAX));
        store.set_fuel(allowed.fuel).map_err(|error| internal("fuel cannot be set", &error))?;
        store.data_mut().begin(0, Random::of(&voice.stream, 0, 0));
        let failed = |fault: &Fault| Error::invalid(format!("{} ({})", fault.message, fault.code));
        let calls = match checked.pre.instantiate(&mut store) {
            Ok(calls) => calls,
            Err(error) => return Err(failed(&fault(&mut store, &error))),
        };
        let facts = Facts { delivery_stream: &voice.stream, config };
        let kept = match calls.call_init(&mut store, facts) {
            Ok(Ok(lifetime)) => lifetime == Lifetime::Kept,
            Ok(Err(refused)) => return Err(Error::invalid(format!("the plugin says: {}", bounded(&refused)))),
            Err(error) => return Err(failed(&fault(&mut store, &error))),
        };
        let started = store.data().memory_bytes() as u64;
        Ok(Instance { store, calls, kept, started, _place: place })
    }

    /// Gives it a batch. After a fault the instance is of no use any more.
    pub(super) fn call(&mut self, batch: Batch<'_>, limits: &Limits, grant: Grant, random: Random) -> Given {
        let bytes = bytes_of(&batch);
        let allowed = limits.allow(grant, bytes, self.started);
        let whole = limits.allow(Grant::Whole, bytes, self.started);
        let records = batch.ends.len() as u64;
        let answer_max = limits.output_of(bytes).saturating_add(records.saturating_mul(ROW_BYTES));
        self.store.set_hostcall_fuel(usize::try_from(answer_max).unwrap_or(usize::MAX));
        self.store.data_mut().begin(batch.arrived_ms.first().copied().unwrap_or(0), random);
        self.store.data_mut().allow_memory(allowed.memory, whole.memory);
        let answer = match self.store.set_fuel(allowed.fuel) {
            Ok(()) => self.calls.call_transform(&mut self.store, batch),
            Err(error) => Err(error),
        };
        let left = self.store.get_fuel().unwrap_or(0);
        let cost = Cost { fuel: allowed.fuel.saturating_sub(left), memory_bytes: self.memory_bytes() };
        let answer = answer.map_err(|error| fault(&mut self.store, &error));
        let burnt_all = answer.as_ref().is_err_and(|fault| fault.code == OUT_OF_FUEL);
        let wants_more = (burnt_all && allowed.fuel < whole.fuel) || self.store.data().was_allowed_less();
        Given { answer, cost, wants_more }
    }

    /// Whether it may be given another batch, after it took one with `grant`.
    pub(super) fn may_keep(&self, limits: &Limits, grant: Grant) -> bool {
        limits.may_keep(grant, self.memory_bytes() as u64, self.started)
    }

    /// What it added to its own counters in the last batch.
    pub(super) fn counted(&mut self) -> Vec<(String, u64)> {
        self.store.data_mut().counted()
    }

    /// Bytes of its memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().memory_bytes()
    }
}

/// Bytes of a batch that bring fuel and output.
pub(super) fn bytes_of(batch: &Batch<'_>) -> u64 {
    batch.data.len() as u64 + batch.key_data.len() as u64
}

fn fault(store: &mut Store<Guest>, error: &wasmtime::Error) -> Fault {
    let guest = store.data_mut();
    let (complaint, wanted_more) = (guest.complaint(), guest.wanted_more_memory());
    let fault = Fault::of(error, &complaint, wanted_more);
    tracing::debug!(code = fault.code, error = format!("{error:?}"), "a plugin failed");
    fault
}
