//! What every [`Ledger`] must do, and a model of it in memory that says what it should answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::*;
use crate::error::{Error, Kind};

/// Runs the whole suite; `make` gives a new, empty ledger each time.
pub(super) async fn all(make: impl Fn() -> Arc<dyn Ledger>) {
    plans_are_contiguous(&*make()).await;
    commits_come_in_order(&*make()).await;
    tallies_must_add_up(&*make()).await;
    skips_need_a_quiet_shard(&*make()).await;
    a_removed_stream_is_forgotten_and_no_other(&*make()).await;
    plan_numbers_rise_over_all_streams(&*make()).await;
    for seed in 0..20 {
        random_calls_are_answered_as_by_the_model(&*make(), seed).await;
    }
    a_closed_ledger_refuses(&*make()).await;
}

#[tokio::test]
async fn the_model_conforms() {
    all(|| Arc::new(Model::default())).await;
}

pub(super) fn plan(stream: u64, shard: u32, start: u64, end: u64) -> Plan {
    Plan {
        stream: StreamId(stream),
        shard,
        start,
        end,
        planned_ms: 1_700_000_000_000 + start,
        object_ms: 1_700_000_000_000,
        version: 3,
        key: format!("web/2024/\"ü\"\n/{stream}-{start}.gz"),
        error_key: format!("errors/{stream}-{start}"),
        target: serde_json::json!({ "bucket": "b", "level": 6, "nested": [null, 1.5, { "a": "b" }] }),
    }
}

pub(super) fn delivered(records: u64) -> Tally {
    Tally { delivered: records, delivered_bytes: 10 * records, objects: 1, object_bytes: records, ..Tally::default() }
}

fn expired(records: u64) -> Tally {
    Tally { expired: records, ..Tally::default() }
}

fn kind<T>(result: Result<T>) -> Kind {
    result.err().expect("it must be refused").kind()
}

async fn plans_are_contiguous(ledger: &dyn Ledger) {
    let stream = StreamId(7);
    assert!(ledger.standing(stream).await.unwrap().is_empty(), "never planned");
    assert_eq!(kind(ledger.plan(plan(7, 0, 5, 9)).await), Kind::Conflict);
    assert!(ledger.standing(stream).await.unwrap().is_empty(), "refused plans leave nothing");
    let first = ledger.plan(plan(7, 0, 0, 5)).await.unwrap();
    assert_eq!(kind(ledger.plan(plan(7, 0, 0, 5)).await), Kind::Conflict);
    assert_eq!(kind(ledger.plan(plan(7, 0, 4, 6)).await), Kind::Conflict);
    assert_eq!(kind(ledger.plan(plan(7, 0, 6, 7)).await), Kind::Conflict);
    assert_eq!(kind(ledger.plan(plan(7, 0, 5, 5)).await), Kind::Invalid);
    assert_eq!(kind(ledger.plan(plan(7, 0, 5, 4)).await), Kind::Invalid);
    let second = ledger.plan(plan(7, 0, 5, 9)).await.unwrap();
    let third = ledger.plan(plan(7, 2, 0, 1)).await.unwrap();
    let standing = ledger.standing(stream).await.unwrap();
    assert_eq!(standing[&0].unfinished, [(first, plan(7, 0, 0, 5)), (second, plan(7, 0, 5, 9))]);
    assert_eq!(standing[&2].unfinished, [(third, plan(7, 2, 0, 1))]);
    assert_eq!((standing.len(), standing[&0].committed), (2, 0));
}

async fn commits_come_in_order(ledger: &dyn Ledger) {
    let first = ledger.plan(plan(1, 0, 0, 5)).await.unwrap();
    let second = ledger.plan(plan(1, 0, 5, 9)).await.unwrap();
    assert_eq!(kind(ledger.commit(second, delivered(4)).await), Kind::Conflict);
    assert_eq!(kind(ledger.commit(second + 1, delivered(4)).await), Kind::Conflict);
    ledger.commit(first, delivered(5)).await.unwrap();
    assert_eq!(kind(ledger.commit(first, delivered(5)).await), Kind::Conflict);
    let standing = ledger.standing(StreamId(1)).await.unwrap();
    assert_eq!(standing[&0].committed, 5);
    assert_eq!(standing[&0].unfinished, [(second, plan(1, 0, 5, 9))]);
    let mixed = Tally { delivered: 1, delivered_bytes: 7, failed: 2, dropped: 1, objects: 2, ..Tally::default() };
    ledger.commit(second, mixed).await.unwrap();
    let total = ledger.standing(StreamId(1)).await.unwrap()[&0].total;
    assert_eq!((total.delivered, total.delivered_bytes, total.failed, total.dropped, total.objects), (6, 57, 2, 1, 3));
    ledger.plan(plan(1, 0, 9, 10)).await.unwrap();
}

async fn tallies_must_add_up(ledger: &dyn Ledger) {
    let id = ledger.plan(plan(1, 0, 0, 5)).await.unwrap();
    let overflow = Tally { delivered: u64::MAX, failed: 6, ..Tally::default() };
    for wrong in [delivered(4), delivered(6), Tally::default(), overflow] {
        assert_eq!(kind(ledger.commit(id, wrong).await), Kind::Internal, "{wrong:?}");
    }
    ledger.commit(id, Tally { delivered: 4, damaged: 1, ..Tally::default() }).await.unwrap();
    assert_eq!(kind(ledger.skip(StreamId(1), 0, 9, expired(3)).await), Kind::Internal);
    assert_eq!(kind(ledger.skip(StreamId(1), 0, 9, delivered(4)).await), Kind::Internal);
}

async fn skips_need_a_quiet_shard(ledger: &dyn Ledger) {
    let stream = StreamId(1);
    ledger.skip(stream, 0, 10, expired(10)).await.unwrap();
    assert_eq!(kind(ledger.skip(stream, 0, 10, expired(0)).await), Kind::Conflict);
    assert_eq!(kind(ledger.skip(stream, 0, 9, expired(1)).await), Kind::Conflict);
    let id = ledger.plan(plan(1, 0, 10, 12)).await.unwrap();
    assert_eq!(kind(ledger.skip(stream, 0, 13, expired(1)).await), Kind::Conflict);
    ledger.commit(id, delivered(2)).await.unwrap();
    let mixed = Tally { expired: 1, discarded: 2, damaged: 3, ..Tally::default() };
    ledger.skip(stream, 0, 18, mixed).await.unwrap();
    let standing = &ledger.standing(stream).await.unwrap()[&0];
    assert_eq!((standing.committed, standing.total.expired, standing.total.damaged), (18, 11, 3));
}

async fn a_removed_stream_is_forgotten_and_no_other(ledger: &dyn Ledger) {
    for stream in [1, 2] {
        ledger.skip(StreamId(stream), 0, 10, expired(10)).await.unwrap();
        ledger.plan(plan(stream, 1, 0, 4)).await.unwrap();
    }
    let gone = ledger.standing(StreamId(1)).await.unwrap()[&1].unfinished[0].0;
    let other = ledger.standing(StreamId(2)).await.unwrap();
    ledger.remove(StreamId(1)).await.unwrap();
    ledger.remove(StreamId(1)).await.unwrap();
    ledger.remove(StreamId(99)).await.unwrap();
    assert!(ledger.standing(StreamId(1)).await.unwrap().is_empty());
    assert_eq!(ledger.standing(StreamId(2)).await.unwrap(), other);
    assert_eq!(kind(ledger.commit(gone, delivered(4)).await), Kind::Conflict);
}

async fn plan_numbers_rise_over_all_streams(ledger: &dyn Ledger) {
    let mut last = 0;
    for n in 0..30 {
        let id = ledger.plan(plan(1 + n % 3, 0, n / 3, n / 3 + 1)).await.unwrap();
        assert!(id > last);
        last = id;
    }
}

async fn a_closed_ledger_refuses(ledger: &dyn Ledger) {
    ledger.plan(plan(1, 0, 0, 5)).await.unwrap();
    ledger.close().await;
    ledger.close().await;
    assert_eq!(kind(ledger.plan(plan(1, 0, 5, 6)).await), Kind::Closed);
    assert_eq!(kind(ledger.commit(1, delivered(5)).await), Kind::Closed);
    assert_eq!(kind(ledger.standing(StreamId(1)).await), Kind::Closed);
}

async fn random_calls_are_answered_as_by_the_model(ledger: &dyn Ledger, seed: u64) {
    let (model, clock) = (Model::default(), crate::clock::Clock::simulated(seed, 0));
    for _ in 0..120 {
        let step = Step::random(&clock, &model);
        let (ours, theirs) = (step.run(ledger).await, step.run(&model).await);
        let ours = ours.map_err(|error| error.kind());
        assert_eq!(ours, theirs.map_err(|error| error.kind()), "seed {seed}: {step:?}");
    }
    for stream in 1..=3 {
        let stream = StreamId(stream);
        assert_eq!(ledger.standing(stream).await.unwrap(), model.standing(stream).await.unwrap(), "seed {seed}");
    }
}

/// One call, for tests that make them by chance.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Plan(Plan),
    Replan(PlanId, Plan),
    Commit(PlanId, Tally),
    Skip(StreamId, u32, u64, Tally),
    Remove(StreamId),
}

impl Step {
    /// Mostly a call that makes sense after what `model` knows, sometimes one that does not.
    pub(super) fn random(clock: &crate::clock::Clock, model: &Model) -> Step {
        Step::random_for(clock, model, 1 + clock.random() % 3)
    }

    /// The same, for this stream.
    pub(super) fn random_for(clock: &crate::clock::Clock, model: &Model, stream: u64) -> Step {
        let shard = (clock.random() % 2) as u32;
        let standing = model.shard(StreamId(stream), shard);
        let tail = standing.unfinished.last().map_or(standing.committed, |(_, plan)| plan.end);
        let few = clock.random() % 5;
        match (clock.random() % 23, standing.unfinished.first()) {
            (0, _) => Step::Remove(StreamId(stream)),
            (1, _) => Step::Plan(plan(stream, shard, tail + few, tail + 3)),
            // Never another stream's plan, whose call may be under way at the same time.
            (2, Some((id, _))) => Step::Commit(*id + 1_000 * few, delivered(few)),
            (20, Some((id, plan))) => Step::Replan(*id, Plan { key: format!("{}-again", plan.key), ..plan.clone() }),
            (21, Some((id, plan))) => Step::Replan(*id, Plan { end: plan.end + few, ..plan.clone() }),
            (3..=5, _) => Step::Skip(StreamId(stream), shard, tail + few, expired(few)),
            (6..=13, Some((id, plan))) => Step::Commit(*id, delivered(plan.end - plan.start)),
            _ => Step::Plan(plan(stream, shard, tail, tail + 1 + few)),
        }
    }

    pub(super) async fn run(&self, ledger: &dyn Ledger) -> Result<Option<PlanId>> {
        match self.clone() {
            Step::Plan(plan) => ledger.plan(plan).await.map(Some),
            Step::Replan(old, plan) => ledger.replan(old, plan).await.map(Some),
            Step::Commit(id, tally) => ledger.commit(id, tally).await.map(|()| None),
            Step::Skip(stream, shard, end, tally) => ledger.skip(stream, shard, end, tally).await.map(|()| None),
            Step::Remove(stream) => ledger.remove(stream).await.map(|()| None),
        }
    }
}

/// The ledger in memory, as plainly as can be.
#[derive(Default)]
pub(super) struct Model(Mutex<Inner>);

#[derive(Default, Clone)]
struct Inner {
    shards: BTreeMap<(StreamId, u32), Standing>,
    last: PlanId,
    closed: bool,
}

impl Model {
    pub(super) fn shard(&self, stream: StreamId, shard: u32) -> Standing {
        self.0.lock().unwrap().shards.get(&(stream, shard)).cloned().unwrap_or_default()
    }

    /// Makes the next plan's number greater than `id`.
    pub(super) fn numbered_from(&self, id: PlanId) {
        let mut inner = self.0.lock().unwrap();
        inner.last = inner.last.max(id);
    }

    pub(super) fn copy(&self) -> Model {
        Model(Mutex::new(self.0.lock().unwrap().clone()))
    }

    fn change<T>(&self, act: impl FnOnce(&mut Inner) -> Result<T, Kind>) -> Result<T> {
        let mut inner = self.0.lock().unwrap();
        let result = if inner.closed { Err(Kind::Closed) } else { act(&mut inner) };
        result.map_err(|kind| Error::new(kind, "the model refuses"))
    }
}

fn count(tally: Tally) -> u128 {
    let Tally { delivered, failed, dropped, expired, discarded, damaged, .. } = tally;
    [delivered, failed, dropped, expired, discarded, damaged].into_iter().map(u128::from).sum()
}

fn sum(a: Tally, b: Tally) -> Tally {
    Tally {
        delivered: a.delivered + b.delivered,
        delivered_bytes: a.delivered_bytes + b.delivered_bytes,
        failed: a.failed + b.failed,
        dropped: a.dropped + b.dropped,
        expired: a.expired + b.expired,
        discarded: a.discarded + b.discarded,
        damaged: a.damaged + b.damaged,
        objects: a.objects + b.objects,
        object_bytes: a.object_bytes + b.object_bytes,
    }
}

#[async_trait]
impl Ledger for Model {
    async fn plan(&self, plan: Plan) -> Result<PlanId> {
        self.change(|inner| {
            let key = (plan.stream, plan.shard);
            let standing = inner.shards.get(&key).cloned().unwrap_or_default();
            let tail = standing.unfinished.last().map_or(standing.committed, |(_, plan)| plan.end);
            match plan {
                _ if plan.end <= plan.start => Err(Kind::Invalid),
                _ if plan.start != tail => Err(Kind::Conflict),
                _ => {
                    inner.last += 1;
                    inner.shards.entry(key).or_default().unfinished.push((inner.last, plan));
                    Ok(inner.last)
                }
            }
        })
    }

    async fn replan(&self, old: PlanId, plan: Plan) -> Result<PlanId> {
        self.change(|inner| {
            let id = inner.last + 1;
            let standing = inner.shards.get_mut(&(plan.stream, plan.shard)).ok_or(Kind::Conflict)?;
            let (start, end) = (plan.start, plan.end);
            let same =
                |(known, before): &&mut (PlanId, Plan)| *known == old && before.start == start && before.end == end;
            *standing.unfinished.iter_mut().find(same).ok_or(Kind::Conflict)? = (id, plan);
            inner.last = id;
            Ok(id)
        })
    }

    async fn commit(&self, plan: PlanId, tally: Tally) -> Result<()> {
        self.change(|inner| {
            let is_first = |standing: &&mut Standing| standing.unfinished.first().is_some_and(|(id, _)| *id == plan);
            let standing = inner.shards.values_mut().find(is_first).ok_or(Kind::Conflict)?;
            let (start, end) = (standing.unfinished[0].1.start, standing.unfinished[0].1.end);
            if count(tally) != u128::from(end - start) {
                return Err(Kind::Internal);
            }
            standing.unfinished.remove(0);
            standing.committed = end;
            standing.total = sum(standing.total, tally);
            Ok(())
        })
    }

    async fn skip(&self, stream: StreamId, shard: u32, end: u64, tally: Tally) -> Result<()> {
        self.change(|inner| {
            let mut standing = inner.shards.get(&(stream, shard)).cloned().unwrap_or_default();
            if end <= standing.committed || !standing.unfinished.is_empty() {
                return Err(Kind::Conflict);
            }
            if tally.delivered + tally.failed > 0 || count(tally) != u128::from(end - standing.committed) {
                return Err(Kind::Internal);
            }
            standing.committed = end;
            standing.total = sum(standing.total, tally);
            inner.shards.insert((stream, shard), standing);
            Ok(())
        })
    }

    async fn standing(&self, stream: StreamId) -> Result<BTreeMap<u32, Standing>> {
        self.change(|inner| {
            let of_stream = inner.shards.iter().filter(|(key, _)| key.0 == stream);
            Ok(of_stream.map(|(key, standing)| (key.1, standing.clone())).collect())
        })
    }

    async fn remove(&self, stream: StreamId) -> Result<()> {
        self.change(|inner| {
            inner.shards.retain(|key, _| key.0 != stream);
            Ok(())
        })
    }

    async fn close(&self) {
        self.0.lock().unwrap().closed = true;
    }
}
