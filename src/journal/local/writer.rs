//! The writer: the one task that appends. It takes all puts that wait, writes each shard's with one write, makes
//! everything durable with one sync for each file, and answers all; what comes meanwhile is the next group.
//!
//! # Where a put can fail
//! - No room, or a write that fails: the segment is cut back to its durable length and that cut is synced, so that
//!   nothing of the put can ever be read; the answer is `Unavailable`, the next put tries again.
//! - A cut that fails: what the write left may be found by a restart, so the answer is `Internal`; the cut is tried again
//!   before anything else is written there.
//! - A sync that fails, that of a cut included: nobody knows what is on the disk. The journal is poisoned, the group is
//!   answered with `Internal`, and no sync is tried on that data again. The file is cut back all the same, as well as it
//!   goes, so that a process that starts on the same page cache does not take for stored what never reached the disk.
//!   Where the cut failed too, or the process died before it, that start finds out: it lets the page cache go first.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::active::{Active, Files};
use super::calls::Calls;
use super::frame::{Encoder, stored_bytes};
use super::group::{Group, Lane, Put, Written, answer};
use super::keeper::{Job, Keeper};
use super::sidecar::Stored;
use super::space::Room;
use super::state::{Inner, Shard, View, lock};
use super::sync::{Syncer, Target};
use crate::clock::Instant;
use crate::error::{Error, Kind, Result};
use crate::journal::Appended;
use crate::limits::{
    FREE_CHECK_EVERY, GROUP_BYTES_MAX, SEGMENT_BYTES, SEGMENT_BYTES_MIN, SEGMENT_FILE_IDLE, SEGMENT_FILES_OPEN_MAX,
    SEGMENT_SPARE_BYTES,
};
use crate::record::{CallId, ShardId, Span, StreamId};

/// What the writer is told.
#[expect(clippy::large_enum_variant, reason = "nearly all messages are puts")]
pub(super) enum Message {
    /// Store this.
    Put(Put),
    /// Where was this call stored? Asked behind the puts that are queued, so that one in flight is known.
    Recall(ShardId, CallId, oneshot::Sender<Option<Span>>),
    /// Nothing: the puts that were queued before are stored or refused.
    Pass(oneshot::Sender<()>),
    /// The shard was trimmed to its end: free its active segment.
    Retire(ShardId, oneshot::Sender<()>),
    /// Forget a stream.
    Remove(StreamId, oneshot::Sender<Result<()>>),
    /// Finish what is queued.
    Close(oneshot::Sender<()>),
}

/// The writer's state.
pub(super) struct Writer {
    inner: Arc<Inner>,
    queue: mpsc::Receiver<Message>,
    keeper: Keeper,
    syncer: Syncer,
    calls: Calls,
    room: Room,
    /// The segments that are appended to.
    active: BTreeMap<ShardId, Active>,
    files: Files,
    /// Taken from the queue, to be handled next.
    carried: Option<Message>,
    /// For the keeper, once the group is answered.
    jobs: Vec<Job>,
    gave_back: Option<Instant>,
    /// When it last looked for what is idle.
    tended: Instant,
    closing: Vec<oneshot::Sender<()>>,
}

impl Writer {
    pub(super) fn new(
        inner: Arc<Inner>,
        queue: mpsc::Receiver<Message>,
        keeper: Keeper,
        syncer: Syncer,
        calls: Calls,
    ) -> Self {
        Writer {
            tended: inner.clock.instant(),
            inner,
            queue,
            keeper,
            syncer,
            calls,
            room: Room::new(),
            active: BTreeMap::new(),
            files: Files::default(),
            carried: None,
            jobs: Vec::new(),
            gave_back: None,
            closing: Vec::new(),
        }
    }

    /// Counts the files that are held open.
    #[cfg(test)]
    pub(super) fn files(&self) -> Files {
        self.files.clone()
    }

    /// Runs until the journal is closed or all its handles are gone.
    pub(super) async fn run(mut self) {
        while let Some(message) = self.next().await {
            match message {
                Message::Put(put) => {
                    let group = self.gather(put);
                    self.commit(group);
                }
                Message::Recall(shard, call, answer) => {
                    let _ = answer.send(self.calls.find(shard, call, self.inner.clock.now_ms()));
                }
                Message::Pass(done) => drop(done.send(())),
                Message::Retire(shard, done) => self.retire_spare(shard, done),
                Message::Remove(stream, done) => self.remove(stream, done),
                Message::Close(done) => {
                    // What is queued is still taken; the queue ends when it is empty.
                    self.queue.close();
                    self.closing.push(done);
                }
            }
            self.close_surplus_files();
            self.tend();
            self.give_jobs().await;
        }
        self.finish().await;
    }

    async fn next(&mut self) -> Option<Message> {
        if let Some(message) = self.carried.take() {
            return Some(message);
        }
        while self.files.open() > 0 || self.active.values().any(|active| lock(&active.shard.view).spare().is_some()) {
            let clock = self.inner.clock.clone();
            if let Some(message) = clock.within(SEGMENT_FILE_IDLE, self.queue.recv()).await {
                return message;
            }
            self.tend();
            self.give_jobs().await;
        }
        self.queue.recv().await
    }

    /// Closes the files of shards that are idle, and ends segments of which nothing is wanted for long.
    fn tend(&mut self) {
        let now = self.inner.clock.instant();
        if now - self.tended < SEGMENT_FILE_IDLE {
            return;
        }
        self.tended = now;
        for active in self.active.values_mut().filter(|active| now - active.used >= SEGMENT_FILE_IDLE) {
            active.close();
        }
        let bytes_min = spare_bytes(&self.inner);
        self.retire_where(|view| view.overdue(bytes_min, now));
    }

    /// Takes what waits, up to the size of a group.
    fn gather(&mut self, put: Put) -> Group {
        let mut group = Group::default();
        let mut next = Some(put);
        while let Some(put) = next.take() {
            self.admit(&mut group, put);
            if self.carried.is_some() || group.bytes >= GROUP_BYTES_MAX as u64 {
                break;
            }
            match self.queue.try_recv() {
                Ok(Message::Put(put)) => next = Some(put),
                Ok(message) => self.carried = Some(message),
                Err(_) => {}
            }
        }
        group
    }

    /// Takes a put into the group, or answers it, or leaves it for the next group.
    fn admit(&mut self, group: &mut Group, put: Put) {
        let Some(put) = group.join(put) else { return };
        let encrypt = put.append.encrypt;
        if group.encrypts(put.shard).is_some_and(|encrypts| encrypts != encrypt) {
            // A segment is either encrypted or not, and a group writes to one segment of a shard.
            self.carried = Some(Message::Put(put));
            return;
        }
        let bytes = stored_bytes(&put.append.records, put.append.checkpoint.as_ref(), encrypt);
        match self.place(group, &put, bytes) {
            Ok(Place::Stored(stored)) => drop(put.answer.send(Ok(stored))),
            Ok(Place::Room(shard)) => group.push(shard, put, bytes),
            Err(error) => drop(put.answer.send(Err(error))),
        }
    }

    fn place(&mut self, group: &Group, put: &Put, bytes: u64) -> Result<Place> {
        self.inner.refusal()?;
        let shard = self.inner.find_or_make(put.shard)?;
        let now_ms = self.inner.clock.now_ms();
        if let Some(span) = put.append.call.and_then(|call| self.calls.find(put.shard, call, now_ms)) {
            return Ok(Place::Stored(Appended { span, repeated: true }));
        }
        group.check_sources(&shard, put)?;
        let taken = self.room.take(&self.inner, &shard, bytes, put.append.bytes_max);
        if taken.is_err() {
            self.give_back();
        }
        taken.map(|()| Place::Room(shard))
    }

    /// Writes, syncs, publishes and answers.
    fn commit(&mut self, group: Group) {
        let mut written = Vec::with_capacity(group.lanes.len());
        for lane in group.lanes {
            match self.write(&lane) {
                Ok(wrote) => {
                    self.inner.wrote(Ok(()));
                    written.push((lane, wrote));
                }
                Err(error) => {
                    if error.kind() == Kind::Unavailable {
                        self.inner.wrote(Err(&error));
                    }
                    lane.fail(&error);
                }
            }
        }
        self.room.settle();
        let synced = self.sync(&written);
        for ((lane, wrote), synced) in written.into_iter().zip(synced) {
            match synced {
                Ok(()) => self.publish(lane, &wrote),
                Err(why) => {
                    self.inner.poison(&why);
                    let durable = self.active.get(&lane.shard.id).map_or(0, |active| active.len);
                    let _ = wrote.file.set_len(durable);
                    lane.fail(&Error::new(Kind::Internal, why));
                }
            }
        }
    }

    fn write(&mut self, lane: &Lane) -> Result<Written> {
        self.inner.refusal()?;
        let inner = self.inner.clone();
        let active = self.active_for(lane)?;
        let failed = |error| Error::unavailable("cannot write to the journal").because(error);
        let file = active.file(&*inner.disk).map_err(failed)?;
        if active.uncut {
            active.cut(&*file).map_err(|undo| undo.refuse(&inner))?;
        }
        let mut encoder =
            if active.len == 0 { Encoder::starting_with(&active.header.encode_twice()) } else { Encoder::default() };
        let heads = lane.encode(&mut encoder, &active.start());
        active.seals += heads.len() as u64;
        let len = active.len + encoder.len();
        let Err(error) = file.write_at(active.len, &encoder.parts()) else { return Ok(Written { file, heads, len }) };
        match active.cut(&*file) {
            Ok(()) => Err(failed(error)),
            // Some of it may be whole on the disk, and a crash now would leave it there.
            Err(undo) => Err(Error::new(Kind::Internal, undo.refuse(&inner).to_string()).because(error)),
        }
    }

    /// The segment that a lane is to be appended to.
    fn active_for(&mut self, lane: &Lane) -> Result<&mut Active> {
        let id = lane.shard.id;
        let max = self.segment_bytes(lane.bytes_max);
        if self.active.get(&id).is_some_and(|active| active.len >= max || active.cipher.is_some() != lane.encrypt) {
            self.retire(id, None);
        }
        match self.active.entry(id) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                Ok(entry.insert(Active::create(&self.inner, &lane.shard, lane.encrypt, &self.files)?))
            }
        }
    }

    /// A budget is given back by whole segments, so a small one asks for small segments.
    fn segment_bytes(&self, stream_max: Option<u64>) -> u64 {
        let budgets = stream_max.into_iter().chain(Some(self.room.journal_max(&self.inner)));
        let part = budgets.min().map_or(u64::MAX, |max| (max / 8).max(SEGMENT_BYTES_MIN));
        self.inner.options.segment_bytes.min(SEGMENT_BYTES).min(part)
    }

    /// Syncs each file and each new folder once. The result of each lane says what failed.
    fn sync(&self, written: &[(Lane, Written)]) -> Vec<Result<(), String>> {
        let mut targets = Vec::with_capacity(written.len());
        let mut names: Vec<PathBuf> = Vec::with_capacity(written.len());
        let mut places: HashMap<&Path, usize> = HashMap::new();
        let mut wanted = Vec::with_capacity(written.len());
        for (lane, wrote) in written {
            let active = &self.active[&lane.shard.id];
            let mut mine = vec![targets.len()];
            targets.push(Target::File(wrote.file.clone()));
            names.push(active.path());
            for dir in &active.unsynced_dirs {
                mine.push(*places.entry(dir).or_insert_with(|| {
                    targets.push(Target::Dir(dir.clone()));
                    names.push(dir.clone());
                    targets.len() - 1
                }));
            }
            wanted.push(mine);
        }
        let results = self.syncer.sync(&targets);
        let outcome = |at: &usize| match &results[*at] {
            Ok(()) => Ok(()),
            Err(error) => Err(format!("cannot sync {}: {error}", names[*at].display())),
        };
        wanted.iter().map(|mine| mine.iter().try_for_each(outcome)).collect()
    }

    /// Shows readers what is durable now, remembers its calls, and answers.
    fn publish(&mut self, lane: Lane, wrote: &Written) {
        let id = lane.shard.id;
        let active = self.active.get_mut(&id).expect("the lane was written to the active segment of its shard");
        active.publish(&self.inner, wrote);
        let end = active.end;
        for (at, retry) in lane.retries {
            let _ = retry.send(Ok(answer(id, &wrote.heads[at], true)));
        }
        let now_ms = self.inner.clock.now_ms();
        let mut answers = Vec::with_capacity(lane.puts.len());
        let mut checkpoints = Vec::new();
        let mut fresh = lock(&self.inner.fresh);
        for (put, head) in lane.puts.into_iter().zip(&wrote.heads) {
            if let Some(call) = head.call {
                let stored = Stored { call, start: head.first, count: head.count, arrived_ms: head.arrived_ms };
                self.calls.remember(id, stored, now_ms);
            }
            fresh.push(id, head.first, put.append.records);
            checkpoints.extend(put.append.checkpoint);
            answers.push((put.answer, answer(id, head, false)));
        }
        drop(fresh);
        lock(&lane.shard.view).grow(end, &checkpoints);
        for (waiting, answer) in answers {
            let _ = waiting.send(Ok(answer));
        }
        lane.shard.tip.send_modify(|tip| tip.end = end);
    }

    /// Ends a shard's active segment: it is sealed by the keeper, and the next put begins another.
    fn retire(&mut self, id: ShardId, done: Option<oneshot::Sender<()>>) {
        let Some(active) = self.active.remove(&id) else { return };
        let calls = self.calls.of(id, active.header.first, self.inner.clock.now_ms());
        if let Some(sidecar) = active.retire(calls) {
            self.jobs.push(Job::Seal(active.shard.clone(), Box::new(sidecar), done));
        }
    }

    fn retire_spare(&mut self, id: ShardId, done: oneshot::Sender<()>) {
        let (bytes_min, now) = (spare_bytes(&self.inner), self.inner.clock.instant());
        if self.active.get(&id).is_some_and(|active| lock(&active.shard.view).overdue(bytes_min, now)) {
            self.retire(id, Some(done));
        }
    }

    fn retire_where(&mut self, ended: impl Fn(&View) -> bool) {
        let ended = |(id, active): (&ShardId, &Active)| ended(&lock(&active.shard.view)).then_some(*id);
        let ids: Vec<ShardId> = self.active.iter().filter_map(ended).collect();
        for id in ids {
            self.retire(id, None);
        }
    }

    /// A budget is reached: frees every active segment of which nothing is wanted, however small.
    fn give_back(&mut self) {
        let now = self.inner.clock.instant();
        if self.gave_back.is_some_and(|last| now - last < FREE_CHECK_EVERY) {
            return;
        }
        self.gave_back = Some(now);
        self.retire_where(|view| view.spare().is_some());
    }

    fn remove(&mut self, stream: StreamId, done: oneshot::Sender<Result<()>>) {
        self.active.retain(|id, _| id.stream != stream);
        let bytes = self.inner.forget_stream(stream);
        self.jobs.push(Job::Remove(stream, bytes, done));
    }

    fn close_surplus_files(&mut self) {
        if self.files.open() <= SEGMENT_FILES_OPEN_MAX {
            return;
        }
        let mut by_use: Vec<&mut Active> = self.active.values_mut().filter(|active| active.is_open()).collect();
        by_use.sort_by_key(|active| active.used);
        // A quarter at once, so that this is rare.
        let surplus = by_use.len() - SEGMENT_FILES_OPEN_MAX / 4 * 3;
        by_use.into_iter().take(surplus).for_each(Active::close);
    }

    async fn give_jobs(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            self.keeper.give(job).await;
        }
    }

    /// Seals what a restart would take long to read, and waits for the keeper.
    async fn finish(mut self) {
        self.inner.close();
        let long: Vec<ShardId> =
            self.active.iter().filter(|(_, active)| active.len >= SEGMENT_SPARE_BYTES).map(|(id, _)| *id).collect();
        for id in long {
            self.retire(id, None);
        }
        self.give_jobs().await;
        let (done, flushed) = oneshot::channel();
        self.keeper.give(Job::Flush(done)).await;
        let _ = flushed.await;
        for shard in self.inner.all() {
            shard.tip.send_modify(|tip| tip.over = Some(Kind::Closed));
        }
        for done in self.closing {
            let _ = done.send(());
        }
    }
}

/// Where a put goes.
enum Place {
    /// It is there already.
    Stored(Appended),
    /// There is room for it in this shard.
    Room(Arc<Shard>),
}

/// How long a wholly trimmed active segment must be to be freed at once.
pub(super) fn spare_bytes(inner: &Inner) -> u64 {
    SEGMENT_SPARE_BYTES.min(inner.options.segment_bytes / 2)
}
