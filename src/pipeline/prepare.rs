//! The CPU part of delivery, pure: records are cut into chunks, each chunk is processed, joined and encoded on its own,
//! and the encoded chunks one after the other are the object.
//!
//! Where a chunk ends depends on the records alone, counted from the plan's first position, so a repeat makes the same
//! chunks whatever sizes the journal reads them in.

use std::borrow::Cow;

use bytes::Bytes;

use super::failed::{self, Failure};
use super::target::{Step, Target};
use crate::config::Delimiter;
use crate::format::{Chunk, Encoding, lines};
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

    /// The last chunk, if any records are left.
    pub(super) fn finish(&mut self) -> Option<Vec<Records>> {
        (self.bytes, self.records) = (0, 0);
        (!self.open.is_empty()).then(|| std::mem::take(&mut self.open))
    }
}

/// What is done to each chunk.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
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
        Recipe { process: target.process.clone(), delimiter: target.delimiter, encoding: target.encoding() }
    }

    /// Processes, joins and encodes one chunk.
    pub(super) fn prepare(&self, chunk: &[Records]) -> Prepared {
        let mut joined = Vec::with_capacity(chunk.iter().map(|records| records.data.len() + records.len()).sum());
        let mut tally = Tally::default();
        for records in chunk {
            let kept = self.keep(records);
            tally.failed += (records.len() - kept.len()) as u64;
            tally.delivered += kept.len() as u64;
            tally.delivered_bytes += kept.data.len() as u64;
            lines::append(&mut joined, &kept, self.delimiter);
        }
        Prepared { chunk: self.encoding.encode_chunk(&joined), tally }
    }

    /// The records that no processor refuses.
    fn keep<'a>(&self, records: &'a Records) -> Cow<'a, Records> {
        if self.process.is_empty() {
            return Cow::Borrowed(records);
        }
        let kept: Vec<_> = records.iter().filter(|record| self.failure(record).is_none()).collect();
        Cow::Owned(Records::from_slices(records.arrived_ms, &kept))
    }

    /// The error output of one chunk: a line for each record that fails.
    pub(super) fn failures(&self, chunk: &[Records], ended_ms: u64) -> Bytes {
        let mut out = Vec::new();
        for records in chunk {
            for record in records.iter() {
                if let Some(failure) = self.failure(record) {
                    failed::write_line(&mut out, record, records.arrived_ms, ended_ms, &failure);
                }
            }
        }
        out.into()
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
        let recipe =
            Recipe { process: vec![Step::RequireJson], delimiter: Delimiter::Always, encoding: Encoding::default() };
        let chunk = [Records::from_slices(5, &["{\"a\":1}", "{\"a\":", "2 3", "null"])];
        let prepared = recipe.prepare(&chunk);
        assert_eq!((prepared.tally.delivered, prepared.tally.failed, prepared.tally.delivered_bytes), (2, 2, 11));
        let errors = recipe.failures(&chunk, 9);
        assert_eq!(errors.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 2);
    }
}
