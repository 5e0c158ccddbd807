//! The engine alone, with one limit at a time: what each costs.

use ::standpipe::transform::{Origins, Rows};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

wasmtime::component::bindgen!({
    path: "transforms/wit",
    world: "transform",
    ownership: Borrowing { duplicate_if_necessary: false },
});

/// A plugin on an engine of its own.
pub(crate) struct Bare {
    store: Store<()>,
    calls: Transform,
}

/// What is set of an engine.
pub(crate) type Change = fn(&mut Config);

/// Every way to limit that there is, by name.
pub(crate) const WAYS: [(&str, Change); 5] = [
    ("no limits", |_| ()),
    ("fuel", |config| _ = config.consume_fuel(true)),
    ("epochs", |config| _ = config.epoch_interruption(true)),
    ("canonical NaN", |config| _ = config.cranelift_nan_canonicalization(true)),
    ("fuel, canonical NaN, as in the service", |config| {
        config.consume_fuel(true).cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
    }),
];

impl Bare {
    /// The plugin with `change` to the engine.
    pub(crate) fn new(module: &[u8], change: Change) -> Self {
        let mut config = Config::new();
        let mut pool = PoolingAllocationConfig::new();
        // As large as interpreted plugins need it.
        pool.max_core_instances_per_component(96).total_core_instances(960).max_memories_per_component(2);
        pool.max_tables_per_component(48).total_tables(480).table_elements(100_000).max_memory_size(1 << 30);
        pool.max_core_instance_size(4 << 20).max_component_instance_size(4 << 20).total_component_instances(10);
        pool.total_memories(20).max_tables_per_module(48);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        change(&mut config);
        let engine = Engine::new(&config).expect("the engine starts");
        let component = Component::new(&engine, module).expect("it is a component");
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component).expect("imports can be stubs");
        let mut store = Store::new(&engine, ());
        // Where it is off this is refused.
        _ = store.set_fuel(u64::MAX);
        store.set_epoch_deadline(u64::MAX / 2);
        let calls = Transform::instantiate(&mut store, &component, &linker).expect("it starts");
        let facts = Facts { delivery_stream: "bench", config: &[] };
        calls.call_init(&mut store, facts).expect("it answers").expect("it starts");
        Bare { store, calls }
    }

    /// Gives it all rows as one batch.
    pub(crate) fn run(&mut self, rows: &Rows, origins: &Origins) -> usize {
        _ = self.store.set_fuel(u64::MAX);
        let batch = Batch {
            data: &rows.data,
            ends: &rows.ends,
            arrived_ms: &origins.arrived_ms,
            positions: &origins.positions,
            shards: &[],
            key_data: &[],
            key_ends: &[],
        };
        self.calls.call_transform(&mut self.store, batch).expect("it runs").data.len()
    }
}
