//! Builds every part bottom-up, starts them, stops them in reverse; the only module that knows all.

mod pipelines;
mod status;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::{self, Context};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::console;
use crate::destination::Stores;
use crate::disk::{Disk, Lock, RealDisk};
use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::journal::local::{self as local_journal, LocalJournal};
use crate::ledger::Ledger;
use crate::ledger::local::LocalLedger;
use crate::pipeline::Capacity;
use crate::stream::Streams;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::status::Status;

use pipelines::{Pipelines, Shared, States, Stop};
use status::Gatherer;

/// The running service.
pub struct App {
    parts: Durable,
    gatherer: Gatherer,
    api: api::server::Server,
    admin: api::server::Server,
    stop: watch::Sender<Stop>,
    pipelines: JoinHandle<Vec<(String, u64)>>,
}

/// What lives in the data directory.
struct Durable {
    journal: Arc<dyn Journal>,
    ledger: Arc<dyn Ledger>,
    /// Against a second process; given back last.
    _lock: Box<dyn Lock>,
}

/// What a stop left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopReport {
    /// Name and number of records of each stream whose journal still holds some.
    pub left: Vec<(String, u64)>,
}

/// One line for the log or the terminal.
impl fmt::Display for StopReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left.is_empty() {
            return f.write_str("everything is delivered");
        }
        f.write_str("these stay safely in the journal and are delivered after the next start:")?;
        for (stream, records) in &self.left {
            write!(f, " {stream} ({records} records)")?;
        }
        Ok(())
    }
}

impl App {
    /// Starts the service. When it returns, both listeners are open and every stream is being delivered.
    ///
    /// # Errors
    /// What is wrong with the data directory or the listeners. A destination that is down is not an error: its
    /// records wait in the journal.
    pub async fn start(config: Config, clock: Clock) -> Result<App> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&config.data_dir).map_err(|error| {
            Error::unavailable(format!("data_dir {} cannot be opened", config.data_dir.display())).because(error)
        })?);
        let lock = local_journal::claim(&*disk)?;
        let options = local_journal::Options::of(&config);
        let journal: Arc<dyn Journal> = Arc::new(LocalJournal::open(disk.clone(), clock.clone(), options)?);
        let ledger: Arc<dyn Ledger> = Arc::new(LocalLedger::open(disk.clone(), ())?);
        let catalog = Catalog::open(disk, clock.clone(), &config, &api::firehose::control::from_api).await?;

        let metrics = Arc::new(Metrics::default());
        let streams = Streams::new(journal.clone());
        let states = States::default();
        let shared = Shared {
            catalog: catalog.clone(),
            streams: streams.clone(),
            ledger: ledger.clone(),
            stores: Stores::new(),
            clock: clock.clone(),
            capacity: Capacity::new(std::thread::available_parallelism().map_or(1, usize::from)),
            metrics: metrics.clone(),
        };
        let gatherer = Gatherer {
            catalog: catalog.clone(),
            journal: journal.clone(),
            journal_bytes_max: 0,
            streams: streams.clone(),
            states: states.clone(),
            started: clock.instant(),
            clock: clock.clone(),
        };
        let (stop, stopping) = watch::channel(Stop::No);
        let pipelines = tokio::spawn(Pipelines::new(shared, states).run(stopping));
        todo!()
    }
}
