//! The engine, set so that the same module with the same input gives the same bytes, and what it offers to modules.
//!
//! - Fuel is on: it is the only bound on how long a plugin runs, and depends on nothing but the module and its input.
//! - Floats: NaNs are made canonical and relaxed SIMD does the same on every processor. There are no threads.
//! - Instances come from a pool, which makes a new one cost microseconds. A place in it reserves addresses but no memory:
//!   what was touched is given back when the instance ends.

use std::hash::{Hash, Hasher};

use aws_lc_rs::digest::{Context, SHA256};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use wasmtime_wasi::p2::bindings::{clocks, random};

use super::bindings::standpipe::transform as contract;
use super::fault::internal;
use super::guest::Guest;
use crate::error::Result;
use crate::limits::{
    PLUGIN_CORE_INSTANCES_MAX, PLUGIN_INSTANCES_MAX, PLUGIN_MEMORIES_MAX, PLUGIN_MEMORY_BYTES_MAX,
    PLUGIN_RESIDENT_BYTES, PLUGIN_STACK_BYTES_MAX, PLUGIN_TABLE_ELEMENTS_MAX, PLUGIN_TABLES_MAX,
};

/// An engine with what it offers.
pub(super) struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Linker<Guest>,
    /// Changes whenever machine code of another build, other settings or another processor would not do.
    pub(super) fingerprint: String,
}

impl Runtime {
    /// The engine for all plugins.
    pub(super) fn new() -> Result<Self> {
        let engine = Engine::new(&config()).map_err(|error| internal("the engine for plugins cannot start", &error))?;
        let linker = linker(&engine).map_err(|error| internal("what plugins may import cannot be set up", &error))?;
        let mut fingerprint = Digest(Context::new(&SHA256));
        engine.precompile_compatibility_hash().hash(&mut fingerprint);
        let fingerprint = format!("{:016x}", fingerprint.finish());
        Ok(Runtime { engine, linker, fingerprint })
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(PLUGIN_STACK_BYTES_MAX)
        // Names of functions are all that a trap's trace needs; tables of addresses would make code a third larger.
        .generate_address_map(false)
        .native_unwind_info(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    let resident = PoolingAllocationConfig::is_pagemap_scan_available();
    pool.total_component_instances(PLUGIN_INSTANCES_MAX)
        .total_core_instances(PLUGIN_INSTANCES_MAX * PLUGIN_CORE_INSTANCES_MAX)
        .max_core_instances_per_component(PLUGIN_CORE_INSTANCES_MAX)
        .total_memories(PLUGIN_INSTANCES_MAX * PLUGIN_MEMORIES_MAX)
        .max_memories_per_component(PLUGIN_MEMORIES_MAX)
        .total_tables(PLUGIN_INSTANCES_MAX * PLUGIN_TABLES_MAX)
        .max_tables_per_component(PLUGIN_TABLES_MAX)
        .max_tables_per_module(PLUGIN_TABLES_MAX)
        .table_elements(PLUGIN_TABLE_ELEMENTS_MAX)
        .max_memory_size(usize::try_from(PLUGIN_MEMORY_BYTES_MAX).unwrap_or(usize::MAX))
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        // A fresh instance finds the pages of the one before, made clean again, and has no page fault for each. Where the
        // kernel cannot tell which pages were written (Linux before 6.7) this would cost more than it brings.
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(if resident { PLUGIN_RESIDENT_BYTES } else { 0 });
    pool
}

/// All that a module may import: the host's own, and WASI 0.2 without files and network, whose clock stands still and
/// whose randomness follows from the batch.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    linker.allow_shadowing(true);
    clocks::wall_clock::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    clocks::monotonic_clock::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    random::random::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    random::insecure::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    random::insecure_seed::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    contract::host::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    contract::types::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    Ok(linker)
}

/// A hash that is the same in every process.
struct Digest(Context);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finish();
        let first = digest.as_ref().first_chunk().expect("a SHA-256 has 32 bytes");
        u64::from_be_bytes(*first)
    }
}
