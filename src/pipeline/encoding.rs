//! The chunks of the open buffer on their way through the encoders, for each shard on its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OwnedSemaphorePermit;

use super::capacity::Capacity;
use super::deliver::Ready;
use super::encoders::Encoded;
use super::prepare::{Chunker, Prepared, Recipe, Tails};
use crate::error::Result;
use crate::limits::OPEN_CHUNKS_BYTES_MAX;
use crate::record::{Records, ShardId};

/// Ends with the chunk and the memory that it holds, or with nothing when there was no room for it.
type Job = Encoded<Option<(Prepared, OwnedSemaphorePermit)>>;

/// A buffer's records, encoded while it fills.
pub(super) struct Encoding {
    version: u64,
    recipe: Recipe,
    capacity: Capacity,
    shards: BTreeMap<ShardId, Part>,
    /// Memory of the chunks that are not whole.
    open_bytes: usize,
    /// Set by a job that found no room: the rest need not be encoded now.
    no_room: Arc<AtomicBool>,
}

#[derive(Default)]
struct Part {
    chunker: Chunker,
    jobs: Vec<Job>,
}

impl Encoding {
    pub(super) fn new(version: u64, recipe: Recipe, capacity: Capacity) -> Self {
        Encoding { version, recipe, capacity, shards: BTreeMap::new(), open_bytes: 0, no_room: Arc::default() }
    }

    /// Whether the settings have changed since, or there is no memory for the result.
    pub(super) fn is_stale(&self, version: u64) -> bool {
        self.version != version || self.open_bytes > OPEN_CHUNKS_BYTES_MAX || self.no_room.load(Ordering::Relaxed)
    }

    /// Takes records in and starts encoding each chunk that became whole; waits while all processors are busy, which holds
    /// back reading.
    pub(super) async fn push(&mut self, shard: ShardId, records: Records) {
        let part = self.shards.entry(shard).or_default();
        let before = part.chunker.held();
        for chunk in part.chunker.push(records) {
            part.jobs.push(encode(&self.capacity, &self.recipe, &self.no_room, chunk).await);
        }
        self.open_bytes = self.open_bytes + part.chunker.held() - before;
    }

    /// All chunks in the order in which [`again`](super::again) makes them, unless memory was short: then they are made at
    /// delivery.
    pub(super) async fn ready(self) -> Result<Option<Ready>> {
        let Encoding { recipe, capacity, shards, no_room, .. } = self;
        let (mut jobs, mut tails) = (Vec::new(), Tails::default());
        for mut part in shards.into_values() {
            let before = if part.jobs.is_empty() { None } else { tails.finish() };
            if let Some(chunk) = before {
                jobs.push(encode(&capacity, &recipe, &no_room, chunk).await);
            }
            jobs.append(&mut part.jobs);
            if let Some(chunk) = part.chunker.finish().and_then(|tail| tails.push(tail)) {
                jobs.push(encode(&capacity, &recipe, &no_room, chunk).await);
            }
        }
        if let Some(last) = tails.finish() {
            jobs.push(encode(&capacity, &recipe, &no_room, last).await);
        }
        let mut ready = Ready { chunks: Vec::with_capacity(jobs.len()), memory: Vec::new() };
        for job in jobs {
            let Some((prepared, memory)) = job.done().await? else { return Ok(None) };
            ready.memory.push(memory);
            ready.chunks.push(prepared);
        }
        Ok(Some(ready))
    }
}

async fn encode(capacity: &Capacity, recipe: &Recipe, no_room: &Arc<AtomicBool>, chunk: Vec<Records>) -> Job {
    let (recipe, no_room, room) = (recipe.clone(), no_room.clone(), capacity.clone());
    let job = move || {
        let prepared = recipe.prepare(&chunk);
        drop(chunk);
        let Some(memory) = room.encoded(prepared.chunk.bytes.len()) else {
            no_room.store(true, Ordering::Relaxed);
            return None;
        };
        Some((prepared, memory))
    };
    capacity.encode(job).await
}
