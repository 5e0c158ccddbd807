//! The task that owns all definitions: one change after the other, durable before it is seen.
//!
//! It never waits for puts or for the journal: whoever wants a reshard waits for the puts himself, and hands their leave over with what he
//! found, so that one stream that is stuck keeps no other waiting. All changes that wait share one save.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::definition::{Definition, NewDataStream};
use super::lineage::{Reshard, Step};
use super::live::Live;
use super::state::State;
use super::store::Store;
use super::{Settings, Snapshot};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::journal::Journal;
use crate::limits::{DATA_CHANGES_QUEUED_MAX, DATA_PUTS_AT_ONCE_MAX, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN};
use crate::record::StreamId;

/// One change and who waits for it.
pub(super) struct Message {
    pub(super) change: Change,
    /// Held until the change is seen.
    pub(super) leave: Option<OwnedSemaphorePermit>,
    pub(super) reply: oneshot::Sender<Result<Made>>,
}

/// What a change made, for who asked for it.
pub(super) type Made = Box<dyn Any + Send>;

/// A change of one definition.
pub(super) type Edit = Box<dyn FnOnce(&mut Definition, u64) -> Result<Made> + Send>;

/// What may be asked; see the methods of [`DataStreams`](super::DataStreams).
pub(super) enum Change {
    Create(Box<NewDataStream>),
    Edit {
        name: String,
        edit: Edit,
    },
    /// With the leave of the stream's gate, and the end in the journal of each shard that the plan closes.
    Reshard {
        id: StreamId,
        how: How,
        ends: BTreeMap<u32, u64>,
    },
    /// Makes a [`Removal`].
    Delete {
        name: String,
        even_with_consumers: bool,
    },
    ForgetShards {
        id: StreamId,
        shards: Vec<u32>,
    },
    Gone {
        id: StreamId,
    },
}

/// Resolves when the records of a deleted stream are gone; none where its deletion takes its time.
pub(super) type Removal = Option<oneshot::Receiver<()>>;

/// Who wants which shards.
#[derive(Clone, Debug)]
pub(super) enum How {
    /// A caller, by the rules of the API.
    Api(Reshard),
    /// The load of an on-demand stream.
    Load(Vec<Step>),
}

impl How {
    /// The steps, if they are allowed now.
    pub(super) fn plan(&self, definition: &Definition, settings: &Settings, now_ms: u64) -> Result<Vec<Step>> {
        match self {
            How::Api(reshard) => definition.plan(reshard, settings, now_ms),
            How::Load(steps) => definition.plan_load(steps, settings, now_ms),
        }
    }
}

/// The owner of the state.
pub(super) struct Owner {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) live: Arc<Live>,
    pub(super) state: State,
    /// A save has failed, so that the disk may hold changes that nobody was granted.
    pub(super) is_unsure: bool,
    pub(super) publish: watch::Sender<Snapshot>,
    pub(super) removals: JoinSet<StreamId>,
    /// Who waits for the end of a removal.
    pub(super) waiting: HashMap<StreamId, oneshot::Sender<()>>,
}

impl Owner {
    /// Stores and publishes the state, takes up removals that were not finished, then runs until every handle is
    /// dropped.
    pub(super) async fn start(mut self, inbox: mpsc::Receiver<Message>) -> Result<()> {
        self.store.save(&self.state).await?;
        self.show();
        for id in self.state.removing.clone() {
            self.remove(id);
        }
        tokio::spawn(self.run(inbox));
        Ok(())
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(DATA_CHANGES_QUEUED_MAX);
        let mut pause = Duration::ZERO;
        loop {
            let again = self.is_unsure.then_some(pause);
            let due =
                self.state.next_due(self.clock.now_ms()).map(|wait| wait.max(pause)).into_iter().chain(again).min();
            let (clock, mut removed) = (self.clock.clone(), None);
            tokio::select! {
                got = inbox.recv_many(&mut messages, DATA_CHANGES_QUEUED_MAX) => if got == 0 { return },
                Some(Ok(id)) = self.removals.join_next() => removed = Some(id),
                () = clock.sleep(due.unwrap_or_default()), if due.is_some() => {}
            }
            let stored = self.write(messages.drain(..), removed).await;
            pause = if stored { Duration::ZERO } else { (2 * pause).clamp(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX) };
        }
    }

    /// One file for all changes that were waiting; whether it could be stored.
    async fn write(&mut self, messages: impl Iterator<Item = Message>, removed: Option<StreamId>) -> bool {
        let mut next = self.state.clone();
        if let Some(id) = removed {
            self.waiting.remove(&id).map(|waiting| waiting.send(()));
            // Not worth a save of its own: after a restart there is nothing to remove.
            self.state.removing.remove(&id);
            next.removing.remove(&id);
        }
        let now_ms = self.clock.now_ms();
        next.finish_deletions(now_ms);
        let mut answers = Vec::new();
        for Message { change, leave, reply } in messages {
            answers.push((self.apply(&mut next, change, now_ms), leave, reply));
        }
        let kept = self.keep(next).await;
        if let Err(error) = &kept {
            tracing::error!(%error, "the data streams could not be stored");
            for (answer, ..) in &mut answers {
                *answer = Err(Error::new(error.kind(), "the data streams could not be stored"));
            }
        }
        for (answer, leave, reply) in answers {
            drop(leave);
            // Whoever asked may have left; the change stands all the same.
            drop(reply.send(answer));
        }
        kept.is_ok()
    }

    fn apply(&mut self, next: &mut State, change: Change, now_ms: u64) -> Result<Made> {
        match change {
            Change::Create(new) => next.create(*new, &self.settings, &self.clock).map(made),
            Change::Edit { name, edit } => next.edit(&name, &self.settings, |definition| {
                definition.must_be_there(&self.settings, now_ms)?;
                edit(definition, now_ms)
            }),
            Change::Reshard { id, how, ends } => next.reshard(id, &how, &ends, &self.settings, now_ms).map(made),
            Change::Delete { name, even_with_consumers } => {
                let gone = next.delete(&name, even_with_consumers, &self.settings, now_ms)?;
                Ok(made(gone.map(|id| self.wait_for(id))))
            }
            Change::ForgetShards { id, shards } => {
                next.edit_by_id(id, |definition| definition.forget_shards(&shards, now_ms));
                Ok(made(()))
            }
            Change::Gone { id } => {
                next.gone(id, now_ms);
                Ok(made(()))
            }
        }
    }

    /// Stores what changed, shows it, and only then removes what is gone.
    ///
    /// What could not be stored may be on disk all the same, and would be what the next start finds. So the state as it
    /// is gets stored again, soon; a start in between is what [`adopt`](super::adopt) is prepared for.
    async fn keep(&mut self, next: State) -> Result<()> {
        if next.is(&self.state) && !self.is_unsure {
            return Ok(());
        }
        self.is_unsure = true;
        self.store.save(&next).await?;
        self.is_unsure = false;
        let before = std::mem::replace(&mut self.state, next);
        self.show();
        for id in self.state.removing.clone() {
            if !before.removing.contains(&id) {
                self.remove(id);
            }
        }
        Ok(())
    }

    /// Shows the state: new ones can be reached by their identity before they are seen, and old ones not after.
    fn show(&self) {
        for definition in self.state.streams.values() {
            self.live.add(definition.id, &definition.name);
        }
        self.publish.send_replace(Arc::new(self.state.streams.clone()));
    }

    fn wait_for(&mut self, id: StreamId) -> oneshot::Receiver<()> {
        let (done, removal) = oneshot::channel();
        self.waiting.insert(id, done);
        removal
    }

    /// Frees what a stream that is gone has in the journal, once the puts under way are over; those that come later see
    /// that it is gone.
    fn remove(&mut self, id: StreamId) {
        let gate = self.live.remove(id).map(|one| one.gate);
        let (journal, clock) = (self.journal.clone(), self.clock.clone());
        self.removals.spawn(async move {
            let _leave = match &gate {
                Some(gate) => gate.acquire_many(DATA_PUTS_AT_ONCE_MAX).await.ok(),
                None => None,
            };
            let mut pause = RETRY_PAUSE_MIN;
            while let Err(error) = journal.remove(id).await {
                if error.kind() == Kind::Closed {
                    // The next start goes on.
                    std::future::pending::<()>().await;
                }
                tracing::warn!(%error, stream = %id, "cannot free the records of a deleted data stream yet");
                clock.sleep(pause).await;
                pause = (2 * pause).min(RETRY_PAUSE_MAX);
            }
            id
        });
    }
}

fn made<T: Send + 'static>(what: T) -> Made {
    Box::new(what)
}

#[cfg(test)]
mod tests;
