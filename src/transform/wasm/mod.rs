//! Plugins: WebAssembly components of the world `standpipe:transform`, run inside, within hard limits, so that running
//! one again gives the same bytes.
//!
//! A [`Plugins`] holds every module that is needed, by the hash of its bytes: those that the configuration names now, and
//! those that plans of yesterday name. A [`Plugin`] is one of them with configuration and limits, ready to be given rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Origins, Outcome, Rows};
use crate::error::Result;
use crate::telemetry::metrics::Metrics;

/// A module with all that its outcomes depend on: what a plan remembers of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Step {
    /// The plugin's name in the configuration.
    pub plugin: String,
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
    /// Bytes of linear memory of one instance.
    pub memory: u64,
    /// Fuel (about one unit for each WebAssembly instruction) for `init`, and for a batch beside what its records bring.
    pub fuel: u64,
    /// Fuel that each byte of a batch brings.
    pub fuel_per_byte: u64,
    /// Bytes of output for each byte of a batch; 64 KiB are free.
    pub output_ratio: u32,
    /// Records in one batch, at most.
    pub batch_records: u32,
    /// Bytes of records in one batch, at most; a larger record is a batch of its own.
    pub batch_bytes: u32,
}

/// All modules that are needed. Cheap to clone.
#[derive(Clone)]
pub struct Plugins {
    // host
}

/// A module with configuration and limits. Instances are made as they are needed, and kept where the plugin says that
/// they may be.
pub struct Plugin {
    // host
}

impl Plugins {
    /// Opens the store of modules in `dir`, which is made; what was compiled before, by this build, is taken as it is.
    pub fn open(dir: PathBuf, metrics: Arc<Metrics>) -> Result<Self> {
        todo!()
    }

    /// Checks and compiles a module, and keeps it: gives the SHA-256 of its bytes. Seconds for a large one; runs on a
    /// thread that may block. Errors name what is wrong: not a component, another world or version, imports that are
    /// not offered, too large, a pin that differs.
    pub async fn install(&self, name: &str, module: Bytes, pin: Option<&str>) -> Result<String> {
        todo!()
    }

    /// The plugin of a step, for the delivery stream `stream`: of a module that was installed once, in this or an
    /// earlier process. The first instance is made and `init` called: an error says what it said.
    pub async fn plugin(&self, stream: &str, step: &Step) -> Result<Arc<Plugin>> {
        todo!()
    }

    /// Forgets modules that nobody needs any more, by their hash.
    pub fn retain(&self, needed: &BTreeSet<String>) -> Result<()> {
        todo!()
    }
}

impl Plugin {
    /// What becomes of `rows`: they are cut into batches that depend on the rows alone, in order. A batch that traps, is
    /// out of fuel or memory, or answers what breaks a rule, is tried in halves on fresh instances until the guilty
    /// records stand alone: those fail with a code each, and the rest goes on.
    ///
    /// An error is a fault of ours (no instance could be made), not of the plugin or the records.
    pub fn run(&self, rows: &Rows, origins: &Origins) -> Result<Outcome> {
        todo!()
    }
}
