//! What the service is told: the checked types, the only form in which the rest of the program sees a configuration.
//!
//! A file is read by `raw` (as written, unknown keys refused), turned by `check` into these types (all faults at
//! once, each with its line), and the same parsers refuse the same things when they come through the API.

mod at;
pub mod builtin;
mod check;
mod cloud;
mod conversion;
mod date_pattern;
mod defaults;
pub mod endpoint;
mod excerpt;
mod fault;
mod load;
pub mod names;
pub mod prefix;
pub mod query;
mod raw;
mod schema;
pub mod secret;
mod shape;
mod table;
pub mod time_pattern;
pub mod units;
pub mod webhook;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use builtin::{Beyond, Builtin, EventTime, Fallback, SubRecords};
pub use cloud::{AzureCredentials, AzureStore, GcsCredentials, GcsStore};
pub use conversion::{
    Columnar, Conflicts, Conversion, Format, GlueTable, Inference, Json, Orc, OrcCompression, Parquet,
    ParquetCompression, ParquetVersion, Schema, SchemaFrom, Statistics,
};
pub use endpoint::HttpEndpoint;
pub use fault::{Fault, Faults};
pub use prefix::{
    Partitioning, Prefix, PrefixFacts, PrefixKind, check_partitioned, check_prefixes, object_name, time_zone,
};
pub use schema::schema;
pub use secret::Secret;
pub use table::{Column, ColumnType, TableSchema};
pub use webhook::Webhook;

/// Everything that a configuration file says, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the journal, the ledger and the catalog live.
    pub data_dir: PathBuf,
    /// Twelve digits, in ARNs.
    pub account_id: String,
    /// In ARNs and in the scope of signatures.
    pub region: String,
    /// 32 bytes for streams whose encryption is on.
    pub encryption_key: Option<Secret<[u8; 32]>>,
    /// The journal's disk budget.
    pub journal: JournalConfig,
    /// Listeners and their limits.
    pub server: ServerConfig,
    /// Who may call; none at all means any signature is taken, and only loopback may be bound.
    pub access_keys: Vec<AccessKey>,
    /// Where the buckets named by streams made through the API live.
    pub buckets: Buckets,
    /// What holds for all data streams.
    pub kinesis: KinesisConfig,
    /// The data streams of the file, in its order.
    pub data_streams: Vec<DataStream>,
    /// The streams of the file, in its order.
    pub delivery_streams: Vec<DeliveryStream>,
    /// Plugins and functions that process records, by name.
    pub plugins: Vec<Plugin>,
    /// What is allowed but unwise, to be said at start.
    pub warnings: Vec<String>,
}

/// The journal's disk budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// Beyond it puts are refused while delivery goes on.
    pub max: DiskBudget,
}

/// A disk budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskBudget {
    /// So many bytes.
    Bytes(u64),
    /// So many percent of the file system, 1 to 99.
    Percent(u8),
}

/// The listeners.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// AWS APIs and plain ingest.
    pub listen: SocketAddr,
    /// Metrics, health, status; no authentication, so keep it private.
    pub admin_listen: SocketAddr,
    /// TLS for `listen`.
    pub tls: Option<Tls>,
    /// Bearer tokens for plain ingest.
    pub ingest_tokens: Vec<Secret<String>>,
    /// How long SIGTERM lets deliveries go on.
    pub grace: Duration,
}

/// TLS of a listener.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM file with the certificate chain.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// PEM file with the authorities whose clients are let in; anybody without.
    pub client_ca: Option<PathBuf>,
}

/// One access key.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// `AKID…`.
    pub id: String,
    /// The secret access key.
    pub secret: Secret<String>,
    /// Session token that must come with it, if it is a temporary key.
    pub session_token: Option<Secret<String>>,
    /// IAM policy document (JSON text, parsed by `api/policy`); without one everything is allowed.
    pub policy: Option<String>,
}

/// Where the buckets of streams made through the API live.
#[derive(Clone, Debug)]
pub enum Buckets {
    /// In S3 or a store that speaks its protocol; `bucket` is filled in per stream.
    S3(S3Connection),
    /// As folders of a local directory: bucket `logs` is `<root>/logs`.
    Local(PathBuf),
}

/// What holds for all data streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KinesisConfig {
    /// Open shards in all.
    pub shards_max: u32,
    /// How long CREATING, UPDATING and DELETING last.
    pub state_delay: Duration,
}

/// One data stream of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataStream {
    /// 1 to 128 characters of `[a-zA-Z0-9_.-]`.
    pub name: String,
    /// How many shards there are; for on-demand, at first.
    pub shards: u32,
    /// Whether the number of shards follows the load.
    pub on_demand: bool,
    /// How long records can be read; at least a second.
    pub retention: Duration,
    /// Bytes of one record with its key: 1 to 10 MiB.
    pub record_bytes_max: usize,
    /// Whether AWS's throughput limits of each shard are kept.
    pub aws_limits: bool,
    /// The stream's own share of the disk.
    pub bytes_max: Option<u64>,
    /// Whether its journal frames are encrypted.
    pub encrypted: bool,
}

/// Where a delivery stream's records come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Source {
    /// Producers put them.
    #[default]
    Direct,
    /// A data stream of this service.
    DataStream {
        /// Its name.
        name: String,
        /// Where to begin.
        start: StartAt,
    },
    /// A stream of Amazon Kinesis, or of what speaks its protocol.
    Kinesis(Box<KinesisSource>),
}

impl Source {
    /// Where reading begins, if there is something to read.
    pub fn start(&self) -> Option<StartAt> {
        match self {
            Source::Direct => None,
            Source::DataStream { start, .. } => Some(*start),
            Source::Kinesis(from) => Some(from.start),
        }
    }
}

/// Where reading of a stream begins, when it is read for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// With what comes from now on (from the making of the delivery stream on).
    Latest,
    /// With the oldest record that there is.
    Horizon,
    /// With what arrived then or later (milliseconds since 1970).
    Time(u64),
}

/// A stream of Amazon Kinesis that is copied into the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct KinesisSource {
    /// Its name or its ARN.
    pub stream: String,
    /// Region; the AWS chain's without.
    pub region: Option<String>,
    /// Another endpoint than AWS's.
    pub endpoint: Option<String>,
    /// Static credentials; the AWS chain without.
    pub credentials: Option<AwsCredentials>,
    /// Profile of the AWS chain.
    pub profile: Option<String>,
    /// Where to begin.
    pub start: StartAt,
    /// Name of the consumer to register and read by (enhanced fan-out); polling without.
    pub consumer: Option<String>,
    /// Pause between two polls of a shard that has nothing new.
    pub poll: Duration,
}

/// One delivery stream: from where, how, and to where.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryStream {
    /// Letters, digits, `_`, `.`, `-`; 1 to 64 of them.
    pub name: String,
    /// When an object is cut.
    pub buffer: Buffering,
    /// Where its records come from.
    pub source: Source,
    /// What is done to records, in order.
    pub process: Vec<Processor>,
    /// Where objects go.
    pub destination: Destination,
    /// Where its records go besides, as they came.
    pub backup: Option<Box<Backup>>,
    /// Who is told of each of its objects; of its backup's nobody is.
    pub webhook: Option<Box<Webhook>>,
    /// The stream's own share of the disk.
    pub bytes_max: Option<u64>,
    /// After this age an undelivered record is given up (counted as expired); none: never.
    pub retention: Option<Duration>,
    /// Whether deleting the stream delivers what is buffered first.
    pub drain: bool,
    /// Whether its journal frames are encrypted.
    pub encrypted: bool,
}

/// A copy of all that comes in, as it came, with objects of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    /// When an object is cut.
    pub buffer: Buffering,
    /// Where objects go.
    pub destination: Destination,
}

impl DeliveryStream {
    /// All places where its objects go.
    pub fn destinations(&self) -> impl Iterator<Item = &Destination> {
        std::iter::once(&self.destination).chain(self.backup.as_ref().map(|backup| &backup.destination))
    }

    /// What the backup does, if there is one: the same stream, without anything done to its records.
    pub fn of_backup(&self) -> Option<DeliveryStream> {
        let Backup { buffer, destination } = self.backup.as_deref()?.clone();
        Some(DeliveryStream { buffer, destination, process: Vec::new(), backup: None, webhook: None, ..self.clone() })
    }
}

/// When an object is cut: at `size_bytes` of records before compression or `interval` after its first record arrived,
/// whichever is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffering {
    /// 1 to 128 MiB; the file may say less, for tests and demonstrations.
    pub size_bytes: u64,
    /// 0 to 900 s.
    pub interval: Duration,
}

/// One step of processing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Processor {
    /// Records that are not one JSON value each go to the error output.
    RequireJson,
    /// A plugin or a function, by its name.
    Plugin {
        /// Its name: one of [`Config::plugins`].
        name: String,
        /// Configuration values beside and over those of the plugin.
        config: BTreeMap<String, String>,
        /// Of a function: how often a call is repeated, 0 to 300; the plugin's without.
        retries: Option<u32>,
        /// Of a function: bytes of records in one call; the plugin's without.
        batch_bytes: Option<u32>,
    },
    /// A built-in one.
    Builtin(Builtin),
}

/// What a name of a plugin stands for: code of the user's that processes records.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// Letters, digits, `-`, `_`; 1 to 64 of them: what may be the name of a Lambda function.
    pub name: String,
    /// What it is.
    pub kind: PluginKind,
    /// Configuration values, by name.
    pub config: BTreeMap<String, String>,
}

/// What a plugin is.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are few, and nobody moves them about")]
pub enum PluginKind {
    /// A WebAssembly component.
    Wasm {
        /// Where the module is.
        module: ModulePlace,
        /// SHA-256 that its bytes must have, in hexadecimal.
        sha256: Option<String>,
        /// Within what it must stay.
        limits: PluginLimits,
    },
    /// A function behind Lambda's invoke API.
    Function {
        /// The invoke URL.
        url: String,
        /// How long one answer may take: at most 5 min.
        timeout: Duration,
        /// How often a call is repeated, 0 to 300.
        retries: u32,
        /// Bytes of records in one call, before base64.
        batch_bytes: u32,
    },
}

/// Where the module of a plugin is.
#[derive(Clone, Debug, PartialEq)]
pub enum ModulePlace {
    /// A file; relative paths are relative to the configuration file.
    File(PathBuf),
    /// An object in a bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
        /// How to reach it.
        connection: S3Connection,
    },
}

/// Within what a WebAssembly plugin must stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginLimits {
    /// Bytes of linear memory of one instance: 1 MiB to 1 GiB; without, what it starts with and the bytes of a batch say.
    pub memory: Option<u64>,
    /// Fuel (about one unit for each WebAssembly instruction) for a batch beside what its bytes bring; without, as much as
    /// suits what it is made of.
    pub fuel: Option<u64>,
    /// Fuel that each byte of a batch brings.
    pub fuel_per_byte: u64,
    /// Bytes of output for each byte of a batch.
    pub output_ratio: u32,
    /// Records in one batch, at most.
    pub batch_records: u32,
    /// Bytes of records in one batch, at most.
    pub batch_bytes: u32,
}

/// Where and how objects are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    /// The store; of an HTTP endpoint, that of what could not be sent.
    pub store: Store,
    /// Where records are sent instead.
    pub http: Option<Box<HttpEndpoint>>,
    /// Prefix of delivered objects.
    pub prefix: Prefix,
    /// Prefix of error output objects.
    pub error_prefix: Prefix,
    /// Of the timestamps in prefix and name.
    pub time_zone: chrono_tz::Tz,
    /// Of the objects.
    pub compression: Compression,
    /// How hard to compress.
    pub level: Level,
    /// Replaces the compression's own extension; begins with a dot.
    pub file_extension: Option<String>,
    /// Between records.
    pub delimiter: Delimiter,
    /// Whether records are converted, and into what; then there is neither compression nor a delimiter.
    pub conversion: Option<Box<Conversion>>,
    /// Of a stream whose prefix has partition keys.
    pub partition: PartitionSettings,
}

/// How partitions are delivered. Which key a row has is said by the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionSettings {
    /// How many may be gathering rows at a time: 1 to 10,000. Beyond it those nearest to a trigger are delivered as they are.
    pub max_open: usize,
}

/// A store of objects.
#[derive(Clone, Debug, PartialEq)]
pub enum Store {
    /// S3 or what speaks its protocol.
    S3(Box<S3Store>),
    /// Google Cloud Storage.
    Gcs(Box<GcsStore>),
    /// Azure Blob Storage.
    Azure(Box<AzureStore>),
    /// A directory.
    Local {
        /// Its path.
        path: PathBuf,
    },
}

/// How to reach S3.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct S3Connection {
    /// Region; the AWS chain's without.
    pub region: Option<String>,
    /// Another endpoint than AWS's.
    pub endpoint: Option<String>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`.
    pub path_style: bool,
    /// Static credentials; the AWS chain (environment, profiles, web identity, container, IMDS) without.
    pub credentials: Option<AwsCredentials>,
    /// Profile of the AWS chain.
    pub profile: Option<String>,
}

/// Static credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct AwsCredentials {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: Secret<String>,
    /// Session token of a temporary key.
    pub session_token: Option<Secret<String>>,
}

/// A bucket and how objects in it are stored.
#[derive(Clone, Debug, PartialEq)]
pub struct S3Store {
    /// The bucket's name.
    pub bucket: String,
    /// How to reach it.
    pub connection: S3Connection,
    /// Server-side encryption.
    pub sse: Option<Sse>,
    /// `STANDARD`, `STANDARD_IA`, …, as S3 spells it.
    pub storage_class: Option<String>,
    /// A canned ACL as S3 spells it.
    pub acl: Option<String>,
    /// Object tags.
    pub tags: Vec<(String, String)>,
    /// The checksum that is sent with each object.
    pub checksum: Checksum,
}

/// Server-side encryption of objects.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sse {
    /// SSE-S3.
    S3,
    /// SSE-KMS with the bucket's default or a given key.
    Kms {
        /// Key id or ARN.
        key: Option<String>,
    },
}

/// Checksum algorithms of S3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are S3's")]
pub enum Checksum {
    #[default]
    Crc64Nvme,
    Crc32,
    Crc32c,
    Sha256,
    /// For stores that refuse checksum headers.
    None,
}

/// What objects are compressed with; containers, extensions and headers are Firehose's (see `format/compress`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Zstd,
    Snappy,
    HadoopSnappy,
    Zip,
}

/// How hard to compress; the figures are in the README.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Smaller than zlib 1 makes it, at the least CPU.
    Fast,
    /// About what zlib 6 makes of it.
    #[default]
    Balanced,
    /// As small as it gets.
    Best,
}

/// What stands between records in an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Delimiter {
    /// Nothing, as Firehose does.
    #[default]
    Never,
    /// A line feed after every record.
    Always,
    /// A line feed after a record that does not end with one.
    IfMissing,
    /// A line feed between records and none after the last, as Firehose's AppendDelimiterToRecord does.
    Between,
}
