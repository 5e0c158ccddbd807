//! The journal in memory: the model of what a journal does, which the conformance suite compares the real one with.
//! Nothing of it survives, so it is for tests and for trying things out.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use super::{Append, Appended, Extent, Journal, too_many_sources};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::limits::{CALL_MEMORY, CHECKPOINT_SOURCES_MAX};
use crate::record::{Batch, CallId, Records, ShardId, Span, StreamId};

/// A journal that forgets everything when it is dropped.
pub struct MemoryJournal {
    clock: Clock,
    state: Mutex<State>,
    /// Changes with every append, removal and at the end.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    shards: BTreeMap<ShardId, Shard>,
    removed: BTreeSet<StreamId>,
    calls: HashMap<(ShardId, CallId), (Span, u64)>,
    closed: bool,
}

#[derive(Default)]
struct Shard {
    start: u64,
    end: u64,
    /// By first position.
    puts: VecDeque<(u64, Records)>,
    checkpoints: BTreeMap<String, Bytes>,
}

impl Shard {
    fn bytes(&self) -> u64 {
        self.puts.iter().map(|(_, records)| bytes(records)).sum()
    }
}

impl MemoryJournal {
    /// An empty one.
    pub fn new(clock: Clock) -> Self {
        MemoryJournal { clock, state: Mutex::default(), changes: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl State {
    fn check(&self, stream: StreamId) -> Result<()> {
        if self.removed.contains(&stream) {
            return Err(Error::new(Kind::NotFound, format!("stream {stream} was removed from the journal")));
        }
        Ok(())
    }

    fn append(&mut self, shard: ShardId, put: Append, now_ms: u64) -> Result<Appended> {
        put.check()?;
        if self.closed {
            return Err(closed());
        }
        self.check(shard.stream)?;
        if put.encrypt {
            return Err(Error::invalid("encrypt is set and no encryption_key is configured"));
        }
        if let Some((span, stored_ms)) = put.call.and_then(|call| self.calls.get(&(shard, call)))
            && is_remembered(*stored_ms, now_ms)
        {
            return Ok(Appended { span: *span, repeated: true });
        }
        let used: u64 = self.shards.iter().filter(|(id, _)| id.stream == shard.stream).map(|(_, of)| of.bytes()).sum();
        if let Some(max) = put.bytes_max.filter(|max| used + bytes(&put.records) > *max) {
            return Err(Error::unavailable(format!("stream {} uses {used} of its {max} bytes", shard.stream)));
        }
        let of = self.shards.entry(shard).or_default();
        if let Some(checkpoint) = &put.checkpoint {
            let more = !checkpoint.at.is_empty() && !of.checkpoints.contains_key(&checkpoint.source);
            if more && of.checkpoints.len() >= CHECKPOINT_SOURCES_MAX {
                return Err(too_many_sources(&checkpoint.source));
            }
            checkpoint.enter(&mut of.checkpoints);
        }
        let span = Span { shard, start: of.end, end: of.end + put.records.len() as u64 };
        of.end = span.end;
        if let Some(call) = put.call {
            self.calls.insert((shard, call), (span, put.records.arrived_ms));
        }
        of.puts.push_back((span.start, put.records));
        Ok(Appended { span, repeated: false })
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, shard: ShardId, put: Append) -> Result<Appended> {
        let appended = self.state().append(shard, put, self.clock.now_ms());
        self.changed();
        appended
    }

    async fn read(&self, shard: ShardId, start: u64, bytes_max: usize) -> Result<Batch> {
        let state = self.state();
        state.check(shard.stream)?;
        let none = Shard::default();
        let of = state.shards.get(&shard).unwrap_or(&none);
        let start = start.max(of.start);
        let mut batch = Batch { span: Span { shard, start, end: start }, puts: Vec::new() };
        let mut left = bytes_max;
        for (first, records) in &of.puts {
            let end = first + records.len() as u64;
            if end <= start {
                continue;
            }
            let records = records.slice(start.saturating_sub(*first) as usize, records.len());
            if !batch.puts.is_empty() && records.bytes() > left {
                break;
            }
            left = left.saturating_sub(records.bytes());
            batch.span.end = end;
            batch.puts.push(records);
        }
        Ok(batch)
    }

    async fn grown(&self, shard: ShardId, position: u64) -> Result<()> {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            {
                let state = self.state();
                state.check(shard.stream)?;
                if state.shards.get(&shard).is_some_and(|of| of.end > position) {
                    return Ok(());
                }
                if state.closed {
                    return Err(closed());
                }
            }
            changes.changed().await.map_err(|_| closed())?;
        }
    }

    async fn extent(&self, shard: ShardId) -> Result<Extent> {
        let state = self.state();
        state.check(shard.stream)?;
        Ok(state.shards.get(&shard).map_or_else(Extent::default, |of| Extent {
            start: of.start,
            end: of.end,
            disk_bytes: of.bytes(),
            damaged: 0,
        }))
    }

    async fn position_at(&self, shard: ShardId, arrived_ms: u64) -> Result<u64> {
        let state = self.state();
        state.check(shard.stream)?;
        let Some(of) = state.shards.get(&shard) else { return Ok(0) };
        let found = of.puts.iter().find(|(_, records)| records.arrived_ms >= arrived_ms);
        Ok(found.map_or(of.end, |(first, _)| (*first).max(of.start)))
    }

    async fn recall(&self, shard: ShardId, call: CallId) -> Result<Option<Span>> {
        let state = self.state();
        state.check(shard.stream)?;
        let now_ms = self.clock.now_ms();
        Ok(state
            .calls
            .get(&(shard, call))
            .filter(|(_, stored_ms)| is_remembered(*stored_ms, now_ms))
            .map(|(span, _)| *span))
    }

    async fn checkpoints(&self, shard: ShardId) -> Result<BTreeMap<String, Bytes>> {
        let state = self.state();
        state.check(shard.stream)?;
        Ok(state.shards.get(&shard).map(|of| of.checkpoints.clone()).unwrap_or_default())
    }

    async fn trim(&self, shard: ShardId, end: u64) -> Result<()> {
        let mut state = self.state();
        state.check(shard.stream)?;
        if let Some(of) = state.shards.get_mut(&shard) {
            of.start = of.start.max(end.min(of.end));
            while of.puts.front().is_some_and(|(first, records)| first + records.len() as u64 <= of.start) {
                of.puts.pop_front();
            }
        }
        Ok(())
    }

    async fn remove(&self, stream: StreamId) -> Result<()> {
        {
            let mut state = self.state();
            state.removed.insert(stream);
            state.shards.retain(|shard, _| shard.stream != stream);
        }
        self.changed();
        Ok(())
    }

    fn healthy(&self) -> Result<()> {
        if self.state().closed { Err(closed()) } else { Ok(()) }
    }

    fn disk_bytes(&self) -> u64 {
        self.state().shards.values().map(Shard::bytes).sum()
    }

    async fn close(&self) {
        self.state().closed = true;
        self.changed();
    }
}

fn is_remembered(stored_ms: u64, now_ms: u64) -> bool {
    stored_ms + CALL_MEMORY.as_millis() as u64 >= now_ms
}

fn bytes(records: &Records) -> u64 {
    (records.bytes() + 4 * records.len()) as u64
}

fn closed() -> Error {
    Error::closed("the journal is closed")
}
