//! What functions made of records, kept in files until it is delivered: a function may answer otherwise another time, so
//! what a plan delivers must be there before the plan is.
//!
//! A file appears whole, and durable, or not at all; its name, length and digest stand in the plan. It is removed once the
//! plan is committed, and at a start if no unfinished plan names it. Of partitioned streams there is a file for each batch:
//! see [`batch`].

mod batch;
mod file;
mod part;
mod seal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::disk::Disk;
use crate::error::{Error, Kind, Result};
use crate::ledger::Tally;
use crate::limits::STAGED_BYTES_MAX;
use crate::record::{ShardId, StreamId};

pub(super) use batch::{BatchId, Label, digest_of};
pub(super) use part::{Part, decode, encode};
pub(super) use seal::{Master, Seal};

use file::{Reader, Writer};
const DIR: &str = "staged";
/// How the name of a file ends that is not whole yet.
const UNFINISHED: &str = ".new";

/// A staged file, as a plan names it, with what is in it: what was counted can be told though it be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Staged {
    /// Its name in the directory.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
    /// What became of the plan's records; objects are not counted.
    pub tally: Tally,
}

/// The directory of staged files. Cheap to clone.
#[derive(Clone)]
pub struct Staging(Arc<Inner>);

struct Inner {
    disk: Arc<dyn Disk>,
    clock: Clock,
    master: Option<Master>,
    bytes_max: u64,
    held: Mutex<BTreeMap<String, Held>>,
    /// The files of batches and their bytes: they have a bound of their own, since they go when a watermark advances.
    batches: Mutex<BTreeMap<BatchId, u64>>,
}

/// What is known of a file, be it finished or not.
#[derive(Clone, Copy)]
struct Held {
    stream: StreamId,
    bytes: u64,
}

impl Staging {
    /// Opens the directory, which is made. With a `secret` what is written is encrypted.
    pub fn open(disk: Arc<dyn Disk>, clock: Clock, secret: Option<&[u8; 32]>) -> Result<Self> {
        Staging::with_room(disk, clock, secret, STAGED_BYTES_MAX)
    }

    fn with_room(disk: Arc<dyn Disk>, clock: Clock, secret: Option<&[u8; 32]>, bytes_max: u64) -> Result<Self> {
        let made = disk.create_dirs(Path::new(DIR)).and_then(|()| disk.sync_dir(Path::new("")));
        made.map_err(|error| Error::unavailable(format!("the directory {DIR} cannot be made")).because(error))?;
        let inner = Inner {
            disk,
            clock,
            master: secret.map(Master::new),
            bytes_max,
            held: Mutex::default(),
            batches: Mutex::default(),
        };
        Ok(Staging(Arc::new(inner)))
    }

    /// Removes every file but those in `needed`: those that unfinished plans name, each with its delivery stream, and those of
    /// batches above the `watermarks` of the delivery streams that there are. At a start.
    pub fn retain(
        &self,
        needed: &BTreeMap<String, StreamId>,
        watermarks: &BTreeMap<StreamId, BTreeMap<ShardId, u64>>,
    ) -> Result<()> {
        let failed = |error| Error::unavailable(format!("the directory {DIR} cannot be cleared")).because(error);
        let is_past = |id: &BatchId| {
            let marks = watermarks.get(&id.stream);
            marks.is_none_or(|marks| marks.get(&id.shard).is_some_and(|mark| id.start < *mark))
        };
        for entry in self.0.disk.list(Path::new(DIR)).map_err(failed)? {
            if let Some(id) = BatchId::of_file(&entry.name).filter(|id| !is_past(id)) {
                self.batches().insert(id, entry.len);
            } else if let Some(stream) = needed.get(&entry.name) {
                self.held().insert(entry.name, Held { stream: *stream, bytes: entry.len });
            } else if !entry.is_dir {
                tracing::info!(file = entry.name, "a staged file that no plan names is removed");
                self.0.disk.remove(&path(&entry.name)).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Removes the files of a delivery stream that is gone.
    pub async fn forget(&self, stream: StreamId) {
        let files: Vec<_> =
            self.held().iter().filter(|(_, held)| held.stream == stream).map(|(name, _)| name.clone()).collect();
        for file in files {
            self.remove(file).await;
        }
        let staging = self.clone();
        // A task that is not run is one at the end of the process.
        let _ = tokio::task::spawn_blocking(move || staging.forget_batches(stream)).await;
    }

    /// Removes a file that is not needed any more. What cannot be removed is removed at the next start.
    pub(super) async fn remove(&self, file: String) {
        let staging = self.clone();
        // A task that is not run is one at the end of the process.
        let _ = tokio::task::spawn_blocking(move || staging.remove_now(&file)).await;
    }

    fn remove_now(&self, file: &str) {
        match self.0.disk.remove(&path(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file, %error, "a staged file cannot be removed, will be at the next start");
            }
            _ => _ = self.held().remove(file),
        }
    }

    /// Begins a file for about `expected` bytes of `stream`. It blocks.
    ///
    /// # Errors
    /// [`Unavailable`](Kind::Unavailable) while there is no room, and when the disk fails.
    pub(super) fn begin(&self, stream: StreamId, expected: u64) -> Result<Draft> {
        let name = self.0.clock.uuid();
        // Whoever is alone may begin, however much it will be: there is nobody to wait for.
        self.hold(&name, stream, 0, |used| if used == 0 { 0 } else { expected })?;
        let mut draft = Draft { staging: self.clone(), name, stream, writer: None, tally: Tally::default() };
        let inner = &*self.0;
        let writer = Writer::create(&*inner.disk, &draft.path(), &draft.name, inner.master.as_ref());
        draft.writer = Some(writer.map_err(not_kept)?);
        Ok(draft)
    }

    /// Reads a file from its beginning. It blocks.
    pub(super) fn read(&self, staged: &Staged) -> Result<Parts> {
        let inner = &*self.0;
        Ok(Parts(Reader::open(&*inner.disk, &path(&staged.file), staged, inner.master.as_ref())?))
    }

    /// Takes note that a file has `bytes` and is to grow by as many as `more` says of all the bytes that are used.
    fn hold(&self, name: &str, stream: StreamId, bytes: u64, more: impl Fn(u64) -> u64) -> Result<()> {
        let max = self.0.bytes_max;
        let mut held = self.held();
        let others = held.iter().filter(|(other, _)| *other != name).map(|(_, held)| held.bytes);
        let used = others.sum::<u64>() + bytes;
        if used + more(used) > max {
            let message = format!(
                "what functions made takes {used} of at most {max} bytes of disk, and there is no room for more: records wait \
                 until objects are delivered"
            );
            return Err(Error::new(Kind::Unavailable, message));
        }
        held.insert(name.to_owned(), Held { stream, bytes });
        Ok(())
    }

    fn batches(&self) -> MutexGuard<'_, BTreeMap<BatchId, u64>> {
        self.0.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is being written; it goes when this is dropped.
pub(super) struct Draft {
    staging: Staging,
    name: String,
    stream: StreamId,
    writer: Option<Writer>,
    tally: Tally,
}

impl Draft {
    /// Bytes of the file so far.
    pub(super) fn bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::bytes)
    }

    /// Writes what became of the next chunk. It blocks.
    pub(super) fn push(&mut self, part: &Part) -> Result<()> {
        self.tally.add(&part.tally);
        let body = part::encode(part);
        let Some(writer) = &mut self.writer else { return Err(Error::new(Kind::Internal, "the file is finished")) };
        let bytes = writer.bytes() + body.len() as u64;
        self.staging.hold(&self.name, self.stream, bytes, |_| 0)?;
        writer.push(body).map_err(not_kept)
    }

    /// Makes the file durable, now that what became of all `positions` is in it: `discarded` are gone with their stream,
    /// what else is missing is damaged. It blocks.
    pub(super) fn finish(mut self, positions: u64, discarded: u64) -> Result<Finished> {
        let mut last = Tally { discarded, ..Tally::default() };
        last.damaged = positions.saturating_sub(self.tally.positions() + discarded);
        self.push(&Part { tally: last, ..Part::default() })?;
        let writer = self.writer.take().ok_or_else(|| Error::new(Kind::Internal, "the file is finished"))?;
        let bytes = writer.bytes();
        let disk = &*self.staging.0.disk;
        let finished = writer.finish().and_then(|sha256| {
            disk.rename(&self.path(), &path(&self.name))?;
            disk.sync_dir(Path::new(DIR))?;
            Ok(sha256)
        });
        let sha256 = finished.map_err(not_kept)?;
        self.staging.hold(&self.name, self.stream, bytes, |_| 0)?;
        let file = std::mem::take(&mut self.name);
        let staged = Staged { file, bytes, sha256, tally: self.tally };
        Ok(Finished { staged, staging: Some(self.staging.clone()) })
    }

    fn path(&self) -> PathBuf {
        path(&(self.name.clone() + UNFINISHED))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            self.writer = None;
            // Under whichever name it is by now; what cannot be removed is removed at the next start.
            _ = self.staging.0.disk.remove(&self.path());
            self.staging.remove_now(&self.name);
        }
    }
}

/// A file that is durable; it goes when this is dropped before a plan may name it.
pub(super) struct Finished {
    staged: Staged,
    staging: Option<Staging>,
}

impl Finished {
    /// Keeps the file: from now on a plan may name it.
    pub(super) fn keep(mut self) -> Staged {
        self.staging = None;
        self.staged.clone()
    }
}

impl Drop for Finished {
    fn drop(&mut self) {
        if let Some(staging) = &self.staging {
            staging.remove_now(&self.staged.file);
        }
    }
}

/// The parts of a file, one after the other.
pub(super) struct Parts(Reader);

impl Parts {
    /// The next; `None` at the end, when all that was read is just what was written. It blocks.
    ///
    /// # Errors
    /// [`Corrupt`](Kind::Corrupt) when it is not.
    pub(super) fn next(&mut self) -> Result<Option<Part>> {
        let Some(body) = self.0.next()? else { return Ok(None) };
        part::decode(&body).map(Some).ok_or_else(|| self.0.damaged("has a part that cannot be read"))
    }
}

fn not_kept(error: io::Error) -> Error {
    Error::unavailable(format!("what functions made cannot be kept in {DIR}")).because(error)
}

fn path(file: &str) -> PathBuf {
    Path::new(DIR).join(file)
}
