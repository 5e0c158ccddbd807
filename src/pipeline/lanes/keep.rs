//! Batches whose steps call functions: what those answer must be the same on every reading, so it is kept in a file before a row of
//! the batch finds its lane (see `staged::batch`).
//!
//! A batch that has a file of the same steps and end is taken from it. One that has none was never routed, so no plan knows of it
//! (batches of a shard are routed in their order), and its functions are called anew. Only a batch that lies before where a
//! plan of its shard ended must have one: if it has not, nobody can say which of its rows are delivered, so its stream says so and waits
//! for the file, or for the retention to end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::Until;
use super::super::chain::{self, Chain};
use super::super::deliver::{Courier, given_up};
use super::super::prepare::Recipe;
use super::super::rows;
use super::super::stage::blocking;
use super::super::staged::{BatchId, Label};
use super::super::target::Target;
use super::blocks::Batch;
use super::route::{Routed, sort_out};
use crate::config::Partitioning;
use crate::error::{Error, Kind, Result};
use crate::ledger::Lanes;
use crate::limits;
use crate::record::{ShardId, StreamId};

/// How batches are made that must be kept.
pub(super) struct Keeping {
    pub recipe: Recipe,
    pub rules: Partitioning,
    /// Stands for the steps.
    pub steps: String,
    /// The delivery stream.
    pub stream: StreamId,
    /// Up to where each shard was planned when this process began: what lies before it must be there.
    pub planned: Arc<BTreeMap<ShardId, u64>>,
}

/// Up to where plans of lanes were made in each shard.
pub(super) fn planned(lanes: &Lanes) -> BTreeMap<ShardId, u64> {
    let mut planned: BTreeMap<ShardId, u64> = BTreeMap::new();
    for (shard, end) in lanes.ends.values().flatten() {
        let known = planned.entry(*shard).or_default();
        *known = (*known).max(*end);
    }
    planned
}

impl Keeping {
    fn id(&self, batch: &Batch) -> BatchId {
        BatchId { stream: self.stream, shard: batch.shard, start: batch.start }
    }

    fn is_planned(&self, batch: &Batch) -> bool {
        self.planned.get(&batch.shard).is_some_and(|planned| batch.start < *planned)
    }
}

/// How an attempt ended that did not fail.
enum Made {
    /// Nothing when the batch becomes so much that its halves are to be kept in its place.
    Routed(Option<Routed>),
    /// There is no room to keep what functions make.
    NoRoom,
}

impl Courier {
    /// What becomes of a batch, once it is kept; `None` when the pipeline is told to leave it, and nothing when its halves are to be
    /// kept in its place.
    pub(super) async fn keep(&self, keeping: &Keeping, batch: &Batch) -> Option<Option<Routed>> {
        let mut orders = self.orders.clone();
        let mut pause = limits::RETRY_PAUSE_MIN;
        loop {
            orders.mark_unchanged();
            let attempt = tokio::select! {
                biased;
                () = given_up(&mut orders) => return None,
                attempt = self.keep_once(keeping, batch) => attempt,
            };
            let error = match attempt {
                Ok(Made::Routed(routed)) => {
                    self.staged();
                    return Some(routed);
                }
                Ok(Made::NoRoom) => {
                    pause = limits::RETRY_PAUSE_MIN;
                    self.no_room.notify_one();
                    Error::unavailable("there is no room to keep what functions make: records wait until lanes are cut")
                }
                Err(error) => error,
            };
            self.not_staged(&error);
            if error.kind() == Kind::Corrupt && self.is_expired(batch) {
                return Some(Some(Routed::default()));
            }
            if orders.borrow().until == Until::Flushed {
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

    async fn keep_once(&self, keeping: &Keeping, batch: &Batch) -> Result<Made> {
        let is_planned = keeping.is_planned(batch);
        let steps = (!is_planned).then(|| keeping.steps.clone());
        match self.kept(&keeping.recipe, &keeping.rules, (keeping.id(batch), steps), batch).await {
            Ok(routed) => return Ok(Made::Routed(Some(routed))),
            // None of its rows was ever routed, whatever that file is.
            Err(error) if !is_planned && matches!(error.kind(), Kind::Corrupt | Kind::Invalid) => {}
            Err(error) => return Err(error),
        }
        let (staging, id) = (self.staging.clone(), keeping.id(batch));
        let bytes: usize = batch.records.iter().map(|placed| placed.records.data.len()).sum();
        if !staging.make_room(id, bytes as u64) {
            return Ok(Made::NoRoom);
        }
        let _turn = self.calls.acquire().await.expect("the semaphore of calls is never closed");
        let chain = chain::run(&self.workshop, &keeping.recipe, batch.records.clone()).await?;
        let Chain::Through(chained) = chain else { return Ok(Made::Routed(None)) };
        let label = Label { end: batch.end, steps: keeping.steps.clone() };
        let (taken, outcome) = blocking(move || {
            let (taken, outcome) = chained.outcome();
            staging.keep_batch(id, &label, &outcome)?;
            Ok((taken, outcome))
        })
        .await?;
        let (recipe, rules) = (keeping.recipe.clone(), keeping.rules.clone());
        let routed = move || sort_out(&recipe, &rules, &taken, (&outcome.rows, outcome.failed));
        self.workshop.work(routed).await.map(|routed| Made::Routed(Some(routed)))
    }

    /// What became of a batch, from its file.
    pub(super) async fn kept(
        &self,
        recipe: &Recipe,
        rules: &Partitioning,
        (id, steps): (BatchId, Option<String>),
        batch: &Batch,
    ) -> Result<Routed> {
        let (staging, end) = (self.staging.clone(), batch.end);
        let (recipe, rules, records) = (recipe.clone(), rules.clone(), batch.records.clone());
        let unpack = recipe.unpacks();
        let taken = self.workshop.work(move || rows::take(&records, unpack)).await?;
        let (taken, outcome) = blocking(move || {
            let outcome = staging.batch(id, (end, steps.as_deref()), taken.rows.len())?;
            Ok((taken, outcome))
        })
        .await?;
        self.workshop.work(move || sort_out(&recipe, &rules, &taken, (&outcome.rows, outcome.failed))).await
    }

    /// Gives a batch up of which nobody can say what was delivered, when all of it has outlived the stream's retention, loudly: what is
    /// in no plan will be counted as damaged.
    fn is_expired(&self, batch: &Batch) -> bool {
        let Some(retention) = self.orders.borrow().stream.retention else { return false };
        let newest_ms = batch.records.iter().map(|placed| placed.records.arrived_ms).max().unwrap_or(0);
        let age_ms = self.workshop.clock.now_ms().saturating_sub(newest_ms);
        let is_expired = u128::from(age_ms) > retention.as_millis();
        if is_expired {
            let (stream, shard, first_position) = (&self.name, batch.shard.index, batch.start);
            tracing::error!(
                stream,
                shard,
                first_position,
                "a batch that functions made is lost and was not delivered in time"
            );
        }
        is_expired
    }
}

/// By which keys the rows of a target are told apart.
pub(super) fn rules_of(target: &Target) -> Result<Partitioning> {
    let rules = target.partition.as_ref().map(|partition| partition.rules.clone());
    rules.ok_or_else(|| Error::corrupt("a partitioned stream's plan has no partition keys"))
}
