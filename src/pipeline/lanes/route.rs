//! Which lane each row of a batch goes to: by the values of the partition keys that the steps gave it. Pure.
//!
//! Where keys come from is no matter here: a step that takes them out of records adds key columns to the rows, as a plugin
//! does.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::super::chunk::Placed;
use super::super::failed::{Refused, type_of};
use super::super::prepare::Recipe;
use super::super::rows::Taken;
use crate::config::Partitioning;
use crate::error::Result;
use crate::ledger::{Lane, Tally};
use crate::transform::{Failed, Failure, KeyColumn, Rows};

/// What a batch became.
#[derive(Default)]
pub(super) struct Routed {
    /// What each lane gets of it.
    pub parts: BTreeMap<Lane, Part>,
    /// Positions that became nothing.
    pub dropped: u64,
}

/// What one lane gets of a batch.
#[derive(Default)]
pub(super) struct Part {
    /// The rows, joined; of failures nothing.
    pub joined: Vec<u8>,
    /// What failed; of that lane alone.
    pub refused: Vec<Refused>,
    /// What was counted: a position counts in the lane of its first row.
    pub tally: Tally,
    /// Arrival of the oldest of its records, milliseconds since 1970.
    pub oldest_ms: u64,
    /// Arrival of the newest.
    pub newest_ms: u64,
}

impl Part {
    /// Bytes that count for the size trigger.
    pub(super) fn bytes(&self) -> u64 {
        self.tally.delivered_bytes + self.refused.iter().map(|refused| refused.record.len() as u64).sum::<u64>()
    }

    fn arrived(&mut self, ms: u64) {
        let is_first = self.newest_ms == 0 && self.oldest_ms == 0;
        self.oldest_ms = if is_first { ms } else { self.oldest_ms.min(ms) };
        self.newest_ms = self.newest_ms.max(ms);
    }
}

/// Has a batch go through all steps and its rows find their lanes; nothing when its halves are to be routed in its place. An error
/// is a fault of ours.
pub(super) fn route(recipe: &Recipe, rules: &Partitioning, batch: &[Placed]) -> Result<Option<Routed>> {
    let Some((taken, made, failed)) = recipe.rows(batch)? else { return Ok(None) };
    let rows = made.as_ref().unwrap_or(&taken.rows);
    Ok(Some(sort_out(recipe, rules, &taken, (rows, failed))))
}

/// Has the rows that the steps made of records find their lanes.
pub(super) fn sort_out(
    recipe: &Recipe,
    rules: &Partitioning,
    taken: &Taken,
    (rows, mut failed): (&Rows, Vec<Failed>),
) -> Routed {
    let lanes = Found::of(rows, rules);
    let refused: Vec<u32> = lanes.failed.iter().map(|failed| failed.origin).collect();
    failed.extend(lanes.failed);
    failed.sort_by_key(|failed| failed.origin);

    let mut parts: Vec<Part> = Vec::new();
    parts.resize_with(lanes.lanes.len(), Part::default);
    for (part, bytes) in parts.iter_mut().zip(&lanes.bytes) {
        part.joined.reserve_exact(*bytes);
    }
    let mut became = vec![(0u64, 0u64); taken.positions()];
    for row in 0..rows.len() {
        let origin = rows.origins[row];
        if refused.binary_search(&origin).is_ok() {
            continue;
        }
        let (part, position) = (&mut parts[lanes.of_rows[row]], &mut became[taken.place(origin)]);
        let is_first = position.0 == 0;
        position.0 += 1;
        part.tally.delivered += u64::from(is_first);
        part.tally.unpacked += u64::from(!is_first);
        part.tally.delivered_bytes += rows.get(row).len() as u64;
        part.arrived(taken.origins.arrived_ms[origin as usize]);
        recipe.append(&mut part.joined, rows.get(row));
    }
    for failed in &failed {
        became[taken.place(failed.origin)].1 += 1;
    }
    let mut routed = Routed { parts: lanes.lanes.into_iter().zip(parts).collect(), dropped: 0 };
    // A lane whose rows all belong to origins that failed has none.
    routed.parts.retain(|_, part| part.tally.delivered + part.tally.unpacked > 0);
    routed.dropped = became.iter().filter(|became| **became == (0, 0)).count() as u64;
    if !failed.is_empty() {
        routed.parts.insert(Lane::Failures, failures(taken, failed, &became));
    }
    routed
}

/// The part of what failed.
fn failures(taken: &Taken, failed: Vec<Failed>, became: &[(u64, u64)]) -> Part {
    let mut part = Part::default();
    for (rows, failed) in became.iter().filter(|(_, failed)| *failed > 0) {
        // A position of which something is delivered counts there.
        let own = u64::from(*rows == 0);
        part.tally.failed += own;
        part.tally.unpacked_failed += failed - own;
    }
    for failed in &failed {
        part.tally.count_failure(type_of(&failed.failure));
        part.arrived(taken.origins.arrived_ms[failed.origin as usize]);
    }
    part.refused = Refused::of(taken, failed);
    part
}

/// The lanes of rows.
struct Found {
    lanes: Vec<Lane>,
    /// The number of each row's lane; of a row that has none, any.
    of_rows: Vec<usize>,
    /// About so many bytes do the rows of each lane have, joined.
    bytes: Vec<usize>,
    /// Origins with a row that has none, in order, each once.
    failed: Vec<Failed>,
}

impl Found {
    fn of(rows: &Rows, rules: &Partitioning) -> Self {
        let named = |name: &String| rows.keys.iter().find(|column| column.name == *name);
        let columns: Vec<Option<&KeyColumn>> = rules.keys.iter().map(named).collect();
        let mut found =
            Found { lanes: Vec::new(), of_rows: vec![0; rows.len()], bytes: Vec::new(), failed: Vec::new() };
        let mut known: HashMap<Vec<&str>, Result<usize, Failure>> = HashMap::new();
        let mut values: Vec<&str> = Vec::new();
        for row in 0..rows.len() {
            values.clear();
            values.extend(columns.iter().map(|column| column.map_or("", |column| column.get(row))));
            let lane = match known.get(&values) {
                Some(lane) => lane,
                None => known.entry(values.clone()).or_insert(found.lane(&values, rules)),
            };
            match lane {
                Ok(lane) => {
                    found.of_rows[row] = *lane;
                    // What marks its end or says its length has a few bytes.
                    found.bytes[*lane] += rows.get(row).len() + 4;
                }
                Err(_) if found.failed.last().is_some_and(|last| last.origin == rows.origins[row]) => {}
                Err(failure) => found.failed.push(Failed { origin: rows.origins[row], failure: failure.clone() }),
            }
        }
        found
    }

    /// The number of a lane that was not seen before, or why there is none.
    fn lane(&mut self, values: &[&str], rules: &Partitioning) -> Result<usize, Failure> {
        if let Some((_, name)) = values.iter().zip(&rules.keys).find(|(value, _)| value.is_empty()) {
            let message = format!("the record has no value of partition key {name:?}");
            return Err(failure("DynamicPartitioning.MetadataExtractionFailed", message));
        }
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        rules.check(&values).map_err(|message| failure("DynamicPartitioning.KeyTooLong", message))?;
        self.lanes.push(Lane::Keys(values));
        self.bytes.push(0);
        Ok(self.lanes.len() - 1)
    }
}

fn failure(code: &'static str, message: String) -> Failure {
    Failure { code: Cow::Borrowed(code), message, attempts: 1, by: None }
}
