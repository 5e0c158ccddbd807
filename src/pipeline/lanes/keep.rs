//! Batches whose steps call functions: what those answer must be the same on every reading, so it is kept in a file before a row of
//! the batch finds its lane (see `staged::batch`).
//!
//! A batch that has a file of the same steps and end is taken from it. One that has none was never routed, so no plan knows of it
//! (batches of a shard are routed in their order), and its functions are called anew. Only a batch that lies before where a
//! plan of its shard ended must have one: if it has not, nobody can say which of its rows are delivered, so its stream says so and waits
//! for the file, or for the retention to end.
//!
//! Where the journal has lost records of a batch since, what is left of it comes in pieces, each of which takes its own out of the file;
//! so it must be known where the batch began and ended ([`Wholes`]).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::super::Until;
use super::super::chain::{self, Chain};
use super::super::deliver::{Courier, given_up};
use super::super::prepare::Recipe;
use super::super::rows;
use super::super::stage::blocking;
use super::super::staged::{BatchId, Label, Staging};
use super::super::target::Target;
use super::blocks::Batch;
use super::route::{Routed, sort_out};
use crate::config::Partitioning;
use crate::error::{Error, Kind, Result};
use crate::ledger::Standing;
use crate::limits;
use crate::record::{ShardId, StreamId};
use crate::transform::Outcome;

/// How batches are made that must be kept.
pub(super) struct Keeping {
    pub recipe: Recipe,
    pub rules: Partitioning,
    /// Stands for the steps.
    pub steps: String,
    /// The delivery stream.
    pub stream: StreamId,
    /// What was planned when this process began, and in which batches: what lies before it must be there.
    pub planned: Arc<Planned>,
}

/// What of a partitioned stream was planned when this process began.
#[derive(Default)]
pub(super) struct Planned {
    /// Up to where in each shard.
    ends: BTreeMap<ShardId, u64>,
    /// The batches that are kept.
    pub wholes: Wholes,
}

/// Batches that are kept, as they were routed: where each ends, by its shard and start.
pub(super) type Wholes = BTreeMap<ShardId, BTreeMap<u64, u64>>;

impl Planned {
    /// This position, or where the kept batch begins in which it lies: what is left behind a hole needs the whole of that.
    pub(super) fn between_batches(&self, shard: ShardId, position: u64) -> u64 {
        let before = self.wholes.get(&shard).and_then(|of| of.range(..position).next_back());
        before.filter(|(_, end)| position < **end).map_or(position, |(start, _)| *start)
    }

    /// Which of the lost positions of a shard lie beyond all that was planned.
    pub(super) fn beyond(&self, shard: ShardId, lost: &Range<u64>) -> Range<u64> {
        self.ends.get(&shard).copied().unwrap_or(0).max(lost.start)..lost.end
    }

    /// Looks up what is planned and kept above the watermarks.
    pub(super) async fn find(staging: &Staging, by: StreamId, standing: &Standing) -> Result<Self> {
        let mut ends: BTreeMap<ShardId, u64> = BTreeMap::new();
        for (shard, end) in standing.lanes.ends.values().flatten() {
            let known = ends.entry(*shard).or_default();
            *known = (*known).max(*end);
        }
        if !staging.has_batches(by) {
            return Ok(Planned { ends, wholes: Wholes::new() });
        }
        let places: Vec<_> = ends.iter().map(|(shard, end)| (*shard, standing.end_of_plans(*shard), *end)).collect();
        let staging = staging.clone();
        let find = move |(shard, start, until)| (shard, staging.batches_from(by, shard, (start, until)));
        let wholes = blocking(move || Ok(places.into_iter().map(find).collect())).await?;
        Ok(Planned { ends, wholes })
    }
}

/// The batch as it was kept of which `batch` is what is left: where it began and ended.
fn whole_of(wholes: &Wholes, batch: &Batch) -> (u64, u64) {
    let before = wholes.get(&batch.shard).and_then(|of| of.range(..=batch.start).next_back());
    before.filter(|(_, end)| batch.end <= **end).map_or((batch.start, batch.end), |(start, end)| (*start, *end))
}

impl Keeping {
    fn id(&self, batch: &Batch) -> BatchId {
        BatchId { stream: self.stream, shard: batch.shard, start: batch.start }
    }

    fn is_planned(&self, batch: &Batch) -> bool {
        self.planned.ends.get(&batch.shard).is_some_and(|planned| batch.start < *planned)
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
        let of = (keeping.stream, &keeping.planned.wholes);
        match self.kept(&keeping.recipe, &keeping.rules, (of, steps), batch).await {
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
        let (end, steps) = (batch.end, keeping.steps.clone());
        let (taken, outcome) = blocking(move || {
            let (taken, outcome) = chained.outcome();
            let label = Label { end, steps, unpacked: Some(taken.unpacked()) };
            staging.keep_batch(id, &label, &outcome)?;
            Ok((taken, outcome))
        })
        .await?;
        let (recipe, rules) = (keeping.recipe.clone(), keeping.rules.clone());
        let routed = move || sort_out(&recipe, &rules, &taken, (&outcome.rows, outcome.failed));
        self.workshop.work(routed).await.map(|routed| Made::Routed(Some(routed)))
    }

    /// What became of a batch, from its file, or from that of the batch of which it is what is left.
    pub(super) async fn kept(
        &self,
        recipe: &Recipe,
        rules: &Partitioning,
        ((stream, wholes), steps): ((StreamId, &Wholes), Option<String>),
        batch: &Batch,
    ) -> Result<Routed> {
        let (start, end) = whole_of(wholes, batch);
        let staging = self.staging.clone();
        let (recipe, rules, records) = (recipe.clone(), rules.clone(), batch.records.clone());
        let unpack = recipe.unpacks();
        let taken = self.workshop.work(move || rows::take(&records, unpack)).await?;
        let places = (batch.start - start, batch.end - start);
        let id = BatchId { stream, shard: batch.shard, start };
        let (taken, outcome) = blocking(move || {
            let (label, outcome) = staging.batch(id, (end, steps.as_deref()))?;
            let origins = match (label.origins(places.0), label.origins(places.1)) {
                (Some(from), Some(to)) => from..to,
                _ if places == (0, end - start) => 0..taken.rows.len() as u64,
                _ => {
                    return Err(Error::corrupt(format!(
                        "what is kept of positions {start}..{end} cannot be told apart"
                    )));
                }
            };
            if origins.end - origins.start != taken.rows.len() as u64 {
                return Err(Error::corrupt(format!("what is kept of positions {start}..{end} is of other records")));
            }
            Ok((taken, of_origins(outcome, origins)))
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

/// What became of these records alone, counted from the first of them.
fn of_origins(outcome: Outcome, origins: Range<u64>) -> Outcome {
    let Outcome { mut rows, mut failed } = outcome;
    let is_of = |origin: &u32| origins.contains(&u64::from(*origin));
    if !rows.origins.iter().all(is_of) {
        let keep: Vec<bool> = rows.origins.iter().map(is_of).collect();
        rows.retain(&keep);
    }
    failed.retain(|failed| is_of(&failed.origin));
    let first = origins.start as u32;
    rows.origins
        .iter_mut()
        .chain(failed.iter_mut().map(|failed| &mut failed.origin))
        .for_each(|origin| *origin -= first);
    Outcome { rows, failed }
}

/// By which keys the rows of a target are told apart.
pub(super) fn rules_of(target: &Target) -> Result<Partitioning> {
    let rules = target.partition.as_ref().map(|partition| partition.rules.clone());
    rules.ok_or_else(|| Error::corrupt("a partitioned stream's plan has no partition keys"))
}
