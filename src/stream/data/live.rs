//! What a stream has beside its definition while the service runs: a way to it by its identity, and its gate.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Semaphore;

use crate::limits::DATA_PUTS_AT_ONCE_MAX;
use crate::record::StreamId;

/// All streams that are there, by identity. The owner keeps it in step with the snapshot.
#[derive(Default)]
pub(super) struct Live(RwLock<HashMap<StreamId, One>>);

#[derive(Clone)]
pub(super) struct One {
    pub(super) name: Arc<str>,
    /// See [`DataStream::gate`](super::DataStream).
    pub(super) gate: Arc<Semaphore>,
}

impl Live {
    /// What stream `id` has; none once it is gone.
    pub(super) fn get(&self, id: StreamId) -> Option<One> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Adds a stream; nothing where it is there.
    pub(super) fn add(&self, id: StreamId, name: &str) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(id).or_insert_with(|| One {
            name: name.into(),
            gate: Arc::new(Semaphore::new(DATA_PUTS_AT_ONCE_MAX as usize)),
        });
    }

    /// Forgets a stream; what it had.
    pub(super) fn remove(&self, id: StreamId) -> Option<One> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }
}
