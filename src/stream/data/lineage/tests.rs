//! Whatever is done to a map, its open shards cover all hash keys once, and lineage is told by parents that are there.

use proptest::prelude::*;

use super::*;

struct Stream {
    shards: Vec<Shard>,
    next: u32,
    now_ms: u64,
}

impl Stream {
    fn new(count: u32) -> Self {
        let mut stream = Stream { shards: Vec::new(), next: 0, now_ms: 50_000 };
        Map { shards: &mut stream.shards, next: &mut stream.next }.fill(count, 50_000, 50_000);
        stream
    }

    fn open(&self) -> Vec<&Shard> {
        let mut open: Vec<_> = self.shards.iter().filter(|shard| shard.closed.is_none()).collect();
        open.sort_by_key(|shard| shard.range.start);
        open
    }

    fn ranges(&self) -> Vec<HashRange> {
        self.open().iter().map(|shard| shard.range).collect()
    }

    /// Does `steps`; each shard that was there ends at a hundred times its number.
    fn reshard(&mut self, steps: &[Step]) {
        let ends = closing(&self.shards, steps).into_iter().map(|index| (index, u64::from(index) * 100)).collect();
        self.now_ms += 10;
        Map { shards: &mut self.shards, next: &mut self.next }.reshard(steps, &ends, self.now_ms).unwrap();
    }

    fn rescale(&mut self, target: u32) {
        self.reshard(&uniform(&self.shards, self.next, target));
    }

    fn check(&self) {
        let open = self.open();
        assert_eq!((open[0].range.start, open[open.len() - 1].range.end), (0, u128::MAX));
        for pair in open.windows(2) {
            assert_eq!(pair[0].range.end + 1, pair[1].range.start);
        }
        for (at, shard) in self.shards.iter().enumerate() {
            assert_eq!(shard.index as usize, at);
            for parent in shard.parent.into_iter().chain(shard.adjacent_parent) {
                Self::check_parent(shard, &self.shards[parent as usize]);
            }
        }
    }

    fn check_parent(shard: &Shard, parent: &Shard) {
        let closed = parent.closed.expect("a parent is closed");
        assert!(closed.at_ms <= shard.opened_ms && parent.index < shard.index);
        let overlap = parent.range.start <= shard.range.end && shard.range.start <= parent.range.end;
        assert!(overlap, "{parent:?} and {shard:?} have nothing in common");
        assert!(shard.first_sequence() > parent.last_sequence().unwrap());
        assert!(shard.first_sequence() > parent.sequence(u64::MAX, u64::MAX));
        let made_by_the_same_change = closed.at_ms == parent.opened_ms && parent.parent.is_some();
        assert!(closed.end == u64::from(parent.index) * 100 || made_by_the_same_change && closed.end == 0);
    }
}

#[test]
fn ranges_are_cut_as_awss_are() {
    let width = 113_427_455_640_312_821_154_458_202_477_256_070_485;
    let thirds: Vec<_> = uniform_ranges(3).map(|range| (range.start, range.end)).collect();
    assert_eq!(thirds, [(0, width - 1), (width, 2 * width - 1), (2 * width, u128::MAX)]);
    let half = 170_141_183_460_469_231_731_687_303_715_884_105_728;
    let halves: Vec<_> = uniform_ranges(2).map(|range| (range.start, range.end)).collect();
    assert_eq!(halves, [(0, half - 1), (half, u128::MAX)]);
    assert_eq!(uniform_ranges(1).collect::<Vec<_>>(), [HashRange::ALL]);
}

#[test]
fn a_doubling_is_one_split_of_each_and_back_one_merge_of_each_pair() {
    for count in [1, 2, 3, 5, 7, 100] {
        let mut stream = Stream::new(count);
        let steps = uniform(&stream.shards, stream.next, 2 * count);
        assert_eq!(steps.len(), count as usize);
        stream.reshard(&steps);
        stream.check();
        assert_eq!(stream.open().len(), 2 * count as usize);
        let steps = uniform(&stream.shards, stream.next, count);
        assert!(steps.len() == count as usize && steps.iter().all(|step| matches!(step, Step::Merge { .. })));
    }
}

#[test]
fn a_rescale_to_what_is_there_does_nothing() {
    let mut stream = Stream::new(6);
    assert_eq!(uniform(&stream.shards, stream.next, 6), []);
    stream.rescale(12);
    stream.rescale(6);
    assert_eq!(uniform(&stream.shards, stream.next, 6), []);
}

#[test]
fn a_stream_grows_to_the_most_there_may_be_and_shrinks_to_one() {
    let mut stream = Stream::new(1);
    stream.rescale(crate::limits::SHARDS_MAX);
    assert_eq!(stream.open().len(), 10_000);
    stream.rescale(1);
    stream.check();
    assert_eq!(stream.ranges(), [HashRange::ALL]);
}

#[test]
fn a_map_that_would_grow_without_bound_is_refused_whole() {
    let mut stream = Stream::new(1);
    stream.rescale(10_000);
    stream.rescale(1);
    let before = stream.shards.clone();
    let steps = uniform(&stream.shards, stream.next, 10_000);
    let mut map = Map { shards: &mut stream.shards, next: &mut stream.next };
    let error = map.reshard(&steps, &BTreeMap::new(), 90_000).unwrap_err();
    assert_eq!((error.kind(), stream.shards == before), (Kind::Throttled, true));
}

#[test]
fn filters_show_what_was_open_when() {
    // 0 is split at 50_010 into 1 and 2; 1 and 2 are merged at 50_020 into 3.
    let mut stream = Stream::new(1);
    stream.reshard(&[Step::Split { shard: 0, start: 1 << 100 }]);
    stream.reshard(&[Step::Merge { lower: 1, upper: 2 }]);
    for (filter, horizon_ms, shown) in [
        (ShardFilter::FromTrimHorizon, 50_000, vec![0, 1, 2, 3]),
        (ShardFilter::FromTrimHorizon, 50_015, vec![1, 2, 3]),
        (ShardFilter::FromTrimHorizon, 60_000, vec![3]),
        (ShardFilter::AtTrimHorizon, 50_000, vec![0]),
        (ShardFilter::AtTrimHorizon, 50_015, vec![1, 2]),
        (ShardFilter::AtTrimHorizon, 60_000, vec![3]),
        (ShardFilter::AtLatest, 50_000, vec![3]),
        (ShardFilter::At(50_005), 50_000, vec![0]),
        (ShardFilter::At(50_015), 50_000, vec![1, 2]),
        (ShardFilter::At(50_021), 50_000, vec![3]),
        (ShardFilter::At(1), 50_015, vec![1, 2]),
        (ShardFilter::From(50_015), 50_000, vec![1, 2, 3]),
        (ShardFilter::From(50_021), 50_000, vec![3]),
        (ShardFilter::From(0), 50_015, vec![1, 2, 3]),
        (ShardFilter::After(0), 50_000, vec![1, 2, 3]),
        (ShardFilter::After(2), 50_000, vec![3]),
        (ShardFilter::After(0), 50_021, vec![3]),
    ] {
        let shards = stream.shards.iter().filter(|shard| filter.shows(shard, horizon_ms));
        assert_eq!(shards.map(|shard| shard.index).collect::<Vec<_>>(), shown, "{filter:?} at {horizon_ms}");
    }
}

#[derive(Clone, Debug)]
enum Act {
    Split(prop::sample::Index, u128),
    Merge(prop::sample::Index),
    Rescale(u32),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (any::<prop::sample::Index>(), any::<u128>()).prop_map(|(which, at)| Act::Split(which, at)),
        any::<prop::sample::Index>().prop_map(Act::Merge),
        (1..40_u32).prop_map(Act::Rescale),
    ]
}

proptest! {
    #[test]
    fn open_shards_always_cover_all_hash_keys_once(count in 1..30_u32, acts in prop::collection::vec(act(), 1..12)) {
        let mut stream = Stream::new(count);
        for act in acts {
            let open: Vec<Shard> = stream.open().into_iter().cloned().collect();
            match act {
                Act::Split(which, at) => {
                    let shard = which.get(&open);
                    let start = shard.range.start + 1 + at % (shard.range.end - shard.range.start).max(1);
                    if start <= shard.range.end {
                        stream.reshard(&[Step::Split { shard: shard.index, start }]);
                    }
                }
                Act::Merge(which) if open.len() > 1 => {
                    let at = which.index(open.len() - 1);
                    stream.reshard(&[Step::Merge { lower: open[at].index, upper: open[at + 1].index }]);
                }
                Act::Merge(_) => {}
                Act::Rescale(target) => {
                    stream.rescale(target);
                    prop_assert_eq!(stream.open().len(), target as usize);
                    let even = u128::MAX / u128::from(target);
                    for range in stream.ranges() {
                        prop_assert!((range.end - range.start).abs_diff(even) <= even / 400 + 400);
                    }
                }
            }
            stream.check();
        }
    }
}
