//! What the ledger knows at a moment, and which entry may follow it. Pure: no I/O, no clock.

use std::collections::{BTreeMap, HashMap};

use super::line::Entry;
use crate::error::{Error, Kind, Result};
use crate::ledger::{Plan, PlanId, Standing, Tally};
use crate::record::StreamId;

type Key = (StreamId, u32);

/// Where every shard stands.
pub(super) struct State {
    next: PlanId,
    shards: BTreeMap<Key, Standing>,
    /// The shard of each unfinished plan.
    unfinished: HashMap<PlanId, Key>,
    /// How shards stood at the last [`mark`](State::mark), if they were touched since.
    before: Option<BTreeMap<Key, Option<Standing>>>,
}

impl State {
    pub(super) fn new() -> Self {
        State { next: 1, shards: BTreeMap::new(), unfinished: HashMap::new(), before: None }
    }

    /// The number that the next plan gets.
    pub(super) fn next(&self) -> PlanId {
        self.next
    }

    pub(super) fn standing(&self, stream: StreamId) -> BTreeMap<u32, Standing> {
        let shards = self.shards.range((stream, 0)..=(stream, u32::MAX));
        shards.map(|((_, shard), standing)| (*shard, standing.clone())).collect()
    }

    /// Where the plans of each shard end.
    pub(super) fn ends(&self) -> BTreeMap<Key, u64> {
        self.shards.iter().map(|(key, standing)| (*key, end_of_plans(standing))).collect()
    }

    pub(super) fn knows(&self, stream: StreamId) -> bool {
        self.shards.range((stream, 0)..=(stream, u32::MAX)).next().is_some()
    }

    /// The entry that says that a plan is done.
    pub(super) fn committing(&self, id: PlanId, tally: Tally, ms: u64) -> Result<Entry> {
        let unfinished = self.unfinished.get(&id).and_then(|key| Some((key, self.shards[key].unfinished.first()?)));
        let Some(((stream, shard), (first, plan))) = unfinished else {
            return Err(Error::new(Kind::Conflict, format!("plan {id} is not unfinished")));
        };
        if *first != id {
            return Err(Error::new(Kind::Conflict, format!("plan {id} is not its shard's oldest, which is {first}")));
        }
        Ok(Entry::Commit { id, stream: *stream, shard: *shard, end: plan.end, ms, tally })
    }

    /// Takes an entry, or says why it cannot follow and changes nothing.
    pub(super) fn apply(&mut self, entry: &Entry) -> Result<()> {
        match entry {
            Entry::Plan { id, plan } => self.plan(*id, plan),
            Entry::Replan { old, id, plan } => self.replan(*old, *id, plan),
            Entry::Commit { id, stream, shard, end, tally, .. } => self.commit(*id, (*stream, *shard), *end, tally),
            Entry::Skip { stream, shard, end, tally, .. } => self.skip((*stream, *shard), *end, tally),
            Entry::Remove { stream, .. } => {
                self.remove(*stream);
                Ok(())
            }
            Entry::End { .. } => Ok(()),
            Entry::Header { .. } | Entry::Shard { .. } | Entry::Open { .. } | Entry::Begin { .. } => {
                Err(Error::corrupt("a line of the snapshot stands after it"))
            }
        }
    }

    /// Takes an entry of a snapshot.
    pub(super) fn restore(&mut self, entry: &Entry) -> Result<()> {
        match entry {
            Entry::Shard { stream, shard, committed, total } => {
                let standing = Standing { committed: *committed, unfinished: Vec::new(), total: *total };
                self.shards.insert((*stream, *shard), standing);
                Ok(())
            }
            // The shards stand in their order, not in that of the plans.
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
        let shards = self.shards.iter().flat_map(|((stream, shard), standing)| {
            let (committed, total) = (standing.committed, standing.total);
            let first = Entry::Shard { stream: *stream, shard: *shard, committed, total };
            let open = |(id, plan): &(PlanId, Plan)| Entry::Open { id: *id, plan: plan.clone() };
            std::iter::once(first).chain(standing.unfinished.iter().map(open))
        });
        shards.chain(std::iter::once(Entry::Begin { next: self.next }))
    }

    /// Remembers how things stand, for [`undo`](State::undo).
    pub(super) fn mark(&mut self) {
        self.before = Some(BTreeMap::new());
    }

    /// Goes back to the last [`mark`](State::mark); only plan numbers are not given again.
    pub(super) fn undo(&mut self) {
        for (key, before) in self.before.take().unwrap_or_default() {
            if let Some(now) = self.shards.remove(&key) {
                now.unfinished.iter().for_each(|(id, _)| _ = self.unfinished.remove(id));
            }
            if let Some(before) = before {
                self.unfinished.extend(before.unfinished.iter().map(|(id, _)| (*id, key)));
                self.shards.insert(key, before);
            }
        }
    }

    fn plan(&mut self, id: PlanId, plan: &Plan) -> Result<()> {
        self.rises(id)?;
        self.place(id, plan)?;
        self.next = id + 1;
        Ok(())
    }

    fn replan(&mut self, old: PlanId, id: PlanId, plan: &Plan) -> Result<()> {
        self.rises(id)?;
        let key = (plan.stream, plan.shard);
        let same =
            |(known, before): &(PlanId, Plan)| *known == old && (before.start, before.end) == (plan.start, plan.end);
        let place = self.shards.get(&key).and_then(|standing| standing.unfinished.iter().position(same));
        let Some(place) = place else {
            let message = format!("plan {old} of {} to {} is not unfinished in its shard", plan.start, plan.end);
            return Err(Error::new(Kind::Conflict, message));
        };
        self.touch(key);
        self.unfinished.remove(&old);
        self.unfinished.insert(id, key);
        self.shards.get_mut(&key).expect("its plan was just found").unfinished[place] = (id, plan.clone());
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
        let key = (plan.stream, plan.shard);
        let expected = self.shards.get(&key).map_or(0, end_of_plans);
        if plan.end <= plan.start {
            let Plan { start, end, .. } = plan;
            return Err(Error::invalid(format!("plan.end must be greater than plan.start {start}, it is {end}")));
        }
        if plan.start != expected {
            let message = format!("plan.start is {}, the shard's last plan ended at {expected}", plan.start);
            return Err(Error::new(Kind::Conflict, message));
        }
        self.touch(key);
        self.unfinished.insert(id, key);
        self.shards.entry(key).or_default().unfinished.push((id, plan.clone()));
        Ok(())
    }

    fn commit(&mut self, id: PlanId, key: Key, end: u64, tally: &Tally) -> Result<()> {
        let first = self.shards.get(&key).and_then(|standing| standing.unfinished.first());
        let Some((_, plan)) = first.filter(|(first, plan)| *first == id && plan.end == end) else {
            return Err(Error::new(Kind::Conflict, format!("plan {id} is not the oldest unfinished one of its shard")));
        };
        adds_up(tally, plan.start, plan.end)?;
        self.touch(key);
        self.unfinished.remove(&id);
        let standing = self.shards.get_mut(&key).expect("its plan was just found");
        standing.unfinished.remove(0);
        standing.committed = end;
        standing.total.add(tally);
        Ok(())
    }

    fn skip(&mut self, key: Key, end: u64, tally: &Tally) -> Result<()> {
        let (committed, unfinished) =
            self.shards.get(&key).map_or((0, 0), |standing| (standing.committed, standing.unfinished.len()));
        if unfinished > 0 {
            return Err(Error::new(Kind::Conflict, format!("{unfinished} plans of the shard are unfinished")));
        }
        if end <= committed {
            return Err(Error::new(Kind::Conflict, format!("position {end} is past already, up to {committed}")));
        }
        if tally.delivered + tally.failed + tally.objects > 0 {
            return Err(Error::new(Kind::Internal, "positions with an object cannot be skipped"));
        }
        adds_up(tally, committed, end)?;
        self.touch(key);
        let standing = self.shards.entry(key).or_default();
        standing.committed = end;
        standing.total.add(tally);
        Ok(())
    }

    fn remove(&mut self, stream: StreamId) {
        let keys: Vec<Key> = self.shards.range((stream, 0)..=(stream, u32::MAX)).map(|(key, _)| *key).collect();
        for key in keys {
            self.touch(key);
            let standing = self.shards.remove(&key).expect("its key was just listed");
            standing.unfinished.iter().for_each(|(id, _)| _ = self.unfinished.remove(id));
        }
    }

    fn touch(&mut self, key: Key) {
        if let Some(before) = &mut self.before {
            before.entry(key).or_insert_with(|| self.shards.get(&key).cloned());
        }
    }
}

fn end_of_plans(standing: &Standing) -> u64 {
    standing.unfinished.last().map_or(standing.committed, |(_, plan)| plan.end)
}

/// Every position must be accounted for: nothing is dropped in silence.
fn adds_up(tally: &Tally, start: u64, end: u64) -> Result<()> {
    let Tally { delivered, failed, dropped, expired, discarded, damaged, .. } = *tally;
    let counted = [delivered, failed, dropped, expired, discarded, damaged].into_iter().try_fold(0, u64::checked_add);
    if counted == Some(end - start) {
        return Ok(());
    }
    let message = format!("the tally of positions {start} to {end} must add up to {}: {tally:?}", end - start);
    Err(Error::new(Kind::Internal, message))
}
