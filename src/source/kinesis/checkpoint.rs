//! How far one shard has been copied, as it stands in the journal: JSON, so that a person can read it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The last record of one shard that was copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// Its sequence number.
    pub(super) sequence: String,
    /// When it arrived there, milliseconds since 1970.
    pub(super) arrived_ms: u64,
    /// The shard's full name, where the checkpoint stands under that of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<String>,
}

impl Progress {
    pub(super) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("plain fields").into()
    }
}

/// The names of one stream's shards as sources. The creation time stands in them, so that a stream that was deleted and
/// made again under its name is another source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Naming {
    arn: String,
    created_ms: u64,
}

impl Naming {
    pub(super) fn new(stream_arn: &str, created_ms: u64) -> Self {
        Naming { arn: stream_arn.to_owned(), created_ms }
    }

    /// The full name of a shard.
    pub(super) fn source(&self, shard: &str) -> String {
        format!("{}@{}/{shard}", self.arn, self.created_ms)
    }

    /// Whether a full name is that of a shard of this stream, or of one that was made before under its ARN.
    pub(super) fn is_of_stream(&self, source: &str) -> bool {
        source.strip_prefix(&self.arn).is_some_and(|rest| rest.starts_with('@'))
    }
}
