//! Delivery of a partitioned stream: each row goes to the lane of its partition, and each lane has its own triggers.
//!
//! ```text
//! feed.next -> blocks -> route (other threads) -> open lanes -> (cut) -> ledger.plan -> deliver -> ledger.commit
//!                                                                                 watermark: ledger.advance -> feed.delivered
//! ```
//! # Exactly once
//! A plan holds the rows of one lane (a partition, or what failed) whose records stand in its spans, and nothing else. Its spans begin, in
//! each shard, with the batch of the lane's first row since its last plan, and end with the batch of its last; those of
//! different lanes overlap. What makes that exact:
//!
//! 1. **A batch is the same on every reading** (see [`blocks`]), and rows follow from their batch and the steps that a plan's target
//!    pins. All spans begin and end with a batch.
//! 2. **The watermark** (`committed`) is the position below which everything is done: the least of what open lanes and unfinished plans
//!    begin with and what was not routed yet. It is always between two batches. A start reads on from there and routes every
//!    row again; a batch that ends at or below where the lane's last plan ended is past for that lane.
//! 3. **Early cuts are durable before what depends on them**: every plan writes those down that no plan has yet. A batch of which the
//!    steps make too much at once is cut into halves so, too, before a row of it finds its lane.
//! 4. **Settings change between batches**: all open lanes are cut under the old ones first, and where rows would find other lanes
//!    under the new ones, the watermark passes all that was planned before anything is routed so. What was planned before a start is
//!    routed again as the newest plan says ([`Target::routes_as`]), and so is what comes of the same shards until all have got there;
//!    nothing beyond it can be in a plan. A closed shard is read to its end meanwhile, since its children wait for it.
//! 5. **Counts.** A position counts in the plan of its first row's lane, which the plan says before it is carried out (`Share::positions`).
//!    What became nothing is counted when the watermark passes it. Positions that are counted above the watermark are `Standing::early`:
//!    they are taken from the backlog. What is missing when the watermark passes was lost to damage, and is counted so.
//!
//! Objects of a lane have the same bytes on every attempt, unless records were lost in between: rows stand shard by shard, and where
//! chunks of the encoding end follows from the batches alone ([`open::CHUNK_BYTES`]).
//!
//! 6. **Damage.** What the journal has lost is a hole: it ends the batch before it, and the watermark passes over it. What is left of a
//!    batch may be cut otherwise than the batch was, but never across the place where a plan of any lane ended
//!    ([`blocks::known`]), so that what is there is still above or below it. An object that was put before the loss stays as it is.
//! 7. **Functions** may answer otherwise another time: what a batch became is in a file before it is routed (see [`keep`]), and every
//!    later reading takes it from there.
//!
//! # Bounds
//! Beyond `max_open` open lanes those nearest to their triggers are cut, and nothing is routed meanwhile. No row is sent to the error
//! output because too many are open, as Firehose does: that would depend on the moment, and a repeat would route otherwise. Reading
//! waits while too many plans are unfinished. What is encoded and does not fit into memory is spilled to disk, and what does not fit
//! there is made again from the journal. Lanes that hold the watermark are cut when too much stands above it: files of batches, or
//! lanes of which something is planned.
//!
//! # What stops, and what does not
//! - While the steps in force cannot be done nothing is taken in and nothing cut, as with the plain pipeline. While those cannot under
//!   which something was read before a start ([`epoch`]), nothing is read; plans are carried out all the same.
//! - A data stream that is not the source any more is read on up to where something of it was planned (`finish_others`), so that its
//!   watermark gets there; what comes after stays where it is. One that was deleted is passed over, and what nobody can
//!   read any more is counted as discarded.

mod blocks;
mod epoch;
mod keep;
mod open;
mod put;
mod route;
mod run;
#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::try_join_all;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::chunk::Placed;
use super::deliver::{Courier, Load, Outcome};
use super::force::Force;
use super::target::{Settings, Target, named};
use super::{Orders, Parts, Until};
use crate::clock::Instant;
use crate::error::{Error, Kind, Result};
use crate::ledger::{Lane, Ledger, Plan, PlanId, Share, Standing, Tally};
use crate::limits;
use crate::record::ShardId;
use crate::stream::Feed;

use blocks::{Batch, Blocks};
use epoch::{Before, Epoch, Kept};
use keep::Keeping;
use open::{Filling, Now, Open};
use put::Batches;
use route::{Routed, route};

pub(super) use put::ShareLoad;

/// Whether a stream is partitioned under these orders.
pub(super) fn is_wanted(orders: &Orders) -> bool {
    !orders.stream.destination.prefix.keys().is_empty()
}

/// What was read and not taken in yet.
enum Unread {
    Records(Placed),
    /// Positions that hold nothing.
    Hole(ShardId, Range<u64>),
}

/// A batch under way to its lanes, or a hole in its place.
enum Applied {
    /// Nothing when its halves are to be routed in its place.
    Batch(Batch, Result<Option<Routed>>),
    /// Up to there nothing more is held.
    Hole(ShardId, u64),
    /// The pipeline was told to leave what a function is called for.
    Left,
}

type Routing = Pin<Box<dyn Future<Output = Result<Applied>> + Send>>;
type Delivery = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A plan that is durable.
struct Planned {
    id: PlanId,
    plan: Plan,
    load: ShareLoad,
    newest_ms: Option<u64>,
}

/// The task that owns a partitioned stream's way out.
pub(super) struct Partitioned {
    courier: Arc<Courier>,
    feed: Feed,
    ledger: Arc<dyn Ledger>,
    orders: watch::Receiver<Orders>,
    force: Force,
    standing: Standing,
    epoch: Option<Arc<Epoch>>,
    /// While what is read is routed as before a start.
    before: Option<Before>,
    /// What batches are kept for whose steps call functions.
    kept: Kept,
    unread: VecDeque<Unread>,
    blocks: Blocks,
    routing: FuturesOrdered<Routing>,
    /// Up to where each shard was routed.
    heads: BTreeMap<ShardId, u64>,
    open: Open,
    /// Positions that became nothing, of each batch above the watermark by its start.
    dropped: BTreeMap<ShardId, BTreeMap<u64, u64>>,
    /// Nothing is taken in until what is on its way is routed and lanes are cut.
    holds: bool,
    /// What holds the watermark is to be cut, since what is kept above it takes too much room.
    is_short: bool,
    waiting: VecDeque<Planned>,
    under_way: FuturesUnordered<Delivery>,
    /// Oldest arrival and bytes of each plan that is not committed.
    carried: BTreeMap<PlanId, (u64, u64)>,
    tips: Option<BTreeMap<ShardId, u64>>,
    /// When the watermark may advance next.
    advances: Instant,
    /// Shards whose beginning waits for the old routing to be over.
    begins: Vec<(ShardId, u64)>,
    leaving: BTreeMap<ShardId, Option<u64>>,
}

impl Partitioned {
    /// Takes up where the ledger stands: unfinished plans are about to be sent when this returns.
    pub(super) async fn start(parts: Parts, standing: Standing) -> Result<Self> {
        let orders = parts.orders.clone();
        let (courier, mut feed, ledger) = Courier::of(parts);
        let courier = Arc::new(courier);
        courier.state.stands(&standing);
        let clock = courier.workshop.clock.clone();
        let mut force = Force::new(courier.tools.clone());
        let first = orders.borrow().clone();
        force.follow(&first).await;
        let heads = standing.ends_of_plans();
        let before = Before::of(&standing, force.now().map(|now| &**now))?;
        if let Some(before) = &before {
            feed.halt(before.halts().clone());
        }
        feed.resume(heads.clone()).await?;
        let kept = Arc::new(keep::Planned::find(&courier.staging, feed.by(), &standing).await?);
        let mut cuts = blocks::known(&standing.lanes);
        for (shard, ends) in &kept.wholes {
            cuts.entry(*shard).or_default().extend(ends.values());
        }
        let kept = (feed.by(), kept);
        let mut pipeline = Partitioned {
            courier,
            feed,
            ledger,
            orders,
            force,
            epoch: None,
            before,
            kept,
            is_short: false,
            unread: VecDeque::new(),
            blocks: Blocks::new(cuts),
            routing: FuturesOrdered::new(),
            heads,
            open: Open::default(),
            dropped: BTreeMap::new(),
            holds: false,
            waiting: VecDeque::new(),
            under_way: FuturesUnordered::new(),
            carried: BTreeMap::new(),
            tips: None,
            advances: clock.instant(),
            begins: Vec::new(),
            leaving: BTreeMap::new(),
            standing,
        };
        pipeline.take_up();
        pipeline.finish_others().await?;
        for (shard, stands) in &pipeline.standing.shards {
            pipeline.feed.delivered(*shard, stands.committed).await?;
        }
        if pipeline.before.is_none() && pipeline.standing.has_lanes() {
            // Orders that came meanwhile may route otherwise than what is planned above the watermark: they find these to follow.
            pipeline.epoch = pipeline.force.now().and_then(|now| Epoch::of(now, &pipeline.kept)).map(Arc::new);
        }
        Ok(pipeline)
    }

    /// Reads on in shards of a data stream that is not the source any more, up to where something of them was planned: the rows
    /// between of other lanes are nobody's else. What comes after that stays where it is.
    async fn finish_others(&mut self) -> Result<()> {
        for (shard, to) in self.standing.lanes.furthest() {
            let from = self.standing.end_of_plans(shard);
            if to > from && !self.feed.finish_reading(shard, from, to).await? {
                self.leaving.insert(shard, Some(to));
            }
        }
        Ok(())
    }

    /// Sends the plans that an earlier process left.
    fn take_up(&mut self) {
        let batches = self.batches();
        for (id, plan) in self.standing.unfinished.clone() {
            self.carried.insert(id, (plan.object_ms, 0));
            self.waiting.push_back(Planned { id, plan, load: ShareLoad::new(None, batches.clone()), newest_ms: None });
        }
    }

    /// What is known of batches, for who reads some of them again.
    fn batches(&self) -> Arc<Batches> {
        Arc::new(Batches { cuts: self.blocks.cuts().clone(), kept: self.kept.1.clone() })
    }

    /// Has a batch find its lanes; waits while all processors are busy, which holds back reading.
    async fn send_to_lanes(&mut self, epoch: &Epoch, batches: impl IntoIterator<Item = Batch>) {
        for batch in batches {
            let routing = routing(&self.courier, epoch, batch).await;
            self.routing.push_back(routing);
        }
    }

    /// Has the halves of a batch find their lanes in its place.
    async fn send_halves(&mut self, epoch: &Epoch, batch: &Batch) {
        let [first, others] = self.blocks.halve(batch);
        let routings = [routing(&self.courier, epoch, first).await, routing(&self.courier, epoch, others).await];
        routings.into_iter().rev().for_each(|routing| self.routing.push_front(routing));
    }

    /// Has what is lost take its turn among the batches.
    async fn pass_over(&mut self, epoch: &Epoch, shard: ShardId, lost: Range<u64>) {
        let batch = self.blocks.end(shard);
        self.send_to_lanes(epoch, batch).await;
        if epoch.keeping.is_some() {
            // A later start may not take what began there for what began behind it.
            let (staging, by, kept) = (self.courier.staging.clone(), self.kept.0, self.kept.1.beyond(shard, &lost));
            // A task that is not run is one at the end of the process.
            let _ = tokio::task::spawn_blocking(move || staging.forget_lost(by, shard, kept)).await;
        }
        self.routing.push_back(Box::pin(future::ready(Ok(Applied::Hole(shard, lost.end)))));
    }

    /// Takes in what became of the next batch. `false` when it was left undone.
    async fn apply(&mut self, applied: Applied) -> Result<bool> {
        let (batch, routed) = match applied {
            Applied::Hole(shard, end) => {
                self.heads.insert(shard, end);
                return Ok(true);
            }
            Applied::Left => return Ok(false),
            Applied::Batch(batch, routed) => (batch, routed?),
        };
        let Some(epoch) = self.epoch.clone() else {
            return Err(Error::new(Kind::Internal, "a batch was routed under no settings"));
        };
        let Some(routed) = routed else {
            self.send_halves(&epoch, &batch).await;
            return Ok(true);
        };
        self.heads.insert(batch.shard, batch.end);
        if routed.dropped > 0 {
            self.dropped.entry(batch.shard).or_default().insert(batch.start, routed.dropped);
        }
        let clock = &self.courier.workshop.clock;
        let now = Now { instant: clock.instant(), ms: clock.now_ms() };
        let interval = self.orders.borrow().stream.buffer.interval;
        let room = self.courier.workshop.capacity.clone();
        let mut touched = Vec::new();
        for (lane, part) in routed.parts {
            let end = self.standing.lanes.end(&lane, batch.shard);
            if end >= batch.end {
                continue;
            }
            if end > batch.start {
                return Err(Error::corrupt(format!(
                    "a plan ended at position {end} of shard {}, within the batch {}..{}: was it made by another version?",
                    batch.shard.index, batch.start, batch.end
                )));
            }
            self.open.add(lane.clone(), part, &batch, (now, interval), &room).await;
            touched.push(lane);
        }
        self.open.encode(&touched, &epoch.recipe, &room).await;
        Ok(true)
    }

    /// Writes the plans for what these lanes hold, all together.
    async fn cut(&mut self, lanes: Vec<Lane>) -> Result<()> {
        let Some(epoch) = self.epoch.clone() else { return Ok(()) };
        let fresh = self.blocks.fresh();
        let mut taken = Vec::new();
        for lane in lanes {
            if let Some(filling) = self.open.take(&lane) {
                taken.push((self.plan(&epoch, lane, &filling, &fresh), filling));
            }
        }
        let ids = try_join_all(taken.iter().map(|(plan, _)| self.ledger.plan(plan.clone()))).await?;
        let batches = self.batches();
        for (id, (plan, filling)) in ids.into_iter().zip(taken) {
            self.standing.share_out(&plan);
            self.standing.unfinished.push((id, plan.clone()));
            self.carried.insert(id, (filling.oldest_ms, filling.bytes));
            let (newest_ms, tally) = (Some(filling.newest_ms), filling.tally);
            let gathered = Some((filling.into_content(), tally));
            self.waiting.push_back(Planned { id, plan, load: ShareLoad::new(gathered, batches.clone()), newest_ms });
        }
        Ok(())
    }

    fn plan(&self, epoch: &Epoch, lane: Lane, filling: &Filling, cuts: &[(ShardId, u64)]) -> Plan {
        let keys = match &lane {
            Lane::Failures => Vec::new(),
            Lane::Keys(values) => values.clone(),
        };
        let share = Share { lane, positions: filling.tally.positions(), cuts: cuts.to_vec() };
        let plan = Plan {
            stream: self.feed.by(),
            spans: filling.spans(),
            planned_ms: 0,
            object_ms: filling.oldest_ms,
            version: 0,
            key: String::new(),
            error_key: String::new(),
            error_keys: BTreeMap::new(),
            target: serde_json::Value::Null,
            share: Some(share),
        };
        let Epoch { stream, version, prefix, target, .. } = epoch;
        let settings = Settings { stream, version: *version, prefix, target };
        named(&plan, &settings, &keys, &self.courier.workshop.clock)
    }

    /// Sends plans on their way, a few at a time.
    fn send_on(&mut self) {
        while self.under_way.len() < limits::UPLOADS_PER_PIPELINE_MAX
            && let Some(Planned { id, plan, load, newest_ms }) = self.waiting.pop_front()
        {
            let load = Load::Share(Box::new(load));
            // It ends with this pipeline: the next one carries the plan out again.
            let delivery =
                AbortOnDropHandle::new(tokio::spawn(self.courier.clone().deliver(id, plan, newest_ms, load)));
            let name = self.courier.name.clone();
            self.under_way.push(Box::pin(async move {
                delivery.await.unwrap_or_else(|error| {
                    tracing::error!(stream = name, %error, "a delivery panicked");
                    Outcome::Left
                })
            }));
        }
    }

    /// Writes down what is done.
    async fn commit(&mut self, done: Vec<(PlanId, Tally)>) -> Result<()> {
        try_join_all(done.iter().map(|(id, tally)| self.ledger.commit(*id, *tally))).await?;
        for (id, tally) in &done {
            self.carried.remove(id);
            self.standing.finish_share(*id, tally);
        }
        self.courier.state.stands(&self.standing);
        Ok(())
    }

    /// Puts a plan whose store does not exist into the one that the settings name now, under the same key.
    async fn redirect(&mut self, old: PlanId) -> Result<()> {
        let Some(at) = self.standing.unfinished.iter().position(|(id, _)| *id == old) else { return Ok(()) };
        let plan = self.standing.unfinished[at].1.clone();
        let target = Target::of_plan(&plan)?.moved_to(&self.orders.borrow().stream.destination.store);
        let plan = Plan { target: serde_json::to_value(target).expect("a target is plain data"), ..plan };
        let id = self.ledger.replan(old, plan.clone()).await?;
        tracing::warn!(stream = self.courier.name, key = plan.key, "a plan's store does not exist, moved to another");
        self.standing.unfinished[at] = (id, plan.clone());
        let carried = self.carried.remove(&old).unwrap_or((plan.object_ms, 0));
        self.carried.insert(id, carried);
        let load = ShareLoad::new(None, self.batches());
        self.waiting.push_front(Planned { id, plan, load, newest_ms: None });
        Ok(())
    }

    /// Advances the watermark as far as everything is done. `false` where it was there already.
    async fn advance(&mut self) -> Result<bool> {
        let mut to = Vec::new();
        let mut tally = Tally::default();
        for (shard, head) in &self.heads {
            let open = self.open.first(*shard).unwrap_or(u64::MAX);
            let mark = (*head).min(open).min(self.standing.bound(*shard).unwrap_or(u64::MAX));
            let mark = self.kept.1.between_batches(*shard, mark);
            if mark > self.standing.end_of_plans(*shard) {
                to.push((*shard, mark));
                let passed = self.dropped.get(shard).map(|dropped| dropped.range(..mark).map(|(_, count)| count).sum());
                tally.dropped += passed.unwrap_or(0);
            }
        }
        if to.is_empty() {
            return Ok(false);
        }
        let passed: u64 = to.iter().map(|(shard, mark)| mark - self.standing.end_of_plans(*shard)).sum();
        let counted = self.standing.total.positions() + tally.dropped;
        let lost = (self.standing.past() + passed).saturating_sub(counted);
        let is_given_up = |shard: &ShardId| self.leaving.get(shard).is_some_and(Option::is_some);
        if lost > 0 && to.iter().any(|(shard, _)| is_given_up(shard)) {
            tracing::error!(
                stream = self.courier.name,
                records = lost,
                "records are given up with their deleted data stream"
            );
            tally.discarded = lost;
        } else if lost > 0 {
            tracing::error!(stream = self.courier.name, records = lost, "records were read and are not there any more");
            tally.damaged = lost;
        }
        self.ledger.advance(self.feed.by(), to.clone(), tally).await?;
        self.standing.advance(&to, &tally);
        if self.courier.staging.has_batches(self.feed.by()) {
            let (staging, by, to) = (self.courier.staging.clone(), self.feed.by(), to.clone());
            let past = move || to.iter().for_each(|(shard, mark)| staging.past(by, *shard, *mark));
            // A task that is not run is one at the end of the process.
            let _ = tokio::task::spawn_blocking(past).await;
        }
        for (shard, mark) in to {
            self.blocks.past(shard, mark);
            if let Some(dropped) = self.dropped.get_mut(&shard) {
                *dropped = dropped.split_off(&mark);
            }
            self.feed.delivered(shard, mark).await?;
        }
        self.courier.state.stands(&self.standing);
        Ok(true)
    }

    fn until(&self) -> Until {
        self.orders.borrow().until
    }
}

/// Has a batch find its lanes; waits while all processors are busy.
async fn routing(courier: &Arc<Courier>, epoch: &Epoch, batch: Batch) -> Routing {
    if let Some(keeping) = &epoch.keeping {
        return call_for(courier, keeping.clone(), batch);
    }
    let (recipe, rules) = (epoch.recipe.clone(), epoch.rules.clone());
    let steps = move || {
        let routed = route(&recipe, &rules, &batch.records);
        Applied::Batch(batch, routed)
    };
    Box::pin(courier.workshop.begin(steps).await.done())
}

/// Has functions called for a batch, which takes seconds; it ends with the pipeline.
fn call_for(courier: &Arc<Courier>, keeping: Arc<Keeping>, batch: Batch) -> Routing {
    let courier = courier.clone();
    let call = AbortOnDropHandle::new(tokio::spawn(async move {
        match courier.keep(&keeping, &batch).await {
            Some(routed) => Applied::Batch(batch, Ok(routed)),
            None => Applied::Left,
        }
    }));
    Box::pin(async move {
        call.await.map_err(|error| Error::new(Kind::Internal, "calling functions panicked").because(error))
    })
}
