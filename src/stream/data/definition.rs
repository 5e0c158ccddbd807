//! What a data stream is, and the rules by which that may change. Pure: no I/O; the time is told.
//!
//! The messages of errors are AWS's own where they are known.

use std::time::Duration;

use super::Settings;
use super::shard::Shard;
use crate::error::{Error, Result};
use crate::record::StreamId;

/// Who a stream belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file: the API describes it, reads and writes it, registers consumers, and refuses to change it.
    File,
    /// The API.
    Api,
}

/// A stream's state, as the API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the API's")]
pub enum Status {
    Creating,
    Active,
    Updating,
    Deleting,
}

/// Who says how many shards there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The caller.
    Provisioned,
    /// The load.
    OnDemand,
}

/// Who chooses the shard of a record of an on-demand stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// The record's partition key.
    #[default]
    PartitionKey,
    /// We do; a partition key is optional.
    Auto,
}

/// Whether AWS's throughput limits of each shard are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limits {
    /// As fast as it goes.
    #[default]
    None,
    /// As AWS has them.
    Aws,
}

/// A registered consumer (enhanced fan-out).
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// The identity of this life of the name.
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
}

/// Stands behind an error that AWS answers with ValidationException, where it would else be an
/// InvalidArgumentException.
#[derive(Clone, Copy, Debug)]
pub struct Validation;

impl Validation {
    /// Whether it stands behind `error`.
    pub fn is_behind(error: &Error) -> bool {
        let source = std::error::Error::source(error);
        source.is_some_and(|source| source.is::<Validation>())
    }
}

impl std::fmt::Display for Validation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the request does not suit the stream")
    }
}

impl std::error::Error for Validation {}

impl Definition {
    /// Its state.
    pub fn status(&self, now_ms: u64) -> Status {
        match self.passing {
            Some((status, until_ms)) if now_ms < until_ms => status,
            _ => Status::Active,
        }
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
}

/// What the API changes, each as AWS allows it, with AWS's words where they are known. The answer to the API is
///
/// | [`Kind`](crate::error::Kind) | exception |
/// |---|---|
/// | `Invalid` | InvalidArgumentException; ValidationException where [`Validation`] is behind it |
/// | `NotFound` | ResourceNotFoundException |
/// | `Conflict` | ResourceInUseException |
/// | `Throttled` | LimitExceededException |
/// | anything else | InternalFailureException |
///
/// A method after which AWS's stream is UPDATING wants it ACTIVE, and not of the file.
impl Definition {
    /// Whether puts are taken: not while it is being made or deleted, nor once it vanished from the file.
    pub fn takes_puts(&self, now_ms: u64) -> bool {
        self.vanished_ms.is_none() && matches!(self.status(now_ms), Status::Active | Status::Updating)
    }

    /// The open shard that takes this hash key.
    pub fn route(&self, hash: u128) -> Option<&Shard> {
        let _ = hash;
        todo!()
    }

    /// IncreaseStreamRetentionPeriod.
    pub fn increase_retention(&mut self, hours: i64, settings: &Settings, now_ms: u64) -> Result<()> {
        let _ = (hours, settings, now_ms);
        todo!()
    }

    /// DecreaseStreamRetentionPeriod.
    pub fn decrease_retention(&mut self, hours: i64, settings: &Settings, now_ms: u64) -> Result<()> {
        let _ = (hours, settings, now_ms);
        todo!()
    }

    /// AddTagsToStream, TagResource.
    pub fn add_tags(&mut self, tags: Vec<(String, String)>, settings: &Settings) -> Result<()> {
        let _ = (tags, settings);
        todo!()
    }

    /// RemoveTagsFromStream, UntagResource.
    pub fn remove_tags(&mut self, keys: &[String]) {
        let _ = keys;
        todo!()
    }

    /// StartStreamEncryption with EncryptionType KMS.
    pub fn start_encryption(&mut self, key: &str, settings: &Settings, now_ms: u64) -> Result<()> {
        let _ = (key, settings, now_ms);
        todo!()
    }

    /// StopStreamEncryption.
    pub fn stop_encryption(&mut self, key: &str, settings: &Settings, now_ms: u64) -> Result<()> {
        let _ = (key, settings, now_ms);
        todo!()
    }

    /// EnableEnhancedMonitoring: the metrics before and after.
    pub fn enable_metrics(&mut self, metrics: &[String], settings: &Settings) -> Result<(Vec<String>, Vec<String>)> {
        let _ = (metrics, settings);
        todo!()
    }

    /// DisableEnhancedMonitoring: the metrics before and after.
    pub fn disable_metrics(&mut self, metrics: &[String], settings: &Settings) -> Result<(Vec<String>, Vec<String>)> {
        let _ = (metrics, settings);
        todo!()
    }

    /// UpdateStreamMode.
    pub fn set_mode(&mut self, mode: Mode, warm_mibps: Option<u32>, settings: &Settings, now_ms: u64) -> Result<()> {
        let _ = (mode, warm_mibps, settings, now_ms);
        todo!()
    }

    /// UpdateMaxRecordSize.
    pub fn set_record_kib_max(&mut self, kib: i64, settings: &Settings, now_ms: u64) -> Result<()> {
        let _ = (kib, settings, now_ms);
        todo!()
    }

    /// UpdateStreamWarmThroughput.
    pub fn set_warm_throughput(&mut self, mibps: u32, settings: &Settings, now_ms: u64) -> Result<()> {
        let _ = (mibps, settings, now_ms);
        todo!()
    }

    /// UpdateStreamRecordDistributionStrategy.
    pub fn set_distribution(&mut self, distribution: Distribution, settings: &Settings, now_ms: u64) -> Result<()> {
        let _ = (distribution, settings, now_ms);
        todo!()
    }

    /// RegisterStreamConsumer. Names are checked by the caller, as the API's model has them.
    pub fn register_consumer(
        &mut self,
        name: &str,
        tags: Vec<(String, String)>,
        settings: &Settings,
        now_ms: u64,
    ) -> Result<Consumer> {
        let _ = (name, tags, settings, now_ms);
        todo!()
    }

    /// DeregisterStreamConsumer: by name, or `name:seconds`, the end of its ARN.
    pub fn deregister_consumer(&mut self, which: &str, settings: &Settings) -> Result<Consumer> {
        let _ = (which, settings);
        todo!()
    }

    /// The consumer with this name, or `name:seconds`, the end of its ARN.
    pub fn consumer(&self, which: &str, settings: &Settings) -> Result<&Consumer> {
        let _ = (which, settings);
        todo!()
    }

    /// TagResource of a consumer.
    pub fn add_consumer_tags(&mut self, which: &str, tags: Vec<(String, String)>, settings: &Settings) -> Result<()> {
        let _ = (which, tags, settings);
        todo!()
    }

    /// UntagResource of a consumer.
    pub fn remove_consumer_tags(&mut self, which: &str, keys: &[String], settings: &Settings) -> Result<()> {
        let _ = (which, keys, settings);
        todo!()
    }

    /// PutResourcePolicy, and DeleteResourcePolicy with none.
    pub fn set_policy(&mut self, policy: Option<String>) -> Result<()> {
        let _ = policy;
        todo!()
    }

    /// The same for a consumer.
    pub fn set_consumer_policy(&mut self, which: &str, policy: Option<String>, settings: &Settings) -> Result<()> {
        let _ = (which, policy, settings);
        todo!()
    }
}

impl Consumer {
    /// Its state: CREATING for as long as streams are.
    pub fn status(&self, settings: &Settings, now_ms: u64) -> Status {
        let _ = (settings, now_ms);
        todo!()
    }

    /// `arn:aws:kinesis:…:stream/<stream>/consumer/<name>:<seconds>`.
    pub fn arn(&self, stream: &str, settings: &Settings) -> String {
        let _ = (stream, settings);
        todo!()
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
