//! Chunks on their way through a chain in which functions are called: those take seconds, so no thread waits for them. What
//! the other steps do is done on the encoders' threads.

use super::chunk::{Placed, halves};
use super::failed::Refused;
use super::prepare::Recipe;
use super::rows::{self, Taken};
use super::staged::Part;
use super::steps::{self, Bound, Made, Tool};
use super::workshop::Workshop;
use crate::error::Result;
use crate::transform::function::Function;
use crate::transform::{Failed, Outcome, Rows};

/// What has become of a chunk.
pub(super) struct Chained {
    taken: Taken,
    rows: Option<Rows>,
    failed: Vec<Failed>,
}

/// How a chain ended.
pub(super) enum Chain {
    Through(Box<Chained>),
    /// The chunk became more than may be in memory at once: these are to go through the chain in its place. Functions that were called
    /// are called again for each.
    TooMuch([Vec<Placed>; 2]),
}

/// Has a chunk go through all steps. An error is a fault of ours.
pub(super) async fn run(workshop: &Workshop, recipe: &Recipe, chunk: Vec<Placed>) -> Result<Chain> {
    let unpack = recipe.unpacks();
    let (taken, chunk) = workshop.work(move || (rows::take(&chunk, unpack), chunk)).await?;
    let mut chained = Chained { taken, rows: None, failed: Vec::new() };
    for segment in recipe.tools().chunk_by(|one, next| !is_function(one) && !is_function(next)) {
        if chained.rows().is_empty() {
            break;
        }
        let through = match segment {
            [Tool::Function(function)] => chained.call(function).await?,
            tools => {
                let tools = tools.to_vec();
                workshop.work(move || chained.run(&tools)).await??
            }
        };
        let Some(through) = through else { return Ok(Chain::TooMuch(halves(&chunk))) };
        chained = through;
    }
    Ok(Chain::Through(Box::new(chained)))
}

fn is_function(tool: &Tool) -> bool {
    matches!(tool, Tool::Function(_))
}

impl Chained {
    fn rows(&self) -> &Rows {
        self.rows.as_ref().unwrap_or(&self.taken.rows)
    }

    async fn call(mut self, function: &Function) -> Result<Option<Self>> {
        let given = self.rows();
        let outcome = function.run(given, &self.taken.origins).await?;
        let Some(Outcome { rows, mut failed }) = self.bound().keep(outcome, given, given.len()) else {
            return Ok(None);
        };
        self.rows = Some(rows);
        self.failed.append(&mut failed);
        Ok(Some(self))
    }

    fn run(mut self, tools: &[Tool]) -> Result<Option<Self>> {
        let bound = self.bound();
        let Taken { rows, origins, .. } = &mut self.taken;
        let made = steps::run(tools, self.rows.as_mut().unwrap_or(rows), origins, bound)?;
        let Some(Made { rows, mut failed }) = made else { return Ok(None) };
        self.rows = rows.or(self.rows);
        self.failed.append(&mut failed);
        Ok(Some(self))
    }

    fn bound(&self) -> Bound {
        Bound::of(self.taken.positions())
    }

    /// What is to be kept of it, with at most `rows_bytes_max` bytes of rows: the records whose rows lie beyond fail.
    pub(super) fn part(self, rows_bytes_max: usize) -> Part {
        let (taken, outcome) = self.outcome();
        let Outcome { rows, failed } = steps::bounded(outcome, &[], rows_bytes_max);
        let tally = taken.tally(&rows, &failed);
        Part { rows, failed: Refused::of(&taken, failed), tally }
    }

    /// All of it, with what it was made of.
    pub(super) fn outcome(self) -> (Taken, Outcome) {
        let Chained { taken, rows, mut failed } = self;
        // Each step says its own in order; an origin that failed has no rows that could fail again.
        failed.sort_by_key(|failed| failed.origin);
        let rows = rows.unwrap_or_else(|| taken.rows.clone());
        (taken, Outcome { rows, failed })
    }
}
