//! What was decided and what was done: the memory that makes delivery exactly once.
//!
//! > **A plan, once durable, is carried out exactly as written; its span is past only after its commit is durable.**
//!
//! The two choices in delivery that vary with the clock, where a batch ends and what the object is called, are
//! written down here before an object is put. See "Exactly once" in ARCHITECTURE.md.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::record::{ShardId, Span, StreamId};

mod errors;
mod lanes;
pub mod local;
mod words;

pub use errors::{ErrorOutput, ErrorType};
pub use lanes::{Lane, Lanes, Share};

#[cfg(test)]
mod conformance;

/// Numbers plans; unique within a data directory, rising.
pub type PlanId = u64;

/// Where one plan's records come from and what they become. All that an object's key and bytes depend on is in here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The delivery stream.
    #[serde(with = "words::stream")]
    pub stream: StreamId,
    /// The positions whose records it holds: at least one span, none empty, in order of their shards, each shard once.
    /// Direct puts stand in shard 0 of the delivery stream itself, records of a data stream in that stream's shards.
    #[serde(with = "words::spans")]
    pub spans: Vec<Span>,
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
    /// Those of error output that has a type with an object of its own; what has none is under `error_key`. Plans of earlier
    /// versions have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub error_keys: BTreeMap<ErrorType, String>,
    /// Destination settings and encoding in force when the plan was made: `pipeline` reads and writes this.
    pub target: serde_json::Value,
    /// Of a partitioned stream: which of the rows of its spans it holds; without, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
}

impl Plan {
    /// How many positions are counted in it: all that it covers, or its share of them.
    pub fn positions(&self) -> u64 {
        self.share.as_ref().map_or_else(|| self.spans.iter().map(Span::len).sum(), |share| share.positions)
    }

    /// Its positions in `shard`.
    pub fn span(&self, shard: ShardId) -> Option<&Span> {
        let at = self.spans.binary_search_by_key(&shard, |span| span.shard).ok()?;
        self.spans.get(at)
    }

    /// Refuses spans that are none.
    fn check(&self) -> Result<()> {
        if self.spans.is_empty() {
            return Err(Error::invalid("plan.spans must not be empty"));
        }
        if let Some(Span { start, end, .. }) = self.spans.iter().find(|span| span.end <= span.start) {
            let message = format!("the end of each of plan.spans must be greater than its start {start}, it is {end}");
            return Err(Error::invalid(message));
        }
        if !self.spans.is_sorted_by(|one, next| one.shard < next.shard) {
            return Err(Error::invalid("plan.spans must be in order of their shards, each shard once"));
        }
        Ok(())
    }
}

/// What a committed plan did, counted in positions (records as they were put) and in bytes of records.
///
/// A record is one position, whatever it becomes. One that aggregates several user records (see `format::kpl`) is taken apart, and
/// a plugin may make several rows of each. The position counts as delivered when any row of it is in the object, else as
/// failed when any of its user records is in the error output, else as dropped; what it brings beside its own
/// position is in `unpacked` and `unpacked_failed`, which [`positions`](Tally::positions) leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Records of which something is in the object.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delivered: u64,
    /// Rows in the object beyond `delivered`: the object holds `delivered + unpacked`. It has its name from aggregates.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unpacked: u64,
    /// Bytes of those rows, before they are joined and compressed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delivered_bytes: u64,
    /// Records in the error output.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// User records in the error output beyond `failed`: its objects hold `failed + unpacked_failed`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unpacked_failed: u64,
    /// User records of those two that could not be decompressed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub decompression_failed: u64,
    /// User records of those two that have no partition.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub partitioning_failed: u64,
    /// User records of those two that do not fit the schema.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub conversion_failed: u64,
    /// Records that became nothing: dropped by a transform, or aggregates without user records.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// Records that outlived the stream's retention.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub expired: u64,
    /// Records given up with a deleted stream: the delivery stream itself, or the data stream that it reads.
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
        self.unpacked += other.unpacked;
        self.delivered_bytes += other.delivered_bytes;
        self.failed += other.failed;
        self.unpacked_failed += other.unpacked_failed;
        self.decompression_failed += other.decompression_failed;
        self.partitioning_failed += other.partitioning_failed;
        self.conversion_failed += other.conversion_failed;
        self.dropped += other.dropped;
        self.expired += other.expired;
        self.discarded += other.discarded;
        self.damaged += other.damaged;
        self.objects += other.objects;
        self.object_bytes += other.object_bytes;
    }

    /// Counts so many of its positions as rows, or user records, beyond the positions: where records were lost that a plugin saw
    /// together with these, what is made again may have rows of more positions than a plan that says how many it holds.
    pub fn fold(&mut self, positions: u64) {
        let delivered = positions.min(self.delivered);
        self.delivered -= delivered;
        self.unpacked += delivered;
        let failed = (positions - delivered).min(self.failed);
        self.failed -= failed;
        self.unpacked_failed += failed;
    }

    /// The positions it accounts for.
    pub fn positions(&self) -> u64 {
        self.delivered + self.failed + self.dropped + self.expired + self.discarded + self.damaged
    }
}

/// Where delivery of one shard stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stands {
    /// The position at which delivery of the shard began.
    pub began: u64,
    /// Everything from there up to this position is past: delivered, failed, dropped, expired, discarded or damaged.
    pub committed: u64,
}

/// Where a delivery stream stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its shards: those whose delivery began, and those of which something is past.
    pub shards: BTreeMap<ShardId, Stands>,
    /// Plans made and not committed, in their order. In each shard the first starts at `committed`, each at the last
    /// one's end; those that hold a share may overlap.
    pub unfinished: Vec<(PlanId, Plan)>,
    /// The sum over everything that is done. Its positions are those between `began` and `committed` of all shards,
    /// `retired`, and what lanes counted above `committed`: see [`early`](Standing::early).
    pub total: Tally,
    /// The positions that were past in shards that are retired.
    pub retired: u64,
    /// What a partitioned stream has planned above `committed`.
    pub lanes: Lanes,
}

impl Standing {
    /// Where the last plan of `shard` ended: where its next one starts. Of a partitioned stream, where reading goes on.
    pub fn end_of_plans(&self, shard: ShardId) -> u64 {
        let planned = self.whole_plans().rev().find_map(|plan| plan.span(shard));
        planned.map_or_else(|| self.shards.get(&shard).map_or(0, |stands| stands.committed), |span| span.end)
    }

    /// The same of each of its shards.
    pub fn ends_of_plans(&self) -> BTreeMap<ShardId, u64> {
        let mut ends: BTreeMap<_, _> = self.shards.iter().map(|(shard, stands)| (*shard, stands.committed)).collect();
        ends.extend(self.whole_plans().flat_map(|plan| &plan.spans).map(|span| (span.shard, span.end)));
        ends
    }

    /// Unfinished plans that hold all records of their spans.
    pub fn whole_plans(&self) -> impl DoubleEndedIterator<Item = &Plan> {
        self.unfinished.iter().map(|(_, plan)| plan).filter(|plan| plan.share.is_none())
    }

    /// Whether anything of a partitioned stream is planned above `committed`, or not done.
    pub fn has_lanes(&self) -> bool {
        !self.lanes.is_empty() || self.unfinished.iter().any(|(_, plan)| plan.share.is_some())
    }

    /// Positions above `committed` that are counted in `total` already. Negative only by a fault of ours.
    pub fn early(&self) -> i64 {
        self.total.positions().cast_signed() - self.past().cast_signed()
    }

    /// Up to where `shard` can be past without passing over what an unfinished plan holds.
    pub fn bound(&self, shard: ShardId) -> Option<u64> {
        self.unfinished.iter().filter_map(|(_, plan)| plan.span(shard)).map(|span| span.start).min()
    }

    /// Whether an unfinished plan holds positions of `shard`.
    pub fn is_under_way(&self, shard: ShardId) -> bool {
        self.unfinished.iter().any(|(_, plan)| plan.span(shard).is_some())
    }

    /// The positions that are past.
    pub fn past(&self) -> u64 {
        self.retired + self.shards.values().map(|stands| stands.committed - stands.began).sum::<u64>()
    }

    /// Takes in that a shard is past up to `end` without an object.
    pub fn skip(&mut self, shard: ShardId, end: u64, tally: &Tally) {
        self.shards.entry(shard).or_default().committed = end;
        self.total.add(tally);
    }

    /// Takes in that shards of a partitioned stream are past up to these positions.
    pub fn advance(&mut self, to: &[(ShardId, u64)], tally: &Tally) {
        for (shard, position) in to {
            self.shards.entry(*shard).or_default().committed = *position;
            self.lanes.forget(*shard, *position);
        }
        self.total.add(tally);
        if !self.has_lanes() {
            self.lanes.target = None;
        }
    }

    /// Takes in that a plan that holds a share was made.
    pub fn share_out(&mut self, plan: &Plan) {
        let Some(share) = &plan.share else { return };
        let past = |shard: &ShardId| self.shards.get(shard).map_or(0, |stands| stands.committed);
        for (shard, cut) in share.cuts.iter().filter(|(shard, cut)| *cut > past(shard)) {
            self.lanes.cuts.entry(*shard).or_default().insert(*cut);
        }
        let ends = self.lanes.ends.entry(share.lane.clone()).or_default();
        ends.extend(plan.spans.iter().map(|span| (span.shard, span.end)));
        self.lanes.target = Some(plan.target.clone());
    }

    /// Takes in that a plan that holds a share is done; `None` when there is no such plan.
    pub fn finish_share(&mut self, id: PlanId, tally: &Tally) -> Option<Plan> {
        let at = self.unfinished.iter().position(|(known, plan)| *known == id && plan.share.is_some())?;
        self.total.add(tally);
        Some(self.unfinished.remove(at).1)
    }

    /// Forgets a shard, but not what it added to the totals.
    pub fn retire(&mut self, shard: ShardId) {
        if let Some(Stands { began, committed }) = self.shards.remove(&shard) {
            self.retired += committed - began;
        }
    }

    /// Takes in that the oldest unfinished plan is done.
    pub fn finish_first(&mut self, tally: &Tally) -> Plan {
        let (_, plan) = self.unfinished.remove(0);
        for span in &plan.spans {
            self.shards.entry(span.shard).or_default().committed = span.end;
        }
        self.total.add(tally);
        plan
    }
}

/// The memory of delivery. See the module for its guarantee.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Writes a plan down; durable when it returns. Every span must start where its shard's last plan (or commit, or the
    /// shard's beginning) ended: [`Kind::Conflict`](crate::error::Kind::Conflict) otherwise, and nothing is written.
    ///
    /// The spans of a plan that holds a [`Share`] may begin anywhere behind the last plan of its lane. Plans of both
    /// kinds never meet: one is a conflict while anything of the other kind is not past.
    async fn plan(&self, plan: Plan) -> Result<PlanId>;

    /// Puts a new plan in the place of an unfinished one with the same spans; durable when it returns. Only for a plan
    /// whose object is sure not to exist, for instance because its bucket does not: the old plan is never carried
    /// out again. [`Kind::Conflict`](crate::error::Kind::Conflict) when `old` is not unfinished or the spans differ.
    async fn replan(&self, old: PlanId, plan: Plan) -> Result<PlanId>;

    /// Writes down that the oldest unfinished plan of its delivery stream is done; durable when it returns. Committing a
    /// plan out of order or twice is [`Kind::Conflict`](crate::error::Kind::Conflict). Plans that hold a share are committed in
    /// any order, and what they held is past only when the stream [advances](Ledger::advance).
    async fn commit(&self, plan: PlanId, tally: Tally) -> Result<()>;

    /// Writes down where delivery of a shard begins; durable when it returns. Once, and before its first plan:
    /// [`Kind::Conflict`](crate::error::Kind::Conflict) otherwise. A shard that is planned without it begins at 0.
    async fn begin(&self, stream: StreamId, shard: ShardId, position: u64) -> Result<()>;

    /// Writes down that `committed..end` of a shard is past without an object: expired, damaged, discarded. Only while no
    /// plan of the shard is unfinished. The tally's record counts add up to the positions skipped.
    async fn skip(&self, stream: StreamId, shard: ShardId, end: u64, tally: Tally) -> Result<()>;

    /// Writes down that everything of a partitioned stream below these positions is past; durable when it returns. The
    /// tally is of what is in no plan: dropped, damaged. Each position must be greater than `committed` and not beyond where
    /// an unfinished plan begins ([`Kind::Conflict`](crate::error::Kind::Conflict)), and all that becomes past must be counted
    /// ([`Kind::Internal`](crate::error::Kind::Internal)).
    async fn advance(&self, stream: StreamId, to: Vec<(ShardId, u64)>, tally: Tally) -> Result<()>;

    /// Forgets where a shard stands that is gone for good and will never be planned again; what it added to the totals
    /// stays. [`Kind::Conflict`](crate::error::Kind::Conflict) while a plan of it is unfinished; nothing happens to one that is not known.
    async fn retire(&self, stream: StreamId, shard: ShardId) -> Result<()>;

    /// Where a delivery stream stands; empty for one that was never planned.
    async fn standing(&self, stream: StreamId) -> Result<Standing>;

    /// Forgets a delivery stream.
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

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn positions_are_folded_into_rows_and_nothing_is_lost() {
        let tally = Tally { delivered: 3, unpacked: 1, failed: 2, dropped: 4, ..Tally::default() };
        for (positions, counts) in [(0, (3, 1, 2, 0)), (2, (1, 3, 2, 0)), (4, (0, 4, 1, 1)), (5, (0, 4, 0, 2))] {
            let mut folded = tally;
            folded.fold(positions);
            let Tally { delivered, unpacked, failed, unpacked_failed, .. } = folded;
            assert_eq!((delivered, unpacked, failed, unpacked_failed), counts);
            assert_eq!(folded.positions() + positions, tally.positions());
        }
    }
}
