//! The CPU part of delivery, pure: records are cut into chunks, each chunk is processed, joined and encoded on its own,
//! and the encoded chunks one after the other are the object.
//!
//! Where a chunk ends depends on the records alone, counted from the first position of each span of the plan, so a
//! repeat makes the same chunks whatever sizes the journal reads them in, and however reads of several shards came in turn.

use bytes::Bytes;

use super::failed::{self, Failure};
use super::target::{Step, Target};
use crate::config::Delimiter;
use crate::format::{Chunk, Encoding, kpl, lines};
use crate::ledger::Tally;
use crate::limits::{ENCODE_CHUNK_BYTES, ENCODE_CHUNK_RECORDS_MAX};
use crate::record::Records;

/// Cuts a run of records into chunks of [`ENCODE_CHUNK_BYTES`]: a chunk ends with the record that reaches that many, or
/// [`ENCODE_CHUNK_RECORDS_MAX`].
#[derive(Default)]
pub(super) struct Chunker {
    open: Vec<Records>,
    bytes: usize,
    records: usize,
}

impl Chunker {
    /// Takes records in and gives back each chunk that became whole.
    pub(super) fn push(&mut self, mut records: Records) -> Vec<Vec<Records>> {
        let mut whole = Vec::new();
        while !records.is_empty() {
            let wanted = ENCODE_CHUNK_BYTES - self.bytes;
            let last = ENCODE_CHUNK_RECORDS_MAX - self.records - 1;
            let reaching = records.ends.partition_point(|end| (*end as usize) < wanted).min(last);
            if reaching == records.len() {
                self.bytes += records.data.len();
                self.records += records.len();
                self.open.push(records);
                break;
            }
            let rest = records.slice(reaching + 1, records.len());
            self.open.push(if rest.is_empty() { records } else { records.slice(0, reaching + 1) });
            whole.push(std::mem::take(&mut self.open));
            (self.bytes, self.records) = (0, 0);
            records = rest;
        }
        whole
    }

    /// About so much memory do the records take that are in no whole chunk yet.
    pub(super) fn held(&self) -> usize {
        self.bytes + size_of::<u32>() * self.records + 2 * size_of::<Records>() * self.open.len()
    }

    /// The last chunk, if any records are left.
    pub(super) fn finish(&mut self) -> Option<Vec<Records>> {
        (self.bytes, self.records) = (0, 0);
        (!self.open.is_empty()).then(|| std::mem::take(&mut self.open))
    }
}

/// Joins what is left of spans that follow each other and do not fill a chunk: without it an object of many shards, each
/// of which has a few records, would be as many little chunks.
#[derive(Default)]
pub(super) struct Tails {
    open: Vec<Records>,
    bytes: usize,
    records: usize,
}

impl Tails {
    /// Takes the last chunk of a span in; gives one back that is large enough.
    pub(super) fn push(&mut self, tail: Vec<Records>) -> Option<Vec<Records>> {
        self.bytes += tail.iter().map(|records| records.data.len()).sum::<usize>();
        self.records += tail.iter().map(Records::len).sum::<usize>();
        self.open.extend(tail);
        let is_large = self.bytes >= ENCODE_CHUNK_BYTES || self.records >= ENCODE_CHUNK_RECORDS_MAX;
        if is_large { self.finish() } else { None }
    }

    /// What stands before a whole chunk of the next span, or at the end.
    pub(super) fn finish(&mut self) -> Option<Vec<Records>> {
        (self.bytes, self.records) = (0, 0);
        (!self.open.is_empty()).then(|| std::mem::take(&mut self.open))
    }
}

/// What is done to each chunk.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    unpack: bool,
    process: Vec<Step>,
    delimiter: Delimiter,
    encoding: Encoding,
}

/// A chunk made ready: its part of the object, and what it counted.
pub(super) struct Prepared {
    pub chunk: Chunk,
    pub tally: Tally,
}

impl Recipe {
    /// The recipe of a target.
    pub(super) fn of(target: &Target) -> Self {
        Recipe {
            unpack: target.unpack,
            process: target.process.clone(),
            delimiter: target.delimiter,
            encoding: target.encoding(),
        }
    }

    /// Processes, joins and encodes one chunk.
    pub(super) fn prepare(&self, chunk: &[Records]) -> Prepared {
        let mut joined = Vec::with_capacity(chunk.iter().map(|records| records.data.len() + records.len()).sum());
        let mut tally = Tally::default();
        for records in chunk {
            if self.is_untouched(records) {
                tally.delivered += records.len() as u64;
                tally.delivered_bytes += records.data.len() as u64;
                lines::append(&mut joined, records, self.delimiter);
                continue;
            }
            for record in records.iter() {
                self.sort(
                    record,
                    &mut tally,
                    |record| lines::append_record(&mut joined, record, self.delimiter),
                    |_, _| {},
                );
            }
        }
        Prepared { chunk: self.encoding.encode_chunk(&joined), tally }
    }

    /// The error output of one chunk: a line for each user record that fails.
    pub(super) fn failures(&self, chunk: &[Records], ended_ms: u64) -> Bytes {
        let (mut out, mut tally) = (Vec::new(), Tally::default());
        for records in chunk {
            for record in records.iter() {
                let failed = |record: &[u8], failure: Failure| {
                    failed::write_line(&mut out, record, records.arrived_ms, ended_ms, &failure);
                };
                self.sort(record, &mut tally, |_| {}, failed);
            }
        }
        out.into()
    }

    /// Whether all records are delivered just as they are.
    fn is_untouched(&self, records: &Records) -> bool {
        self.process.is_empty() && !(self.unpack && records.iter().any(kpl::may_be_aggregate))
    }

    /// Hands each user record of `record` to where it belongs, and counts the position as [`Tally`] says.
    fn sort(
        &self,
        record: &[u8],
        tally: &mut Tally,
        mut deliver: impl FnMut(&[u8]),
        mut fail: impl FnMut(&[u8], Failure),
    ) {
        let (mut delivered, mut failed) = (0, 0);
        let mut one = |record: &[u8]| match self.failure(record) {
            None => {
                delivered += 1;
                tally.delivered_bytes += record.len() as u64;
                deliver(record);
            }
            Some(failure) => {
                failed += 1;
                fail(record, failure);
            }
        };
        match if self.unpack { kpl::user_records(record) } else { None } {
            Some(records) => records.for_each(&mut one),
            None => one(record),
        }
        if delivered > 0 {
            tally.delivered += 1;
            tally.unpacked += delivered - 1;
            tally.unpacked_failed += failed;
        } else if failed > 0 {
            tally.failed += 1;
            tally.unpacked_failed += failed - 1;
        } else {
            tally.dropped += 1;
        }
    }

    fn failure(&self, record: &[u8]) -> Option<Failure> {
        self.process.iter().find_map(|step| match step {
            Step::RequireJson => require_json(record).err(),
        })
    }
}

/// A record must be exactly one JSON value.
fn require_json(record: &[u8]) -> Result<(), Failure> {
    match serde_json::from_slice::<serde::de::IgnoredAny>(record) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure {
            code: "RequireJson.ParseError",
            message: format!("the record is not one JSON value: {error}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunks(parts: &[Records]) -> Vec<Vec<u8>> {
        let mut chunker = Chunker::default();
        let mut all: Vec<_> = parts.iter().flat_map(|part| chunker.push(part.clone())).collect();
        all.extend(chunker.finish());
        all.iter().map(|chunk| chunk.iter().flat_map(|records| records.data.to_vec()).collect()).collect()
    }

    fn recipe(unpack: bool) -> Recipe {
        let (delimiter, encoding) = (Delimiter::Always, Encoding::default());
        Recipe { unpack, process: vec![Step::RequireJson], delimiter, encoding }
    }

    #[test]
    fn user_records_of_an_aggregate_are_sorted_one_by_one_and_it_counts_as_one_position() {
        use crate::format::kpl::tests::aggregate;

        let mixed = aggregate(&["1", "{", "2", "["]);
        let bad = aggregate(&["{", "["]);
        let none = aggregate(&[""; 0]);
        let chunk = [Records::from_slices(5, &[&mixed[..], b"3", &bad, &none, b"]"])];
        let prepared = recipe(true).prepare(&chunk);
        let Tally { delivered, unpacked, failed, unpacked_failed, dropped, delivered_bytes, .. } = prepared.tally;
        assert_eq!((delivered, unpacked, delivered_bytes), (2, 1, 3));
        assert_eq!((failed, unpacked_failed, dropped), (2, 3, 1));
        assert_eq!(prepared.tally.positions(), 5);
        assert_eq!(prepared.chunk.bytes, "1\n2\n3\n");
        let errors = recipe(true).failures(&chunk, 9);
        assert_eq!(errors.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 5);

        let as_it_is = Recipe { process: Vec::new(), ..recipe(false) }.prepare(&chunk);
        assert_eq!((as_it_is.tally.delivered, as_it_is.tally.unpacked), (5, 0));
    }

    #[test]
    fn little_tails_are_joined_and_large_ones_are_not_held() {
        let mut tails = Tails::default();
        let tail = |bytes| vec![Records::from_slices(0, &[vec![b'x'; bytes]])];
        assert!(tails.push(tail(ENCODE_CHUNK_BYTES / 2)).is_none());
        assert_eq!(tails.push(tail(ENCODE_CHUNK_BYTES / 2)).unwrap().len(), 2);
        assert!(tails.push(tail(1)).is_none());
        assert_eq!(tails.finish().unwrap().len(), 1);
        assert!(tails.finish().is_none());
        let empties = vec![Records::from_slices(0, &vec![""; ENCODE_CHUNK_RECORDS_MAX])];
        assert!(tails.push(empties).is_some(), "records without bytes are counted too");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn chunks_do_not_depend_on_how_records_come(lens in prop::collection::vec(0usize..400_000, 1..24), cut in 0usize..24) {
            let bodies: Vec<Vec<u8>> = lens.iter().enumerate().map(|(i, len)| vec![i as u8; *len]).collect();
            let all = Records::from_slices(0, &bodies);
            let cut = cut.min(all.len());
            let whole = chunks(std::slice::from_ref(&all));
            prop_assert_eq!(&whole, &chunks(&[all.slice(0, cut), all.slice(cut, all.len())]));
            prop_assert_eq!(whole.concat(), all.data.to_vec());
        }
    }

    #[test]
    fn empty_records_do_not_gather_without_bound() {
        let mut chunker = Chunker::default();
        let put = Records::from_slices(0, &[""; 500]);
        let whole: Vec<usize> = (0..1_000)
            .flat_map(|_| chunker.push(put.clone()))
            .map(|chunk| chunk.iter().map(Records::len).sum())
            .collect();
        assert_eq!(whole, vec![ENCODE_CHUNK_RECORDS_MAX; 500_000 / ENCODE_CHUNK_RECORDS_MAX]);
        let left: usize = chunker.finish().unwrap().iter().map(Records::len).sum();
        assert_eq!(left, 500_000 % ENCODE_CHUNK_RECORDS_MAX);
    }

    #[test]
    fn a_record_that_is_not_json_is_counted_and_written_to_the_errors_alone() {
        let recipe = recipe(false);
        let chunk = [Records::from_slices(5, &["{\"a\":1}", "{\"a\":", "2 3", "null"])];
        let prepared = recipe.prepare(&chunk);
        assert_eq!((prepared.tally.delivered, prepared.tally.failed, prepared.tally.delivered_bytes), (2, 2, 11));
        let errors = recipe.failures(&chunk, 9);
        assert_eq!(errors.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 2);
    }
}
