//! Which record goes into which shard, and the records of one shard as columns of their own. Pure.

use bytes::Bytes;

use super::definition::Definition;
use crate::record::{Keys, Records};

/// The records of a call that go into one shard.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// The number of the shard.
    pub(super) shard: u32,
    /// Which records of the call, in order.
    pub(super) picks: Vec<u32>,
}

/// The records that `wanted` names, by the shard that their hash says; none of them is left out where open shards cover
/// all hash keys, as they do once a stream has any.
pub(super) fn groups(definition: &Definition, hashes: &[u128], wanted: impl Fn(usize) -> bool) -> Vec<Group> {
    // The only one takes all, so nothing is to be found or sorted.
    let mut open = definition.open_shards();
    if let (Some(only), None) = (open.next(), open.next()) {
        let picks: Vec<u32> = (0..hashes.len()).filter(|index| wanted(*index)).map(|index| index as u32).collect();
        return if picks.is_empty() { Vec::new() } else { vec![Group { shard: only.index, picks }] };
    }
    let records = hashes.iter().enumerate().filter(|(index, _)| wanted(*index));
    let shard = |hash: u128| definition.route(hash).map(|shard| shard.index);
    let mut placed: Vec<(u32, u32)> = records.filter_map(|(index, hash)| Some((shard(*hash)?, index as u32))).collect();
    // By shard, then in the call's order.
    placed.sort_unstable();
    let runs = placed.chunk_by(|(one, _), (other, _)| one == other);
    runs.map(|run| Group { shard: run[0].0, picks: run.iter().map(|(_, index)| *index).collect() }).collect()
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
