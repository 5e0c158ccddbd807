//! What the ledger knows at a moment, and which entry may follow it. Pure: no I/O, no clock.

use std::collections::{BTreeMap, HashMap};

use super::line::Entry;
use crate::error::{Error, Kind, Result};
use crate::ledger::{Plan, PlanId, Standing, Stands, Tally};
use crate::record::{ShardId, StreamId};

/// Where every delivery stream stands.
pub(super) struct State {
    next: PlanId,
    streams: BTreeMap<StreamId, Standing>,
    /// The delivery stream of each unfinished plan.
    unfinished: HashMap<PlanId, StreamId>,
    /// How streams stood at the last [`mark`](State::mark), if they were touched since.
    before: Option<BTreeMap<StreamId, Option<Standing>>>,
}

impl State {
    pub(super) fn new() -> Self {
        State { next: 1, streams: BTreeMap::new(), unfinished: HashMap::new(), before: None }
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
        for (shard, end) in self.streams.values().flat_map(Standing::ends_of_plans) {
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
        standing.is_some_and(|standing| standing.shards.contains_key(&shard) || standing.is_under_way(shard))
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
            std::iter::once(first).chain(shards).chain(standing.unfinished.iter().map(open))
        });
        streams.chain(std::iter::once(Entry::Begin { next: self.next }))
    }

    /// Remembers how things stand, for [`undo`](State::undo).
    pub(super) fn mark(&mut self) {
        self.before = Some(BTreeMap::new());
    }

    /// Goes back to the last [`mark`](State::mark); only plan numbers are not given again.
    pub(super) fn undo(&mut self) {
        for (stream, before) in self.before.take().unwrap_or_default() {
            if let Some(now) = self.streams.remove(&stream) {
                now.unfinished.iter().for_each(|(id, _)| _ = self.unfinished.remove(id));
            }
            if let Some(before) = before {
                self.unfinished.extend(before.unfinished.iter().map(|(id, _)| (*id, stream)));
                self.streams.insert(stream, before);
            }
        }
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
        let same = |(known, before): &(PlanId, Plan)| *known == old && before.spans == plan.spans;
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
        let standing = self.streams.get(&plan.stream);
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
        self.touch(plan.stream).unfinished.push((id, plan.clone()));
        self.unfinished.insert(id, plan.stream);
        Ok(())
    }

    fn commit(&mut self, id: PlanId, stream: StreamId, tally: &Tally) -> Result<()> {
        let first = self.streams.get(&stream).and_then(|standing| standing.unfinished.first());
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
        if standing.is_some_and(|standing| standing.is_under_way(shard)) {
            return Err(Error::new(Kind::Conflict, "a plan of the shard is unfinished"));
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
        if self.streams.get(&stream).is_some_and(|standing| standing.is_under_way(shard)) {
            return Err(Error::new(Kind::Conflict, "a plan of the shard is unfinished"));
        }
        self.touch(stream).retire(shard);
        Ok(())
    }

    fn remove(&mut self, stream: StreamId) {
        if self.knows(stream) {
            self.touch(stream);
        }
        for (id, _) in self.streams.remove(&stream).unwrap_or_default().unfinished {
            self.unfinished.remove(&id);
        }
    }

    /// A stream that is to be changed.
    fn touch(&mut self, stream: StreamId) -> &mut Standing {
        if let Some(before) = &mut self.before {
            before.entry(stream).or_insert_with(|| self.streams.get(&stream).cloned());
        }
        self.streams.entry(stream).or_default()
    }
}

/// Every position must be accounted for: nothing is dropped in silence.
fn adds_up(tally: &Tally, positions: u64) -> Result<()> {
    let Tally { delivered, failed, dropped, expired, discarded, damaged, .. } = *tally;
    let counted = [delivered, failed, dropped, expired, discarded, damaged].into_iter().try_fold(0, u64::checked_add);
    if counted == Some(positions) {
        return Ok(());
    }
    Err(Error::new(Kind::Internal, format!("the tally of {positions} positions must add up to them: {tally:?}")))
}
