//! What users run on records on their way to an object: plugins in WebAssembly ([`wasm`]), and functions behind HTTP
//! ([`function`]) for those who have one already.
//!
//! Both take [`Rows`] and give an [`Outcome`]. A plugin is deterministic, so whatever it made can be made again from the
//! journal; a function is not, so what it made is kept (see `pipeline`).

pub mod function;
mod rows;
pub mod wasm;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::config::Processor;
use crate::error::Result;

pub use rows::{Failed, Failure, KeyColumn, Origins, Outcome, Rows};

/// One step with all that its outcomes depend on: what a plan remembers of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Records that are not one JSON value each go to the error output.
    RequireJson,
    /// A plugin.
    Wasm(wasm::Step),
    /// A function; what it made is kept until it is delivered, since it may answer otherwise another time.
    Function(function::Settings),
}

/// What a name of the configuration stands for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// A plugin that is installed.
    Wasm(wasm::Step),
    /// A function.
    Function(function::Settings),
}

/// The plugins that the configuration names, as they are now: a reload replaces them all at once. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    plugins: wasm::Plugins,
    now: watch::Receiver<Arc<BTreeMap<String, Known>>>,
}

impl Registry {
    /// A registry of what `now` holds, installed in `plugins`.
    pub fn new(plugins: wasm::Plugins, now: watch::Receiver<Arc<BTreeMap<String, Known>>>) -> Self {
        Registry { plugins, now }
    }

    /// The store of modules.
    pub fn plugins(&self) -> &wasm::Plugins {
        &self.plugins
    }

    /// What a processor of a delivery stream is now. `NotFound` names a plugin that is not in the configuration.
    pub fn step(&self, processor: &Processor) -> Result<Step> {
        todo!()
    }
}
