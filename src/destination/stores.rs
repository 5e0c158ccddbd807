//! Destinations by what the configuration says of them: opened when first needed, shared by all streams that put into
//! the same place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use super::Destination;
use super::cloud::{CloudDestination, azure_place, gcs_place};
use super::http::EndpointClient;
use super::local::LocalDirectory;
use super::s3::{self, Connections, S3Destination};
use crate::config::{S3Connection, Store};
use crate::disk::RealDisk;
use crate::error::{Error, Result};
use crate::limits::ENDPOINT_REQUESTS_MAX;

type Cell = Arc<OnceCell<Opened>>;

/// A destination that was opened.
struct Opened {
    destination: Arc<dyn Destination>,
    /// The directory that it is, if it is one.
    directory: Option<Arc<RealDisk>>,
}

impl Opened {
    /// Whether the path of a directory leads elsewhere by now: it was removed, moved, or something was mounted there.
    async fn is_stale(&self, store: &Store) -> bool {
        let (Some(disk), Store::Local { path }) = (self.directory.clone(), store) else { return false };
        let path = path.clone();
        tokio::task::spawn_blocking(move || !disk.is_at(&path)).await.unwrap_or(false)
    }
}

/// What requests to HTTP endpoints share.
struct Endpoints {
    plain: OnceLock<EndpointClient>,
    tls: OnceLock<EndpointClient>,
    /// By URL: how many requests may be in memory.
    room: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

impl Default for Endpoints {
    fn default() -> Self {
        Endpoints { plain: OnceLock::new(), tls: OnceLock::new(), room: Mutex::default() }
    }
}

/// All destinations in use. Cloning shares them.
#[derive(Clone, Default)]
pub struct Stores {
    open: Arc<Mutex<Vec<(Store, Cell)>>>,
    connections: Arc<Connections>,
    endpoints: Arc<Endpoints>,
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
    /// store that is down is opened all the same. A directory whose path leads elsewhere by now is opened anew: objects
    /// must not vanish into one that nobody can see.
    ///
    /// `probe_prefix` is the literal beginning of the keys that will be written.
    pub async fn open(&self, store: &Store, probe_prefix: &str) -> Result<Arc<dyn Destination>> {
        if let Some(fixed) = &self.fixed {
            return Ok(fixed.clone());
        }
        let mut cell = self.cell(store);
        if let Some(opened) = cell.get()
            && opened.is_stale(store).await
        {
            tracing::warn!(
                destination = place(store),
                "the directory was removed, moved, or something was mounted there: it is opened anew"
            );
            self.forget(&cell);
            cell = self.cell(store);
        }
        let opened = cell.get_or_try_init(|| self.connect(store, probe_prefix)).await?;
        Ok(opened.destination.clone())
    }

    /// The destination for `store`, to look at what is in it: nothing is written to find out what it is like, and a
    /// directory is not made.
    ///
    /// # Errors
    /// When there is no such directory, or it is not known how to reach the bucket.
    pub async fn look(&self, store: &Store) -> Result<Arc<dyn Destination>> {
        if let Some(fixed) = &self.fixed {
            return Ok(fixed.clone());
        }
        match store {
            Store::S3(s3) => Ok(Arc::new(S3Destination::connect(&self.connections, s3, "").await?)),
            Store::Gcs(gcs) => Ok(Arc::new(CloudDestination::gcs(gcs, "")?)),
            Store::Azure(azure) => Ok(Arc::new(CloudDestination::azure(azure, "")?)),
            Store::Local { path } => {
                let cannot = |error: std::io::Error| {
                    Error::unavailable(format!("the directory {} cannot be opened", path.display())).because(error)
                };
                // Opening would make it.
                std::fs::metadata(path).map_err(cannot)?;
                let disk = RealDisk::open_shared(path).map_err(cannot)?;
                Ok(Arc::new(LocalDirectory::new(Arc::new(disk)).at(path)))
            }
        }
    }

    /// What sends requests to the HTTP endpoint `url`; to read the system's certificates takes a while, so that is done for
    /// the first that needs them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn endpoints(&self, url: &str) -> Result<EndpointClient> {
        let tls = !url.starts_with("http://");
        let cell = if tls { &self.endpoints.tls } else { &self.endpoints.plain };
        if let Some(client) = cell.get() {
            return Ok(client.clone());
        }
        let client = EndpointClient::new(tls)?;
        Ok(cell.get_or_init(|| client).clone())
    }

    /// Waits until one more request to the HTTP endpoint `url` may be in memory; it may as long as what is returned is held.
    pub async fn endpoint_room(&self, url: &str) -> OwnedSemaphorePermit {
        let room = {
            let mut rooms = self.endpoints.room.lock().unwrap_or_else(PoisonError::into_inner);
            rooms.entry(url.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(ENDPOINT_REQUESTS_MAX))).clone()
        };
        room.acquire_owned().await.expect("the semaphore is never closed")
    }

    /// The bytes of an object in a bucket, of at most `bytes_max`.
    ///
    /// # Errors
    /// Those of the store; [`Invalid`](crate::error::Kind::Invalid) for an object that is larger.
    pub async fn fetch(&self, place: &S3Connection, bucket: &str, key: &str, bytes_max: usize) -> Result<Bytes> {
        s3::fetch(&self.connections, place, (bucket, key), bytes_max).await
    }

    async fn connect(&self, store: &Store, probe_prefix: &str) -> Result<Opened> {
        let mut directory = None;
        let destination: Arc<dyn Destination> = match store {
            Store::S3(s3) => Arc::new(S3Destination::connect(&self.connections, s3, probe_prefix).await?),
            Store::Gcs(gcs) => Arc::new(CloudDestination::gcs(gcs, probe_prefix)?),
            Store::Azure(azure) => Arc::new(CloudDestination::azure(azure, probe_prefix)?),
            Store::Local { path } => {
                let disk = RealDisk::open_shared(path).map_err(|error| {
                    Error::unavailable(format!("the directory {} cannot be opened", path.display())).because(error)
                })?;
                let disk = directory.insert(Arc::new(disk)).clone();
                Arc::new(LocalDirectory::new(disk).at(path))
            }
        };
        let place = place(store);
        match destination.probe().await {
            Ok(finding) => tracing::info!(destination = place, finding, "destination probed"),
            Err(error) => tracing::warn!(destination = place, %error, "a destination cannot be written at the moment"),
        }
        Ok(Opened { destination, directory })
    }

    fn forget(&self, stale: &Cell) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, cell)| !Arc::ptr_eq(cell, stale));
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

/// A store in a few words: `s3://BUCKET`, a directory's path.
pub fn place(store: &Store) -> String {
    match store {
        Store::S3(s3) => format!("s3://{}", s3.bucket),
        Store::Gcs(gcs) => gcs_place(gcs),
        Store::Azure(azure) => azure_place(azure),
        Store::Local { path } => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::destination::{Body, ObjectFacts};

    #[tokio::test]
    async fn a_directory_that_was_replaced_or_removed_is_opened_anew() {
        let dir = tempfile::tempdir().unwrap();
        let lake = dir.path().join("lake");
        let (stores, store) = (Stores::new(), Store::Local { path: lake.clone() });
        let put = async |key: &str| {
            let destination = stores.open(&store, "").await.unwrap();
            destination.create(key, Body::whole("x"), ObjectFacts::default()).await.unwrap();
        };
        put("a/1").await;
        let first = stores.open(&store, "").await.unwrap();
        assert!(Arc::ptr_eq(&first, &stores.open(&store, "").await.unwrap()), "one that is still there is kept");
        fs::rename(&lake, dir.path().join("old")).unwrap();
        fs::create_dir(&lake).unwrap();
        put("a/2").await;
        assert!(lake.join("a/2").exists());
        fs::remove_dir_all(&lake).unwrap();
        put("a/3").await;
        assert!(lake.join("a/3").exists());
        assert_eq!(fs::read_dir(dir.path().join("old/a")).unwrap().count(), 1);
    }
}
