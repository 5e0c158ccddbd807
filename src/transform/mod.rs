//! What users run on records on their way to an object: plugins in WebAssembly ([`wasm`]), functions behind HTTP
//! ([`function`]) for those who have one already, and the processors that are built in ([`builtin`]).
//!
//! All take [`Rows`] and give an [`Outcome`]. What is built in and a plugin are deterministic, so whatever they made can be made again from the
//! journal; a function is not, so what it made is kept (see `pipeline`).

pub mod builtin;
pub mod function;
mod rows;
pub mod wasm;

use std::collections::BTreeMap;
use std::future;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::config::{self, Processor};
use crate::error::{Error, Kind, Result};

pub use rows::{Failed, Failure, KeyColumn, Origins, Outcome, Rows};

/// One step with all that its outcomes depend on: what a plan remembers of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Records that are not one JSON value each go to the error output.
    RequireJson,
    /// A plugin.
    Wasm(wasm::Step),
    /// A function; what it made is kept until it is delivered, since it may answer otherwise another time.
    Function(function::Settings),
    /// A built-in processor.
    Builtin(config::Builtin),
    /// Conversion into a format of columns, the last step: what does not fit the schema goes to the error output. It is done when
    /// the object is made.
    Convert(Arc<config::Columnar>),
}

/// What a name of the configuration stands for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// A plugin that is installed.
    Wasm(wasm::Step),
    /// A function.
    Function(function::Settings),
    /// A plugin that could not be installed, and why. Records of the streams that name it wait.
    Unusable(String),
}

/// What the names of the configuration stand for, all of them.
pub type Names = Arc<BTreeMap<String, Known>>;

/// The plugins that the configuration names, as they are now: a reload replaces them all at once. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    plugins: Option<wasm::Plugins>,
    now: watch::Receiver<Names>,
}

impl Registry {
    /// A registry of what `now` holds, installed in `plugins`.
    pub fn new(plugins: wasm::Plugins, now: watch::Receiver<Names>) -> Self {
        Registry { plugins: Some(plugins), now }
    }

    /// A registry of `now` where there is no store of modules: for a service without a single plugin.
    pub fn without_plugins(now: watch::Receiver<Names>) -> Self {
        Registry { plugins: None, now }
    }

    /// The store of modules. [`Kind::Unavailable`] where there is none.
    pub fn plugins(&self) -> Result<&wasm::Plugins> {
        self.plugins.as_ref().ok_or_else(|| Error::unavailable("no store of plugins was opened at the start"))
    }

    /// What a processor of a delivery stream is now. [`Kind::NotFound`] names a plugin that is not in the configuration,
    /// [`Kind::Unavailable`] says why one cannot be used.
    pub fn step(&self, processor: &Processor) -> Result<Step> {
        let (name, values, retries, batch_bytes) = match processor {
            Processor::RequireJson => return Ok(Step::RequireJson),
            Processor::Builtin(builtin) => return Ok(Step::Builtin(builtin.clone())),
            Processor::Plugin { name, config, retries, batch_bytes } => (name, config, retries, batch_bytes),
        };
        let now = self.now.borrow();
        match now.get(name) {
            Some(Known::Wasm(step)) => {
                let mut step = step.clone();
                step.config.extend(values.iter().map(|(name, value)| (name.clone(), value.clone())));
                Ok(Step::Wasm(step))
            }
            Some(Known::Function(settings)) => Ok(Step::Function(function::Settings {
                retries: retries.unwrap_or(settings.retries),
                batch_bytes: batch_bytes.unwrap_or(settings.batch_bytes),
                ..settings.clone()
            })),
            Some(Known::Unusable(why)) => {
                Err(Error::unavailable(format!("plugin {name:?} cannot be installed: {why}")))
            }
            None => Err(Error::new(Kind::NotFound, format!("plugin {name:?} is not in the configuration"))),
        }
    }

    /// What the names stand for now.
    pub fn names(&self) -> Names {
        self.now.borrow().clone()
    }

    /// Waits until the names stand for something else.
    pub async fn changed(&mut self) {
        if self.now.changed().await.is_err() {
            // Nobody is there who could change them.
            future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Builtin, SubRecords};

    fn plugin(name: &str, config: &[(&str, &str)]) -> Processor {
        let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Processor::Plugin { name: name.to_owned(), config, retries: None, batch_bytes: Some(7) }
    }

    #[test]
    fn a_stream_may_say_more_than_the_plugin_and_overrule_it() {
        let limits = wasm::Limits {
            memory: Some(1),
            fuel: Some(2),
            fuel_per_byte: 3,
            output_ratio: 4,
            batch_records: 5,
            batch_bytes: 6,
            sparing: true,
        };
        let config = [("a", "1"), ("b", "2")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mask = wasm::Step { plugin: "mask".to_owned(), arn: None, sha256: "00".to_owned(), config, limits };
        let function = function::Settings {
            name: "f".to_owned(),
            url: "http://f".to_owned(),
            arn: "arn:f".to_owned(),
            timeout: std::time::Duration::from_secs(1),
            retries: 3,
            batch_bytes: 9,
        };
        let names = [
            ("mask".to_owned(), Known::Wasm(mask)),
            ("f".to_owned(), Known::Function(function)),
            ("broken".to_owned(), Known::Unusable("it is no component".to_owned())),
        ];
        let (_, now) = watch::channel(Arc::new(names.into()));
        let registry = Registry::without_plugins(now);
        let Step::Wasm(step) = registry.step(&plugin("mask", &[("b", "3"), ("c", "4")])).unwrap() else { panic!() };
        let values: Vec<_> = step.config.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(values, [("a", "1"), ("b", "3"), ("c", "4")]);
        let Step::Function(settings) = registry.step(&plugin("f", &[])).unwrap() else { panic!() };
        assert_eq!((settings.retries, settings.batch_bytes), (3, 7));
        let broken = registry.step(&plugin("broken", &[])).unwrap_err();
        assert!(broken.to_string().contains("no component"), "{broken}");
        assert_eq!(registry.step(&plugin("gone", &[])).unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn plans_name_steps_as_they_always_did() {
        assert_eq!(serde_json::to_string(&Step::RequireJson).unwrap(), "\"require-json\"");
        assert_eq!(serde_json::from_str::<Step>("\"require-json\"").unwrap(), Step::RequireJson);
        let time = config::EventTime { prints: vec!["HH".into()], ..config::EventTime::new(".t") };
        let cases = [
            (Builtin::Decompress, r#""decompress""#),
            (Builtin::CloudwatchLogs, r#""cloudwatch-logs""#),
            (Builtin::Deaggregate(SubRecords::Json), r#"{"deaggregate":"json"}"#),
            (Builtin::Deaggregate(SubRecords::Delimited("Iw==".into())), r#"{"deaggregate":{"delimited":"Iw=="}}"#),
            (Builtin::Keys { query: Some("{a}".into()), event_time: None }, r#"{"keys":{"query":"{a}"}}"#),
            (
                Builtin::Keys { query: None, event_time: Some(time) },
                r#"{"keys":{"event_time":{"from":".t","format":"rfc3339","time_zone":"UTC","unreadable":"error","prints":["HH"],"prints_in":"UTC"}}}"#,
            ),
        ];
        for (builtin, expected) in cases {
            let (step, expected) = (Step::Builtin(builtin), format!("{{\"builtin\":{expected}}}"));
            assert_eq!(serde_json::to_string(&step).unwrap(), expected);
            assert_eq!(serde_json::from_str::<Step>(&expected).unwrap(), step);
        }
    }
}
