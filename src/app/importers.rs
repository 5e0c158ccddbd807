//! Holds the running importers against the catalog: one for each delivery stream whose records come from elsewhere. One
//! task owns them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::catalog::{Catalog, Entry, Status};
use crate::clock::Clock;
use crate::config::{KinesisSource, Source};
use crate::limits;
use crate::record::StreamId;
use crate::source::State;
use crate::source::kinesis::{Importer, Parts};
use crate::stream::Streams;
use crate::telemetry::metrics::Metrics;

/// Pause before an importer that failed for a reason of its own (journal, settings, a panic) is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(5);

/// The visible states of all importers, by delivery stream.
#[derive(Clone, Default)]
pub(super) struct SourceStates(Arc<Mutex<BTreeMap<StreamId, Arc<State>>>>);

impl SourceStates {
    /// The state of one importer, if there is one.
    pub(super) fn get(&self, id: StreamId) -> Option<Arc<State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn begin(&self, id: StreamId) -> Arc<State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone()
    }

    fn forget(&self, id: StreamId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// What importers are made of.
#[derive(Clone)]
pub(super) struct Importers {
    pub catalog: Catalog,
    pub streams: Streams,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub states: SourceStates,
}

/// One that runs; it ends when this is dropped.
struct Running {
    entry: Arc<Entry>,
    task: AbortOnDropHandle<()>,
}

impl Importers {
    /// Runs until `stop` is cancelled; what is not yet in the journal then stays where it is.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut catalog = self.catalog.watch();
        let answers = Arc::new(Semaphore::new(limits::SOURCE_ANSWERS_MAX));
        let mut running: BTreeMap<StreamId, Running> = BTreeMap::new();
        loop {
            let wanted: BTreeMap<StreamId, Arc<Entry>> = catalog
                .borrow_and_update()
                .values()
                .filter_map(|entry| Some((wanted(entry)?, entry.clone())))
                .collect();
            running.retain(|id, now| wanted.get(id).is_some_and(|entry| is_as(entry, &now.entry)) || self.end(*id));
            for (id, entry) in wanted {
                running.entry(id).or_insert_with(|| self.start(&entry, &answers));
            }
            tokio::select! {
                changed = catalog.changed() => if changed.is_err() { break },
                () = stop.cancelled() => break,
            }
        }
        for Running { task, .. } in running.into_values() {
            task.abort();
            // It was told to end, so that is no news.
            drop(task.await);
        }
    }

    /// Always `false`: it is not to be kept.
    fn end(&self, id: StreamId) -> bool {
        self.states.forget(id);
        false
    }

    fn start(&self, entry: &Arc<Entry>, answers: &Arc<Semaphore>) -> Running {
        let state = self.states.begin(entry.id);
        let (all, mine, answers) = (self.clone(), entry.clone(), answers.clone());
        let task = tokio::spawn(async move { all.keep(&mine, state, answers).await });
        Running { entry: entry.clone(), task: AbortOnDropHandle::new(task) }
    }

    async fn keep(&self, entry: &Entry, state: Arc<State>, answers: Arc<Semaphore>) {
        let Source::Kinesis(source) = &entry.stream.source else { return };
        loop {
            let parts = self.parts(entry, source, &state, &answers);
            // In a task of its own, so that a panic is seen; it ends with this one.
            let run = AbortOnDropHandle::new(tokio::spawn(Importer::run(parts)));
            let name = &entry.stream.name;
            match run.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    state.failed(error.to_string(), self.clock.now_ms());
                    tracing::error!(stream = name, %error, "an importer failed, starts again");
                }
                Err(error) => tracing::error!(stream = name, %error, "an importer panicked, starts again"),
            }
            self.clock.sleep(RESTART_PAUSE).await;
        }
    }

    fn parts(&self, entry: &Entry, source: &KinesisSource, state: &Arc<State>, answers: &Arc<Semaphore>) -> Parts {
        Parts {
            source: source.clone(),
            name: entry.stream.name.clone(),
            created_ms: entry.created_ms,
            into: self.streams.get(entry.id),
            encrypt: entry.stream.encrypted,
            bytes_max: entry.stream.bytes_max,
            clock: self.clock.clone(),
            state: state.clone(),
            metrics: self.metrics.stream(&entry.stream.name),
            answers: answers.clone(),
        }
    }
}

/// Whether an importer is to run for this stream.
fn wanted(entry: &Entry) -> Option<StreamId> {
    let active = entry.status == Status::Active;
    (active && matches!(entry.stream.source, Source::Kinesis(_))).then_some(entry.id)
}

/// Whether what an importer works with is unchanged.
fn is_as(a: &Entry, b: &Entry) -> bool {
    let settings = |entry: &Entry| (entry.stream.encrypted, entry.stream.bytes_max, entry.stream.source.clone());
    settings(a) == settings(b)
}
