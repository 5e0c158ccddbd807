//! Instances that live: how many there may be at once, and those that are kept for the next batch.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use super::instance::Instance;
use crate::limits::{PLUGIN_INSTANCES_MAX, PLUGIN_KEPT_BYTES_MAX};

/// The instances of all plugins.
#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    /// Instances that live, kept ones included.
    live: u32,
    /// Kept ones with the number of their plugin, the one that waits longest first.
    kept: VecDeque<(u64, Instance)>,
}

/// The right to have one instance; given back when it is dropped.
pub(super) struct Place(Weak<Pool>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.lock().live -= 1;
            pool.freed.notify_one();
        }
    }
}

impl Pool {
    /// A kept instance of a plugin.
    pub(super) fn take(&self, plugin: u64) -> Option<Instance> {
        let mut state = self.lock();
        let at = state.kept.iter().rposition(|(other, _)| *other == plugin)?;
        state.kept.remove(at).map(|(_, instance)| instance)
    }

    /// A place for a new instance. Where all are taken, the kept one that waits longest makes room; where none is kept, this
    /// waits for the end of somebody's batch, which fuel bounds. Who holds an instance must not call this.
    pub(super) fn place(self: &Arc<Self>) -> Place {
        let mut state = self.lock();
        loop {
            if state.live < PLUGIN_INSTANCES_MAX {
                state.live += 1;
                return Place(Arc::downgrade(self));
            }
            if let Some(evicted) = state.kept.pop_front() {
                // Its end takes the lock.
                drop(state);
                drop(evicted);
                state = self.lock();
            } else {
                state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Keeps an instance for the next batch of its plugin, if that one's do not hold too much already.
    pub(super) fn keep(&self, plugin: u64, instance: Instance) {
        let mut state = self.lock();
        let own = state.kept.iter().filter(|(other, _)| *other == plugin);
        let (count, bytes) = own.fold((0, 0), |(count, bytes), (_, kept)| (count + 1, bytes + kept.memory_bytes()));
        if count == 0 || bytes + instance.memory_bytes() <= PLUGIN_KEPT_BYTES_MAX {
            state.kept.push_back((plugin, instance));
        } else {
            // Its end takes the lock.
            drop(state);
            drop(instance);
        }
    }

    /// Ends the kept instances of a plugin.
    pub(super) fn forget(&self, plugin: u64) {
        let mut state = self.lock();
        let (gone, kept) = std::mem::take(&mut state.kept).into_iter().partition(|(other, _)| *other == plugin);
        state.kept = kept;
        drop(state);
        let gone: VecDeque<_> = gone;
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn live(&self) -> (u32, usize) {
        let state = self.lock();
        (state.live, state.kept.len())
    }
}
