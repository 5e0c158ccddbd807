//! One plan carried out: its object put, its error output put, again and again until both are durable.
//!
//! The bytes come either from chunks that were encoded while the buffer filled, or, for a plan that an earlier process
//! left and after a failed attempt, from the journal once more. Where functions were called they come from what was staged.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::again;
use super::columns::Columns;
use super::endpoint::{Endpoint, Progress};
use super::failed::{self, Codes, Kept, Sheet};
use super::lanes::ShareLoad;
use super::outage::Outage;
use super::place::Place;
use super::prepare::Prepared;
use super::staged::{Finished, Staging};
use super::state::State;
use super::steps::Toolbox;
use super::supply::Supply;
use super::target::Target;
use super::webhook::{Outbox, There};
use super::workshop::Workshop;
use super::{Orders, Parts, Until};
use crate::clock::Clock;
use crate::destination::{Body, BodySender, Created, Destination, ObjectFacts, Stores};
use crate::error::{Error, Kind, Result};
use crate::format::Container;
use crate::ledger::{Ledger, Plan, PlanId, Tally};
use crate::limits;
use crate::stream::{Feed, Reader};
use crate::telemetry::metrics::StreamMetrics;

/// What the deliveries of one pipeline share.
pub(super) struct Courier {
    pub name: String,
    pub reader: Reader,
    pub stores: Stores,
    pub workshop: Workshop,
    pub tools: Toolbox,
    pub staging: Staging,
    /// Whose turn it is to call functions.
    pub calls: Arc<Semaphore>,
    /// Whether what functions make cannot be kept.
    pub unstaged: Outage,
    /// A batch of a partitioned stream found no room to be kept.
    pub no_room: Notify,
    /// Where messages to the stream's webhook wait.
    pub outbox: Arc<Outbox>,
    /// Whether there is no room for them.
    pub unannounced: Outage,
    pub state: Arc<State>,
    pub orders: watch::Receiver<Orders>,
    /// Whether attempts fail; then one is made at a time.
    pub outage: Outage,
    pub one_at_a_time: tokio::sync::Mutex<()>,
}

/// Chunks that were encoded while the buffer filled, and the memory they hold.
pub(super) struct Ready {
    pub chunks: Vec<Prepared>,
    pub memory: Vec<OwnedSemaphorePermit>,
}

/// What there is of a plan's object already.
pub(super) enum Load {
    /// Of a plan that holds all records of its spans; nothing where they are to be read once more.
    Whole(Option<Ready>),
    /// Of a plan that holds a share.
    Share(Box<ShareLoad>),
}

/// What one attempt has made of a plan's records.
struct Made {
    tally: Tally,
    /// How many failed, by code.
    codes: Codes,
    failed: Kept,
}

impl Made {
    fn nothing() -> Self {
        Made { tally: Tally::default(), codes: Codes::new(), failed: Kept::new() }
    }
}

/// How one attempt ended that did not fail.
pub(super) enum Attempted {
    /// Everything is durable; how many records failed, by code, as far as that is known.
    Done(Tally, Codes),
    /// What was staged is lost, and nothing of it is anywhere.
    Lost,
}

/// How a delivery ended.
pub(super) enum Outcome {
    /// Everything that the plan's records became is durable; it can be committed.
    Done(PlanId, Tally),
    /// The plan's store does not exist, and the settings name another: the plan is to be made anew.
    Misdirected(PlanId),
    /// What was staged for the plan is lost, and nothing of it was delivered: functions are to be called anew.
    Lost(PlanId),
    /// They were, for this plan.
    Restaged(PlanId, Finished),
    /// The service stops or the stream is discarded; the plan stays as it is.
    Left,
}

impl Courier {
    /// What carries out the plans of the pipeline that `parts` make, and what is left of them.
    pub(super) fn of(parts: Parts) -> (Self, Feed, Arc<dyn Ledger>) {
        let Parts { name, feed, ledger, stores, clock, capacity, registry, caller, .. } = parts;
        let Parts { staging, webhooks, metrics, state, orders, .. } = parts;
        let tools = Toolbox { stream: name.clone(), registry, caller, clock: clock.clone(), metrics: metrics.clone() };
        let courier = Courier {
            name,
            reader: feed.reader(),
            stores,
            workshop: Workshop { capacity, clock, metrics },
            tools,
            staging,
            calls: Arc::new(Semaphore::new(limits::FUNCTION_CALLS_PER_STREAM_MAX)),
            unstaged: Outage::default(),
            no_room: Notify::new(),
            outbox: webhooks.of(feed.by()),
            unannounced: Outage::default(),
            state,
            orders,
            outage: Outage::default(),
            one_at_a_time: tokio::sync::Mutex::new(()),
        };
        (courier, feed, ledger)
    }

    /// Carries out `plan` until it is done or the pipeline is told to leave it.
    pub(super) async fn deliver(
        self: Arc<Self>,
        id: PlanId,
        plan: Plan,
        newest_ms: Option<u64>,
        mut load: Load,
    ) -> Outcome {
        let mut orders = self.orders.clone();
        let (mut pause, progress, there) = (limits::RETRY_PAUSE_MIN, Progress::default(), There::default());
        loop {
            orders.mark_unchanged();
            let attempt = tokio::select! {
                biased;
                () = given_up(&mut orders) => return Outcome::Left,
                attempt = self.attempt(&plan, &mut load, (&progress, &there)) => attempt,
            };
            let error = match attempt {
                Ok(Attempted::Done(tally, codes)) => {
                    self.succeeded(&plan, &tally, &codes);
                    self.announce((id, &plan), &tally, (&there, &progress)).await;
                    return Outcome::Done(id, tally);
                }
                Ok(Attempted::Lost) => return Outcome::Lost(id),
                Err(error) => error,
            };
            self.failed(&plan, &error);
            if error.kind() == Kind::NotFound && self.is_elsewhere(&plan) {
                return Outcome::Misdirected(id);
            }
            if let Some(tally) = self.expired(&plan, newest_ms) {
                return Outcome::Done(id, tally);
            }
            if orders.borrow().until == Until::Flushed {
                return Outcome::Left;
            }
            let jitter = self.clock().random() % (pause.as_millis() as u64 / 2).max(1);
            tokio::select! {
                () = self.clock().sleep(pause / 2 + Duration::from_millis(jitter)) => {}
                // New credentials or settings, or the order to stop: no reason to wait.
                _ = orders.changed() => {}
            }
            pause = (pause * 2).min(limits::RETRY_PAUSE_MAX);
        }
    }

    /// One attempt, when it is this pipeline's turn.
    async fn attempt(&self, plan: &Plan, load: &mut Load, noted: (&Progress, &There)) -> Result<Attempted> {
        let failing = self.outage.lasts();
        let _alone = if failing { Some(self.one_at_a_time.lock().await) } else { None };
        let leave = self.workshop.capacity.upload(failing).await;
        let put = self.put(plan, load, noted);
        tokio::pin!(put);
        tokio::select! {
            put = &mut put => return put,
            () = self.clock().sleep(limits::UPLOAD_TURN_MAX) => {}
        }
        // A store that hangs keeps its attempt, but not the leave that others wait for.
        drop(leave);
        put.await
    }

    async fn put(&self, plan: &Plan, load: &mut Load, (progress, there): (&Progress, &There)) -> Result<Attempted> {
        let target = Target::of_plan(plan)?;
        let (store, head) = {
            let now = &self.orders.borrow().stream.destination;
            (target.store(&now.store), now.prefix.head().to_owned())
        };
        let destination = self.stores.open(&store, &head).await?;
        let destination = &there.watch(&*destination);
        let ready = match load {
            Load::Share(share) => {
                let put = self.put_share(destination, plan, &target, share).await;
                return put.map(|(tally, codes)| Attempted::Done(tally, codes));
            }
            Load::Whole(ready) => ready.take(),
        };
        let put = match &target.http {
            Some(http) => {
                let (store, target_of) = (destination, &target);
                let endpoint = Endpoint { courier: self, plan, target: http, store, progress };
                self.put_objects((&endpoint, store), plan, target_of, ready).await.map(|(mut tally, mut codes)| {
                    endpoint.correct(&mut tally, &mut codes);
                    (tally, codes)
                })
            }
            None => self.put_objects((destination, destination), plan, &target, ready).await,
        };
        match (put, &target.staged) {
            (Err(error), Some(staged)) if error.kind() == Kind::Corrupt => {
                self.after_loss(destination, plan, staged, error, target.http.is_some()).await
            }
            (put, _) => put.map(|(tally, codes)| Attempted::Done(tally, codes)),
        }
    }

    /// Puts what is delivered and what failed, each into its destination.
    async fn put_objects(
        &self,
        (destination, failures): (&dyn Destination, &dyn Destination),
        plan: &Plan,
        target: &Target,
        ready: Option<Ready>,
    ) -> Result<(Tally, Codes)> {
        let Made { mut tally, codes, failed } = match ready {
            Some(ready) => self.put_ready(destination, plan, target, ready).await?,
            None => self.put_again(destination, plan, target).await?,
        };
        for output in plan.error_output(&tally) {
            let sheet = Sheet::new(plan, target, (output.of, output.key));
            let (sender, body) = Body::channel(1);
            let lines = produce(sender, async |sender| self.send_failures(plan, target, &failed, sheet, sender).await);
            let created = self.create_failures(failures, plan, sheet.key, body);
            let (lines, created) = tokio::join!(lines, created);
            // That a producer failed says more than that its body was not whole.
            lines?;
            created?;
            tally.objects += 1;
        }
        Ok((tally, codes))
    }

    async fn put_ready(
        &self,
        destination: &dyn Destination,
        plan: &Plan,
        target: &Target,
        ready: Ready,
    ) -> Result<Made> {
        let (mut made, mut failures) = (Made::nothing(), Vec::new());
        let tally = &mut made.tally;
        let mut container = Container::new(target.encoding(), entry_name(&plan.key));
        let mut pieces = vec![container.head()];
        let separator = target.separator();
        for Prepared { chunk, failed, tally: counted } in ready.chunks {
            let is_first = tally.delivered == 0;
            tally.add(&counted);
            failed::count(&mut made.codes, &failed);
            failures.push(failed);
            if counted.delivered == 0 {
                continue;
            }
            if let Some(separator) = separator.as_ref().filter(|_| !is_first) {
                container.add(separator);
                pieces.push(separator.bytes.clone());
            }
            container.add(&chunk);
            pieces.push(chunk.bytes);
        }
        pieces.push(container.tail());
        tally.damaged = plan.positions() - tally.positions();
        if tally.delivered > 0 {
            let bytes: usize = pieces.iter().map(Bytes::len).sum();
            let converted = self.create_rows(destination, plan, target, Body::ready(pieces)).await?;
            tally.objects = 1;
            tally.object_bytes = converted.unwrap_or(bytes as u64);
        }
        made.failed = Kept::held(failures, ready.memory);
        Ok(made)
    }

    /// Reads the plan's chunks and puts what they become; memory is bound by a few of them.
    async fn put_again(&self, destination: &dyn Destination, plan: &Plan, target: &Target) -> Result<Made> {
        let supply = Supply::of(self, plan, target).await?;
        let (sender, mut body) = Body::channel(1);
        let producer = produce(sender, async |sender| self.read_object(plan, target, supply, sender).await);
        let consumer = async {
            if body.is_void().await? {
                return Ok(None);
            }
            self.create_rows(destination, plan, target, body).await.map(Some)
        };
        let (read, written) = tokio::join!(producer, consumer);
        let written = written?;
        let mut made = read?;
        made.tally.objects = u64::from(written.is_some());
        made.tally.object_bytes = written.flatten().unwrap_or(made.tally.object_bytes);
        Ok(made)
    }

    /// Puts the object of the rows in `body`, converted if they are to be: then it gives the bytes that it has.
    pub(super) async fn create_rows(
        &self,
        destination: &dyn Destination,
        plan: &Plan,
        target: &Target,
        body: Body,
    ) -> Result<Option<u64>> {
        let put = match target.columnar() {
            None => destination.create(&plan.key, body, target.facts()).await.map(|created| (created, None)),
            Some(settings) => {
                let names = (self.name.as_str(), plan.key.as_str());
                let put = Columns::new(settings)?.create(destination, names, body, &self.workshop.capacity).await;
                put.map(|(created, bytes)| (created, Some(bytes)))
            }
        };
        let (created, bytes) = match put {
            Ok(put) => put,
            Err(error) => return self.made_before_loss(destination, plan, &plan.key, error).await.map(Some),
        };
        note_repeat(plan, created);
        Ok(bytes)
    }

    /// Puts an object of the error output.
    pub(super) async fn create_failures(
        &self,
        failures: &dyn Destination,
        plan: &Plan,
        key: &str,
        body: Body,
    ) -> Result<()> {
        match failures.create(key, body, ObjectFacts::default()).await {
            Ok(created) => note_repeat(plan, created),
            Err(error) => drop(self.made_before_loss(failures, plan, key, error).await?),
        }
        Ok(())
    }

    /// The bytes of the plan's object where one of another length is in its place since the journal has lost records after it was
    /// put: only an attempt at this plan makes an object under its nonce, so it is ours, and whole.
    async fn made_before_loss(
        &self,
        destination: &dyn Destination,
        plan: &Plan,
        key: &str,
        error: Error,
    ) -> Result<u64> {
        if error.kind() != Kind::Conflict {
            return Err(error);
        }
        let lost = again::lost(&self.reader, plan).await?;
        let found = if lost > 0 { destination.find(key).await? } else { None };
        let Some(bytes) = found else { return Err(error) };
        tracing::error!(
            stream = self.name,
            key,
            records = lost,
            "the object was put before records of its plan were lost from the journal, and stays as it is"
        );
        Ok(bytes)
    }

    /// Sends the pieces of the plan's object; nothing at all when no record is in it.
    async fn read_object(
        &self,
        plan: &Plan,
        target: &Target,
        mut supply: Supply<'_>,
        out: &BodySender,
    ) -> Result<Made> {
        let mut made = Made::nothing();
        let tally = &mut made.tally;
        let mut container = Container::new(target.encoding(), entry_name(&plan.key));
        let separator = target.separator();
        let mut begun = false;
        while let Some(prepared) = supply.next().await? {
            tally.add(&prepared.tally);
            failed::count(&mut made.codes, &prepared.failed);
            made.failed.add(prepared.failed, &self.workshop.capacity);
            if prepared.tally.delivered == 0 {
                continue;
            }
            let head = match &separator {
                Some(separator) if begun => {
                    container.add(separator);
                    separator.bytes.clone()
                }
                _ if begun => Bytes::new(),
                _ => container.head(),
            };
            container.add(&prepared.chunk);
            begun = true;
            for piece in [head, prepared.chunk.bytes] {
                tally.object_bytes += piece.len() as u64;
                if !piece.is_empty() {
                    send(out, piece).await?;
                }
            }
        }
        if begun {
            let tail = container.tail();
            tally.object_bytes += tail.len() as u64;
            // An encoder may owe no byte at all (uncompressed empty records): the empty piece still says "an object".
            send(out, tail).await?;
        }
        tally.discarded += supply.discarded();
        tally.damaged += plan.positions() - tally.positions();
        Ok(made)
    }

    /// Sends one object of the error output of the plan's records: what is known to have failed, or else what is found once
    /// more.
    async fn send_failures(
        &self,
        plan: &Plan,
        target: &Target,
        known: &Kept,
        sheet: Sheet<'_>,
        out: &BodySender,
    ) -> Result<()> {
        if let Some(chunks) = known.chunks() {
            for failed in chunks {
                send_lines(out, sheet.lines(failed)).await?;
            }
            return Ok(());
        }
        let mut supply = Supply::of(self, plan, target).await?;
        while let Some(Prepared { failed, .. }) = supply.next().await? {
            send_lines(out, sheet.lines(&failed)).await?;
        }
        Ok(())
    }

    /// Whether the settings in force name another store than the plan.
    fn is_elsewhere(&self, plan: &Plan) -> bool {
        let now = Place::of(&self.orders.borrow().stream.destination.store);
        Target::of_plan(plan).is_ok_and(|target| target.place != now)
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.workshop.clock
    }

    pub(super) fn metrics(&self) -> &StreamMetrics {
        &self.workshop.metrics
    }

    fn succeeded(&self, plan: &Plan, tally: &Tally, codes: &Codes) {
        if let Some(toll) = self.outage.over(self.clock().instant()) {
            tracing::info!(
                stream = self.name,
                key = plan.key,
                attempts = toll.attempts,
                seconds = toll.lasted.as_secs(),
                "the destination takes objects again"
            );
        }
        self.metrics().delivery_success.inc_by(tally.objects);
        for (code, failed) in codes {
            self.metrics().failed(code, *failed);
        }
        // What an endpoint did not take is in objects of error output too.
        let is_sent = Target::of_plan(plan).is_ok_and(|target| target.http.is_some());
        let has_rows = tally.delivered + tally.unpacked > 0 && !is_sent;
        self.state.delivered(has_rows.then_some(plan.key.as_str()), self.clock().now_ms());
    }

    pub(super) fn failed(&self, plan: &Plan, error: &Error) {
        self.metrics().delivery_failure.inc();
        self.state.failed(error, self.clock().now_ms());
        if let Some(toll) = self.outage.failed(self.clock().instant()) {
            tracing::warn!(
                stream = self.name,
                key = plan.key,
                attempts = toll.attempts,
                seconds = toll.lasted.as_secs(),
                %error,
                "an object could not be put, its records wait in the journal and it is tried again"
            );
        } else {
            tracing::debug!(stream = self.name, key = plan.key, %error, "an object could not be put again");
        }
    }

    /// Gives a plan up when even its newest record has outlived the stream's retention, loudly.
    fn expired(&self, plan: &Plan, newest_ms: Option<u64>) -> Option<Tally> {
        let retention = self.orders.borrow().stream.retention?;
        let age_ms = self.clock().now_ms().saturating_sub(newest_ms.unwrap_or(plan.planned_ms));
        if u128::from(age_ms) <= retention.as_millis() {
            return None;
        }
        let expired = plan.positions();
        tracing::error!(
            stream = self.name,
            key = plan.key,
            first_position = plan.spans.first().map_or(0, |span| span.start),
            records = expired,
            retention_seconds = retention.as_secs(),
            "records outlived the stream's retention and are given up"
        );
        Some(Tally { expired, ..Tally::default() })
    }
}

/// Runs a producer of a body, and says at its end whether the body is whole.
pub(super) async fn produce<T>(sender: BodySender, producer: impl AsyncFnOnce(&BodySender) -> Result<T>) -> Result<T> {
    match producer(&sender).await {
        Ok(outcome) => {
            sender.finish().await;
            Ok(outcome)
        }
        Err(error) => {
            sender.fail(Error::new(error.kind(), error.to_string())).await;
            Err(error)
        }
    }
}

pub(super) async fn send(out: &BodySender, piece: Bytes) -> Result<()> {
    if out.send(piece).await { Ok(()) } else { Err(Error::unavailable("the upload ended before its body")) }
}

/// The same, unless there is nothing: an empty piece would say that there is an object.
pub(super) async fn send_lines(out: &BodySender, lines: Bytes) -> Result<()> {
    if lines.is_empty() { Ok(()) } else { send(out, lines).await }
}

/// Waits until what is under way is to be left at once.
pub(super) async fn given_up(orders: &mut watch::Receiver<Orders>) {
    loop {
        if matches!(orders.borrow_and_update().until, Until::Discarded | Until::Left) {
            return;
        }
        if orders.changed().await.is_err() {
            return;
        }
    }
}

pub(super) fn note_repeat(plan: &Plan, created: Created) {
    if created == Created::AlreadyThere {
        tracing::info!(key = plan.key, "the object was there already: an earlier attempt had got through");
    }
}

/// The last part of a key without its extensions: the name inside a zip file.
pub(super) fn entry_name(key: &str) -> &str {
    let name = key.rsplit('/').next().unwrap_or(key);
    name.strip_suffix(".zip").unwrap_or(name)
}
