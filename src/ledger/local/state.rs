//! What the ledger knows at a moment, and which entry may follow it. Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::line::Entry;
use crate::error::{Error, Kind, Result};
use crate::ledger::{Lane, Lanes, Plan, PlanId, Share, Standing, Stands, Tally};
use crate::record::{ShardId, Span, StreamId};

/// Where every delivery stream stands.
pub(super) struct State {
    next: PlanId,
    streams: BTreeMap<StreamId, Standing>,
    /// The delivery stream of each unfinished plan.
    unfinished: HashMap<PlanId, StreamId>,
}

impl State {
    pub(super) fn new() -> Self {
        State { next: 1, streams: BTreeMap::new(), unfinished: HashMap::new() }
    }

    /// The number that the next plan gets.
    pub(super) fn next(&self) -> PlanId {
        self.next
    }

    pub(super) fn standing(&self, stream: StreamId) -> Standing {
        self.streams.get(&stream).cloned().unwrap_or_default()
    }

    /// Where the plans of each shard end; of a shard that several delivery streams read, the furthest.
    pub(super) fn ends(&self) -> BTreeMap<ShardId, u64> {
        let mut ends = BTreeMap::new();
        let all = |standing: &Standing| standing.ends_of_plans().into_iter().chain(standing.lanes.furthest());
        for (shard, end) in self.streams.values().flat_map(all) {
            let furthest: &mut u64 = ends.entry(shard).or_default();
            *furthest = end.max(*furthest);
        }
        ends
    }

    pub(super) fn knows(&self, stream: StreamId) -> bool {
        self.streams.contains_key(&stream)
    }

    pub(super) fn knows_shard(&self, stream: StreamId, shard: ShardId) -> bool {
        let standing = self.streams.get(&stream);
        standing.is_some_and(|standing| {
            standing.shards.contains_key(&shard) || standing.is_under_way(shard) || standing.lanes.holds(shard)
        })
    }

    /// The entry that says that a plan is done.
    pub(super) fn committing(&self, id: PlanId, tally: Tally, ms: u64) -> Result<Entry> {
        let Some(stream) = self.unfinished.get(&id) else {
            return Err(Error::new(Kind::Conflict, format!("plan {id} is not unfinished")));
        };
        Ok(Entry::Commit { id, stream: *stream, ms, tally })
    }

    /// Takes an entry, or says why it cannot follow and changes nothing.
    pub(super) fn apply(&mut self, entry: &Entry) -> Result<()> {
        match entry {
            Entry::Start { stream, shard, position, .. } => self.start(*stream, *shard, *position),
            Entry::Plan { id, plan } => self.plan(*id, plan),
            Entry::Replan { old, id, plan } => self.replan(*old, *id, plan),
            Entry::Commit { id, stream, tally, .. } => self.commit(*id, *stream, tally),
            Entry::Skip { stream, shard, end, tally, .. } => self.skip(*stream, *shard, *end, tally),
            Entry::Advance { stream, to, tally, .. } => self.advance(*stream, to, tally),
            Entry::Retire { stream, shard, .. } => self.retire(*stream, *shard),
            Entry::Remove { stream, .. } => {
                self.remove(*stream);
                Ok(())
            }
            Entry::End { .. } => Ok(()),
            Entry::Header { .. }
            | Entry::Stream { .. }
            | Entry::Shard { .. }
            | Entry::Open { .. }
            | Entry::Lane { .. }
            | Entry::Routing { .. }
            | Entry::Begin { .. } => Err(Error::corrupt("a line of the snapshot stands after it")),
        }
    }

    /// Takes an entry of a snapshot.
    pub(super) fn restore(&mut self, entry: &Entry) -> Result<()> {
        match entry {
            Entry::Stream { stream, retired, total } => {
                let standing = Standing { retired: *retired, total: *total, ..Standing::default() };
                self.streams.insert(*stream, standing);
                Ok(())
            }
            Entry::Shard { stream, shard, began, committed } if began <= committed => {
                let stands = Stands { began: *began, committed: *committed };
                self.streams.entry(*stream).or_default().shards.insert(*shard, stands);
                Ok(())
            }
            // The streams stand in their order, not in that of the plans.
            Entry::Open { id, plan } => self.place(*id, plan),
            // What lanes have planned stands behind the plans, some of which are done.
            Entry::Lane { stream, lane, ends } => {
                let lanes = &mut self.streams.entry(*stream).or_default().lanes;
                lanes.ends.entry(lane.clone()).or_default().extend(ends.iter().copied());
                Ok(())
            }
            Entry::Routing { stream, target, cuts } => {
                let lanes = &mut self.streams.entry(*stream).or_default().lanes;
                lanes.target = Some(target.clone());
                for (shard, cut) in cuts {
                    lanes.cuts.entry(*shard).or_default().insert(*cut);
                }
                Ok(())
            }
            Entry::Begin { next } if self.unfinished.keys().all(|id| id < next) => {
                self.next = *next;
                Ok(())
            }
            _ => Err(Error::corrupt("it does not belong into a snapshot")),
        }
    }

    /// The entries from which [`restore`](State::restore) makes this state again.
    pub(super) fn snapshot(&self) -> impl Iterator<Item = Entry> {
        let streams = self.streams.iter().flat_map(|(&stream, standing)| {
            let first = Entry::Stream { stream, retired: standing.retired, total: standing.total };
            let shards = standing.shards.iter().map(move |(&shard, &Stands { began, committed })| Entry::Shard {
                stream,
                shard,
                began,
                committed,
            });
            let open = |(id, plan): &(PlanId, Plan)| Entry::Open { id: *id, plan: plan.clone() };
            let plans = standing.unfinished.iter().map(open);
            std::iter::once(first).chain(shards).chain(plans).chain(of_lanes(stream, &standing.lanes))
        });
        streams.chain(std::iter::once(Entry::Begin { next: self.next }))
    }

    /// Goes back to how things stood `before`; only plan numbers are not given again.
    pub(super) fn undo(&mut self, before: State) {
        *self = State { next: self.next.max(before.next), ..before };
    }

    fn start(&mut self, stream: StreamId, shard: ShardId, position: u64) -> Result<()> {
        if self.knows_shard(stream, shard) {
            return Err(Error::new(Kind::Conflict, format!("delivery of shard {} has begun already", shard.index)));
        }
        let stands = Stands { began: position, committed: position };
        self.touch(stream).shards.insert(shard, stands);
        Ok(())
    }

    fn plan(&mut self, id: PlanId, plan: &Plan) -> Result<()> {
        self.rises(id)?;
        self.place(id, plan)?;
        self.next = id + 1;
        Ok(())
    }

    fn replan(&mut self, old: PlanId, id: PlanId, plan: &Plan) -> Result<()> {
        self.rises(id)?;
        let same = |(known, before): &(PlanId, Plan)| {
            *known == old && before.spans == plan.spans && before.share == plan.share
        };
        let standing = self.streams.get(&plan.stream);
        let Some(place) = standing.and_then(|standing| standing.unfinished.iter().position(same)) else {
            let message = format!("plan {old} with the same spans is not unfinished in stream {}", plan.stream);
            return Err(Error::new(Kind::Conflict, message));
        };
        self.touch(plan.stream).unfinished[place] = (id, plan.clone());
        self.unfinished.remove(&old);
        self.unfinished.insert(id, plan.stream);
        self.next = id + 1;
        Ok(())
    }

    fn rises(&self, id: PlanId) -> Result<()> {
        if id < self.next {
            return Err(Error::new(Kind::Internal, format!("plan numbers must rise: {id} after {}", self.next - 1)));
        }
        Ok(())
    }

    fn place(&mut self, id: PlanId, plan: &Plan) -> Result<()> {
        plan.check()?;
        match &plan.share {
            None => self.follows(plan)?,
            Some(share) => self.shares(plan, share)?,
        }
        let standing = self.touch(plan.stream);
        standing.share_out(plan);
        standing.unfinished.push((id, plan.clone()));
        self.unfinished.insert(id, plan.stream);
        Ok(())
    }

    /// Whether a plan that holds all of its spans follows the plans before it.
    fn follows(&self, plan: &Plan) -> Result<()> {
        let standing = self.streams.get(&plan.stream);
        if standing.is_some_and(Standing::has_lanes) {
            return Err(Error::new(Kind::Conflict, "shares of the stream's records are not past yet"));
        }
        for span in &plan.spans {
            let expected = standing.map_or(0, |standing| standing.end_of_plans(span.shard));
            if span.start != expected {
                let message = format!(
                    "plan.spans starts at {} in shard {}, the shard's last plan ended at {expected}",
                    span.start, span.shard.index
                );
                return Err(Error::new(Kind::Conflict, message));
            }
        }
        Ok(())
    }

    /// Whether a plan that holds a share stands behind those of its lane.
    fn shares(&self, plan: &Plan, share: &Share) -> Result<()> {
        let Some(standing) = self.streams.get(&plan.stream) else { return Ok(()) };
        if standing.whole_plans().next().is_some() {
            return Err(Error::new(Kind::Conflict, "a plan that holds all records of its spans is unfinished"));
        }
        for Span { shard, start, .. } in &plan.spans {
            let least = standing.end_of_plans(*shard).max(standing.lanes.end(&share.lane, *shard));
            if *start < least {
                let index = shard.index;
                let message = format!("plan.spans starts at {start} in shard {index}, its lane is past up to {least}");
                return Err(Error::new(Kind::Conflict, message));
            }
        }
        Ok(())
    }

    fn advance(&mut self, stream: StreamId, to: &[(ShardId, u64)], tally: &Tally) -> Result<()> {
        if to.is_empty() || !to.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Err(Error::invalid(
                "positions must be in order of their shards, each shard once, and at least one",
            ));
        }
        let unknown = Standing::default();
        let standing = self.streams.get(&stream).unwrap_or(&unknown);
        let mut passed = 0u64;
        for (shard, position) in to {
            let committed = standing.shards.get(shard).map_or(0, |stands| stands.committed);
            let bound = standing.bound(*shard).unwrap_or(u64::MAX);
            if *position <= committed || *position > bound {
                let message = format!("position {position} must be above {committed} and not above {bound}");
                return Err(Error::new(Kind::Conflict, message));
            }
            passed = passed.saturating_add(position - committed);
        }
        if tally.delivered + tally.failed + tally.objects > 0 {
            return Err(Error::new(Kind::Internal, "what has an object is counted with its plan"));
        }
        let counted = sum_of(&standing.total).and_then(|total| total.checked_add(sum_of(tally)?));
        if counted.is_none_or(|counted| counted < standing.past().saturating_add(passed)) {
            let message = format!("{passed} positions cannot be past: not all of them are counted, {tally:?}");
            return Err(Error::new(Kind::Internal, message));
        }
        self.touch(stream).advance(to, tally);
        Ok(())
    }

    fn commit(&mut self, id: PlanId, stream: StreamId, tally: &Tally) -> Result<()> {
        let known = self.streams.get(&stream);
        let share =
            known.and_then(|known| known.unfinished.iter().find(|(one, plan)| *one == id && plan.share.is_some()));
        if let Some((_, plan)) = share {
            adds_up(tally, plan.positions())?;
            self.touch(stream).finish_share(id, tally);
            self.unfinished.remove(&id);
            return Ok(());
        }
        let first = known.and_then(|standing| standing.unfinished.first());
        let Some((_, plan)) = first.filter(|(first, _)| *first == id) else {
            return Err(Error::new(
                Kind::Conflict,
                format!("plan {id} is not the oldest unfinished one of its stream"),
            ));
        };
        adds_up(tally, plan.positions())?;
        self.touch(stream).finish_first(tally);
        self.unfinished.remove(&id);
        Ok(())
    }

    fn skip(&mut self, stream: StreamId, shard: ShardId, end: u64, tally: &Tally) -> Result<()> {
        let standing = self.streams.get(&stream);
        if standing.is_some_and(|standing| standing.is_under_way(shard) || standing.lanes.holds(shard)) {
            return Err(Error::new(Kind::Conflict, "a plan of the shard is unfinished, or not past"));
        }
        let committed = standing.map_or(0, |standing| standing.end_of_plans(shard));
        if end <= committed {
            return Err(Error::new(Kind::Conflict, format!("position {end} is past already, up to {committed}")));
        }
        if tally.delivered + tally.failed + tally.objects > 0 {
            return Err(Error::new(Kind::Internal, "positions with an object cannot be skipped"));
        }
        adds_up(tally, end - committed)?;
        self.touch(stream).skip(shard, end, tally);
        Ok(())
    }

    fn retire(&mut self, stream: StreamId, shard: ShardId) -> Result<()> {
        let standing = self.streams.get(&stream);
        if standing.is_some_and(|standing| standing.is_under_way(shard) || standing.lanes.holds(shard)) {
            return Err(Error::new(Kind::Conflict, "a plan of the shard is unfinished, or not past"));
        }
        self.touch(stream).retire(shard);
        Ok(())
    }

    fn remove(&mut self, stream: StreamId) {
        for (id, _) in self.streams.remove(&stream).unwrap_or_default().unfinished {
            self.unfinished.remove(&id);
        }
    }

    /// A stream that is to be changed.
    fn touch(&mut self, stream: StreamId) -> &mut Standing {
        self.streams.entry(stream).or_default()
    }
}

/// Every position must be accounted for: nothing is dropped in silence.
fn adds_up(tally: &Tally, positions: u64) -> Result<()> {
    if sum_of(tally) == Some(positions) {
        return Ok(());
    }
    Err(Error::new(Kind::Internal, format!("the tally of {positions} positions must add up to them: {tally:?}")))
}

/// The positions of a tally; `None` when they are more than can be.
fn sum_of(tally: &Tally) -> Option<u64> {
    let Tally { delivered, failed, dropped, expired, discarded, damaged, .. } = *tally;
    [delivered, failed, dropped, expired, discarded, damaged].into_iter().try_fold(0, u64::checked_add)
}

/// The part of a snapshot that says what is planned above the watermark.
fn of_lanes(stream: StreamId, lanes: &Lanes) -> impl Iterator<Item = Entry> {
    let all = |(shard, cuts): (&ShardId, &BTreeSet<u64>)| cuts.iter().map(|cut| (*shard, *cut)).collect::<Vec<_>>();
    let routing = lanes.target.as_ref().map(|target| Entry::Routing {
        stream,
        target: target.clone(),
        cuts: lanes.cuts.iter().flat_map(all).collect(),
    });
    let lane = move |(lane, ends): (&Lane, &BTreeMap<ShardId, u64>)| Entry::Lane {
        stream,
        lane: lane.clone(),
        ends: ends.iter().map(|(shard, end)| (*shard, *end)).collect(),
    };
    routing.into_iter().chain(lanes.ends.iter().map(lane))
}
