//! The one task that changes the catalog: it applies what is queued, stores the result, publishes it, then answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::config::DeliveryStream;
use crate::error::{Error, Kind, Result};
use crate::limits::{CATALOG_CHANGES_QUEUED_MAX, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN, STREAMS_MAX, TAGS_MAX};
use crate::record::{DATA_STREAM_BIT, StreamId};

use super::store::Store;
use super::{Entry, NewStream, Origin, Snapshot, Status};

/// One change and who waits for it.
pub(super) struct Message {
    pub(super) change: Change,
    pub(super) reply: oneshot::Sender<Result<Option<Arc<Entry>>>>,
}

/// What may be asked; see the methods of `Catalog`.
pub(super) enum Change {
    Create { new: Box<NewStream>, stream: Box<DeliveryStream> },
    Update { name: String, expected_version: u64, stream: Box<DeliveryStream>, api: Value },
    SetTags { name: String, tags: Vec<(String, Option<String>)> },
    Untag { name: String, keys: Vec<String> },
    SetEncryption { name: String, encrypted: bool },
    Delete { name: String, force: bool },
    Gone { name: String, id: StreamId },
}

/// All that is stored.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct State {
    /// How many identities were ever given out here: the low half of the next one.
    pub(super) ids_made: u32,
    pub(super) streams: BTreeMap<String, Arc<Entry>>,
}

impl State {
    /// A new identity. The counted half makes it unlike any before in this data directory, also after a restart;
    /// the random half unlike those in a copy of it. The top bit is clear: it is that of data streams, whose shards lie in
    /// the same journal.
    pub(super) fn new_id(&mut self, clock: &Clock) -> Result<StreamId> {
        let made = self.ids_made.checked_add(1);
        self.ids_made =
            made.ok_or_else(|| Error::new(Kind::Internal, "the data directory has no stream identities left"))?;
        Ok(StreamId(clock.random() << 32 & !DATA_STREAM_BIT | u64::from(self.ids_made)))
    }

    /// Whether nothing was changed since `other` was cloned; cheap.
    fn is(&self, other: &State) -> bool {
        self.ids_made == other.ids_made
            && self.streams.len() == other.streams.len()
            && self.streams.values().zip(other.streams.values()).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    fn apply(&mut self, change: Change, clock: &Clock) -> Result<Option<Arc<Entry>>> {
        match change {
            Change::Create { new, stream } => self.create(*new, *stream, clock).map(Some),
            Change::Update { name, expected_version, stream, api } => {
                self.edit(&name, |entry| update(entry, expected_version, *stream, api, clock.now_ms()))
            }
            Change::SetTags { name, tags } => self.edit(&name, |entry| set_tags(entry, tags)),
            Change::Untag { name, keys } => self.edit(&name, |entry| {
                changeable(entry)?;
                entry.tags.retain(|(key, _)| !keys.contains(key));
                Ok(())
            }),
            Change::SetEncryption { name, encrypted } => self.edit(&name, |entry| {
                changeable(entry)?;
                Arc::make_mut(&mut entry.stream).encrypted = encrypted;
                Ok(())
            }),
            Change::Delete { name, force } => self.edit(&name, |entry| delete(entry, force)),
            Change::Gone { name, id } => Ok(self.gone(&name, id)),
        }
    }

    fn create(&mut self, new: NewStream, stream: DeliveryStream, clock: &Clock) -> Result<Arc<Entry>> {
        let name = new.name;
        if self.streams.contains_key(&name) {
            return Err(Error::new(Kind::Conflict, format!("delivery stream {name} already exists")));
        }
        if self.streams.len() >= STREAMS_MAX {
            let said = format!("there are {STREAMS_MAX} delivery streams, the most there may be");
            return Err(Error::new(Kind::Throttled, said));
        }
        let entry = Arc::new(Entry {
            id: self.new_id(clock)?,
            origin: Origin::Api,
            status: Status::Active,
            version: 1,
            created_ms: clock.now_ms(),
            updated_ms: None,
            tags: new.tags,
            stream: Arc::new(DeliveryStream { encrypted: new.encrypted, ..stream }),
            api: Some(Arc::new(new.api)),
        });
        self.streams.insert(name, entry.clone());
        Ok(entry)
    }

    fn edit(&mut self, name: &str, edit: impl FnOnce(&mut Entry) -> Result<()>) -> Result<Option<Arc<Entry>>> {
        let Some(entry) = self.streams.get_mut(name) else {
            return Err(Error::new(Kind::NotFound, format!("there is no delivery stream {name}")));
        };
        let mut edited = Entry::clone(entry);
        edit(&mut edited)?;
        if edited != **entry {
            *entry = Arc::new(edited);
        }
        Ok(Some(entry.clone()))
    }

    fn gone(&mut self, name: &str, id: StreamId) -> Option<Arc<Entry>> {
        let entry = self.streams.get(name)?;
        if entry.id != id || entry.status != Status::Deleting {
            return None;
        }
        self.streams.remove(name)
    }
}

/// Whether the API may change the stream.
fn changeable(entry: &Entry) -> Result<()> {
    let name = &entry.stream.name;
    match (entry.origin, entry.status) {
        (Origin::Api, Status::Active) => Ok(()),
        (_, Status::Deleting) => Err(Error::new(Kind::Conflict, format!("delivery stream {name} is being deleted"))),
        (Origin::File, Status::Active) => {
            Err(Error::new(Kind::Conflict, format!("delivery stream {name} belongs to the configuration file")))
        }
    }
}

fn update(entry: &mut Entry, expected: u64, stream: DeliveryStream, api: Value, now_ms: u64) -> Result<()> {
    changeable(entry)?;
    if entry.version != expected {
        let (name, version) = (&stream.name, entry.version);
        return Err(Error::new(
            Kind::Conflict,
            format!("delivery stream {name} has version {version}, not {expected}"),
        ));
    }
    if entry.api.as_deref() == Some(&api) {
        return Ok(());
    }
    let (encrypted, drain) = (entry.stream.encrypted, entry.stream.drain);
    entry.stream = Arc::new(DeliveryStream { drain, encrypted, ..stream });
    entry.api = Some(Arc::new(api));
    entry.version += 1;
    entry.updated_ms = Some(now_ms);
    Ok(())
}

fn set_tags(entry: &mut Entry, tags: Vec<(String, Option<String>)>) -> Result<()> {
    changeable(entry)?;
    for (key, value) in tags {
        match entry.tags.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => entry.tags.push((key, value)),
        }
    }
    if entry.tags.len() > TAGS_MAX {
        let (name, count) = (&entry.stream.name, entry.tags.len());
        let said = format!("delivery stream {name} would have {count} tags, more than {TAGS_MAX}");
        return Err(Error::new(Kind::Throttled, said));
    }
    Ok(())
}

fn delete(entry: &mut Entry, force: bool) -> Result<()> {
    if entry.status == Status::Active {
        changeable(entry)?;
        entry.status = Status::Deleting;
    }
    if force {
        Arc::make_mut(&mut entry.stream).drain = false;
    }
    Ok(())
}

/// The owner of the state.
pub(super) struct Writer {
    store: Store,
    clock: Clock,
    state: State,
    /// A save has failed, so that the disk may hold changes that nobody was granted.
    is_unsure: bool,
    publish: watch::Sender<Snapshot>,
}

impl Writer {
    pub(super) fn new(store: Store, clock: Clock, state: State, publish: watch::Sender<Snapshot>) -> Self {
        Writer { store, clock, state, is_unsure: false, publish }
    }

    /// Stores and publishes what adopting the file made of the state, then runs until every handle is dropped.
    pub(super) async fn start(mut self, inbox: mpsc::Receiver<Message>) -> Result<()> {
        self.store.save(&self.state).await?;
        self.show();
        tokio::spawn(self.run(inbox));
        Ok(())
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(CATALOG_CHANGES_QUEUED_MAX);
        let mut pause = Duration::ZERO;
        loop {
            let clock = self.clock.clone();
            tokio::select! {
                got = inbox.recv_many(&mut messages, CATALOG_CHANGES_QUEUED_MAX) => if got == 0 { return },
                () = clock.sleep(pause), if self.is_unsure => {}
            }
            let stored = self.write(messages.drain(..)).await;
            pause = if stored { Duration::ZERO } else { (2 * pause).clamp(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX) };
        }
    }

    /// One file for all changes that were waiting; whether it could be stored.
    async fn write(&mut self, messages: impl Iterator<Item = Message>) -> bool {
        let mut next = self.state.clone();
        let mut answers = Vec::new();
        for Message { change, reply } in messages {
            answers.push((reply, next.apply(change, &self.clock)));
        }
        let kept = self.keep(next).await;
        if let Err(error) = &kept {
            tracing::error!(%error, "the catalog could not be stored");
            for (_, answer) in &mut answers {
                *answer = Err(Error::new(error.kind(), "the catalog could not be stored"));
            }
        }
        for (reply, answer) in answers {
            // Whoever asked may have left; the change stands all the same.
            drop(reply.send(answer));
        }
        kept.is_ok()
    }

    /// Stores what changed, then shows it.
    ///
    /// What could not be stored may be on disk all the same, and would be what the next start finds: a stream that was not deleted
    /// would be, with what it took since. So the state as it is gets stored again, soon.
    async fn keep(&mut self, next: State) -> Result<()> {
        if next.is(&self.state) && !self.is_unsure {
            return Ok(());
        }
        self.is_unsure = true;
        self.store.save(&next).await?;
        self.is_unsure = false;
        self.state = next;
        self.show();
        Ok(())
    }

    fn show(&self) {
        self.publish.send_replace(Arc::new(self.state.streams.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::config::{Config, Destination, Store};
    use crate::disk::sim::{Op, SimDisk};

    async fn open(disk: &SimDisk, clock: &Clock) -> Catalog {
        let from_api = Arc::new(|name: &str, _: &Value| {
            Ok(DeliveryStream::new(name, Destination::new(Store::Local { path: "/".into() })))
        });
        let config = Config::new("/nowhere");
        Catalog::open(Arc::new(disk.clone()), clock.clone(), &config, from_api).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_granted_does_not_stay_on_disk_while_the_service_runs() {
        let (disk, clock) = (SimDisk::new(1), Clock::simulated(1, 1_000_000));
        let catalog = open(&disk, &clock).await;
        let new = NewStream { name: "a".into(), api: Value::Null, encrypted: false, tags: Vec::new() };
        catalog.create(new).await.unwrap();
        // After the new file has its name.
        disk.fail_from(Op::SyncDir, 1, std::io::ErrorKind::Other);
        assert!(catalog.delete("a", true).await.is_err());
        assert_eq!(catalog.get("a").unwrap().status, Status::Active);
        // The disk stays bad for a while, and nobody asks for a change.
        clock.sleep(Duration::from_secs(3)).await;
        disk.heal();
        clock.sleep(RETRY_PAUSE_MAX).await;
        let saved = disk.operations();
        clock.sleep(Duration::from_hours(1)).await;
        assert_eq!(disk.operations(), saved, "once is enough");
        drop(catalog);

        disk.restart();
        assert_eq!(open(&disk, &clock).await.get("a").unwrap().status, Status::Active);
    }
}
