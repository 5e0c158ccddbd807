//! Data streams: an embedded Kinesis Data Streams over the journal.
//!
//! A data stream is a [`Definition`] (what it is: shards and their lineage, retention, consumers, settings) and the
//! journal's shards of the same [`StreamId`]. One task owns all definitions; everybody else holds [`DataStreams`] and
//! sees snapshots. Shard `n` of a stream is shard `n` of the journal; a record's position in it is in its
//! [`SequenceNumber`], so that nothing needs an index to find a record again.
//!
//! A reshard closes shards at a position: it waits for the puts under way, notes where they end, makes the new map
//! durable, and only then lets puts go on, by the new map.

mod definition;
mod demand;
mod hash;
mod keeper;
mod lineage;
mod owner;
mod pins;
mod put;
mod rates;
mod read;
mod sequence;
mod shard;
mod store;
mod subscriptions;
mod token;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use definition::{Consumer, Definition, Distribution, FileStream, Limits, Mode, NewDataStream, Origin, Status};
pub use hash::{HashRange, hash_of};
pub use lineage::{Reshard, ShardFilter};
pub use pins::Pin;
pub use put::{Placed, Put, Refusal};
pub use read::{Read, ReadLimit, Start};
pub use sequence::SequenceNumber;
pub use shard::{Closed, Shard, shard_name};
pub use subscriptions::Subscription;
pub use token::{Token, TokenFault, Tokens};

use crate::clock::Clock;
use crate::disk::Disk;
use crate::error::Result;
use crate::journal::Journal;
use crate::record::StreamId;

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
    // owner's inbox, snapshot, journal, clock, settings, tokens, pins, rates, subscriptions
}

/// One data stream: a cheap handle that stays good while the definition changes. Once the stream is deleted its
/// methods answer `NotFound`.
#[derive(Clone)]
pub struct DataStream {
    streams: DataStreams,
    id: StreamId,
    name: Arc<str>,
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
        let _ = (disk, journal, clock, settings, file);
        todo!()
    }

    /// What holds for all of them.
    pub fn settings(&self) -> &Settings {
        todo!()
    }

    /// The stream with this name, whatever its state.
    ///
    /// # Errors
    /// `NotFound`, in AWS's words.
    pub fn get(&self, name: &str) -> Result<DataStream> {
        let _ = name;
        todo!()
    }

    /// The stream with this identity.
    pub fn by_id(&self, id: StreamId) -> Option<DataStream> {
        let _ = id;
        todo!()
    }

    /// All streams as they are now.
    pub fn snapshot(&self) -> Snapshot {
        todo!()
    }

    /// All streams as they are now, and a notice of each change.
    pub fn watch(&self) -> watch::Receiver<Snapshot> {
        todo!()
    }

    /// Seals and opens iterators and tokens of lists.
    pub fn tokens(&self) -> &Tokens {
        todo!()
    }

    /// Makes a stream; durable when it returns.
    ///
    /// # Errors
    /// `Conflict` when the name is taken; `Throttled` over the account's shards or streams; `Invalid`.
    pub async fn create(&self, new: NewDataStream) -> Result<DataStream> {
        let _ = new;
        todo!()
    }

    /// Changes one definition by one of its own methods; durable and seen by all when it returns `Ok`. After an error
    /// nothing is changed.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when the stream is not ACTIVE or belongs to the configuration file; what `change` says.
    pub async fn change<T: Send + 'static>(
        &self,
        name: &str,
        change: impl FnOnce(&mut Definition, u64) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _ = (name, change);
        todo!()
    }

    /// Splits, merges or rescales, see the module.
    ///
    /// # Errors
    /// As [`change`](Self::change); `Throttled` over the account's shards.
    pub async fn reshard(&self, name: &str, reshard: Reshard) -> Result<()> {
        let _ = (name, reshard);
        todo!()
    }

    /// Deletes a stream and frees its disk.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it belongs to the file, or has consumers or delivery streams that read it and
    /// `even_with_consumers` is false.
    pub async fn delete(&self, name: &str, even_with_consumers: bool) -> Result<()> {
        let _ = (name, even_with_consumers);
        todo!()
    }
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
        let _ = (&self.streams.shared, &self.name);
        todo!()
    }
}
