//! Files that nobody sees until they are whole: `O_TMPFILE` where the file system has it, a hidden name otherwise.
//!
//! A hidden name is `.tmp-` and sixteen hexadecimal digits. Its maker holds a lock on it, so that what a crash left
//! behind is told from what another process is writing; it is removed when its directory is next used that way.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, RenameFlags, flock, fstat, linkat, openat, renameat_with, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::beneath::Beneath;
use super::file::RealFile;
use crate::clock::Clock;
use crate::disk::names::split;
use crate::disk::{File, HIDDEN_PREFIX, Unnamed};
use crate::limits::DIRECTORIES_REMEMBERED_MAX;

/// How often a hidden name is made again that somebody swept between its making and its locking.
const TRIES_MAX: usize = 8;

/// Makes unnamed files.
pub(super) struct Hidden {
    shared: Arc<Shared>,
    swept: Mutex<HashSet<String>>,
}

struct Shared {
    beneath: Arc<Beneath>,
    file_mode: Mode,
    tmpfile_works: AtomicBool,
}

impl Hidden {
    pub(super) fn new(beneath: Arc<Beneath>, file_mode: Mode) -> Self {
        let shared = Shared { beneath, file_mode, tmpfile_works: AtomicBool::new(true) };
        Hidden { shared: Arc::new(shared), swept: Mutex::default() }
    }

    #[cfg(test)]
    pub(super) fn without_tmpfile(&self) {
        self.shared.tmpfile_works.store(false, Ordering::Relaxed);
    }

    /// A file without a name in the directory that `dir` leads to.
    pub(super) fn create(&self, dir: &[&str]) -> io::Result<Box<dyn Unnamed>> {
        if self.shared.tmpfile_works.load(Ordering::Relaxed) {
            let flags = OFlags::TMPFILE | OFlags::RDWR;
            match self.shared.beneath.open(dir, flags, self.shared.file_mode) {
                Ok(file) => return Ok(Box::new(self.unlinked(file, None))),
                // An old kernel takes the flag for "open this directory for writing".
                Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::OPNOTSUPP | Errno::ISDIR)) => {}
                Err(error) => return Err(error),
            }
        }
        let parent = self.shared.beneath.dir(dir)?;
        self.sweep_once(dir, &parent)?;
        for _ in 0..TRIES_MAX {
            if let Some(file) = self.hidden_in(&parent)? {
                return Ok(Box::new(file));
            }
        }
        Err(io::Error::other("another process keeps removing our temporary files"))
    }

    /// Makes and locks a hidden file; `None` when another process swept it in between.
    fn hidden_in(&self, parent: &OwnedFd) -> io::Result<Option<RealUnnamed>> {
        let name = format!("{HIDDEN_PREFIX}{:016x}", Clock::real().random());
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = retry_on_intr(|| openat(parent, &name, flags, self.shared.file_mode))?;
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
        if matches!(locked, Err(Errno::WOULDBLOCK)) || fstat(&file)?.st_nlink == 0 {
            return Ok(None);
        }
        Ok(Some(self.unlinked(file, Some((parent.try_clone()?, name)))))
    }

    fn unlinked(&self, file: OwnedFd, hidden: Option<(OwnedFd, String)>) -> RealUnnamed {
        RealUnnamed { file: RealFile(file), hidden, shared: self.shared.clone() }
    }

    fn sweep_once(&self, dir: &[&str], parent: &OwnedFd) -> io::Result<()> {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.len() >= DIRECTORIES_REMEMBERED_MAX {
            swept.clear();
        }
        if swept.insert(dir.join("/")) { sweep(parent) } else { Ok(()) }
    }
}

/// Removes the hidden files in a directory whose makers are gone.
fn sweep(parent: &OwnedFd) -> io::Result<()> {
    let readable = openat(parent, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for entry in Dir::read_from(&readable)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_bytes().starts_with(HIDDEN_PREFIX.as_bytes()) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = openat(parent, name, flags, Mode::empty()) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // Gone already is as good; not allowed is somebody else's file.
            let _ = unlinkat(parent, name, AtFlags::empty());
        }
    }
    Ok(())
}

/// A file that is not linked yet.
struct RealUnnamed {
    file: RealFile,
    /// The directory and the hidden name in it, for one that was not made with `O_TMPFILE`.
    hidden: Option<(OwnedFd, String)>,
    shared: Arc<Shared>,
}

impl Unnamed for RealUnnamed {
    fn link(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = split(path)?;
        let dir = self.shared.beneath.dir(&dir)?;
        Ok(match &self.hidden {
            None => self.link_descriptor(&dir, name),
            Some((parent, hidden)) => link_hidden(parent, hidden, &dir, name),
        }?)
    }
}

impl RealUnnamed {
    fn link_descriptor(&self, dir: &OwnedFd, name: &str) -> Result<(), Errno> {
        let file = &self.file.0;
        match retry_on_intr(|| linkat(file, "", dir, name, AtFlags::EMPTY_PATH)) {
            // Kernels before 6.10 ask for a capability, and say that there is no such file.
            Err(Errno::NOENT | Errno::PERM | Errno::INVAL) => {}
            done => return done,
        }
        let linked = link_by_proc(file, dir, name);
        if matches!(linked, Err(Errno::NOENT)) {
            // The directory is there: it is /proc that is missing. From now on hidden names are used.
            self.shared.tmpfile_works.store(false, Ordering::Relaxed);
        }
        linked
    }
}

pub(super) fn link_by_proc(file: &OwnedFd, dir: &OwnedFd, name: &str) -> Result<(), Errno> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    retry_on_intr(|| linkat(CWD, &path, dir, name, AtFlags::SYMLINK_FOLLOW))
}

fn link_hidden(parent: &OwnedFd, hidden: &str, dir: &OwnedFd, name: &str) -> Result<(), Errno> {
    match retry_on_intr(|| linkat(parent, hidden, dir, name, AtFlags::empty())) {
        // A file system without links (FAT) may still know how to rename without replacing.
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
            renameat_with(parent, hidden, dir, name, RenameFlags::NOREPLACE)
        }
        done => done,
    }
}

impl Drop for RealUnnamed {
    fn drop(&mut self) {
        if let Some((parent, hidden)) = &self.hidden {
            // What cannot be removed now is swept later.
            let _ = unlinkat(parent, hidden, AtFlags::empty());
        }
    }
}

impl File for RealUnnamed {
    fn write_at(&self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        self.file.write_at(offset, parts)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, into)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn forget(&self) -> io::Result<()> {
        self.file.forget()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
