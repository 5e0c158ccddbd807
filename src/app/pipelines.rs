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
use crate::error::Kind;
use crate::ledger::Ledger;
use crate::pipeline::{self, Capacity, Ended, Orders, Parts, Staging, State, Until};
use crate::record::StreamId;
use crate::stream::data::DataStreams;
use crate::stream::{Feed, Streams};
use crate::telemetry::metrics::Metrics;
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

    /// Holds the records of the data stream that a delivery stream reads, before its pipeline says how far it is.
    fn hold(&self, entry: &Entry) {
        if let Source::DataStream { name, .. } = &entry.stream.source
            && let Ok(stream) = self.data_streams.get(name)
        {
            drop(self.data_streams.pin(stream.id(), entry.id));
        }
    }

    /// Lets them go again.
    fn let_go(&self, entry: &Entry) {
        if let Source::DataStream { name, .. } = &entry.stream.source
            && let Ok(stream) = self.data_streams.get(name)
        {
            self.data_streams.pin(stream.id(), entry.id).release();
        }
    }
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
            let wanted = orders(entry, stop);
            match self.running.get_mut(&entry.id) {
                Some(running) => {
                    running.entry = entry.clone();
                    running.orders.send_if_modified(|now| {
                        let changed = now.version != wanted.version
                            || now.until != wanted.until
                            || !Arc::ptr_eq(&now.stream, &wanted.stream);
                        *now = wanted;
                        changed
                    });
                }
                None if matches!(stop, Stop::No | Stop::Hold) => self.start(entry, wanted),
                None => {}
            }
        }
        let stores: Vec<_> = snapshot.values().map(|entry| entry.stream.destination.store.clone()).collect();
        self.shared.stores.keep(&stores);
    }

    fn start(&mut self, entry: &Arc<Entry>, first: Orders) {
        self.shared.hold(entry);
        let (orders, receiver) = watch::channel(first);
        let (shared, state, id) = (self.shared.clone(), self.states.of(entry.id), entry.id);
        self.running.insert(id, Running { entry: entry.clone(), orders });
        self.open_store(entry);
        let made_ms = entry.created_ms;
        self.tasks.spawn(async move { (id, keep(shared, (id, made_ms), state, receiver).await) });
    }

    /// Opens and probes a new stream's store before its first object, so that what is wrong is said early.
    fn open_store(&self, entry: &Arc<Entry>) {
        let (stores, stream) = (self.shared.stores.clone(), entry.stream.clone());
        tokio::spawn(async move {
            let destination = &stream.destination;
            if let Err(error) = stores.open(&destination.store, destination.prefix.head()).await {
                tracing::warn!(stream = stream.name, %error, "a destination cannot be opened");
            }
        });
    }

    /// A pipeline ended: its stream is gone, or the service stops.
    async fn ended(&mut self, id: StreamId, ended: Ended) -> Option<(String, u64)> {
        let running = self.running.remove(&id)?;
        let until = running.orders.borrow().until;
        let name = &running.entry.stream.name;
        if matches!(until, Until::Flushed | Until::Left) {
            return (ended.left > 0).then(|| (name.clone(), ended.left));
        }
        let is_kept = matches!(running.entry.stream.source, Source::DataStream { .. });
        if ended.left > 0 && !is_kept {
            self.shared.metrics.discarded_records.inc_by(ended.left);
            tracing::warn!(
                stream = name,
                discarded = ended.left,
                "delivery stream is gone, and what it had not delivered"
            );
        } else {
            tracing::info!(stream = name, "delivery stream is gone");
        }
        // In this order: a crash in between finds the catalog's entry still there and clears away again.
        let cleared = async {
            self.shared.streams.get(id).remove().await?;
            self.shared.ledger.remove(id).await?;
            self.shared.staging.forget(id).await;
            self.shared.catalog.gone(name, id).await
        };
        if let Err(error) = cleared.await {
            tracing::error!(stream = name, %error, "a deleted stream could not be cleared away, will be tried again");
        }
        self.shared.let_go(&running.entry);
        self.shared.metrics.forget(name);
        self.states.forget(id);
        None
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

/// Keeps one pipeline running: recovery from a failure is the same as start-up.
async fn keep(
    shared: Shared,
    (id, made_ms): (StreamId, u64),
    state: Arc<State>,
    mut orders: watch::Receiver<Orders>,
) -> Ended {
    loop {
        let stream = orders.borrow_and_update().stream.clone();
        let parts = Parts {
            feed: shared.feed(id, made_ms, &stream),
            ledger: shared.ledger.clone(),
            stores: shared.stores.clone(),
            clock: shared.clock.clone(),
            capacity: shared.capacity.clone(),
            registry: shared.registry.clone(),
            caller: shared.caller(&stream),
            staging: shared.staging.clone(),
            metrics: shared.metrics.stream(&stream.name),
            state: state.clone(),
            orders: orders.clone(),
        };
        let run = tokio::spawn(pipeline::deliver(parts));
        let until = |orders: &watch::Receiver<Orders>| orders.borrow().until;
        let mut cleared = false;
        match run.await {
            Ok(Ok(ended)) if is_over(until(&orders), ended) => return ended,
            Ok(Ok(_)) => {}
            // Deleted, and its journal forgotten, but its files could not be cleared away: what is left is to try again.
            Ok(Err(error)) if error.kind() == Kind::NotFound && is_ending(until(&orders)) => cleared = true,
            Ok(Err(error)) => {
                state.failed(&error, shared.clock.now_ms());
                tracing::error!(stream = stream.name, %error, "a pipeline failed, starts again");
            }
            Err(error) => tracing::error!(stream = stream.name, %error, "a pipeline panicked, starts again"),
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
