//! Chunks on their way through a chain in which functions are called: those take seconds, so no thread waits for them. What
//! the other steps do is done on the encoders' threads.

use super::chunk::Placed;
use super::failed::Refused;
use super::prepare::Recipe;
use super::rows::{self, Taken};
use super::staged::Part;
use super::steps::{self, Made, Tool};
use super::workshop::Workshop;
use crate::error::Result;
use crate::limits::STEP_OUTPUT_BYTES_MAX;
use crate::transform::function::Function;
use crate::transform::{Failed, Outcome, Rows};

/// What has become of a chunk.
pub(super) struct Chained {
    taken: Taken,
    rows: Option<Rows>,
    failed: Vec<Failed>,
}

/// Has a chunk go through all steps. An error is a fault of ours.
pub(super) async fn run(workshop: &Workshop, recipe: &Recipe, chunk: Vec<Placed>) -> Result<Chained> {
    let unpack = recipe.unpacks();
    let taken = workshop.work(move || rows::take(&chunk, unpack)).await?;
    let mut chained = Chained { taken, rows: None, failed: Vec::new() };
    for segment in recipe.tools().chunk_by(|one, next| !is_function(one) && !is_function(next)) {
        if chained.rows().is_empty() {
            break;
        }
        chained = match segment {
            [Tool::Function(function)] => chained.call(function).await?,
            tools => {
                let tools = tools.to_vec();
                workshop.work(move || chained.run(&tools)).await??
            }
        };
    }
    Ok(chained)
}

fn is_function(tool: &Tool) -> bool {
    matches!(tool, Tool::Function(_))
}

impl Chained {
    fn rows(&self) -> &Rows {
        self.rows.as_ref().unwrap_or(&self.taken.rows)
    }

    async fn call(mut self, function: &Function) -> Result<Self> {
        let outcome = function.run(self.rows(), &self.taken.origins).await?;
        let Outcome { rows, mut failed } = steps::bounded(outcome, STEP_OUTPUT_BYTES_MAX);
        self.rows = Some(rows);
        self.failed.append(&mut failed);
        Ok(self)
    }

    fn run(mut self, tools: &[Tool]) -> Result<Self> {
        let Made { rows, mut failed } = steps::run(tools, self.rows(), &self.taken.origins)?;
        self.rows = rows.or(self.rows);
        self.failed.append(&mut failed);
        Ok(self)
    }

    /// What is to be kept of it, with at most `rows_bytes_max` bytes of rows: the records whose rows lie beyond fail.
    pub(super) fn part(self, rows_bytes_max: usize) -> Part {
        let (taken, Outcome { rows, failed }) = self.outcome(rows_bytes_max);
        let tally = taken.tally(&rows, &failed);
        Part { rows, failed: Refused::of(&taken, failed), tally }
    }

    /// The same, with what it was made of.
    pub(super) fn outcome(self, rows_bytes_max: usize) -> (Taken, Outcome) {
        let Chained { taken, rows, mut failed } = self;
        // Each step says its own in order; an origin that failed has no rows that could fail again.
        failed.sort_by_key(|failed| failed.origin);
        let rows = rows.unwrap_or_else(|| taken.rows.clone());
        let outcome = steps::bounded(Outcome { rows, failed }, rows_bytes_max);
        (taken, outcome)
    }
}
