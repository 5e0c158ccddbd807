//! Where batches end. A plugin may look at the whole batch, so a repeat must cut the same ones, from whatever boundary it begins.
//!
//! A batch ends at a multiple of [`BLOCK`] positions of its shard, with the record that reaches [`BATCH_BYTES`], at a hole, and
//! where it was cut early because somebody waited, or because the steps made too much of it at once. The first three follow from
//! the journal; early cuts are written into the ledger with the next plan, whatever lane it is of. So these two numbers are part of
//! what the ledger means: a version that changes them cannot read again what another has planned above its watermark.
//!
//! Where the journal has lost records since, a batch is not what it was, and would end elsewhere by its bytes. So a reading also cuts
//! where an earlier one is known to have cut: where plans of lanes ended ([`known`]), and where batches did that are kept. While nothing
//! is lost that changes nothing, and else no batch stands on both sides of where a plan ended.

use std::collections::{BTreeMap, BTreeSet};

use super::super::chunk::{Placed, halves};
use crate::ledger::Lanes;
use crate::record::ShardId;

/// Positions of which a batch holds one at most that is a multiple; in tests few, so that batches end so too.
const BLOCK: u64 = if cfg!(test) { 20 } else { 2_048 };
/// Bytes of records with which a batch is large enough; in tests few as well.
const BATCH_BYTES: usize = if cfg!(test) { 1 << 10 } else { 512 << 10 };

/// Where batches are cut beside the places that follow from positions and bytes, by shard.
pub(super) type Cuts = BTreeMap<ShardId, BTreeSet<u64>>;

/// Where the ledger knows that batches ended: where they were cut early, and where plans ended.
pub(super) fn known(lanes: &Lanes) -> Cuts {
    let mut cuts = lanes.cuts.clone();
    for (shard, end) in lanes.ends.values().flatten() {
        cuts.entry(*shard).or_default().insert(*end);
    }
    cuts
}

/// Records that go through the steps together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Their shard.
    pub shard: ShardId,
    /// The first position.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// The records.
    pub records: Vec<Placed>,
}

/// The batch of one shard that is not whole yet.
#[derive(Default)]
pub(super) struct Cutter {
    open: Vec<Placed>,
    start: u64,
    bytes: usize,
}

impl Cutter {
    /// Takes records in that follow, and gives the batches back that became whole.
    pub(super) fn push(&mut self, mut placed: Placed, cuts: Option<&BTreeSet<u64>>) -> Vec<Batch> {
        let mut whole = Vec::new();
        while !placed.records.is_empty() {
            if self.open.is_empty() {
                self.start = placed.first;
            }
            let early = cuts.and_then(|cuts| cuts.range(self.start + 1..).next()).copied();
            let block = (self.start / BLOCK + 1) * BLOCK;
            let positions = (early.map_or(block, |early| early.min(block)) - placed.first) as usize;
            let wanted = BATCH_BYTES - self.bytes;
            let reaching = placed.records.ends.partition_point(|end| (*end as usize) < wanted) + 1;
            let taken = reaching.min(positions);
            if placed.records.len() < taken {
                self.bytes += placed.records.data.len();
                self.open.push(placed);
                break;
            }
            let rest = placed.slice(taken, placed.records.len());
            self.open.push(placed.slice(0, taken));
            whole.extend(self.cut());
            placed = rest;
        }
        whole
    }

    /// Ends the open batch where it is.
    pub(super) fn cut(&mut self) -> Option<Batch> {
        let records = std::mem::take(&mut self.open);
        self.bytes = 0;
        let last = records.last()?;
        let (shard, end) = (last.shard, last.first + last.records.len() as u64);
        Some(Batch { shard, start: self.start, end, records })
    }

    /// About so much memory do its records take.
    fn held(&self) -> usize {
        self.bytes + self.open.iter().map(|placed| placed.records.len() * size_of::<u32>()).sum::<usize>()
    }
}

/// The open batches of all shards, and where batches were cut early.
#[derive(Default)]
pub(super) struct Blocks {
    cutters: BTreeMap<ShardId, Cutter>,
    /// Known cuts above the watermark, and the early ones.
    cuts: Cuts,
    /// Those of them that no plan has written down yet.
    fresh: Vec<(ShardId, u64)>,
    /// Memory of the open batches.
    held: usize,
}

impl Blocks {
    pub(super) fn new(cuts: Cuts) -> Self {
        Blocks { cuts, ..Blocks::default() }
    }

    /// Takes records in that follow, and gives the batches back that became whole.
    pub(super) fn push(&mut self, placed: Placed) -> Vec<Batch> {
        let shard = placed.shard;
        let cutter = self.cutters.entry(shard).or_default();
        let before = cutter.held();
        let whole = cutter.push(placed, self.cuts.get(&shard));
        self.held = self.held + cutter.held() - before;
        whole
    }

    /// Ends the open batch of a shard at a hole.
    pub(super) fn end(&mut self, shard: ShardId) -> Option<Batch> {
        let cutter = self.cutters.get_mut(&shard)?;
        self.held -= cutter.held();
        cutter.cut()
    }

    /// Ends all open batches early.
    pub(super) fn cut(&mut self) -> Vec<Batch> {
        let batches: Vec<_> = self.cutters.values_mut().filter_map(Cutter::cut).collect();
        for batch in &batches {
            self.cuts.entry(batch.shard).or_default().insert(batch.end);
            self.fresh.push((batch.shard, batch.end));
        }
        self.held = 0;
        batches
    }

    /// Cuts a batch of several records that was given back into halves. Both ends are early cuts: a reading that begins between them
    /// counts bytes from there.
    pub(super) fn halve(&mut self, batch: &Batch) -> [Batch; 2] {
        let middle = batch.start + (batch.end - batch.start) / 2;
        for cut in [middle, batch.end] {
            // Also one that is known already: where a plan ended is forgotten with the next plan of its lane.
            self.cuts.entry(batch.shard).or_default().insert(cut);
            self.fresh.push((batch.shard, cut));
        }
        let [first, others] = halves(&batch.records);
        let shard = batch.shard;
        [
            Batch { shard, start: batch.start, end: middle, records: first },
            Batch { shard, start: middle, end: batch.end, records: others },
        ]
    }

    /// Memory of the open batches.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Whether a batch is open.
    pub(super) fn is_empty(&self) -> bool {
        self.cutters.values().all(|cutter| cutter.open.is_empty())
    }

    /// Whether one of `shard` is.
    pub(super) fn holds(&self, shard: ShardId) -> bool {
        self.cutters.get(&shard).is_some_and(|cutter| !cutter.open.is_empty())
    }

    /// Arrival of the oldest put in an open batch, milliseconds since 1970.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        self.cutters.values().filter_map(|cutter| cutter.open.first()).map(|placed| placed.records.arrived_ms).min()
    }

    /// Known cuts above the watermark, and the early ones.
    pub(super) fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    /// How many early cuts no plan has written down yet.
    pub(super) fn unwritten(&self) -> usize {
        self.fresh.len()
    }

    /// Early cuts that a plan is to write down now.
    pub(super) fn fresh(&mut self) -> Vec<(ShardId, u64)> {
        std::mem::take(&mut self.fresh)
    }

    /// Forgets the cuts of a shard up to its watermark.
    pub(super) fn past(&mut self, shard: ShardId, watermark: u64) {
        if let Some(cuts) = self.cuts.get_mut(&shard) {
            *cuts = cuts.split_off(&(watermark + 1));
        }
        self.cuts.retain(|_, cuts| !cuts.is_empty());
        self.fresh.retain(|(of, cut)| *of != shard || *cut > watermark);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::chunk::tests::placed;
    use super::*;
    use crate::record::Records;

    fn bounds(batches: &[Batch]) -> Vec<(u64, u64)> {
        for batch in batches {
            let records: u64 = batch.records.iter().map(|placed| placed.records.len() as u64).sum();
            assert_eq!(records, batch.end - batch.start);
            assert_eq!(batch.records[0].first, batch.start);
        }
        batches.iter().map(|batch| (batch.start, batch.end)).collect()
    }

    #[test]
    fn batches_end_at_blocks_and_at_bytes() {
        let mut cutter = Cutter::default();
        let small = placed(BLOCK - 10, Records::from_slices(0, &vec!["x"; BLOCK as usize + 15]));
        let whole = cutter.push(small, None);
        assert_eq!(bounds(&whole), [(BLOCK - 10, BLOCK), (BLOCK, 2 * BLOCK)]);
        let large = placed(2 * BLOCK + 5, Records::from_slices(0, &vec![vec![b'x'; BATCH_BYTES / 2]; 3]));
        let whole = cutter.push(large, None);
        assert_eq!(bounds(&whole), [(2 * BLOCK, 2 * BLOCK + 7)]);
        assert_eq!(bounds(&cutter.cut().into_iter().collect::<Vec<_>>()), [(2 * BLOCK + 7, 2 * BLOCK + 8)]);
        assert!(cutter.cut().is_none());
    }

    #[test]
    fn the_halves_of_a_batch_are_cut_by_every_reading() {
        let mut blocks = Blocks::default();
        let all = placed(BLOCK, Records::from_slices(0, &["x"; 14]));
        blocks.push(all.slice(0, 7));
        let whole = [blocks.cut(), blocks.push(all.slice(7, 14)), blocks.cut()].concat();
        let halves = blocks.halve(&whole[0]);
        assert_eq!(bounds(&halves), [(BLOCK, BLOCK + 3), (BLOCK + 3, BLOCK + 7)]);
        let quarters = blocks.halve(&halves[1]);
        assert_eq!(bounds(&quarters), [(BLOCK + 3, BLOCK + 5), (BLOCK + 5, BLOCK + 7)]);
        let fresh: BTreeSet<_> = blocks.fresh().into_iter().map(|(_, cut)| cut - BLOCK).collect();
        assert_eq!(fresh, [3, 5, 7, 14].into());
        let mut again = Blocks::new(blocks.cuts().clone());
        assert_eq!(
            bounds(&again.push(all)),
            [0, 3, 5, 7, 14].map(|at| BLOCK + at).windows(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>()
        );
    }

    proptest! {
        /// One reading makes early cuts; another, from any boundary and in other pieces, that knows them, makes the same batches.
        #[test]
        fn every_reading_cuts_the_same_batches(
            lens in prop::collection::vec(prop_oneof![4 => 0usize..50, 1 => 0usize..300_000], 1..300),
            pieces in prop::collection::vec((1usize..40, any::<bool>()), 1..60),
            others in prop::collection::vec(1usize..200, 1..20),
            from in any::<prop::sample::Index>(),
            first in prop_oneof![Just(0), Just(BLOCK * 9 - 7)],
        ) {
            let all = placed(first, Records::from_slices(0, &lens.iter().map(|len| vec![b'x'; *len]).collect::<Vec<_>>()));
            let (mut blocks, mut batches, mut at) = (Blocks::default(), Vec::new(), 0);
            for (piece, early) in pieces.iter().cycle() {
                let end = (at + piece).min(lens.len());
                batches.extend(blocks.push(all.slice(at, end)));
                if *early {
                    batches.extend(blocks.cut());
                }
                at = end;
                if at == lens.len() {
                    break;
                }
            }
            batches.extend(blocks.cut());
            prop_assert!(blocks.is_empty() && blocks.held() == 0);
            let expected = bounds(&batches);
            let start = expected[from.index(expected.len())].0;
            let mut again = Blocks::new(blocks.cuts().clone());
            again.past(all.shard, start);
            let (mut repeated, mut at) = (Vec::new(), (start - first) as usize);
            for piece in others.iter().cycle() {
                let end = (at + piece).min(lens.len());
                repeated.extend(again.push(all.slice(at, end)));
                at = end;
                if at == lens.len() {
                    break;
                }
            }
            prop_assert!(again.is_empty(), "the last cut is known");
            let rest: Vec<_> = expected.into_iter().filter(|(begins, _)| *begins >= start).collect();
            prop_assert_eq!(bounds(&repeated), rest);
        }
    }
}
