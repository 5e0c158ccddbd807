//! Runs of records are cut into chunks, which are processed and encoded each on its own.
//!
//! Where a chunk ends depends on the records alone, counted from the first position of each span of the plan, so a
//! repeat makes the same chunks whatever sizes the journal reads them in, and however reads of several shards came in turn.

use crate::limits::{ENCODE_CHUNK_BYTES, ENCODE_CHUNK_RECORDS_MAX};
use crate::record::{Records, ShardId};

/// Records, and where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// Their shard.
    pub shard: ShardId,
    /// The position of the first; the others follow without holes.
    pub first: u64,
    /// The records.
    pub records: Records,
}

impl Placed {
    /// Those `from..to`, sharing the bytes.
    pub(super) fn slice(&self, from: usize, to: usize) -> Placed {
        let first = self.first + from as u64;
        Placed { shard: self.shard, first, records: self.records.slice(from, to) }
    }
}

/// Cuts a run of records into chunks of [`ENCODE_CHUNK_BYTES`]: a chunk ends with the record that reaches that many, or
/// [`ENCODE_CHUNK_RECORDS_MAX`].
#[derive(Default)]
pub(super) struct Chunker {
    open: Vec<Placed>,
    bytes: usize,
    records: usize,
}

impl Chunker {
    /// Takes records in and gives back each chunk that became whole.
    pub(super) fn push(&mut self, mut placed: Placed) -> Vec<Vec<Placed>> {
        let mut whole = Vec::new();
        while !placed.records.is_empty() {
            let records = &placed.records;
            let wanted = ENCODE_CHUNK_BYTES - self.bytes;
            let last = ENCODE_CHUNK_RECORDS_MAX - self.records - 1;
            let reaching = records.ends.partition_point(|end| (*end as usize) < wanted).min(last);
            if reaching == records.len() {
                self.bytes += records.data.len();
                self.records += records.len();
                self.open.push(placed);
                break;
            }
            let rest = placed.slice(reaching + 1, records.len());
            self.open.push(if rest.records.is_empty() { placed } else { placed.slice(0, reaching + 1) });
            whole.push(std::mem::take(&mut self.open));
            (self.bytes, self.records) = (0, 0);
            placed = rest;
        }
        whole
    }

    /// About so much memory do the records take that are in no whole chunk yet.
    pub(super) fn held(&self) -> usize {
        self.bytes + size_of::<u32>() * self.records + 2 * size_of::<Placed>() * self.open.len()
    }

    /// The last chunk, if any records are left.
    pub(super) fn finish(&mut self) -> Option<Vec<Placed>> {
        (self.bytes, self.records) = (0, 0);
        (!self.open.is_empty()).then(|| std::mem::take(&mut self.open))
    }
}

/// The first half of a chunk's records and the others. There must be two at least.
pub(super) fn halves(chunk: &[Placed]) -> [Vec<Placed>; 2] {
    let records: usize = chunk.iter().map(|placed| placed.records.len()).sum();
    let (mut first, mut others, mut left) = (Vec::new(), Vec::new(), records / 2);
    for placed in chunk {
        let count = placed.records.len();
        let taken = left.min(count);
        left -= taken;
        if taken > 0 {
            first.push(placed.slice(0, taken));
        }
        if taken < count {
            others.push(placed.slice(taken, count));
        }
    }
    [first, others]
}

/// Joins what is left of spans that follow each other and do not fill a chunk: without it an object of many shards, each
/// of which has a few records, would be as many little chunks.
#[derive(Default)]
pub(super) struct Tails {
    open: Vec<Placed>,
    bytes: usize,
    records: usize,
}

impl Tails {
    /// Takes the last chunk of a span in; gives one back that is large enough.
    pub(super) fn push(&mut self, tail: Vec<Placed>) -> Option<Vec<Placed>> {
        self.bytes += tail.iter().map(|placed| placed.records.data.len()).sum::<usize>();
        self.records += tail.iter().map(|placed| placed.records.len()).sum::<usize>();
        self.open.extend(tail);
        let is_large = self.bytes >= ENCODE_CHUNK_BYTES || self.records >= ENCODE_CHUNK_RECORDS_MAX;
        if is_large { self.finish() } else { None }
    }

    /// What stands before a whole chunk of the next span, or at the end.
    pub(super) fn finish(&mut self) -> Option<Vec<Placed>> {
        (self.bytes, self.records) = (0, 0);
        (!self.open.is_empty()).then(|| std::mem::take(&mut self.open))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::StreamId;

    /// Records of a delivery stream, from `first` on.
    pub(in crate::pipeline) fn placed(first: u64, records: Records) -> Placed {
        Placed { shard: ShardId { stream: StreamId(1), index: 0 }, first, records }
    }

    fn chunks(parts: &[Placed]) -> Vec<Vec<Placed>> {
        let mut chunker = Chunker::default();
        let mut all: Vec<_> = parts.iter().flat_map(|part| chunker.push(part.clone())).collect();
        all.extend(chunker.finish());
        all
    }

    /// The position and the bytes of each record.
    fn listed(chunk: &[Placed]) -> Vec<(u64, Vec<u8>)> {
        let each = |placed: &Placed| {
            let first = placed.first;
            placed
                .records
                .iter()
                .enumerate()
                .map(|(at, record)| (first + at as u64, record.to_vec()))
                .collect::<Vec<_>>()
        };
        chunk.iter().flat_map(each).collect()
    }

    #[test]
    fn little_tails_are_joined_and_large_ones_are_not_held() {
        let mut tails = Tails::default();
        let tail = |bytes| vec![placed(0, Records::from_slices(0, &[vec![b'x'; bytes]]))];
        assert!(tails.push(tail(ENCODE_CHUNK_BYTES / 2)).is_none());
        assert_eq!(tails.push(tail(ENCODE_CHUNK_BYTES / 2)).unwrap().len(), 2);
        assert!(tails.push(tail(1)).is_none());
        assert_eq!(tails.finish().unwrap().len(), 1);
        assert!(tails.finish().is_none());
        let empties = vec![placed(0, Records::from_slices(0, &vec![""; ENCODE_CHUNK_RECORDS_MAX]))];
        assert!(tails.push(empties).is_some(), "records without bytes are counted too");
    }

    #[test]
    fn the_halves_of_a_chunk_are_its_records() {
        let chunk =
            [placed(0, Records::from_slices(5, &["a", "b", "c"])), placed(7, Records::from_slices(6, &["d", "e"]))];
        let texts = |half: &[Placed]| -> Vec<(u64, Vec<u8>)> {
            half.iter().map(|placed| (placed.first, placed.records.iter().flatten().copied().collect())).collect()
        };
        let [first, others] = halves(&chunk);
        assert_eq!(texts(&first), [(0, b"ab".to_vec())]);
        assert_eq!(texts(&others), [(2, b"c".to_vec()), (7, b"de".to_vec())]);
        let [first, others] = halves(&chunk[1..]);
        assert_eq!((texts(&first), texts(&others)), (vec![(7, b"d".to_vec())], vec![(8, b"e".to_vec())]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn chunks_do_not_depend_on_how_records_come(lens in prop::collection::vec(0usize..400_000, 1..24), cut in 0usize..24) {
            let bodies: Vec<Vec<u8>> = lens.iter().enumerate().map(|(i, len)| vec![i as u8; *len]).collect();
            let all = placed(7, Records::from_slices(0, &bodies));
            let cut = cut.min(bodies.len());
            let whole: Vec<_> = chunks(std::slice::from_ref(&all)).iter().map(|chunk| listed(chunk)).collect();
            let parts = chunks(&[all.slice(0, cut), all.slice(cut, bodies.len())]);
            prop_assert_eq!(&whole, &parts.iter().map(|chunk| listed(chunk)).collect::<Vec<_>>());
            let expected: Vec<_> = bodies.into_iter().enumerate().map(|(at, body)| (7 + at as u64, body)).collect();
            prop_assert_eq!(whole.concat(), expected);
        }
    }

    #[test]
    fn empty_records_do_not_gather_without_bound() {
        let mut chunker = Chunker::default();
        let put = placed(0, Records::from_slices(0, &[""; 500]));
        let whole: Vec<usize> = (0..1_000)
            .flat_map(|_| chunker.push(put.clone()))
            .map(|chunk| chunk.iter().map(|placed| placed.records.len()).sum())
            .collect();
        assert_eq!(whole, vec![ENCODE_CHUNK_RECORDS_MAX; 500_000 / ENCODE_CHUNK_RECORDS_MAX]);
        let left: usize = chunker.finish().unwrap().iter().map(|placed| placed.records.len()).sum();
        assert_eq!(left, 500_000 % ENCODE_CHUNK_RECORDS_MAX);
    }
}
