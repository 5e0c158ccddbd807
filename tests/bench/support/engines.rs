//! The engine alone, with one limit at a time: what each costs.

use ::standpipe::transform::{Origins, Rows};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, Store};

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

impl Bare {
    /// Every way to limit that there is, by name.
    pub(crate) fn all(module: &[u8]) -> Vec<(&'static str, Bare)> {
        type Change = fn(&mut Config);
        let ways: [(&str, Change); 5] = [
            ("no limits", |_| ()),
            ("fuel", |config| _ = config.consume_fuel(true)),
            ("epochs", |config| _ = config.epoch_interruption(true)),
            ("canonical NaN", |config| _ = config.cranelift_nan_canonicalization(true)),
            ("fuel, canonical NaN, as in the service", |config| {
                config.consume_fuel(true).cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
            }),
        ];
        ways.map(|(name, change)| (name, Bare::new(module, change))).into()
    }

    fn new(module: &[u8], change: fn(&mut Config)) -> Self {
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::pooling());
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
