//! What became of each sample record, in a form that can be shown.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::transform::{Outcome, Rows};

/// What a run made of all records.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// What was run.
    pub(super) plugin: String,
    /// Each record in order.
    pub(super) records: Vec<Fate>,
    /// All together.
    pub(super) total: Total,
}

/// What became of one record.
#[derive(Debug, Serialize)]
pub(super) struct Fate {
    /// Its number, from 1.
    pub(super) record: usize,
    /// What it is.
    pub(super) input: Shown,
    /// In a word.
    pub(super) result: Became,
    /// What is delivered of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) rows: Vec<Row>,
    /// Why it goes to the error output.
    #[serde(rename = "errorCode", skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    /// The same for a person.
    #[serde(rename = "errorMessage", skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    /// What it costs when it comes alone.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) cost: Option<Cost>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Became {
    Delivered,
    Dropped,
    Failed,
}

/// A row that a record became.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Its bytes.
    pub(super) data: Shown,
    /// Its partition keys that are not empty.
    #[serde(rename = "partitionKeys", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) keys: BTreeMap<String, String>,
}

/// Bytes, as text where they are.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Shown {
    Text(String),
    Base64(String),
}

/// What a record, or all of them, cost.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Cost {
    /// About one unit an instruction.
    pub(super) fuel: u64,
    /// On this machine.
    pub(super) microseconds: u64,
}

/// All records together.
#[derive(Debug, Default, Serialize)]
pub(super) struct Total {
    pub(super) records: usize,
    pub(super) bytes: usize,
    pub(super) rows: usize,
    #[serde(rename = "rowBytes")]
    pub(super) row_bytes: usize,
    pub(super) dropped: usize,
    pub(super) failed: usize,
    /// Of the run over all of them; a function has no fuel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fuel: Option<u64>,
    pub(super) microseconds: u64,
    /// Of the largest instance.
    #[serde(rename = "memoryBytes", skip_serializing_if = "Option::is_none")]
    pub(super) memory_bytes: Option<usize>,
    /// Batches given, those of the search for guilty records included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batches: Option<u64>,
}

impl Shown {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Shown::Text(text.to_owned()),
            Err(_) => Shown::Base64(base64_simd::STANDARD.encode_to_string(bytes)),
        }
    }
}

/// What `outcome` made of each of `rows`, which are records of one row each.
pub(super) fn fates(rows: &Rows, outcome: &Outcome) -> Vec<Fate> {
    let mut fates: Vec<Fate> = (0..rows.len())
        .map(|number| Fate {
            record: number + 1,
            input: Shown::of(rows.get(number)),
            result: Became::Dropped,
            rows: Vec::new(),
            code: None,
            message: None,
            cost: None,
        })
        .collect();
    for row in 0..outcome.rows.len() {
        let fate = &mut fates[outcome.rows.origins[row] as usize];
        let keys = outcome.rows.keys.iter().map(|column| (column.name.clone(), column.get(row).to_owned()));
        let keys = keys.filter(|(_, value)| !value.is_empty()).collect();
        fate.rows.push(Row { data: Shown::of(outcome.rows.get(row)), keys });
        fate.result = Became::Delivered;
    }
    for failed in &outcome.failed {
        let fate = &mut fates[failed.origin as usize];
        fate.result = Became::Failed;
        fate.code = Some(failed.failure.code.clone().into_owned());
        fate.message = Some(failed.failure.message.clone());
    }
    fates
}

/// The sums of `fates`; what they cost is not in it.
pub(super) fn total(rows: &Rows, outcome: &Outcome, fates: &[Fate]) -> Total {
    let count = |became| fates.iter().filter(|fate| fate.result == became).count();
    Total {
        records: rows.len(),
        bytes: rows.data.len(),
        rows: outcome.rows.len(),
        row_bytes: outcome.rows.data.len(),
        dropped: count(Became::Dropped),
        failed: count(Became::Failed),
        ..Total::default()
    }
}
