//! Rows in the making: what each row of before becomes, with its partition keys, and whole records that fail.

use super::super::{Failed, Failure, KeyColumn, Outcome, Rows};

/// What was made so far.
pub(super) struct Making<'a> {
    before: &'a Rows,
    rows: Rows,
    failed: Vec<Failed>,
}

impl<'a> Making<'a> {
    pub(super) fn of(before: &'a Rows) -> Self {
        let keys = before.keys.iter().map(|key| KeyColumn { name: key.name.clone(), ..KeyColumn::default() });
        Making { before, rows: Rows { keys: keys.collect(), ..Rows::default() }, failed: Vec::new() }
    }

    /// Bytes of rows so far.
    pub(super) fn bytes(&self) -> usize {
        self.rows.data.len()
    }

    /// What row `row` of before becomes: one row, of which `make` appends the bytes.
    pub(super) fn row(&mut self, row: usize, make: impl FnOnce(&mut Vec<u8>) -> Result<(), Failure>) {
        if self.has_failed(row) {
            return;
        }
        let start = self.rows.data.len();
        match make(&mut self.rows.data) {
            Ok(()) => self.end(row),
            Err(failure) => {
                self.rows.data.truncate(start);
                self.fail(row, failure);
            }
        }
    }

    /// One more row that row `row` becomes.
    pub(super) fn push(&mut self, row: usize, data: &[u8]) {
        if !self.has_failed(row) {
            self.rows.data.extend_from_slice(data);
            self.end(row);
        }
    }

    fn end(&mut self, row: usize) {
        // Rows end with the one with which there are more than some hundred MiB, and one is a few dozen: see `Builtin::run`.
        self.rows.ends.push(u32::try_from(self.rows.data.len()).expect("rows have less than 4 GiB"));
        self.rows.origins.push(self.before.origins[row]);
        for (key, before) in self.rows.keys.iter_mut().zip(&self.before.keys) {
            key.data.push_str(before.get(row));
            key.ends.push(u32::try_from(key.data.len()).expect("keys have less than 4 GiB"));
        }
    }

    /// The record of row `row` fails, with all rows that were made of it.
    pub(super) fn fail(&mut self, row: usize, failure: Failure) {
        if self.has_failed(row) {
            return;
        }
        let origin = self.before.origins[row];
        self.failed.push(Failed { origin, failure });
        let kept = self.rows.origins.partition_point(|other| *other < origin);
        self.rows.truncate(kept);
    }

    fn has_failed(&self, row: usize) -> bool {
        self.failed.last().is_some_and(|failed| failed.origin == self.before.origins[row])
    }

    pub(super) fn finish(self) -> Outcome {
        Outcome { rows: self.rows, failed: self.failed }
    }
}
