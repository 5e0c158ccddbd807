//! Delivery of a stream that is not partitioned: one buffer, one plan after the other.
//!
//! ```text
//! feed.next -> buffer -> (cut) -> ledger.plan -> deliver -> ledger.commit -> feed.delivered
//!                 \-> prepare (other threads, while the buffer fills) --/
//! ```
//! Several objects may be under way at once; they are committed in order. Where a function is called, what it makes is staged
//! between the cut and the plan (`stage`), and the plan delivers what was staged.

use std::collections::{BTreeMap, VecDeque};
use std::future::{self, Future};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::try_join_all;
use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::buffer::Buffer;
use super::chunk::Placed;
use super::deliver::{Courier, Load, Outcome, Ready};
use super::encoding::Encoding;
use super::force::{Force, InForce};
use super::stage::{self, Cut, Stagings};
use super::staged::Finished;
use super::target::{self, Target, staged_file};
use super::{Ended, Orders, Parts, Until, lanes};
use crate::error::Result;
use crate::ledger::{Ledger, Plan, PlanId, Standing, Stands, Tally};
use crate::limits;
use crate::record::{ShardId, StreamId};
use crate::stream::{Arrival, Event, Feed};

/// The task that owns one stream's way out.
pub(super) struct Pipeline {
    courier: Arc<Courier>,
    feed: Feed,
    ledger: Arc<dyn Ledger>,
    orders: watch::Receiver<Orders>,
    /// What holds for the next plan.
    force: Force,
    standing: Standing,
    buffer: Buffer,
    /// Records that were read and not yet taken in.
    unread: VecDeque<Placed>,
    /// Chunks of the buffer that are being encoded; `None` when the buffer is to be encoded at delivery instead.
    encoding: Option<Encoding>,
    /// Buffers that were cut and are not planned yet, since functions are being called.
    stagings: Stagings,
    /// Where each shard ended when the buffer's time was over: up to there it is filled on.
    tips: Option<BTreeMap<ShardId, u64>>,
    under_way: FuturesOrdered<Delivery>,
    /// Oldest arrival and bytes of each plan under way, in order.
    carried: VecDeque<(Option<u64>, u64)>,
    /// Shards that are no more, to be forgotten when nothing of them is on its way; of those whose stream was deleted, where
    /// they ended.
    leaving: BTreeMap<ShardId, Option<u64>>,
}

type Delivery = Pin<Box<dyn Future<Output = Outcome> + Send>>;

impl Pipeline {
    /// Takes up where the ledger stands: unfinished plans are under way when this returns.
    pub(super) async fn start(parts: Parts, standing: Standing) -> Result<Self> {
        let orders = parts.orders.clone();
        let (courier, mut feed, ledger) = Courier::of(parts);
        courier.state.stands(&standing);
        feed.resume(standing.ends_of_plans()).await?;
        let courier = Arc::new(courier);
        let mut pipeline = Pipeline {
            force: Force::new(courier.tools.clone()),
            courier,
            feed,
            ledger,
            orders,
            standing,
            buffer: Buffer::default(),
            unread: VecDeque::new(),
            encoding: None,
            stagings: Stagings::default(),
            tips: None,
            under_way: FuturesOrdered::new(),
            carried: VecDeque::new(),
            leaving: BTreeMap::new(),
        };
        for (id, plan) in pipeline.standing.unfinished.clone() {
            pipeline.send(id, plan, None, 0, None);
        }
        // What was committed just before a crash may not have been trimmed.
        for (shard, stands) in &pipeline.standing.shards {
            pipeline.feed.delivered(*shard, stands.committed).await?;
        }
        Ok(pipeline)
    }

    /// Delivers until told to end. An error is a fault of journal or ledger: nothing is lost, and a new
    /// [`start`](Self::start) takes up from what is durable.
    pub(super) async fn run(mut self) -> Result<Ended> {
        loop {
            let until = self.orders.borrow_and_update().until;
            if matches!(until, Until::Left | Until::Discarded) {
                break;
            }
            let orders = self.orders.borrow().clone();
            if lanes::is_wanted(&orders) {
                // Another pipeline takes up from what is planned, once that is done.
                let Some(outcome) = self.under_way.next().await else { break };
                if self.finish(outcome).await? {
                    continue;
                }
                break;
            }
            self.force.follow(&orders).await;
            self.fill(&orders).await;
            // Also before a cut: should the ledger not take its plan, the age of what waits is known all the same.
            self.publish();
            // While there is more in the journal the time trigger waits: an object of a backlog is as large as one of fresh
            // records.
            let ending = until != Until::Forever;
            if ending {
                self.feed.freeze().await?;
            }
            let asks = (ending || self.is_late()) && !self.is_full();
            let caught_up = asks && self.is_caught_up(ending).await?;
            let last = ending && caught_up;
            if self.is_due(caught_up)
                && self.has_room()
                && let Some(now) = self.force.now().cloned()
            {
                self.cut(&now).await?;
                continue;
            }
            // What cannot be processed now stays in the journal when the service stops.
            let is_stuck = until == Until::Flushed && self.force.now().is_none();
            let is_idle = self.under_way.is_empty() && self.stagings.is_empty();
            if (last && self.buffer.is_empty() || is_stuck) && is_idle {
                break;
            }
            if !self.step().await? {
                break;
            }
        }
        let ends = self.feed.ends().await?;
        let committed = |shard| self.standing.shards.get(shard).map_or(0, |stands| stands.committed);
        Ok(Ended { left: ends.iter().map(|(shard, end)| end.saturating_sub(committed(shard))).sum() })
    }

    /// Waits for the next thing to happen and does it. `false` when a delivery was left undone.
    async fn step(&mut self) -> Result<bool> {
        let reads = self.unread.is_empty() && !self.is_full();
        // A deadline that is over already waits for something else: room, or the rest of a backlog.
        let deadline = self.buffer.deadline.filter(|_| self.has_room() && !self.is_late());
        let clock = &self.courier.workshop.clock;
        tokio::select! {
            biased;
            Some(outcome) = self.under_way.next() => return self.finish(outcome).await,
            staged = self.stagings.next(), if !self.stagings.is_empty() => match staged {
                Some((cut, finished)) => self.plan_staged(cut, finished).await?,
                None => return Ok(false),
            },
            // The sender is dropped only with the whole service: then the last orders stay.
            Ok(()) = self.orders.changed() => self.force.hurry(),
            () = self.force.due() => {}
            () = async {
                match deadline {
                    Some(deadline) => clock.sleep_until(deadline).await,
                    None => future::pending().await,
                }
            } => {}
            event = self.feed.next(), if reads => match event? {
                Event::Arrival(arrival) => self.take_in(arrival),
                Event::Begins(shards) => self.begin(shards).await?,
                Event::Retired(shards) => {
                    self.leaving.extend(shards.into_iter().map(|shard| (shard, None)));
                    self.part().await?;
                }
                Event::Gone(stream, ends) => self.lose(stream, ends).await?,
            }
        }
        Ok(true)
    }

    /// Does what follows from the end of a delivery. `false` when it was left undone.
    async fn finish(&mut self, outcome: Outcome) -> Result<bool> {
        match outcome {
            Outcome::Done(id, tally) => self.commit(id, tally).await?,
            Outcome::Misdirected(id) => self.redirect(id).await?,
            Outcome::Lost(id) => self.restage(id),
            Outcome::Restaged(id, finished) => self.replace(id, finished).await?,
            Outcome::Left => return Ok(false),
        }
        Ok(true)
    }

    fn take_in(&mut self, arrival: Arrival) {
        let Arrival { shard, first, missing, puts } = arrival;
        if missing > 0 {
            tracing::error!(
                stream = self.courier.name,
                shard = shard.index,
                first_position = first,
                records = missing,
                "records are missing from the journal and are counted as damaged"
            );
            self.buffer.skip(shard, first, missing, self.courier.workshop.clock.instant());
        }
        let mut position = first + missing;
        for records in puts {
            let next = position + records.len() as u64;
            self.unread.push_back(Placed { shard, first: position, records });
            position = next;
        }
    }

    /// Has shards read from where they begin, once that is written down.
    async fn begin(&mut self, shards: Vec<(ShardId, u64)>) -> Result<()> {
        let by = self.feed.by();
        try_join_all(shards.iter().map(|(shard, position)| self.ledger.begin(by, *shard, *position))).await?;
        for (shard, position) in shards {
            self.standing.shards.insert(shard, Stands { began: position, committed: position });
            self.feed.open(shard, position);
        }
        self.courier.state.stands(&self.standing);
        Ok(())
    }

    /// Gives up what a deleted data stream still held.
    async fn lose(&mut self, stream: StreamId, ends: BTreeMap<ShardId, u64>) -> Result<()> {
        tracing::warn!(stream = self.courier.name, "the data stream that is delivered was deleted");
        let known = self.standing.shards.keys().filter(|shard| shard.stream == stream);
        self.leaving.extend(known.map(|shard| (*shard, None)));
        self.leaving.extend(ends.into_iter().map(|(shard, end)| (shard, Some(end))));
        self.part().await
    }

    /// Forgets shards that are no more and of which nothing is on its way.
    async fn part(&mut self) -> Result<()> {
        let free: Vec<_> =
            self.leaving.iter().filter(|(shard, _)| !self.holds(**shard)).map(|(s, end)| (*s, *end)).collect();
        let by = self.feed.by();
        for (shard, end) in &free {
            let committed = self.standing.end_of_plans(*shard);
            if let Some(end) = end.filter(|end| *end > committed) {
                let tally = Tally { discarded: end - committed, ..Tally::default() };
                tracing::error!(
                    stream = self.courier.name,
                    shard = shard.index,
                    records = tally.discarded,
                    "records are given up with their deleted data stream"
                );
                self.ledger.skip(by, *shard, end, tally).await?;
                self.standing.skip(*shard, end, &tally);
            }
            self.ledger.retire(by, *shard).await?;
            self.standing.retire(*shard);
            self.leaving.remove(shard);
        }
        if !free.is_empty() {
            self.courier.state.stands(&self.standing);
        }
        Ok(())
    }

    /// Whether something of a shard is on its way.
    fn holds(&self, shard: ShardId) -> bool {
        self.standing.is_under_way(shard)
            || self.stagings.hold(shard)
            || self.buffer.holds(shard)
            || self.unread.iter().any(|unread| unread.shard == shard)
    }

    /// Takes records that were read into the buffer, until it is full, and sends whole chunks to be encoded.
    async fn fill(&mut self, orders: &Orders) {
        let hints = orders.stream.buffer;
        while let Some(placed) = self.unread.pop_front() {
            if self.buffer.is_full(&hints) {
                self.unread.push_front(placed);
                break;
            }
            self.choose_encoding();
            let Placed { shard, first, records } = placed;
            let clock = &self.courier.workshop.clock;
            let taken = self.buffer.take((shard, first), &records, &hints, clock.instant(), clock.now_ms());
            let now = if taken == records.len() {
                records
            } else {
                let rest = records.slice(taken, records.len());
                self.unread.push_front(Placed { shard, first: first + taken as u64, records: rest });
                records.slice(0, taken)
            };
            if let Some(encoding) = &mut self.encoding {
                encoding.push(Placed { shard, first, records: now }).await;
            }
        }
    }

    /// Begins to encode with a buffer's first record, and leaves it be for the rest of the buffer when the settings
    /// have changed, their steps cannot be done, or there is no memory for the result. Functions are called once, when the
    /// buffer is cut.
    fn choose_encoding(&mut self) {
        let now = self.force.now().filter(|now| !now.recipe.calls_functions());
        if self.buffer.oldest_ms.is_none() {
            self.encoding = now.map(|now| Encoding::new(now.clone(), self.courier.workshop.clone()));
        }
        self.encoding.take_if(|encoding| now.is_none_or(|now| encoding.is_stale(now)));
    }

    /// The encoded chunks of the buffer, unless settings changed or memory was short: then they are made at delivery.
    async fn ready(&mut self, now: &InForce) -> Result<Option<Ready>> {
        match self.encoding.take() {
            Some(encoding) if !encoding.is_stale(now) => encoding.ready().await,
            _ => Ok(None),
        }
    }

    /// Writes the plan for what is in the buffer, and sends its object on the way; where functions are called, once what
    /// they make is staged.
    async fn cut(&mut self, now: &InForce) -> Result<()> {
        let ready = self.ready(now).await?;
        let buffer = std::mem::take(&mut self.buffer);
        self.tips = None;
        let settings = (&*now.stream, now.steps.clone());
        let plan = target::plan(self.feed.by(), now.version, settings, &buffer, &self.courier.workshop.clock);
        let cut = Cut { plan, newest_ms: buffer.newest_ms, bytes: buffer.bytes };
        if now.recipe.calls_functions() {
            self.stagings.push(&self.courier, cut, now.recipe.clone());
            return Ok(());
        }
        self.plan(cut, ready).await
    }

    async fn plan(&mut self, Cut { plan, newest_ms, bytes }: Cut, ready: Option<Ready>) -> Result<()> {
        let id = self.ledger.plan(plan.clone()).await?;
        self.standing.unfinished.push((id, plan.clone()));
        self.send(id, plan, Some(newest_ms), bytes, ready);
        Ok(())
    }

    /// Writes the plan for what was staged.
    async fn plan_staged(&mut self, mut cut: Cut, finished: Finished) -> Result<()> {
        // Kept before the plan is written: after an error nobody knows whether it was.
        cut.plan = Target::of_plan(&cut.plan)?.with_staged(cut.plan, finished.keep());
        self.plan(cut, None).await
    }

    /// Has the functions of the oldest plan called anew, whose file is lost.
    fn restage(&mut self, id: PlanId) {
        let job = stage::job(&self.courier, self.standing.unfinished[0].1.clone(), 0, None);
        self.under_way.push_front(Box::pin(async move {
            job.await.map_or(Outcome::Left, |finished| Outcome::Restaged(id, finished))
        }));
    }

    /// Makes the oldest plan anew under its own keys, to deliver what was staged now.
    async fn replace(&mut self, old: PlanId, finished: Finished) -> Result<()> {
        let plan = self.standing.unfinished[0].1.clone();
        let lost = staged_file(&plan)?;
        let plan = Target::of_plan(&plan)?.with_staged(plan, finished.keep());
        self.supersede(old, plan).await?;
        if let Some(lost) = lost {
            self.courier.staging.remove(lost).await;
        }
        Ok(())
    }

    async fn supersede(&mut self, old: PlanId, plan: Plan) -> Result<()> {
        let id = self.ledger.replan(old, plan.clone()).await?;
        self.standing.unfinished[0] = (id, plan.clone());
        let delivery = self.delivery(id, plan, None, None);
        self.under_way.push_front(delivery);
        Ok(())
    }

    /// Makes the oldest plan anew under the settings in force. Without this a mistyped bucket would hold its records
    /// for ever, though the operator has named another since.
    async fn redirect(&mut self, old: PlanId) -> Result<()> {
        let (first, plan) = self.standing.unfinished[0].clone();
        assert_eq!(first, old, "deliveries come back in the order in which they were sent");
        let orders = self.orders.borrow().clone();
        let Target { process, staged, .. } = Target::of_plan(&plan)?;
        // Steps that can be done, if those in force cannot: it is the place that is at fault. What is staged stays.
        let steps = match self.force.now() {
            Some(now) if staged.is_none() && !now.recipe.calls_functions() => now.steps.clone(),
            _ => process,
        };
        let mut plan = if lanes::is_wanted(&orders) {
            // The prefix of today has keys, and the plan's rows have none.
            let target = Target::of_plan(&plan)?.moved_to(&orders.stream.destination.store);
            Plan { target: serde_json::to_value(target).expect("a target is plain data"), ..plan }
        } else {
            let settings = (&*orders.stream, steps);
            target::replan(&plan, orders.version, settings, &self.courier.workshop.clock)
        };
        if let Some(staged) = staged {
            plan = Target::of_plan(&plan)?.with_staged(plan, staged);
        }
        tracing::warn!(
            stream = self.courier.name,
            key = plan.key,
            "a plan's store does not exist, made anew for another"
        );
        self.supersede(old, plan).await
    }

    fn send(&mut self, id: PlanId, plan: Plan, newest_ms: Option<u64>, bytes: u64, ready: Option<Ready>) {
        self.carried.push_back((Some(plan.object_ms), bytes));
        let delivery = self.delivery(id, plan, newest_ms, ready);
        self.under_way.push_back(delivery);
    }

    fn delivery(&self, id: PlanId, plan: Plan, newest_ms: Option<u64>, ready: Option<Ready>) -> Delivery {
        // It ends with this pipeline: the next one carries the plan out again, or makes it anew, and a delivery that
        // went on beside it would only be in its way.
        let delivery =
            AbortOnDropHandle::new(tokio::spawn(self.courier.clone().deliver(id, plan, newest_ms, Load::Whole(ready))));
        let name = self.courier.name.clone();
        Box::pin(async move {
            // A panic in one delivery costs this pipeline a restart from the ledger, and nothing else.
            delivery.await.unwrap_or_else(|error| {
                tracing::error!(stream = name, %error, "a delivery panicked");
                Outcome::Left
            })
        })
    }

    async fn commit(&mut self, id: PlanId, tally: Tally) -> Result<()> {
        self.ledger.commit(id, tally).await?;
        assert_eq!(self.standing.unfinished[0].0, id, "deliveries come back in the order in which they were sent");
        let plan = self.standing.finish_first(&tally);
        self.carried.pop_front();
        self.courier.state.stands(&self.standing);
        if let Some(file) = staged_file(&plan)? {
            self.courier.staging.remove(file).await;
        }
        tracing::debug!(stream = self.courier.name, key = plan.key, records = tally.delivered, "object committed");
        for span in &plan.spans {
            self.feed.delivered(span.shard, span.end).await?;
        }
        if self.leaving.is_empty() { Ok(()) } else { self.part().await }
    }

    /// Whether the buffer is to be cut: by size, or, with nothing more to read, by time or because it is the last.
    fn is_due(&self, caught_up: bool) -> bool {
        !self.buffer.is_empty() && (caught_up || self.is_full())
    }

    /// Whether the time trigger is met.
    fn is_late(&self) -> bool {
        self.buffer.deadline.is_some_and(|deadline| deadline <= self.courier.workshop.clock.instant())
    }

    fn is_full(&self) -> bool {
        self.buffer.is_full(&self.orders.borrow().stream.buffer)
    }

    /// Whether one more object may be on its way. What need not be staged waits for what is: plans are written in order.
    fn has_room(&self) -> bool {
        let calls = self.force.now().is_some_and(|now| now.recipe.calls_functions());
        let is_next = calls || self.stagings.is_empty();
        is_next && self.under_way.len() + self.stagings.len() < limits::UPLOADS_PER_PIPELINE_MAX
    }

    /// Whether everything that is in the journal is in the buffer or under way; unless the pipeline is `ending`, all that
    /// was there when the buffer's time was over: in busy shards there is always something more.
    async fn is_caught_up(&mut self, ending: bool) -> Result<bool> {
        if !self.unread.is_empty() {
            return Ok(false);
        }
        if ending {
            return self.feed.is_caught_up().await;
        }
        if self.tips.is_none() {
            self.tips = Some(self.feed.ends().await?);
        }
        Ok(self.tips.as_ref().is_none_or(|tips| self.feed.has_reached(tips)))
    }

    fn publish(&self) {
        let planned = self.carried.iter().filter_map(|(oldest, _)| *oldest).min();
        let staging = self.stagings.carried().map(|(oldest, _)| oldest).min();
        let oldest = planned.or(staging).or(self.buffer.oldest_ms);
        let carried = self.carried.iter().map(|(_, bytes)| *bytes).chain(self.stagings.carried().map(|(_, b)| b));
        let bytes = self.buffer.bytes + carried.sum::<u64>();
        self.courier.state.holds(oldest, bytes, self.under_way.len());
        let fault = self.feed.fault().or_else(|| self.force.fault());
        self.courier.state.reads(self.feed.ahead(), fault, self.courier.workshop.clock.now_ms());
    }
}
