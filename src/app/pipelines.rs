//! Holds the running pipelines against the catalog: starts what should run, tells what has changed, restarts what
//! failed, and clears away what is gone. One task owns them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::Account;
use crate::catalog::{Catalog, Entry, Status};
use crate::clock::Clock;
use crate::config::{DeliveryStream, Source, StartAt};
use crate::destination::Stores;
use crate::error::{Kind, Result};
use crate::ledger::{Ledger, Standing};
use crate::pipeline::{self, Capacity, Ended, Orders, Outboxes, Parts, Seen, Staging, State, Until};
use crate::record::StreamId;
use crate::stream::data::{DataStreams, Pin};
use crate::stream::{Feed, Streams};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::status::backup_name;
use crate::transform::Registry;
use crate::transform::function::Caller;

use super::status::{backlog, followed};

/// What every pipeline is made of.
#[derive(Clone)]
pub(super) struct Shared {
    pub catalog: Catalog,
    pub streams: Streams,
    pub data_streams: DataStreams,
    pub ledger: Arc<dyn Ledger>,
    pub stores: Stores,
    pub clock: Clock,
    pub capacity: Capacity,
    pub registry: Registry,
    pub staging: Staging,
    pub webhooks: Outboxes,
    pub account: Account,
    pub metrics: Arc<Metrics>,
}

impl Shared {
    /// What a delivery stream reads from, which was made at `made_ms`.
    fn feed(&self, id: StreamId, made_ms: u64, stream: &DeliveryStream) -> Feed {
        match &stream.source {
            // What is copied from Kinesis is put into the delivery stream.
            Source::Direct | Source::Kinesis(_) => Feed::direct(&self.streams.get(id)),
            Source::DataStream { name, start } => {
                let from_ms = match start {
                    StartAt::Latest => Some(made_ms),
                    StartAt::Horizon => None,
                    StartAt::Time(ms) => Some(*ms),
                };
                Feed::data(&self.streams, &self.data_streams, name, id, from_ms)
            }
        }
    }

    /// What functions are told of a delivery stream.
    fn caller(&self, stream: &DeliveryStream) -> Caller {
        let source_arn = match &stream.source {
            Source::Direct => None,
            Source::DataStream { name, .. } => Some(self.account.data_stream_arn(name)),
            Source::Kinesis(from) if from.stream.starts_with("arn:") => Some(from.stream.clone()),
            // Whose it is nobody has said.
            Source::Kinesis(from) => {
                let region = from.region.as_deref().unwrap_or(&self.account.region).into();
                Some(Account { region, ..self.account.clone() }.data_stream_arn(&from.stream))
            }
        };
        Caller {
            delivery_stream_arn: self.account.delivery_stream_arn(&stream.name),
            region: self.account.region.to_string(),
            source_arn,
        }
    }

    /// Holds the records that a delivery stream reads, before its pipelines say how far they are.
    fn hold(&self, entry: &Entry) {
        if entry.stream.backup.is_some() {
            self.streams.hold_for_backup(entry.id);
        }
        for by in readers(entry) {
            if let Some(pin) = self.pin(entry, by) {
                drop(pin);
            }
        }
    }

    /// Lets go what one of its pipelines held.
    fn let_go(&self, entry: &Entry, by: StreamId) {
        if let Some(pin) = self.pin(entry, by) {
            pin.release();
        }
    }

    /// The hold on the data stream that a delivery stream reads, if it does.
    fn pin(&self, entry: &Entry, by: StreamId) -> Option<Pin> {
        let Source::DataStream { name, .. } = &entry.stream.source else { return None };
        Some(self.data_streams.pin(self.data_streams.get(name).ok()?.id(), by))
    }

    /// Forgets the backups that were taken away while the service was down, and counts what they had not delivered. Before a
    /// pipeline begins one.
    pub(super) async fn forget_backups(&self) -> Result<()> {
        for entry in self.catalog.snapshot().values().filter(|entry| entry.stream.backup.is_none()) {
            let standing = self.ledger.standing(entry.id.backup()).await?;
            if standing == Standing::default() {
                continue;
            }
            let early = standing.early().max(0).cast_unsigned();
            let seen = Seen { shards: standing.shards, early, ..Seen::default() };
            let followed = followed(&entry.stream.source, &self.data_streams);
            let records = backlog(&self.streams, entry.id, followed, &seen).await.records;
            let stream = backup_name(&entry.stream.name);
            tracing::warn!(stream, records, "the backup was taken away, and these records are not in it");
            self.ledger.remove(entry.id.backup()).await?;
            self.metrics.discarded_records.inc_by(records);
        }
        Ok(())
    }

    /// Has a backup begin with what is in the journal, where it has not begun yet: what was delivered before is gone.
    async fn begin_backup(&self, id: StreamId) -> Result<()> {
        let own = self.streams.get(id);
        if self.ledger.standing(id.backup()).await?.shards.contains_key(&own.shard()) {
            return Ok(());
        }
        match own.extent().await?.start {
            0 => Ok(()),
            start => self.ledger.begin(id.backup(), own.shard(), start).await,
        }
    }
}

/// Who reads the records of a delivery stream: its pipeline, and that of its backup.
pub(super) fn readers(entry: &Entry) -> impl Iterator<Item = StreamId> {
    std::iter::once(entry.id).chain(entry.stream.backup.as_ref().map(|_| entry.id.backup()))
}

/// The visible states of all pipelines, by stream.
#[derive(Clone, Default)]
pub(super) struct States(Arc<Mutex<BTreeMap<StreamId, Arc<State>>>>);

impl States {
    /// The state of one pipeline; made on first use.
    pub(super) fn of(&self, id: StreamId) -> Arc<State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone()
    }

    fn forget(&self, id: StreamId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// What the service's end means for the pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Go on.
    No,
    /// Go on, but say that the service is not ready.
    Hold,
    /// Deliver what is there and end; what fails stays in the journal.
    Flush,
    /// End at once.
    Now,
}

/// Pause before a pipeline that failed for a reason of its own (journal, ledger, a panic) is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(2);

struct Running {
    entry: Arc<Entry>,
    orders: watch::Sender<Orders>,
    /// It has ended, and the other pipeline of a stream that is to be cleared away has not.
    ended: bool,
}

/// The task's state.
pub(super) struct Pipelines {
    shared: Shared,
    states: States,
    running: BTreeMap<StreamId, Running>,
    tasks: JoinSet<(StreamId, Ended)>,
}

impl Pipelines {
    pub(super) fn new(shared: Shared, states: States) -> Self {
        Pipelines { shared, states, running: BTreeMap::new(), tasks: JoinSet::new() }
    }

    /// Runs until `stop` says otherwise and every pipeline has ended. Gives back what stays in the journal: a name
    /// and a number of records for each stream that has any left.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<Stop>) -> Vec<(String, u64)> {
        let mut catalog = self.shared.catalog.watch();
        let mut left = Vec::new();
        // Also when the order to stop is there already: it is the pipelines that say what is left.
        self.reconcile(Stop::No);
        // Every delivery stream holds its data stream by now: what it has not delivered is not trimmed.
        self.shared.data_streams.settled();
        loop {
            let stopping = *stop.borrow_and_update();
            self.reconcile(stopping);
            let ending = matches!(stopping, Stop::Flush | Stop::Now);
            if ending && self.tasks.is_empty() {
                return left;
            }
            tokio::select! {
                Ok(()) = catalog.changed(), if !ending => {}
                Ok(()) = stop.changed() => {}
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok((id, ended)) => left.extend(self.ended(id, ended).await),
                    // `keep` holds panics of a pipeline back; this would be one of its own.
                    Err(error) => tracing::error!(%error, "a pipeline's keeper panicked"),
                },
            }
        }
    }

    fn reconcile(&mut self, stop: Stop) {
        let snapshot = self.shared.catalog.snapshot();
        for entry in snapshot.values() {
            if !self.running.contains_key(&entry.id) || !self.running.contains_key(&entry.id.backup()) {
                self.shared.hold(entry);
            }
            self.follow(entry, entry.id, orders(entry, stop), stop);
            match entry.stream.of_backup() {
                Some(backup) => {
                    let wanted = Orders { stream: Arc::new(backup), ..orders(entry, stop) };
                    self.follow(entry, entry.id.backup(), wanted, stop);
                }
                // It is no more: nothing is left to do but to forget it.
                None => {
                    if let Some(running) = self.running.get_mut(&entry.id.backup()) {
                        running.entry = entry.clone();
                        running.orders.send_modify(|now| now.until = Until::Discarded);
                    }
                }
            }
        }
        let destinations = snapshot.values().flat_map(|entry| entry.stream.destinations());
        let stores: Vec<_> = destinations.map(|destination| destination.store.clone()).collect();
        self.shared.stores.keep(&stores);
    }

    /// Has the pipeline that the ledger knows as `by` do what is wanted.
    fn follow(&mut self, entry: &Arc<Entry>, by: StreamId, wanted: Orders, stop: Stop) {
        let Some(running) = self.running.get_mut(&by) else {
            if matches!(stop, Stop::No | Stop::Hold) {
                self.start(entry, by, wanted);
            }
            return;
        };
        running.entry = entry.clone();
        running.orders.send_if_modified(|now| {
            let is_same = Arc::ptr_eq(&now.stream, &wanted.stream) || now.stream == wanted.stream;
            let changed = now.version != wanted.version || now.until != wanted.until || !is_same;
            if changed {
                *now = wanted;
            }
            changed
        });
    }

    fn start(&mut self, entry: &Arc<Entry>, by: StreamId, first: Orders) {
        self.open_store(&first.stream);
        let (orders, receiver) = watch::channel(first);
        let (shared, state) = (self.shared.clone(), self.states.of(by));
        self.running.insert(by, Running { entry: entry.clone(), orders, ended: false });
        let whose = Whose { id: entry.id, by, made_ms: entry.created_ms };
        self.tasks.spawn(async move { (by, keep(shared, whose, state, receiver).await) });
    }

    /// Opens and probes a new stream's store before its first object, so that what is wrong is said early.
    fn open_store(&self, stream: &Arc<DeliveryStream>) {
        let (stores, stream) = (self.shared.stores.clone(), stream.clone());
        tokio::spawn(async move {
            let destination = &stream.destination;
            if let Err(error) = stores.open(&destination.store, destination.prefix.head()).await {
                tracing::warn!(stream = stream.name, %error, "a destination cannot be opened");
            }
        });
    }

    /// A pipeline ended: its stream is gone, or its backup, or the service stops.
    async fn ended(&mut self, by: StreamId, ended: Ended) -> Option<(String, u64)> {
        let running = self.running.get_mut(&by)?;
        running.ended = true;
        let (entry, until) = (running.entry.clone(), running.orders.borrow().until);
        let (id, name) = (entry.id, &entry.stream.name);
        let is_backup = by != id;
        if matches!(until, Until::Flushed | Until::Left) {
            let name = if is_backup { backup_name(name) } else { name.clone() };
            return (ended.left > 0).then_some((name, ended.left));
        }
        if is_backup && entry.status == Status::Active {
            self.end_backup(&entry, ended).await;
            return None;
        }
        if !is_backup {
            self.count_left(&entry, ended);
        }
        // What both read is cleared away once both have ended.
        if [id, id.backup()].iter().any(|by| self.running.get(by).is_some_and(|running| !running.ended)) {
            return None;
        }
        self.clear(&entry).await;
        None
    }

    /// Counts what a delivery stream had not delivered that is gone.
    fn count_left(&self, entry: &Entry, ended: Ended) {
        let name = &entry.stream.name;
        // A data stream keeps its records.
        if ended.left == 0 || matches!(entry.stream.source, Source::DataStream { .. }) {
            tracing::info!(stream = name, "delivery stream is gone");
            return;
        }
        self.shared.metrics.discarded_records.inc_by(ended.left);
        tracing::warn!(stream = name, discarded = ended.left, "delivery stream is gone, and what it had not delivered");
    }

    /// Clears away what is left of a delivery stream.
    async fn clear(&mut self, entry: &Entry) {
        let (id, name) = (entry.id, &entry.stream.name);
        // In this order: a crash in between finds the catalog's entry still there and clears away again.
        let cleared = async {
            self.shared.streams.get(id).remove().await?;
            self.shared.ledger.remove(id.backup()).await?;
            self.shared.ledger.remove(id).await?;
            self.shared.staging.forget(id).await;
            self.shared.webhooks.forget(id).await?;
            self.shared.catalog.gone(name, id).await
        };
        if let Err(error) = cleared.await {
            tracing::error!(stream = name, %error, "a deleted stream could not be cleared away, will be tried again");
        }
        for by in [id, id.backup()] {
            self.running.remove(&by);
            self.shared.let_go(entry, by);
            self.states.forget(by);
        }
        self.shared.streams.forget(id);
        self.shared.metrics.forget(name);
        self.shared.metrics.forget(&backup_name(name));
    }

    /// Clears away what is left of the backup of a delivery stream that goes on without.
    async fn end_backup(&mut self, entry: &Entry, ended: Ended) {
        let (by, name) = (entry.id.backup(), backup_name(&entry.stream.name));
        if ended.left > 0 {
            let records = ended.left;
            self.shared.metrics.discarded_records.inc_by(records);
            tracing::warn!(stream = name, records, "the backup is taken away, and these records are not in it");
        }
        if let Err(error) = self.shared.ledger.remove(by).await {
            tracing::error!(stream = name, %error, "a backup that is no more could not be forgotten, will be at the next start");
        }
        self.running.remove(&by);
        self.shared.streams.release_backup(entry.id);
        self.shared.let_go(entry, by);
        self.states.forget(by);
        self.shared.metrics.forget(&name);
        tracing::info!(stream = name, "the backup is no more");
    }
}

fn orders(entry: &Entry, stop: Stop) -> Orders {
    let until = match (stop, entry.status) {
        (Stop::Now, _) | (Stop::Flush, Status::Deleting) => Until::Left,
        (Stop::Flush, Status::Active) => Until::Flushed,
        (Stop::No | Stop::Hold, Status::Active) => Until::Forever,
        (Stop::No | Stop::Hold, Status::Deleting) if entry.stream.drain => Until::Drained,
        (Stop::No | Stop::Hold, Status::Deleting) => Until::Discarded,
    };
    Orders { stream: entry.stream.clone(), version: entry.version, until }
}

/// Whether a pipeline that ended had done what it was told. One that drains and left something had a delivery that
/// panicked: taking that for the end would discard acknowledged records.
fn is_over(until: Until, ended: Ended) -> bool {
    match until {
        Until::Forever => false,
        Until::Drained => ended.left == 0,
        Until::Flushed | Until::Left | Until::Discarded => true,
    }
}

/// Whether the stream is to be gone at the end.
fn is_ending(until: Until) -> bool {
    matches!(until, Until::Drained | Until::Discarded)
}

/// Whose pipeline it is.
#[derive(Clone, Copy)]
struct Whose {
    /// The delivery stream.
    id: StreamId,
    /// As what the ledger knows the pipeline: the delivery stream, or its backup.
    by: StreamId,
    /// When the delivery stream was made, milliseconds since 1970.
    made_ms: u64,
}

/// Keeps one pipeline running: recovery from a failure is the same as start-up.
async fn keep(
    shared: Shared,
    Whose { id, by, made_ms }: Whose,
    state: Arc<State>,
    mut orders: watch::Receiver<Orders>,
) -> Ended {
    loop {
        let stream = orders.borrow_and_update().stream.clone();
        let (name, feed) = (stream.name.clone(), shared.feed(id, made_ms, &stream));
        let (name, feed) = if by == id { (name, feed) } else { (backup_name(&name), feed.for_backup()) };
        let parts = Parts {
            name: name.clone(),
            feed,
            ledger: shared.ledger.clone(),
            stores: shared.stores.clone(),
            clock: shared.clock.clone(),
            capacity: shared.capacity.clone(),
            registry: shared.registry.clone(),
            caller: shared.caller(&stream),
            staging: shared.staging.clone(),
            webhooks: shared.webhooks.clone(),
            metrics: shared.metrics.stream(&name),
            state: state.clone(),
            orders: orders.clone(),
        };
        let begins = shared.clone();
        let run = tokio::spawn(async move {
            if by != id {
                begins.begin_backup(id).await?;
            }
            Box::pin(pipeline::deliver(parts)).await
        });
        let until = |orders: &watch::Receiver<Orders>| orders.borrow().until;
        let mut cleared = false;
        match run.await {
            Ok(Ok(ended)) if is_over(until(&orders), ended) => return ended,
            Ok(Ok(_)) => {}
            // Deleted, and its journal forgotten, but its files could not be cleared away: what is left is to try again.
            Ok(Err(error)) if error.kind() == Kind::NotFound && is_ending(until(&orders)) => cleared = true,
            Ok(Err(error)) => {
                state.failed(&error, shared.clock.now_ms());
                tracing::error!(stream = name, %error, "a pipeline failed, starts again");
            }
            Err(error) => tracing::error!(stream = name, %error, "a pipeline panicked, starts again"),
        }
        if matches!(until(&orders), Until::Flushed | Until::Left) {
            // What is left cannot be known from a pipeline that failed; the journal can tell.
            let followed = followed(&stream.source, &shared.data_streams);
            return Ended { left: backlog(&shared.streams, id, followed, &state.seen()).await.records };
        }
        tokio::select! {
            () = shared.clock.sleep(RESTART_PAUSE) => {}
            _ = orders.changed() => {}
        }
        if cleared && is_ending(until(&orders)) {
            return Ended { left: 0 };
        }
    }
}
