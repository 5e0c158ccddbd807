//! The one owner of the ledger's state and files: takes calls in groups, and answers a group after one sync for all.

use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use super::files::{Failure, Files};
use super::line::{Entry, write};
use super::state::State;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::ledger::{Plan, PlanId, Standing, Tally};
use crate::limits::{LEDGER_GROUP_MAX, LEDGER_LINE_BYTES_MAX};
use crate::record::{ShardId, StreamId};

/// What is to be written down.
pub(super) enum Change {
    Plan(Box<Plan>),
    Replan(PlanId, Box<Plan>),
    Commit(PlanId, Tally),
    Begin { stream: StreamId, shard: ShardId, position: u64 },
    Skip { stream: StreamId, shard: ShardId, end: u64, tally: Tally },
    Advance { stream: StreamId, to: Vec<(ShardId, u64)>, tally: Tally },
    Retire { stream: StreamId, shard: ShardId },
    Remove(StreamId),
}

/// The answer to a change: a new plan's number.
pub(super) type Changed = Result<Option<PlanId>>;

/// What a handle asks of the writer.
pub(super) enum Call {
    Change(Change, oneshot::Sender<Changed>),
    Standing(StreamId, oneshot::Sender<Result<Standing>>),
    /// Answered when files and lock are let go.
    Close(oneshot::Sender<()>),
}

/// Why nothing more is taken, once a sync has failed; handles look at it too.
#[derive(Clone, Default)]
pub(super) struct Poison(Arc<OnceLock<String>>);

impl Poison {
    /// [`Kind::Internal`] once a sync has failed.
    pub(super) fn check(&self) -> Result<()> {
        self.0.get().map_or(Ok(()), |message| Err(Error::new(Kind::Internal, message)))
    }
}

/// The owner.
pub(super) struct Writer {
    state: State,
    files: Files,
    clock: Clock,
    poison: Poison,
}

impl Writer {
    pub(super) fn new(state: State, files: Files, clock: Clock, poison: Poison) -> Self {
        Writer { state, files, clock, poison }
    }

    /// Works until closed, on a thread of its own.
    pub(super) fn run_on_thread(mut self, mut calls: mpsc::Receiver<Call>) {
        while let Some(first) = calls.blocking_recv() {
            if let Some(closing) = self.serve(first, &mut calls) {
                return self.close(closing);
            }
        }
        self.finish();
    }

    /// Works until closed, as a task: for tests whose runtime is deterministic.
    pub(super) async fn run(mut self, mut calls: mpsc::Receiver<Call>) {
        while let Some(first) = calls.recv().await {
            if let Some(closing) = self.serve(first, &mut calls) {
                return self.close(closing);
            }
        }
        self.finish();
    }

    /// Serves what is queued, up to a group; answers whom to tell when it was the last.
    fn serve(&mut self, first: Call, calls: &mut mpsc::Receiver<Call>) -> Option<oneshot::Sender<()>> {
        let (mut changes, mut questions, mut closing) = (Vec::new(), Vec::new(), None);
        let mut next = Some(first);
        while let Some(call) = next.take() {
            match call {
                Call::Change(change, reply) => changes.push((change, reply)),
                Call::Standing(stream, reply) => questions.push((stream, reply)),
                Call::Close(reply) => closing = Some(reply),
            }
            if closing.is_none() && changes.len() + questions.len() < LEDGER_GROUP_MAX {
                next = calls.try_recv().ok();
            }
        }
        if !changes.is_empty() {
            self.change(changes);
        }
        for (stream, reply) in questions {
            // Whoever asked may have gone away; here and below.
            let _ = reply.send(self.poison.check().map(|()| self.state.standing(stream)));
        }
        closing
    }

    fn change(&mut self, changes: Vec<(Change, oneshot::Sender<Changed>)>) {
        let (changes, replies): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
        match self.write(changes) {
            Ok(answers) => {
                for (reply, answer) in replies.into_iter().zip(answers) {
                    let _ = reply.send(answer);
                }
            }
            Err(failure) => {
                for reply in replies {
                    let _ = reply.send(Err(failure.error()));
                }
            }
        }
    }

    /// Makes those changes durable that are valid, all with one sync, or none.
    fn write(&mut self, changes: Vec<Change>) -> Result<Vec<Changed>, Unwritten> {
        self.poison.check().map_err(|error| Unwritten::Poisoned(error.message().to_owned()))?;
        let synced = self.files.ready(&self.state).map_err(|failure| self.failed(failure))?;
        let mut lines = Vec::new();
        let answers = changes.into_iter().map(|change| self.take(change, synced, &mut lines)).collect();
        if !lines.is_empty()
            && let Err(failure) = self.files.append(&lines)
        {
            return Err(self.undone(failure));
        }
        Ok(answers)
    }

    /// Takes back what a group did to the state and could not be written. The state is made again from what is on disk: that
    /// is seldom needed, and remembering how it stood before every group would cost more than the groups.
    fn undone(&mut self, failure: Failure) -> Unwritten {
        let unwritten = self.failed(failure);
        if let Unwritten::Refused(_) = unwritten {
            match self.files.state() {
                Ok(before) => self.state.undo(before),
                Err(error) => {
                    return self.poisoned(&format!("what is on disk cannot be read after a failed write ({error})"));
                }
            }
        }
        unwritten
    }

    /// Applies a change to the state and adds its line.
    fn take(&mut self, change: Change, synced: u64, lines: &mut Vec<u8>) -> Changed {
        let ms = self.clock.now_ms();
        let entry = match change {
            Change::Plan(plan) => Entry::Plan { id: self.state.next(), plan: *plan },
            Change::Replan(old, plan) => Entry::Replan { old, id: self.state.next(), plan: *plan },
            Change::Commit(id, tally) => self.state.committing(id, tally, ms)?,
            Change::Begin { stream, shard, position } => Entry::Start { stream, shard, position, ms },
            Change::Retire { stream, shard } if !self.state.knows_shard(stream, shard) => return Ok(None),
            Change::Retire { stream, shard } => Entry::Retire { stream, shard, ms },
            Change::Skip { stream, shard, end, tally } => Entry::Skip { stream, shard, end, ms, tally },
            Change::Advance { stream, to, tally } => Entry::Advance { stream, to, ms, tally },
            Change::Remove(stream) if !self.state.knows(stream) => return Ok(None),
            Change::Remove(stream) => Entry::Remove { stream, ms },
        };
        let mut line = Vec::new();
        write(&mut line, synced, &entry);
        if line.len() > LEDGER_LINE_BYTES_MAX {
            let message = format!("plan takes {} bytes as JSON, the limit is {LEDGER_LINE_BYTES_MAX}", line.len());
            return Err(Error::invalid(message));
        }
        self.state.apply(&entry)?;
        lines.append(&mut line);
        match entry {
            Entry::Plan { id, .. } | Entry::Replan { id, .. } => Ok(Some(id)),
            _ => Ok(None),
        }
    }

    fn failed(&mut self, failure: Failure) -> Unwritten {
        match failure {
            Failure::Write(error) => Unwritten::Refused(error.to_string()),
            Failure::Sync(error) => self.poisoned(&format!("a sync of the ledger failed ({error})")),
        }
    }

    fn poisoned(&mut self, why: &str) -> Unwritten {
        tracing::error!(why, "the ledger takes nothing more until the restart");
        let message = format!("{why}: it takes nothing more until the restart");
        let _ = self.poison.0.set(message.clone());
        Unwritten::Poisoned(message)
    }

    /// Leaves a last line, which proves to the next start that all before it was synced.
    fn finish(&mut self) {
        if self.poison.check().is_ok()
            && let Some(synced) = self.files.end()
        {
            let mut line = Vec::new();
            write(&mut line, synced, &Entry::End { ms: self.clock.now_ms() });
            // Without it the ledger is as after a crash, which is good enough.
            let _ = self.files.append(&line);
        }
    }

    fn close(mut self, closing: oneshot::Sender<()>) {
        self.finish();
        drop(self);
        let _ = closing.send(());
    }
}

/// Why a whole group was not written.
enum Unwritten {
    Refused(String),
    Poisoned(String),
}

impl Unwritten {
    fn error(&self) -> Error {
        match self {
            Unwritten::Refused(why) => Error::unavailable(format!("the ledger cannot be written: {why}")),
            Unwritten::Poisoned(message) => Error::new(Kind::Internal, message),
        }
    }
}
