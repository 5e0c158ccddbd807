//! The steps of a delivery stream: which keys belong to which kind, and that what they name is there and fits.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::super::at::At;
use super::super::query::Query;
use super::super::raw::ProcessKind;
use super::super::shape::{either, nearest};
use super::super::{
    Beyond, Builtin, Config, EventTime, Fallback, Plugin, PluginKind, Processor, SubRecords, builtin, names, raw,
    time_zone,
};
use super::Checker;
use super::destination::{Written, written};
use super::plugin::{Module, first_of};
use crate::limits::{EVENT_TIME_DISTANCE_MAX, PROCESS_STEPS_MAX};

/// The steps of a delivery stream.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) processors: Vec<Processor>,
    /// Where line feeds between records are asked for.
    pub(super) delimiter: Option<Range<usize>>,
}

/// The place of a built-in processor among the others; of anything else none.
fn rank(kind: ProcessKind) -> Option<u8> {
    match kind {
        ProcessKind::RequireJson | ProcessKind::Plugin | ProcessKind::Wasm => None,
        ProcessKind::Decompress => Some(0),
        ProcessKind::CloudwatchLogs => Some(1),
        ProcessKind::Deaggregate => Some(2),
        ProcessKind::Extract => Some(3),
        ProcessKind::AppendDelimiter => Some(4),
    }
}

fn rank_of(kind: ProcessKind) -> u8 {
    rank(kind).unwrap_or_default()
}

/// As it is written.
fn word(kind: ProcessKind) -> &'static str {
    match kind {
        ProcessKind::RequireJson => "require-json",
        ProcessKind::Plugin => "plugin",
        ProcessKind::Wasm => "wasm",
        ProcessKind::Decompress => "decompress",
        ProcessKind::CloudwatchLogs => "cloudwatch-logs",
        ProcessKind::Deaggregate => "deaggregate",
        ProcessKind::Extract => "extract",
        ProcessKind::AppendDelimiter => "append-delimiter",
    }
}

impl Checker<'_> {
    /// The steps of the stream `stream`, and where the one stands that asks for line feeds between records; `config` has the plugins.
    pub(super) fn process(&mut self, stream: &str, steps: Vec<At<raw::Process>>, config: &Config) -> Steps {
        if let Some(step) = steps.get(PROCESS_STEPS_MAX) {
            self.findings.add(step.span.clone(), format!("there are more than {PROCESS_STEPS_MAX} steps"));
        }
        self.order(&steps);
        let mut checked = Steps::default();
        for (number, step) in (1..).zip(steps) {
            if step.value.kind.as_ref().is_some_and(|kind| kind.value == ProcessKind::AppendDelimiter) {
                checked.delimiter = Some(step.span.clone());
            }
            checked.processors.extend(self.step(&format!("{stream}/{number}"), step, config));
        }
        checked
    }

    /// Built-in processors work on what those before them made: the order is Firehose's, with plugins between them as one likes,
    /// but for keys, which are taken from what is delivered.
    fn order(&mut self, steps: &[At<raw::Process>]) {
        let mut before: Option<ProcessKind> = None;
        for kind in steps.iter().filter_map(|step| step.value.kind.as_ref()) {
            let Some(rank) = rank(kind.value) else {
                if let Some(last) = before.filter(|last| rank_of(*last) >= rank_of(ProcessKind::Extract)) {
                    let message = format!("type = \"{}\" must stand behind this step", word(last));
                    self.findings.add(kind.span.clone(), message);
                }
                continue;
            };
            match before {
                Some(last) if last == kind.value => {
                    let message = format!("type = \"{}\" is there twice", word(last));
                    self.findings.add(kind.span.clone(), message);
                }
                Some(last) if rank_of(last) > rank => {
                    let message =
                        format!("type = \"{}\" must stand before type = \"{}\"", word(kind.value), word(last));
                    self.findings.add(kind.span.clone(), message);
                }
                _ => before = Some(kind.value),
            }
        }
    }

    /// One step; `unnamed` is what its plugin is called if it has no name.
    fn step(&mut self, unnamed: &str, step: At<raw::Process>, config: &Config) -> Option<Processor> {
        let At { value: step, span } = step;
        let kind = step.kind.as_ref()?.value;
        self.foreign_of(kind, &step);
        match kind {
            ProcessKind::RequireJson => Some(Processor::RequireJson),
            ProcessKind::Plugin => {
                if step.plugin.is_none() {
                    self.findings.missing(&span, span.clone(), "plugin", ": type = \"plugin\" needs it");
                }
                self.by_name(step, config)
            }
            ProcessKind::Wasm => {
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
            ProcessKind::Decompress => Some(Processor::Builtin(Builtin::Decompress)),
            ProcessKind::CloudwatchLogs => Some(Processor::Builtin(Builtin::CloudwatchLogs)),
            ProcessKind::Deaggregate => {
                let records = step.delimiter.map_or(Some(SubRecords::Json), |delimiter| {
                    self.accept("delimiter", &delimiter.span, SubRecords::delimited(delimiter.value.as_bytes()))
                });
                Some(Processor::Builtin(Builtin::Deaggregate(records?)))
            }
            ProcessKind::Extract => {
                if step.query.is_none() {
                    self.findings.missing(&span, span.clone(), "query", ": type = \"extract\" needs it");
                }
                let query = step.query?;
                self.accept("query", &query.span, Query::parse(&query.value))?;
                Some(Processor::Builtin(Builtin::Keys { query: Some(query.value), event_time: None }))
            }
            ProcessKind::AppendDelimiter => None,
        }
    }

    /// Keys that do not belong to a step of this kind.
    fn foreign_of(&mut self, kind: ProcessKind, step: &raw::Process) {
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
        let values: Written = ("config", first_of(&step.config));
        let delimiter = written("delimiter", step.delimiter.as_ref());
        let query = written("query", step.query.as_ref());
        let mut foreign: Vec<Written> = Vec::new();
        if kind != ProcessKind::Plugin {
            foreign.extend(of_plugin);
        }
        if kind != ProcessKind::Wasm {
            foreign.extend(of_module);
        }
        if !matches!(kind, ProcessKind::Plugin | ProcessKind::Wasm) {
            foreign.push(values);
        }
        if kind != ProcessKind::Deaggregate {
            foreign.push(delimiter);
        }
        if kind != ProcessKind::Extract {
            foreign.push(query);
        }
        self.not_of(&format!("type = \"{}\"", word(kind)), &foreign);
    }

    /// Where records have their time.
    pub(super) fn event_time(&mut self, raw: At<raw::EventTime>) -> Option<EventTime> {
        let raw = raw.value;
        let unreadable = raw.unreadable.as_ref().map(|unreadable| unreadable.value);
        if let Some(unreadable) = raw.unreadable.filter(|unreadable| unreadable.value == Fallback::Keep) {
            let message = "unreadable = \"keep\" has no meaning: there is no time that could be kept";
            self.findings.add(unreadable.span, message);
        }
        let late = raw.late.and_then(|late| self.beyond("late", late));
        let early = raw.early.and_then(|early| self.beyond("early", early));
        let zone = raw.time_zone;
        let zone = zone.and_then(|zone| self.accept("time_zone", &zone.span, time_zone(&zone.value)));
        let from = raw.from?;
        self.accept("from", &from.span, builtin::path(&from.value))?;
        let plain = EventTime::new(from.value);
        let mut time = EventTime {
            time_zone: zone.map_or(plain.time_zone.clone(), |zone| zone.name().to_owned()),
            unreadable: unreadable.unwrap_or(plain.unreadable),
            late,
            early,
            ..plain
        };
        if let Some(format) = raw.format {
            time.format.clone_from(&format.value);
            self.accept("event_time", &format.span, time.reader())?;
        }
        Some(time)
    }

    fn beyond(&mut self, key: &str, raw: At<raw::Beyond>) -> Option<Beyond> {
        let At { value: raw, .. } = raw;
        let after = self.lapse(&format!("{key}.after"), raw.after, Duration::ZERO, EVENT_TIME_DISTANCE_MAX)?;
        Some(Beyond::new(after, raw.then.map_or_else(Fallback::default, |then| then.value)))
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
