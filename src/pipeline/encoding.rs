//! The chunks of the open buffer on their way through the encoders, for each shard on its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OwnedSemaphorePermit;

use super::chunk::{Chunker, Placed, Tails};
use super::deliver::Ready;
use super::encoders::Encoded;
use super::force::InForce;
use super::prepare::Prepared;
use super::workshop::Workshop;
use crate::error::Result;
use crate::limits::OPEN_CHUNKS_BYTES_MAX;
use crate::record::ShardId;

/// Ends with what the chunk became, one or several, and the memory that it holds, or with nothing when there was no room for it.
type Job = Encoded<Result<Option<Vec<(Prepared, OwnedSemaphorePermit)>>>>;

/// A buffer's records, encoded while it fills.
pub(super) struct Encoding {
    shop: Shop,
    shards: BTreeMap<ShardId, Part>,
    /// Memory of the chunks that are not whole.
    open_bytes: usize,
}

#[derive(Default)]
struct Part {
    chunker: Chunker,
    jobs: Vec<Job>,
}

/// Where and how chunks are prepared.
struct Shop {
    under: Arc<InForce>,
    workshop: Workshop,
    /// Set by a job that found no room: the rest need not be encoded now.
    no_room: Arc<AtomicBool>,
}

impl Encoding {
    pub(super) fn new(under: Arc<InForce>, workshop: Workshop) -> Self {
        let shop = Shop { under, workshop, no_room: Arc::default() };
        Encoding { shop, shards: BTreeMap::new(), open_bytes: 0 }
    }

    /// Whether settings or steps have changed since, or there is no memory for the result.
    pub(super) fn is_stale(&self, now: &InForce) -> bool {
        !now.makes_the_same_as(&self.shop.under)
            || self.open_bytes > OPEN_CHUNKS_BYTES_MAX
            || self.shop.no_room.load(Ordering::Relaxed)
    }

    /// Takes records in and starts encoding each chunk that became whole; waits while all processors are busy, which holds
    /// back reading.
    pub(super) async fn push(&mut self, placed: Placed) {
        let part = self.shards.entry(placed.shard).or_default();
        let before = part.chunker.held();
        for chunk in part.chunker.push(placed) {
            part.jobs.push(self.shop.prepare(chunk).await);
        }
        self.open_bytes = self.open_bytes + part.chunker.held() - before;
    }

    /// All chunks in the order in which [`again`](super::again) makes them, unless memory was short or a step could not be
    /// done: then they are made at delivery.
    pub(super) async fn ready(self) -> Result<Option<Ready>> {
        let Encoding { shop, shards, .. } = self;
        let (mut jobs, mut tails) = (Vec::new(), Tails::default());
        for mut part in shards.into_values() {
            let before = if part.jobs.is_empty() { None } else { tails.finish() };
            if let Some(chunk) = before {
                jobs.push(shop.prepare(chunk).await);
            }
            jobs.append(&mut part.jobs);
            if let Some(chunk) = part.chunker.finish().and_then(|tail| tails.push(tail)) {
                jobs.push(shop.prepare(chunk).await);
            }
        }
        if let Some(last) = tails.finish() {
            jobs.push(shop.prepare(last).await);
        }
        let mut ready = Ready { chunks: Vec::with_capacity(jobs.len()), memory: Vec::new() };
        for job in jobs {
            match job.done().await? {
                Ok(Some(parts)) => {
                    for (prepared, memory) in parts {
                        ready.memory.push(memory);
                        ready.chunks.push(prepared);
                    }
                }
                Ok(None) => return Ok(None),
                Err(error) => {
                    tracing::debug!(stream = shop.under.stream.name, %error, "a step could not be done, tried again at delivery");
                    return Ok(None);
                }
            }
        }
        Ok(Some(ready))
    }
}

impl Shop {
    async fn prepare(&self, chunk: Vec<Placed>) -> Job {
        let (no_room, room) = (self.no_room.clone(), self.workshop.capacity.clone());
        let keep = move |prepared: Prepared| {
            let memory = room.encoded(prepared.held());
            if memory.is_none() {
                no_room.store(true, Ordering::Relaxed);
            }
            memory.map(|memory| (prepared, memory))
        };
        self.workshop.prepare_all(&self.under.recipe, chunk, keep).await
    }
}
