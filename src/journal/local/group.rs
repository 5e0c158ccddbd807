//! A group: the puts that become durable by the same sync, in lanes of one shard each.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::frame::{Encoder, Head, Ident};
use super::state::{Shard, lock};
use crate::disk::File;
use crate::error::{Error, Result};
use crate::journal::{Append, Appended, too_many_sources};
use crate::limits::CHECKPOINT_SOURCES_MAX;
use crate::record::{CallId, ShardId, Span};

/// A put on its way to the writer.
pub(super) struct Put {
    pub(super) shard: ShardId,
    pub(super) append: Append,
    pub(super) answer: Answer,
    /// Room among the queued bytes, held until the answer.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// Whom to tell. Nobody may be listening any more: the put is stored all the same.
pub(super) type Answer = oneshot::Sender<Result<Appended>>;

/// The puts of one shard, in order.
pub(super) struct Lane {
    pub(super) shard: Arc<Shard>,
    pub(super) encrypt: bool,
    /// The least disk budget that its puts named.
    pub(super) bytes_max: Option<u64>,
    pub(super) puts: Vec<Put>,
    /// Retries that came while their first was in this group, by its place among the puts.
    pub(super) retries: Vec<(usize, Answer)>,
    /// The sources of its checkpoints that the shard does not keep yet.
    new_sources: BTreeSet<String>,
}

impl Lane {
    /// Answers all puts with an error.
    pub(super) fn fail(self, error: &Error) {
        let again = || Err(Error::new(error.kind(), error.to_string()));
        for (_, retry) in self.retries {
            let _ = retry.send(again());
        }
        for put in self.puts {
            let _ = put.answer.send(again());
        }
    }

    /// Frames the puts from position `end` on, to stand at `len` of the segment.
    pub(super) fn encode(&self, encoder: &mut Encoder, from: &Start<'_>) -> Vec<Head> {
        let mut first = from.end;
        let mut heads = Vec::with_capacity(self.puts.len());
        for (put, seal) in self.puts.iter().zip(from.seals..) {
            let records = &put.append.records;
            let head = Head {
                ident: from.ident,
                encrypted: self.encrypt,
                keys: false,
                checkpoint: false,
                call: put.append.call,
                count: records.len() as u32,
                first,
                offset: (from.len + encoder.len()) as u32,
                durable: from.len as u32,
                arrived_ms: records.arrived_ms,
                seal,
                body_len: 0,
                body_crc: 0,
            };
            heads.push(encoder.push(head, records, put.append.checkpoint.as_ref(), from.cipher));
            first += records.len() as u64;
        }
        heads
    }
}

/// Where a lane's frames begin.
pub(super) struct Start<'a> {
    pub(super) ident: Ident,
    pub(super) cipher: Option<&'a super::cipher::Cipher>,
    /// The first position.
    pub(super) end: u64,
    /// The segment's durable bytes.
    pub(super) len: u64,
    /// The number of the next encryption.
    pub(super) seals: u64,
}

/// What a lane wrote, before it is durable.
pub(super) struct Written {
    pub(super) file: Arc<dyn File>,
    pub(super) heads: Vec<Head>,
    /// The segment's bytes with it.
    pub(super) len: u64,
}

/// The group at hand.
#[derive(Default)]
pub(super) struct Group {
    pub(super) lanes: Vec<Lane>,
    places: HashMap<ShardId, usize>,
    calls: HashMap<(ShardId, CallId), usize>,
    /// Bytes of its frames.
    pub(super) bytes: u64,
}

impl Group {
    /// Whether puts of that shard in this group are encrypted; nothing if it has none.
    pub(super) fn encrypts(&self, shard: ShardId) -> Option<bool> {
        self.places.get(&shard).map(|place| self.lanes[*place].encrypt)
    }

    /// Takes a put whose call is in the group already as its retry; gives any other put back.
    pub(super) fn join(&mut self, put: Put) -> Option<Put> {
        let first = put.append.call.and_then(|call| self.calls.get(&(put.shard, call)).copied());
        let Some(first) = first else { return Some(put) };
        self.lanes[self.places[&put.shard]].retries.push((first, put.answer));
        None
    }

    /// Refuses a put by which a shard would keep checkpoints of more sources than it may. Those that the group is going to
    /// forget still count.
    pub(super) fn check_sources(&self, shard: &Shard, put: &Put) -> Result<()> {
        let Some(source) = new_source(shard, put) else { return Ok(()) };
        let mut kept = lock(&shard.view).checkpoints.len();
        if let Some(place) = self.places.get(&put.shard) {
            let new = &self.lanes[*place].new_sources;
            if new.contains(source) {
                return Ok(());
            }
            kept += new.len();
        }
        if kept < CHECKPOINT_SOURCES_MAX { Ok(()) } else { Err(too_many_sources(source)) }
    }

    /// Takes a put that `bytes` were found for.
    pub(super) fn push(&mut self, shard: Arc<Shard>, put: Put, bytes: u64) {
        let lanes = &mut self.lanes;
        let place = *self.places.entry(put.shard).or_insert_with(|| {
            let encrypt = put.append.encrypt;
            let (puts, retries, new_sources) = (Vec::new(), Vec::new(), BTreeSet::new());
            lanes.push(Lane { shard, encrypt, bytes_max: None, puts, retries, new_sources });
            lanes.len() - 1
        });
        let lane = &mut lanes[place];
        if let Some(call) = put.append.call {
            self.calls.insert((put.shard, call), lane.puts.len());
        }
        if let Some(source) = new_source(&lane.shard, &put) {
            lane.new_sources.insert(source.to_owned());
        }
        lane.bytes_max = lane.bytes_max.into_iter().chain(put.append.bytes_max).min();
        lane.puts.push(put);
        self.bytes += bytes;
    }
}

/// The source of a put's checkpoint, if the shard does not keep it yet.
fn new_source<'a>(shard: &Shard, put: &'a Put) -> Option<&'a str> {
    let checkpoint = put.append.checkpoint.as_ref().filter(|checkpoint| !checkpoint.at.is_empty())?;
    (!lock(&shard.view).checkpoints.contains_key(&checkpoint.source)).then_some(checkpoint.source.as_str())
}

/// The answer to a put that stands at `head`.
pub(super) fn answer(shard: ShardId, head: &Head, repeated: bool) -> Appended {
    Appended { span: Span { shard, start: head.first, end: head.end() }, repeated }
}
