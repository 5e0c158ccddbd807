//! The few file operations that we need, with their durability rules, as one small trait, so that tests run the
//! same code over a disk that forgets what was not synced, tears sectors and fails on demand.
//!
//! # Rules that every implementation keeps
//! - All paths are relative to the root that the disk was opened at; none leaves it, by `..`, by a symbolic link or
//!   otherwise: such a path is refused.
//! - Bytes written are durable after [`File::sync`] of that file returned `Ok`; before, a crash may keep any part.
//! - A name (made, renamed, linked, removed) is durable after [`Disk::sync_dir`] of its directory returned `Ok`.
//! - A failed [`File::sync`] says nothing about which bytes are durable; it must not be tried again on them.
//! - Calls block; they are made from threads that may.

use std::io;
use std::path::Path;

#[cfg(test)]
mod conformance;
pub mod document;
mod names;
mod real;
pub mod sim;

pub use real::RealDisk;

/// How names begin that a disk may give to files that are not linked yet, where the file system cannot do without a
/// name. What has such a name may be removed at any time: nothing else should be called so.
pub const HIDDEN_PREFIX: &str = ".tmp-";

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// Must exist; for reading.
    Read,
    /// Must exist; for reading and writing.
    Write,
    /// Must not exist: `AlreadyExists` otherwise; for reading and writing.
    CreateNew,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name within its directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// The file's length in bytes; 0 for a directory.
    pub len: u64,
}

/// The room on the file system under the root, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Size of the file system.
    pub total: u64,
    /// What an unprivileged process may still write.
    pub available: u64,
}

/// An open file.
pub trait File: Send + Sync {
    /// Writes all of `parts`, one after the other, at `offset`.
    fn write_at(&self, offset: u64, parts: &[&[u8]]) -> io::Result<()>;
    /// Fills `into` from `offset`; `UnexpectedEof` when the file ends before.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Makes the file's bytes and length durable (fdatasync).
    fn sync(&self) -> io::Result<()>;
    /// Lets go of what memory holds of the file, so that the next read says what the disk has. For after a
    /// [`sync`](File::sync): one that failed leaves pages that look written, and one more says nothing about them.
    fn forget(&self) -> io::Result<()>;
    /// Cuts or extends (with zeros).
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Current length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file holds no byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A file that nobody sees until it is [`link`](Unnamed::link)ed under its final name.
pub trait Unnamed: File {
    /// Gives the file its name, never replacing another: `AlreadyExists` when the name is taken. The bytes must
    /// have been synced before; the name is durable after `sync_dir` of its directory.
    fn link(&self, path: &Path) -> io::Result<()>;
}

/// Held as long as it lives; see [`Disk::lock`].
pub trait Lock: Send + Sync {}

/// A directory tree under one root.
pub trait Disk: Send + Sync {
    /// Opens or creates a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>>;
    /// A file without a name, on the file system of directory `dir` (which exists). It vanishes when dropped unlinked.
    fn unnamed(&self, dir: &Path) -> io::Result<Box<dyn Unnamed>>;
    /// Entries of a directory, sorted by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Creates a directory and those above it; nothing where it exists. Not durable before `sync_dir` of each parent.
    fn create_dirs(&self, dir: &Path) -> io::Result<()>;
    /// Renames a file, replacing the target.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes the names in `dir` durable. `""` is the root itself.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the exclusive lock on file `path` (made if missing); `WouldBlock` when another process or handle has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
    /// Room on the file system.
    fn space(&self) -> io::Result<Space>;
}
