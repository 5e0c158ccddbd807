//! The steps of a delivery stream: which keys belong to which kind, and that what they name is there and fits.

use std::collections::BTreeMap;

use super::super::at::At;
use super::super::shape::{either, nearest};
use super::super::{Config, Plugin, PluginKind, Processor, names, raw};
use super::Checker;
use super::destination::{Written, written};
use super::plugin::{Module, first_of};
use crate::limits::PROCESS_STEPS_MAX;

impl Checker<'_> {
    /// The steps of the stream `stream`; `config` has the plugins.
    pub(super) fn process(&mut self, stream: &str, steps: Vec<At<raw::Process>>, config: &Config) -> Vec<Processor> {
        if let Some(step) = steps.get(PROCESS_STEPS_MAX) {
            self.findings.add(step.span.clone(), format!("there are more than {PROCESS_STEPS_MAX} steps"));
        }
        let numbered = (1..).zip(steps);
        numbered.filter_map(|(number, step)| self.step(&format!("{stream}/{number}"), step, config)).collect()
    }

    /// One step; `unnamed` is what its plugin is called if it has no name.
    fn step(&mut self, unnamed: &str, step: At<raw::Process>, config: &Config) -> Option<Processor> {
        let At { value: step, span } = step;
        let of_plugin = [
            written("plugin", step.plugin.as_ref()),
            written("retries", step.retries.as_ref()),
            written("batch_bytes", step.batch_bytes.as_ref()),
        ];
        let of_module = [
            written("module", step.module.as_ref()),
            written("sha256", step.sha256.as_ref()),
            written("limits", step.limits.as_ref()),
        ];
        match step.kind.as_ref()?.value {
            raw::ProcessKind::RequireJson => {
                let foreign: Vec<Written> = of_plugin.into_iter().chain(of_module).collect();
                self.not_of("type = \"require-json\"", &foreign);
                self.not_of("type = \"require-json\"", &[("config", first_of(&step.config))]);
                Some(Processor::RequireJson)
            }
            raw::ProcessKind::Plugin => {
                self.not_of("type = \"plugin\"", &of_module);
                if step.plugin.is_none() {
                    self.findings.missing(&span, span.clone(), "plugin", ": type = \"plugin\" needs it");
                }
                self.by_name(step, config)
            }
            raw::ProcessKind::Wasm => {
                self.not_of("type = \"wasm\"", &of_plugin);
                if step.module.is_none() {
                    self.findings.missing(&span, span.clone(), "module", ": type = \"wasm\" needs it");
                }
                let config = plain(self.values(step.config));
                let module =
                    Module { place: step.module?, sha256: step.sha256, limits: step.limits.map(|limits| limits.value) };
                let kind = self.module(module)?;
                self.unnamed.push(Plugin { name: unnamed.to_owned(), kind, config });
                Some(Processor::plugin(unnamed))
            }
        }
    }

    fn by_name(&mut self, step: raw::Process, config: &Config) -> Option<Processor> {
        let named = step.plugin?;
        let retries_span = step.retries.as_ref().map(|retries| retries.span.clone());
        let bytes_span = step.batch_bytes.as_ref().map(|bytes| bytes.span.clone());
        let config_span = first_of(&step.config);
        let retries = self.retries(step.retries);
        let batch_bytes = self.call_bytes(step.batch_bytes);
        let values = plain(self.values(step.config));
        let Some(plugin) = config.plugins.iter().find(|plugin| plugin.name == named.value) else {
            if !self.faulty_plugins.contains(&named.value) {
                self.unknown_plugin(&named, config);
            }
            return None;
        };
        let name = &named.value;
        if plugin.is_function() {
            self.not_of(&format!("plugin {name:?}, which is a function"), &[("config", config_span)]);
        } else {
            let foreign = [("retries", retries_span), ("batch_bytes", bytes_span)];
            self.not_of(&format!("plugin {name:?}, which is a module: functions have it"), &foreign);
            if let Some(span) = config_span {
                let merged: BTreeMap<_, _> = plugin.config.iter().chain(&values).collect();
                let merged = merged.into_iter().map(|(name, value)| (name.as_str(), value.as_str()));
                self.accept("config, with that of the plugin", &span, names::plugin_values(merged));
            }
        }
        Some(Processor::Plugin { name: named.value, config: values, retries, batch_bytes })
    }

    fn unknown_plugin(&mut self, named: &At<String>, config: &Config) {
        let known = || config.plugins.iter().map(|plugin| plugin.name.as_str());
        let hint = match nearest(&named.value, known()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if config.plugins.is_empty() => format!("it has no table [plugin.{}]", named.value),
            None => format!("known are {}", either(known()).replace(" or ", " and ")),
        };
        self.findings.add(named.span.clone(), format!("there is no plugin {:?} in this file: {hint}", named.value));
    }
}

impl Plugin {
    /// Whether it is a function behind HTTP.
    pub fn is_function(&self) -> bool {
        matches!(self.kind, PluginKind::Function { .. })
    }
}

impl Processor {
    /// A plugin or a function as its table says, without anything of the step's own.
    pub fn plugin(name: impl Into<String>) -> Self {
        Processor::Plugin { name: name.into(), config: BTreeMap::new(), retries: None, batch_bytes: None }
    }
}

fn plain(values: raw::Values) -> BTreeMap<String, String> {
    values.into_iter().map(|(name, value)| (name.value, value.value)).collect()
}
