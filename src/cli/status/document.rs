//! What the admin listener answers to `GET /v1/status`. Members that a service of another version does not have are
//! taken for zero or absent, so that one `standpipe status` can look at all of them.

use serde::Deserialize;

/// The whole document.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StatusDocument {
    /// The process.
    pub service: Service,
    /// The streams, by name.
    pub streams: Vec<StreamStatus>,
}

/// The process.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Of the program.
    pub version: String,
    /// Since it started.
    pub uptime_seconds: f64,
    /// The journal.
    pub journal: JournalStatus,
}

/// The journal.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct JournalStatus {
    /// On disk.
    pub bytes: u64,
    /// What it may take, if it is bounded.
    pub limit_bytes: Option<u64>,
    /// Whether puts are taken.
    pub healthy: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// One stream. Counts are of records since the stream was made, unless another unit is named.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StreamStatus {
    /// Its name.
    pub name: String,
    /// `ACTIVE` or `DELETING`.
    pub status: String,
    /// `file` or `api`.
    pub origin: String,
    /// Of its configuration.
    pub version: u64,
    /// Acknowledged.
    pub accepted: u64,
    /// In objects.
    pub delivered: u64,
    /// In the error output.
    pub failed: u64,
    /// By a transform.
    pub dropped: u64,
    /// Given up after the retention.
    pub expired: u64,
    /// Given up with their deleted stream.
    pub discarded: u64,
    /// Lost to damage on disk.
    pub damaged: u64,
    /// Acknowledged and not past.
    pub backlog_records: u64,
    /// Bytes of those.
    pub backlog_bytes: u64,
    /// Age of the oldest record of the backlog.
    pub freshness_seconds: Option<f64>,
    /// Key of the last object.
    pub last_object: Option<String>,
    /// When it was delivered, milliseconds since 1970.
    pub last_object_ms: Option<u64>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When, milliseconds since 1970.
    pub last_error_ms: Option<u64>,
    /// What its pipeline does.
    pub state: String,
}

impl StreamStatus {
    /// Records that are neither in an object nor in the error output nor waiting, and that no transform dropped.
    pub fn lost(&self) -> u64 {
        self.expired + self.discarded + self.damaged
    }
}
