//! Reads: from where, how much, and what there was.
//!
//! A shard's horizon is its oldest record that can be read: the first within retention, or one that a delivery stream still
//! holds ([`pins`](super::pins)). What has outlived both is gone for readers at once, though its disk is freed by whole
//! segments, later.

use std::sync::Arc;
use std::time::Duration;

use super::definition::{Definition, Status};
use super::keeper::step;
use super::rates::Horizon;
use super::sequence::SequenceNumber;
use super::shard::{Shard, shard_name};
use super::{DataStream, Settings};
use crate::error::{Error, Kind, Result};
use crate::limits::HORIZON_MEMORY;
use crate::record::{Batch, Records};

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record within retention.
    TrimHorizon,
    /// With the next record that comes.
    Latest,
    /// With this record.
    At(SequenceNumber),
    /// With the one after it.
    After(SequenceNumber),
    /// With the first that arrived then or later (milliseconds since 1970).
    Time(u64),
}

/// How much one read brings.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// Records.
    pub records: usize,
    /// About so many bytes; one record is brought however large it is.
    pub bytes: usize,
}

/// What one read brought.
#[derive(Clone, Debug)]
pub struct Read {
    /// The position of the first record.
    pub first: u64,
    /// The records, in order, with keys.
    pub puts: Vec<Records>,
    /// Where to go on.
    pub next: u64,
    /// How old the next record is, in milliseconds, or else the last one that was brought; 0 at the tip.
    pub behind_ms: u64,
    /// The shard is closed and this was its last record: there is nothing at `next`, and never will be.
    pub ended: bool,
    /// Records that were asked for and are gone: they outlived their retention before they were read.
    pub missed: u64,
    /// Records that were asked for and were lost to damage.
    pub damaged: u64,
}

impl Read {
    /// Nothing, at the end of a shard.
    fn end(at: u64) -> Read {
        Read { first: at, puts: Vec::new(), next: at, behind_ms: 0, ended: true, missed: 0, damaged: 0 }
    }
}

impl DataStream {
    /// The position at which a reader begins.
    ///
    /// # Errors
    /// `NotFound` for a shard that is not there; `Invalid` for a number of another shard or another stream, one that was
    /// never given, or a time in the future.
    pub async fn start(&self, shard: u32, start: Start) -> Result<u64> {
        let (definition, shard) = self.readable(shard)?;
        match start {
            Start::TrimHorizon => self.horizon(&definition, &shard).await,
            Start::Latest => self.end(&shard).await,
            Start::At(number) => self.position_of(&shard, number, false).await,
            Start::After(number) => self.position_of(&shard, number, true).await,
            Start::Time(time_ms) => self.position_at(&definition, &shard, time_ms).await,
        }
    }

    /// Reads on from `position`.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn read(&self, shard: u32, position: u64, limit: ReadLimit) -> Result<Read> {
        let (definition, shard) = self.readable(shard)?;
        let journal = &self.streams.shared.journal;
        let horizon = self.horizon(&definition, &shard).await?;
        let from = position.max(horizon);
        let mut missed = from - position;
        if shard.closed.is_some_and(|closed| from >= closed.end) {
            return Ok(Read { missed, ..Read::end(from) });
        }
        let id = self.shard_id(shard.index);
        let mut batch = journal.read(id, from, limit.bytes).await?;
        let mut damaged = 0;
        if batch.span.start > from {
            // Trimmed since, or damaged: what the journal trimmed is over, too.
            let trimmed = journal.extent(id).await?.start.min(batch.span.start).saturating_sub(from);
            missed += trimmed;
            damaged = batch.span.start - from - trimmed;
        }
        if let Some(closed) = shard.closed.filter(|_| batch.span.is_empty()) {
            // Nothing more will come, whatever the journal has lost of its end.
            damaged += closed.end.saturating_sub(batch.span.start);
            return Ok(Read { missed, damaged, ..Read::end(closed.end) });
        }
        let last_ms = batch.puts.last().map(|records| records.arrived_ms);
        let more_ms = cut(&mut batch, limit, shard.closed.map_or(u64::MAX, |closed| closed.end));
        let next = batch.span.end;
        let ended = shard.closed.is_some_and(|closed| next >= closed.end);
        let is_tip = ended || (more_ms.is_none() && next >= self.end(&shard).await?);
        let since_ms = match more_ms.or(last_ms) {
            _ if is_tip => None,
            // Nothing was brought, of what is lost; or of what came in this moment.
            None => journal.read(id, next, 1).await?.puts.first().map(|records| records.arrived_ms),
            known => known,
        };
        let behind_ms = since_ms.map_or(0, |since| self.streams.shared.clock.now_ms().saturating_sub(since));
        Ok(Read { first: batch.span.start, puts: batch.puts, next, behind_ms, ended, missed, damaged })
    }

    /// Waits until there is a record at `position`, or the shard is closed: then there is something to
    /// [`read`](Self::read), were it that it has ended.
    ///
    /// # Errors
    /// `NotFound` once the stream or the shard is gone; `Closed` when the service stops.
    pub async fn grown(&self, shard: u32, position: u64) -> Result<()> {
        let mut changes = self.streams.watch();
        loop {
            changes.borrow_and_update();
            let (_, found) = self.readable(shard)?;
            if found.closed.is_some() {
                return Ok(());
            }
            tokio::select! {
                grown = self.streams.shared.journal.grown(self.shard_id(shard), position) => return grown,
                over = changes.changed() => over.map_err(|_| super::stopped())?,
            }
        }
    }

    /// Waits until there is a record at `position`, for those who follow the definition themselves: it says nothing of a shard
    /// that is closed or forgotten.
    ///
    /// # Errors
    /// `NotFound` once the stream is gone; `Closed` when the service stops.
    pub async fn appended(&self, shard: u32, position: u64) -> Result<()> {
        self.streams.shared.journal.grown(self.shard_id(shard), position).await
    }

    /// One past the last record that a shard ever had as far as that is still known, also when it is forgotten.
    ///
    /// # Errors
    /// `NotFound` once the stream is gone.
    pub async fn kept_until(&self, shard: u32) -> Result<u64> {
        Ok(self.streams.shared.journal.extent(self.shard_id(shard)).await?.end)
    }

    /// What the stream is now and one of its shards; a stream that is being made has none yet.
    fn readable(&self, index: u32) -> Result<(Arc<Definition>, Shard)> {
        let all = &self.streams.shared;
        let definition = self.definition()?;
        if definition.status(all.clock.now_ms()) == Status::Creating {
            return Err(all.settings.not_found(&self.name));
        }
        match definition.shard(index).cloned() {
            Some(shard) => Ok((definition, shard)),
            None => Err(no_shard(&all.settings, &self.name, index)),
        }
    }

    /// One past the last record of a shard.
    async fn end(&self, shard: &Shard) -> Result<u64> {
        match shard.closed {
            Some(closed) => Ok(closed.end),
            None => Ok(self.streams.shared.journal.extent(self.shard_id(shard.index)).await?.end),
        }
    }

    /// The first position of a shard that can be read. Never over the end of one that is closed.
    pub(super) async fn horizon(&self, definition: &Definition, shard: &Shard) -> Result<u64> {
        let all = &self.streams.shared;
        let by_time = self.first_within(shard, definition.retention).await?;
        let held = all.pins.lowest(self.id, shard.index).unwrap_or(u64::MAX);
        let kept = all.journal.extent(self.shard_id(shard.index)).await?.start;
        let end = shard.closed.map_or(u64::MAX, |closed| closed.end);
        Ok(by_time.min(held).max(kept).min(end))
    }

    /// The first position whose record is within retention, as it was found a moment ago.
    async fn first_within(&self, shard: &Shard, retention: Duration) -> Result<u64> {
        let all = &self.streams.shared;
        let over_ms = all.clock.now_ms().saturating_sub(retention.as_millis() as u64);
        if shard.opened_ms > over_ms {
            return Ok(0);
        }
        let rates = all.rates.of(self.id).shard(shard.index);
        let now = all.clock.instant();
        let memory = step(retention).min(HORIZON_MEMORY);
        let fresh =
            |known: &Horizon| now.saturating_duration_since(known.found) < memory && known.arrived_ms <= over_ms;
        if let Some(known) = rates.horizon().filter(fresh) {
            return Ok(known.position);
        }
        let position = all.journal.position_at(self.shard_id(shard.index), over_ms).await?;
        rates.keep_horizon(Horizon { found: now, arrived_ms: over_ms, position });
        Ok(position)
    }

    async fn position_of(&self, shard: &Shard, number: SequenceNumber, after: bool) -> Result<u64> {
        let fault = |why: &str| {
            let mut digits = Vec::new();
            number.write(&mut digits);
            let (digits, name) = (String::from_utf8_lossy(&digits), shard_name(shard.index));
            let account = &self.streams.shared.settings.account_id;
            Error::invalid(format!(
                "StartingSequenceNumber {digits} used in GetShardIterator on shard {name} in stream {} under account \
                 {account} is invalid{why}.",
                self.name
            ))
        };
        let (encoded, asked) = (shard_name(number.shard), shard_name(shard.index));
        if encoded != asked {
            return Err(Error::invalid(format!(
                "Invalid StartingSequenceNumber. It encodes {encoded}, while it was used in a call to a shard with {asked}"
            )));
        }
        let first = shard.first_sequence();
        if number.created_s != first.created_s {
            return Err(fault(" because it did not come from this stream"));
        }
        let end = self.end(shard).await?;
        match number.position() {
            Some(position) if position < end => Ok(position + u64::from(after)),
            None if number.index == first.index => Ok(0),
            None if shard.last_sequence().is_some_and(|last| last.index == number.index) => Ok(end),
            _ => Err(fault("")),
        }
    }

    async fn position_at(&self, definition: &Definition, shard: &Shard, time_ms: u64) -> Result<u64> {
        let all = &self.streams.shared;
        let now_ms = all.clock.now_ms();
        if time_ms > now_ms {
            return Err(Error::invalid(format!(
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
                 timestampInMillis: {time_ms}, currentTimestampInMillis: {now_ms}"
            )));
        }
        let found = all.journal.position_at(self.shard_id(shard.index), time_ms).await?;
        let horizon = self.horizon(definition, shard).await?;
        Ok(found.max(horizon).min(shard.closed.map_or(u64::MAX, |closed| closed.end)))
    }
}

fn no_shard(settings: &Settings, stream: &str, index: u32) -> Error {
    let (shard, account) = (shard_name(index), &settings.account_id);
    Error::new(Kind::NotFound, format!("Shard {shard} in stream {stream} under account {account} does not exist"))
}

/// Cuts a batch to `limit` and at the shard's end; when the first record that was left over arrived, if one was.
fn cut(batch: &mut Batch, limit: ReadLimit, end: u64) -> Option<u64> {
    let within = end.saturating_sub(batch.span.start).min(limit.records.max(1) as u64) as usize;
    let (mut records, mut bytes) = (0, 0);
    for (index, put) in batch.puts.iter().enumerate() {
        let is_first = records == 0;
        let room = limit.bytes.saturating_sub(bytes);
        let taken = if put.bytes() <= room { put.len() } else { fitting(put, room, is_first) };
        let taken = taken.min(within - records);
        records += taken;
        bytes += put.bytes();
        if taken < put.len() {
            let since_ms = put.arrived_ms;
            let part = put.slice(0, taken);
            batch.puts.truncate(index);
            batch.puts.extend(Some(part).filter(|part| !part.is_empty()));
            batch.span.end = batch.span.start + records as u64;
            return Some(since_ms);
        }
    }
    None
}

/// How many of the first records have at most `room` bytes; at least one where one must be brought.
fn fitting(put: &Records, room: usize, one_at_least: bool) -> usize {
    let mut bytes = 0;
    let fit = (0..put.len()).take_while(|index| {
        bytes += put.get(*index).len() + put.keys.as_ref().map_or(0, |keys| keys.get(*index).len());
        bytes <= room
    });
    fit.count().max(usize::from(one_at_least))
}

#[cfg(test)]
#[path = "tests/read.rs"]
mod tests;
