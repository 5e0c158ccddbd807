//! Plugins and functions, and the steps of delivery streams that use them, as they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::Fallback;
use super::super::at::{Amount, At, Lapse, TextOr};
use super::Credentials;

/// Configuration values of a plugin, by name.
pub(in crate::config) type Values = BTreeMap<At<String>, At<String>>;

/// Code of yours that processes records: a WebAssembly component, or a function behind HTTP.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Plugin {
    /// Path of a WebAssembly component, relative to this file, or an object: { bucket = …, key = … }. At most 64 MiB.
    pub(in crate::config) module: Option<At<TextOr<ModuleFrom>>>,
    /// SHA-256 that the module's bytes must have, in hexadecimal. Default: any.
    pub(in crate::config) sha256: Option<At<String>>,
    /// Values that the module is given when it starts, by name: texts, and no secrets, for plans keep them. At most 64 of
    /// 4 KiB each and 64 KiB together.
    #[serde(default)]
    pub(in crate::config) config: Values,
    /// Within what the module must stay.
    pub(in crate::config) limits: Option<At<Limits>>,
    /// URL of a function that speaks Lambda's invoke API, in place of a module.
    pub(in crate::config) url: Option<At<String>>,
    /// How long one answer of the function may take: 1s to 300s. Default: 300s.
    pub(in crate::config) timeout: Option<At<Lapse>>,
    /// How often a call of the function that failed is repeated: 0 to 300. Default: 3.
    pub(in crate::config) retries: Option<At<u64>>,
    /// Bytes of records in one call of the function, before base64: 0.2 MB to 3 MiB. Default: 1 MiB.
    pub(in crate::config) batch_bytes: Option<At<Amount>>,
}

/// A module in a bucket.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ModuleFrom {
    /// The bucket.
    #[schemars(required)]
    pub(in crate::config) bucket: Option<At<String>>,
    /// The object's key.
    #[schemars(required)]
    pub(in crate::config) key: Option<At<String>>,
    /// The bucket's region; the AWS chain's without.
    pub(in crate::config) region: Option<At<String>>,
    /// URL of a store that is not AWS's.
    pub(in crate::config) endpoint: Option<At<String>>,
    /// Whether the bucket is named in the path instead of the host name. Default: false, but true where
    /// the endpoint's host is an IP address or localhost.
    pub(in crate::config) path_style: Option<At<bool>>,
    /// Static credentials; the AWS chain without.
    pub(in crate::config) credentials: Option<At<Credentials>>,
    /// Profile of the AWS chain.
    pub(in crate::config) profile: Option<At<String>>,
}

/// Within what a module must stay: what is beyond fails the guilty records, never the service.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PluginLimits")]
pub(in crate::config) struct Limits {
    /// Memory of one instance: 1 MiB to 1 GiB. Default: 64 MiB.
    pub(in crate::config) memory: Option<At<Amount>>,
    /// Fuel, about one unit for each WebAssembly instruction, for the start of an instance and for a batch beside what
    /// its bytes bring: 1000000 to 1000000000000. Default: 100000000.
    pub(in crate::config) fuel: Option<At<u64>>,
    /// Fuel that each byte of a batch brings: 1 to 1000000. Default: 10000.
    pub(in crate::config) fuel_per_byte: Option<At<u64>>,
    /// Bytes of output for each byte of a batch: 1 to 1000. Default: 32.
    pub(in crate::config) output_ratio: Option<At<u64>>,
    /// Records in one batch: 1 to 10000. Default: 500.
    pub(in crate::config) batch_records: Option<At<u64>>,
    /// Bytes of records in one batch: 1 KiB to 16 MiB, and at most half of `memory`. Default: 1 MiB, or that half.
    pub(in crate::config) batch_bytes: Option<At<Amount>>,
}

/// One step of processing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Process {
    /// What is done.
    #[serde(rename = "type")]
    #[schemars(required)]
    pub(in crate::config) kind: Option<At<ProcessKind>>,
    /// Name of a plugin of this file; for type = "plugin".
    pub(in crate::config) plugin: Option<At<String>>,
    /// Of a plugin that is a function: how often a call that failed is repeated, in place of what the plugin says.
    pub(in crate::config) retries: Option<At<u64>>,
    /// Of a plugin that is a function: bytes of records in one call, in place of what the plugin says.
    pub(in crate::config) batch_bytes: Option<At<Amount>>,
    /// Path of a WebAssembly component, or an object, as in a plugin; for type = "wasm".
    pub(in crate::config) module: Option<At<TextOr<ModuleFrom>>>,
    /// SHA-256 that the module's bytes must have; for type = "wasm".
    pub(in crate::config) sha256: Option<At<String>>,
    /// Within what the module must stay; for type = "wasm".
    pub(in crate::config) limits: Option<At<Limits>>,
    /// Values that the module is given when it starts, beside and over those of the plugin.
    #[serde(default)]
    pub(in crate::config) config: Values,
    /// What stands between records in one record; for type = "deaggregate". Default: they are JSON objects, one after the
    /// other.
    pub(in crate::config) delimiter: Option<At<String>>,
    /// Object of jq that gives the partition keys of a record, such as {tenant: .tenant}; for type = "extract".
    pub(in crate::config) query: Option<At<String>>,
}

/// Kinds of processing. "plugin" runs a plugin of this file, and "wasm" a module that needs no name; "require-json" sends records
/// that are not one JSON value to the error output; "decompress" unpacks records that are GZIP; "cloudwatch-logs" makes
/// the messages of what CloudWatch Logs sends, each with a line feed; "deaggregate" takes records apart that hold
/// several; "extract" takes partition keys out of records; "append-delimiter" puts a line feed between records, and none
/// after the last of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum ProcessKind {
    RequireJson,
    Plugin,
    Wasm,
    Decompress,
    CloudwatchLogs,
    Deaggregate,
    Extract,
    AppendDelimiter,
}

/// Where records say when what they tell of happened: for !{eventTime:…} in the prefix.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct EventTime {
    /// Plain path of the time in the record, such as ".time".
    #[schemars(required)]
    pub(in crate::config) from: Option<At<String>>,
    /// How it is written: "rfc3339", "epoch-seconds", "epoch-millis", or a pattern such as "yyyy-MM-dd HH:mm:ss". Default:
    /// rfc3339.
    pub(in crate::config) format: Option<At<String>>,
    /// Time zone of times that say none. Default: UTC.
    pub(in crate::config) time_zone: Option<At<String>>,
    /// What becomes of a record without a time that can be read: the error output takes it, or its arrival is its time.
    /// Default: error.
    pub(in crate::config) unreadable: Option<At<Fallback>>,
    /// What becomes of a record whose time lies far before its arrival. Default: its time is its time.
    pub(in crate::config) late: Option<At<Beyond>>,
    /// What becomes of a record whose time lies far behind its arrival. Default: its time is its time.
    pub(in crate::config) early: Option<At<Beyond>>,
}

/// What becomes of records whose time is far from their arrival.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Beyond {
    /// How far is far: 0s to 3650d.
    #[schemars(required)]
    pub(in crate::config) after: Option<At<Lapse>>,
    /// What then: its arrival is its time, the error output takes it, or its time is kept. Default: arrival.
    pub(in crate::config) then: Option<At<Fallback>>,
}
