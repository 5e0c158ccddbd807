//! The loop of a partitioned stream's pipeline: what is done next.

use std::collections::BTreeMap;
use std::future;
use std::sync::Arc;

use futures_util::future::{FutureExt, try_join_all};
use futures_util::stream::StreamExt;

use super::super::chunk::Placed;
use super::super::deliver::Outcome;
use super::super::target::Target;
use super::super::{Ended, Until};
use super::{Before, Epoch, Partitioned, Unread};
use crate::clock::Instant;
use crate::config::Buffering;
use crate::error::Result;
use crate::ledger::{Lane, Stands, Tally};
use crate::limits;
use crate::record::{ShardId, StreamId};
use crate::stream::{Arrival, Event};

use super::open::Now;

impl Partitioned {
    /// Delivers until told to end, or until the stream is not partitioned any more and nothing is left that was. An error is a
    /// fault of journal or ledger, or a step that cannot be done: nothing is lost, and a new start takes up from what is
    /// durable.
    pub(in super::super) async fn run(mut self) -> Result<Ended> {
        loop {
            let until = self.orders.borrow_and_update().until;
            if matches!(until, Until::Left | Until::Discarded) {
                break;
            }
            let orders = self.orders.borrow().clone();
            self.force.follow(&orders).await;
            let ending = until != Until::Forever;
            let changes = self.follow().await?;
            self.fill().await;
            self.publish();
            if ending {
                self.feed.freeze().await?;
            }
            if self.cut_what_is_due(changes, ending).await? {
                continue;
            }
            self.send_on();
            let is_idle = self.is_idle();
            if is_idle || changes || !self.leaving.is_empty() || self.advances <= self.now().instant {
                self.pass_over_gone();
                let has_advanced = self.advance().await?;
                self.part().await?;
                self.is_short |= self.standing.lanes.ends.len() > limits::LANES_PLANNED_MAX
                    || self.blocks.unwritten() > limits::LANE_CUTS_MAX;
                self.advances = self.now().instant + limits::LANES_ADVANCE_EVERY;
                if has_advanced && changes {
                    continue;
                }
            }
            // What is not partitioned any more is another pipeline's.
            let is_over =
                changes && self.force.now().is_some() && !super::is_wanted(&orders) && !self.standing.has_lanes();
            // What cannot be processed now stays in the journal when the service stops.
            let is_stuck = until == Until::Flushed && (self.epoch.is_none() || self.is_blocked());
            let is_settled = self.waiting.is_empty() && self.under_way.is_empty() && self.routing.is_empty();
            let is_last = is_idle && ending && self.is_caught_up(true).await?;
            if is_stuck && is_settled || is_idle && is_over || is_last || !self.step().await? {
                break;
            }
        }
        let ends = self.feed.ends().await?;
        let committed = |shard| self.standing.shards.get(shard).map_or(0, |stands| stands.committed);
        let left: u64 = ends.iter().map(|(shard, end)| end.saturating_sub(committed(shard))).sum();
        Ok(Ended { left: left.saturating_sub(self.standing.early().max(0).cast_unsigned()) })
    }

    /// Has the epoch follow what is in force. While it cannot, since something is open or not past under the one before, nothing is taken
    /// in, and all lanes are to be cut: then it says so.
    async fn follow(&mut self) -> Result<bool> {
        if let (Some(before), None) = (&mut self.before, &self.epoch) {
            let orders = self.orders.borrow().clone();
            self.epoch = before.epoch(&self.courier, &orders, &self.kept).await.map(Arc::new);
        }
        let now = self.force.now().cloned();
        let is_same = |epoch: &Arc<Epoch>| {
            self.before.is_none()
                && now.as_ref().is_none_or(|now| now.version == epoch.version && now.steps == epoch.target.process)
        };
        if self.epoch.as_ref().is_some_and(is_same) {
            return Ok(false);
        }
        // What was planned before a start is routed again as it was, whatever holds by now.
        if (self.before.is_some() || self.epoch.is_some()) && !self.has_reached_plans() {
            return Ok(false);
        }
        if !(self.open.is_empty() && self.blocks.is_empty() && self.routing.is_empty()) {
            return Ok(true);
        }
        // Plans that hold all of their spans are done first, and what is not partitioned any more waits for what was.
        if self.standing.whole_plans().next().is_some() {
            return Ok(true);
        }
        let Some(now) = now else { return Ok(false) };
        // Should another start read what is above the watermark again, it has only the newest plan's word for how that was routed.
        let routes_as = |epoch: &Arc<Epoch>| Target::of(&now.stream, now.steps.clone()).routes_as(&epoch.target);
        let is_routed_so = self.epoch.as_ref().map_or(self.before.is_none(), routes_as);
        if self.standing.has_lanes() && !is_routed_so {
            return Ok(true);
        }
        self.epoch = Epoch::of(&now, &self.kept).map(Arc::new);
        self.holds = false;
        if self.epoch.is_none() {
            // Another pipeline reads it once more.
            self.unread.clear();
        }
        if self.epoch.is_some() && self.before.take().is_some() {
            self.feed.go_on();
            let begins = std::mem::take(&mut self.begins);
            self.begin(begins).await?;
        }
        Ok(self.epoch.is_none())
    }

    /// Whether everything was routed again of which something was planned before a start.
    fn has_reached_plans(&self) -> bool {
        let is_there = |(shard, end): (&ShardId, &u64)| {
            self.leaving.contains_key(shard) || self.heads.get(shard).is_some_and(|head| head >= end)
        };
        self.standing.lanes.furthest().iter().all(is_there)
    }

    /// Whether the steps in force cannot be done: nothing is planned while that is so.
    fn is_blocked(&self) -> bool {
        self.before.is_none() && self.force.now().is_none()
    }

    /// Takes in what was read, as far as it may be.
    async fn fill(&mut self) {
        let Some(epoch) = self.epoch.clone().filter(|_| !self.is_blocked()) else { return };
        while !self.holds && self.routing.len() < limits::LANE_BATCHES_MAX && self.has_room() {
            let batches = match self.unread.pop_front() {
                None => break,
                Some(Unread::Records(placed)) => self.blocks.push(placed),
                Some(Unread::Hole(shard, lost)) => {
                    self.pass_over(&epoch, shard, lost).await;
                    continue;
                }
            };
            self.send_to_lanes(&epoch, batches).await;
            if self.blocks.held() > limits::LANE_BLOCKS_BYTES_MAX {
                let early = self.blocks.cut();
                self.send_to_lanes(&epoch, early).await;
            }
        }
    }

    /// Cuts what is due, or brings nearer that it can be; whether anything was done. All lanes are due when the stream is `ending`
    /// or its settings change.
    async fn cut_what_is_due(&mut self, changes: bool, ending: bool) -> Result<bool> {
        let all = changes || ending;
        let may = self.has_room() && !self.is_blocked();
        let (Some(epoch), true) = (self.epoch.clone(), may) else { return Ok(false) };
        let (buffering, now) = (self.orders.borrow().stream.buffer, self.now());
        let mut due = self.open.full(&buffering);
        if due.is_empty() {
            due = self.open.beyond(self.open_max(), &buffering, now.instant);
        }
        if due.is_empty() && std::mem::take(&mut self.is_short) {
            due = self.open.oldest();
        }
        if !due.is_empty() {
            return self.cut_some(due).await;
        }
        if !all && !self.is_late(&buffering, now) {
            return Ok(false);
        }
        // While there is more in the journal the time triggers wait: an object of a backlog is as large as one of fresh records. What
        // comes after a change of settings is not read before it.
        if !self.holds && !changes && !self.is_caught_up(ending).await? {
            return Ok(false);
        }
        self.holds = true;
        if !self.blocks.is_empty() {
            let early = self.blocks.cut();
            self.send_to_lanes(&epoch, early).await;
            return Ok(true);
        }
        if !self.routing.is_empty() {
            return Ok(false);
        }
        self.tips = None;
        // A change of settings ends the hold itself.
        self.holds = changes;
        let due = if all { self.open.all() } else { self.open.late(now.instant) };
        self.cut_some(due).await
    }

    /// Cuts these lanes, as many as there is room for.
    async fn cut_some(&mut self, mut due: Vec<Lane>) -> Result<bool> {
        due.truncate(
            limits::LANE_PLANS_MAX.saturating_sub(self.standing.unfinished.len()).min(limits::LEDGER_GROUP_MAX),
        );
        let is_some = !due.is_empty();
        if is_some {
            self.cut(due).await?;
        }
        Ok(is_some)
    }

    /// Waits for the next thing to happen and does it. `false` when a delivery was left undone.
    async fn step(&mut self) -> Result<bool> {
        let (has_room, is_blocked) = (self.has_room(), self.is_blocked());
        let reads = self.unread.is_empty() && !self.holds && self.epoch.is_some() && has_room && !is_blocked;
        // What is routed opens lanes: while too many are open, those that are cut come first.
        let routes = !self.routing.is_empty() && (self.open.len() <= self.open_max() || is_blocked);
        let (buffering, now) = (self.orders.borrow().stream.buffer, self.now());
        // A trigger that is met and was seen already waits for something else: room, or the rest of a backlog.
        let waits = self.holds || !has_room || is_blocked || self.until() != Until::Forever;
        let is_news = |deadline: &Instant| !waits && (*deadline > now.instant || self.tips.is_none());
        let trigger = self.deadline(&buffering, now).filter(is_news);
        let advance = (!self.is_idle()).then_some(self.advances);
        let again = self.before.as_ref().and_then(Before::again);
        let wake = [trigger, advance, again].into_iter().flatten().min();
        let clock = &self.courier.workshop.clock;
        tokio::select! {
            biased;
            Some(outcome) = self.under_way.next(), if !self.under_way.is_empty() => return self.finish(outcome).await,
            Some(applied) = self.routing.next(), if routes => return self.apply(applied?).await,
            // The sender is dropped only with the whole service: then the last orders stay.
            Ok(()) = self.orders.changed() => {
                self.force.hurry();
                self.before.iter_mut().for_each(|before| before.hurry(now.instant));
            }
            () = self.force.due() => self.before.iter_mut().for_each(|before| before.hurry(now.instant)),
            () = self.courier.no_room.notified() => self.is_short = true,
            () = async {
                match wake {
                    Some(wake) => clock.sleep_until(wake).await,
                    None => future::pending().await,
                }
            } => {}
            event = self.feed.next(), if reads => match event? {
                Event::Arrival(arrival) => self.take_in(arrival),
                Event::Begins(shards) if self.before.is_some() => self.begins.extend(shards),
                Event::Begins(shards) => self.begin(shards).await?,
                Event::Retired(shards) => self.leaving.extend(shards.into_iter().map(|shard| (shard, None))),
                Event::Gone(stream, ends) => self.lose(stream, ends),
            }
        }
        Ok(true)
    }

    /// Takes in how deliveries ended: this one and what else has by now.
    async fn finish(&mut self, first: Outcome) -> Result<bool> {
        let (mut done, mut left) = (Vec::new(), false);
        let mut next = Some(first);
        while let Some(outcome) = next {
            match outcome {
                Outcome::Done(id, tally) => done.push((id, tally)),
                Outcome::Misdirected(id) => self.redirect(id).await?,
                // Nothing is staged for plans that hold a share.
                Outcome::Left | Outcome::Lost(_) | Outcome::Restaged(..) => left = true,
            }
            next = if self.under_way.is_empty() { None } else { self.under_way.next().now_or_never().flatten() };
        }
        self.commit(done).await?;
        Ok(!left)
    }

    fn take_in(&mut self, arrival: Arrival) {
        let Arrival { shard, first, missing, puts } = arrival;
        self.heads.entry(shard).or_insert(first);
        if missing > 0 {
            tracing::error!(
                stream = self.courier.name,
                shard = shard.index,
                first_position = first,
                records = missing,
                "records are missing from the journal and are counted as damaged"
            );
            self.unread.push_back(Unread::Hole(shard, first..first + missing));
        }
        let mut position = first + missing;
        for records in puts {
            let next = position + records.len() as u64;
            self.unread.push_back(Unread::Records(Placed { shard, first: position, records }));
            position = next;
        }
    }

    /// Has shards read from where they begin, once that is written down.
    async fn begin(&mut self, shards: Vec<(ShardId, u64)>) -> Result<()> {
        let by = self.feed.by();
        try_join_all(shards.iter().map(|(shard, position)| self.ledger.begin(by, *shard, *position))).await?;
        for (shard, position) in shards {
            self.standing.shards.insert(shard, Stands { began: position, committed: position });
            self.heads.insert(shard, position);
            self.feed.open(shard, position);
        }
        self.courier.state.stands(&self.standing);
        Ok(())
    }

    /// Gives up what a deleted data stream still held.
    fn lose(&mut self, stream: StreamId, ends: BTreeMap<ShardId, u64>) {
        tracing::warn!(stream = self.courier.name, "the data stream that is delivered was deleted");
        let known = self.standing.shards.keys().filter(|shard| shard.stream == stream);
        self.leaving.extend(known.map(|shard| (*shard, None)));
        self.leaving.extend(ends.into_iter().map(|(shard, end)| (shard, Some(end))));
        self.begins.retain(|(shard, _)| shard.stream != stream);
    }

    /// Forgets shards that are no more and of which nothing is on its way.
    async fn part(&mut self) -> Result<()> {
        let free: Vec<_> =
            self.leaving.iter().filter(|(shard, _)| !self.holds_of(shard)).map(|(shard, end)| (*shard, *end)).collect();
        let by = self.feed.by();
        for (shard, end) in &free {
            let committed = self.standing.end_of_plans(*shard);
            if let Some(end) = end.filter(|end| *end > committed) {
                let tally = Tally { discarded: end - committed, ..Tally::default() };
                let (stream, shard_index, records) = (&self.courier.name, shard.index, tally.discarded);
                tracing::error!(
                    stream,
                    shard = shard_index,
                    records,
                    "records are given up with their deleted data stream"
                );
                self.ledger.skip(by, *shard, end, tally).await?;
                self.standing.skip(*shard, end, &tally);
            }
            self.ledger.retire(by, *shard).await?;
            self.standing.retire(*shard);
            self.heads.remove(shard);
            self.dropped.remove(shard);
            self.leaving.remove(shard);
        }
        if !free.is_empty() {
            self.courier.state.stands(&self.standing);
        }
        Ok(())
    }

    /// Takes what a deleted data stream held and was not read for read: nothing more of it will come.
    fn pass_over_gone(&mut self) {
        let furthest = self.standing.lanes.furthest();
        let gone: Vec<_> = self.leaving.iter().filter_map(|(shard, end)| Some((*shard, (*end)?))).collect();
        for (shard, end) in gone {
            let planned = furthest.get(&shard).copied().unwrap_or(0);
            // Of what no lane knows it is enough to say so once it is forgotten.
            if planned > self.standing.end_of_plans(shard) && !self.is_taken_in(shard) {
                self.heads.insert(shard, planned.max(end));
            }
        }
    }

    /// Whether anything of `shard` is taken in and not routed.
    fn is_taken_in(&self, shard: ShardId) -> bool {
        let is_unread = |unread: &Unread| match unread {
            Unread::Records(placed) => placed.shard == shard,
            Unread::Hole(of, _) => *of == shard,
        };
        self.blocks.holds(shard) || !self.routing.is_empty() || self.unread.iter().any(is_unread)
    }

    /// Whether anything of `shard` is taken in, or not past.
    fn holds_of(&self, shard: &ShardId) -> bool {
        let watermark = self.standing.end_of_plans(*shard);
        self.is_taken_in(*shard)
            || self.heads.get(shard).is_some_and(|head| *head > watermark)
            || self.standing.is_under_way(*shard)
            || self.standing.lanes.holds(*shard)
    }

    /// Whether nothing is taken in, open or on its way.
    fn is_idle(&self) -> bool {
        self.unread.is_empty()
            && self.blocks.is_empty()
            && self.routing.is_empty()
            && self.open.is_empty()
            && self.waiting.is_empty()
            && self.under_way.is_empty()
    }

    /// How many lanes may be open.
    fn open_max(&self) -> usize {
        self.orders.borrow().stream.destination.partition.max_open
    }

    fn has_room(&self) -> bool {
        self.standing.unfinished.len() < limits::LANE_PLANS_MAX
    }

    fn is_late(&self, buffering: &Buffering, now: Now) -> bool {
        self.holds || self.deadline(buffering, now).is_some_and(|deadline| deadline <= now.instant)
    }

    /// When the next time trigger is met: of an open lane, or of one that the oldest record that waits for its batch may open.
    fn deadline(&self, buffering: &Buffering, now: Now) -> Option<Instant> {
        let waiting = self.blocks.oldest_ms().map(|oldest| now.due(oldest, buffering.interval));
        [self.open.deadline(), waiting].into_iter().flatten().min()
    }

    /// Whether everything that is in the journal was taken in; unless the pipeline is `ending`, all that was there when the
    /// first trigger was met: in busy shards there is always something more.
    async fn is_caught_up(&mut self, ending: bool) -> Result<bool> {
        if ending {
            return Ok(self.unread.is_empty() && self.feed.is_caught_up().await?);
        }
        if self.tips.is_none() {
            self.tips = Some(self.feed.ends().await?);
        }
        Ok(self.unread.is_empty() && self.tips.as_ref().is_none_or(|tips| self.feed.has_reached(tips)))
    }

    fn now(&self) -> Now {
        let clock = &self.courier.workshop.clock;
        Now { instant: clock.instant(), ms: clock.now_ms() }
    }

    fn publish(&self) {
        let (open, bytes) = self.open.holds();
        let carried = self.carried.values().map(|(oldest, _)| *oldest).min();
        let oldest = [open, carried, self.blocks.oldest_ms()].into_iter().flatten().min();
        let bytes = bytes + self.blocks.held() as u64 + self.carried.values().map(|(_, bytes)| bytes).sum::<u64>();
        self.courier.state.holds(oldest, bytes, self.standing.unfinished.len());
        let fault = self.feed.fault().or_else(|| self.before.as_ref().and_then(Before::fault));
        let fault = fault.or_else(|| self.force.fault());
        self.courier.state.reads(self.feed.ahead(), fault, self.courier.workshop.clock.now_ms());
    }
}
