//! The answers to all batches, put together: rows in order, with the partition keys of earlier steps.

use std::collections::BTreeMap;
use std::ops::Range;

use super::answer::{Answer, Status};
use super::fault::{Fault, STATUS_FAILED};
use super::voice::bounded;
use crate::transform::{Failed, Failure, KeyColumn, Outcome, Rows};

/// What is there so far.
pub(super) struct Gather<'a> {
    before: &'a Rows,
    /// The plugin's ARN.
    arn: Option<&'a str>,
    /// Rows so far. Its keys are those of earlier steps, then what this step brought.
    rows: Rows,
    failed: BTreeMap<u32, Failure>,
    pub(super) counts: Counts,
}

/// What became of the rows that were given, one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that became rows.
    pub ok: u64,
    /// Rows that were dropped.
    pub dropped: u64,
    /// Rows that failed.
    pub failed: u64,
}

impl<'a> Gather<'a> {
    pub(super) fn new(before: &'a Rows, arn: Option<&'a str>) -> Self {
        let keys = before.keys.iter().map(|key| KeyColumn { name: key.name.clone(), ..KeyColumn::default() });
        let rows = Rows {
            data: Vec::with_capacity(before.data.len()),
            ends: Vec::with_capacity(before.len()),
            origins: Vec::with_capacity(before.len()),
            keys: keys.collect(),
        };
        Gather { before, arn, rows, failed: BTreeMap::new(), counts: Counts::default() }
    }

    /// The partition keys so far.
    pub(super) fn keys(&self) -> &[KeyColumn] {
        &self.rows.keys
    }

    /// Bytes of output so far and with the answer to the rows `range`, partition keys of earlier steps included: those
    /// come again for each row that is made of a row.
    pub(super) fn bytes_with(&self, range: &Range<usize>, answer: &Answer) -> u64 {
        let mut bytes = self.rows.data.len() + answer.data.len();
        bytes += self.rows.keys.iter().chain(&answer.keys).map(|key| key.data.len()).sum::<usize>();
        for key in &self.before.keys {
            let carried = answer.inputs.iter().map(|&input| key.get(range.start + input as usize).len());
            bytes += carried.sum::<usize>();
        }
        bytes as u64
    }

    /// Takes the answer to the rows `range`.
    pub(super) fn take(&mut self, range: &Range<usize>, answer: &Answer) {
        let columns = self.columns(&answer.keys);
        let origin = |input: u32| self.before.origins[range.start + input as usize];
        let (mut start, mut last) = (0, None);
        for (row, &end) in answer.ends.iter().enumerate() {
            let data = &answer.data[start as usize..end as usize];
            start = end;
            let input = answer.inputs[row];
            let again = last.replace(input) == Some(input);
            match answer.statuses[row] {
                Status::Ok => {
                    self.rows.data.extend_from_slice(data);
                    self.rows.ends.push(offset(self.rows.data.len()));
                    self.rows.origins.push(origin(input));
                    self.counts.ok += u64::from(!again);
                }
                Status::Dropped => self.counts.dropped += 1,
                Status::Failed => {
                    self.counts.failed += 1;
                    self.failed.entry(origin(input)).or_insert_with(|| refused(data, self.arn));
                }
            }
        }
        for (column, own) in columns.iter().enumerate() {
            self.extend(column, range.start, answer, *own);
        }
    }

    /// Fails the rows `range`.
    pub(super) fn fail(&mut self, range: Range<usize>, fault: &Fault, attempts: u32) {
        self.counts.failed += range.len() as u64;
        for &origin in &self.before.origins[range] {
            self.failed.entry(origin).or_insert_with(|| fault.clone().failure(attempts, self.arn));
        }
    }

    /// All of it: of an origin that failed no row is left.
    pub(super) fn outcome(self) -> Outcome {
        let Gather { mut rows, failed, .. } = self;
        if rows.origins.iter().any(|origin| failed.contains_key(origin)) {
            rows = rows.filter(|origin| !failed.contains_key(&origin));
        }
        let failed = failed.into_iter().map(|(origin, failure)| Failed { origin, failure });
        Outcome { rows, failed: failed.collect() }
    }

    /// For each column of the outcome, the answer's of that name; makes those that are new.
    fn columns<'k>(&mut self, keys: &'k [KeyColumn]) -> Vec<Option<&'k KeyColumn>> {
        for key in keys {
            if self.rows.keys.iter().all(|known| known.name != key.name) {
                // The rows before have no value.
                let ends = vec![0; self.rows.len()];
                self.rows.keys.push(KeyColumn { name: key.name.clone(), data: String::new(), ends });
            }
        }
        self.rows.keys.iter().map(|known| keys.iter().find(|key| key.name == known.name)).collect()
    }

    /// Extends a column by what the answer says for its delivered rows, and where that says nothing by what an earlier
    /// step said of the row that they were made of.
    fn extend(&mut self, column: usize, first: usize, answer: &Answer, own: Option<&KeyColumn>) {
        let before = self.before.keys.get(column);
        let key = &mut self.rows.keys[column];
        for (row, status) in answer.statuses.iter().enumerate() {
            if *status != Status::Ok {
                continue;
            }
            let value = own.map(|own| own.get(row)).filter(|value| !value.is_empty());
            let earlier = || before.map(|before| before.get(first + answer.inputs[row] as usize));
            key.data.push_str(value.or_else(earlier).unwrap_or_default());
            key.ends.push(offset(key.data.len()));
        }
    }
}

fn refused(data: &[u8], arn: Option<&str>) -> Failure {
    let said = String::from_utf8_lossy(data);
    let message = if said.is_empty() { "the plugin said that it failed" } else { bounded(&said) };
    Fault::new(STATUS_FAILED, message).failure(1, arn)
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("output is bounded by limits.rs far below 4 GiB")
}
