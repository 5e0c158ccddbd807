//! A disk in memory for tests: it forgets what was not synced, tears sectors, fills up and fails on demand, all by seed.
//!
//! # What it models
//! - **Bytes** are durable after `File::sync`. After a [`crash`](SimDisk::crash) each part of each unsynced sector is, by
//!   the seed, what was written, what was there before, zeros, garbage, or new up to some byte and old from there on;
//!   the length is the old one, the new one or one between. Synced bytes that were not written again stay.
//! - **Names** are durable after `sync_dir` of their directory; of those that were not, a crash keeps some.
//! - **A failed sync** loses what it should have made durable: the next one returns `Ok` and does not write it either,
//!   as Linux does.
//! - **A full disk**: a write that finds no room may have written a part.
//! - [`restart`](SimDisk::restart) is the death of the process alone: what was written stays, open files and locks go.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::names::{names, split};
use super::{Disk, Entry, File, Lock, Open, Space, Unnamed};

mod bytes;
mod faults;
mod hands;
mod rng;
#[cfg(test)]
mod tests;
mod tree;

pub use faults::{Fault, Op};

use hands::{SimFile, SimLock};
use tree::{Node, Tree};

/// A simulated disk. Clones are handles to the same one.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<Tree>>);

/// What a test does to the disk, and how it looks at it. Paths are relative to the root, as in [`Disk`].
impl SimDisk {
    /// An empty disk; all that is left to chance follows from `seed`.
    pub fn new(seed: u64) -> Self {
        SimDisk(Arc::new(Mutex::new(Tree::new(seed))))
    }

    /// The power fails and comes back: what was not durable is kept, lost or torn, open files and locks are void, and
    /// what is there now is durable. Faults that were ordered are off.
    pub fn crash(&self) {
        self.tree().crash();
    }

    /// The process dies and another one starts: as [`crash`](SimDisk::crash), but nothing that was written is lost.
    pub fn restart(&self) {
        self.tree().restart();
    }

    /// From the `n`th changing operation on (counted from now, the next is 0) everything fails, until
    /// [`crash`](SimDisk::crash) or [`restart`](SimDisk::restart). That one itself may have taken effect, or half of it.
    pub fn crash_after(&self, n: u64) {
        self.tree().faults.crash_after(n);
    }

    /// How many changing operations there were: all but reads, listings, locks and lengths.
    pub fn operations(&self) -> u64 {
        self.tree().faults.operations
    }

    /// Makes the `nth` operation of this kind (counted from now, the next is 1) fail, once. As over a network, one
    /// that changes names or lengths may have done so all the same, and a write may have written a part.
    pub fn fail(&self, op: Op, nth: u64, fault: impl Into<Fault>) {
        self.tree().faults.order(op, nth, fault.into(), false);
    }

    /// Makes the `nth` operation of this kind and all after it fail, until [`heal`](SimDisk::heal).
    pub fn fail_from(&self, op: Op, nth: u64, fault: impl Into<Fault>) {
        self.tree().faults.order(op, nth, fault.into(), true);
    }

    /// Takes back all faults that were ordered.
    pub fn heal(&self) {
        self.tree().faults.heal();
    }

    /// Sets the size of the disk in bytes; beyond it writes fail with `StorageFull`.
    pub fn set_capacity(&self, bytes: u64) {
        self.tree().capacity = bytes;
    }

    /// All files, sorted.
    pub fn files(&self) -> Vec<String> {
        self.tree().files()
    }

    /// What a file holds at the moment.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        let tree = self.tree();
        Some(tree.file(tree.find(&names(Path::new(path)).ok()?).ok()?).ok()?.live.clone())
    }

    /// What a file would hold after a crash that kept nothing unsynced; `None` if there would be no such file.
    pub fn durable(&self, path: &str) -> Option<Vec<u8>> {
        let tree = self.tree();
        Some(tree.file(tree.find_durable(&names(Path::new(path)).ok()?)?).ok()?.durable.clone())
    }

    /// Puts a whole durable file there, with the directories above it, whatever was there before.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        self.tree().put(&names(Path::new(path)).expect("the test gives a plain path"), bytes);
    }

    /// Writes over a file's durable bytes behind everybody's back, making it longer where needed.
    pub fn overwrite(&self, path: &str, offset: usize, bytes: &[u8]) {
        self.damage(path, |held| {
            held.resize(held.len().max(offset + bytes.len()), 0);
            held[offset..offset + bytes.len()].copy_from_slice(bytes);
        });
    }

    /// Turns one bit of a file: bit `bit % 8` of byte `bit / 8`.
    pub fn flip(&self, path: &str, bit: usize) {
        self.damage(path, |held| held[bit / 8] ^= 1 << (bit % 8));
    }

    /// Cuts a file, or makes it longer with zeros, behind everybody's back.
    pub fn cut(&self, path: &str, len: usize) {
        self.damage(path, |held| held.resize(len, 0));
    }

    fn damage(&self, path: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut tree = self.tree();
        let names = names(Path::new(path)).expect("the test gives a plain path");
        let ino = tree.find(&names).expect("the test damages a file that is there");
        let file = tree.file_mut(ino).expect("the test damages a file, not a directory");
        change(&mut file.live);
        file.settle();
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let (dir, name) = split(path)?;
        let mut tree = self.tree();
        if how == Open::CreateNew {
            return tree.change(Op::Create, |tree| {
                let dir = tree.find_dir(&dir)?;
                tree.absent(dir, name)?;
                tree.room(0)?;
                let ino = tree.add_named(dir, name, Node::file());
                Ok(Box::new(SimFile::new(self.0.clone(), tree, ino, true)) as Box<dyn File>)
            });
        }
        tree.observe(Op::Open)?;
        let dir = tree.find_dir(&dir)?;
        let ino = tree.name(dir, name).ok_or(Errno::NOENT)?;
        tree.file(ino)?;
        Ok(Box::new(SimFile::new(self.0.clone(), &tree, ino, how == Open::Write)))
    }

    fn unnamed(&self, dir: &Path) -> io::Result<Box<dyn Unnamed>> {
        let dir = names(dir)?;
        self.tree().change(Op::Create, |tree| {
            tree.find_dir(&dir)?;
            tree.room(0)?;
            let ino = tree.add(Node::file());
            Ok(Box::new(SimFile::new(self.0.clone(), tree, ino, true)) as Box<dyn Unnamed>)
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let dir = names(dir)?;
        let mut tree = self.tree();
        tree.observe(Op::List)?;
        tree.list(tree.find_dir(&dir)?)
    }

    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        let names = names(dir)?;
        let mut tree = self.tree();
        match tree.find_dir(&names) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done.map(drop),
        }
        tree.change(Op::CreateDirs, |tree| tree.create_dirs(&names))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from_dir, from_name), (to_dir, to_name)) = (split(from)?, split(to)?);
        self.tree().change(Op::Rename, |tree| {
            let (from_dir, to_dir) = (tree.find_dir(&from_dir)?, tree.find_dir(&to_dir)?);
            tree.rename((from_dir, from_name), (to_dir, to_name))
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = split(path)?;
        self.tree().change(Op::Remove, |tree| {
            let dir = tree.find_dir(&dir)?;
            tree.file(tree.name(dir, name).ok_or(Errno::NOENT)?)?;
            tree.set_name(dir, name, None);
            Ok(())
        })
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let (dir, name) = split(dir)?;
        self.tree().change(Op::Remove, |tree| {
            let dir = tree.find_dir(&dir)?;
            let gone = tree.name(dir, name).ok_or(Errno::NOENT)?;
            if !tree.list(gone)?.is_empty() {
                return Err(Errno::NOTEMPTY.into());
            }
            tree.set_name(dir, name, None);
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = names(dir)?;
        self.tree().change(Op::SyncDir, |tree| {
            let dir = tree.find_dir(&dir)?;
            tree.sync_dir(dir);
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let (dir, name) = split(path)?;
        let mut tree = self.tree();
        tree.observe(Op::Lock)?;
        let dir = tree.find_dir(&dir)?;
        let there = tree.name(dir, name);
        let ino = there.unwrap_or_else(|| tree.add_named(dir, name, Node::file()));
        tree.file(ino)?;
        if !tree.locked.insert(ino) {
            return Err(Errno::WOULDBLOCK.into());
        }
        Ok(Box::new(SimLock::new(self.0.clone(), tree.epoch, ino)))
    }

    fn space(&self) -> io::Result<Space> {
        let mut tree = self.tree();
        tree.observe(Op::Open)?;
        Ok(Space { total: tree.capacity, available: tree.capacity.saturating_sub(tree.used()) })
    }
}
