//! How far one shard has been copied, as it stands in the journal: JSON, so that a person can read it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The last record of one shard that was copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// Its sequence number.
    pub(super) sequence: String,
    /// When it arrived there, milliseconds since 1970.
    pub(super) arrived_ms: u64,
}

impl Progress {
    pub(super) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("two plain fields").into()
    }
}

/// The names of one stream's shards as sources. The creation time stands in them, so that a stream that was deleted and
/// made again under its name is another source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Naming(String);

impl Naming {
    pub(super) fn new(stream_arn: &str, created_ms: u64) -> Self {
        Naming(format!("{stream_arn}@{created_ms}/"))
    }

    pub(super) fn source(&self, shard: &str) -> String {
        format!("{}{shard}", self.0)
    }

    /// The progress of this stream's shards, by shard.
    pub(super) fn progress(&self, checkpoints: &BTreeMap<String, Bytes>) -> Result<BTreeMap<String, Progress>> {
        let mine = checkpoints.iter().filter_map(|(source, at)| Some((source.strip_prefix(&self.0)?, at)));
        mine.map(|(shard, at)| {
            let progress = serde_json::from_slice(at).map_err(|error| {
                Error::corrupt(format!("the checkpoint of source {}{shard} cannot be read", self.0)).because(error)
            })?;
            Ok((shard.to_owned(), progress))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_made_again_has_no_progress() {
        let (old, new) = (Naming::new("arn:x:stream/a", 1), Naming::new("arn:x:stream/a", 2));
        let progress = Progress { sequence: "49".to_owned(), arrived_ms: 7 };
        let stored = BTreeMap::from([(old.source("shardId-000000000000"), progress.encode())]);
        assert_eq!(old.progress(&stored).unwrap(), BTreeMap::from([("shardId-000000000000".to_owned(), progress)]));
        assert!(new.progress(&stored).unwrap().is_empty());
        let damaged = BTreeMap::from([(old.source("s"), Bytes::from_static(b"{}"))]);
        assert!(old.progress(&damaged).is_err());
    }
}
