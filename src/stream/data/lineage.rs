//! The shard map, pure: uniform ranges, splits, merges, rescaling, and which shards a list shows.
//!
//! Every change is a row of [`Step`]s, each a split or a merge as AWS knows them, so that lineage is always told by one parent or two. A
//! rescale may make shards that a later step of it closes at once: they have a place in the lineage, and never a record.

use std::collections::BTreeMap;

use super::hash::HashRange;
use super::shard::{Closed, INDEX_MAX, Shard};
use crate::error::{Error, Kind, Result};
use crate::limits::DATA_SHARDS_KEPT_MAX;

/// A change of the shard map, with shards by name as the caller wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reshard {
    /// One shard becomes two.
    Split {
        /// The shard.
        shard: String,
        /// Where the second one begins.
        new_start: u128,
    },
    /// Two neighbours become one.
    Merge {
        /// The lower one.
        shard: String,
        /// The one above it.
        adjacent: String,
    },
    /// As many shards as asked for, of about the same size, by splits and merges.
    Uniform {
        /// How many open shards there are to be.
        target: u32,
    },
}

/// Which shards a list shows (ShardFilter of ListShards).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardFilter {
    /// Those with a higher number.
    After(u32),
    /// Those that were open at the trim horizon.
    AtTrimHorizon,
    /// All whose records are within retention.
    FromTrimHorizon,
    /// The open ones.
    AtLatest,
    /// Those that were open then (milliseconds since 1970).
    At(u64),
    /// Those that were open then or later.
    From(u64),
}

impl ShardFilter {
    /// Whether it shows `shard`, at a time at which records before `horizon_ms` are gone; see
    /// [`Definition::horizon_ms`](super::Definition::horizon_ms). A time before the horizon stands for the horizon.
    pub fn shows(&self, shard: &Shard, horizon_ms: u64) -> bool {
        let open_after = |time_ms: u64| shard.closed.is_none_or(|closed| closed.at_ms >= time_ms.max(horizon_ms));
        let open_at = |time_ms: u64| shard.opened_ms <= time_ms.max(horizon_ms) && open_after(time_ms);
        match *self {
            ShardFilter::After(index) => shard.index > index && open_after(0),
            ShardFilter::AtTrimHorizon => open_at(0),
            ShardFilter::FromTrimHorizon => open_after(0),
            ShardFilter::AtLatest => shard.closed.is_none(),
            ShardFilter::At(time_ms) => open_at(time_ms),
            ShardFilter::From(time_ms) => open_after(time_ms),
        }
    }
}

/// The ranges of `count` shards, as AWS cuts them: the last one takes what is left.
pub(super) fn uniform_ranges(count: u32) -> impl Iterator<Item = HashRange> {
    let starts = move |index: u32| start_of(index, count);
    (0..count).map(move |index| HashRange {
        start: starts(index),
        end: if index + 1 == count { u128::MAX } else { starts(index + 1) - 1 },
    })
}

/// Where shard `index` of `count` begins.
fn start_of(index: u32, count: u32) -> u128 {
    let count = u128::from(count.max(1));
    // floor(2^128 / count), which for one shard does not fit.
    let width = if count == 1 { 0 } else { (u128::MAX - count + 1) / count + 1 };
    width * u128::from(index)
}

/// A split or a merge of shards that are open when it is done: there before, or made by a step before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Shard `shard` becomes two, the second from hash key `start` on.
    Split { shard: u32, start: u128 },
    /// Shard `upper` lies right above `lower`.
    Merge { lower: u32, upper: u32 },
}

impl Step {
    fn closes(self) -> impl Iterator<Item = u32> {
        let (first, second) = match self {
            Step::Split { shard, .. } => (shard, None),
            Step::Merge { lower, upper } => (lower, Some(upper)),
        };
        std::iter::once(first).chain(second)
    }

    fn makes(self) -> u32 {
        match self {
            Step::Split { .. } => 2,
            Step::Merge { .. } => 1,
        }
    }
}

/// The shards of `shards` that `steps` close: those whose end in the journal must be known.
pub(super) fn closing(shards: &[Shard], steps: &[Step]) -> Vec<u32> {
    let there = |index: &u32| shards.binary_search_by_key(index, |shard| shard.index).is_ok();
    steps.iter().flat_map(|step| step.closes()).filter(there).collect()
}

/// The shards of a stream while steps are done to them.
pub(super) struct Map<'a> {
    /// By number.
    pub(super) shards: &'a mut Vec<Shard>,
    /// The number of the next one.
    pub(super) next: &'a mut u32,
}

impl Map<'_> {
    /// Adds first shards of a new stream.
    pub(super) fn fill(&mut self, count: u32, opened_ms: u64, created_ms: u64) {
        for range in uniform_ranges(count) {
            self.add(&Shard { parent: None, adjacent_parent: None, ..new_shard(range, opened_ms, created_ms) });
        }
    }

    /// Does all `steps`; `ends` has the end in the journal of each shard of [`closing`].
    ///
    /// # Errors
    /// `Throttled` when there would be too many shards; nothing is changed then.
    pub(super) fn reshard(&mut self, steps: &[Step], ends: &BTreeMap<u32, u64>, now_ms: u64) -> Result<()> {
        let made: u32 = steps.iter().map(|step| step.makes()).sum();
        let kept = self.shards.len() + made as usize;
        if kept > DATA_SHARDS_KEPT_MAX {
            return Err(Error::new(
                Kind::Throttled,
                format!(
                    "the stream would keep {kept} shards with those that are closed and within retention, at most \
                     {DATA_SHARDS_KEPT_MAX} are kept"
                ),
            ));
        }
        if made > INDEX_MAX - *self.next {
            return Err(Error::new(Kind::Throttled, format!("the stream has had all {INDEX_MAX} shards it may have")));
        }
        for step in steps {
            self.step(*step, ends, now_ms);
        }
        Ok(())
    }

    fn step(&mut self, step: Step, ends: &BTreeMap<u32, u64>, now_ms: u64) {
        match step {
            Step::Split { shard, start } => {
                let parent = self.close(shard, ends, now_ms);
                assert!(parent.range.start < start && start <= parent.range.end, "a split leaves two ranges");
                let lower = HashRange { start: parent.range.start, end: start - 1 };
                for range in [lower, HashRange { start, end: parent.range.end }] {
                    self.add(&child(range, &parent, None));
                }
            }
            Step::Merge { lower, upper } => {
                let (lower, upper) = (self.close(lower, ends, now_ms), self.close(upper, ends, now_ms));
                assert!(lower.range.end.checked_add(1) == Some(upper.range.start), "neighbours are merged");
                let range = HashRange { start: lower.range.start, end: upper.range.end };
                self.add(&child(range, &lower, Some(&upper)));
            }
        }
    }

    /// Closes an open shard; the shard as it then is.
    fn close(&mut self, index: u32, ends: &BTreeMap<u32, u64>, now_ms: u64) -> Shard {
        let at = self.shards.binary_search_by_key(&index, |shard| shard.index);
        let shard = &mut self.shards[at.expect("steps name shards that are there")];
        assert!(shard.closed.is_none(), "steps close open shards");
        // What this very change made has no records; whatever else is missing would lose some.
        let end = ends.get(&index).copied().unwrap_or(0);
        shard.closed = Some(Closed { end, at_ms: now_ms.max(shard.opened_ms) });
        shard.clone()
    }

    fn add(&mut self, shard: &Shard) {
        self.shards.push(Shard { index: *self.next, ..shard.clone() });
        *self.next += 1;
    }
}

/// A child begins when its last parent was closed, and is dated at least a second later than each, as AWS does, so that its
/// sequence numbers are higher than all of theirs.
fn child(range: HashRange, parent: &Shard, adjacent: Option<&Shard>) -> Shard {
    let closed_ms = |shard: &Shard| shard.closed.map_or(0, |closed| closed.at_ms);
    let opened_ms = closed_ms(parent).max(adjacent.map_or(0, closed_ms));
    let dated_ms = parent.created_ms.max(adjacent.map_or(0, |adjacent| adjacent.created_ms));
    Shard {
        parent: Some(parent.index),
        adjacent_parent: adjacent.map(|adjacent| adjacent.index),
        ..new_shard(range, opened_ms, opened_ms.max(dated_ms) + 1_000)
    }
}

fn new_shard(range: HashRange, opened_ms: u64, created_ms: u64) -> Shard {
    Shard { index: 0, range, parent: None, adjacent_parent: None, created_ms, opened_ms, closed: None }
}

/// The steps to `target` open shards of about the same size, from any map. Each shard is split where the new ones
/// begin, by halves, then what belongs to one new shard is merged, by halves.
pub(super) fn uniform(shards: &[Shard], mut next: u32, target: u32) -> Vec<Step> {
    let mut open: Vec<&Shard> = shards.iter().filter(|shard| shard.closed.is_none()).collect();
    open.sort_by_key(|shard| shard.range.start);
    let starts: Vec<u128> = open.iter().map(|shard| shard.range.start).collect();
    let cuts = snapped(&starts, target);
    let mut steps = Vec::new();
    let mut pieces = Vec::new();
    for shard in open {
        let from = cuts.partition_point(|cut| *cut <= shard.range.start);
        let to = cuts.partition_point(|cut| *cut <= shard.range.end);
        split_at(shard.index, shard.range.start, &cuts[from..to], &mut next, &mut steps, &mut pieces);
    }
    let mut rest = pieces.as_slice();
    for cut in cuts.iter().skip(1).copied().chain([u128::MAX]) {
        let last = cut == u128::MAX;
        let mine = if last { rest.len() } else { rest.partition_point(|(start, _)| *start < cut) };
        merge_all(&rest[..mine], &mut next, &mut steps);
        rest = &rest[mine..];
    }
    steps
}

/// Where `target` shards begin. A shard that begins nearly there now stays as it is: AWS's widths are rounded, and no shard
/// should be split for one hash key.
fn snapped(starts: &[u128], target: u32) -> Vec<u128> {
    let near = (u128::MAX / u128::from(target.max(1))) >> 10;
    let snap = |wanted: u128| {
        let above = starts.partition_point(|start| *start < wanted);
        let around = starts[above.saturating_sub(1)..].iter().take(2);
        let nearest = around.copied().min_by_key(|start| start.abs_diff(wanted));
        nearest.filter(|start| start.abs_diff(wanted) <= near).unwrap_or(wanted)
    };
    (0..target).map(|index| snap(start_of(index, target))).collect()
}

/// Splits one shard at all `cuts`, and lists what becomes of it as (start, shard), in order.
fn split_at(
    shard: u32,
    start: u128,
    cuts: &[u128],
    next: &mut u32,
    steps: &mut Vec<Step>,
    pieces: &mut Vec<(u128, u32)>,
) {
    let middle = cuts.len() / 2;
    let Some(&cut) = cuts.get(middle) else {
        pieces.push((start, shard));
        return;
    };
    steps.push(Step::Split { shard, start: cut });
    let (lower, upper) = (*next, *next + 1);
    *next += 2;
    split_at(lower, start, &cuts[..middle], next, steps, pieces);
    split_at(upper, cut, &cuts[middle + 1..], next, steps, pieces);
}

/// Merges neighbours into one; its number.
fn merge_all(pieces: &[(u128, u32)], next: &mut u32, steps: &mut Vec<Step>) -> u32 {
    if let [(_, shard)] = pieces {
        return *shard;
    }
    let (below, above) = pieces.split_at(pieces.len() / 2);
    let lower = merge_all(below, next, steps);
    let upper = merge_all(above, next, steps);
    steps.push(Step::Merge { lower, upper });
    *next += 1;
    *next - 1
}

#[cfg(test)]
mod tests;
