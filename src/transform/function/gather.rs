//! From what became of each row to one outcome: rows in columns, and the origins that failed, each once and whole.

use super::super::{Failed, Failure, KeyColumn, Outcome, Rows};
use super::Settings;
use super::answer::Verdict;
use crate::error::{Error, Kind, Result};
use crate::limits::{FUNCTION_OUTPUT_BYTES_MAX, PLUGIN_KEYS_MAX};

/// What is known so far.
pub(super) struct Gathered<'a> {
    rows: &'a Rows,
    settings: &'a Settings,
    /// Of the rows from the first on.
    verdicts: Vec<Verdict>,
    /// Bytes of the data of all of them.
    bytes: usize,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(rows: &'a Rows, settings: &'a Settings) -> Self {
        Gathered { rows, settings, verdicts: Vec::with_capacity(rows.len()), bytes: 0 }
    }

    /// What became of the next rows.
    pub(super) fn push(&mut self, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            let bytes = match &verdict {
                Verdict::Ok(data, _) => data.len(),
                Verdict::Dropped | Verdict::Failed(_) => 0,
            };
            if self.bytes + bytes > FUNCTION_OUTPUT_BYTES_MAX {
                let message =
                    format!("The Lambda function returned more than {FUNCTION_OUTPUT_BYTES_MAX} bytes in all.");
                self.verdicts.push(Verdict::Failed(failure("Lambda.FunctionError", message)));
            } else {
                self.bytes += bytes;
                self.verdicts.push(verdict);
            }
        }
    }

    /// All of it. An error is a fault of ours.
    pub(super) fn outcome(mut self) -> Result<Outcome> {
        if self.verdicts.len() != self.rows.len() {
            return Err(Error::new(Kind::Internal, "a function's answers are not as many as its rows"));
        }
        let names = self.names();
        let failed = self.failed();
        let earlier = &self.rows.keys;
        let mut columns: Vec<KeyColumn> =
            names.into_iter().map(|name| KeyColumn { name, ..KeyColumn::default() }).collect();
        let mut rows = Rows { data: Vec::with_capacity(self.bytes), ..Rows::default() };
        let mut failing = failed.iter().map(|failed| failed.origin).peekable();
        for (row, verdict) in self.verdicts.into_iter().enumerate() {
            let origin = self.rows.origins[row];
            while failing.next_if(|failing| *failing < origin).is_some() {}
            let Verdict::Ok(data, keys) = verdict else { continue };
            if failing.peek() == Some(&origin) {
                continue;
            }
            rows.data.extend_from_slice(&data);
            rows.ends.push(end(rows.data.len())?);
            rows.origins.push(origin);
            for (number, column) in columns.iter_mut().enumerate() {
                let own = keys.iter().find(|(name, _)| *name == column.name).map(|(_, value)| value.as_str());
                let before = earlier.get(number).map_or("", |earlier| earlier.get(row));
                column.data.push_str(own.unwrap_or(before));
                column.ends.push(end(column.data.len())?);
            }
        }
        rows.keys = columns;
        Ok(Outcome { rows, failed })
    }

    /// The names of all partition keys: those that rows had before, then those of the function. A record whose keys would be
    /// too many together with those before it fails.
    fn names(&mut self) -> Vec<String> {
        let mut names: Vec<String> = self.rows.keys.iter().map(|column| column.name.clone()).collect();
        for verdict in &mut self.verdicts {
            let Verdict::Ok(_, keys) = verdict else { continue };
            let known = names.len();
            for (name, _) in keys.iter() {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            if names.len() > known && names.len() > PLUGIN_KEYS_MAX {
                names.truncate(known);
                let message =
                    format!("The records of one batch have more than {PLUGIN_KEYS_MAX} names of partition keys.");
                *verdict = Verdict::Failed(failure("Lambda.InvalidReturnFormat", message));
            }
        }
        names
    }

    /// The origins of which a row failed, by the first that did.
    fn failed(&self) -> Vec<Failed> {
        let mut failed: Vec<Failed> = Vec::new();
        for (row, verdict) in self.verdicts.iter().enumerate() {
            let origin = self.rows.origins[row];
            if let Verdict::Failed(failure) = verdict
                && failed.last().is_none_or(|last| last.origin != origin)
            {
                let failure = Failure { by: Some(self.settings.arn.clone()), ..failure.clone() };
                failed.push(Failed { origin, failure });
            }
        }
        failed
    }
}

/// Of what an answered call brought.
fn failure(code: &'static str, message: String) -> Failure {
    Failure { code: code.into(), message, attempts: 1, by: None }
}

fn end(bytes: usize) -> Result<u32> {
    u32::try_from(bytes).map_err(|_| Error::new(Kind::Internal, "a function made more than 4 GiB of one batch"))
}
