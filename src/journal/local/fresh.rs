//! The newest puts of all shards, kept in memory so that readers at the tail never touch the disk.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::mem::size_of;

use crate::record::{Records, ShardId, StreamId};

/// A bounded cache of durable puts; the oldest of any shard goes first.
pub(super) struct Fresh {
    shards: HashMap<ShardId, VecDeque<Put>>,
    /// All puts by age, so that the oldest is found.
    ages: BTreeMap<u64, ShardId>,
    next_age: u64,
    bytes: usize,
    bytes_max: usize,
}

struct Put {
    age: u64,
    start: u64,
    records: Records,
}

impl Put {
    fn end(&self) -> u64 {
        self.start + self.records.len() as u64
    }

    fn bytes(&self) -> usize {
        let Records { ends, keys, .. } = &self.records;
        let ends = ends.len() + keys.as_ref().map_or(0, |keys| keys.ends.len());
        self.records.bytes() + size_of::<u32>() * ends + size_of::<Put>() + 32
    }
}

impl Fresh {
    /// Keeps at most `bytes_max` bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Fresh { shards: HashMap::new(), ages: BTreeMap::new(), next_age: 0, bytes: 0, bytes_max }
    }

    /// Takes the put that begins at `start`, the end of the shard so far.
    pub(super) fn push(&mut self, shard: ShardId, start: u64, records: Records) {
        let put = Put { age: self.next_age, start, records };
        if put.bytes() > self.bytes_max {
            // What is kept of a shard must have no gap.
            self.forget(shard, u64::MAX);
            return;
        }
        while self.bytes + put.bytes() > self.bytes_max {
            let Some((_, oldest)) = self.ages.first_key_value() else { break };
            self.drop_front(*oldest);
        }
        self.next_age += 1;
        self.bytes += put.bytes();
        self.ages.insert(put.age, shard);
        self.shards.entry(shard).or_default().push_back(put);
    }

    /// The puts from position `start` up to about `bytes_max` bytes, the first one cut there; at least one.
    /// `None` when `start` is not held.
    pub(super) fn read(&self, shard: ShardId, start: u64, bytes_max: usize) -> Option<Vec<Records>> {
        let puts = self.shards.get(&shard)?;
        let from = puts.partition_point(|put| put.end() <= start);
        let first = puts.get(from).filter(|put| put.start <= start)?;
        let skip = (start - first.start) as usize;
        let mut found =
            vec![if skip == 0 { first.records.clone() } else { first.records.slice(skip, first.records.len()) }];
        let mut bytes = found[0].bytes();
        for put in puts.range(from + 1..) {
            bytes += put.records.bytes();
            if bytes > bytes_max {
                break;
            }
            found.push(put.records.clone());
        }
        Some(found)
    }

    /// Lets the puts before `end` go.
    pub(super) fn forget(&mut self, shard: ShardId, end: u64) {
        while self.shards.get(&shard).and_then(VecDeque::front).is_some_and(|put| put.end() <= end) {
            self.drop_front(shard);
        }
    }

    /// Lets a stream go.
    pub(super) fn forget_stream(&mut self, stream: StreamId) {
        let shards: Vec<ShardId> = self.shards.keys().filter(|shard| shard.stream == stream).copied().collect();
        for shard in shards {
            self.forget(shard, u64::MAX);
        }
    }

    fn drop_front(&mut self, shard: ShardId) {
        let Some(puts) = self.shards.get_mut(&shard) else { return };
        if let Some(put) = puts.pop_front() {
            self.bytes -= put.bytes();
            self.ages.remove(&put.age);
        }
        if puts.is_empty() {
            self.shards.remove(&shard);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Keys;

    fn shard(index: u32) -> ShardId {
        ShardId { stream: StreamId(1), index }
    }

    fn records(text: &str) -> Records {
        Records::from_slices(0, &text.split(' ').collect::<Vec<_>>())
    }

    fn texts(found: &[Records]) -> Vec<String> {
        found.iter().flat_map(|put| put.iter().map(|record| String::from_utf8(record.to_vec()).unwrap())).collect()
    }

    #[test]
    fn reads_begin_anywhere_and_respect_the_bound() {
        let mut fresh = Fresh::new(10_000);
        fresh.push(shard(0), 0, records("a b c"));
        fresh.push(shard(0), 3, records("d e"));
        assert_eq!(texts(&fresh.read(shard(0), 1, 100).unwrap()), ["b", "c", "d", "e"]);
        assert_eq!(texts(&fresh.read(shard(0), 1, 0).unwrap()), ["b", "c"]);
        assert_eq!(texts(&fresh.read(shard(0), 3, 100).unwrap()), ["d", "e"]);
        assert!(fresh.read(shard(0), 5, 100).is_none());
        assert!(fresh.read(shard(1), 0, 100).is_none());
        fresh.forget(shard(0), 4);
        assert!(fresh.read(shard(0), 2, 100).is_none());
        assert_eq!(texts(&fresh.read(shard(0), 3, 100).unwrap()), ["d", "e"]);
        fresh.forget_stream(StreamId(1));
        assert_eq!((fresh.bytes, fresh.ages.len(), fresh.shards.len()), (0, 0, 0));
    }

    #[test]
    fn the_oldest_of_all_shards_goes_first() {
        let one = Put { age: 0, start: 0, records: records("xxxx") }.bytes();
        let mut fresh = Fresh::new(3 * one);
        for (index, start) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            fresh.push(shard(index), start, records("xxxx"));
        }
        assert!(fresh.read(shard(0), 0, 1).is_none());
        assert!(fresh.read(shard(0), 1, 1).is_some());
        assert!(fresh.read(shard(1), 0, 1).is_some());
        assert_eq!(fresh.bytes, 3 * one);
    }

    #[test]
    fn keys_count_as_bytes() {
        let keyed = |text: &str| {
            let Records { ends, data, .. } = records(&"k".repeat(100));
            Records { keys: Some(Keys { ends, data }), ..records(text) }
        };
        let put = |records| Put { age: 0, start: 0, records }.bytes();
        assert_eq!(put(keyed("a")) - put(records("a")), 104);
        let mut fresh = Fresh::new(10_000);
        fresh.push(shard(0), 0, keyed("a"));
        fresh.push(shard(0), 1, keyed("b"));
        assert_eq!(fresh.read(shard(0), 0, 201).unwrap().len(), 1);
        assert_eq!(fresh.read(shard(0), 0, 202).unwrap(), [keyed("a"), keyed("b")]);
    }

    #[test]
    fn a_put_that_does_not_fit_leaves_no_gap() {
        let mut fresh = Fresh::new(300);
        fresh.push(shard(0), 0, records("a"));
        fresh.push(shard(0), 1, records(&"b".repeat(1_000)));
        assert!(fresh.read(shard(0), 0, 1).is_none());
        fresh.push(shard(0), 2, records("c"));
        assert_eq!(texts(&fresh.read(shard(0), 2, 1).unwrap()), ["c"]);
    }
}
