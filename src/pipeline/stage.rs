//! From a buffer that was cut to a staged file: its chunks go through the chain, several side by side, and what becomes of
//! them is written in their order. Nothing is planned before it is durable; what is left undone is read again.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio_util::task::AbortOnDropHandle;

use super::again::Source;
use super::chain::{self, Chain, Chained};
use super::chunk::Placed;
use super::deliver::{Courier, given_up};
use super::prepare::Recipe;
use super::staged::{Draft, Finished};
use super::target::Target;
use super::{Orders, Until};
use crate::error::{Error, Kind, Result};
use crate::ledger::Plan;
use crate::limits;
use crate::record::ShardId;

/// A buffer that was cut.
#[derive(Clone)]
pub(super) struct Cut {
    /// The plan that it becomes once it is staged.
    pub plan: Plan,
    /// Arrival of its newest record, milliseconds since 1970.
    pub newest_ms: u64,
    /// Bytes of its records.
    pub bytes: u64,
}

/// The buffers of one pipeline that are being staged, in order.
#[derive(Default)]
pub(super) struct Stagings {
    jobs: FuturesOrdered<Job>,
    cuts: VecDeque<Cut>,
}

type Job = Pin<Box<dyn Future<Output = Option<Finished>> + Send>>;

impl Stagings {
    /// Takes up one more, whose records go through `recipe`.
    pub(super) fn push(&mut self, courier: &Arc<Courier>, cut: Cut, recipe: Recipe) {
        self.jobs.push_back(job(courier, cut.plan.clone(), cut.bytes, Some(recipe)));
        self.cuts.push_back(cut);
    }

    /// The oldest once it is staged; nothing when it was left undone. There must be one.
    pub(super) async fn next(&mut self) -> Option<(Cut, Finished)> {
        let finished = self.jobs.next().await??;
        Some((self.cuts.pop_front()?, finished))
    }

    pub(super) fn len(&self) -> usize {
        self.cuts.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    /// Whether one has positions of `shard`.
    pub(super) fn hold(&self, shard: ShardId) -> bool {
        self.cuts.iter().any(|cut| cut.plan.span(shard).is_some())
    }

    /// Arrival of the oldest record of each, and the bytes of their records.
    pub(super) fn carried(&self) -> impl Iterator<Item = (u64, u64)> {
        self.cuts.iter().map(|cut| (cut.plan.object_ms, cut.bytes))
    }
}

/// Has a plan's records, about so many `bytes`, staged beside everything else; it ends with what is returned. Without a
/// `recipe` the plan's own steps are made ready.
pub(super) fn job(courier: &Arc<Courier>, plan: Plan, bytes: u64, recipe: Option<Recipe>) -> Job {
    let (courier, name) = (courier.clone(), courier.name.clone());
    let staging = async move { courier.stage(&plan, bytes, recipe.as_ref()).await };
    let staging = AbortOnDropHandle::new(tokio::spawn(staging));
    Box::pin(async move {
        staging.await.unwrap_or_else(|error| {
            tracing::error!(stream = name, %error, "calling functions panicked");
            None
        })
    })
}

impl Courier {
    /// Stages the records of `plan` until it is done or the pipeline is told to leave it.
    async fn stage(&self, plan: &Plan, bytes: u64, recipe: Option<&Recipe>) -> Option<Finished> {
        let mut orders = self.orders.clone();
        let mut pause = limits::RETRY_PAUSE_MIN;
        loop {
            orders.mark_unchanged();
            let attempt = tokio::select! {
                biased;
                () = given_up(&mut orders) => return None,
                attempt = self.stage_once(plan, bytes, recipe) => attempt,
            };
            match attempt {
                Ok(finished) => {
                    self.staged();
                    return Some(finished);
                }
                Err(error) => self.not_staged(&error),
            }
            let is_last = |orders: &Orders| orders.until == Until::Flushed;
            if is_last(&orders.borrow()) {
                return None;
            }
            let jitter = self.workshop.clock.random() % (pause.as_millis() as u64 / 2).max(1);
            tokio::select! {
                () = self.workshop.clock.sleep(pause / 2 + Duration::from_millis(jitter)) => {}
                _ = orders.changed() => {}
            }
            pause = (pause * 2).min(limits::RETRY_PAUSE_MAX);
        }
    }

    async fn stage_once(&self, plan: &Plan, bytes: u64, recipe: Option<&Recipe>) -> Result<Finished> {
        let recipe = match recipe {
            Some(recipe) => recipe.clone(),
            None => Recipe::load(&Target::of_plan(plan)?, &self.tools).await?,
        };
        let (staging, stream) = (self.staging.clone(), plan.stream);
        let mut draft = blocking(move || staging.begin(stream, bytes)).await?;
        let mut source = Source::of(&self.reader, plan);
        let mut turns = FuturesOrdered::new();
        let mut is_over = false;
        loop {
            while !is_over && turns.len() < limits::FUNCTION_CALLS_PER_STREAM_MAX {
                match source.next().await? {
                    Some(chunk) => turns.push_back(self.turn(&recipe, chunk)),
                    None => is_over = true,
                }
            }
            let Some(chain) = turns.next().await else { break };
            match chain.map_err(|error| Error::new(Kind::Internal, "a chain panicked").because(error))?? {
                Chain::Through(chained) => draft = blocking(move || write(draft, *chained)).await?,
                Chain::TooMuch([first, others]) => {
                    turns.push_front(self.turn(&recipe, others));
                    turns.push_front(self.turn(&recipe, first));
                }
            }
        }
        let (positions, discarded) = (plan.positions(), source.discarded());
        blocking(move || draft.finish(positions, discarded)).await
    }

    /// Has a chunk go through the chain when it is the stream's turn to call.
    fn turn(&self, recipe: &Recipe, chunk: Vec<Placed>) -> AbortOnDropHandle<Result<Chain>> {
        let (workshop, recipe, calls) = (self.workshop.clone(), recipe.clone(), self.calls.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let _turn = calls.acquire().await.expect("the semaphore of calls is never closed");
            chain::run(&workshop, &recipe, chunk).await
        }))
    }

    pub(super) fn staged(&self) {
        if let Some(toll) = self.unstaged.over(self.workshop.clock.instant()) {
            let (attempts, seconds) = (toll.attempts, toll.lasted.as_secs());
            tracing::info!(stream = self.name, attempts, seconds, "what functions make can be kept again");
        }
    }

    pub(super) fn not_staged(&self, error: &Error) {
        self.state.failed(error, self.workshop.clock.now_ms());
        let Some(toll) = self.unstaged.failed(self.workshop.clock.instant()) else { return };
        let (stream, attempts, seconds) = (&self.name, toll.attempts, toll.lasted.as_secs());
        if error.kind() == Kind::Corrupt {
            tracing::error!(
                stream,
                attempts,
                seconds,
                %error,
                "what functions made is lost, the stream waits for it: to call them again might deliver something else twice"
            );
        } else {
            tracing::warn!(
                stream,
                attempts,
                seconds,
                %error,
                "what functions make cannot be kept, records wait in the journal and it is tried again"
            );
        }
    }
}

fn write(mut draft: Draft, chained: Chained) -> Result<Draft> {
    let room = usize::try_from(limits::STAGED_ROWS_BYTES_MAX.saturating_sub(draft.bytes())).unwrap_or(usize::MAX);
    draft.push(&chained.part(room))?;
    Ok(draft)
}

/// Has done what waits for the disk.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::new(Kind::Internal, "the disk work of a staged file was stopped").because(error)),
    }
}
