//! What a data stream is, and the rules by which that may change. Pure: no I/O; the time is told.
//!
//! The messages of errors are AWS's own where they are known.

pub(super) mod change;
pub(super) mod consumers;
mod reshard;
mod tags;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::shard::Shard;
use crate::error::Error;
use crate::limits::{DATA_RECORD_BYTES_DEFAULT, DATA_RETENTION_MIN};
use crate::record::StreamId;

/// Who a stream belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The configuration file: the API describes it, reads and writes it, registers consumers, and refuses to change it.
    File,
    /// The API.
    Api,
}

/// A stream's state, as the API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the API's")]
pub enum Status {
    Creating,
    Active,
    Updating,
    Deleting,
}

impl Status {
    /// As the API spells it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Creating => "CREATING",
            Status::Active => "ACTIVE",
            Status::Updating => "UPDATING",
            Status::Deleting => "DELETING",
        }
    }
}

/// Who says how many shards there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The caller.
    Provisioned,
    /// The load.
    OnDemand,
}

/// Who chooses the shard of a record of an on-demand stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// The record's partition key.
    #[default]
    PartitionKey,
    /// We do; a partition key is optional.
    Auto,
}

/// Whether AWS's throughput limits of each shard are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limits {
    /// As fast as it goes.
    #[default]
    None,
    /// As AWS has them.
    Aws,
}

/// A registered consumer (enhanced fan-out).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// When it was registered, milliseconds since 1970; the seconds are in its ARN.
    pub created_ms: u64,
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// Its resource policy.
    pub policy: Option<String>,
}

/// A data stream as it should be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The identity of this life of the name.
    #[serde(with = "super::store::id")]
    pub id: StreamId,
    /// Its name.
    pub name: String,
    /// Who it belongs to.
    pub origin: Origin,
    /// Since when and how long it is in another state than ACTIVE: the state and when it ends, milliseconds since 1970.
    pub passing: Option<(Status, u64)>,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// Who says how many shards there are.
    pub mode: Mode,
    /// How long records can be read.
    pub retention: Duration,
    /// Its shards by number, closed ones within retention included.
    pub shards: Vec<Shard>,
    /// The number of the next shard.
    pub next_shard: u32,
    /// Bytes of a record with its key.
    pub record_bytes_max: usize,
    /// Who chooses the shard.
    pub distribution: Distribution,
    /// MiB a second that it was told to be ready for.
    pub warm_mibps: Option<u32>,
    /// The key under which records are encrypted at rest, as it was named; in the clear without.
    pub encryption_key: Option<String>,
    /// Throughput limits.
    pub limits: Limits,
    /// Its share of the journal's disk.
    pub bytes_max: Option<u64>,
    /// Its tags, by key.
    pub tags: Vec<(String, String)>,
    /// Registered consumers, by name.
    pub consumers: Vec<Consumer>,
    /// Shard level metrics that are switched on, as AWS spells them.
    pub metrics: Vec<String>,
    /// Its resource policy.
    pub policy: Option<String>,
    /// When shards were rescaled in the last 24 hours, milliseconds since 1970.
    pub rescaled_ms: Vec<u64>,
    /// When the mode was changed in the last 24 hours.
    pub mode_changed_ms: Vec<u64>,
    /// Since when it is missing in the configuration file that it belongs to, milliseconds since 1970: it can be read, takes no
    /// puts, and is gone with its last record.
    pub vanished_ms: Option<u64>,
    /// Where each open shard begins, and its place in `shards`: derived from these.
    #[serde(skip)]
    routes: Vec<(u128, usize)>,
}

/// Stands behind an error that AWS answers with ValidationException, where it would else be an
/// InvalidArgumentException.
#[derive(Clone, Copy, Debug)]
pub struct Validation;

impl Validation {
    /// Whether it stands behind `error`.
    pub fn is_behind(error: &Error) -> bool {
        let source = std::error::Error::source(error);
        source.is_some_and(<dyn std::error::Error>::is::<Validation>)
    }
}

impl std::fmt::Display for Validation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the request does not suit the stream")
    }
}

impl std::error::Error for Validation {}

impl Definition {
    /// A stream without shards, as AWS makes it when nothing else is asked for.
    pub(in crate::stream) fn new(id: StreamId, name: &str, origin: Origin, now_ms: u64) -> Self {
        Definition {
            id,
            name: name.to_owned(),
            origin,
            passing: None,
            created_ms: now_ms,
            mode: Mode::Provisioned,
            retention: DATA_RETENTION_MIN,
            shards: Vec::new(),
            next_shard: 0,
            record_bytes_max: DATA_RECORD_BYTES_DEFAULT,
            distribution: Distribution::default(),
            warm_mibps: None,
            encryption_key: None,
            limits: Limits::default(),
            bytes_max: None,
            tags: Vec::new(),
            consumers: Vec::new(),
            metrics: Vec::new(),
            policy: None,
            rescaled_ms: Vec::new(),
            mode_changed_ms: Vec::new(),
            vanished_ms: None,
            routes: Vec::new(),
        }
    }

    /// Its state. What is being deleted stays so until it is gone.
    pub fn status(&self, now_ms: u64) -> Status {
        match self.passing {
            Some((status, until_ms)) if now_ms < until_ms || status == Status::Deleting => status,
            _ => Status::Active,
        }
    }

    /// Whether puts are taken: not while it is being made or deleted, nor once it vanished from the file.
    pub fn takes_puts(&self, now_ms: u64) -> bool {
        self.vanished_ms.is_none() && matches!(self.status(now_ms), Status::Active | Status::Updating)
    }

    /// Records that arrived before this time (milliseconds since 1970) are over; never before the stream was made.
    pub fn horizon_ms(&self, now_ms: u64) -> u64 {
        let retention_ms = u64::try_from(self.retention.as_millis()).unwrap_or(u64::MAX);
        now_ms.saturating_sub(retention_ms).max(self.created_ms)
    }

    /// The shards that this one became.
    pub fn children(&self, of: u32) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(move |shard| shard.parents().any(|parent| parent == of))
    }

    /// The shards that take records.
    pub fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(|shard| shard.closed.is_none())
    }

    /// The shard of this number.
    pub fn shard(&self, index: u32) -> Option<&Shard> {
        let at = self.shards.binary_search_by_key(&index, |shard| shard.index).ok()?;
        self.shards.get(at)
    }

    /// The open shard that takes this hash key; every hash key has one.
    pub fn route(&self, hash: u128) -> Option<&Shard> {
        let above = self.routes.partition_point(|(start, _)| *start <= hash);
        let (_, at) = self.routes.get(above.checked_sub(1)?)?;
        self.shards.get(*at)
    }

    /// To be called whenever shards were added, closed or dropped.
    pub(super) fn find_routes(&mut self) {
        let open = self.shards.iter().enumerate().filter(|(_, shard)| shard.closed.is_none());
        self.routes = open.map(|(at, shard)| (shard.range.start, at)).collect();
        self.routes.sort_unstable();
    }
}

/// A stream that is to be made by the API.
#[derive(Clone, Debug)]
pub struct NewDataStream {
    /// Its name.
    pub name: String,
    /// Who says how many shards there are.
    pub mode: Mode,
    /// How many there are to be at first; none for on-demand.
    pub shards: Option<u32>,
    /// See [`Definition::record_bytes_max`].
    pub record_bytes_max: usize,
    /// See [`Definition::distribution`].
    pub distribution: Distribution,
    /// See [`Definition::warm_mibps`].
    pub warm_mibps: Option<u32>,
    /// Its first tags.
    pub tags: Vec<(String, String)>,
}

/// A stream of the configuration file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileStream {
    /// Its name.
    pub name: String,
    /// Who says how many shards there are.
    pub mode: Mode,
    /// How many; for on-demand, at first.
    pub shards: u32,
    /// At least a second: the file may say less than the API.
    pub retention: Duration,
    /// See [`Definition::record_bytes_max`].
    pub record_bytes_max: usize,
    /// Throughput limits.
    pub limits: Limits,
    /// Its share of the journal's disk.
    pub bytes_max: Option<u64>,
    /// Whether its records are encrypted at rest.
    pub encrypted: bool,
}
