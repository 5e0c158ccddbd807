//! One data stream over the journal in memory, with a simulated clock, and an owner that does what it is told at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::lineage::{Map, Step, closing};
use super::live::Live;
use super::owner::{Change, Message};
use super::{
    DataStream, DataStreams, Definition, HashRange, Origin, Placed, Put, Read, ReadLimit, Refusal, Settings, Shared,
    Snapshot, Tokens, keeper,
};
use crate::clock::Clock;
use crate::error::Result;
use crate::journal::Journal;
use crate::journal::memory::MemoryJournal;
use crate::limits::DATA_PUTS_AT_ONCE_MAX;
use crate::record::{CallId, Keys, Records, StreamId};

/// When the simulated clock starts, milliseconds since 1970.
pub(super) const START_MS: u64 = 1_700_000_000_000;
const ID: StreamId = StreamId(42);

pub(super) struct Rig {
    pub(super) streams: DataStreams,
    pub(super) stream: DataStream,
    pub(super) clock: Clock,
    pub(super) journal: Arc<MemoryJournal>,
    published: watch::Sender<Snapshot>,
    asked: mpsc::Receiver<Message>,
}

impl Rig {
    /// The stream `clicks` with so many shards.
    pub(super) fn new(shards: u32) -> Rig {
        let clock = Clock::simulated(1, START_MS);
        let journal = Arc::new(MemoryJournal::new(clock.clone()));
        let definition = Arc::new(definition(shards));
        let (published, seen) = watch::channel(Arc::new(BTreeMap::from([("clicks".to_owned(), definition)])));
        let (inbox, asked) = mpsc::channel(8);
        let live = Arc::new(Live::default());
        live.add(ID, "clicks");
        let settings = Settings {
            account_id: "000000000000".into(),
            region: "us-east-1".into(),
            shards_max: 500,
            state_delay: Duration::ZERO,
            can_encrypt: false,
        };
        let streams = DataStreams {
            shared: Arc::new(Shared {
                journal: journal.clone(),
                clock: clock.clone(),
                settings,
                seen,
                inbox,
                tokens: Tokens::new(&[7; 32]),
                live,
                pins: super::pins::Pins::default(),
                rates: super::rates::Rates::default(),
                subscriptions: super::subscriptions::Subscriptions::default(),
            }),
        };
        let stream = streams.by_id(ID).expect("it was added");
        Rig { streams, stream, clock, journal, published, asked }
    }

    /// The same with the keeper at work.
    pub(super) fn kept(shards: u32, retention: Duration) -> Rig {
        let rig = Rig::new(shards);
        rig.change(|definition| definition.retention = retention);
        keeper::spawn(&rig.streams);
        rig.streams.settled();
        rig
    }

    /// Publishes another definition.
    pub(super) fn change(&self, change: impl FnOnce(&mut Definition)) {
        self.published.send_modify(|snapshot| {
            let mut all = (**snapshot).clone();
            change(Arc::make_mut(all.get_mut("clicks").expect("it is there")));
            *snapshot = Arc::new(all);
        });
    }

    /// Deletes the stream.
    pub(super) fn remove(&self) {
        self.streams.shared.live.remove(ID);
        self.published.send_replace(Arc::default());
    }

    /// As the owner does it: no put is under way when the map changes.
    pub(super) async fn reshard(&self, steps: &[Step]) {
        let _all = self.stream.gate.acquire_many(DATA_PUTS_AT_ONCE_MAX).await.expect("the gate is open");
        let mut ends = BTreeMap::new();
        for shard in closing(&self.stream.definition().expect("it is there").shards, steps) {
            ends.insert(shard, self.journal.extent(self.stream.shard_id(shard)).await.expect("it is there").end);
        }
        let now_ms = self.clock.now_ms();
        self.change(|definition| {
            let mut map = Map { shards: &mut definition.shards, next: &mut definition.next_shard };
            map.reshard(steps, &ends, now_ms).expect("the steps suit the map");
            definition.find_routes();
        });
    }

    /// Waits for what is asked of the owner, and answers that it is done.
    pub(super) async fn asked(&mut self) -> Change {
        let Message { change, reply, .. } = self.asked.recv().await.expect("the handle is there");
        reply.send(Ok(Box::new(()))).expect("the asker waits");
        change
    }

    /// What is asked of the owner by now.
    pub(super) fn asked_by_now(&mut self) -> bool {
        self.asked.try_recv().is_ok()
    }

    /// Puts records, each with its hash key.
    pub(super) async fn put(&self, call: Option<u8>, records: &[(u128, &str)]) -> Vec<Placed> {
        self.stream.put(self.call(call, records)).await.expect("the stream takes puts")
    }

    /// One call.
    pub(super) fn call(&self, call: Option<u8>, records: &[(u128, &str)]) -> Put {
        let data: Vec<_> = records.iter().map(|(_, data)| *data).collect();
        let keys = Records::from_slices(0, &vec!["k"; records.len()]);
        Put {
            records: Records {
                keys: Some(Keys { ends: keys.ends, data: keys.data }),
                ..Records::from_slices(self.clock.now_ms(), &data)
            },
            hashes: records.iter().map(|(hash, _)| *hash).collect(),
            call: call.map(|digit| CallId([digit; 16])),
        }
    }

    /// Everything of a shard from a position on.
    pub(super) async fn read(&self, shard: u32, position: u64) -> Read {
        self.try_read(shard, position).await.expect("the shard is there")
    }

    pub(super) async fn try_read(&self, shard: u32, position: u64) -> Result<Read> {
        self.stream.read(shard, position, ReadLimit { records: 1_000, bytes: 1 << 20 }).await
    }

    /// The records of a shard as text.
    pub(super) async fn texts(&self, shard: u32) -> Vec<String> {
        texts(&self.read(shard, 0).await)
    }
}

pub(super) fn texts(read: &Read) -> Vec<String> {
    let records = read.puts.iter().flat_map(Records::iter);
    records.map(|record| String::from_utf8_lossy(record).into_owned()).collect()
}

/// Where a stored record is: shard, index of its number, second of its arrival.
pub(super) fn place(placed: &Placed) -> (u32, u64, u64) {
    match placed {
        Placed::Stored { shard, sequence, .. } => {
            assert_eq!(sequence.shard, *shard);
            (*shard, sequence.index, sequence.arrived_s)
        }
        Placed::Refused { .. } => panic!("{placed:?}"),
    }
}

/// What a retry is answered: the same, and that it is one.
pub(super) fn repeated(placed: &[Placed]) -> Vec<Placed> {
    let told = |placed: &Placed| match *placed {
        Placed::Stored { shard, sequence, .. } => Placed::Stored { shard, sequence, repeated: true },
        refused @ Placed::Refused { .. } => refused,
    };
    placed.iter().map(told).collect()
}

/// How many are refused, and all of them for this reason.
pub(super) fn refused(placed: &[Placed], wanted: Refusal) -> usize {
    let of = |placed: &&Placed| matches!(placed, Placed::Refused { why, .. } if *why == wanted);
    placed.iter().filter(of).count()
}

/// The hash key in the middle of shard `place` of `count`.
pub(super) fn inside(place: u128, count: u128) -> u128 {
    HashRange::ALL.end / count * place + HashRange::ALL.end / count / 2
}

fn definition(shards: u32) -> Definition {
    let mut definition = Definition::new(ID, "clicks", Origin::Api, START_MS);
    Map { shards: &mut definition.shards, next: &mut definition.next_shard }.fill(shards, START_MS, START_MS);
    definition.find_routes();
    definition
}
