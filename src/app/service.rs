//! The service without its edge: journal, ledger, catalog and the pipelines between them. Tests and simulations start
//! it over a disk and a destination of their own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::importers::{Importers, SourceStates};
use super::pipelines::{Pipelines, Shared, States, Stop};
use super::plugins::Installer;
use super::status::Gatherer;
use super::{StopReport, data_streams};
use crate::api::firehose::control::from_api;
use crate::api::{Account, Context};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::{Config, DiskBudget};
use crate::console::Handles;
use crate::destination::Stores;
use crate::disk::{Disk, Lock};
use crate::error::{Error, Kind, Result};
use crate::format::columnar::glue_table;
use crate::journal::Journal;
use crate::journal::local::{self as local_journal, DiskMax, LocalJournal};
use crate::ledger::Ledger;
use crate::ledger::local::{self as local_ledger, LocalLedger};
use crate::pipeline::{self, Capacity, Outboxes, Spill, Staging};
use crate::stream::Streams;
use crate::stream::data::{DataStreams, Snapshot};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::status::Status;

/// A running service without listeners.
pub struct Service {
    /// The streams that should exist.
    pub catalog: Catalog,
    /// Where puts go.
    pub streams: Streams,
    /// The data streams.
    pub data_streams: DataStreams,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    journal: Arc<dyn Journal>,
    ledger: Arc<dyn Ledger>,
    gatherer: Gatherer,
    clock: Clock,
    /// Cancelled when the service begins to stop.
    stopping: CancellationToken,
    /// Ends once `stopping` is cancelled.
    importers: JoinHandle<()>,
    stop: watch::Sender<Stop>,
    pipelines: JoinHandle<Vec<(String, u64)>>,
    /// What the names of plugins stand for can change as long as it is there.
    _installer: Arc<Installer>,
    /// Against a second process; given back last.
    _lock: Box<dyn Lock>,
}

impl Service {
    /// Takes up what is on `disk` and delivers every stream of `config` and catalog.
    ///
    /// # Errors
    /// What is wrong with the data directory. A destination that is down is not an error: its records wait in the
    /// journal.
    pub async fn start(config: &Config, clock: Clock, disk: Arc<dyn Disk>, stores: Stores) -> Result<Self> {
        let lock = local_journal::claim(&*disk)?;
        let budget = budget(config, &*disk)?;
        // Before the journal: it says which positions must not be given out again.
        let ledger = LocalLedger::open(disk.clone(), clock.clone(), local_ledger::Options::default())?;
        let options = local_journal::Options {
            disk_max: DiskMax::Bytes(budget),
            encryption_key: config.encryption_key.as_ref().map(|key| Zeroizing::new(*key.reveal())),
            ends_min: ledger.ends_at_start().clone(),
            ..local_journal::Options::default()
        };
        let journal = Arc::new(LocalJournal::open(disk.clone(), clock.clone(), options)?);
        let ledger: Arc<dyn Ledger> = Arc::new(ledger);
        let (data_disk, staged_disk, spill_disk) = (disk.clone(), disk.clone(), disk.clone());
        let webhooks = Outboxes::new(disk.clone());
        let catalog = Catalog::open(disk, clock.clone(), config, from_api(config.buckets.clone())).await?;

        let metrics = Arc::new(Metrics::default());
        let journal: Arc<dyn Journal> = journal;
        let data_streams = DataStreams::open(
            data_disk,
            journal.clone(),
            clock.clone(),
            data_streams::settings(config),
            data_streams::of_file(config),
        )
        .await?;
        drop(tokio::spawn(forget_gone(data_streams.watch(), metrics.clone())));
        let streams = Streams::new(journal.clone());
        let (states, sources) = (States::default(), SourceStates::default());
        let stopping = CancellationToken::new();
        let installer = Arc::new(Installer::open(config, stores.clone(), clock.clone(), metrics.clone())?);
        let registry = installer.registry();
        // Before a pipeline starts, so that its records need not wait.
        if !installer.begin(&catalog, &*ledger).await {
            drop(tokio::spawn(installer.clone().insist(catalog.clone(), ledger.clone(), stopping.clone())));
        }
        let secret = config.encryption_key.as_ref().map(|key| Zeroizing::new(*key.reveal()));
        let staging = Staging::open(staged_disk, clock.clone(), secret.as_deref())?;
        forget_staged(&staging, &catalog, &*ledger).await?;
        let spill = Spill::open(spill_disk, &clock, secret.as_deref())?;
        let shared = Shared {
            catalog: catalog.clone(),
            streams: streams.clone(),
            data_streams: data_streams.clone(),
            ledger: ledger.clone(),
            stores,
            clock: clock.clone(),
            capacity: Capacity::new(std::thread::available_parallelism().map_or(1, usize::from)).with_spill(spill),
            registry,
            staging,
            webhooks: webhooks.clone(),
            account: account(config),
            metrics: metrics.clone(),
        };
        shared.forget_backups().await?;
        let gatherer = Gatherer {
            catalog: catalog.clone(),
            journal: journal.clone(),
            journal_bytes_max: budget,
            streams: streams.clone(),
            data_streams: data_streams.clone(),
            states: states.clone(),
            metrics: metrics.clone(),
            sources: sources.clone(),
            webhooks,
            started: clock.instant(),
            clock: clock.clone(),
        };
        let importers = Importers {
            catalog: catalog.clone(),
            streams: streams.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            states: sources,
        };
        let importers = tokio::spawn(importers.run(stopping.clone()));
        let (stop, stops) = watch::channel(Stop::No);
        let pipelines = tokio::spawn(Pipelines::new(shared, states).run(stops));
        Ok(Service {
            catalog,
            streams,
            data_streams,
            stopping,
            importers,
            metrics,
            journal,
            ledger,
            gatherer,
            clock,
            stop,
            pipelines,
            _installer: installer,
            _lock: lock,
        })
    }

    /// How everything stands.
    pub async fn status(&self) -> Status {
        self.gatherer.gather().await
    }

    /// What the API works with.
    pub(super) fn api_context(&self, config: &Config) -> Context {
        Context {
            catalog: self.catalog.clone(),
            streams: self.streams.clone(),
            data_streams: self.data_streams.clone(),
            stopping: self.stopping.clone(),
            account: account(config),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            glue: Some(Arc::new(|table| Box::pin(async move { glue_table(&table).await }))),
        }
    }

    /// What the console shows.
    pub(super) fn handles(&self) -> Handles {
        let (gatherer, stopping) = (self.gatherer.clone(), self.stop.subscribe());
        let (journal, ledger) = (self.journal.clone(), self.ledger.clone());
        Handles {
            status: Arc::new(move || {
                let gatherer = gatherer.clone();
                Box::pin(async move { gatherer.gather().await })
            }),
            ready: Arc::new(move || match *stopping.borrow() {
                Stop::No => journal.healthy().and_then(|()| ledger.healthy()).map_err(|error| error.to_string()),
                Stop::Hold | Stop::Flush | Stop::Now => Err("the service is stopping".to_owned()),
            }),
            metrics: self.metrics.clone(),
        }
    }

    /// From now on the service says that it is not ready, while everything goes on.
    pub(super) fn not_ready(&self) {
        self.stop.send_replace(Stop::Hold);
        self.stopping.cancel();
    }

    /// Delivers what is there for at most `grace`, then ends; what could not be delivered stays in the journal. Nobody
    /// may put any more.
    pub async fn stop(mut self, grace: Duration) -> Result<StopReport> {
        self.stopping.cancel();
        // Before the pipelines look for the last time; what copiers have queued the journal still finishes.
        if let Err(error) = (&mut self.importers).await {
            tracing::error!(%error, "the importers' task panicked");
        }
        self.stop.send_replace(Stop::Flush);
        let in_time = self.clock.within(grace, &mut self.pipelines).await;
        let ended = if let Some(ended) = in_time {
            ended
        } else {
            self.stop.send_replace(Stop::Now);
            (&mut self.pipelines).await
        };
        self.journal.close().await;
        self.ledger.close().await;
        let mut left =
            ended.map_err(|error| Error::new(Kind::Internal, "the pipelines' task panicked").because(error))?;
        left.sort();
        Ok(StopReport { left })
    }
}

/// Whose streams they are.
fn account(config: &Config) -> Account {
    Account { id: config.account_id.as_str().into(), region: config.region.as_str().into() }
}

/// Removes the staged files that no unfinished plan names, and those of batches that are past. Before a pipeline makes new ones.
async fn forget_staged(staging: &Staging, catalog: &Catalog, ledger: &dyn Ledger) -> Result<()> {
    let (mut needed, mut watermarks) = (BTreeMap::new(), BTreeMap::new());
    for entry in catalog.snapshot().values() {
        let standing = ledger.standing(entry.id).await?;
        let marks = standing.shards.iter().map(|(shard, stands)| (*shard, stands.committed)).collect();
        watermarks.insert(entry.id, marks);
        for (_, plan) in standing.unfinished {
            match pipeline::staged_file(&plan) {
                Ok(file) => needed.extend(file.map(|file| (file, entry.id))),
                // Nobody knows what it needs.
                Err(_) => return Ok(()),
            }
        }
    }
    staging.retain(&needed, &watermarks)
}

/// Forgets what is counted of data streams that are gone, until the service ends.
async fn forget_gone(mut data_streams: watch::Receiver<Snapshot>, metrics: Arc<Metrics>) {
    while data_streams.changed().await.is_ok() {
        let now = data_streams.borrow_and_update().clone();
        metrics.retain_data_streams(|name| now.contains_key(name));
    }
}

/// The journal's disk budget in bytes.
fn budget(config: &Config, disk: &dyn Disk) -> Result<u64> {
    match config.journal.max {
        DiskBudget::Bytes(bytes) => Ok(bytes),
        DiskBudget::Percent(percent) => {
            let space = disk.space().map_err(|error| {
                Error::unavailable("the size of the data directory's file system is not known").because(error)
            })?;
            Ok(space.total / 100 * u64::from(percent))
        }
    }
}
