//! The streams that should exist: one writer, watched by everybody.
//!
//! Streams of the configuration file belong to the file; streams made through the API live in the data directory.
//! Both stand side by side in one [`Snapshot`], and every name keeps one [`StreamId`] for its life.

mod adopt;
mod cloud;
mod definition;
mod source;
mod store;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::config::{Config, DeliveryStream, Processor};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::limits::{CATALOG_CHANGES_QUEUED_MAX, STREAM_API_BYTES_MAX};
use crate::record::StreamId;

use writer::{Change, Message};

/// Who a stream belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file: the API describes it and refuses to change it.
    File,
    /// The API.
    Api,
}

/// A stream's state, as the Firehose API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Takes puts and delivers.
    Active,
    /// Takes nothing more; gone once its pipeline has drained (where [`DeliveryStream::drain`] says so) or discarded
    /// what is left.
    Deleting,
}

/// One stream as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The identity of this life of the name.
    pub id: StreamId,
    /// Who it belongs to.
    pub origin: Origin,
    /// Its state.
    pub status: Status,
    /// Rises by one with each change of what it does; 1 at first. Part of object names.
    pub version: u64,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last changed, if ever.
    pub updated_ms: Option<u64>,
    /// Its tags, in the order in which they were first set.
    pub tags: Vec<(String, Option<String>)>,
    /// What it does.
    pub stream: Arc<DeliveryStream>,
    /// The API's own form of its S3 destination with every member that was given, for Describe and merging updates.
    pub api: Option<Arc<Value>>,
}

/// All streams by name.
pub type Snapshot = Arc<BTreeMap<String, Arc<Entry>>>;

/// A stream that is to be made by the API.
#[derive(Clone, Debug)]
pub struct NewStream {
    /// Its name.
    pub name: String,
    /// See [`Entry::api`].
    pub api: Value,
    /// Whether its journal frames are encrypted.
    pub encrypted: bool,
    /// Its first tags.
    pub tags: Vec<(String, Option<String>)>,
}

/// What a stream of the API does, from its name and its [`Entry::api`]; refuses what is wrong. The same function
/// serves a new stream and a stored one, so they cannot be taken differently.
pub type FromApi = Arc<dyn Fn(&str, &Value) -> Result<DeliveryStream> + Send + Sync>;

/// The catalog: a cheap handle to the task that owns the streams.
///
/// A change is durable when its method returns `Ok`, and only then seen by [`get`](Catalog::get) and
/// [`watch`](Catalog::watch). After an error of [`Kind::Unavailable`](crate::error::Kind::Unavailable) it is not in
/// force, but may be after a restart that comes before the state as it is could be stored again, which is soon.
#[derive(Clone)]
pub struct Catalog {
    seen: watch::Receiver<Snapshot>,
    changes: mpsc::Sender<Message>,
    from_api: FromApi,
    can_encrypt: bool,
    /// The plugins of the file, by name.
    plugins: Arc<BTreeSet<String>>,
}

impl Catalog {
    /// Reads the catalog from `disk` and brings it in line with the configuration file.
    ///
    /// - A stream that is new in the file gets an identity; one that is defined otherwise than at the last start gets
    ///   the next version; one that came back while it was being deleted is active again.
    /// - A stream that vanished from the file becomes [`Status::Deleting`], drains, and keeps its last definition.
    ///
    /// # Errors
    /// `Conflict` when the file names a stream that the API made; `Corrupt` when the stored catalog is damaged;
    /// `Invalid` when a stored stream cannot be used with this configuration; `Unavailable` when the disk fails.
    pub async fn open(disk: Arc<dyn Disk>, clock: Clock, config: &Config, from_api: FromApi) -> Result<Self> {
        let (store, document) = store::Store::open(disk).await?;
        let state = adopt::adopt(document, config, &from_api, &clock)?;
        let (changes, inbox) = mpsc::channel(CATALOG_CHANGES_QUEUED_MAX);
        let (publish, seen) = watch::channel(Snapshot::default());
        let writer = writer::Writer::new(store, clock, state, publish);
        writer.start(inbox).await?;
        let can_encrypt = config.encryption_key.is_some();
        let plugins = Arc::new(config.plugins.iter().map(|plugin| plugin.name.clone()).collect());
        Ok(Catalog { seen, changes, from_api, can_encrypt, plugins })
    }

    /// All streams as a start would find them, without starting: nothing is written, so a service may be running. A stream
    /// of the file that no service has seen yet gets an identity that nobody else knows.
    ///
    /// # Errors
    /// Those of [`open`](Catalog::open).
    pub async fn look(disk: Arc<dyn Disk>, clock: &Clock, config: &Config, from_api: FromApi) -> Result<Snapshot> {
        let (_, document) = store::Store::open(disk).await?;
        Ok(Arc::new(adopt::adopt(document, config, &from_api, clock)?.streams))
    }

    /// The stream with this name, whatever its state.
    pub fn get(&self, name: &str) -> Option<Arc<Entry>> {
        self.seen.borrow().get(name).cloned()
    }

    /// All streams as they are now.
    pub fn snapshot(&self) -> Snapshot {
        self.seen.borrow().clone()
    }

    /// All streams as they are now, and a notice of each change.
    pub fn watch(&self) -> watch::Receiver<Snapshot> {
        self.seen.clone()
    }

    /// Makes a stream.
    ///
    /// # Errors
    /// `Invalid` when it is wrong, or would be encrypted and there is no key; `Conflict` when the name is taken;
    /// `Throttled` when there are [`STREAMS_MAX`](crate::limits::STREAMS_MAX) already.
    pub async fn create(&self, new: NewStream) -> Result<Arc<Entry>> {
        self.check_key(new.encrypted)?;
        let stream = self.check(&new.name, &new.api)?;
        self.change(Change::Create { new: Box::new(new), stream: Box::new(stream) }).await
    }

    /// Changes what an API stream does, and raises its version, unless `api` is what it was. The stream keeps its
    /// encryption, its tags and its way of being deleted.
    ///
    /// # Errors
    /// `Invalid` when it is wrong; `NotFound`; `Conflict` when its version is not `expected_version`, it is being
    /// deleted, or it is the file's.
    pub async fn update(&self, name: &str, expected_version: u64, api: Value) -> Result<Arc<Entry>> {
        let stream = Box::new(self.check(name, &api)?);
        self.change(Change::Update { name: name.into(), expected_version, stream, api }).await
    }

    /// Adds tags and replaces the values of those that are there.
    ///
    /// # Errors
    /// `NotFound`; `Throttled` when there would be more than [`TAGS_MAX`](crate::limits::TAGS_MAX); `Conflict` as in
    /// [`update`](Catalog::update).
    pub async fn set_tags(&self, name: &str, tags: Vec<(String, Option<String>)>) -> Result<Arc<Entry>> {
        self.change(Change::SetTags { name: name.into(), tags }).await
    }

    /// Removes tags; those that are not there are no error.
    pub async fn untag(&self, name: &str, keys: Vec<String>) -> Result<Arc<Entry>> {
        self.change(Change::Untag { name: name.into(), keys }).await
    }

    /// Says whether new journal frames of the stream are encrypted.
    ///
    /// # Errors
    /// `Invalid` when the configuration has no key; `NotFound`; `Conflict` as in [`update`](Catalog::update).
    pub async fn set_encryption(&self, name: &str, encrypted: bool) -> Result<Arc<Entry>> {
        self.check_key(encrypted)?;
        self.change(Change::SetEncryption { name: name.into(), encrypted }).await
    }

    /// Begins to delete a stream: it takes nothing more, and drains if its definition says so. `force` discards what
    /// is left at once, also when it was draining already. Deleting it again is no error.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is the file's and still in the file.
    pub async fn delete(&self, name: &str, force: bool) -> Result<Arc<Entry>> {
        self.change(Change::Delete { name: name.into(), force }).await
    }

    /// Says that nothing of the deleted stream `id` is left, so that its name is free again. No error when it has
    /// gone already.
    pub async fn gone(&self, name: &str, id: StreamId) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.send(Message { change: Change::Gone { name: name.into(), id }, reply }).await?;
        answer.await.map_err(|_| stopped())?.map(drop)
    }

    /// What the stream `name` would do, made through the API as `api` says.
    ///
    /// # Errors
    /// `Invalid` when it is wrong.
    pub fn check(&self, name: &str, api: &Value) -> Result<DeliveryStream> {
        let bytes = api.to_string().len();
        if bytes > STREAM_API_BYTES_MAX {
            return Err(Error::invalid(format!(
                "the configuration of delivery stream {name} has {bytes} bytes as JSON, more than \
                 {STREAM_API_BYTES_MAX}"
            )));
        }
        let stream = (self.from_api)(name, api)?;
        self.check_plugins(&stream)?;
        Ok(stream)
    }

    /// That the configuration has the plugins which a stream names. A stream that was stored before its plugin was taken out
    /// is no fault of the whole service: it waits.
    fn check_plugins(&self, stream: &DeliveryStream) -> Result<()> {
        let missing = stream.process.iter().find_map(|step| match step {
            Processor::Plugin { name, .. } if !self.plugins.contains(name) => Some(name),
            Processor::Plugin { .. } | Processor::RequireJson | Processor::Builtin(_) => None,
        });
        let Some(missing) = missing else { return Ok(()) };
        // Modules without a name of their own cannot be meant from elsewhere.
        let all: Vec<_> = self.plugins.iter().filter(|name| !name.contains('/')).map(String::as_str).collect();
        let known = match all.as_slice() {
            [] => "has no plugins".to_owned(),
            _ => format!("has {}", all.join(", ")),
        };
        Err(Error::invalid(format!(
            "LambdaArn names the function {missing}, and the configuration has no [plugin.{missing}]: it {known}"
        )))
    }

    fn check_key(&self, encrypted: bool) -> Result<()> {
        if encrypted && !self.can_encrypt {
            return Err(Error::invalid("encryption is not available: the configuration has no encryption_key"));
        }
        Ok(())
    }

    async fn change(&self, change: Change) -> Result<Arc<Entry>> {
        let (reply, answer) = oneshot::channel();
        self.send(Message { change, reply }).await?;
        let entry = answer.await.map_err(|_| stopped())??;
        Ok(entry.expect("every change but `gone` leaves an entry"))
    }

    async fn send(&self, message: Message) -> Result<()> {
        self.changes.send(message).await.map_err(|_| stopped())
    }
}

fn stopped() -> Error {
    Error::closed("the catalog has stopped")
}
