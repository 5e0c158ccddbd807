//! What one holds of a simulated disk: open files and locks. A crash makes them void.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::faults::{Op, crashed};
use super::tree::{Ino, Tree};
use crate::disk::names::split;
use crate::disk::{File, Lock, Unnamed};

/// An open file.
pub(super) struct SimFile {
    disk: Arc<Mutex<Tree>>,
    epoch: u64,
    ino: Ino,
    writable: bool,
    _opened: Arc<()>,
}

impl SimFile {
    pub(super) fn new(disk: Arc<Mutex<Tree>>, tree: &Tree, ino: Ino, writable: bool) -> Self {
        SimFile { disk, epoch: tree.epoch, ino, writable, _opened: tree.opened(ino) }
    }

    fn tree(&self) -> io::Result<MutexGuard<'_, Tree>> {
        let tree = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if tree.epoch == self.epoch { Ok(tree) } else { Err(crashed()) }
    }

    fn tree_to_change(&self) -> io::Result<MutexGuard<'_, Tree>> {
        if self.writable { self.tree() } else { Err(Errno::BADF.into()) }
    }
}

impl File for SimFile {
    fn write_at(&self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        let mut tree = self.tree_to_change()?;
        tree.write(self.ino, whole(offset)?, &parts.concat())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut tree = self.tree()?;
        tree.observe(Op::Read)?;
        let live = &tree.file(self.ino)?.live;
        let from = whole(offset)?.min(live.len());
        let bytes = live[from..].get(..into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.tree()?.sync(self.ino)
    }

    fn forget(&self) -> io::Result<()> {
        self.tree()?.file_mut(self.ino)?.reread();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut tree = self.tree_to_change()?;
        tree.set_len(self.ino, whole(len)?)
    }

    fn len(&self) -> io::Result<u64> {
        let mut tree = self.tree()?;
        tree.observe(Op::Open)?;
        Ok(tree.file(self.ino)?.live.len() as u64)
    }
}

impl Unnamed for SimFile {
    fn link(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = split(path)?;
        let ino = self.ino;
        self.tree()?.change(Op::Link, |tree| {
            let dir = tree.find_dir(&dir)?;
            tree.absent(dir, name)?;
            tree.set_name(dir, name, Some(ino));
            Ok(())
        })
    }
}

fn whole(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| Errno::FBIG.into())
}

/// A lock; dropping it lets go.
pub(super) struct SimLock {
    disk: Arc<Mutex<Tree>>,
    epoch: u64,
    ino: Ino,
}

impl SimLock {
    pub(super) fn new(disk: Arc<Mutex<Tree>>, epoch: u64, ino: Ino) -> Self {
        SimLock { disk, epoch, ino }
    }
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut tree = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        // After a crash somebody else may hold it.
        if tree.epoch == self.epoch {
            tree.locked.remove(&self.ino);
        }
    }
}
