//! How the service stands, as `/v1/status` says it and `standpipe status` reads it.

use serde::{Deserialize, Serialize};

/// The answer of `/v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The service as a whole.
    pub service: ServiceStatus,
    /// Its delivery streams by name, each with its backup in it.
    pub streams: Vec<StreamStatus>,
    /// Its data streams by name.
    #[serde(default)]
    pub data_streams: Vec<DataStreamStatus>,
}

/// What the backup of a delivery stream is called in logs, metrics and the status: no stream can be called so.
pub fn backup_name(stream: &str) -> String {
    format!("{stream}{BACKUP}")
}

/// Whose backup is called so, if one is.
pub fn backup_of(name: &str) -> Option<&str> {
    name.strip_suffix(BACKUP)
}

const BACKUP: &str = " (backup)";

/// Delivery streams and their backups, each behind its stream.
pub fn each(streams: &[StreamStatus]) -> impl Iterator<Item = &StreamStatus> {
    streams.iter().flat_map(|stream| std::iter::once(stream).chain(stream.backup.as_deref()))
}

/// The service as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// The program's version.
    pub version: String,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Records given up with streams that were deleted and backups that were taken away, since it started.
    #[serde(default)]
    pub discarded_records: u64,
    /// The journal.
    pub journal: JournalStatus,
}

/// The journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JournalStatus {
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes beyond which puts are refused.
    pub limit_bytes: u64,
    /// Whether puts are taken.
    pub healthy: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// One delivery stream. All record counts are since the stream was made, over restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamStatus {
    /// Its name.
    pub name: String,
    /// `ACTIVE` or `DELETING`.
    pub status: String,
    /// `file` or `api`.
    pub origin: String,
    /// Its configuration version.
    pub version: u64,
    /// Records acknowledged; of a data stream, from where its delivery began.
    pub accepted: u64,
    /// Records in committed objects; one that became several rows counts once, if any of them is there.
    pub delivered: u64,
    /// Rows in committed objects beyond those, of aggregates or made by plugins: the objects hold `delivered + unpacked`.
    #[serde(default)]
    pub unpacked: u64,
    /// Bytes of those rows, before they are joined and compressed.
    pub delivered_bytes: u64,
    /// Records in the error output.
    pub failed: u64,
    /// Records dropped by a transform.
    pub dropped: u64,
    /// Records that outlived the retention.
    pub expired: u64,
    /// Records given up with a deleted stream, be it this one or the data stream that it reads.
    pub discarded: u64,
    /// Records lost to damage on disk.
    pub damaged: u64,
    /// Records in the journal that are none of the above yet.
    pub backlog_records: u64,
    /// What they take on disk, with what is not trimmed yet, in bytes.
    pub backlog_bytes: u64,
    /// Objects written, error output included.
    pub objects: u64,
    /// Bytes of those, as stored.
    pub object_bytes: u64,
    /// Objects planned and not committed.
    pub under_way: u64,
    /// Age of the oldest record that is not past; absent when there is none.
    pub freshness_seconds: Option<f64>,
    /// The key of the last object of delivered records, since the start; error output is none.
    pub last_object: Option<String>,
    /// When it became durable, milliseconds since 1970.
    pub last_object_ms: Option<u64>,
    /// The last failure, until the next success.
    pub last_error: Option<String>,
    /// When it was, milliseconds since 1970.
    pub last_error_ms: Option<u64>,
    /// `delivering`, `failing` or `starting`.
    pub state: String,
    /// The functions that it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<FunctionStatus>,
    /// Where its records are copied from, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceStatus>,
    /// Its backup: the same records once more, which no total counts twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Box<StreamStatus>>,
    /// Who is told of its objects, if anybody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookStatus>,
}

/// How the calls of one function go. Counts are since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FunctionStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Calls that came to an end, retries included.
    pub calls: u64,
    /// Of those, how many repeated one that had failed.
    pub retries: u64,
    /// How many failed.
    pub failed_calls: u64,
    /// How long calls took, all together.
    pub seconds: f64,
    /// Why the last call failed, if it did.
    pub last_error: Option<String>,
    /// When it was, milliseconds since 1970.
    pub last_error_ms: Option<u64>,
}

impl FunctionStatus {
    /// Why its last call failed, and when, if it did.
    pub fn fault(&self) -> Option<(String, u64)> {
        let why = self.last_error.as_ref()?;
        Some((format!("a call of the function {:?} failed: {why}", self.name), self.last_error_ms?))
    }
}

/// How the telling of objects goes. Counts are since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WebhookStatus {
    /// Messages that wait for the receiver.
    pub waiting: u64,
    /// Messages that it took.
    pub sent: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Messages that were given up: refused, too old, or without room.
    pub dropped: u64,
    /// Why the last attempt failed; absent after one that did not.
    pub last_error: Option<String>,
    /// When, milliseconds since 1970.
    pub last_error_ms: Option<u64>,
}

/// How the copying from elsewhere goes. Counts are since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// The stream there, by name or ARN.
    pub stream: String,
    /// Shards that are being copied.
    pub shards: u64,
    /// Records copied.
    pub copied: u64,
    /// Age of the oldest record that is not copied yet; absent before the first answer.
    pub behind_seconds: Option<f64>,
    /// How often records were gone before they could be copied: each time, records were lost.
    pub gaps: u64,
}

impl StreamStatus {
    /// The identity that must hold at any time: what was accepted is all accounted for. Returns the difference,
    /// which is not zero only through a fault of ours.
    pub fn unaccounted(&self) -> i64 {
        let past = self.delivered + self.failed + self.dropped + self.expired + self.discarded + self.damaged;
        self.accepted.cast_signed() - (past + self.backlog_records).cast_signed()
    }
}

/// One data stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataStreamStatus {
    /// Its name.
    pub name: String,
    /// `CREATING`, `ACTIVE`, `UPDATING` or `DELETING`.
    pub status: String,
    /// `file` or `api`.
    pub origin: String,
    /// `PROVISIONED` or `ON_DEMAND`.
    pub mode: String,
    /// Shards that take records.
    pub open_shards: u64,
    /// Records that can be read.
    pub records: u64,
    /// Bytes on disk, with what is not trimmed yet.
    pub bytes: u64,
    /// How long records can be read, in seconds.
    pub retention_seconds: u64,
    /// Age of the oldest record that can be read; absent when there is none.
    pub oldest_seconds: Option<f64>,
    /// Records that outlived their retention, since the service started.
    pub expired: u64,
    /// Registered consumers by name.
    pub consumers: Vec<ConsumerStatus>,
    /// The delivery streams that read it.
    pub readers: Vec<ReaderStatus>,
    /// Its shards by number, closed ones that can still be read included.
    pub shards: Vec<ShardStatus>,
}

/// One registered consumer (enhanced fan-out).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConsumerStatus {
    /// Its name.
    pub name: String,
    /// How many shards it is subscribed to now.
    pub subscriptions: u64,
}

/// How far one delivery stream has read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReaderStatus {
    /// The delivery stream.
    pub name: String,
    /// Records that it has not delivered.
    pub behind: u64,
    /// Age of the oldest of them; absent when there is none, or nothing was read yet.
    pub oldest_seconds: Option<f64>,
}

/// One shard of a data stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardStatus {
    /// `shardId-000000000000`.
    pub name: String,
    /// Whether it takes records.
    pub open: bool,
    /// Records that can be read.
    pub records: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Age of the oldest record; absent when there is none.
    pub oldest_seconds: Option<f64>,
}
