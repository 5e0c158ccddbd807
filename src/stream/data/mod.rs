//! Data streams: an embedded Kinesis Data Streams over the journal.
//!
//! A data stream is a [`Definition`] (what it is: shards and their lineage, retention, consumers, settings) and the
//! journal's shards of the same [`StreamId`]. One task owns all definitions; everybody else holds [`DataStreams`] and
//! sees snapshots. Shard `n` of a stream is shard `n` of the journal; a record's position in it is in its
//! [`SequenceNumber`], so that nothing needs an index to find a record again.
//!
//! A reshard closes shards at a position: it waits for the puts under way, notes where they end, makes the new map
//! durable, and only then lets puts go on, by the new map.

mod adopt;
mod decimal;
mod definition;
mod demand;
mod hash;
mod keeper;
mod lineage;
mod live;
mod owner;
mod pins;
mod put;
mod rates;
mod read;
mod reads;
mod route;
mod sequence;
mod shard;
mod stands;
mod state;
mod store;
mod subscriptions;
mod token;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

pub use definition::{
    Consumer, Definition, Distribution, FileStream, Limits, Mode, NewDataStream, Origin, Status, Validation,
};
pub use hash::{HashRange, hash_of, hashes_of};
pub use lineage::{Reshard, ShardFilter};
pub use pins::Pin;
pub use put::{Placed, Put, Refusal};
pub use rates::Rate;
pub use read::{Read, ReadLimit, Start};
pub use sequence::SequenceNumber;
pub use shard::{Closed, Shard, shard_index, shard_name, write_shard_name};
pub use stands::{ConsumerStands, PinStands, ShardStands, Stands};
pub use subscriptions::Subscription;
pub use token::{Token, TokenFault, Tokens};

use crate::clock::Clock;
use crate::disk::Disk;
use crate::error::{Error, Kind, Result};
use crate::journal::Journal;
use crate::limits::{DATA_CHANGES_QUEUED_MAX, DATA_PUTS_AT_ONCE_MAX, DATA_REMOVE_WAIT_MAX, RESHARD_WAIT_MAX};
use crate::record::{ShardId, StreamId};

use live::Live;
use owner::{Change, How, Made, Message, Owner, Removal};

#[cfg(test)]
#[path = "tests/rig.rs"]
mod rig;

/// What holds for all data streams of a service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Twelve digits: stands in ARNs and in AWS's error texts.
    pub account_id: String,
    /// As AWS names them.
    pub region: String,
    /// Open shards in all.
    pub shards_max: u32,
    /// How long CREATING, UPDATING and DELETING last.
    pub state_delay: Duration,
    /// Whether frames can be encrypted at rest.
    pub can_encrypt: bool,
}

/// All data streams by name.
pub type Snapshot = Arc<BTreeMap<String, Arc<Definition>>>;

/// The data streams of a service: a cheap handle.
#[derive(Clone)]
pub struct DataStreams {
    shared: Arc<Shared>,
}

struct Shared {
    journal: Arc<dyn Journal>,
    clock: Clock,
    settings: Settings,
    /// What is durable, by name.
    seen: watch::Receiver<Snapshot>,
    /// The owner's inbox.
    inbox: mpsc::Sender<Message>,
    tokens: Tokens,
    /// What a stream has while the service runs, by identity.
    live: Arc<Live>,
    pins: pins::Pins,
    rates: rates::Rates,
    subscriptions: subscriptions::Subscriptions,
}

/// One data stream: a cheap handle that stays good while the definition changes. Once the stream is deleted its
/// methods answer `NotFound`.
#[derive(Clone)]
pub struct DataStream {
    streams: DataStreams,
    id: StreamId,
    name: Arc<str>,
    /// A put takes one permit, then looks at [`definition`](Self::definition), and gives it back when its appends are
    /// over; a reshard and a removal take all [`DATA_PUTS_AT_ONCE_MAX`].
    gate: Arc<Semaphore>,
}

impl DataStreams {
    /// Reads the definitions from `disk`, brings them in line with the configuration file, and starts the owner and the
    /// keeper (which trims by retention and splits the shards of on-demand streams).
    ///
    /// - A stream that is new in the file is made; one whose definition differs is changed (another number of shards:
    ///   resharded; on-demand: kept as it is).
    /// - One that vanished from the file takes no more puts, can still be read, and is gone once its records have
    ///   outlived their retention.
    ///
    /// # Errors
    /// `Conflict` when the file names a stream that the API made; `Corrupt`; `Unavailable`.
    pub async fn open(
        disk: Arc<dyn Disk>,
        journal: Arc<dyn Journal>,
        clock: Clock,
        settings: Settings,
        file: Vec<FileStream>,
    ) -> Result<Self> {
        let (store, mut state) = store::Store::open(disk).await?;
        adopt::adopt(&mut state, file, &settings, journal.as_ref(), &clock).await?;
        let (inbox, messages) = mpsc::channel(DATA_CHANGES_QUEUED_MAX);
        let (publish, seen) = watch::channel(Snapshot::default());
        let live = Arc::new(Live::default());
        let tokens = Tokens::new(&state.token_key);
        let owner = Owner {
            store,
            clock: clock.clone(),
            settings: settings.clone(),
            journal: journal.clone(),
            live: live.clone(),
            state,
            is_unsure: false,
            publish,
            removals: JoinSet::new(),
            waiting: HashMap::new(),
        };
        owner.start(messages).await?;
        let (pins, rates, subscriptions) = Default::default();
        let shared = Shared { journal, clock, settings, seen, inbox, tokens, live, pins, rates, subscriptions };
        let streams = DataStreams { shared: Arc::new(shared) };
        keeper::spawn(&streams);
        Ok(streams)
    }

    /// What holds for all of them.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The stream with this name, whatever its state.
    ///
    /// # Errors
    /// `NotFound`, in AWS's words.
    pub fn get(&self, name: &str) -> Result<DataStream> {
        let id = self.shared.seen.borrow().get(name).map(|definition| definition.id);
        id.and_then(|id| self.by_id(id)).ok_or_else(|| self.shared.settings.not_found(name))
    }

    /// The stream with this identity.
    pub fn by_id(&self, id: StreamId) -> Option<DataStream> {
        let live::One { name, gate } = self.shared.live.get(id)?;
        Some(DataStream { streams: self.clone(), id, name, gate })
    }

    /// All streams as they are now.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.seen.borrow().clone()
    }

    /// All streams as they are now, and a notice of each change.
    pub fn watch(&self) -> watch::Receiver<Snapshot> {
        self.shared.seen.clone()
    }

    /// Seals and opens iterators and tokens of lists.
    pub fn tokens(&self) -> &Tokens {
        &self.shared.tokens
    }

    /// Makes a stream; durable when it returns.
    ///
    /// # Errors
    /// `Conflict` when the name is taken; `Throttled` over the account's shards or streams; `Invalid`.
    pub async fn create(&self, new: NewDataStream) -> Result<DataStream> {
        let name = new.name.clone();
        self.ask(Change::Create(Box::new(new))).await?;
        self.get(&name)
    }

    /// Changes one definition by one of its own methods; durable and seen by all when it returns `Ok`. After an error
    /// nothing is changed.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` while the stream is CREATING or DELETING; what `change` says.
    pub async fn change<T: Send + 'static>(
        &self,
        name: &str,
        change: impl FnOnce(&mut Definition, u64) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let edit: owner::Edit = Box::new(move |definition, now_ms| Ok(Box::new(change(definition, now_ms)?) as _));
        let made = self.ask(Change::Edit { name: name.into(), edit }).await?;
        Ok(*made.downcast().expect("the owner gives back what the change made"))
    }

    /// Splits, merges or rescales, see the module.
    ///
    /// # Errors
    /// As [`change`](Self::change), and when the stream is not ACTIVE, belongs to the file or is on-demand; `Throttled`
    /// over the account's shards; `Unavailable` when the puts under way do not end in time.
    pub async fn reshard(&self, name: &str, reshard: Reshard) -> Result<()> {
        let stream = self.get(name)?;
        self.reshard_by(&stream, How::Api(reshard)).await
    }

    /// Splits or merges shards of an on-demand stream. For what watches the load.
    async fn rescale(&self, stream: StreamId, steps: Vec<lineage::Step>) -> Result<()> {
        let stream = self.by_id(stream).ok_or_else(|| self.shared.settings.not_found(&stream.to_string()))?;
        self.reshard_by(&stream, How::Load(steps)).await
    }

    async fn reshard_by(&self, stream: &DataStream, how: How) -> Result<()> {
        let Shared { journal, clock, settings, .. } = &*self.shared;
        // What cannot be done anyway holds nobody up.
        how.plan(&*stream.definition()?, settings, clock.now_ms())?;
        let puts = stream.gate.clone().acquire_many_owned(DATA_PUTS_AT_ONCE_MAX);
        let Some(leave) = clock.within(RESHARD_WAIT_MAX, puts).await else {
            let (name, seconds) = (&stream.name, RESHARD_WAIT_MAX.as_secs());
            return Err(Error::unavailable(format!("puts to data stream {name} have been under way for {seconds} s")));
        };
        let leave = leave.map_err(|_| settings.not_found(&stream.name))?;
        // From here on nobody else can change the map, but for dropping what is closed.
        let definition = stream.definition()?;
        let steps = how.plan(&definition, settings, clock.now_ms())?;
        let mut ends = BTreeMap::new();
        for index in lineage::closing(&definition.shards, &steps) {
            ends.insert(index, journal.extent(stream.shard_id(index)).await?.end);
        }
        self.ask_with(Change::Reshard { id: stream.id, how, ends }, Some(leave)).await.map(drop)
    }

    /// Deletes a stream and frees its disk.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it belongs to the file, or has consumers or delivery streams that read it and
    /// `even_with_consumers` is false.
    pub async fn delete(&self, name: &str, even_with_consumers: bool) -> Result<()> {
        let Shared { clock, settings, pins, .. } = &*self.shared;
        let readers = pins.pinned_by(self.get(name)?.id).len();
        if readers > 0 && !even_with_consumers {
            let account = &settings.account_id;
            return Err(Error::new(
                Kind::Conflict,
                format!(
                    "Stream {name} under account {account} is the source of {readers} delivery streams: delete these \
                     first, or enforce its deletion."
                ),
            ));
        }
        let made = self.ask(Change::Delete { name: name.into(), even_with_consumers }).await?;
        let removal: Removal = *made.downcast().expect("a deletion makes a removal");
        if let Some(removal) = removal {
            // It goes on behind us where it takes longer.
            let _ = clock.within(DATA_REMOVE_WAIT_MAX, removal).await;
        }
        Ok(())
    }

    /// Drops closed shards whose records are all gone from the map. For the keeper; those that are open or not there
    /// are left alone.
    pub(super) async fn forget_shards(&self, stream: StreamId, shards: Vec<u32>) -> Result<()> {
        self.ask(Change::ForgetShards { id: stream, shards }).await.map(drop)
    }

    /// Says that a stream which vanished from the file holds no record any more. For the keeper; nothing for others.
    pub(super) async fn gone(&self, stream: StreamId) -> Result<()> {
        self.ask(Change::Gone { id: stream }).await.map(drop)
    }

    async fn ask(&self, change: Change) -> Result<Made> {
        self.ask_with(change, None).await
    }

    async fn ask_with(&self, change: Change, leave: Option<OwnedSemaphorePermit>) -> Result<Made> {
        let (reply, answer) = oneshot::channel();
        let sent = self.shared.inbox.send(Message { change, leave, reply }).await;
        sent.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

fn stopped() -> Error {
    Error::closed("the owner of the data streams has stopped")
}

impl DataStream {
    /// Its identity.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// What it is now.
    ///
    /// # Errors
    /// `NotFound` once it is deleted.
    pub fn definition(&self) -> Result<Arc<Definition>> {
        let shared = &self.streams.shared;
        let now = shared.seen.borrow().get(&*self.name).filter(|definition| definition.id == self.id).cloned();
        now.ok_or_else(|| shared.settings.not_found(&self.name))
    }

    /// One of its shards in the journal.
    pub(super) fn shard_id(&self, index: u32) -> ShardId {
        ShardId { stream: self.id, index }
    }
}

impl Settings {
    /// That there is no such stream, in AWS's words.
    pub fn not_found(&self, stream: &str) -> Error {
        Error::new(Kind::NotFound, format!("Stream {stream} under account {} not found.", self.account_id))
    }

    /// That a stream has no such shard, in AWS's words.
    pub fn shard_not_found(&self, stream: &str, shard: &str) -> Error {
        let account = &self.account_id;
        Error::new(Kind::NotFound, format!("Could not find shard {shard} in stream {stream} under account {account}."))
    }
}
