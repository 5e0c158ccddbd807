//! On-demand streams: shards follow the load. Pure: what is decided follows from rates and the map alone.
//!
//! The keeper looks every [`DEMAND_LOOK_EVERY`](crate::limits::DEMAND_LOOK_EVERY). A shard that runs above half of what AWS's
//! shard takes is split in its middle, after a few looks in a row; when all shards together are far below that for many
//! looks, the two neighbours with the least load are merged. Between the two lies a factor of four, so that a merge is
//! never followed by a split of the same shard under the same load.

use super::definition::Definition;
use super::hash::HashRange;
use super::lineage::Step;
use super::rates::Rate;
use crate::limits::{
    DEMAND_COLD_LOOKS, DEMAND_HOT_LOOKS, ON_DEMAND_SHARDS, SHARD_WRITE_BYTES_PER_SECOND, SHARD_WRITE_RECORDS_PER_SECOND,
};

/// Percent of a shard's capacity above which it is hot.
const HOT_PERCENT: u64 = 50;
/// Percent of the capacity of all shards, less one, below which the stream is cold; also the most of a merged shard.
const COLD_PERCENT: u64 = HOT_PERCENT / 4;

/// One open shard and its load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) shard: u32,
    pub(super) range: HashRange,
    pub(super) rate: Rate,
}

/// For how many looks in a row a stream was hot, or cold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Patience {
    hot: u32,
    cold: u32,
}

impl Load {
    /// In percent of what AWS's shard takes, by bytes or by records, whichever is more.
    fn percent(&self) -> u64 {
        let bytes = self.rate.bytes_per_second * 100 / SHARD_WRITE_BYTES_PER_SECOND;
        let records = self.rate.records_per_second * 100 / SHARD_WRITE_RECORDS_PER_SECOND;
        bytes.max(records)
    }

    fn is_splittable(&self) -> bool {
        self.range.end - self.range.start > 2
    }

    fn split(&self) -> Step {
        let middle = self.range.start + (self.range.end - self.range.start) / 2 + 1;
        Step::Split { shard: self.shard, start: middle }
    }
}

impl Patience {
    /// Looks once more; what is to be done about it, if anything. `loads` are the open shards in the order of their ranges,
    /// `least` how many are to stay.
    pub(super) fn look(&mut self, loads: &[Load], least: usize) -> Option<Step> {
        let hottest = loads.iter().filter(|load| load.is_splittable()).max_by_key(|load| load.percent());
        let hottest = hottest.filter(|load| load.percent() > HOT_PERCENT);
        let coldest = coldest_pair(loads).filter(|_| loads.len() > least && is_cold(loads));
        self.hot = hottest.map_or(0, |_| self.hot + 1);
        self.cold = coldest.map_or(0, |_| self.cold + 1);
        let due = match (hottest, coldest) {
            (Some(load), _) if self.hot >= DEMAND_HOT_LOOKS => Some(load.split()),
            (None, Some((low, high))) if self.cold >= DEMAND_COLD_LOOKS => {
                Some(Step::Merge { lower: low.shard, upper: high.shard })
            }
            _ => None,
        };
        if due.is_some() {
            *self = Patience::default();
        }
        due
    }
}

/// How many shards an on-demand stream keeps without any load.
pub(super) fn least_shards(definition: &Definition) -> usize {
    let warm = definition.warm_mibps.unwrap_or(0);
    warm.max(ON_DEMAND_SHARDS) as usize
}

fn is_cold(loads: &[Load]) -> bool {
    let all: u64 = loads.iter().map(Load::percent).sum();
    all < COLD_PERCENT * (loads.len() as u64 - 1)
}

fn coldest_pair(loads: &[Load]) -> Option<(&Load, &Load)> {
    let pairs = loads.iter().zip(loads.iter().skip(1));
    let together = |(low, high): &(&Load, &Load)| low.percent() + high.percent();
    pairs.min_by_key(together).filter(|pair| together(pair) <= COLD_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(percents: &[u64]) -> Vec<Load> {
        let width = u128::MAX / percents.len() as u128;
        let load = |(at, percent): (usize, &u64)| Load {
            shard: at as u32,
            range: HashRange { start: width * at as u128, end: width * (at as u128 + 1) - 1 },
            rate: Rate { bytes_per_second: 0, records_per_second: percent * 10 },
        };
        percents.iter().enumerate().map(load).collect()
    }

    /// What comes of looking at the same loads so many times.
    fn after(looks: u32, percents: &[u64]) -> Option<Step> {
        let (loads, mut patience) = (loads(percents), Patience::default());
        (0..looks).find_map(|_| patience.look(&loads, 4))
    }

    fn merge(low: u32) -> Step {
        Step::Merge { lower: low, upper: low + 1 }
    }

    #[test]
    fn what_follows_from_which_load() {
        let split = |at: usize, of: &[u64]| Some(loads(of)[at].split());
        let table: &[(&str, &[u64], u32, Option<Step>)] = &[
            ("idle, at the least", &[0, 0, 0, 0], 1_000, None),
            ("one hot, not for long", &[10, 60, 10, 10], DEMAND_HOT_LOOKS - 1, None),
            ("one hot", &[10, 60, 10, 10], DEMAND_HOT_LOOKS, split(1, &[10, 60, 10, 10])),
            ("the hottest of several", &[55, 60, 90, 10], DEMAND_HOT_LOOKS, split(2, &[55, 60, 90, 10])),
            ("just half", &[50, 50, 50, 50], 1_000, None),
            ("cold, not for long", &[0, 0, 0, 0, 0, 0], DEMAND_COLD_LOOKS - 1, None),
            ("cold", &[9, 9, 2, 1, 9, 9], DEMAND_COLD_LOOKS, Some(merge(2))),
            ("warm as a whole", &[20, 20, 2, 1, 20, 20], 1_000, None),
            ("no pair is cold", &[12, 0, 12, 0, 13, 0], 1_000, Some(merge(0))),
            (
                "one is hot among cold ones",
                &[60, 0, 0, 0, 0, 0, 0, 0],
                DEMAND_HOT_LOOKS,
                split(0, &[60, 0, 0, 0, 0, 0, 0, 0]),
            ),
            ("a single shard", &[0], 1_000, None),
        ];
        for (what, percents, looks, wanted) in table {
            assert_eq!(&after(*looks, percents), wanted, "{what}");
        }
    }

    #[test]
    fn a_moment_without_load_begins_the_wait_anew() {
        let mut patience = Patience::default();
        let (hot, calm) = (loads(&[60, 0, 0, 0]), loads(&[40, 40, 0, 0]));
        for _ in 0..DEMAND_HOT_LOOKS - 1 {
            assert_eq!(patience.look(&hot, 4), None);
        }
        assert_eq!(patience.look(&calm, 4), None);
        assert_eq!(patience.look(&hot, 4), None);
    }

    #[test]
    fn a_shard_of_few_hash_keys_is_not_split() {
        let mut one = loads(&[90])[0];
        one.range = HashRange { start: 5, end: 7 };
        let mut patience = Patience::default();
        assert!((0..1_000).all(|_| patience.look(&[one], 4).is_none()));
    }

    #[test]
    fn a_split_is_within_what_the_map_allows() {
        for range in [HashRange { start: 0, end: u128::MAX }, HashRange { start: 10, end: 13 }] {
            let Step::Split { start, .. } = (Load { range, ..loads(&[0])[0] }).split() else { unreachable!() };
            assert!(start > range.start + 1 && start < range.end, "{start} of {range:?}");
        }
    }
}
