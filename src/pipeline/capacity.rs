//! What all pipelines share and compete for: processors, memory for encoded bytes, uploads under way.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::encoders::{Encoded, Encoders};
use super::spill::{Slot, Spill};
use super::stage::blocking;
use crate::error::Result;
use crate::limits;

/// The shared bounds. Cloning shares them.
#[derive(Clone)]
pub struct Capacity {
    processors: Arc<Semaphore>,
    encoders: Encoders,
    encoded: Arc<Semaphore>,
    spill: Option<Spill>,
    uploads: Arc<Semaphore>,
    retries: Arc<Semaphore>,
}

impl Capacity {
    /// For `processors` encoding jobs at once.
    pub fn new(processors: usize) -> Self {
        let processors = processors.max(1);
        Capacity {
            processors: Arc::new(Semaphore::new(processors)),
            encoders: Encoders::start(processors),
            encoded: Arc::new(Semaphore::new(limits::ENCODED_BYTES_MAX)),
            spill: None,
            uploads: Arc::new(Semaphore::new(limits::UPLOADS_MAX)),
            retries: Arc::new(Semaphore::new(limits::RETRIES_MAX)),
        }
    }

    /// The same, with disk for what memory has no room for.
    #[must_use]
    pub fn with_spill(self, spill: Spill) -> Self {
        Capacity { spill: Some(spill), ..self }
    }

    /// Waits for a processor, then has `job` done on it.
    pub(super) async fn encode<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Encoded<T> {
        let processor = permit(&self.processors).await;
        self.encoders.give(move || {
            let done = job();
            drop(processor);
            done
        })
    }

    /// Waits for a processor, then has all `jobs` done on it, in their order: small ones, for each of which another thread would be
    /// woken.
    pub(super) async fn encode_all<T: Send + 'static>(
        &self,
        jobs: Vec<impl FnOnce() -> T + Send + 'static>,
    ) -> Vec<Encoded<T>> {
        let processor = permit(&self.processors).await;
        self.encoders.give_all(jobs, move || drop(processor))
    }

    /// Room for `bytes` of encoded records, if there is any now.
    pub(super) fn encoded(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.encoded.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    /// Keeps bytes in memory, or else on disk, if there is room in either. It blocks.
    pub(super) fn keep(&self, bytes: Bytes) -> Option<Held> {
        match self.encoded(bytes.len()) {
            Some(memory) => Some(Held::Memory { bytes, _room: Some(memory) }),
            None => self.spill(&bytes).map(|slot| Held::Disk(Arc::new(slot))),
        }
    }

    /// Keeps bytes on disk. It blocks.
    pub(super) fn spill(&self, bytes: &[u8]) -> Option<Slot> {
        self.spill.as_ref()?.write(bytes)
    }

    /// Waits for leave to upload. Pipelines whose last attempt failed queue apart, so that a dead store, which holds
    /// its leave until a time-out, takes nothing from the living.
    pub(super) async fn upload(&self, failing: bool) -> OwnedSemaphorePermit {
        permit(if failing { &self.retries } else { &self.uploads }).await
    }
}

/// Bytes that are kept until their object is put.
pub(super) enum Held {
    Memory {
        bytes: Bytes,
        _room: Option<OwnedSemaphorePermit>,
    },
    /// Shared with who reads it.
    Disk(Arc<Slot>),
}

impl Held {
    /// The bytes.
    pub(super) async fn bytes(&self) -> Result<Bytes> {
        match self {
            Held::Memory { bytes, .. } => Ok(bytes.clone()),
            Held::Disk(slot) => {
                let slot = slot.clone();
                blocking(move || slot.read()).await.map(Bytes::from)
            }
        }
    }
}

async fn permit(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    semaphore.clone().acquire_owned().await.expect("the semaphores of Capacity are never closed")
}
