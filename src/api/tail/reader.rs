//! Reads a stream for one client: shard after shard, round after round.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

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
use crate::stream::data::{DataStream, DataStreams, Definition, ReadLimit, Snapshot, Start};

/// What is read, and how far it has been.
pub(super) struct Reader {
    origin: Origin,
    cursors: BTreeMap<u32, Cursor>,
    follow: bool,
    /// Records that may still be sent.
    left: u64,
    /// Tells of new shards; nothing of a delivery stream.
    changes: Option<watch::Receiver<Snapshot>>,
}

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

type Wait<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

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
        for shard in &stream.definition()?.shards {
            let over = shard.closed.is_some() && start == Start::Latest;
            let next = if over { 0 } else { stream.start(shard.index, start).await? };
            let until = if query.follow { None } else { Some(stream.start(shard.index, Start::Latest).await?) };
            cursors.insert(shard.index, Cursor { next, until, over });
        }
        Ok(Reader { changes: Some(changes), ..Reader::new(Origin::Data(stream), cursors, query) })
    }

    fn new(origin: Origin, cursors: BTreeMap<u32, Cursor>, query: Query) -> Self {
        Reader { origin, cursors, follow: query.follow, left: query.limit.unwrap_or(u64::MAX), changes: None }
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
            // Before the definition is looked at: what comes after is a change.
            self.changes.iter_mut().for_each(watch::Receiver::mark_unchanged);
            let definition = self.definition()?;
            if let Some(definition) = &definition {
                self.discover(definition).await?;
            }
            let mut quiet = true;
            for shard in self.due(definition.as_deref()) {
                for piece in self.read(shard, definition.as_deref()).await? {
                    if !send(feed, hold, piece).await {
                        return Ok(());
                    }
                    quiet = false;
                }
                // What waited for this shard can be read now.
                quiet &= !self.cursors[&shard].over;
            }
            let waits = self.follow || self.cursors.values().any(|cursor| !cursor.over);
            if self.left == 0 || !waits {
                return Ok(());
            }
            if quiet && !self.pause(feed, clock).await? {
                return Ok(());
            }
        }
    }

    fn definition(&self) -> Result<Option<Arc<Definition>>> {
        match &self.origin {
            Origin::Own(_) => Ok(None),
            Origin::Data(stream) => stream.definition().map(Some),
        }
    }

    /// Takes up shards that were made since, and forgets those that are gone.
    async fn discover(&mut self, definition: &Definition) -> Result<()> {
        self.cursors.retain(|index, _| definition.shard(*index).is_some());
        let Origin::Data(stream) = &self.origin else { return Ok(()) };
        for shard in definition.shards.iter().filter(|_| self.follow) {
            if let Entry::Vacant(place) = self.cursors.entry(shard.index) {
                let next = stream.start(shard.index, Start::TrimHorizon).await?;
                place.insert(Cursor { next, until: None, over: false });
            }
        }
        Ok(())
    }

    /// The shards to read from now: those that are not over, and whose parents are.
    fn due(&self, definition: Option<&Definition>) -> Vec<u32> {
        let open: BTreeSet<u32> =
            self.cursors.iter().filter(|(_, cursor)| !cursor.over).map(|(index, _)| *index).collect();
        let waits = |index: &u32| {
            let shard = definition.and_then(|definition| definition.shard(*index));
            let parents = shard.into_iter().flat_map(|shard| [shard.parent, shard.adjacent_parent]);
            parents.flatten().any(|parent| open.contains(&parent))
        };
        open.iter().copied().filter(|index| !waits(index)).collect()
    }

    /// Reads on in one shard: its lines, in pieces.
    async fn read(&mut self, shard: u32, definition: Option<&Definition>) -> Result<Vec<Vec<u8>>> {
        let cursor = self.cursors[&shard];
        let chunk = if cursor.until.is_some_and(|until| cursor.next >= until) || self.left == 0 {
            Chunk { first: cursor.next, puts: Vec::new(), next: cursor.next, missed: 0, ended: true }
        } else {
            self.origin.read(shard, cursor.next, self.left).await?
        };
        let stuck = chunk.next <= cursor.next && cursor.until.is_some();
        let over = chunk.ended || stuck;
        let pieces = self.lines(shard, &chunk, cursor.until.unwrap_or(u64::MAX), definition);
        self.cursors.insert(shard, Cursor { next: chunk.next.max(cursor.next), over, ..cursor });
        Ok(pieces)
    }

    fn lines(&mut self, shard: u32, chunk: &Chunk, until: u64, definition: Option<&Definition>) -> Vec<Vec<u8>> {
        let (mut pieces, mut piece) = (Vec::new(), Vec::new());
        if chunk.missed > 0 {
            line::missed(&mut piece, shard, chunk.missed);
        }
        let facts = definition.and_then(|definition| definition.shard(shard));
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
        let Reader { origin, cursors, changes, .. } = self;
        let changed = async {
            match changes {
                Some(changes) => changes.changed().await.map_err(|_| Error::closed("the data streams have stopped")),
                None => std::future::pending().await,
            }
        };
        let open = cursors.iter().filter(|(_, cursor)| !cursor.over);
        let waits = open.map(|(index, cursor)| origin.grown(*index, cursor.next)).collect();
        tokio::select! {
            grown = any(waits) => grown.map(|()| true),
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

    fn grown(&self, shard: u32, position: u64) -> Wait<'_> {
        match self {
            Origin::Own(stream) => Box::pin(stream.grown(position)),
            Origin::Data(stream) => Box::pin(stream.grown(shard, position)),
        }
    }
}

/// The first of them that is done; never, if there are none.
async fn any(mut waits: Vec<Wait<'_>>) -> Result<()> {
    poll_fn(|context| {
        let polled = waits.iter_mut().map(|wait| wait.as_mut().poll(context));
        polled.into_iter().find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

#[cfg(test)]
mod tests;
