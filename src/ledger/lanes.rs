//! Shares of a partitioned stream: plans that hold some of the rows of their spans.
//!
//! A lane is what gathers rows for one object after the other: a partition, or what failed. Its plans follow each other without
//! holes, but those of different lanes overlap, since each lane has its own triggers. `committed` is a watermark then: the
//! position below which every lane's rows are done. What is read again above it was partly planned, and [`Lanes`] knows up to
//! where, for each lane.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::words;
use crate::record::ShardId;

/// What gathers rows for its own objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// What goes to the error output.
    Failures,
    /// The rows whose keys have these values, in the order of the prefix.
    Keys(Vec<String>),
}

/// Which of the rows of its spans a plan holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Those of this lane.
    pub lane: Lane,
    /// How many positions are counted in it: those whose first row it holds, or that failed.
    pub positions: u64,
    /// Where batches were cut early, in all shards, since the plan before this one: above the watermark they must be cut there
    /// on every reading.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "words::positions")]
    pub cuts: Vec<(ShardId, u64)>,
}

/// What of a partitioned stream is planned above its watermark. Forgotten as the watermark passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lanes {
    /// Where the last plan of each lane ended, in each shard.
    pub ends: BTreeMap<Lane, BTreeMap<ShardId, u64>>,
    /// Where batches are to be cut, beside the places that follow from positions and bytes alone.
    pub cuts: BTreeMap<ShardId, BTreeSet<u64>>,
    /// The target of the newest plan: its steps and keys say how what was read was routed.
    pub target: Option<serde_json::Value>,
}

impl Lanes {
    /// Whether nothing is planned above the watermark.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.cuts.is_empty()
    }

    /// Whether anything in `shard` is planned above the watermark.
    pub fn holds(&self, shard: ShardId) -> bool {
        self.cuts.contains_key(&shard) || self.ends.values().any(|ends| ends.contains_key(&shard))
    }

    /// Where the last plan of `lane` ended in `shard`; 0 below the watermark.
    pub fn end(&self, lane: &Lane, shard: ShardId) -> u64 {
        self.ends.get(lane).and_then(|ends| ends.get(&shard)).copied().unwrap_or(0)
    }

    /// The furthest position of each shard of which something was planned.
    pub fn furthest(&self) -> BTreeMap<ShardId, u64> {
        let mut furthest: BTreeMap<ShardId, u64> = BTreeMap::new();
        let cuts = self.cuts.iter().filter_map(|(shard, cuts)| Some((*shard, *cuts.last()?)));
        let ends = self.ends.values().flatten().map(|(shard, end)| (*shard, *end));
        for (shard, position) in cuts.chain(ends) {
            let known = furthest.entry(shard).or_default();
            *known = position.max(*known);
        }
        furthest
    }

    /// Forgets what is not above `position`.
    pub(super) fn forget(&mut self, shard: ShardId, position: u64) {
        self.ends.retain(|_, ends| {
            if ends.get(&shard).is_some_and(|end| *end <= position) {
                ends.remove(&shard);
            }
            !ends.is_empty()
        });
        if let Some(cuts) = self.cuts.get_mut(&shard) {
            *cuts = cuts.split_off(&(position + 1));
            if cuts.is_empty() {
                self.cuts.remove(&shard);
            }
        }
    }
}
