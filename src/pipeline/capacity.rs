//! What all pipelines share and compete for: processors, memory for encoded bytes, uploads under way.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::encoders::{Encoded, Encoders};
use crate::limits;

/// The shared bounds. Cloning shares them.
#[derive(Clone)]
pub struct Capacity {
    processors: Arc<Semaphore>,
    encoders: Encoders,
    encoded: Arc<Semaphore>,
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
            uploads: Arc::new(Semaphore::new(limits::UPLOADS_MAX)),
            retries: Arc::new(Semaphore::new(limits::RETRIES_MAX)),
        }
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

    /// Room for `bytes` of encoded records, if there is any now.
    pub(super) fn encoded(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.encoded.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    /// Waits for leave to upload. Pipelines whose last attempt failed queue apart, so that a dead store, which holds
    /// its leave until a time-out, takes nothing from the living.
    pub(super) async fn upload(&self, failing: bool) -> OwnedSemaphorePermit {
        permit(if failing { &self.retries } else { &self.uploads }).await
    }
}

async fn permit(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    semaphore.clone().acquire_owned().await.expect("the semaphores of Capacity are never closed")
}
