//! Plugins: WebAssembly components of the world `standpipe:transform`, run inside, within hard limits, so that running
//! one again gives the same bytes.
//!
//! A [`Plugins`] holds every module that is needed, by the hash of its bytes: those that the configuration names now, and
//! those that plans of yesterday name. A [`Plugin`] is one of them with configuration and limits, ready to be given rows.

mod allowance;
mod answer;
mod artifact;
mod bindings;
mod check;
mod engine;
mod fault;
mod files;
mod gather;
mod guest;
mod instance;
mod plugins;
mod pool;
mod run;
#[cfg(test)]
mod tests;
mod voice;
mod wasi;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Origins, Outcome, Rows};
use crate::error::Result;
use crate::telemetry::metrics::TransformMetrics;

pub use gather::Counts;
pub use plugins::Plugins;
pub use run::Usage;

use check::Checked;
use engine::Runtime;
use instance::Instance;
use pool::Pool;
use voice::Voice;

/// A module with all that its outcomes depend on: what a plan remembers of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Step {
    /// The plugin's name in the configuration.
    pub plugin: String,
    /// How the error output names it, as it would a function; none in plans of before it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// SHA-256 of the module's bytes, in hexadecimal.
    pub sha256: String,
    /// Configuration values, by name. They are no secrets: plans hold them in the clear.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// Within what it must stay.
    pub limits: Limits,
}

/// Within what a plugin must stay. What is beyond costs the guilty records their delivery, never the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of linear memory of one instance; without, what it starts with and the bytes of a batch say, up to 64 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Fuel (about one unit for each WebAssembly instruction) for `init`, and for a batch beside what its records bring;
    /// without, 100 million, and for a batch half of it where no language's runtime is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Fuel that each byte of a batch brings.
    pub fuel_per_byte: u64,
    /// Bytes of output for each byte of a batch; 64 KiB are free.
    pub output_ratio: u32,
    /// Records in one batch, at most.
    pub batch_records: u32,
    /// Bytes of records in one batch, at most; a larger record is a batch of its own.
    pub batch_bytes: u32,
    /// Whether a batch is first given a small part of its fuel and memory, so that a record which takes all there is costs
    /// little. Which rows end up in one batch depends on it, so plans of before it was thought of go on without.
    #[serde(default)]
    pub sparing: bool,
}

/// A module with configuration and limits. Instances are made as they are needed, and kept where the plugin says that
/// they may be.
pub struct Plugin {
    step: Step,
    checked: Checked,
    runtime: Arc<Runtime>,
    pool: Arc<Pool>,
    voice: Arc<Voice>,
    /// Its name in the pool.
    number: u64,
}

impl Plugin {
    /// What becomes of `rows`: they are cut into batches that depend on the rows alone, in order. A batch that traps, is
    /// out of fuel or memory, or answers what breaks a rule, is tried in parts on fresh instances until the guilty
    /// records stand alone: those fail with a code each, and the rest goes on.
    ///
    /// Blocks until it is done, which fuel bounds; for threads of one's own. An error is a fault of ours (no instance could
    /// be made), not of the plugin or the records.
    pub fn run(&self, rows: &Rows, origins: &Origins) -> Result<Outcome> {
        Ok(self.run_measured(rows, origins)?.0)
    }

    /// The same, and what it cost.
    pub fn run_measured(&self, rows: &Rows, origins: &Origins) -> Result<(Outcome, Usage)> {
        let began = self.voice.clock.instant();
        let (outcome, usage) = run::Run::new(self, rows, origins).run()?;
        let metrics = self.metrics();
        let nanoseconds = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        metrics.nanoseconds.inc_by(nanoseconds);
        metrics.batches.inc_by(usage.batches);
        metrics.failed_batches.inc_by(usage.failed_batches);
        metrics.instances.inc_by(usage.instances);
        metrics.fuel.inc_by(usage.fuel);
        metrics.ok.inc_by(usage.rows.ok);
        metrics.dropped.inc_by(usage.rows.dropped);
        metrics.failed.inc_by(usage.rows.failed);
        metrics.saw_memory(usage.memory_bytes as u64);
        Ok((outcome, usage))
    }

    /// What it is.
    pub fn step(&self) -> &Step {
        &self.step
    }

    fn stream(&self) -> &str {
        &self.voice.stream
    }

    fn metrics(&self) -> &TransformMetrics {
        &self.voice.metrics
    }

    /// A kept instance.
    fn kept(&self) -> Option<Instance> {
        self.pool.take(self.number)
    }

    /// A new instance, after its `init`.
    fn fresh(&self) -> Result<Instance> {
        let config: Vec<_> = self.step.config.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let place = self.pool.place();
        Instance::new(&self.runtime, &self.checked, &self.voice, &config, &self.step.limits, place).map_err(|error| {
            let (plugin, stream) = (&self.step.plugin, self.stream());
            let message = format!("the plugin {plugin} of delivery stream {stream} cannot start: {error}");
            crate::error::Error::new(error.kind(), message)
        })
    }

    /// After a batch that went well.
    fn keep(&self, instance: Instance) {
        if instance.kept {
            self.pool.keep(self.number, instance);
        }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.pool.forget(self.number);
    }
}
