//! What the handle, the writer and the keeper see together: the shards, their segments, and how much disk they take.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::Options;
use super::cipher::{Cipher, Master};
use super::damage::{self, Hole};
use super::fresh::Fresh;
use super::segment::{Header, Part, path_of};
use super::sidecar::Mark;
use crate::clock::{Clock, Instant};
use crate::disk::Disk;
use crate::error::{Error, Kind, Result};
use crate::journal::Checkpoint;
use crate::limits::{CALL_MEMORY, SEGMENT_SPARE_IDLE, WRITE_FAULT_MEMORY};
use crate::record::{ShardId, StreamId};

/// Takes a lock that is never held across an await; a panic of another holder leaves nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that the three share.
pub(super) struct Inner {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Clock,
    pub(super) options: Options,
    pub(super) master: Option<Master>,
    pub(super) fresh: Mutex<Fresh>,
    /// Bytes on disk of all streams.
    pub(super) disk_bytes: AtomicU64,
    shards: Mutex<Shards>,
    /// Why appends are refused, if they are.
    refusal: Mutex<Option<(Kind, String)>>,
    /// Why the last write failed, and when; none after one that went well.
    write_fault: Mutex<Option<(Instant, String)>>,
}

#[derive(Default)]
struct Shards {
    by_id: BTreeMap<ShardId, Arc<Shard>>,
    /// Bytes on disk of each stream.
    streams: BTreeMap<StreamId, Arc<AtomicU64>>,
    removed: HashSet<StreamId>,
}

impl Inner {
    pub(super) fn new(disk: Arc<dyn Disk>, clock: Clock, options: Options) -> Self {
        Inner {
            disk,
            clock,
            master: options.encryption_key.as_ref().map(|key| Master::new(key)),
            fresh: Mutex::new(Fresh::new(options.fresh_bytes)),
            disk_bytes: AtomicU64::new(0),
            shards: Mutex::default(),
            refusal: Mutex::default(),
            write_fault: Mutex::default(),
            options,
        }
    }

    /// A shard that was written before; `NotFound` when its stream was removed.
    pub(super) fn find(&self, id: ShardId) -> Result<Option<Arc<Shard>>> {
        let shards = lock(&self.shards);
        if shards.removed.contains(&id.stream) {
            return Err(removed(id.stream));
        }
        Ok(shards.by_id.get(&id).cloned())
    }

    /// A shard, made if there is none; `NotFound` when its stream was removed.
    pub(super) fn find_or_make(&self, id: ShardId) -> Result<Arc<Shard>> {
        let mut shards = lock(&self.shards);
        if shards.removed.contains(&id.stream) {
            return Err(removed(id.stream));
        }
        if let Some(shard) = shards.by_id.get(&id) {
            return Ok(shard.clone());
        }
        let stream_bytes = shards.streams.entry(id.stream).or_default().clone();
        let shard = Arc::new(Shard {
            id,
            stream_bytes,
            view: Mutex::default(),
            called_ms: AtomicU64::new(0),
            tip: watch::Sender::new(Tip { end: 0, over: None }),
        });
        shards.by_id.insert(id, shard.clone());
        Ok(shard)
    }

    /// All shards.
    pub(super) fn all(&self) -> Vec<Arc<Shard>> {
        lock(&self.shards).by_id.values().cloned().collect()
    }

    /// Forgets a stream and refuses it from now on. Returns what its bytes on disk are counted by.
    pub(super) fn forget_stream(&self, stream: StreamId) -> Option<Arc<AtomicU64>> {
        let mut shards = lock(&self.shards);
        shards.removed.insert(stream);
        let mine = ShardId { stream, index: 0 }..=ShardId { stream, index: u32::MAX };
        let ids: Vec<ShardId> = shards.by_id.range(mine).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(shard) = shards.by_id.remove(&id) {
                shard.tip.send_modify(|tip| tip.over = Some(Kind::NotFound));
            }
        }
        lock(&self.fresh).forget_stream(stream);
        shards.streams.remove(&stream)
    }

    /// How many streams hold bytes on disk.
    pub(super) fn streams_on_disk(&self) -> u64 {
        let shards = lock(&self.shards);
        shards.streams.values().filter(|bytes| bytes.load(Ordering::Relaxed) > 0).count() as u64
    }

    /// Counts bytes that are on disk from now on.
    pub(super) fn add_bytes(&self, stream_bytes: &AtomicU64, bytes: u64) {
        self.disk_bytes.fetch_add(bytes, Ordering::Relaxed);
        stream_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that are not on disk any more.
    pub(super) fn free_bytes(&self, stream_bytes: &AtomicU64, bytes: u64) {
        for counter in [&self.disk_bytes, stream_bytes] {
            let _ = counter.try_update(Ordering::Relaxed, Ordering::Relaxed, |used| Some(used.saturating_sub(bytes)));
        }
    }

    /// Whether appends are refused for good.
    pub(super) fn refusal(&self) -> Result<()> {
        match &*lock(&self.refusal) {
            Some((kind, why)) => Err(Error::new(*kind, why.clone())),
            None => Ok(()),
        }
    }

    /// Notes how a write went.
    pub(super) fn wrote(&self, result: Result<(), &Error>) {
        *lock(&self.write_fault) = result.err().map(|error| (self.clock.instant(), error.to_string()));
    }

    /// Whether writes go well. A fault counts for a while only: should nobody put any more because of it, nothing would
    /// ever show that the disk is well again.
    pub(super) fn writes_go_well(&self) -> Result<()> {
        match &*lock(&self.write_fault) {
            Some((when, why)) if self.clock.instant() - *when < WRITE_FAULT_MEMORY => {
                Err(Error::unavailable(why.clone()))
            }
            _ => Ok(()),
        }
    }

    /// After a sync that failed, or a write that could not be undone, nobody knows what is on the disk: nothing more is
    /// acknowledged until a restart has read what there is.
    pub(super) fn poison(&self, why: &str) {
        tracing::error!(why, "the journal is poisoned: it refuses puts until the service is restarted");
        lock(&self.refusal).get_or_insert((Kind::Unavailable, format!("journal is poisoned: {why}")));
    }

    /// Refuses appends because the journal is closing, and tells those who wait for growth.
    pub(super) fn close(&self) {
        lock(&self.refusal).get_or_insert((Kind::Closed, "the journal is closed".into()));
    }

    /// Notes damage in the segment that begins at `first`: reported once, counted once, kept beside the segment.
    pub(super) fn quarantine(&self, shard: &Shard, first: u64, hole: Hole, why: &str) {
        let note = {
            let mut view = lock(&shard.view);
            let Some(segment) = view.segments.iter_mut().find(|segment| segment.first() == first) else { return };
            let Some(lost) = damage::add(&mut segment.holes, hole) else { return };
            let note = damage::encode(&segment.holes);
            view.damaged += lost;
            note
        };
        report(&path_of(shard.id, first, Part::Segment), hole, why);
        self.write_note(shard.id, first, &note);
    }

    /// Writes the note of damage beside a segment, as well as it goes: what it says can be found out again.
    pub(super) fn write_note(&self, shard: ShardId, first: u64, note: &str) {
        let path = path_of(shard, first, Part::Note);
        if let Err(error) = super::keeper::replace(&*self.disk, &path, note.as_bytes()) {
            tracing::warn!(file = %path.display(), %error, "cannot note the damage");
        }
    }
}

/// Says what was lost, where, and how much.
pub(super) fn report(path: &std::path::Path, hole: Hole, why: &str) {
    tracing::error!(
        file = %path.display(),
        offset = hole.offset,
        bytes = hole.end_offset - hole.offset,
        first_position = hole.start,
        records = hole.positions(),
        why,
        "records were lost to damage on disk"
    );
}

fn removed(stream: StreamId) -> Error {
    Error::new(Kind::NotFound, format!("stream {stream} was removed from the journal"))
}

/// One shard.
pub(super) struct Shard {
    pub(super) id: ShardId,
    /// Bytes on disk of its whole stream.
    pub(super) stream_bytes: Arc<AtomicU64>,
    pub(super) view: Mutex<View>,
    /// When the newest put with a call came, milliseconds since 1970; 0 if none did.
    called_ms: AtomicU64,
    pub(super) tip: watch::Sender<Tip>,
}

impl Shard {
    /// Notes that a put with a call comes, or came, at that time.
    pub(super) fn called(&self, at_ms: u64) {
        self.called_ms.fetch_max(at_ms, Ordering::Relaxed);
    }

    /// Whether there may be a call that is remembered, or one in flight.
    pub(super) fn has_calls(&self, now_ms: u64) -> bool {
        let called_ms = self.called_ms.load(Ordering::Relaxed);
        called_ms > 0 && called_ms.saturating_add(CALL_MEMORY.as_millis() as u64) >= now_ms
    }
}

/// What readers at the tail wait for.
#[derive(Clone, Copy)]
pub(super) struct Tip {
    /// One past the newest durable position.
    pub(super) end: u64,
    /// Why it will not grow any more, if so.
    pub(super) over: Option<Kind>,
}

/// What there is of a shard.
#[derive(Default)]
pub(super) struct View {
    /// The oldest position that can be read.
    pub(super) start: u64,
    /// One past the newest durable position.
    pub(super) end: u64,
    /// By position; each holds something.
    pub(super) segments: VecDeque<Segment>,
    /// Sidecars whose segments are gone, by position.
    pub(super) leftovers: VecDeque<Leftover>,
    /// Positions that were lost to damage.
    pub(super) damaged: u64,
    /// The newest durable checkpoint of each source.
    pub(super) checkpoints: BTreeMap<String, Bytes>,
    /// It has, or had, checkpoints, so that some sidecar must tell of them.
    pub(super) checkpointed: bool,
    /// When the active segment was last written to.
    pub(super) written: Option<Instant>,
}

impl View {
    /// Bytes on disk.
    pub(super) fn disk_bytes(&self) -> u64 {
        let segments = self.segments.iter().map(|segment| segment.len + segment.sidecar_bytes()).sum::<u64>();
        segments + self.leftovers.iter().map(|leftover| leftover.bytes).sum::<u64>()
    }

    /// Shows what has become durable: records up to `end`, and what came with them.
    pub(super) fn grow(&mut self, end: u64, checkpoints: &[Checkpoint]) {
        self.end = end;
        self.checkpointed |= !checkpoints.is_empty();
        for checkpoint in checkpoints {
            checkpoint.enter(&mut self.checkpoints);
        }
    }

    /// The oldest segment, if it can be freed: all of it was trimmed, nobody writes to it, where it is the last one its
    /// sidecar keeps the shard's end, and its sidecar or a newer one keeps the checkpoints.
    pub(super) fn freeable(&self) -> Option<&Segment> {
        let oldest = self.segments.front()?;
        let kept = oldest.is_sealed() || self.segments.len() > 1 && (!self.checkpointed || self.has_sealed());
        (oldest.end <= self.start && oldest.state != State::Active && kept).then_some(oldest)
    }

    /// The oldest sidecar whose segment is gone, if something newer tells all that it tells but its calls.
    pub(super) fn superseded(&self) -> Option<&Leftover> {
        let newer = self.has_sealed() || !self.segments.is_empty() && !self.checkpointed;
        self.leftovers.front().filter(|_| newer || self.leftovers.len() > 1)
    }

    fn has_sealed(&self) -> bool {
        self.segments.iter().any(Segment::is_sealed)
    }

    /// Whether the active segment holds nothing that is still wanted, and how long it is.
    pub(super) fn spare(&self) -> Option<u64> {
        let newest = self.segments.back()?;
        (newest.state == State::Active && newest.end <= self.start).then_some(newest.len)
    }

    /// Whether the active segment is spare and ought to be freed: because it is long (`bytes_min` or more), or because
    /// nothing was written to it for [`SEGMENT_SPARE_IDLE`].
    pub(super) fn overdue(&self, bytes_min: u64, now: Instant) -> bool {
        let idle = self.written.is_none_or(|written| now - written >= SEGMENT_SPARE_IDLE);
        self.spare().is_some_and(|bytes| idle || bytes >= bytes_min)
    }

    /// The segment that holds `position`, or the first one behind it.
    pub(super) fn segment_at(&self, position: u64) -> Option<&Segment> {
        self.segments.get(self.segments.partition_point(|segment| segment.end <= position))
    }
}

/// A sidecar that outlived its segment: for its calls, or because it alone knows the shard's end.
#[derive(Clone, Copy)]
pub(super) struct Leftover {
    pub(super) first: u64,
    /// Arrival of its newest call; 0 if it has none.
    pub(super) calls_ms: u64,
    pub(super) bytes: u64,
}

/// One segment.
pub(super) struct Segment {
    pub(super) header: Header,
    pub(super) cipher: Option<Arc<Cipher>>,
    /// One past its last durable position.
    pub(super) end: u64,
    /// Its durable bytes.
    pub(super) len: u64,
    /// Where some of its frames begin, by position; the first frame is always among them.
    pub(super) marks: Vec<Mark>,
    pub(super) holes: Vec<Hole>,
    /// Arrival of its oldest put, milliseconds since 1970.
    pub(super) oldest_ms: u64,
    /// Arrival of its newest put.
    pub(super) newest_ms: u64,
    /// Arrival of its newest put that has a call; 0 if none has.
    pub(super) calls_ms: u64,
    pub(super) state: State,
}

impl Segment {
    /// Its first position.
    pub(super) fn first(&self) -> u64 {
        self.header.first
    }

    /// Its file.
    pub(super) fn path(&self, shard: ShardId) -> PathBuf {
        path_of(shard, self.first(), Part::Segment)
    }

    fn is_sealed(&self) -> bool {
        matches!(self.state, State::Sealed { .. })
    }

    pub(super) fn sidecar_bytes(&self) -> u64 {
        if let State::Sealed { sidecar_bytes } = self.state { sidecar_bytes } else { 0 }
    }
}

/// What may still happen to a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The writer appends to it.
    Active,
    /// Nobody appends to it; its sidecar is not durable yet.
    Retired,
    /// Its sidecar is durable.
    Sealed {
        /// The sidecar's length.
        sidecar_bytes: u64,
    },
}
