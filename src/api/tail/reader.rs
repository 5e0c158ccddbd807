//! Reads a stream for one client: shard after shard, round after round. Only shards that may have something are read; the
//! others are waited for, each by itself, so that a record costs the same however many shards there are.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::line::{self, Place};
use super::query::Query;
use crate::api::server::{Feed, Hold};
use crate::clock::Clock;
use crate::config::StartAt;
use crate::error::{Error, Kind, Result};
use crate::limits::{GET_RECORDS_MAX, PUSH_FREE_BYTES, TAIL_HEARTBEAT, TAIL_PIECE_BYTES, TAIL_READ_BYTES};
use crate::record::Records;
use crate::stream::Stream;
use crate::stream::data::{DataStream, DataStreams, Definition, ReadLimit, Shard, Snapshot, Start};

/// What is read, and how far it has been.
pub(super) struct Reader {
    origin: Origin,
    cursors: BTreeMap<u32, Cursor>,
    /// Shards that are not over and may have something at their cursor; for each of the others one wait is under way.
    ready: BTreeSet<u32>,
    waits: FuturesUnordered<Wait>,
    /// What `cursors` and `waits` follow; nothing of a delivery stream.
    known: Option<Arc<Definition>>,
    /// The number of the first shard that was never seen here.
    unseen: u32,
    follow: bool,
    /// Records that may still be sent.
    left: u64,
    /// Tells of new shards; nothing of a delivery stream.
    changes: Option<watch::Receiver<Snapshot>>,
}

#[derive(Clone)]
enum Origin {
    Own(Stream),
    Data(DataStream),
}

/// How far one shard has been read.
#[derive(Clone, Copy)]
struct Cursor {
    next: u64,
    /// Where to end; nowhere for those who follow.
    until: Option<u64>,
    over: bool,
}

/// What one read of a shard brought.
struct Chunk {
    first: u64,
    puts: Vec<Records>,
    next: u64,
    missed: u64,
    ended: bool,
}

/// Which shard may have grown.
type Wait = Pin<Box<dyn Future<Output = (u32, Result<()>)> + Send>>;

/// How a round ended.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    /// There may be more at once.
    More,
    /// All is sent that there is now.
    Quiet,
    /// There is nothing more to send, or nobody to send it to.
    Over,
}

impl Reader {
    /// Of a delivery stream's own records.
    pub(super) async fn own(stream: Stream, query: Query) -> Result<Self> {
        let extent = stream.extent().await?;
        let next = match query.from {
            StartAt::Horizon => extent.start,
            StartAt::Latest => extent.end,
            StartAt::Time(ms) => stream.position_at(ms).await?,
        };
        let cursor = Cursor { next, until: (!query.follow).then_some(extent.end), over: false };
        Ok(Reader::new(Origin::Own(stream), BTreeMap::from([(0, cursor)]), query))
    }

    /// Of all shards of a data stream.
    pub(super) async fn data(streams: &DataStreams, name: &str, query: Query) -> Result<Self> {
        let stream = streams.get(name)?;
        let changes = streams.watch();
        let start = match query.from {
            StartAt::Horizon => Start::TrimHorizon,
            StartAt::Latest => Start::Latest,
            StartAt::Time(ms) => Start::Time(ms),
        };
        let mut cursors = BTreeMap::new();
        let definition = stream.definition()?;
        for shard in &definition.shards {
            match Cursor::of(&stream, shard, start, query.follow).await {
                Ok(cursor) => drop(cursors.insert(shard.index, cursor)),
                // It was over in this very moment.
                Err(_) if is_forgotten(&stream, shard.index) => {}
                Err(error) => return Err(error),
            }
        }
        let unseen = definition.next_shard;
        Ok(Reader { changes: Some(changes), unseen, ..Reader::new(Origin::Data(stream), cursors, query) })
    }

    fn new(origin: Origin, cursors: BTreeMap<u32, Cursor>, query: Query) -> Self {
        let ready = cursors.iter().filter(|(_, cursor)| !cursor.over).map(|(index, _)| *index).collect();
        let (waits, left) = (FuturesUnordered::new(), query.limit.unwrap_or(u64::MAX));
        let Query { follow, .. } = query;
        Reader { origin, cursors, ready, waits, known: None, unseen: 0, follow, left, changes: None }
    }

    /// Feeds the client until it has all, or goes, or the service stops.
    pub(super) async fn feed(mut self, feed: Feed, hold: &Hold, clock: &Clock, stopping: &CancellationToken) {
        let ended = match stopping.run_until_cancelled(self.run(&feed, hold, clock)).await {
            // The stream was deleted, or the service stops: there is nothing more to come.
            Some(Err(error)) => matches!(error.kind(), Kind::NotFound | Kind::Closed).then_some(()).ok_or(error),
            None | Some(Ok(())) => Ok(()),
        };
        match ended {
            Ok(()) => feed.end().await,
            // The feed is dropped: the client sees that the answer broke off.
            Err(error) => tracing::warn!(%error, "a reader's answer broke off"),
        }
    }

    async fn run(&mut self, feed: &Feed, hold: &Hold, clock: &Clock) -> Result<()> {
        loop {
            match self.round(feed, hold).await? {
                Round::More => {}
                Round::Quiet if self.pause(feed, clock).await? => {}
                Round::Quiet | Round::Over => return Ok(()),
            }
        }
    }

    /// Reads once in every shard that may have something.
    async fn round(&mut self, feed: &Feed, hold: &Hold) -> Result<Round> {
        // Before the definition is looked at: what comes after is a change.
        self.changes.iter_mut().for_each(watch::Receiver::mark_unchanged);
        let gone = self.look().await?;
        if !gone.is_empty() && !send(feed, hold, gone).await {
            return Ok(Round::Over);
        }
        while let Some(Some((shard, grown))) = self.waits.next().now_or_never() {
            self.woken(shard, grown)?;
        }
        let due = self.due();
        for shard in &due {
            for piece in self.read(*shard).await? {
                if !send(feed, hold, piece).await {
                    return Ok(Round::Over);
                }
            }
        }
        let waits = self.follow || !self.ready.is_empty();
        Ok(match () {
            () if self.left == 0 || !waits => Round::Over,
            () if due.is_empty() => Round::Quiet,
            () => Round::More,
        })
    }

    /// Follows the definition if it is another one: takes up shards that were made since, and lets go those that are gone;
    /// the lines that say what of them was never read.
    async fn look(&mut self) -> Result<Vec<u8>> {
        let mut lines = Vec::new();
        let Origin::Data(stream) = &self.origin else { return Ok(lines) };
        let definition = stream.definition()?;
        if self.known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &definition)) {
            return Ok(lines);
        }
        // Also what was made and forgotten since, unseen: it had records all the same.
        let unseen = std::mem::replace(&mut self.unseen, definition.next_shard);
        for index in (unseen..definition.next_shard).filter(|_| self.follow) {
            self.cursors.insert(index, Cursor { next: 0, until: None, over: false });
            self.ready.insert(index);
        }
        let is_gone = |index: &u32| definition.shard(*index).is_none();
        let gone: Vec<u32> = self.cursors.keys().copied().filter(is_gone).collect();
        for index in gone {
            let cursor = self.cursors.remove(&index).filter(|cursor| !cursor.over);
            self.ready.remove(&index);
            let Some(cursor) = cursor else { continue };
            let before = self.known.as_ref().and_then(|known| known.shard(index)?.closed);
            let end = stream.kept_until(index).await?.max(before.map_or(0, |closed| closed.end));
            let missed = end.min(cursor.until.unwrap_or(u64::MAX)).saturating_sub(cursor.next);
            if missed > 0 {
                tracing::warn!(stream = definition.name, shard = index, missed, "a shard was over before it was read");
                line::missed(&mut lines, index, missed);
            }
        }
        self.await_all(&definition);
        self.known = Some(definition);
        Ok(lines)
    }

    /// Waits anew for the shards that have nothing now; one that was closed has its end to be read.
    fn await_all(&mut self, definition: &Definition) {
        self.waits.clear();
        for (index, cursor) in self.cursors.iter().filter(|(_, cursor)| !cursor.over) {
            if definition.shard(*index).is_some_and(|shard| shard.closed.is_some()) {
                self.ready.insert(*index);
            } else if !self.ready.contains(index) {
                self.waits.push(self.origin.grown(*index, cursor.next));
            }
        }
    }

    fn woken(&mut self, shard: u32, grown: Result<()>) -> Result<()> {
        match grown {
            Err(error) if !self.origin.is_forgotten(shard) => Err(error),
            _ => {
                self.ready.extend(self.cursors.contains_key(&shard).then_some(shard));
                Ok(())
            }
        }
    }

    /// The shards to read from now: those that may have something, and whose parents are over.
    fn due(&self) -> Vec<u32> {
        let is_open = |index: &u32| self.cursors.get(index).is_some_and(|cursor| !cursor.over);
        let waits = |index: &u32| {
            let shard = self.known.as_ref().and_then(|definition| definition.shard(*index));
            let parents = shard.into_iter().flat_map(|shard| [shard.parent, shard.adjacent_parent]);
            parents.flatten().any(|parent| is_open(&parent))
        };
        self.ready.iter().copied().filter(|index| !waits(index)).collect()
    }

    /// Reads on in one shard: its lines, in pieces.
    async fn read(&mut self, shard: u32) -> Result<Vec<Vec<u8>>> {
        let cursor = self.cursors[&shard];
        let chunk = if cursor.until.is_some_and(|until| cursor.next >= until) || self.left == 0 {
            Chunk { first: cursor.next, puts: Vec::new(), next: cursor.next, missed: 0, ended: true }
        } else {
            match self.origin.read(shard, cursor.next, self.left).await {
                Ok(chunk) => chunk,
                // The next look says what was missed; the other shards go on.
                Err(_) if self.origin.is_forgotten(shard) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        };
        let stuck = chunk.next <= cursor.next;
        let over = chunk.ended || (stuck && cursor.until.is_some());
        let pieces = self.lines(shard, &chunk, cursor.until.unwrap_or(u64::MAX));
        let next = chunk.next.max(cursor.next);
        self.cursors.insert(shard, Cursor { next, over, ..cursor });
        if over || stuck {
            self.ready.remove(&shard);
        }
        if stuck && !over {
            self.waits.push(self.origin.grown(shard, next));
        }
        Ok(pieces)
    }

    fn lines(&mut self, shard: u32, chunk: &Chunk, until: u64) -> Vec<Vec<u8>> {
        let (mut pieces, mut piece) = (Vec::new(), Vec::new());
        if chunk.missed > 0 {
            line::missed(&mut piece, shard, chunk.missed);
        }
        let facts = self.known.as_ref().and_then(|definition| definition.shard(shard));
        let mut position = chunk.first;
        for put in &chunk.puts {
            for (index, data) in put.iter().enumerate() {
                if self.left == 0 || position >= until {
                    break;
                }
                let place = facts.map_or(Place::Position(position), |facts| Place::Sequence(facts, position));
                let key = put.keys.as_ref().map(|keys| keys.get(index));
                line::record(&mut piece, place, put.arrived_ms, key, data);
                self.left -= 1;
                position += 1;
                if piece.len() >= TAIL_PIECE_BYTES {
                    pieces.push(std::mem::take(&mut piece));
                }
            }
        }
        pieces.extend(Some(piece).filter(|piece| !piece.is_empty()));
        pieces
    }

    /// Waits for something new; false when the client has gone.
    async fn pause(&mut self, feed: &Feed, clock: &Clock) -> Result<bool> {
        let Reader { waits, changes, .. } = self;
        let changed = async {
            match changes {
                Some(changes) => changes.changed().await.map_err(|_| Error::closed("the data streams have stopped")),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((shard, grown)) = waits.next() => self.woken(shard, grown).map(|()| true),
            changed = changed => changed.map(|()| true),
            () = feed.gone() => Ok(false),
            () = clock.sleep(TAIL_HEARTBEAT) => {
                let place = feed.place().await;
                Ok(place.map(|place| place.send("\n")).is_some())
            }
        }
    }
}

/// Sends a piece once there is room for it; false when the client has gone.
async fn send(feed: &Feed, hold: &Hold, piece: Vec<u8>) -> bool {
    let Some(place) = feed.place().await else { return false };
    let mut room = None;
    if piece.len() > PUSH_FREE_BYTES {
        room = tokio::select! {
            room = hold.push_room(piece.len()) => Some(room),
            () = feed.gone() => return false,
        };
    }
    place.send_holding(piece, room);
    true
}

impl Origin {
    async fn read(&self, shard: u32, position: u64, records: u64) -> Result<Chunk> {
        match self {
            Origin::Own(stream) => {
                let batch = stream.read(position, TAIL_READ_BYTES).await?;
                let (first, next) = (batch.span.start, batch.span.end);
                let missed = first.saturating_sub(position);
                Ok(Chunk { first, puts: batch.puts, next, missed, ended: false })
            }
            Origin::Data(stream) => {
                let records = usize::try_from(records).unwrap_or(GET_RECORDS_MAX).min(GET_RECORDS_MAX);
                let read = stream.read(shard, position, ReadLimit { records, bytes: TAIL_READ_BYTES }).await?;
                let (first, next, missed) = (read.first, read.next, read.missed + read.damaged);
                Ok(Chunk { first, puts: read.puts, next, missed, ended: read.ended })
            }
        }
    }

    /// Resolves when a shard has grown; of one that is closed that is never.
    fn grown(&self, shard: u32, position: u64) -> Wait {
        match self.clone() {
            Origin::Own(stream) => Box::pin(async move { (shard, stream.grown(position).await) }),
            Origin::Data(stream) => Box::pin(async move { (shard, stream.appended(shard, position).await) }),
        }
    }

    /// Whether the stream is there, and has such a shard no more.
    fn is_forgotten(&self, shard: u32) -> bool {
        matches!(self, Origin::Data(stream) if is_forgotten(stream, shard))
    }
}

fn is_forgotten(stream: &DataStream, shard: u32) -> bool {
    stream.definition().is_ok_and(|definition| definition.shard(shard).is_none())
}

impl Cursor {
    async fn of(stream: &DataStream, shard: &Shard, start: Start, follow: bool) -> Result<Self> {
        let over = shard.closed.is_some() && start == Start::Latest;
        let next = if over { 0 } else { stream.start(shard.index, start).await? };
        let until = if follow { None } else { Some(stream.start(shard.index, Start::Latest).await?) };
        Ok(Cursor { next, until, over })
    }
}

#[cfg(test)]
mod tests;
