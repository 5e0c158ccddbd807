//! What was decided and what was done: the memory that makes delivery exactly once.
//!
//! > **A plan, once durable, is carried out exactly as written; its span is past only after its commit is durable.**
//!
//! The two choices in delivery that vary with the clock, where a batch ends and what the object is called, are
//! written down here before an object is put. See "Exactly once" in ARCHITECTURE.md.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::record::StreamId;

pub mod local;

#[cfg(test)]
mod conformance;

/// Numbers plans; unique within a data directory, rising.
pub type PlanId = u64;

/// Where one plan's records come from and what they become. All that an object's key and bytes depend on is in here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The stream.
    #[serde(with = "stream_id")]
    pub stream: StreamId,
    /// Its shard.
    pub shard: u32,
    /// First position.
    pub start: u64,
    /// One past the last position.
    pub end: u64,
    /// When the plan was made, milliseconds since 1970.
    pub planned_ms: u64,
    /// Arrival of the oldest record, milliseconds since 1970: the object's timestamp.
    pub object_ms: u64,
    /// The stream's configuration version that was in force.
    pub version: u64,
    /// The key of the object of delivered records.
    pub key: String,
    /// The key of the error output object, used only if a record fails.
    pub error_key: String,
    /// Destination settings and encoding in force when the plan was made: `pipeline` reads and writes this.
    pub target: serde_json::Value,
}

/// What a committed plan did, counted in records and in bytes as they were put by the producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Records in the object.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delivered: u64,
    /// Bytes of those.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delivered_bytes: u64,
    /// Records in the error output object.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Records dropped by a transform.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// Records that outlived the stream's retention.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub expired: u64,
    /// Records given up with their deleted stream.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub discarded: u64,
    /// Positions lost to damage on disk.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub damaged: u64,
    /// Objects written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub objects: u64,
    /// Bytes of the objects as stored.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub object_bytes: u64,
}

impl Tally {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Tally) {
        self.delivered += other.delivered;
        self.delivered_bytes += other.delivered_bytes;
        self.failed += other.failed;
        self.dropped += other.dropped;
        self.expired += other.expired;
        self.discarded += other.discarded;
        self.damaged += other.damaged;
        self.objects += other.objects;
        self.object_bytes += other.object_bytes;
    }

    /// The positions it accounts for.
    pub fn positions(&self) -> u64 {
        self.delivered + self.failed + self.dropped + self.expired + self.discarded + self.damaged
    }
}

/// Where a stream's shard stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Everything before this position is past: delivered, failed, dropped, expired or damaged, as `total` counts.
    pub committed: u64,
    /// Plans made and not committed, in order of position; the first starts at `committed`, each at the last one's end.
    pub unfinished: Vec<(PlanId, Plan)>,
    /// The sum over everything that is past. Its record counts add up to `committed`.
    pub total: Tally,
}

/// The memory of delivery. See the module for its guarantee.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Writes a plan down; durable when it returns. It must start where the shard's last plan (or commit) ended:
    /// [`Kind::Conflict`](crate::error::Kind::Conflict) otherwise, and nothing is written.
    async fn plan(&self, plan: Plan) -> Result<PlanId>;

    /// Puts a new plan in the place of an unfinished one with the same span; durable when it returns. Only for a plan
    /// whose object is sure not to exist, for instance because its bucket does not: the old plan is never carried
    /// out again. [`Kind::Conflict`](crate::error::Kind::Conflict) when `old` is not unfinished or the spans differ.
    async fn replan(&self, old: PlanId, plan: Plan) -> Result<PlanId>;

    /// Writes down that the oldest unfinished plan of its shard is done; durable when it returns. Committing a plan
    /// out of order or twice is [`Kind::Conflict`](crate::error::Kind::Conflict).
    async fn commit(&self, plan: PlanId, tally: Tally) -> Result<()>;

    /// Writes down that `committed..end` is past without an object: expired, damaged, discarded. Only while no plan is
    /// unfinished. The tally's record counts add up to the positions skipped.
    async fn skip(&self, stream: StreamId, shard: u32, end: u64, tally: Tally) -> Result<()>;

    /// Where each shard of a stream stands; a shard that was never planned is absent.
    async fn standing(&self, stream: StreamId) -> Result<BTreeMap<u32, Standing>>;

    /// Forgets a stream.
    async fn remove(&self, stream: StreamId) -> Result<()>;

    /// Whether it can take anything at all until a restart; the error says why not.
    fn healthy(&self) -> Result<()> {
        Ok(())
    }

    /// Finishes what is queued and refuses more. Idempotent.
    async fn close(&self);
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

mod stream_id {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::record::StreamId;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(id: &StreamId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StreamId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
