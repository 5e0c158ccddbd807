//! How identities and spans are written in the ledger: `"<stream>/<shard>"`, and `["<stream>/<shard>", start, end]`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::record::{ShardId, Span, StreamId};

/// A stream's identity as text.
pub(super) mod stream {
    use super::{Deserialize, Deserializer, Serializer, StreamId};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(in crate::ledger) fn serialize<S: Serializer>(id: &StreamId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(in crate::ledger) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StreamId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A shard's identity as text.
pub(super) mod shard {
    use super::{Deserialize, Deserializer, Serialize, Serializer, ShardId, Text};

    pub(in crate::ledger) fn serialize<S: Serializer>(id: &ShardId, serializer: S) -> Result<S::Ok, S::Error> {
        Text(*id).serialize(serializer)
    }

    pub(in crate::ledger) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ShardId, D::Error> {
        Ok(Text::deserialize(deserializer)?.0)
    }
}

/// The spans of a plan.
pub(super) mod spans {
    use super::{Deserialize, Deserializer, Serializer, Span, Text};

    pub(in crate::ledger) fn serialize<S: Serializer>(spans: &[Span], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(spans.iter().map(|span| (Text(span.shard), span.start, span.end)))
    }

    pub(in crate::ledger) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Span>, D::Error> {
        let spans = Vec::<(Text, u64, u64)>::deserialize(deserializer)?;
        Ok(spans.into_iter().map(|(Text(shard), start, end)| Span { shard, start, end }).collect())
    }
}

/// Positions in shards: `[["<stream>/<shard>", position], …]`.
pub(super) mod positions {
    use super::{Deserialize, Deserializer, Serializer, ShardId, Text};

    pub(in crate::ledger) fn serialize<S: Serializer>(
        all: &[(ShardId, u64)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(all.iter().map(|(shard, position)| (Text(*shard), *position)))
    }

    pub(in crate::ledger) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(ShardId, u64)>, D::Error> {
        let all = Vec::<(Text, u64)>::deserialize(deserializer)?;
        Ok(all.into_iter().map(|(Text(shard), position)| (shard, position)).collect())
    }
}

/// A shard's identity, as it is written.
struct Text(ShardId);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/{}", self.0.stream, self.0.index))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let shard = text
            .split_once('/')
            .and_then(|(stream, index)| Some(ShardId { stream: stream.parse().ok()?, index: index.parse().ok()? }));
        shard.map(Text).ok_or_else(|| D::Error::custom(format!("not a shard: {text:?}")))
    }
}
