//! The ledger in memory, as plainly as can be.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::error::{Error, Kind};

/// The ledger in memory, as plainly as can be.
#[derive(Default)]
pub(in crate::ledger) struct Model(Mutex<Inner>);

#[derive(Default, Clone)]
struct Inner {
    streams: BTreeMap<StreamId, Standing>,
    last: PlanId,
    closed: bool,
}

impl Model {
    pub(in crate::ledger) fn of(&self, stream: StreamId) -> Standing {
        self.0.lock().unwrap().streams.get(&stream).cloned().unwrap_or_default()
    }

    /// Makes the next plan's number greater than `id`.
    pub(in crate::ledger) fn numbered_from(&self, id: PlanId) {
        let mut inner = self.0.lock().unwrap();
        inner.last = inner.last.max(id);
    }

    pub(in crate::ledger) fn copy(&self) -> Model {
        Model(Mutex::new(self.0.lock().unwrap().clone()))
    }

    fn change<T>(&self, act: impl FnOnce(&mut Inner) -> Result<T, Kind>) -> Result<T> {
        let mut inner = self.0.lock().unwrap();
        let result = if inner.closed { Err(Kind::Closed) } else { act(&mut inner) };
        result.map_err(|kind| Error::new(kind, "the model refuses"))
    }
}

/// Where the last plan of a shard ended, and whether one is unfinished.
fn tail(standing: &Standing, shard: ShardId) -> (u64, bool) {
    let mut tail = (standing.shards.get(&shard).map_or(0, |stands| stands.committed), false);
    for plan in standing.unfinished.iter().map(|(_, plan)| plan) {
        for span in plan.spans.iter().filter(|span| span.shard == shard) {
            tail = (if plan.share.is_some() { tail.0 } else { span.end }, true);
        }
    }
    tail
}

/// The same, where also what lanes have planned above the watermark is in the way.
fn busy_tail(standing: &Standing, shard: ShardId) -> (u64, bool) {
    let (end, is_busy) = tail(standing, shard);
    let is_planned = standing.lanes.ends.values().any(|ends| ends.contains_key(&shard));
    (end, is_busy || is_planned || standing.lanes.cuts.contains_key(&shard))
}

fn count(tally: Tally) -> u128 {
    let Tally { delivered, failed, dropped, expired, discarded, damaged, .. } = tally;
    [delivered, failed, dropped, expired, discarded, damaged].into_iter().map(u128::from).sum()
}

fn sum(a: Tally, b: Tally) -> Tally {
    Tally {
        delivered: a.delivered + b.delivered,
        unpacked: a.unpacked + b.unpacked,
        delivered_bytes: a.delivered_bytes + b.delivered_bytes,
        failed: a.failed + b.failed,
        unpacked_failed: a.unpacked_failed + b.unpacked_failed,
        decompression_failed: a.decompression_failed + b.decompression_failed,
        partitioning_failed: a.partitioning_failed + b.partitioning_failed,
        conversion_failed: a.conversion_failed + b.conversion_failed,
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
    async fn begin(&self, stream: StreamId, shard: ShardId, position: u64) -> Result<()> {
        self.change(|inner| {
            let standing = inner.streams.get(&stream).cloned().unwrap_or_default();
            if standing.shards.contains_key(&shard) || busy_tail(&standing, shard).1 {
                return Err(Kind::Conflict);
            }
            let stands = Stands { began: position, committed: position };
            inner.streams.entry(stream).or_default().shards.insert(shard, stands);
            Ok(())
        })
    }

    async fn plan(&self, plan: Plan) -> Result<PlanId> {
        self.change(|inner| {
            let standing = inner.streams.get(&plan.stream).cloned().unwrap_or_default();
            let ascends = plan.spans.windows(2).all(|two| two[0].shard < two[1].shard);
            if plan.spans.is_empty() || !ascends || plan.spans.iter().any(|span| span.end <= span.start) {
                return Err(Kind::Invalid);
            }
            let is_share = |(_, plan): &(PlanId, Plan)| plan.share.is_some();
            let has_lanes = standing.unfinished.iter().any(is_share) || standing.lanes != Lanes::default();
            let is_free = |span: &Span| match &plan.share {
                None => !has_lanes && span.start == tail(&standing, span.shard).0,
                Some(share) => {
                    let end = standing.lanes.ends.get(&share.lane).and_then(|ends| ends.get(&span.shard));
                    let past = standing.shards.get(&span.shard).map_or(0, |stands| stands.committed);
                    standing.unfinished.iter().all(is_share) && span.start >= past.max(end.copied().unwrap_or(0))
                }
            };
            if !plan.spans.iter().all(is_free) {
                return Err(Kind::Conflict);
            }
            inner.last += 1;
            let standing = inner.streams.entry(plan.stream).or_default();
            if let Some(Share { lane, cuts, .. }) = &plan.share {
                standing.lanes.target = Some(plan.target.clone());
                for span in &plan.spans {
                    standing.lanes.ends.entry(lane.clone()).or_default().insert(span.shard, span.end);
                }
                for (shard, cut) in cuts {
                    if *cut > standing.shards.get(shard).map_or(0, |stands| stands.committed) {
                        standing.lanes.cuts.entry(*shard).or_default().insert(*cut);
                    }
                }
            }
            standing.unfinished.push((inner.last, plan));
            Ok(inner.last)
        })
    }

    async fn replan(&self, old: PlanId, plan: Plan) -> Result<PlanId> {
        self.change(|inner| {
            let id = inner.last + 1;
            let standing = inner.streams.get_mut(&plan.stream).ok_or(Kind::Conflict)?;
            let spans = plan.spans.clone();
            let share = plan.share.clone();
            let same =
                |(known, before): &&mut (PlanId, Plan)| *known == old && before.spans == spans && before.share == share;
            *standing.unfinished.iter_mut().find(same).ok_or(Kind::Conflict)? = (id, plan);
            inner.last = id;
            Ok(id)
        })
    }

    async fn advance(&self, stream: StreamId, to: Vec<(ShardId, u64)>, tally: Tally) -> Result<()> {
        self.change(|inner| {
            let mut standing = inner.streams.get(&stream).cloned().unwrap_or_default();
            if to.is_empty() || to.windows(2).any(|two| two[0].0 >= two[1].0) {
                return Err(Kind::Invalid);
            }
            for (shard, position) in &to {
                let held = |(_, plan): &(PlanId, Plan)| {
                    plan.spans.iter().any(|span| span.shard == *shard && span.start < *position)
                };
                let stands = standing.shards.entry(*shard).or_default();
                if *position <= stands.committed || standing.unfinished.iter().any(held) {
                    return Err(Kind::Conflict);
                }
                stands.committed = *position;
                standing
                    .lanes
                    .ends
                    .values_mut()
                    .for_each(|ends| ends.retain(|of, end| of != shard || *end > *position));
                standing.lanes.cuts.entry(*shard).or_default().retain(|cut| *cut > *position);
            }
            standing.lanes.ends.retain(|_, ends| !ends.is_empty());
            standing.lanes.cuts.retain(|_, cuts| !cuts.is_empty());
            if standing.lanes.is_empty() {
                standing.lanes = Lanes::default();
            }
            if tally.delivered + tally.failed > 0 || count(standing.total) + count(tally) < u128::from(standing.past())
            {
                return Err(Kind::Internal);
            }
            standing.total = sum(standing.total, tally);
            inner.streams.insert(stream, standing);
            Ok(())
        })
    }

    async fn commit(&self, plan: PlanId, tally: Tally) -> Result<()> {
        self.change(|inner| {
            for standing in inner.streams.values_mut() {
                let is_it = |(id, of): &(PlanId, Plan)| *id == plan && of.share.is_some();
                if let Some(at) = standing.unfinished.iter().position(is_it) {
                    let positions = standing.unfinished[at].1.share.as_ref().expect("it has one").positions;
                    if count(tally) != u128::from(positions) {
                        return Err(Kind::Internal);
                    }
                    standing.unfinished.remove(at);
                    standing.total = sum(standing.total, tally);
                    return Ok(());
                }
            }
            let is_first = |standing: &&mut Standing| standing.unfinished.first().is_some_and(|(id, _)| *id == plan);
            let standing = inner.streams.values_mut().find(is_first).ok_or(Kind::Conflict)?;
            let spans = standing.unfinished[0].1.spans.clone();
            if count(tally) != spans.iter().map(|span| u128::from(span.end - span.start)).sum() {
                return Err(Kind::Internal);
            }
            standing.unfinished.remove(0);
            for span in spans {
                standing.shards.entry(span.shard).or_default().committed = span.end;
            }
            standing.total = sum(standing.total, tally);
            Ok(())
        })
    }

    async fn skip(&self, stream: StreamId, shard: ShardId, end: u64, tally: Tally) -> Result<()> {
        self.change(|inner| {
            let mut standing = inner.streams.get(&stream).cloned().unwrap_or_default();
            let (committed, is_under_way) = busy_tail(&standing, shard);
            if end <= committed || is_under_way {
                return Err(Kind::Conflict);
            }
            if tally.delivered + tally.failed > 0 || count(tally) != u128::from(end - committed) {
                return Err(Kind::Internal);
            }
            standing.shards.entry(shard).or_default().committed = end;
            standing.total = sum(standing.total, tally);
            inner.streams.insert(stream, standing);
            Ok(())
        })
    }

    async fn retire(&self, stream: StreamId, shard: ShardId) -> Result<()> {
        self.change(|inner| {
            let Some(standing) = inner.streams.get_mut(&stream) else { return Ok(()) };
            if busy_tail(standing, shard).1 {
                return Err(Kind::Conflict);
            }
            let Stands { began, committed } = standing.shards.remove(&shard).unwrap_or_default();
            standing.retired += committed - began;
            Ok(())
        })
    }

    async fn standing(&self, stream: StreamId) -> Result<Standing> {
        self.change(|inner| Ok(inner.streams.get(&stream).cloned().unwrap_or_default()))
    }

    async fn remove(&self, stream: StreamId) -> Result<()> {
        self.change(|inner| {
            inner.streams.remove(&stream);
            Ok(())
        })
    }

    async fn close(&self) {
        self.0.lock().unwrap().closed = true;
    }
}
