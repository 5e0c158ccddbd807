//! The real file system (Linux) under one root: every path is opened beneath it, without following a link.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, flock, fstat, fstatvfs, fsync, openat, renameat, statat,
    unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::names::{names, split};
use super::{Disk, Entry, File, Lock, Open, Space, Unnamed};

mod beneath;
mod file;
#[cfg(test)]
mod tests;
mod unnamed;

use beneath::Beneath;
use file::RealFile;
use unnamed::Hidden;

/// The real file system under one root.
pub struct RealDisk {
    beneath: Arc<Beneath>,
    hidden: Hidden,
    file_mode: Mode,
}

impl RealDisk {
    /// Opens the tree at `root` for this service alone: the root is made (with those above it) if it is missing, and
    /// what is made in it, it included, is closed to other users (0700, 0600).
    pub fn open(root: &Path) -> io::Result<RealDisk> {
        RealDisk::with_modes(root, 0o700, 0o600)
    }

    /// Opens the tree at `root` for others to read: what is made in it has the rights that the process's umask leaves.
    pub fn open_shared(root: &Path) -> io::Result<RealDisk> {
        RealDisk::with_modes(root, 0o777, 0o666)
    }

    fn with_modes(root: &Path, dir_mode: u32, file_mode: u32) -> io::Result<RealDisk> {
        use std::os::unix::fs::DirBuilderExt;
        let missing = root.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).count();
        std::fs::DirBuilder::new().recursive(true).mode(dir_mode).create(root)?;
        sync_names(root, missing)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = retry_on_intr(|| openat(CWD, root, flags, Mode::empty()))?;
        let beneath = Arc::new(Beneath::new(root, Mode::from_raw_mode(dir_mode)));
        let file_mode = Mode::from_raw_mode(file_mode);
        Ok(RealDisk { hidden: Hidden::new(beneath.clone(), file_mode), beneath, file_mode })
    }

    /// Whether `path` still leads to this tree's root.
    pub fn is_at(&self, path: &Path) -> bool {
        let there = retry_on_intr(|| statat(CWD, path, AtFlags::empty()));
        let (Ok(there), Ok(root)) = (there, fstat(self.beneath.root())) else { return false };
        (there.st_dev, there.st_ino) == (root.st_dev, root.st_ino)
    }

    /// As on a kernel without `openat2`.
    #[cfg(test)]
    pub(super) fn without_openat2(self) -> RealDisk {
        self.beneath.without_openat2();
        self
    }

    /// As on a file system without `O_TMPFILE`.
    #[cfg(test)]
    pub(super) fn without_tmpfile(self) -> RealDisk {
        self.hidden.without_tmpfile();
        self
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let (dir, name) = split(path)?;
        let path = [&dir[..], &[name]].concat();
        // Without NONBLOCK a pipe that somebody put there would hold us until somebody else opens it.
        let flags = match how {
            Open::Read => OFlags::RDONLY | OFlags::NONBLOCK,
            Open::Write => OFlags::RDWR | OFlags::NONBLOCK,
            Open::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        let mode = if how == Open::CreateNew { self.file_mode } else { Mode::empty() };
        let file = self.beneath.open(&path, flags, mode)?;
        match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(Box::new(RealFile(file))),
            FileType::Directory => Err(Errno::ISDIR.into()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        }
    }

    fn unnamed(&self, dir: &Path) -> io::Result<Box<dyn Unnamed>> {
        self.hidden.create(&names(dir)?)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let dir = self.beneath.dir_to_read(&names(dir)?)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&dir)? {
            let entry = entry?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = match statat(&dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                // Removed since the directory was read.
                Err(Errno::NOENT) => continue,
                stat => stat?,
            };
            let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            let len = if is_dir { 0 } else { u64::try_from(stat.st_size).unwrap_or(0) };
            entries.push(Entry { name: entry.file_name().to_string_lossy().into_owned(), is_dir, len });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        self.beneath.create_dirs(&names(dir)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_dir, from_name) = split(from)?;
        let (to_dir, to_name) = split(to)?;
        let (from_dir, to_dir) = (self.beneath.dir(&from_dir)?, self.beneath.dir(&to_dir)?);
        Ok(retry_on_intr(|| renameat(&from_dir, from_name, &to_dir, to_name))?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = split(path)?;
        let dir = self.beneath.dir(&dir)?;
        Ok(retry_on_intr(|| unlinkat(&dir, name, AtFlags::empty()))?)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let (dir, name) = split(dir)?;
        let dir = self.beneath.dir(&dir)?;
        Ok(retry_on_intr(|| unlinkat(&dir, name, AtFlags::REMOVEDIR))?)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        Ok(fsync(self.beneath.dir_to_read(&names(dir)?)?)?)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let path = names(path)?;
        let file = self.beneath.open(&path, OFlags::RDWR | OFlags::CREATE, self.file_mode)?;
        retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive))?;
        Ok(Box::new(RealLock { _file: file }))
    }

    fn space(&self) -> io::Result<Space> {
        let stat = fstatvfs(self.beneath.root())?;
        Ok(Space { total: stat.f_blocks * stat.f_frsize, available: stat.f_bavail * stat.f_frsize })
    }
}

/// Makes the root's own name durable, and those of the `made` directories that were missing on the way to it.
fn sync_names(root: &Path, made: usize) -> io::Result<()> {
    let root = std::path::absolute(root)?;
    for (depth, parent) in root.ancestors().skip(1).take(made.max(1)).enumerate() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let synced = openat(CWD, parent, flags, Mode::empty()).and_then(fsync);
        // One who may not read the parent did not make the root either: it was there, and its name is old.
        if depth < made {
            synced?;
        }
    }
    Ok(())
}

/// The kernel lets go of the lock when the descriptor is closed, however the process ends.
struct RealLock {
    _file: OwnedFd,
}

impl Lock for RealLock {}
