//! Which record goes into which shard, and the records of one shard as columns of their own. Pure.

use std::sync::Arc;

use bytes::Bytes;

use super::definition::Definition;
use super::shard::Shard;
use crate::record::{Keys, Records};

/// The open shards of one definition, in the order of their ranges.
pub(super) struct Routes {
    definition: Arc<Definition>,
    /// Where each begins, and its place among the definition's shards.
    open: Vec<(u128, u32)>,
}

/// The records of a call that go into one shard.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// The number of the shard.
    pub(super) shard: u32,
    /// Which records of the call, in order.
    pub(super) picks: Vec<u32>,
}

impl Routes {
    /// The way of each hash key by `definition`.
    pub(super) fn new(definition: Arc<Definition>) -> Self {
        let shards = definition.shards.iter().enumerate().filter(|(_, shard)| shard.closed.is_none());
        let mut open: Vec<_> = shards.map(|(at, shard)| (shard.range.start, at as u32)).collect();
        open.sort_unstable();
        Routes { definition, open }
    }

    /// What they were made from.
    pub(super) fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// How many shards are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The open shard at this place in the order of ranges; there must be one.
    pub(super) fn shard(&self, place: usize) -> &Shard {
        &self.definition.shards[self.open[place].1 as usize]
    }

    /// The place of the shard that takes `hash`: open shards cover all hash keys.
    fn place(&self, hash: u128) -> u32 {
        self.open.partition_point(|(start, _)| *start <= hash).saturating_sub(1) as u32
    }

    /// The records that `wanted` names, by the shard that their hash says.
    pub(super) fn groups(&self, hashes: &[u128], wanted: impl Fn(usize) -> bool) -> Vec<Group> {
        let records = hashes.iter().enumerate().filter(|(index, _)| wanted(*index));
        let mut placed: Vec<(u32, u32)> = records.map(|(index, hash)| (self.place(*hash), index as u32)).collect();
        // By shard, then in the call's order.
        placed.sort_unstable();
        let runs = placed.chunk_by(|(one, _), (other, _)| one == other);
        runs.map(|run| Group {
            shard: self.shard(run[0].0 as usize).index,
            picks: run.iter().map(|(_, index)| *index).collect(),
        })
        .collect()
    }
}

/// The records that `picks` names, in that order; all of them are taken as they are.
pub(super) fn pick(records: &Records, picks: &[u32]) -> Records {
    if picks.len() == records.len() {
        return records.clone();
    }
    let (ends, data) = column(picks, |index| records.get(index));
    let keys = records.keys.as_ref().map(|keys| {
        let (ends, data) = column(picks, |index| keys.get(index));
        Keys { ends, data }
    });
    Records { arrived_ms: records.arrived_ms, ends, data, keys }
}

fn column<'a>(picks: &[u32], get: impl Fn(usize) -> &'a [u8]) -> (Vec<u32>, Bytes) {
    let bytes = picks.iter().map(|index| get(*index as usize).len()).sum();
    let mut data = Vec::with_capacity(bytes);
    let ends = picks.iter().map(|index| {
        data.extend_from_slice(get(*index as usize));
        data.len() as u32
    });
    (ends.collect(), data.into())
}
