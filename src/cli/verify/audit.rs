//! The ledger's history held against its own rules, independently of the code that wrote it: spans of a shard follow each
//! other without hole or overlap, what is committed was planned, and every position is counted once.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::local::{Entry, Recorded};
use crate::ledger::{Lane, Plan, PlanId, Share, Tally};
use crate::record::{ShardId, Span, StreamId};

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum State {
    /// It is not committed: its objects may be there or not.
    Open,
    /// It is committed with this.
    Done(Tally),
    /// Another took its place: its objects are not there.
    Void,
}

/// One plan of the history.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Planned {
    pub(in crate::cli) id: PlanId,
    pub(in crate::cli) plan: Plan,
    pub(in crate::cli) state: State,
}

/// Where one shard stands.
#[derive(Clone, Copy, Debug, Default)]
struct Shard {
    began: u64,
    /// Where the next plan of all records must begin.
    planned: u64,
    committed: u64,
    /// Whether that is not known, because something of the history is lost.
    unsure: bool,
}

/// What the history says of one delivery stream.
#[derive(Default)]
pub(in crate::cli) struct Account {
    /// Its sum where the history begins, if something was before.
    pub(in crate::cli) before: Option<Tally>,
    /// Its sum now.
    pub(in crate::cli) total: Tally,
    /// Every plan of the history, in order.
    pub(in crate::cli) plans: Vec<Planned>,
    /// What contradicts itself.
    pub(in crate::cli) faults: Vec<String>,
    open: BTreeMap<PlanId, usize>,
    shards: BTreeMap<ShardId, Shard>,
    lanes: BTreeMap<(Lane, ShardId), u64>,
    retired: u64,
    unsure: bool,
}

/// The whole history.
#[derive(Default)]
pub(in crate::cli) struct Audit {
    pub(in crate::cli) accounts: BTreeMap<StreamId, Account>,
    /// Keys of what is gone: a stream may go on without the backup that it had.
    gone: BTreeMap<StreamId, BTreeSet<String>>,
    /// When the first thing happened of which the history tells, milliseconds since 1970.
    pub(in crate::cli) begins_ms: Option<u64>,
    /// Parts that are damaged.
    pub(in crate::cli) damage: Vec<String>,
}

impl Audit {
    /// Takes in what stands next.
    pub(in crate::cli) fn take(&mut self, recorded: crate::error::Result<Recorded>) {
        let Recorded { file, line, entry } = match recorded {
            Ok(recorded) => recorded,
            Err(error) => {
                self.damage.push(error.to_string());
                self.accounts.values_mut().for_each(Account::lose);
                return;
            }
        };
        let Some((stream, at_ms)) = whose(&entry) else { return };
        if self.begins_ms.is_none() {
            self.begins_ms = at_ms;
        }
        let lost = !self.damage.is_empty();
        let account = self.accounts.entry(stream).or_insert_with(|| Account { unsure: lost, ..Account::default() });
        if matches!(entry, Entry::Remove { .. }) {
            let keys = self.accounts.remove(&stream).unwrap_or_default().keys();
            self.gone.entry(stream).or_default().extend(keys);
        } else if let Err(why) = account.take(entry) {
            account.faults.push(format!("ledger/{file} line {line}: {why}"));
        }
    }
}

impl Audit {
    /// All keys that plans of a stream have, also of one that is gone.
    pub(in crate::cli) fn keys(&self, stream: StreamId) -> BTreeSet<String> {
        let mut keys = self.gone.get(&stream).cloned().unwrap_or_default();
        keys.extend(self.accounts.get(&stream).map(Account::keys).unwrap_or_default());
        keys
    }
}

/// Of which stream an entry speaks, and when it was written, if it says so.
fn whose(entry: &Entry) -> Option<(StreamId, Option<u64>)> {
    match entry {
        Entry::Stream { stream, .. } | Entry::Shard { stream, .. } | Entry::Lane { stream, .. } => {
            Some((*stream, None))
        }
        Entry::Open { plan, .. } => Some((plan.stream, None)),
        Entry::Plan { plan, .. } | Entry::Replan { plan, .. } => Some((plan.stream, Some(plan.planned_ms))),
        Entry::Start { stream, ms, .. }
        | Entry::Commit { stream, ms, .. }
        | Entry::Skip { stream, ms, .. }
        | Entry::Advance { stream, ms, .. }
        | Entry::Retire { stream, ms, .. }
        | Entry::Remove { stream, ms } => Some((*stream, Some(*ms))),
        Entry::Header { .. } | Entry::Begin { .. } | Entry::End { .. } | Entry::Routing { .. } => None,
    }
}

type Checked = Result<(), String>;

impl Account {
    fn keys(&self) -> BTreeSet<String> {
        self.plans.iter().flat_map(|planned| planned.plan.keys()).map(str::to_owned).collect()
    }

    fn take(&mut self, entry: Entry) -> Checked {
        match entry {
            Entry::Stream { retired, total, .. } => {
                (self.retired, self.total, self.before) = (retired, total, Some(total));
                Ok(())
            }
            Entry::Shard { shard, began, committed, .. } => {
                self.shards.insert(shard, Shard { began, planned: committed, committed, unsure: false });
                Ok(())
            }
            Entry::Lane { lane, ends, .. } => {
                self.lanes.extend(ends.into_iter().map(|(shard, end)| ((lane.clone(), shard), end)));
                Ok(())
            }
            Entry::Open { id, plan } | Entry::Plan { id, plan } => self.plan(id, plan),
            Entry::Replan { old, id, plan } => self.replan(old, id, plan),
            Entry::Commit { id, tally, .. } => self.commit(id, &tally),
            Entry::Start { shard, position, .. } => self.start(shard, position),
            Entry::Skip { shard, end, tally, .. } => self.skip(shard, end, &tally),
            Entry::Advance { to, tally, .. } => self.advance(&to, &tally),
            Entry::Retire { shard, .. } => {
                let gone = self.shards.remove(&shard).unwrap_or_default();
                self.retired += gone.committed - gone.began;
                Ok(())
            }
            Entry::Header { .. }
            | Entry::Begin { .. }
            | Entry::End { .. }
            | Entry::Routing { .. }
            | Entry::Remove { .. } => Ok(()),
        }
    }

    /// Something of the history is lost: where shards stand is taken from what comes next.
    fn lose(&mut self) {
        self.unsure = true;
        self.lanes.clear();
        self.shards.values_mut().for_each(|shard| shard.unsure = true);
    }

    fn shard(&mut self, shard: ShardId) -> &mut Shard {
        let unsure = self.unsure;
        self.shards.entry(shard).or_insert_with(|| Shard { unsure, ..Shard::default() })
    }

    fn start(&mut self, shard: ShardId, position: u64) -> Checked {
        let unsure = self.unsure;
        match self.shards.insert(shard, Shard { began: position, planned: position, committed: position, unsure }) {
            Some(known) if !unsure => {
                Err(format!("shard {} begins at {position}, and began at {} before", shard.index, known.began))
            }
            _ => Ok(()),
        }
    }

    fn plan(&mut self, id: PlanId, plan: Plan) -> Checked {
        let checked = match &plan.share {
            None => self.follows(&plan.spans),
            Some(share) => self.follows_its_lane(&plan, share),
        };
        self.open.insert(id, self.plans.len());
        self.plans.push(Planned { id, plan, state: State::Open });
        checked
    }

    /// Whether spans begin where their shards' last plans ended; from now on those end with them.
    fn follows(&mut self, spans: &[Span]) -> Checked {
        let mut wrong = Ok(());
        for span in spans {
            let shard = self.shard(span.shard);
            if span.start != shard.planned && !shard.unsure {
                let what = if span.start > shard.planned { "leaves out" } else { "holds again" };
                let (from, to) = (span.start.min(shard.planned), span.start.max(shard.planned));
                wrong = Err(format!("a plan {what} positions {from}..{to} of shard {}", span.shard.index));
            }
            if shard.unsure {
                (shard.began, shard.committed) = (shard.began.min(span.start), span.start);
            }
            (shard.planned, shard.unsure) = (span.end, false);
        }
        wrong
    }

    fn follows_its_lane(&mut self, plan: &Plan, share: &Share) -> Checked {
        let mut wrong = Ok(());
        for span in &plan.spans {
            let committed = self.shard(span.shard).committed;
            let past = self.lanes.get(&(share.lane.clone(), span.shard)).copied().unwrap_or(0).max(committed);
            if span.start < past && !self.unsure {
                wrong = Err(format!(
                    "a plan of a partition holds positions {}..{past} of shard {} again",
                    span.start, span.shard.index
                ));
            }
            self.lanes.insert((share.lane.clone(), span.shard), span.end);
        }
        wrong
    }

    fn replan(&mut self, old: PlanId, id: PlanId, plan: Plan) -> Checked {
        let Some(at) = self.open.remove(&old) else {
            self.plans.push(Planned { id, plan, state: State::Open });
            self.open.insert(id, self.plans.len() - 1);
            return if self.unsure {
                Ok(())
            } else {
                Err(format!("plan {id} takes the place of {old}, which is not open"))
            };
        };
        let same = self.plans[at].plan.spans == plan.spans;
        self.plans[at].state = State::Void;
        self.open.insert(id, self.plans.len());
        self.plans.push(Planned { id, plan, state: State::Open });
        if same { Ok(()) } else { Err(format!("plan {id} takes the place of {old}, and has other positions")) }
    }

    fn commit(&mut self, id: PlanId, tally: &Tally) -> Checked {
        self.total.add(tally);
        let Some(at) = self.open.remove(&id) else {
            return if self.unsure { Ok(()) } else { Err(format!("plan {id} is committed, and is not open")) };
        };
        let is_oldest = self.open.keys().next().is_none_or(|oldest| *oldest > id);
        let Planned { plan, state, .. } = &mut self.plans[at];
        *state = State::Done(*tally);
        let positions = plan.positions();
        if plan.share.is_none() {
            for span in plan.spans.clone() {
                self.shard(span.shard).committed = span.end;
            }
            if !is_oldest {
                return Err(format!("plan {id} is committed before an older one"));
            }
        }
        adds_up(tally, positions)
    }

    fn skip(&mut self, shard: ShardId, end: u64, tally: &Tally) -> Checked {
        self.total.add(tally);
        let known = self.shard(shard);
        let (passed, unsure) = (end.saturating_sub(known.planned), known.unsure);
        *known = Shard { planned: end, committed: end, unsure: false, ..*known };
        if unsure { Ok(()) } else { adds_up(tally, passed) }
    }

    fn advance(&mut self, to: &[(ShardId, u64)], tally: &Tally) -> Checked {
        self.total.add(tally);
        let mut wrong = Ok(());
        for (shard, position) in to {
            let unfinished =
                self.open.values().filter_map(|at| self.plans[*at].plan.span(*shard)).map(|span| span.start).min();
            let known = self.shard(*shard);
            if !known.unsure && *position <= known.committed {
                wrong = Err(format!(
                    "the watermark of shard {} goes back from {} to {position}",
                    shard.index, known.committed
                ));
            }
            if unfinished.is_some_and(|start| *position > start) {
                wrong = Err(format!("the watermark of shard {} passes over a plan that is open", shard.index));
            }
            *known = Shard { planned: *position, committed: *position, unsure: false, ..*known };
            self.lanes.retain(|(_, of), end| of != shard || *end > *position);
        }
        wrong.and_then(|()| self.is_counted())
    }

    /// Whether at least as much is counted as is past.
    fn is_counted(&self) -> Checked {
        let (counted, past) = (self.total.positions(), self.past());
        if self.unsure || counted >= past {
            Ok(())
        } else {
            Err(format!("{past} records are past, and {counted} are counted"))
        }
    }

    /// The positions that are past.
    pub(in crate::cli) fn past(&self) -> u64 {
        self.retired + self.shards.values().map(|shard| shard.committed.saturating_sub(shard.began)).sum::<u64>()
    }

    /// Plans that are not committed.
    pub(in crate::cli) fn open_plans(&self) -> usize {
        self.open.len()
    }

    /// Whether anything of its history is lost.
    pub(in crate::cli) fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// What must hold at the end.
    pub(in crate::cli) fn close(&mut self) {
        let is_partitioned = !self.lanes.is_empty() || self.plans.last().is_some_and(|last| last.plan.share.is_some());
        let checked = match self.total.positions().cmp(&self.past()) {
            std::cmp::Ordering::Greater if !is_partitioned && !self.unsure => {
                Err(format!("{} records are counted, and {} are past", self.total.positions(), self.past()))
            }
            _ => self.is_counted(),
        };
        self.faults.extend(checked.err());
    }
}

fn adds_up(tally: &Tally, positions: u64) -> Checked {
    let counted = tally.positions();
    if counted == positions {
        Ok(())
    } else {
        Err(format!("{positions} records were planned, and {counted} are counted"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: StreamId = StreamId(1);

    fn shard(index: u32) -> ShardId {
        ShardId { stream: STREAM, index }
    }

    fn plan(spans: &[(u32, u64, u64)], share: Option<Share>) -> Plan {
        Plan {
            stream: STREAM,
            spans: spans
                .iter()
                .map(|(index, start, end)| Span { shard: shard(*index), start: *start, end: *end })
                .collect(),
            planned_ms: 5,
            object_ms: 4,
            version: 1,
            key: "k".into(),
            error_key: "e".into(),
            error_keys: BTreeMap::new(),
            target: serde_json::Value::Null,
            share,
        }
    }

    fn whole(id: PlanId, start: u64, end: u64) -> Entry {
        Entry::Plan { id, plan: plan(&[(0, start, end)], None) }
    }

    fn share(id: PlanId, key: &str, start: u64, end: u64, positions: u64) -> Entry {
        let share = Share { lane: Lane::Keys(vec![key.to_owned()]), positions, cuts: Vec::new() };
        Entry::Plan { id, plan: plan(&[(0, start, end)], Some(share)) }
    }

    fn done(id: PlanId, delivered: u64) -> Entry {
        Entry::Commit { id, stream: STREAM, ms: 6, tally: Tally { delivered, ..Tally::default() } }
    }

    fn advance(to: u64, dropped: u64) -> Entry {
        let tally = Tally { dropped, ..Tally::default() };
        Entry::Advance { stream: STREAM, to: vec![(shard(0), to)], ms: 7, tally }
    }

    fn skip(end: u64, expired: u64) -> Entry {
        let tally = Tally { expired, ..Tally::default() };
        Entry::Skip { stream: STREAM, shard: shard(0), end, ms: 7, tally }
    }

    fn faults(entries: Vec<Entry>) -> Vec<String> {
        let mut audit = Audit::default();
        for (line, entry) in (1..).zip(entries) {
            audit.take(Ok(Recorded { file: "f".into(), line, entry }));
        }
        let account = audit.accounts.get_mut(&STREAM).unwrap();
        account.close();
        account.faults.clone()
    }

    #[test]
    fn a_history_that_keeps_the_rules_has_no_faults() {
        assert_eq!(
            faults(vec![whole(1, 0, 5), whole(2, 5, 9), done(1, 5), done(2, 4), skip(12, 3), whole(3, 12, 13)]),
            [""; 0]
        );
        let before = Tally { delivered: 7, ..Tally::default() };
        let begun = Entry::Shard { stream: STREAM, shard: shard(0), began: 100, committed: 105 };
        let old =
            vec![Entry::Stream { stream: STREAM, retired: 2, total: before }, begun, whole(9, 105, 106), done(9, 1)];
        assert_eq!(faults(old), [""; 0]);
        let lanes = vec![
            share(1, "a", 0, 8, 3),
            share(2, "b", 0, 12, 4),
            done(2, 4),
            share(3, "a", 8, 12, 2),
            done(1, 3),
            advance(8, 1),
            done(3, 2),
            advance(12, 2),
        ];
        assert_eq!(faults(lanes), [""; 0]);
        let replaced =
            vec![whole(1, 0, 5), Entry::Replan { old: 1, id: 2, plan: plan(&[(0, 0, 5)], None) }, done(2, 5)];
        assert_eq!(faults(replaced), [""; 0]);
    }

    #[test]
    fn every_rule_that_is_broken_is_named() {
        for (entries, expected) in [
            (vec![whole(1, 0, 5), whole(2, 6, 9)], "line 2: a plan leaves out positions 5..6 of shard 0"),
            (vec![whole(1, 0, 5), whole(2, 4, 9)], "line 2: a plan holds again positions 4..5 of shard 0"),
            (vec![whole(1, 0, 5), done(1, 4), skip(6, 1)], "line 2: 5 records were planned, and 4 are counted"),
            (
                vec![whole(1, 0, 5), whole(2, 5, 6), done(2, 1), done(1, 5)],
                "line 3: plan 2 is committed before an older one",
            ),
            (vec![whole(1, 0, 5), done(1, 5), done(1, 5)], "line 3: plan 1 is committed, and is not open"),
            (vec![skip(6, 5)], "line 1: 6 records were planned, and 5 are counted"),
            (
                vec![share(1, "a", 0, 8, 3), share(2, "a", 7, 9, 1)],
                "line 2: a plan of a partition holds positions 7..8",
            ),
            (vec![share(1, "a", 0, 8, 3), done(1, 3), advance(8, 4)], "line 3: 8 records are past, and 7 are counted"),
            (
                vec![share(1, "a", 0, 8, 8), advance(8, 8)],
                "line 2: the watermark of shard 0 passes over a plan that is open",
            ),
            (vec![skip(5, 5), advance(5, 0)], "line 2: the watermark of shard 0 goes back from 5 to 5"),
            (
                vec![Entry::Replan { old: 3, id: 4, plan: plan(&[(0, 0, 1)], None) }],
                "plan 4 takes the place of 3, which is not open",
            ),
        ] {
            let found = faults(entries);
            assert!(found.first().is_some_and(|first| first.contains(expected)), "{expected}: {found:?}");
        }
    }

    #[test]
    fn after_damage_what_cannot_be_known_is_no_fault() {
        let mut audit = Audit::default();
        let mut take = |entry| audit.take(Ok(Recorded { file: "f".into(), line: 1, entry }));
        take(whole(1, 0, 5));
        audit.take(Err(crate::error::Error::corrupt("gone")));
        let mut take = |entry| audit.take(Ok(Recorded { file: "f".into(), line: 1, entry }));
        take(done(7, 2));
        take(whole(8, 20, 25));
        take(whole(9, 26, 27));
        let account = audit.accounts.get_mut(&STREAM).unwrap();
        account.close();
        assert_eq!(account.faults, ["ledger/f line 1: a plan leaves out positions 25..26 of shard 0"]);
        assert!(account.is_unsure() && audit.damage.len() == 1 && audit.begins_ms == Some(5));
    }
}
