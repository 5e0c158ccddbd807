//! The file as it is written: every key there is, with its description. The JSON schema is made from these types, and
//! the shape of a file (`shape`) is checked against that schema, so that what is said here is all that is known.
//!
//! Keys that come with a later version are named as `x-later`: they are refused by name.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::at::{Amount, At, Lapse, TextOr};
use super::{Checksum, Compression, Delimiter, Level};

mod endpoint;
mod format;
mod plugin;
mod source;
mod store;
mod webhook;

pub(super) use endpoint::Endpoint;
pub(super) use format::{Conflicts, Format, Glue, Hive, Json, Openx, Orc, Parquet, Schema as TableSchema};
pub(super) use plugin::{Beyond, EventTime, Limits as PluginLimits, ModuleFrom, Plugin, Process, ProcessKind, Values};
pub(super) use source::{Kinesis as KinesisSource, Source, SourceFrom, Start};
pub(super) use store::{Identity, Store, StoreKind};
pub(super) use webhook::Webhook;

/// The configuration of a Standpipe service.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "standpipe.toml", extend("x-later" = ["kafka"]))]
pub(super) struct File {
    /// Directory of the journal, the ledger and the streams made through the API; relative to this file.
    #[schemars(required)]
    pub(super) data_dir: Option<At<String>>,
    /// Twelve digits, in ARNs. Default: 000000000000.
    pub(super) account_id: Option<At<String>>,
    /// Region in ARNs and in the scope of signatures. Default: us-east-1.
    pub(super) region: Option<At<String>>,
    /// 32 bytes in base64, for streams whose encryption is on.
    pub(super) encryption_key: Option<At<Secret>>,
    /// The journal's share of the disk.
    #[serde(default)]
    pub(super) journal: Journal,
    /// The listeners.
    #[serde(default)]
    pub(super) server: Server,
    /// Who may call. None at all: any signature is taken, and only loopback may be bound.
    #[serde(default)]
    pub(super) access_key: Vec<At<AccessKey>>,
    /// Where the buckets of streams made through the API live. Default: S3 with the AWS credential chain.
    pub(super) buckets: Option<At<Buckets>>,
    /// What holds for all data streams.
    #[serde(default)]
    pub(super) kinesis: Kinesis,
    /// Code of yours that processes records, by name: letters, digits, "-" and "_", at most 64.
    #[serde(default)]
    pub(super) plugin: BTreeMap<At<String>, At<Plugin>>,
    /// Data streams by name: letters, digits, "_", "." and "-", at most 128.
    #[serde(default)]
    pub(super) data_stream: BTreeMap<At<String>, DataStream>,
    /// Delivery streams by name: letters, digits, "_", "." and "-", at most 64.
    #[serde(default)]
    pub(super) delivery_stream: BTreeMap<At<String>, DeliveryStream>,
}

/// The journal's share of the disk.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    /// A size, or a share of the file system ("80%"): beyond it puts are refused while delivery goes on. Default: 80%.
    pub(super) max_bytes: Option<At<Amount>>,
}

/// The listeners.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    /// Address and port of the AWS APIs and plain ingest. Default: 127.0.0.1:4573.
    pub(super) listen: Option<At<String>>,
    /// Address and port of metrics, health and status, without authentication. Default: 127.0.0.1:4574.
    pub(super) admin_listen: Option<At<String>>,
    /// TLS for `listen`.
    pub(super) tls: Option<Tls>,
    /// Bearer tokens for plain ingest.
    #[serde(default)]
    pub(super) ingest_tokens: Vec<At<Secret>>,
    /// How long deliveries may go on after SIGTERM. Default: 30s.
    pub(super) grace: Option<At<Lapse>>,
}

/// TLS of a listener: PEM files, relative to this file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// The certificate chain.
    #[schemars(required)]
    pub(super) cert: Option<At<String>>,
    /// The private key.
    #[schemars(required)]
    pub(super) key: Option<At<String>>,
    /// Authorities whose clients are let in; anybody is without.
    pub(super) client_ca: Option<At<String>>,
}

/// A secret: literal, or from an environment variable or a file.
pub(super) type Secret = TextOr<SecretFrom>;

/// Where a secret comes from: one of the two.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretFrom {
    /// Name of an environment variable.
    pub(super) env: Option<At<String>>,
    /// Path of a file, relative to this file; white space at its end is cut.
    pub(super) file: Option<At<String>>,
}

/// One access key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessKey {
    /// The access key's id.
    #[schemars(required)]
    pub(super) id: Option<At<String>>,
    /// The secret access key.
    #[schemars(required)]
    pub(super) secret: Option<At<Secret>>,
    /// Session token that must come with it, if it is a temporary key.
    pub(super) session_token: Option<At<Secret>>,
    /// Path of an IAM policy document, relative to this file; without one everything is allowed.
    pub(super) policy: Option<At<String>>,
}

/// Where the buckets of streams made through the API live.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Buckets {
    /// In S3 (or what speaks its protocol), or as folders of a local directory.
    #[serde(rename = "type")]
    #[schemars(required)]
    pub(super) kind: Option<At<StoreKind>>,
    /// Directory whose folders are the buckets, relative to this file; for type = "local".
    pub(super) path: Option<At<String>>,
    /// Region of the buckets; the AWS chain's without.
    pub(super) region: Option<At<String>>,
    /// URL of a store that is not AWS's.
    pub(super) endpoint: Option<At<String>>,
    /// Whether buckets are named in the path instead of the host name. Default: false, but true where
    /// the endpoint's host is an IP address or localhost.
    pub(super) path_style: Option<At<bool>>,
    /// Static credentials; the AWS chain without.
    pub(super) credentials: Option<At<Credentials>>,
    /// Profile of the AWS chain.
    pub(super) profile: Option<At<String>>,
}

/// Static credentials of S3.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    /// Access key id.
    #[schemars(required)]
    pub(super) access_key_id: Option<At<Secret>>,
    /// Secret access key.
    #[schemars(required)]
    pub(super) secret_access_key: Option<At<Secret>>,
    /// Session token of a temporary key.
    pub(super) session_token: Option<At<Secret>>,
}

/// What holds for all data streams.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Kinesis {
    /// Open shards of all data streams together: 1 to 10000. Default: 500.
    pub(super) shard_limit: Option<At<u64>>,
    /// How long CREATING, UPDATING and DELETING last. Default: 0s.
    pub(super) state_delay: Option<At<Lapse>>,
}

/// One data stream.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DataStream {
    /// How many shards there are; with mode = "on-demand", at first. Default: 1, and 4 with mode = "on-demand".
    pub(super) shards: Option<At<u64>>,
    /// Whether the number of shards is as said, or follows the load. Default: provisioned.
    pub(super) mode: Option<At<StreamMode>>,
    /// How long records can be read: 1s to 365d. Default: 24h.
    pub(super) retention: Option<At<Lapse>>,
    /// Whether AWS's throughput limits of each shard are kept. Default: none.
    pub(super) limits: Option<At<StreamLimits>>,
    /// Bytes of the largest record with its key: 1 MiB to 10 MiB. Default: 1 MiB.
    pub(super) max_record_size: Option<At<Amount>>,
    /// The stream's own share of the journal's disk. Default: no bound but the journal's.
    pub(super) max_bytes: Option<At<Amount>>,
    /// Whether the stream's records are encrypted in the journal, with `encryption_key`. Default: false.
    pub(super) encrypted: Option<At<bool>>,
}

/// Who says how many shards there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StreamMode {
    Provisioned,
    OnDemand,
}

/// Throughput limits of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StreamLimits {
    Aws,
    None,
}

/// One delivery stream.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliveryStream {
    /// Where records come from. Default: direct, from producers' puts.
    pub(super) source: Option<At<Source>>,
    /// When an object is cut.
    #[serde(default)]
    pub(super) buffer: Buffer,
    /// What is done to records, in order.
    #[serde(default)]
    pub(super) process: Vec<At<Process>>,
    /// Where records say when what they tell of happened: for !{eventTime:…} in the prefix.
    pub(super) event_time: Option<At<EventTime>>,
    /// Where objects go.
    #[schemars(required)]
    pub(super) destination: Option<At<Destination>>,
    /// A copy of all records, as they came. Default: none.
    pub(super) backup: Option<At<Backup>>,
    /// Who is told of each object, and each error output, once it is durable. Default: nobody.
    pub(super) webhook: Option<At<Webhook>>,
    /// The stream's own share of the journal's disk. Default: no bound but the journal's.
    pub(super) max_bytes: Option<At<Amount>>,
    /// Age at which an undelivered record is given up and counted as expired. Default: never.
    pub(super) retention: Option<At<Lapse>>,
    /// Whether deleting the stream delivers what is buffered first. Default: false.
    pub(super) drain: Option<At<bool>>,
    /// Whether the stream's records are encrypted in the journal, with `encryption_key`. Default: false.
    pub(super) encrypted: Option<At<bool>>,
}

/// A copy of all that comes in, before anything is done to it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Backup {
    /// When an object is cut.
    #[serde(default)]
    pub(super) buffer: Buffer,
    /// Where objects go.
    #[schemars(required)]
    pub(super) destination: Option<At<Destination>>,
}

/// When an object is cut: whichever is first.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Buffer {
    /// Bytes of records before compression: 1 KiB to 128 MiB. Default: 5 MiB.
    pub(super) size: Option<At<Amount>>,
    /// Time after the first record's arrival: 0s to 900s. Default: 300s.
    pub(super) interval: Option<At<Lapse>>,
}

/// Where and how objects are written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Destination {
    /// Kind of store: S3 (or what speaks its protocol), Google Cloud Storage, Azure Blob Storage, or a local directory; or an
    /// HTTP endpoint that takes the requests of Firehose.
    #[serde(rename = "type")]
    #[schemars(required)]
    pub(super) kind: Option<At<StoreKind>>,
    /// Directory, relative to this file; for type = "local".
    pub(super) path: Option<At<String>>,
    /// Bucket; for type = "s3" and "gcs".
    pub(super) bucket: Option<At<String>>,
    /// The bucket's region; the AWS chain's without. For type = "s3".
    pub(super) region: Option<At<String>>,
    /// URL of a store that is not AWS's, Google's or Azure's own.
    pub(super) endpoint: Option<At<String>>,
    /// Whether the bucket is named in the path instead of the host name; for type = "s3".
    pub(super) path_style: Option<At<bool>>,
    /// Static credentials; the AWS chain without. For type = "s3".
    pub(super) credentials: Option<At<Credentials>>,
    /// Profile of the AWS chain; for type = "s3".
    pub(super) profile: Option<At<String>>,
    /// Server-side encryption: "s3", "kms" (with the bucket's key), or { kms = "key id or ARN" }; for type = "s3".
    pub(super) sse: Option<At<TextOr<SseKms>>>,
    /// Storage class as the store spells it.
    pub(super) storage_class: Option<At<String>>,
    /// Canned ACL as S3 spells it.
    pub(super) acl: Option<At<String>>,
    /// Tags of the objects, at most 10; for type = "s3" and "azure".
    #[serde(default)]
    pub(super) tags: BTreeMap<At<String>, At<String>>,
    /// Checksum that is sent with each object; for type = "s3". Default: crc64nvme.
    pub(super) checksum: Option<At<Checksum>>,
    /// The JSON key of a service account; Google's application default credentials without. For type = "gcs".
    pub(super) service_account: Option<At<Secret>>,
    /// Whether no credentials are sent, for emulators; for type = "gcs".
    pub(super) anonymous: Option<At<bool>>,
    /// Storage account; for type = "azure".
    pub(super) account: Option<At<String>>,
    /// Container; for type = "azure".
    pub(super) container: Option<At<String>>,
    /// The storage account's key; for type = "azure".
    pub(super) account_key: Option<At<Secret>>,
    /// A shared access signature; for type = "azure".
    pub(super) sas_token: Option<At<Secret>>,
    /// A service principal, or with client_id alone, or empty, the machine's managed identity; for type = "azure".
    pub(super) identity: Option<At<Identity>>,
    /// Where records are sent instead of a store; for type = "http".
    pub(super) url: Option<At<String>>,
    /// How they are sent there; for type = "http".
    pub(super) request: Option<At<Endpoint>>,
    /// Store of what could not be sent or processed; for type = "http".
    pub(super) failures: Option<At<Store>>,
    /// Prefix of objects, with expressions such as !{timestamp:yyyy/MM/dd/HH}. Without an expression yyyy/MM/dd/HH/ is
    /// appended.
    pub(super) prefix: Option<At<String>>,
    /// Prefix of error output objects; needed when `prefix` has expressions.
    pub(super) error_prefix: Option<At<String>>,
    /// Time zone of timestamps in prefixes and names. Default: UTC.
    pub(super) time_zone: Option<At<String>>,
    /// Compression of objects. Default: none.
    pub(super) compression: Option<At<Compression>>,
    /// How hard to compress. Default: balanced.
    pub(super) compression_level: Option<At<Level>>,
    /// Replaces the extension of the compression; begins with a dot.
    pub(super) file_extension: Option<At<String>>,
    /// What stands between records. Default: never.
    pub(super) delimiter: Option<At<Delimiter>>,
    /// Into what records are converted. Then there is no compression beside the format's own, and no delimiter.
    pub(super) format: Option<At<Format>>,
    /// How partitions are delivered, where `prefix` has partition keys.
    pub(super) partition: Option<At<Partition>>,
}

/// How partitions are delivered.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Partition {
    /// How many may gather records at a time: 1 to 10000. Beyond it those nearest to a trigger are delivered. Default: 500.
    pub(super) max_open: Option<At<u64>>,
}

/// Encryption with a key of KMS.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SseKms {
    /// Id or ARN of the key.
    #[schemars(required)]
    pub(super) kms: Option<At<String>>,
}
