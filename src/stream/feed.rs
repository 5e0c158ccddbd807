//! What a pipeline reads from: the one shard of direct puts, or the shards of a data stream, followed through resharding.
//!
//! A shard of a data stream is read only when all its parents have been read to their end, so that the records of a key
//! come in their order. Shards that are there when a feed first sees the stream begin where the delivery stream was told to
//! begin; those that are made later begin at 0, and so does what comes of a shard of which something was wanted, whatever the
//! clock said. The pipeline makes each beginning durable, in the ledger, before
//! it [opens](Feed::open) the shard.
//!
//! One read is under way at a time; shards take turns. While nothing comes the feed sleeps: each open shard waits for its
//! own growth, and the definitions for their change.

mod follow;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future;
use std::pin::Pin as Pinned;
use std::sync::Arc;

use futures_util::future::{AbortHandle, Abortable, Aborted};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;

use super::data::{DataStreams, Snapshot};
use super::holds::Holds;
use super::{Stream, Streams};
use crate::error::{Error, Kind, Result};
use crate::journal::{Extent, Journal};
use crate::limits::READ_BYTES;
use crate::record::{Batch, Records, ShardId, StreamId};

use follow::Following;

/// What a feed has to say.
#[derive(Debug)]
pub enum Event {
    /// Records came.
    Arrival(Arrival),
    /// These shards are to be read from these positions on; the caller makes that durable, then [opens](Feed::open) them.
    Begins(Vec<(ShardId, u64)>),
    /// These shards are no more, since all that they held is past.
    Retired(Vec<ShardId>),
    /// A data stream was deleted. Its shards ended there, as far as is known.
    Gone(StreamId, BTreeMap<ShardId, u64>),
}

/// What one read brought.
#[derive(Debug)]
pub struct Arrival {
    /// From which shard.
    pub shard: ShardId,
    /// The first position that was asked for.
    pub first: u64,
    /// So many positions from there on hold nothing: damaged, or trimmed.
    pub missing: u64,
    /// The records after them.
    pub puts: Vec<Records>,
}

/// Reads records again, by their positions. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    journal: Arc<dyn Journal>,
    definitions: Option<watch::Receiver<Snapshot>>,
}

impl Reader {
    pub(super) fn of(journal: Arc<dyn Journal>) -> Self {
        Reader { journal, definitions: None }
    }

    /// Reads on from `position`; see [`Journal::read`].
    pub async fn read(&self, shard: ShardId, position: u64, bytes_max: usize) -> Result<Batch> {
        self.journal.read(shard, position, bytes_max).await
    }

    /// What is there; see [`Journal::extent`].
    pub async fn extent(&self, shard: ShardId) -> Result<Extent> {
        self.journal.extent(shard).await
    }

    /// One past the last position, as far as it is wanted; nothing is left of a data stream that is gone.
    async fn end_of(&self, own: StreamId, shard: ShardId, wanted: Option<u64>) -> Result<u64> {
        match self.extent(shard).await {
            Err(error) if is_foreign(own, shard, &error) => Ok(0),
            extent => Ok(extent?.end.min(wanted.unwrap_or(u64::MAX))),
        }
    }

    /// Whether there is a data stream of this identity.
    pub fn has_data_stream(&self, stream: StreamId) -> bool {
        let snapshot = self.definitions.as_ref().map(|definitions| definitions.borrow().clone());
        snapshot.is_some_and(|streams| streams.values().any(|definition| definition.id == stream))
    }
}

/// What one pipeline reads from.
pub struct Feed {
    /// Who it is for, as the ledger knows it.
    by: StreamId,
    /// The delivery stream whose own records it reads.
    own: StreamId,
    reader: Reader,
    holds: Holds,
    /// The data stream, unless records are put into the delivery stream itself.
    following: Option<Following>,
    /// The shards that are being read, or were read to their end.
    shards: BTreeMap<ShardId, Place>,
    /// Each open shard that may have something: ready when it has.
    waiting: FuturesUnordered<Waiting>,
    /// What is being done; kept here, so that [`next`](Feed::next) can be given up and called again at any time.
    work: Option<Work>,
    /// What is to be said before anything else is done.
    events: VecDeque<Event>,
    /// How far each shard may be read for now; one that is not in it not at all.
    halts: Option<BTreeMap<ShardId, u64>>,
    /// Shards of what is not the source any more, and how far they are read all the same.
    rests: BTreeMap<ShardId, u64>,
}

type Waiting = Pinned<Box<dyn Future<Output = Result<(ShardId, Result<()>), Aborted>> + Send>>;
type Work = Pinned<Box<dyn Future<Output = Done> + Send>>;

/// What became of a piece of work.
enum Done {
    Read(ShardId, u64, Result<Batch>),
    Said(Result<Event>),
}

/// How far one shard has been read.
struct Place {
    position: u64,
    /// One past the last position that there will ever be.
    closed: Option<u64>,
    /// One past the last position that is wanted.
    wanted: Option<u64>,
    /// It was taken up before its end: so all that its children hold comes after something that is wanted.
    leads_on: bool,
    growth: Option<AbortHandle>,
}

impl Place {
    /// Whether nothing more is to be read.
    fn is_over(&self) -> bool {
        [self.closed, self.wanted].into_iter().flatten().any(|end| end <= self.position)
    }

    fn give_up(&mut self) {
        if let Some(growth) = self.growth.take() {
            growth.abort();
        }
    }
}

impl Feed {
    /// Reads what is put into a delivery stream itself.
    pub fn direct(stream: &Stream) -> Self {
        Feed::new(stream.shard().stream, Reader::of(stream.journal.clone()), stream.holds.clone(), None)
    }

    /// Reads the data stream called `name` for the delivery stream `by`: what arrived at `from_ms` (milliseconds since
    /// 1970) or later, or all that there is. It need not exist yet. What was put into the delivery stream itself before, and
    /// is not past, is read too.
    pub fn data(streams: &Streams, data: &DataStreams, name: &str, by: StreamId, from_ms: Option<u64>) -> Self {
        Feed::over(streams, data.watch(), Some(data.clone()), name, by, from_ms)
    }

    /// The same over its parts: tests have no [`DataStreams`].
    fn over(
        streams: &Streams,
        definitions: watch::Receiver<Snapshot>,
        pins: Option<DataStreams>,
        name: &str,
        by: StreamId,
        from_ms: Option<u64>,
    ) -> Self {
        let reader = Reader { journal: streams.journal.clone(), definitions: Some(definitions.clone()) };
        Feed::new(by, reader, streams.holds.clone(), Some(Following::new(name, definitions, pins, from_ms)))
    }

    fn new(own: StreamId, reader: Reader, holds: Holds, following: Option<Following>) -> Self {
        Feed {
            by: own,
            own,
            reader,
            holds,
            following,
            shards: BTreeMap::new(),
            waiting: FuturesUnordered::new(),
            work: None,
            events: VecDeque::new(),
            halts: None,
            rests: BTreeMap::new(),
        }
    }

    /// The same for the stream's backup, which reads on its own.
    #[must_use]
    pub fn for_backup(self) -> Self {
        Feed { by: self.own.backup(), ..self }
    }

    /// Reads `from..to` of a shard of a data stream that is not the source any more, unless it is: something between is
    /// delivered already, and the rest must be. `false` when the shard is gone. After it [resumed](Feed::resume).
    pub async fn finish_reading(&mut self, shard: ShardId, from: u64, to: u64) -> Result<bool> {
        let is_followed = |following: &Following| following.is_of(shard.stream);
        if shard.stream == self.own || self.following.as_ref().is_some_and(is_followed) {
            return Ok(true);
        }
        match self.reader.extent(shard).await {
            Err(error) if self.is_foreign(shard, &error) => return Ok(false),
            extent => drop(extent?),
        }
        self.rests.insert(shard, to);
        let place = Place { position: from, closed: None, wanted: Some(to), leads_on: false, growth: None };
        self.shards.insert(shard, place);
        self.arm(shard);
        Ok(true)
    }

    /// Has shards read up to these positions alone, others not at all, until it is told to [go on](Feed::go_on). Of these, such as are
    /// closed are read to their end, since no child of theirs opens before. Before it [resumes](Feed::resume).
    pub fn halt(&mut self, halts: BTreeMap<ShardId, u64>) {
        self.halts = Some(halts);
    }

    /// Has all shards read on.
    pub fn go_on(&mut self) {
        if self.halts.take().is_some() {
            for shard in self.shards.keys().copied().collect::<Vec<_>>() {
                self.arm(shard);
            }
        }
    }

    /// How far `shard` may be read for now.
    fn halt_of(&self, shard: ShardId) -> u64 {
        let rest = self.rests.get(&shard).copied().unwrap_or(u64::MAX);
        let Some(halts) = &self.halts else { return rest };
        let closed = self.shards.get(&shard).and_then(|place| place.closed);
        halts.get(&shard).map_or(0, |halt| closed.unwrap_or(0).max(*halt)).min(rest)
    }

    /// Who it is for, as the ledger knows it: a delivery stream, or its backup.
    pub fn by(&self) -> StreamId {
        self.by
    }

    /// Reads what it has brought again.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Takes up where the plans of each shard ended.
    pub async fn resume(&mut self, mut ends: BTreeMap<ShardId, u64>) -> Result<()> {
        let own = ShardId { stream: self.own, index: 0 };
        let position = ends.remove(&own).unwrap_or(0);
        if self.following.is_none() || self.reader.extent(own).await?.end > position {
            self.open_at(own, position, None);
        }
        self.take_up(ends);
        Ok(())
    }

    /// Reads `shard` from `position` on: said in [`Event::Begins`], and durable now.
    pub fn open(&mut self, shard: ShardId, position: u64) {
        let closed = self.following.as_mut().and_then(|following| following.opens(shard));
        self.open_at(shard, position, closed);
        self.past(shard, position);
        self.follow();
    }

    /// What comes next. It may be given up at any time: nothing is lost, the next call goes on.
    ///
    /// # Errors
    /// Those of the journal.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(work) = &mut self.work {
                let done = work.await;
                self.work = None;
                if let Some(event) = self.finish(done)? {
                    return Ok(event);
                }
                continue;
            }
            self.look();
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if let Some(work) = self.chores() {
                self.work = Some(work);
                continue;
            }
            let (following, waiting) = (&mut self.following, &mut self.waiting);
            tokio::select! {
                biased;
                () = async {
                    match following {
                        Some(following) => following.changed().await,
                        None => future::pending().await,
                    }
                } => {}
                Some(turn) = waiting.next(), if !waiting.is_empty() => self.turn(turn)?,
            }
        }
    }

    /// Whether nothing is left to say now: all that is in the journal (when it is [frozen](Feed::freeze): all that was) has
    /// been brought.
    pub async fn is_caught_up(&mut self) -> Result<bool> {
        self.look();
        if self.work.is_some() || !self.events.is_empty() || self.has_chores() {
            return Ok(false);
        }
        for (shard, place) in self.shards.iter().filter(|(_, place)| !place.is_over()) {
            let end = self.reader.end_of(self.own, *shard, place.wanted).await?;
            // Of a shard that lost its tail the end is still to be said.
            if end > place.position || place.closed.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether it has brought all that stood before `ends`.
    pub fn has_reached(&self, ends: &BTreeMap<ShardId, u64>) -> bool {
        ends.iter().all(|(shard, end)| self.shards.get(shard).is_none_or(|place| place.position >= *end))
    }

    /// One past the last position of each shard that it reads, as far as it is wanted.
    pub async fn ends(&mut self) -> Result<BTreeMap<ShardId, u64>> {
        let mut ends = BTreeMap::new();
        for (shard, place) in &self.shards {
            ends.insert(*shard, self.reader.end_of(self.own, *shard, place.wanted).await?);
        }
        Ok(ends)
    }

    /// From now on only what a data stream holds by now is wanted: it goes on being written, and who drains wants an end.
    pub async fn freeze(&mut self) -> Result<()> {
        // Shards that were made a moment ago hold something too.
        self.look();
        let Some(following) = self.following.as_ref().filter(|following| !following.is_frozen()) else { return Ok(()) };
        let mut wanted = BTreeMap::new();
        for (shard, closed) in following.listed() {
            // A closed shard may have lost its tail: its end is wanted all the same, for without it no child opens.
            let end = match closed {
                Some(end) => end,
                None => self.reader.end_of(self.own, shard, None).await?,
            };
            wanted.insert(shard, end);
        }
        for (shard, place) in self.shards.iter_mut().filter(|(shard, _)| shard.stream != self.own) {
            place.wanted = wanted.get(shard).copied().or(place.wanted).or(Some(0));
            if place.is_over() {
                place.give_up();
            }
        }
        if let Some(following) = &mut self.following {
            following.freeze(wanted);
        }
        Ok(())
    }

    /// Says that everything before `position` of `shard` is past: committed in the ledger.
    pub async fn delivered(&mut self, shard: ShardId, position: u64) -> Result<()> {
        if shard.stream == self.own {
            let past = self.holds.past(self.own, self.by, position);
            return if past > 0 { self.reader.journal.trim(shard, past).await } else { Ok(()) };
        }
        self.past(shard, position);
        Ok(())
    }

    /// Why nothing can come, if nothing can.
    pub fn fault(&self) -> Option<Error> {
        self.following.as_ref()?.fault()
    }

    /// The shards that will be read from their first record on, once their parents have been.
    pub fn ahead(&self) -> Arc<[ShardId]> {
        self.following.as_ref().map_or_else(Arc::default, Following::ahead)
    }

    /// Whether the error says that a data stream is gone: no fault, its definition will go too.
    fn is_foreign(&self, shard: ShardId, error: &Error) -> bool {
        is_foreign(self.own, shard, error)
    }

    fn past(&self, shard: ShardId, position: u64) {
        if let Some(following) = &self.following {
            following.past(shard, position);
        }
    }

    fn open_at(&mut self, shard: ShardId, position: u64, closed: Option<u64>) {
        let wanted = self.following.as_ref().and_then(|following| following.wanted(shard));
        let leads_on = closed.is_none_or(|end| position < end);
        self.shards.insert(shard, Place { position, closed, wanted, leads_on, growth: None });
        self.arm(shard);
    }

    /// Lets a shard that is not over take part in the turns.
    fn arm(&mut self, shard: ShardId) {
        let halt = self.halt_of(shard);
        let Some(place) = self.shards.get_mut(&shard) else { return };
        place.give_up();
        if place.is_over() || place.position >= halt {
            return;
        }
        let (journal, position, is_closed) = (self.reader.journal.clone(), place.position, place.closed.is_some());
        let growth = async move {
            // A closed shard does not grow; should it have lost its tail, waiting would be for ever.
            let grown = if is_closed { Ok(()) } else { journal.grown(shard, position).await };
            (shard, grown)
        };
        let (abort, registration) = AbortHandle::new_pair();
        place.growth = Some(abort);
        self.waiting.push(Box::pin(Abortable::new(growth, registration)));
    }

    fn turn(&mut self, turn: Result<(ShardId, Result<()>), Aborted>) -> Result<()> {
        let Ok((shard, grown)) = turn else { return Ok(()) };
        match grown {
            Err(error) if self.is_foreign(shard, &error) => return Ok(()),
            grown => grown?,
        }
        let Some(place) = self.shards.get(&shard).filter(|place| !place.is_over()) else { return Ok(()) };
        let (journal, at) = (self.reader.journal.clone(), place.position);
        self.work = Some(Box::pin(async move { Done::Read(shard, at, journal.read(shard, at, READ_BYTES).await) }));
        Ok(())
    }

    fn finish(&mut self, done: Done) -> Result<Option<Event>> {
        match done {
            Done::Said(event) => event.map(Some),
            Done::Read(shard, _, Err(error)) if self.is_foreign(shard, &error) => Ok(None),
            Done::Read(shard, first, batch) => Ok(self.arrived(shard, first, batch?)),
        }
    }

    fn arrived(&mut self, shard: ShardId, first: u64, batch: Batch) -> Option<Event> {
        let batch = up_to(batch, self.halt_of(shard));
        // It may have gone while it was read.
        let place = self.shards.get_mut(&shard)?;
        // Of a closed shard nothing more will come, whatever its journal has lost.
        let lost_tail = place.closed.filter(|_| batch.span.is_empty()).unwrap_or(0);
        let start = batch.span.start.max(lost_tail);
        let missing = start.saturating_sub(first);
        place.position = batch.span.end.max(start).max(first);
        let is_over = place.is_over();
        self.arm(shard);
        if is_over {
            self.follow();
        }
        (missing > 0 || !batch.puts.is_empty())
            .then(|| Event::Arrival(Arrival { shard, first, missing, puts: batch.puts }))
    }
}

/// The part of a batch before `halt`.
fn up_to(mut batch: Batch, halt: u64) -> Batch {
    let mut at = batch.span.start.min(halt);
    if batch.span.end <= halt {
        return batch;
    }
    let mut puts = Vec::new();
    for put in batch.puts {
        let wanted = put.len().min((halt - at) as usize);
        at += wanted as u64;
        if wanted > 0 {
            puts.push(if wanted == put.len() { put } else { put.slice(0, wanted) });
        }
    }
    (batch.span.start, batch.span.end, batch.puts) = (batch.span.start.min(halt), halt, puts);
    batch
}

fn is_foreign(own: StreamId, shard: ShardId, error: &Error) -> bool {
    error.kind() == Kind::NotFound && shard.stream != own
}

/// Shards by the data stream that they are of.
fn of_stream(shards: impl Iterator<Item = ShardId>, stream: StreamId) -> BTreeSet<ShardId> {
    shards.filter(|shard| shard.stream == stream).collect()
}
