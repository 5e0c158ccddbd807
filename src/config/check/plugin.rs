//! Plugins and functions: which keys belong to which, where modules are and what they are, and within what they must stay.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::super::at::{Amount, At, TextOr};
use super::super::load::read_up_to;
use super::super::{ModulePlace, Plugin, PluginKind, PluginLimits, names, raw};
use super::Checker;
use super::destination::{Connection, Written, written};
use crate::limits::{
    FUNCTION_BATCH_BYTES_DEFAULT, FUNCTION_BATCH_BYTES_MAX, FUNCTION_BATCH_BYTES_MIN, FUNCTION_RETRIES_DEFAULT,
    FUNCTION_RETRIES_MAX, FUNCTION_TIME_MAX, FUNCTION_TIME_MIN, KEY_BYTES_MAX, PLUGIN_BATCH_BYTES_MAX,
    PLUGIN_BATCH_BYTES_MIN, PLUGIN_BATCH_RECORDS_MAX, PLUGIN_BYTE_FUEL_MAX, PLUGIN_FUEL_MAX, PLUGIN_FUEL_MIN,
    PLUGIN_MEMORY_BYTES_MAX, PLUGIN_MEMORY_DEFAULT, PLUGIN_MEMORY_MIN, PLUGIN_MODULE_BYTES_MAX,
    PLUGIN_OUTPUT_RATIO_MAX, PLUGINS_MAX,
};

/// How every WebAssembly binary begins.
const MAGIC: &[u8] = b"\0asm";
/// What follows in a core module: version 1, layer 0.
const CORE: &[u8] = &[1, 0, 0, 0];
/// What follows in a component, after its version: layer 1.
const COMPONENT_LAYER: &[u8] = &[1, 0];

/// What is written of a WebAssembly module, in a plugin or in a step.
pub(super) struct Module {
    pub(super) place: At<TextOr<raw::ModuleFrom>>,
    pub(super) sha256: Option<At<String>>,
    pub(super) limits: Option<raw::PluginLimits>,
}

impl Checker<'_> {
    /// All of them, in the order of the file.
    pub(super) fn plugins(&mut self, plugins: BTreeMap<At<String>, At<raw::Plugin>>) -> Vec<Plugin> {
        let mut plugins: Vec<_> = plugins.into_iter().collect();
        plugins.sort_by_key(|(name, _)| name.span.start);
        if let Some((name, _)) = plugins.get(PLUGINS_MAX) {
            self.findings.add(name.span.clone(), format!("there are more than {PLUGINS_MAX} plugins"));
        }
        plugins.into_iter().filter_map(|(name, plugin)| self.plugin(&name, plugin)).collect()
    }

    fn plugin(&mut self, name: &At<String>, plugin: At<raw::Plugin>) -> Option<Plugin> {
        if let Err(error) = names::plugin_name(&name.value) {
            self.findings.add(name.span.clone(), error.message());
        }
        let At { value: mut plugin, span } = plugin;
        let config = self.values(std::mem::take(&mut plugin.config));
        let kind = match (plugin.module.take(), plugin.url.take()) {
            (Some(place), None) => {
                self.not_of("a module", &function_keys(&plugin));
                self.module(Module { place, sha256: plugin.sha256, limits: plugin.limits.map(|limits| limits.value) })
            }
            (None, Some(url)) => {
                self.not_of("a function", &module_keys(&plugin, &config));
                self.function(url, plugin)
            }
            (Some(_), Some(url)) => {
                let message = "module and url exclude one another: a plugin is a module or a function";
                self.findings.add(url.span, message);
                None
            }
            (None, None) => {
                if !self.findings.refused_in(&span) {
                    let message =
                        "the plugin says neither \"module\" (a WebAssembly component) nor \"url\" (a function)";
                    self.findings.add(name.span.clone(), message);
                }
                None
            }
        };
        let Some(kind) = kind else {
            self.faulty_plugins.push(name.value.clone());
            return None;
        };
        let config = config.into_iter().map(|(name, value)| (name.value, value.value)).collect();
        Some(Plugin { name: name.value.clone(), kind, config })
    }

    /// Keys that a plugin of another kind has.
    pub(super) fn not_of(&mut self, kind: &str, keys: &[Written]) {
        for (key, span) in keys {
            if let Some(span) = span {
                self.findings.add(span.clone(), format!("key \"{key}\" does not belong to {kind}"));
            }
        }
    }

    fn function(&mut self, url: At<String>, plugin: raw::Plugin) -> Option<PluginKind> {
        let timeout = self.lapse("timeout", plugin.timeout, FUNCTION_TIME_MIN, FUNCTION_TIME_MAX);
        let retries = self.retries(plugin.retries);
        let batch_bytes = self.call_bytes(plugin.batch_bytes);
        let url = self.checked("url", Some(url), names::function_url)?;
        Some(PluginKind::Function {
            url,
            timeout: timeout.unwrap_or(FUNCTION_TIME_MAX),
            retries: retries.unwrap_or(FUNCTION_RETRIES_DEFAULT),
            batch_bytes: batch_bytes.unwrap_or(FUNCTION_BATCH_BYTES_DEFAULT as u32),
        })
    }

    /// How often a call of a function is repeated.
    pub(super) fn retries(&mut self, written: Option<At<u64>>) -> Option<u32> {
        self.number("retries", written, 0..=u64::from(FUNCTION_RETRIES_MAX)).map(|retries| retries as u32)
    }

    /// Bytes of records in one call of a function.
    pub(super) fn call_bytes(&mut self, written: Option<At<Amount>>) -> Option<u32> {
        let range = FUNCTION_BATCH_BYTES_MIN..=FUNCTION_BATCH_BYTES_MAX;
        self.bytes("batch_bytes", written, range).map(|bytes| bytes as u32)
    }

    /// A module: it is there, it is a component, and it is the one that is pinned. One in a bucket is looked at when the
    /// service starts.
    pub(super) fn module(&mut self, module: Module) -> Option<PluginKind> {
        let limits = module.limits.map_or_else(PluginLimits::default, |limits| self.limits(limits));
        let pin = module.sha256.and_then(|pin| {
            let checked = self.accept("sha256", &pin.span, names::sha256(&pin.value))?;
            Some(At { value: checked, span: pin.span })
        });
        let place = match module.place.value {
            TextOr::Text(path) => {
                let path = At { value: path, span: module.place.span };
                ModulePlace::File(self.module_file(&path, pin.as_ref())?)
            }
            TextOr::Table(from) => self.module_object(from)?,
        };
        Some(PluginKind::Wasm { module: place, sha256: pin.map(|pin| pin.value), limits })
    }

    fn module_file(&mut self, path: &At<String>, pin: Option<&At<String>>) -> Option<PathBuf> {
        let file = self.path("module", path)?;
        let bytes = match read_up_to(&file, PLUGIN_MODULE_BYTES_MAX as u64).and_then(|bytes| component(&file, bytes)) {
            Ok(bytes) => bytes,
            Err(fault) => {
                self.findings.add(path.span.clone(), format!("module: {fault}"));
                return None;
            }
        };
        let found = hexadecimal(digest(&SHA256, &bytes).as_ref());
        if let Some(pin) = pin
            && pin.value != found
        {
            let message = format!("sha256: {} has {found}, not what is pinned", file.display());
            self.findings.add(pin.span.clone(), message);
        }
        Some(file)
    }

    fn module_object(&mut self, from: raw::ModuleFrom) -> Option<ModulePlace> {
        let connection = self.connection(Connection {
            region: from.region,
            endpoint: from.endpoint,
            path_style: from.path_style,
            credentials: from.credentials,
            profile: from.profile,
        });
        let bucket = self.checked("bucket", from.bucket, names::bucket_name);
        let key = from.key.and_then(|key| {
            if (1..=KEY_BYTES_MAX).contains(&key.value.len()) {
                return Some(key.value);
            }
            let message = format!("key must have 1 to {KEY_BYTES_MAX} bytes, not {}", key.value.len());
            self.findings.add(key.span, message);
            None
        });
        Some(ModulePlace::S3 { bucket: bucket?, key: key?, connection })
    }

    fn limits(&mut self, written: raw::PluginLimits) -> PluginLimits {
        let usual = PluginLimits::default();
        let memory = self.bytes("memory", written.memory, PLUGIN_MEMORY_MIN..=PLUGIN_MEMORY_BYTES_MAX);
        let fuel = self.number("fuel", written.fuel, PLUGIN_FUEL_MIN..=PLUGIN_FUEL_MAX);
        let fuel_per_byte = self.number("fuel_per_byte", written.fuel_per_byte, 1..=PLUGIN_BYTE_FUEL_MAX);
        let ratio = self.number("output_ratio", written.output_ratio, 1..=u64::from(PLUGIN_OUTPUT_RATIO_MAX));
        let records = self.number("batch_records", written.batch_records, 1..=u64::from(PLUGIN_BATCH_RECORDS_MAX));
        // A batch and what becomes of it must have room in an instance.
        let most = PLUGIN_BATCH_BYTES_MAX.min(memory.unwrap_or(PLUGIN_MEMORY_DEFAULT) / 2);
        let bytes = self.bytes("batch_bytes", written.batch_bytes, PLUGIN_BATCH_BYTES_MIN..=most);
        PluginLimits {
            memory,
            fuel,
            fuel_per_byte: fuel_per_byte.unwrap_or(usual.fuel_per_byte),
            output_ratio: ratio.map_or(usual.output_ratio, |ratio| ratio as u32),
            batch_records: records.map_or(usual.batch_records, |records| records as u32),
            batch_bytes: bytes.map_or(usual.batch_bytes.min(most as u32), |bytes| bytes as u32),
        }
    }

    /// Configuration values, in bounds.
    pub(super) fn values(&mut self, values: raw::Values) -> raw::Values {
        for (name, value) in &values {
            self.accept("config", &name.span, names::plugin_value(&name.value, &value.value));
        }
        if let Some((first, _)) = values.iter().min_by_key(|(name, _)| name.span.start) {
            let all = values.iter().map(|(name, value)| (name.value.as_str(), value.value.as_str()));
            self.accept("config", &first.span, names::plugin_values(all));
        }
        values
    }
}

/// Keys of functions alone.
fn function_keys(plugin: &raw::Plugin) -> [Written; 3] {
    [
        written("timeout", plugin.timeout.as_ref()),
        written("retries", plugin.retries.as_ref()),
        written("batch_bytes", plugin.batch_bytes.as_ref()),
    ]
}

/// Keys of modules alone.
fn module_keys(plugin: &raw::Plugin, config: &raw::Values) -> [Written; 3] {
    [
        written("sha256", plugin.sha256.as_ref()),
        ("limits", plugin.limits.as_ref().map(|limits| limits.span.clone())),
        ("config", first_of(config)),
    ]
}

/// Where the first of some values is written.
pub(super) fn first_of(values: &raw::Values) -> Option<Range<usize>> {
    values.keys().min_by_key(|name| name.span.start).map(|name| name.span.clone())
}

/// The bytes, if they can be those of a component; what is in it is looked at when it is compiled.
fn component(file: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let shown = file.display();
    let Some(version) = bytes.strip_prefix(MAGIC).and_then(|rest| rest.get(..4)) else {
        return Err(format!("{shown} is not a WebAssembly binary"));
    };
    if version == CORE {
        return Err(format!("{shown} is a core module, not a component: \"wasm-tools component new\" makes one of it"));
    }
    if &version[2..] != COMPONENT_LAYER {
        return Err(format!("{shown} is not a WebAssembly component that this version knows"));
    }
    Ok(bytes)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}
