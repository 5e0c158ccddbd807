//! What stands behind one instance: the host's answers to its imports, and how much memory it may have.

use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::bindings::standpipe::transform::{host, types};
use super::voice::{Said, Voice};
use super::wasi;
use crate::limits::{
    PLUGIN_COUNTER_NAME_BYTES_MAX, PLUGIN_COUNTERS_MAX, PLUGIN_RESOURCES_MAX, PLUGIN_TABLE_ELEMENTS_MAX,
};

/// The state of one instance.
pub(super) struct Guest {
    /// Where its log lines go.
    said: Arc<Mutex<Said>>,
    /// What it added to its counters in this batch: they count only when the batch does.
    counted: Vec<(String, u64)>,
    memory: Memory,
    /// Now, as the guest sees it, milliseconds since 1970: it stands still during a batch.
    pub(super) now_ms: u64,
    /// The state of its random numbers.
    pub(super) random: wasi::Random,
    /// Only for those that import WASI, since it costs a microsecond.
    wasi: Option<WasiCtx>,
    pub(super) table: ResourceTable,
}

impl Guest {
    /// The state of an instance with at most `memory_max` bytes.
    pub(super) fn new(voice: &Arc<Voice>, memory_max: u64, with_wasi: bool) -> Self {
        let said = Arc::new(Mutex::new(Said::new(voice.clone())));
        let mut table = ResourceTable::new();
        table.set_max_capacity(PLUGIN_RESOURCES_MAX);
        Guest {
            wasi: with_wasi.then(|| wasi::context(&said)),
            said,
            counted: Vec::new(),
            memory: Memory::new(memory_max),
            now_ms: 0,
            random: wasi::Random::default(),
            table,
        }
    }

    /// Before a batch (or `init`): what is left of the one before is forgotten.
    pub(super) fn begin(&mut self, now_ms: u64, random: wasi::Random) {
        self.now_ms = now_ms;
        self.random = random;
        self.counted.clear();
        self.memory.refused = false;
        self.memory.was_allowed_less = false;
        self.said.lock().unwrap_or_else(PoisonError::into_inner).begin();
    }

    /// The last complaint of the guest in this batch: what a language's runtime says before it traps.
    pub(super) fn complaint(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).complaint()
    }

    /// What the guest added to its counters in this batch.
    pub(super) fn counted(&mut self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.counted)
    }

    /// Whether it asked for more memory than it may have.
    pub(super) fn wanted_more_memory(&self) -> bool {
        self.memory.refused
    }

    /// Allows it so many bytes from now on, of which the limits grant `most`.
    pub(super) fn allow_memory(&mut self, bytes: u64, most: u64) {
        self.memory.allowed = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.memory.max = usize::try_from(most).unwrap_or(usize::MAX);
    }

    /// Whether it was refused memory in this batch that its limit would have granted.
    pub(super) fn was_allowed_less(&self) -> bool {
        self.memory.was_allowed_less
    }

    /// Bytes of its linear memories; they never shrink.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory.bytes
    }

    /// What it is bounded by.
    pub(super) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.memory
    }
}

impl types::Host for Guest {}

impl host::Host for Guest {
    fn log(&mut self, level: host::Level, message: String) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).log(level, &message);
    }

    fn counter(&mut self, name: String, by: u64) {
        if let Some((_, sum)) = self.counted.iter_mut().find(|(known, _)| *known == name) {
            *sum = sum.saturating_add(by);
        } else if self.counted.len() < PLUGIN_COUNTERS_MAX && is_counter(&name) {
            self.counted.push((name, by));
        }
    }
}

/// Whether a counter may be called `name`: it becomes a label's value.
fn is_counter(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (1..=PLUGIN_COUNTER_NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(fine)
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.as_mut().expect("only a module that imports WASI calls it, and then it is there");
        WasiCtxView { ctx, table: &mut self.table }
    }
}

/// Bounds all memories of an instance together, and its tables.
#[derive(Default)]
struct Memory {
    max: usize,
    /// What it is allowed for now.
    allowed: usize,
    bytes: usize,
    table_elements: usize,
    refused: bool,
    was_allowed_less: bool,
}

impl Memory {
    fn new(max: u64) -> Self {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        Memory { max, allowed: max, ..Memory::default() }
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = self.bytes.saturating_add(desired.saturating_sub(current));
        let possible = bytes <= self.max && maximum.is_none_or(|maximum| desired <= maximum);
        let fine = possible && bytes <= self.allowed;
        if fine {
            self.bytes = bytes;
        }
        self.refused |= !fine;
        self.was_allowed_less |= possible && !fine;
        Ok(fine)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let elements = self.table_elements.saturating_add(desired.saturating_sub(current));
        let fine = elements <= PLUGIN_TABLE_ELEMENTS_MAX;
        if fine {
            self.table_elements = elements;
        }
        Ok(fine)
    }
}
