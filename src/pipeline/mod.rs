//! Delivery: from a position in a stream to committed objects.
//!
//! A [`Pipeline`] is one task that owns one stream's way out. It reads the journal on from where the ledger says,
//! fills a buffer, and when the size or the time trigger is met it writes a plan into the ledger, lets the object be
//! put, commits, and lets the journal trim. Several objects may be under way at once; they are committed in order.
//!
//! ```text
//! stream.read -> buffer -> (cut) -> ledger.plan -> deliver -> ledger.commit -> stream.delivered
//!                   \-> prepare (other threads, while the buffer fills) --/
//! ```
//! Recovery is start-up: unfinished plans are carried out exactly as written before a new one is made.

mod buffer;
mod capacity;
mod deliver;
mod encoders;
mod failed;
mod outage;
mod prepare;
mod state;
mod target;

use std::collections::VecDeque;
use std::future::{self, Future};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::task::AbortOnDropHandle;

pub use capacity::Capacity;
pub use state::{Seen, State};

use crate::clock::Clock;
use crate::config::DeliveryStream;
use crate::destination::Stores;
use crate::error::Result;
use crate::ledger::{Ledger, Plan, PlanId, Standing, Tally};
use crate::limits;
use crate::record::{Batch, Records};
use crate::stream::Stream;
use crate::telemetry::metrics::StreamMetrics;

use buffer::Buffer;
use deliver::{Courier, Outcome, Ready};
use encoders::Encoded;
use prepare::{Chunker, Prepared, Recipe};
use target::Target;

/// How long a pipeline is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until told otherwise.
    Forever,
    /// Deliver what is there without waiting for triggers, then end; an attempt that fails ends it too, and what is
    /// left stays in the journal. For stopping the service.
    Flushed,
    /// End at once; what is left stays in the journal.
    Left,
    /// Deliver what is there, however long it takes, then end. For deleting a stream that drains.
    Drained,
    /// End at once; what is left is given up by the caller. For deleting a stream.
    Discarded,
}

/// What a pipeline is told from outside.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The stream's settings.
    pub stream: Arc<DeliveryStream>,
    /// Their version, part of object names.
    pub version: u64,
    /// How long to go on.
    pub until: Until,
}

/// What a pipeline is made of.
pub struct Parts {
    /// Where records come from.
    pub stream: Stream,
    /// Where plans and commits are written down.
    pub ledger: Arc<dyn Ledger>,
    /// Where objects go.
    pub stores: Stores,
    /// Time.
    pub clock: Clock,
    /// What pipelines share.
    pub capacity: Capacity,
    /// What is counted.
    pub metrics: Arc<StreamMetrics>,
    /// What others see.
    pub state: Arc<State>,
    /// What it is told.
    pub orders: watch::Receiver<Orders>,
}

/// How a pipeline ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Records that are not past: they stay in the journal (or are the caller's to discard).
    pub left: u64,
}

/// The task that owns one stream's way out.
pub struct Pipeline {
    courier: Arc<Courier>,
    ledger: Arc<dyn Ledger>,
    orders: watch::Receiver<Orders>,
    standing: Standing,
    buffer: Buffer,
    chunker: Chunker,
    /// Records that were read and not yet taken in.
    unread: VecDeque<Records>,
    /// Chunks of the buffer that are being encoded; `None` when the buffer is to be encoded at delivery instead.
    encoding: Option<Encoding>,
    under_way: FuturesOrdered<Delivery>,
    /// Oldest arrival and bytes of each plan under way, in order.
    carried: VecDeque<(Option<u64>, u64)>,
    reading: Option<Pin<Box<dyn Future<Output = Result<Batch>> + Send>>>,
    read_at: u64,
}

type Delivery = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// The chunks of the open buffer on their way through the encoder.
struct Encoding {
    version: u64,
    recipe: Recipe,
    /// Each ends with its chunk and the memory that it holds, or with nothing when there was no room for it.
    jobs: Vec<Encoded<Option<(Prepared, OwnedSemaphorePermit)>>>,
    /// Set by a job that found no room: the rest need not be encoded now.
    no_room: Arc<AtomicBool>,
}

impl Pipeline {
    /// Takes up where the ledger stands: unfinished plans are under way when this returns.
    pub async fn start(parts: Parts) -> Result<Self> {
        let Parts { stream, ledger, stores, clock, capacity, metrics, state, orders } = parts;
        let shard = stream.shard();
        let standing = ledger.standing(shard.stream).await?.remove(&shard.index).unwrap_or_default();
        state.stands(standing.committed, standing.total);
        let name = orders.borrow().stream.name.clone();
        let courier = Arc::new(Courier {
            name,
            stream,
            stores,
            clock,
            capacity,
            metrics,
            state,
            orders: orders.clone(),
            outage: outage::Outage::default(),
            one_at_a_time: tokio::sync::Mutex::new(()),
        });
        let end = standing.unfinished.last().map_or(standing.committed, |(_, plan)| plan.end);
        let mut pipeline = Pipeline {
            courier,
            ledger,
            orders,
            buffer: Buffer::new(end),
            chunker: Chunker::default(),
            unread: VecDeque::new(),
            encoding: None,
            under_way: FuturesOrdered::new(),
            carried: VecDeque::new(),
            reading: None,
            read_at: end,
            standing,
        };
        for (id, plan) in pipeline.standing.unfinished.clone() {
            pipeline.send(id, plan, None, 0, None);
        }
        // What was committed just before a crash may not have been trimmed.
        pipeline.courier.stream.delivered(pipeline.standing.committed).await?;
        Ok(pipeline)
    }

    /// Delivers until told to end. An error is a fault of journal or ledger: nothing is lost, and a new
    /// [`start`](Self::start) takes up from what is durable.
    pub async fn run(mut self) -> Result<Ended> {
        loop {
            let until = self.orders.borrow_and_update().until;
            if matches!(until, Until::Left | Until::Discarded) {
                break;
            }
            self.fill().await?;
            // Also before a cut: should the ledger not take its plan, the age of what waits is known all the same.
            self.publish();
            // While there is more in the journal the time trigger waits: an object of a backlog is as large as one of fresh
            // records.
            let ending = until != Until::Forever;
            let asks = (ending || self.is_late()) && !self.is_full();
            let caught_up = asks && self.is_caught_up().await?;
            let last = ending && caught_up;
            if self.is_due(caught_up) && self.has_room() {
                self.cut().await?;
                continue;
            }
            if last && self.buffer.is_empty() && self.under_way.is_empty() {
                break;
            }
            if !self.step().await? {
                break;
            }
        }
        let extent = self.courier.stream.extent().await?;
        Ok(Ended { left: extent.end.saturating_sub(self.standing.committed) })
    }

    /// Waits for the next thing to happen and does it. `false` when a delivery was left undone.
    async fn step(&mut self) -> Result<bool> {
        let reads = self.unread.is_empty() && !self.is_full();
        if reads && self.reading.is_none() {
            let (stream, at) = (self.courier.stream.clone(), self.read_at);
            self.reading = Some(Box::pin(async move {
                stream.grown(at).await?;
                stream.read(at, limits::READ_BYTES).await
            }));
        }
        // A deadline that is over already waits for something else: room, or the rest of a backlog.
        let deadline = self.buffer.deadline.filter(|_| self.has_room() && !self.is_late());
        let clock = &self.courier.clock;
        tokio::select! {
            biased;
            outcome = self.under_way.next(), if !self.under_way.is_empty() => match outcome {
                Some(Outcome::Done(id, tally)) => self.commit(id, tally).await?,
                Some(Outcome::Misdirected(id)) => self.redirect(id).await?,
                Some(Outcome::Left) => return Ok(false),
                None => {}
            },
            // The sender is dropped only with the whole service: then the last orders stay.
            Ok(()) = self.orders.changed() => {}
            () = async {
                match deadline {
                    Some(deadline) => clock.sleep_until(deadline).await,
                    None => future::pending().await,
                }
            } => {}
            batch = async { self.reading.as_mut().expect("guarded by the precondition").await }, if self.reading.is_some() => {
                self.reading = None;
                self.take_in(batch?);
            }
        }
        Ok(true)
    }

    fn take_in(&mut self, batch: Batch) {
        let missing = batch.span.start.saturating_sub(self.read_at);
        if missing > 0 {
            tracing::error!(
                stream = self.courier.name,
                first_position = self.read_at,
                records = missing,
                "records are missing from the journal and are counted as damaged"
            );
            self.buffer.skip(missing, self.courier.clock.instant());
        }
        self.read_at = batch.span.end.max(self.read_at);
        self.unread.extend(batch.puts);
    }

    /// Takes records that were read into the buffer, until it is full, and sends whole chunks to be encoded.
    async fn fill(&mut self) -> Result<()> {
        let orders = self.orders.borrow().clone();
        let hints = orders.stream.buffer;
        while let Some(records) = self.unread.pop_front() {
            if self.buffer.is_full(&hints) {
                self.unread.push_front(records);
                break;
            }
            self.choose_encoding(&orders);
            let clock = &self.courier.clock;
            let taken = self.buffer.take(&records, &hints, clock.instant(), clock.now_ms());
            let (now, rest) = if taken == records.len() {
                (records, None)
            } else {
                (records.slice(0, taken), Some(records.slice(taken, records.len())))
            };
            if let Some(rest) = rest {
                self.unread.push_front(rest);
            }
            if self.encoding.is_some() {
                for chunk in self.chunker.push(now) {
                    self.encode(chunk).await;
                }
            }
        }
        Ok(())
    }

    /// Begins to encode with a buffer's first record, and leaves it be for the rest of the buffer when the settings
    /// have changed or there is no memory for the result.
    fn choose_encoding(&mut self, orders: &Orders) {
        if self.buffer.oldest_ms.is_none() {
            self.encoding = Some(Encoding {
                version: orders.version,
                recipe: Recipe::of(&Target::of(&orders.stream)),
                jobs: Vec::new(),
                no_room: Arc::default(),
            });
        }
        let stale =
            |encoding: &Encoding| encoding.version != orders.version || encoding.no_room.load(Ordering::Relaxed);
        if self.encoding.as_ref().is_some_and(stale) {
            self.encoding = None;
            self.chunker = Chunker::default();
        }
    }

    /// Starts encoding a chunk of the open buffer; waits while all processors are busy, which holds back reading.
    async fn encode(&mut self, chunk: Vec<Records>) {
        let Some(encoding) = &mut self.encoding else { return };
        let (recipe, no_room) = (encoding.recipe.clone(), encoding.no_room.clone());
        let (courier, capacity) = (&self.courier, self.courier.capacity.clone());
        let job = move || {
            let prepared = recipe.prepare(&chunk);
            drop(chunk);
            let Some(memory) = capacity.encoded(prepared.chunk.bytes.len()) else {
                no_room.store(true, Ordering::Relaxed);
                return None;
            };
            Some((prepared, memory))
        };
        encoding.jobs.push(courier.capacity.encode(job).await);
    }

    /// The encoded chunks of the buffer, unless settings changed or memory was short: then they are made at delivery.
    async fn ready(&mut self, version: u64) -> Result<Option<Ready>> {
        if let Some(last) = self.chunker.finish() {
            self.encode(last).await;
        }
        let Some(encoding) = self.encoding.take() else { return Ok(None) };
        if encoding.version != version {
            return Ok(None);
        }
        let mut ready = Ready { chunks: Vec::with_capacity(encoding.jobs.len()), memory: Vec::new() };
        for job in encoding.jobs {
            let encoded = job.done().await?;
            let Some((prepared, memory)) = encoded else { return Ok(None) };
            ready.memory.push(memory);
            ready.chunks.push(prepared);
        }
        Ok(Some(ready))
    }

    /// Writes the plan for what is in the buffer, and sends its object on the way.
    async fn cut(&mut self) -> Result<()> {
        let orders = self.orders.borrow().clone();
        let shard = self.courier.stream.shard();
        let ready = self.ready(orders.version).await?;
        let next = Buffer::new(self.buffer.end);
        let buffer = std::mem::replace(&mut self.buffer, next);
        let plan = target::plan(shard, orders.version, &orders.stream, &buffer, &self.courier.clock);
        let id = self.ledger.plan(plan.clone()).await?;
        self.standing.unfinished.push((id, plan.clone()));
        self.send(id, plan, Some(buffer.newest_ms), buffer.bytes, ready);
        Ok(())
    }

    /// Makes the oldest plan anew under the settings in force. Without this a mistyped bucket would hold its records
    /// for ever, though the operator has named another since.
    async fn redirect(&mut self, old: PlanId) -> Result<()> {
        let (first, plan) = self.standing.unfinished[0].clone();
        assert_eq!(first, old, "deliveries come back in the order in which they were sent");
        let orders = self.orders.borrow().clone();
        let plan = target::replan(&plan, orders.version, &orders.stream, &self.courier.clock);
        let id = self.ledger.replan(old, plan.clone()).await?;
        tracing::warn!(
            stream = self.courier.name,
            key = plan.key,
            "a plan's store does not exist, made anew for another"
        );
        self.standing.unfinished[0] = (id, plan.clone());
        let delivery = self.delivery(id, plan, None, None);
        self.under_way.push_front(delivery);
        Ok(())
    }

    fn send(&mut self, id: PlanId, plan: Plan, newest_ms: Option<u64>, bytes: u64, ready: Option<Ready>) {
        self.carried.push_back((Some(plan.object_ms), bytes));
        let delivery = self.delivery(id, plan, newest_ms, ready);
        self.under_way.push_back(delivery);
    }

    fn delivery(&self, id: PlanId, plan: Plan, newest_ms: Option<u64>, ready: Option<Ready>) -> Delivery {
        // It ends with this pipeline: the next one carries the plan out again, or makes it anew, and a delivery that
        // went on beside it would only be in its way.
        let delivery = AbortOnDropHandle::new(tokio::spawn(self.courier.clone().deliver(id, plan, newest_ms, ready)));
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
        let (first, plan) = self.standing.unfinished.remove(0);
        assert_eq!(first, id, "deliveries come back in the order in which they were sent");
        self.carried.pop_front();
        self.standing.committed = plan.end;
        self.standing.total.add(&tally);
        self.courier.state.stands(plan.end, self.standing.total);
        tracing::debug!(stream = self.courier.name, key = plan.key, records = tally.delivered, "object committed");
        self.courier.stream.delivered(plan.end).await
    }

    /// Whether the buffer is to be cut: by size, or, with nothing more to read, by time or because it is the last.
    fn is_due(&self, caught_up: bool) -> bool {
        !self.buffer.is_empty() && (caught_up || self.is_full())
    }

    /// Whether the time trigger is met.
    fn is_late(&self) -> bool {
        self.buffer.deadline.is_some_and(|deadline| deadline <= self.courier.clock.instant())
    }

    fn is_full(&self) -> bool {
        self.buffer.is_full(&self.orders.borrow().stream.buffer)
    }

    fn has_room(&self) -> bool {
        self.under_way.len() < limits::UPLOADS_PER_PIPELINE_MAX
    }

    /// Whether everything that is in the journal is in the buffer or under way.
    async fn is_caught_up(&mut self) -> Result<bool> {
        Ok(self.unread.is_empty() && self.courier.stream.extent().await?.end <= self.read_at)
    }

    fn publish(&self) {
        let carried = self.carried.iter().filter_map(|(oldest, _)| *oldest).min();
        let oldest = carried.or(self.buffer.oldest_ms);
        let bytes = self.buffer.bytes + self.carried.iter().map(|(_, bytes)| bytes).sum::<u64>();
        self.courier.state.holds(oldest, bytes, self.under_way.len());
    }
}
