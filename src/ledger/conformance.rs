//! What every [`Ledger`] must do; a model of it in memory says what it should answer.

mod model;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::error::Kind;

pub(super) use model::Model;

/// Runs the whole suite; `make` gives a new, empty ledger each time.
pub(super) async fn all(make: impl Fn() -> Arc<dyn Ledger>) {
    plans_are_contiguous(&*make()).await;
    a_plan_of_several_shards_is_one(&*make()).await;
    a_shard_begins_once_and_before_its_first_plan(&*make()).await;
    a_retired_shard_leaves_its_totals(&*make()).await;
    commits_come_in_order(&*make()).await;
    tallies_must_add_up(&*make()).await;
    skips_need_a_quiet_shard(&*make()).await;
    lanes_overlap_and_each_follows_itself(&*make()).await;
    a_watermark_passes_what_is_counted_alone(&*make()).await;
    shares_and_whole_plans_never_meet(&*make()).await;
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

/// A shard of a data stream, whose identity is that of no delivery stream.
pub(super) fn shard(index: u32) -> ShardId {
    ShardId { stream: StreamId(0x1000), index }
}

/// A plan of one span.
pub(super) fn plan(stream: u64, index: u32, start: u64, end: u64) -> Plan {
    plan_of(stream, &[(index, start, end)])
}

pub(super) fn plan_of(stream: u64, spans: &[(u32, u64, u64)]) -> Plan {
    let start = spans.first().map_or(0, |(_, start, _)| *start);
    Plan {
        stream: StreamId(stream),
        spans: spans.iter().map(|&(index, start, end)| Span { shard: shard(index), start, end }).collect(),
        planned_ms: 1_700_000_000_000 + start,
        object_ms: 1_700_000_000_000,
        version: 3,
        key: format!("web/2024/\"ü\"\n/{stream}-{start}.gz"),
        error_key: format!("errors/{stream}-{start}"),
        error_keys: BTreeMap::new(),
        target: serde_json::json!({ "bucket": "b", "level": 6, "nested": [null, 1.5, { "a": "b" }] }),
        share: None,
    }
}

/// A plan of a lane: `""` is that of failures.
pub(super) fn share_of(stream: u64, lane: &str, spans: &[(u32, u64, u64)], positions: u64, cuts: &[u64]) -> Plan {
    let lane = if lane.is_empty() { Lane::Failures } else { Lane::Keys(vec![lane.to_owned(), "é/..".to_owned()]) };
    let cuts = cuts.iter().map(|cut| (shard(0), *cut)).collect();
    Plan { share: Some(Share { lane, positions, cuts }), ..plan_of(stream, spans) }
}

fn dropped(records: u64) -> Tally {
    Tally { dropped: records, ..Tally::default() }
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
    let never = Standing::default();
    assert_eq!(ledger.standing(stream).await.unwrap(), never, "never planned");
    assert_eq!(kind(ledger.plan(plan(7, 0, 5, 9)).await), Kind::Conflict);
    assert_eq!(ledger.standing(stream).await.unwrap(), never, "refused plans leave nothing");
    let first = ledger.plan(plan(7, 0, 0, 5)).await.unwrap();
    assert_eq!(kind(ledger.plan(plan(7, 0, 0, 5)).await), Kind::Conflict);
    assert_eq!(kind(ledger.plan(plan(7, 0, 4, 6)).await), Kind::Conflict);
    assert_eq!(kind(ledger.plan(plan(7, 0, 6, 7)).await), Kind::Conflict);
    for wrong in [&[][..], &[(0, 5, 5)], &[(0, 5, 4)], &[(1, 0, 2), (0, 5, 6)], &[(0, 5, 6), (0, 6, 7)]] {
        assert_eq!(kind(ledger.plan(plan_of(7, wrong)).await), Kind::Invalid, "{wrong:?}");
    }
    let second = ledger.plan(plan(7, 0, 5, 9)).await.unwrap();
    let third = ledger.plan(plan(7, 2, 0, 1)).await.unwrap();
    let standing = ledger.standing(stream).await.unwrap();
    let expected = [(first, plan(7, 0, 0, 5)), (second, plan(7, 0, 5, 9)), (third, plan(7, 2, 0, 1))];
    assert_eq!(standing.unfinished, expected);
    assert_eq!(standing.ends_of_plans(), BTreeMap::from([(shard(0), 9), (shard(2), 1)]));
    assert_eq!((standing.past(), standing.end_of_plans(shard(1))), (0, 0));
}

async fn a_plan_of_several_shards_is_one(ledger: &dyn Ledger) {
    let stream = StreamId(7);
    let first = ledger.plan(plan_of(7, &[(0, 0, 5), (3, 0, 2)])).await.unwrap();
    let half_wrong = plan_of(7, &[(0, 5, 6), (3, 3, 4)]);
    assert_eq!(kind(ledger.plan(half_wrong).await), Kind::Conflict);
    let second = ledger.plan(plan_of(7, &[(1, 0, 1), (3, 2, 4)])).await.unwrap();
    assert_eq!(kind(ledger.commit(second, delivered(3)).await), Kind::Conflict, "the first is not done");
    assert_eq!(kind(ledger.commit(first, delivered(5)).await), Kind::Internal, "it has 7 positions");
    ledger.commit(first, delivered(7)).await.unwrap();
    let standing = ledger.standing(stream).await.unwrap();
    let past = |committed| Stands { began: 0, committed };
    assert_eq!(standing.shards, BTreeMap::from([(shard(0), past(5)), (shard(3), past(2))]));
    assert_eq!((standing.past(), standing.total.positions()), (7, 7));
    assert_eq!(kind(ledger.skip(stream, shard(3), 5, expired(1)).await), Kind::Conflict, "a plan holds it");
    ledger.skip(stream, shard(0), 6, expired(1)).await.unwrap();
    let other = plan_of(7, &[(1, 0, 1)]);
    assert_eq!(kind(ledger.replan(second, other).await), Kind::Conflict, "other spans");
    let again = Plan { key: "again".into(), ..plan_of(7, &[(1, 0, 1), (3, 2, 4)]) };
    let third = ledger.replan(second, again).await.unwrap();
    ledger.commit(third, delivered(3)).await.unwrap();
    assert_eq!(ledger.standing(stream).await.unwrap().past(), 11);
}

async fn a_shard_begins_once_and_before_its_first_plan(ledger: &dyn Ledger) {
    let stream = StreamId(7);
    ledger.begin(stream, shard(0), 100).await.unwrap();
    assert_eq!(kind(ledger.begin(stream, shard(0), 100).await), Kind::Conflict);
    assert_eq!(kind(ledger.plan(plan(7, 0, 0, 101)).await), Kind::Conflict);
    ledger.begin(stream, shard(1), 0).await.unwrap();
    let id = ledger.plan(plan_of(7, &[(0, 100, 104), (1, 0, 1), (2, 0, 1)])).await.unwrap();
    assert_eq!(kind(ledger.begin(stream, shard(2), 0).await), Kind::Conflict, "it is planned");
    ledger.commit(id, delivered(6)).await.unwrap();
    let standing = ledger.standing(stream).await.unwrap();
    assert_eq!(standing.shards[&shard(0)], Stands { began: 100, committed: 104 });
    assert_eq!((standing.past(), standing.total.positions()), (6, 6));
    ledger.begin(StreamId(8), shard(0), 3).await.unwrap();
    assert_eq!(ledger.standing(stream).await.unwrap(), standing, "another reads the same shard");
}

async fn a_retired_shard_leaves_its_totals(ledger: &dyn Ledger) {
    let stream = StreamId(7);
    ledger.retire(stream, shard(0)).await.unwrap();
    ledger.begin(stream, shard(0), 10).await.unwrap();
    let id = ledger.plan(plan_of(7, &[(0, 10, 15), (1, 0, 2)])).await.unwrap();
    assert_eq!(kind(ledger.retire(stream, shard(0)).await), Kind::Conflict, "a plan holds it");
    ledger.commit(id, delivered(7)).await.unwrap();
    ledger.retire(stream, shard(0)).await.unwrap();
    ledger.retire(stream, shard(0)).await.unwrap();
    let standing = ledger.standing(stream).await.unwrap();
    assert_eq!(standing.shards.keys().collect::<Vec<_>>(), [&shard(1)]);
    assert_eq!((standing.retired, standing.past(), standing.total.positions()), (5, 7, 7));
}

async fn commits_come_in_order(ledger: &dyn Ledger) {
    let first = ledger.plan(plan(1, 0, 0, 5)).await.unwrap();
    let second = ledger.plan(plan(1, 0, 5, 9)).await.unwrap();
    assert_eq!(kind(ledger.commit(second, delivered(4)).await), Kind::Conflict);
    assert_eq!(kind(ledger.commit(second + 1, delivered(4)).await), Kind::Conflict);
    ledger.commit(first, delivered(5)).await.unwrap();
    assert_eq!(kind(ledger.commit(first, delivered(5)).await), Kind::Conflict);
    let standing = ledger.standing(StreamId(1)).await.unwrap();
    assert_eq!(standing.shards[&shard(0)].committed, 5);
    assert_eq!(standing.unfinished, [(second, plan(1, 0, 5, 9))]);
    let mixed = Tally { delivered: 1, delivered_bytes: 7, failed: 2, dropped: 1, objects: 2, ..Tally::default() };
    ledger.commit(second, Tally { unpacked: 9, unpacked_failed: 8, ..mixed }).await.unwrap();
    let total = ledger.standing(StreamId(1)).await.unwrap().total;
    assert_eq!((total.delivered, total.delivered_bytes, total.failed, total.dropped, total.objects), (6, 57, 2, 1, 3));
    assert_eq!((total.unpacked, total.unpacked_failed), (9, 8), "they count beside the positions");
    ledger.plan(plan(1, 0, 9, 10)).await.unwrap();
}

async fn tallies_must_add_up(ledger: &dyn Ledger) {
    let id = ledger.plan(plan(1, 0, 0, 5)).await.unwrap();
    let overflow = Tally { delivered: u64::MAX, failed: 6, ..Tally::default() };
    for wrong in [delivered(4), delivered(6), Tally::default(), overflow] {
        assert_eq!(kind(ledger.commit(id, wrong).await), Kind::Internal, "{wrong:?}");
    }
    ledger.commit(id, Tally { delivered: 4, damaged: 1, ..Tally::default() }).await.unwrap();
    assert_eq!(kind(ledger.skip(StreamId(1), shard(0), 9, expired(3)).await), Kind::Internal);
    assert_eq!(kind(ledger.skip(StreamId(1), shard(0), 9, delivered(4)).await), Kind::Internal);
}

async fn skips_need_a_quiet_shard(ledger: &dyn Ledger) {
    let (stream, shard) = (StreamId(1), shard(0));
    ledger.skip(stream, shard, 10, expired(10)).await.unwrap();
    assert_eq!(kind(ledger.skip(stream, shard, 10, expired(0)).await), Kind::Conflict);
    assert_eq!(kind(ledger.skip(stream, shard, 9, expired(1)).await), Kind::Conflict);
    let id = ledger.plan(plan(1, 0, 10, 12)).await.unwrap();
    assert_eq!(kind(ledger.skip(stream, shard, 13, expired(1)).await), Kind::Conflict);
    ledger.commit(id, delivered(2)).await.unwrap();
    let mixed = Tally { expired: 1, discarded: 2, damaged: 3, ..Tally::default() };
    ledger.skip(stream, shard, 18, mixed).await.unwrap();
    let standing = ledger.standing(stream).await.unwrap();
    assert_eq!((standing.past(), standing.total.expired, standing.total.damaged), (18, 11, 3));
}

async fn lanes_overlap_and_each_follows_itself(ledger: &dyn Ledger) {
    let stream = StreamId(7);
    let a = ledger.plan(share_of(7, "a", &[(0, 0, 10), (1, 4, 6)], 7, &[7])).await.unwrap();
    let b = ledger.plan(share_of(7, "b", &[(0, 2, 12)], 0, &[])).await.unwrap();
    assert_eq!(kind(ledger.plan(share_of(7, "a", &[(0, 9, 12)], 1, &[])).await), Kind::Conflict);
    assert_eq!(kind(ledger.plan(share_of(7, "a", &[(0, 10, 12), (1, 5, 7)], 1, &[])).await), Kind::Conflict);
    let again = ledger.plan(share_of(7, "a", &[(0, 11, 14)], 2, &[13])).await.unwrap();
    let failed = ledger.plan(share_of(7, "", &[(0, 0, 14)], 3, &[13])).await.unwrap();
    assert_eq!(kind(ledger.commit(b, delivered(1)).await), Kind::Internal, "it has no position of its own");
    ledger.commit(b, Tally { unpacked: 3, objects: 1, ..Tally::default() }).await.unwrap();
    assert_eq!(kind(ledger.commit(b, delivered(0)).await), Kind::Conflict, "twice");
    ledger.commit(failed, Tally { failed: 3, objects: 1, ..Tally::default() }).await.unwrap();
    let standing = ledger.standing(stream).await.unwrap();
    assert_eq!(standing.unfinished.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [a, again]);
    assert_eq!((standing.early(), standing.past(), standing.end_of_plans(shard(0))), (3, 0, 0));
    assert_eq!(standing.lanes.cuts, BTreeMap::from([(shard(0), [7, 13].into())]));
    assert_eq!(standing.lanes.furthest(), BTreeMap::from([(shard(0), 14), (shard(1), 6)]));
    assert_eq!(standing.lanes.ends.len(), 3);
    assert_eq!(
        (standing.bound(shard(0)), standing.bound(shard(1)), standing.bound(shard(2))),
        (Some(0), Some(4), None)
    );
    let moved = Plan { key: "moved".into(), ..share_of(7, "a", &[(0, 11, 14)], 2, &[13]) };
    let other = share_of(7, "b", &[(0, 11, 14)], 2, &[13]);
    assert_eq!(kind(ledger.replan(again, other).await), Kind::Conflict, "another lane's");
    let moved = ledger.replan(again, moved).await.unwrap();
    ledger.commit(moved, delivered(2)).await.unwrap();
    ledger.commit(a, delivered(7)).await.unwrap();
    assert_eq!(ledger.standing(stream).await.unwrap().early(), 12);
}

async fn a_watermark_passes_what_is_counted_alone(ledger: &dyn Ledger) {
    let stream = StreamId(7);
    let to = |zero, one| vec![(shard(0), zero), (shard(1), one)];
    let a = ledger.plan(share_of(7, "a", &[(0, 0, 10), (1, 4, 6)], 7, &[7])).await.unwrap();
    assert_eq!(kind(ledger.advance(stream, to(1, 4), dropped(5)).await), Kind::Conflict, "the plan begins at 0");
    assert_eq!(kind(ledger.advance(stream, vec![], dropped(0)).await), Kind::Invalid);
    let twice = vec![(shard(1), 1), (shard(1), 2)];
    assert_eq!(kind(ledger.advance(stream, twice, dropped(2)).await), Kind::Invalid);
    assert_eq!(kind(ledger.advance(stream, vec![(shard(1), 4)], dropped(3)).await), Kind::Internal);
    ledger.advance(stream, vec![(shard(1), 4)], dropped(4)).await.unwrap();
    ledger.commit(a, delivered(7)).await.unwrap();
    assert_eq!(kind(ledger.advance(stream, vec![(shard(0), 7)], delivered(1)).await), Kind::Internal);
    ledger.advance(stream, vec![(shard(0), 7)], dropped(1)).await.unwrap();
    let standing = ledger.standing(stream).await.unwrap();
    assert_eq!((standing.early(), standing.past(), standing.lanes.is_empty()), (1, 11, false));
    assert!(standing.lanes.cuts.is_empty() && standing.lanes.target.is_some());
    assert_eq!(kind(ledger.skip(stream, shard(0), 11, expired(4)).await), Kind::Conflict, "a lane ended above");
    assert_eq!(kind(ledger.retire(stream, shard(0)).await), Kind::Conflict);
    assert_eq!(kind(ledger.advance(stream, to(10, 4), dropped(4)).await), Kind::Conflict, "nothing to pass in 1");
    ledger.advance(stream, to(10, 6), dropped(4)).await.unwrap();
    let standing = ledger.standing(stream).await.unwrap();
    assert_eq!((standing.early(), standing.past(), &standing.lanes), (0, 16, &Lanes::default()));
    ledger.retire(stream, shard(1)).await.unwrap();
}

async fn shares_and_whole_plans_never_meet(ledger: &dyn Ledger) {
    let whole = ledger.plan(plan(7, 0, 0, 5)).await.unwrap();
    assert_eq!(kind(ledger.plan(share_of(7, "a", &[(0, 5, 6)], 1, &[])).await), Kind::Conflict);
    ledger.commit(whole, delivered(5)).await.unwrap();
    assert_eq!(kind(ledger.plan(share_of(7, "a", &[(0, 4, 6)], 1, &[])).await), Kind::Conflict, "below the watermark");
    let share = ledger.plan(share_of(7, "a", &[(0, 5, 6)], 1, &[6])).await.unwrap();
    assert_eq!(kind(ledger.plan(plan(7, 0, 5, 6)).await), Kind::Conflict);
    ledger.commit(share, delivered(1)).await.unwrap();
    assert_eq!(kind(ledger.plan(plan(7, 1, 0, 6)).await), Kind::Conflict, "it is not past");
    ledger.advance(StreamId(7), vec![(shard(0), 6)], dropped(0)).await.unwrap();
    ledger.plan(plan(7, 0, 6, 7)).await.unwrap();
}

async fn a_removed_stream_is_forgotten_and_no_other(ledger: &dyn Ledger) {
    for stream in [1, 2] {
        ledger.skip(StreamId(stream), shard(0), 10, expired(10)).await.unwrap();
        ledger.plan(plan(stream, 1, 0, 4)).await.unwrap();
    }
    let gone = ledger.standing(StreamId(1)).await.unwrap().unfinished[0].0;
    let other = ledger.standing(StreamId(2)).await.unwrap();
    ledger.remove(StreamId(1)).await.unwrap();
    ledger.remove(StreamId(1)).await.unwrap();
    ledger.remove(StreamId(99)).await.unwrap();
    assert_eq!(ledger.standing(StreamId(1)).await.unwrap(), Standing::default());
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
    Begin(StreamId, ShardId, u64),
    Plan(Plan),
    Replan(PlanId, Plan),
    Commit(PlanId, Tally),
    Skip(StreamId, ShardId, u64, Tally),
    Retire(StreamId, ShardId),
    Advance(StreamId, Vec<(ShardId, u64)>, Tally),
    Remove(StreamId),
}

impl Step {
    /// Mostly a call that makes sense after what `model` knows, sometimes one that does not.
    pub(super) fn random(clock: &crate::clock::Clock, model: &Model) -> Step {
        Step::random_for(clock, model, 1 + clock.random() % 3)
    }

    /// The same, for this stream.
    pub(super) fn random_for(clock: &crate::clock::Clock, model: &Model, stream: u64) -> Step {
        let index = (clock.random() % 2) as u32;
        let standing = model.of(StreamId(stream));
        let tail = |index| standing.end_of_plans(shard(index));
        let few = clock.random() % 5;
        let both = || plan_of(stream, &[(0, tail(0), tail(0) + 1 + few), (1, tail(1), tail(1) + 2)]);
        let any = standing.unfinished.get(clock.random() as usize % standing.unfinished.len().max(1));
        match (clock.random() % 45, standing.unfinished.first()) {
            (29..=36, _) => Step::Plan(Self::share(clock, &standing, stream)),
            (37..=40, _) => match any {
                Some((id, plan)) => Step::Commit(*id, delivered(plan.positions())),
                None => Step::Remove(StreamId(stream)),
            },
            (41..=44, _) => Self::advance(clock, &standing, stream),
            (0, _) => Step::Remove(StreamId(stream)),
            (1, _) => Step::Plan(plan(stream, index, tail(index) + few, tail(index) + 3)),
            // Never another stream's plan, whose call may be under way at the same time.
            (2, Some((id, _))) => Step::Commit(*id + 1_000 * few, delivered(few)),
            (20, Some((id, plan))) => Step::Replan(*id, Plan { key: format!("{}-again", plan.key), ..plan.clone() }),
            (21, Some((id, plan))) => {
                let mut other = plan.clone();
                other.spans[0].end += few;
                Step::Replan(*id, other)
            }
            (3..=5, _) => Step::Skip(StreamId(stream), shard(index), tail(index) + few, expired(few)),
            (6..=13, Some((id, plan))) => Step::Commit(*id, delivered(plan.positions())),
            (22..=23, _) => Step::Begin(StreamId(stream), shard(index), few),
            (24, _) => Step::Retire(StreamId(stream), shard(index)),
            (25..=28, _) => Step::Plan(both()),
            _ => Step::Plan(plan(stream, index, tail(index), tail(index) + 1 + few)),
        }
    }

    /// A plan of one of three lanes, mostly behind its last.
    fn share(clock: &crate::clock::Clock, standing: &Standing, stream: u64) -> Plan {
        let lane = ["", "a", "b"][clock.random() as usize % 3];
        let begun = share_of(stream, lane, &[], 0, &[]).share.expect("it has one").lane;
        let mut spans = Vec::new();
        for index in 0..=(clock.random() % 2) as u32 {
            let least = standing.end_of_plans(shard(index)).max(standing.lanes.end(&begun, shard(index)));
            let start = least + clock.random() % 3;
            spans.push((index, start.saturating_sub(u64::from(clock.random().is_multiple_of(9))), start + 2));
        }
        let cuts = if clock.random().is_multiple_of(2) { vec![spans[0].1 + 1] } else { Vec::new() };
        share_of(stream, lane, &spans, clock.random() % 4, &cuts)
    }

    /// Mostly as far as plans and counts allow.
    fn advance(clock: &crate::clock::Clock, standing: &Standing, stream: u64) -> Step {
        let index = (clock.random() % 2) as u32;
        let committed = standing.shards.get(&shard(index)).map_or(0, |stands| stands.committed);
        let furthest = standing.lanes.furthest().get(&shard(index)).copied().unwrap_or(committed);
        let position = standing.bound(shard(index)).unwrap_or(furthest) + u64::from(clock.random().is_multiple_of(9));
        let passed = position.saturating_sub(committed);
        let early = standing.early().max(0).cast_unsigned();
        let dropped = Tally { dropped: passed.saturating_sub(early), ..Tally::default() };
        Step::Advance(StreamId(stream), vec![(shard(index), position)], dropped)
    }

    pub(super) async fn run(&self, ledger: &dyn Ledger) -> Result<Option<PlanId>> {
        match self.clone() {
            Step::Advance(stream, to, tally) => ledger.advance(stream, to, tally).await.map(|()| None),
            Step::Begin(stream, shard, position) => ledger.begin(stream, shard, position).await.map(|()| None),
            Step::Plan(plan) => ledger.plan(plan).await.map(Some),
            Step::Replan(old, plan) => ledger.replan(old, plan).await.map(Some),
            Step::Commit(id, tally) => ledger.commit(id, tally).await.map(|()| None),
            Step::Skip(stream, shard, end, tally) => ledger.skip(stream, shard, end, tally).await.map(|()| None),
            Step::Retire(stream, shard) => ledger.retire(stream, shard).await.map(|()| None),
            Step::Remove(stream) => ledger.remove(stream).await.map(|()| None),
        }
    }
}
