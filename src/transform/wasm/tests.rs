//! Plugins good and bad, from bytes to rows.

mod bad;
mod cache;
mod guests;
mod modules;
mod sparing;
mod speech;
mod steady;

use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use super::{Limits, Plugin, Plugins, Step};
use crate::clock::Clock;
use crate::telemetry::metrics::Metrics;
use crate::transform::{Origins, Outcome, Rows};
use guests::{Text, plugin};

const LIMITS: Limits = Limits {
    memory: Some(16 << 20),
    fuel: Some(1_000_000),
    fuel_per_byte: 1_000,
    output_ratio: 4,
    batch_records: 500,
    batch_bytes: 1 << 20,
    sparing: true,
};

/// A store of plugins in a directory of its own.
struct Rig {
    plugins: Plugins,
    metrics: Arc<Metrics>,
    dir: Arc<TempDir>,
}

impl Rig {
    fn new() -> Self {
        Rig::at(Arc::new(tempfile::tempdir().unwrap()))
    }

    /// As another process would open it.
    fn at(dir: Arc<TempDir>) -> Self {
        let metrics = Arc::new(Metrics::default());
        let plugins = Plugins::open(dir.path().join("plugins"), Clock::real(), metrics.clone()).unwrap();
        Rig { plugins, metrics, dir }
    }

    async fn install(&self, text: &Text<'_>) -> Step {
        self.install_bytes(plugin(text)).await
    }

    async fn install_bytes(&self, module: Vec<u8>) -> Step {
        step(self.plugins.install("test", Bytes::from(module), None).await.unwrap(), LIMITS)
    }

    async fn plugin(&self, text: &Text<'_>) -> Arc<Plugin> {
        let step = self.install(text).await;
        self.plugins.plugin("web", &step).await.unwrap()
    }

    async fn limited(&self, text: &Text<'_>, limits: Limits) -> Arc<Plugin> {
        let step = Step { limits, ..self.install(text).await };
        self.plugins.plugin("web", &step).await.unwrap()
    }
}

fn step(sha256: String, limits: Limits) -> Step {
    let arn = Some("arn:test".to_owned());
    Step { plugin: "test".into(), arn, sha256, config: [("a".to_owned(), "b".to_owned())].into(), limits }
}

/// Records, each at a position of its own.
fn records<T: AsRef<[u8]>>(records: &[T]) -> (Rows, Origins) {
    let mut rows = Rows::default();
    for (number, record) in records.iter().enumerate() {
        rows.data.extend_from_slice(record.as_ref());
        rows.ends.push(rows.data.len() as u32);
        rows.origins.push(number as u32);
    }
    let count = records.len() as u64;
    let origins = Origins {
        arrived_ms: (0..count).map(|number| 1_700_000_000_000 + number).collect(),
        positions: (100..100 + count).collect(),
        shards: Vec::new(),
        keys: None,
    };
    (rows, origins)
}

fn run(plugin: &Plugin, input: &(Rows, Origins)) -> Outcome {
    plugin.run(&input.0, &input.1).unwrap()
}

/// Which origins failed, and why.
fn failed(outcome: &Outcome) -> Vec<(u32, &str)> {
    assert!(
        outcome.failed.iter().all(|failed| failed.failure.by.as_deref() == Some("arn:test")),
        "{:?}",
        outcome.failed
    );
    outcome.failed.iter().map(|failed| (failed.origin, &*failed.failure.code)).collect()
}
