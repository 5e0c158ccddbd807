//! The keeper: what must be done to segments but not while a put waits. It seals, frees and removes, in the order in
//! which it is told, on a thread of its own (or, in simulations, at once).

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{mpsc, oneshot};

use super::segment::{JOURNAL_DIR, NEW, Part, REMOVED, path_of, shard_dir, stream_dir};
use super::sidecar::Sidecar;
use super::state::{Inner, Leftover, Shard, State, lock};
use crate::disk::{Disk, Open};
use crate::error::{Error, Result};
use crate::limits::{CALL_MEMORY, KEEPER_JOBS_MAX};
use crate::record::{ShardId, StreamId};

/// A job, and whom to tell when it is done.
pub(super) enum Job {
    /// Write the sidecar of a segment that nobody appends to any more, then tidy.
    Seal(Arc<Shard>, Box<Sidecar>, Option<oneshot::Sender<()>>),
    /// Free the segments that were trimmed.
    Tidy(Arc<Shard>, Option<oneshot::Sender<()>>),
    /// Remove all files of a stream.
    Remove(StreamId, Option<Arc<AtomicU64>>, oneshot::Sender<Result<()>>),
    /// Nothing: all jobs before are done.
    Flush(oneshot::Sender<()>),
}

/// How jobs reach the keeper.
#[derive(Clone)]
pub(super) enum Keeper {
    /// They are done where they are given.
    Inline(Arc<Inner>),
    /// They wait for the keeper's thread.
    Thread(mpsc::Sender<Job>),
}

impl Keeper {
    /// A keeper on its own thread.
    pub(super) fn start(inner: Arc<Inner>) -> io::Result<Keeper> {
        let (sender, mut jobs) = mpsc::channel(KEEPER_JOBS_MAX);
        std::thread::Builder::new().name("journal-keeper".into()).spawn(move || {
            while let Some(job) = jobs.blocking_recv() {
                run(&inner, job);
            }
        })?;
        Ok(Keeper::Thread(sender))
    }

    /// Gives a job; waits for room in the queue, not for the job.
    pub(super) async fn give(&self, job: Job) {
        match self {
            Keeper::Inline(inner) => run(inner, job),
            // The thread ends when the last handle has gone, so it is there.
            Keeper::Thread(jobs) => drop(jobs.send(job).await),
        }
    }
}

fn run(inner: &Inner, job: Job) {
    match job {
        Job::Seal(shard, sidecar, done) => {
            seal(inner, &shard, &sidecar);
            tidy(inner, &shard);
            done.map(|done| done.send(()));
        }
        Job::Tidy(shard, done) => {
            tidy(inner, &shard);
            done.map(|done| done.send(()));
        }
        Job::Remove(stream, bytes, done) => {
            let removed = remove_stream(&*inner.disk, stream);
            if let (Ok(()), Some(bytes)) = (&removed, bytes) {
                inner.free_bytes(&bytes, bytes.load(std::sync::atomic::Ordering::Relaxed));
            }
            let removed = removed.map_err(|error| {
                Error::unavailable(format!("cannot remove the files of stream {stream} yet")).because(error)
            });
            let _ = done.send(removed);
        }
        Job::Flush(done) => drop(done.send(())),
    }
}

/// Writes a sidecar. Where that fails the segment stays as it is: a restart reads it and tries again.
fn seal(inner: &Inner, shard: &Shard, sidecar: &Sidecar) {
    let first = sidecar.header.first;
    let path = path_of(shard.id, first, Part::Sidecar);
    let bytes = sidecar.encode();
    if let Err(error) = replace(&*inner.disk, &path, &bytes) {
        tracing::warn!(file = %path.display(), %error, "cannot write a segment's sidecar");
        return;
    }
    let sidecar_bytes = bytes.len() as u64;
    let mut view = lock(&shard.view);
    if let Some(segment) = view.segments.iter_mut().find(|segment| segment.first() == first) {
        segment.state = State::Sealed { sidecar_bytes };
        drop(view);
        inner.add_bytes(&shard.stream_bytes, sidecar_bytes);
    }
}

/// Writes a small file anew and makes it and its name durable. A crash leaves the old one or the new one: a sidecar may
/// stand under the name of the next, and alone know the shard's checkpoints.
pub(super) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(NEW);
    let new = Path::new(&new);
    remove_if_there(disk, new)?;
    let file = disk.open(new, Open::CreateNew)?;
    file.write_at(0, &[bytes])?;
    file.sync()?;
    disk.rename(new, path)?;
    disk.sync_dir(path.parent().expect("a file of the journal lies in a folder"))
}

/// Frees what was trimmed, oldest first, each durably before the next: a crash never leaves a gap.
fn tidy(inner: &Inner, shard: &Shard) {
    let dir = shard_dir(shard.id);
    loop {
        let Some(path) = lock(&shard.view).freeable().map(|segment| segment.path(shard.id)) else { break };
        if let Err(error) = remove_if_there(&*inner.disk, &path).and_then(|()| inner.disk.sync_dir(&dir)) {
            tracing::warn!(file = %path.display(), %error, "cannot free a segment yet");
            break;
        }
        let mut view = lock(&shard.view);
        let Some(segment) = view.segments.pop_front() else { break };
        if let State::Sealed { sidecar_bytes: bytes } = segment.state {
            view.leftovers.push_back(Leftover { first: segment.first(), calls_ms: segment.calls_ms, bytes });
        }
        drop(view);
        inner.free_bytes(&shard.stream_bytes, segment.len);
    }
    drop_leftovers(inner, shard);
}

/// Removes sidecars without a segment whose calls are too old, but never the one that alone knows the shard's end or its
/// checkpoints.
fn drop_leftovers(inner: &Inner, shard: &Shard) {
    let now_ms = inner.clock.now_ms();
    let old = |leftover: &Leftover| {
        leftover.calls_ms == 0 || leftover.calls_ms.saturating_add(CALL_MEMORY.as_millis() as u64) < now_ms
    };
    loop {
        let (leftover, taken_over) = {
            let view = lock(&shard.view);
            let Some(oldest) = view.superseded().filter(|oldest| old(oldest)) else { return };
            // A segment that begins where an empty one did has taken the sidecar's name over.
            (*oldest, view.segments.iter().any(|segment| segment.first() == oldest.first))
        };
        if !taken_over {
            let path = path_of(shard.id, leftover.first, Part::Sidecar);
            if let Err(error) = remove_if_there(&*inner.disk, &path) {
                tracing::warn!(file = %path.display(), %error, "cannot remove an old sidecar yet");
                return;
            }
        }
        lock(&shard.view).leftovers.pop_front();
        inner.free_bytes(&shard.stream_bytes, leftover.bytes);
    }
}

/// Removes a stream's folder. Its first step is a durable mark, so that after a crash a restart goes on with it.
pub(super) fn remove_stream(disk: &dyn Disk, stream: StreamId) -> io::Result<()> {
    let dir = stream_dir(stream);
    let entries = match disk.list(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mark = dir.join(REMOVED);
    if !entries.iter().any(|entry| entry.name == REMOVED) {
        drop(disk.open(&mark, Open::CreateNew)?);
    }
    disk.sync_dir(&dir)?;
    for entry in entries.iter().filter(|entry| entry.is_dir) {
        let shard = dir.join(&entry.name);
        for file in disk.list(&shard)? {
            remove_if_there(disk, &shard.join(&file.name))?;
        }
        disk.sync_dir(&shard)?;
        disk.remove_dir(&shard)?;
    }
    disk.sync_dir(&dir)?;
    remove_if_there(disk, &mark)?;
    disk.remove_dir(&dir)?;
    disk.sync_dir(Path::new(JOURNAL_DIR))
}

/// Removes a file; it may be gone already.
pub(super) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Whether a shard's folder may hold what `id` says; used where names come from the disk.
pub(super) fn shard_of(stream: StreamId, name: &str) -> Option<ShardId> {
    let index: u32 = name.parse().ok()?;
    (index.to_string() == name).then_some(ShardId { stream, index })
}
