//! The segment that a shard's puts are appended to, as the writer knows it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::cipher::Cipher;
use super::frame::Ident;
use super::group::{Start, Written};
use super::scan::mark;
use super::segment::{Header, JOURNAL_DIR, Part, path_of, shard_dir, stream_dir};
use super::sidecar::{Sidecar, Stored};
use super::state::{Inner, Segment, Shard, State, lock};
use crate::clock::Instant;
use crate::disk::{Disk, File, Open};
use crate::error::{Error, Kind, Result};

/// An active segment.
pub(super) struct Active {
    pub(super) shard: Arc<Shard>,
    pub(super) header: Header,
    pub(super) cipher: Option<Arc<Cipher>>,
    /// Its durable bytes; 0 while not even the header is.
    pub(super) len: u64,
    /// One past the shard's last durable position.
    pub(super) end: u64,
    /// How often its data key was used. Never goes back, not even when a write is undone.
    pub(super) seals: u64,
    /// Folders whose names must be made durable before anything in it is acknowledged.
    pub(super) unsynced_dirs: Vec<PathBuf>,
    /// A failed write left bytes behind `len`, and they could not be cut off yet.
    pub(super) uncut: bool,
    /// When it was last written to.
    pub(super) used: Instant,
    file: Option<(Arc<dyn File>, Counted)>,
    files: Files,
}

impl Active {
    /// Makes the file of a new segment at the shard's end. Nothing is written to it yet.
    pub(super) fn create(inner: &Inner, shard: &Arc<Shard>, encrypt: bool, files: &Files) -> Result<Active> {
        let id = shard.id;
        let (first, new_folder) = {
            let view = lock(&shard.view);
            (view.end, view.segments.is_empty() && view.leftovers.is_empty())
        };
        let ident = Ident { stream: id.stream, shard: id.index, nonce: inner.clock.random() };
        let header = Header { ident, first, created_ms: inner.clock.now_ms(), key: None };
        let (header, cipher) = match (encrypt, &inner.master) {
            (false, _) => (header, None),
            (true, Some(master)) => {
                let (header, cipher) = header.with_key(master, &inner.clock);
                (header, Some(Arc::new(cipher)))
            }
            (true, None) => return Err(no_key()),
        };
        let mut unsynced_dirs = vec![shard_dir(id)];
        if new_folder {
            unsynced_dirs.extend([stream_dir(id.stream), PathBuf::from(JOURNAL_DIR)]);
        }
        let path = path_of(id, first, Part::Segment);
        let file = make(&*inner.disk, &path, new_folder.then(|| shard_dir(id)).as_deref())
            .map_err(|error| Error::unavailable(format!("cannot make {}", path.display())).because(error))?;
        Ok(Active {
            shard: shard.clone(),
            header,
            cipher,
            len: 0,
            end: first,
            seals: 0,
            unsynced_dirs,
            uncut: false,
            used: inner.clock.instant(),
            file: Some((file.into(), files.count())),
            files: files.clone(),
        })
    }

    /// Its file's path.
    pub(super) fn path(&self) -> PathBuf {
        path_of(self.shard.id, self.header.first, Part::Segment)
    }

    /// Where the next frames begin.
    pub(super) fn start(&self) -> Start<'_> {
        let Active { header, cipher, end, len, seals, .. } = self;
        Start { ident: header.ident, cipher: cipher.as_deref(), end: *end, len: *len, seals: *seals }
    }

    /// Its file, opened again if it was closed.
    pub(super) fn file(&mut self, disk: &dyn Disk) -> io::Result<Arc<dyn File>> {
        if let Some((file, _)) = &self.file {
            return Ok(file.clone());
        }
        let file: Arc<dyn File> = disk.open(&self.path(), Open::Write)?.into();
        self.file = Some((file.clone(), self.files.count()));
        Ok(file)
    }

    /// Whether its file is open.
    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Closes its file. All that was written is durable or cut off, so nothing is lost with the descriptor.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Takes a failed write back, durably.
    pub(super) fn cut(&mut self, file: &dyn File) -> Result<(), Undo> {
        self.uncut = true;
        file.set_len(self.len).map_err(|error| Undo::Later(self.path(), error))?;
        file.sync().map_err(|error| Undo::Never(self.path(), error))?;
        self.uncut = false;
        Ok(())
    }

    /// What was written is durable: readers may see it once the shard's end says so.
    pub(super) fn publish(&mut self, inner: &Inner, wrote: &Written) {
        let (Some(first), Some(last)) = (wrote.heads.first(), wrote.heads.last()) else { return };
        let mut view = lock(&self.shard.view);
        if self.len == 0 {
            view.segments.push_back(self.segment(first.arrived_ms));
        }
        let segment = view.segments.back_mut().expect("the active segment is in the view from its first frame on");
        debug_assert_eq!(segment.first(), self.header.first, "nobody else adds segments");
        for head in &wrote.heads {
            mark(&mut segment.marks, head.first, head.offset);
            segment.oldest_ms = segment.oldest_ms.min(head.arrived_ms);
            segment.newest_ms = segment.newest_ms.max(head.arrived_ms);
            if head.call.is_some() {
                segment.calls_ms = segment.calls_ms.max(head.arrived_ms);
            }
        }
        segment.end = last.end();
        segment.len = wrote.len;
        self.used = inner.clock.instant();
        view.written = Some(self.used);
        drop(view);
        inner.add_bytes(&self.shard.stream_bytes, wrote.len - self.len);
        self.end = last.end();
        self.len = wrote.len;
        self.unsynced_dirs.clear();
    }

    /// Ends it; returns what its sidecar is to say, unless it holds nothing.
    pub(super) fn retire(&self, calls: Vec<Stored>) -> Option<Sidecar> {
        if self.len == 0 {
            return None;
        }
        let mut view = lock(&self.shard.view);
        let checkpoints = view.checkpoints.clone();
        let segment = view.segments.iter_mut().find(|segment| segment.first() == self.header.first)?;
        segment.state = State::Retired;
        Some(Sidecar {
            header: self.header,
            end: segment.end,
            len: segment.len,
            oldest_ms: segment.oldest_ms,
            newest_ms: segment.newest_ms,
            marks: segment.marks.clone(),
            calls,
            checkpoints,
        })
    }

    fn segment(&self, arrived_ms: u64) -> Segment {
        Segment {
            header: self.header,
            cipher: self.cipher.clone(),
            end: self.header.first,
            len: 0,
            marks: Vec::new(),
            holes: Vec::new(),
            oldest_ms: arrived_ms,
            newest_ms: arrived_ms,
            calls_ms: 0,
            state: State::Active,
        }
    }
}

/// How many segment files the writer holds open.
#[derive(Clone, Default)]
pub(super) struct Files(Arc<AtomicUsize>);

impl Files {
    /// Counts one more, until the answer is dropped.
    fn count(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    /// How many there are.
    pub(super) fn open(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One open file.
struct Counted(Files);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a failed write could not be taken back.
pub(super) enum Undo {
    /// The cut failed: it can be tried again.
    Later(PathBuf, io::Error),
    /// The sync of the cut failed: nothing can be known any more.
    Never(PathBuf, io::Error),
}

impl Undo {
    /// The error for the put, after the journal was poisoned where it must be.
    pub(super) fn refuse(self, inner: &Inner) -> Error {
        let (Undo::Later(path, _) | Undo::Never(path, _)) = &self;
        let message = format!("a failed write to {} cannot be undone", path.display());
        match self {
            Undo::Later(_, error) => Error::unavailable(message).because(error),
            Undo::Never(_, error) => {
                inner.poison(&format!("{message}: {error}"));
                Error::unavailable(message).because(error)
            }
        }
    }
}

/// The error for a put that is to be encrypted where there is no key.
pub(super) fn no_key() -> Error {
    Error::new(Kind::Invalid, "encrypt is set and no encryption_key is configured")
}

/// Makes a segment's file. One that is there already was made by a try that failed: no segment that holds anything begins
/// at the shard's end. What it may hold carries another segment's number.
fn make(disk: &dyn Disk, path: &Path, folder: Option<&Path>) -> io::Result<Box<dyn File>> {
    if let Some(folder) = folder {
        disk.create_dirs(folder)?;
    }
    match disk.open(path, Open::CreateNew) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = disk.open(path, Open::Write)?;
            file.set_len(0)?;
            Ok(file)
        }
        file => file,
    }
}
