//! Opening paths so that they cannot leave the root: by `openat2` with `RESOLVE_BENEATH` where the kernel has it, name
//! by name without following links where it has not.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
use rustix::io::{Errno, retry_on_intr};

/// How often `openat2` is asked again when a rename elsewhere in the tree disturbed it.
const TRIES_MAX: usize = 100;

/// A directory below which everything is opened.
pub(super) struct Beneath {
    root: OwnedFd,
    openat2_missing: AtomicBool,
    /// For directories that are made on the way.
    dir_mode: Mode,
}

impl Beneath {
    pub(super) fn new(root: OwnedFd, dir_mode: Mode) -> Self {
        Beneath { root, openat2_missing: AtomicBool::new(false), dir_mode }
    }

    /// As if the kernel had no `openat2`.
    #[cfg(test)]
    pub(super) fn without_openat2(&self) {
        self.openat2_missing.store(true, Ordering::Relaxed);
    }

    /// The root itself.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens what `names` leads to; `flags` and `mode` are for the last one.
    pub(super) fn open(&self, names: &[&str], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let Some((last, above)) = names.split_last() else {
            return Ok(retry_on_intr(|| openat(&self.root, ".", flags, mode))?);
        };
        if !self.openat2_missing.load(Ordering::Relaxed) {
            match self.resolve(names, flags, mode) {
                // A sandbox that does not know the call answers EPERM; walking then says what is really the matter.
                Err(Errno::NOSYS | Errno::PERM) => self.openat2_missing.store(true, Ordering::Relaxed),
                done => return Ok(done?),
            }
        }
        let dir = self.walk(above)?;
        Ok(retry_on_intr(|| openat(&dir, *last, flags | OFlags::NOFOLLOW, mode))?)
    }

    /// Opens a directory to work on names in it.
    pub(super) fn dir(&self, names: &[&str]) -> io::Result<OwnedFd> {
        self.open(names, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
    }

    /// Opens a directory to read or sync it.
    pub(super) fn dir_to_read(&self, names: &[&str]) -> io::Result<OwnedFd> {
        self.open(names, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
    }

    /// Makes a directory and those above it where they are missing.
    pub(super) fn create_dirs(&self, names: &[&str]) -> io::Result<()> {
        match self.dir(names) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done.map(drop),
        }
        let mut dir = self.dir(&[])?;
        for name in names {
            match retry_on_intr(|| mkdirat(&dir, *name, self.dir_mode)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            dir = step(&dir, name)?;
        }
        Ok(())
    }

    fn resolve(&self, names: &[&str], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let path: PathBuf = names.iter().collect();
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mut result = Err(Errno::AGAIN);
        for _ in 0..TRIES_MAX {
            result = retry_on_intr(|| openat2(&self.root, &path, flags, mode, resolve));
            if !matches!(result, Err(Errno::AGAIN)) {
                break;
            }
        }
        result
    }

    fn walk(&self, names: &[&str]) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut dir = openat(&self.root, ".", flags, Mode::empty())?;
        for name in names {
            dir = step(&dir, name)?;
        }
        Ok(dir)
    }
}

/// Goes from a directory into one in it, never through a symbolic link.
fn step(dir: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| openat(dir, name, flags, Mode::empty()))?)
}
