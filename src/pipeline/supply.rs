//! The chunks of a plan, prepared: from the journal once more, or, where a function was called, from the staged file and
//! from nothing else.

use super::again::Source;
use super::deliver::Courier;
use super::prepare::{Prepared, Recipe};
use super::stage::blocking;
use super::staged::Parts;
use super::target::Target;
use super::workshop::Turn;
use crate::error::Result;
use crate::ledger::Plan;

/// Prepared chunks of a plan, in order.
pub(super) struct Supply<'a> {
    courier: &'a Courier,
    recipe: Recipe,
    from: From<'a>,
}

enum From<'a> {
    Journal(Source<'a>),
    /// `None` at the end, and after an error.
    Staged(Option<Parts>),
}

impl<'a> Supply<'a> {
    pub(super) async fn of(courier: &'a Courier, plan: &'a Plan, target: &Target) -> Result<Self> {
        let (recipe, from) = match &target.staged {
            Some(staged) => {
                let (staging, staged) = (courier.staging.clone(), staged.clone());
                let parts = blocking(move || staging.read(&staged)).await?;
                (Recipe::without_steps(target), From::Staged(Some(parts)))
            }
            None => (Recipe::load(target, &courier.tools).await?, From::Journal(Source::of(&courier.reader, plan))),
        };
        Ok(Supply { courier, recipe, from })
    }

    /// The next; `None` when there are no more and all that came was right.
    pub(super) async fn next(&mut self) -> Result<Option<Prepared>> {
        let Supply { courier, recipe, from } = self;
        let workshop = &courier.workshop;
        match from {
            From::Journal(source) => {
                while let Some(chunk) = source.next().await? {
                    match workshop.prepare(recipe, chunk).await.done().await?? {
                        Turn::Done(prepared) => return Ok(Some(prepared)),
                        Turn::TooMuch(halves) => source.put_back(halves),
                    }
                }
                Ok(None)
            }
            From::Staged(parts) => {
                let Some(mut reading) = parts.take() else { return Ok(None) };
                let (read, part) = blocking(move || {
                    let part = reading.next()?;
                    Ok((reading, part))
                })
                .await?;
                let Some(part) = part else { return Ok(None) };
                *parts = Some(read);
                let recipe = recipe.clone();
                workshop.capacity.encode(move || recipe.finish(part)).await.done().await.map(Some)
            }
        }
    }

    /// Positions whose data stream is gone, and their records with it, that no chunk has counted.
    pub(super) fn discarded(&self) -> u64 {
        match &self.from {
            From::Journal(source) => source.discarded(),
            From::Staged(_) => 0,
        }
    }
}
