//! Destinations by what the configuration says of them: opened when first needed, shared by all streams that put into
//! the same place.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::Destination;
use super::local::LocalDirectory;
use super::s3::{Connections, S3Destination};
use crate::config::Store;
use crate::disk::RealDisk;
use crate::error::{Error, Result};

type Cell = Arc<OnceCell<Arc<dyn Destination>>>;

/// All destinations in use. Cloning shares them.
#[derive(Clone, Default)]
pub struct Stores {
    open: Arc<Mutex<Vec<(Store, Cell)>>>,
    connections: Arc<Connections>,
    /// Takes the place of every store; for tests.
    fixed: Option<Arc<dyn Destination>>,
}

impl Stores {
    /// None opened yet.
    pub fn new() -> Self {
        Stores::default()
    }

    /// Everything goes into `destination`, whatever the configuration says: for tests and simulations.
    pub fn fixed(destination: Arc<dyn Destination>) -> Self {
        Stores { fixed: Some(destination), ..Stores::default() }
    }

    /// The destination for `store`. The first caller opens it and probes it, and says in the log what it is like; a
    /// store that is down is opened all the same.
    ///
    /// `probe_prefix` is the literal beginning of the keys that will be written.
    pub async fn open(&self, store: &Store, probe_prefix: &str) -> Result<Arc<dyn Destination>> {
        if let Some(fixed) = &self.fixed {
            return Ok(fixed.clone());
        }
        let cell = self.cell(store);
        cell.get_or_try_init(|| self.connect(store, probe_prefix)).await.cloned()
    }

    async fn connect(&self, store: &Store, probe_prefix: &str) -> Result<Arc<dyn Destination>> {
        let destination: Arc<dyn Destination> = match store {
            Store::S3(s3) => Arc::new(S3Destination::connect(&self.connections, s3, probe_prefix).await?),
            Store::Local { path } => {
                let disk = RealDisk::open_shared(path).map_err(|error| {
                    Error::unavailable(format!("the directory {} cannot be opened", path.display())).because(error)
                })?;
                Arc::new(LocalDirectory::new(Arc::new(disk)))
            }
        };
        let place = place(store);
        match destination.probe().await {
            Ok(finding) => tracing::info!(destination = place, finding, "destination probed"),
            Err(error) => tracing::warn!(destination = place, %error, "a destination cannot be written at the moment"),
        }
        Ok(destination)
    }

    fn cell(&self, store: &Store) -> Cell {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = open.iter().find(|(known, _)| known == store) {
            return cell.clone();
        }
        let cell = Cell::default();
        open.push((store.clone(), cell.clone()));
        cell
    }

    /// Forgets the destinations that none of `stores` names.
    pub fn keep(&self, stores: &[Store]) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _)| stores.contains(known));
    }
}

/// A store in a few words, for the log.
fn place(store: &Store) -> String {
    match store {
        Store::S3(s3) => format!("s3://{}", s3.bucket),
        Store::Local { path } => path.display().to_string(),
    }
}
