//! The part of a [`Feed`] that follows a data stream: which shards are read, when, and from where; what is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::future;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Done, Event, Feed, Reader, Work, of_stream};
use crate::error::{Error, Kind, Result};
use crate::record::{ShardId, StreamId};
use crate::stream::data::{DataStreams, Definition, Pin, Shard, Snapshot};

/// A data stream that is followed by its name.
pub(super) struct Following {
    name: Box<str>,
    from_ms: Option<u64>,
    definitions: watch::Receiver<Snapshot>,
    /// The definitions changed since they were looked at.
    is_stale: bool,
    pins: Option<DataStreams>,
    pin: Option<Pin>,
    current: Option<Arc<Definition>>,
    /// Where the plans of shards ended that are not open yet.
    known: BTreeMap<ShardId, u64>,
    /// Shards whose beginning is being found out, or made durable.
    beginning: BTreeSet<ShardId>,
    /// Shards whose beginning is to be found out, and whether all their records are wanted.
    fresh: Vec<(ShardId, bool)>,
    /// Data streams that are gone, and how far their shards were read.
    lost: Vec<(StreamId, BTreeMap<ShardId, u64>)>,
    frozen: Option<BTreeMap<ShardId, u64>>,
    ahead: Arc<[ShardId]>,
}

impl Following {
    pub(super) fn new(
        name: &str,
        definitions: watch::Receiver<Snapshot>,
        pins: Option<DataStreams>,
        from_ms: Option<u64>,
    ) -> Self {
        Following {
            name: name.into(),
            from_ms,
            definitions,
            is_stale: true,
            pins,
            pin: None,
            current: None,
            known: BTreeMap::new(),
            beginning: BTreeSet::new(),
            fresh: Vec::new(),
            lost: Vec::new(),
            frozen: None,
            ahead: Arc::default(),
        }
    }

    /// Waits for a change of the definitions.
    pub(super) async fn changed(&mut self) {
        if self.definitions.changed().await.is_err() {
            // The service ends.
            future::pending::<()>().await;
        }
        self.is_stale = true;
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    pub(super) fn freeze(&mut self, wanted: BTreeMap<ShardId, u64>) {
        self.frozen = Some(wanted);
    }

    /// How far `shard` is wanted; all of it without.
    pub(super) fn wanted(&self, shard: ShardId) -> Option<u64> {
        self.frozen.as_ref()?.get(&shard).copied()
    }

    /// All shards of the stream as it is now, and where those ended that are closed.
    pub(super) fn listed(&self) -> Vec<(ShardId, Option<u64>)> {
        let place = |now, shard: &Shard| (id_of(now, shard), shard.closed.map(|closed| closed.end));
        self.current.iter().flat_map(|now| now.shards.iter().map(move |shard| place(now, shard))).collect()
    }

    /// Takes note that the beginning of `shard` is durable; where it was closed, if it was.
    pub(super) fn opens(&mut self, shard: ShardId) -> Option<u64> {
        self.beginning.remove(&shard);
        let now = self.current.as_ref().filter(|now| now.id == shard.stream)?;
        Some(now.shard(shard.index)?.closed?.end)
    }

    /// Whether it is a stream's.
    pub(super) fn is_of(&self, stream: StreamId) -> bool {
        self.current.as_ref().is_some_and(|now| now.id == stream)
    }

    pub(super) fn past(&self, shard: ShardId, position: u64) {
        if let (Some(pin), Some(now)) = (&self.pin, &self.current)
            && now.id == shard.stream
        {
            pin.past(shard.index, position);
        }
    }

    pub(super) fn fault(&self) -> Option<Error> {
        let missing = || Error::new(Kind::NotFound, format!("data stream {} does not exist", self.name));
        self.current.is_none().then(missing)
    }

    pub(super) fn ahead(&self) -> Arc<[ShardId]> {
        self.ahead.clone()
    }

    /// Whether a shard was opened so late that all its records are wanted.
    fn is_wanted_whole(&self, opened_ms: u64) -> bool {
        self.from_ms.is_some_and(|from_ms| opened_ms >= from_ms)
    }
}

impl Feed {
    /// Takes up the shards of data streams that the ledger knows.
    pub(super) fn take_up(&mut self, ends: BTreeMap<ShardId, u64>) {
        let Some(following) = &mut self.following else { return };
        let streams: BTreeSet<StreamId> = ends.keys().map(|shard| shard.stream).collect();
        let exists = |stream: &StreamId| self.reader.has_data_stream(*stream);
        for gone in streams.iter().filter(|stream| **stream != self.own && !exists(stream)) {
            let read = ends.iter().filter(|(shard, _)| shard.stream == *gone).map(|(shard, end)| (*shard, *end));
            following.lost.push((*gone, read.collect()));
        }
        following.known = ends.into_iter().filter(|(shard, _)| exists(&shard.stream)).collect();
        self.look();
        self.warn_of_others();
    }

    /// Says which data streams were read before and are not any more: they exist, and the source is another one now.
    fn warn_of_others(&self) {
        let Some(following) = &self.following else { return };
        let now = following.current.as_ref().map(|now| now.id);
        let others = following.known.keys().map(|shard| shard.stream).filter(|stream| Some(*stream) != now);
        for other in others.collect::<BTreeSet<_>>() {
            tracing::warn!(
                by = %self.by,
                data_stream = %other,
                now = &*following.name,
                "the source is another data stream than before: what the one before holds and was not delivered is not"
            );
        }
    }

    /// Brings it in line with the definitions, if they changed.
    pub(super) fn look(&mut self) {
        let Some(following) = &mut self.following else { return };
        if !following.is_stale && !following.definitions.has_changed().unwrap_or(false) {
            return;
        }
        following.is_stale = false;
        let now = following.definitions.borrow_and_update().get(&*following.name).cloned();
        let is_same = |one: &Arc<Definition>, other: &Arc<Definition>| Arc::ptr_eq(one, other);
        match (&following.current, &now) {
            (None, None) => return,
            (Some(before), Some(now)) if is_same(before, now) => return,
            _ => {}
        }
        let after = now.as_ref().map(|now| now.id);
        let before = std::mem::replace(&mut following.current, now);
        if before.as_ref().map(|before| before.id) != after {
            following.pin = following.pins.as_ref().zip(after).map(|(pins, stream)| pins.pin(stream, self.by));
            if let Some(gone) = before {
                self.lose(&gone);
            }
        }
        self.follow();
    }

    /// Gives a data stream up that was deleted: what was read of it, and what would have been.
    fn lose(&mut self, gone: &Definition) {
        let Some(following) = &mut self.following else { return };
        let mut read: BTreeMap<ShardId, u64> = following.ahead.iter().map(|shard| (*shard, 0)).collect();
        following.ahead = Arc::default();
        for shard in of_stream(following.known.keys().copied(), gone.id) {
            read.extend(following.known.remove_entry(&shard));
        }
        for shard in of_stream(self.shards.keys().copied(), gone.id) {
            if let Some(mut place) = self.shards.remove(&shard) {
                place.give_up();
                read.insert(shard, place.position);
            }
        }
        // The journal may be gone by now, and what is said of closed shards stays true.
        for (shard, end) in &mut read {
            let closed = gone.shard(shard.index).and_then(|shard| shard.closed);
            *end = closed.map_or(*end, |closed| closed.end.max(*end));
        }
        following.beginning.retain(|shard| shard.stream != gone.id);
        following.fresh.retain(|(shard, _)| shard.stream != gone.id);
        following.lost.push((gone.id, read));
    }

    /// Closes, opens and retires shards as the definition says and reading allows.
    pub(super) fn follow(&mut self) {
        let Some(now) = self.following.as_ref().and_then(|following| following.current.clone()) else { return };
        self.close(&now);
        self.retire(&now);
        // A parent has a lower number than its children, so one that is at its end already opens them in the same pass.
        for shard in &now.shards {
            self.consider(&now, shard);
        }
        let Some(following) = &mut self.following else { return };
        let is_ahead = |shard: &&Shard| {
            let id = id_of(&now, shard);
            following.is_wanted_whole(shard.opened_ms)
                && !self.shards.contains_key(&id)
                && !following.known.contains_key(&id)
        };
        following.ahead = now.shards.iter().filter(is_ahead).map(|shard| id_of(&now, shard)).collect();
    }

    /// Takes note of where shards ended that were open.
    fn close(&mut self, now: &Definition) {
        let ended = now.shards.iter().filter_map(|shard| Some((id_of(now, shard), shard.closed?.end)));
        for (shard, end) in ended {
            if let Some(place) = self.shards.get_mut(&shard).filter(|place| place.closed.is_none()) {
                place.closed = Some(end);
                self.arm(shard);
            }
        }
    }

    /// Forgets shards that the definition does not list any more.
    fn retire(&mut self, now: &Definition) {
        let Some(following) = &mut self.following else { return };
        let known = self.shards.keys().chain(following.known.keys()).copied();
        let mut gone: Vec<ShardId> =
            known.filter(|shard| shard.stream == now.id && now.shard(shard.index).is_none()).collect();
        for shard in &gone {
            following.known.remove(shard);
            if let Some(mut place) = self.shards.remove(shard) {
                place.give_up();
            }
        }
        gone.sort_unstable();
        if !gone.is_empty() {
            self.events.push_back(Event::Retired(gone));
        }
    }

    /// Opens a shard, or has its beginning found out, if it is its time.
    fn consider(&mut self, now: &Definition, shard: &Shard) {
        let id = id_of(now, shard);
        if self.shards.contains_key(&id) || !shard.parents().all(|parent| self.is_read(now, parent)) {
            return;
        }
        let leads_on = |parent| self.shards.get(&ShardId { stream: now.id, index: parent }).is_some_and(|p| p.leads_on);
        let follows_on = shard.parents().any(leads_on);
        let Some(following) = &mut self.following else { return };
        if following.frozen.as_ref().is_some_and(|frozen| !frozen.contains_key(&id)) {
            return;
        }
        if let Some(position) = following.known.remove(&id) {
            self.open_at(id, position, shard.closed.map(|closed| closed.end));
        } else if following.beginning.insert(id) {
            following.fresh.push((id, follows_on || following.is_wanted_whole(shard.opened_ms)));
        }
    }

    /// Whether a shard has been read to its end, or is no more.
    fn is_read(&self, now: &Definition, index: u32) -> bool {
        let Some(parent) = now.shard(index) else { return true };
        let place = self.shards.get(&id_of(now, parent));
        parent.closed.is_some_and(|closed| place.is_some_and(|place| place.position >= closed.end))
    }

    /// Whether something is to be found out before shards are waited for.
    pub(super) fn has_chores(&self) -> bool {
        let unsaid = |following: &Following| {
            !following.lost.is_empty() || !following.fresh.is_empty() || !following.beginning.is_empty()
        };
        self.following.as_ref().is_some_and(unsaid)
    }

    /// The next thing that is to be found out.
    pub(super) fn chores(&mut self) -> Option<Work> {
        let following = self.following.as_mut()?;
        let reader = self.reader.clone();
        if let Some((stream, read)) = following.lost.pop() {
            return Some(Box::pin(async move { Done::Said(Ok(Event::Gone(stream, ends(&reader, read).await))) }));
        }
        let fresh = std::mem::take(&mut following.fresh);
        if fresh.is_empty() {
            return None;
        }
        let from_ms = following.from_ms;
        Some(Box::pin(async move {
            let mut begins = Vec::with_capacity(fresh.len());
            for (shard, is_whole) in fresh {
                match if is_whole { Ok(0) } else { beginning(&reader, shard, from_ms).await } {
                    Ok(position) => begins.push((shard, position)),
                    // Its stream is gone, as the definitions will say.
                    Err(error) if error.kind() == Kind::NotFound => {}
                    Err(error) => return Done::Said(Err(error)),
                }
            }
            Done::Said(Ok(Event::Begins(begins)))
        }))
    }
}

/// Where a shard begins that was there before the delivery stream: with what arrived at `from_ms` or later, or with the
/// oldest that there is.
async fn beginning(reader: &Reader, shard: ShardId, from_ms: Option<u64>) -> Result<u64> {
    match from_ms {
        Some(from_ms) => reader.journal.position_at(shard, from_ms).await,
        None => Ok(reader.extent(shard).await?.start),
    }
}

/// Where the shards of a stream that is gone ended: what the journal says, while it still can, but not less than was read.
async fn ends(reader: &Reader, mut read: BTreeMap<ShardId, u64>) -> BTreeMap<ShardId, u64> {
    for (shard, end) in &mut read {
        if let Ok(extent) = reader.extent(*shard).await {
            *end = extent.end.max(*end);
        }
    }
    read
}

fn id_of(now: &Definition, shard: &Shard) -> ShardId {
    ShardId { stream: now.id, index: shard.index }
}
