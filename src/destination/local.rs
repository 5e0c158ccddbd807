//! A directory as a destination: a key is a path beneath its root, an object a file.
//!
//! An object is written to a file without a name, synced, linked under its key without replacing anything, and then
//! every directory on the way is synced whose name may be new, **also when the object was there already**: an earlier
//! attempt may have linked it and died before its directories were durable, and a power cut would then undo a name
//! that has been taken for done.
//!
//! Directories known to be durable are remembered, so that an object usually costs two syncs. Whoever removes
//! directories of the lake while the service writes into them should let it make them again, not do so himself.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Body, Created, Destination, ObjectFacts, Page};
use crate::disk::{Disk, HIDDEN_PREFIX, Open, Unnamed};
use crate::error::{Error, Kind, Result};
use crate::limits::{DIRECTORIES_REMEMBERED_MAX, LOCAL_WRITE_BYTES};

mod key;
mod look;
#[cfg(test)]
mod tests;

/// Objects as files beneath the root of a [`Disk`]. Cheap to clone.
#[derive(Clone)]
pub struct LocalDirectory {
    inner: Arc<Inner>,
    /// Where the root is, for messages; empty if that is not known.
    root: PathBuf,
}

struct Inner {
    disk: Arc<dyn Disk>,
    /// Directories whose names, and those of all above them, are durable.
    durable: Mutex<HashSet<PathBuf>>,
}

impl LocalDirectory {
    /// The directory that `disk` is rooted in.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        LocalDirectory { inner: Arc::new(Inner { disk, durable: Mutex::default() }), root: PathBuf::new() }
    }

    /// The same, with the path of its root, so that messages can name it.
    #[must_use]
    pub fn at(self, root: &Path) -> Self {
        LocalDirectory { root: root.to_owned(), ..self }
    }

    /// What an operator is told.
    fn describe(&self, key: &str, action: &str, error: io::Error) -> Error {
        let (kind, why) = match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => (Kind::Invalid, ""),
            io::ErrorKind::IsADirectory => (Kind::Conflict, ", a directory has that name"),
            io::ErrorKind::NotADirectory => (Kind::Conflict, ", a file or a link stands where a directory is needed"),
            _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                (Kind::Conflict, ", a symbolic link stands in the way, and none is followed")
            }
            _ => (Kind::Unavailable, ""),
        };
        let place = match self.root.as_os_str() {
            root if root.is_empty() => String::new(),
            _ => format!(" in {}", self.root.display()),
        };
        Error::new(kind, format!("cannot {action} object {key:?}{place}{why}")).because(error)
    }

    /// Runs what blocks where it may.
    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Inner) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || act(&inner)).await.map_err(io::Error::other)?
    }

    /// Writes the body to a file that nobody sees, as its chunks come; the file and its length.
    async fn write(&self, key: &str, dir: PathBuf, mut body: Body) -> Result<(Arc<dyn Unnamed>, u64)> {
        let failed = |error| self.describe(key, "write", error);
        let mut gathered = Gathered::next(&mut body).await?;
        let mut len = gathered.bytes;
        let begin = move |inner: &Inner| {
            let file = inner.unnamed(&dir)?;
            gathered.write(&*file, 0)?;
            Ok((file, gathered.is_last))
        };
        let (file, mut is_last) = self.blocking(begin).await.map_err(failed)?;
        let file: Arc<dyn Unnamed> = file.into();
        while !is_last {
            gathered = Gathered::next(&mut body).await?;
            let (file, offset) = (file.clone(), len);
            (len, is_last) = (len + gathered.bytes, gathered.is_last);
            self.blocking(move |_| gathered.write(&*file, offset)).await.map_err(failed)?;
        }
        Ok((file, len))
    }
}

#[async_trait]
impl Destination for LocalDirectory {
    /// [`Kind::Invalid`] for a key that cannot be a path; [`Kind::Conflict`] where something else stands in its way;
    /// [`Kind::Unavailable`] for what an operator can mend: no room, no right, a read-only or failing disk.
    async fn create(&self, key: &str, body: Body, _: ObjectFacts) -> Result<Created> {
        key::check(key)?;
        let path = PathBuf::from(key);
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        let (file, len) = self.write(key, dir.clone(), body).await?;
        let end = move |inner: &Inner| {
            let linked = inner.link(&*file, &path, len)?;
            Ok((linked, inner.make_durable(&dir)))
        };
        let (linked, durable) = self.blocking(end).await.map_err(|error| self.describe(key, "create", error))?;
        let created = match linked {
            Linked::Created => Created::Created,
            Linked::AlreadyThere => Created::AlreadyThere,
            Linked::Other(found) => {
                let message = format!("object {key:?} is there with {found} bytes, ours has {len}: it is not ours");
                return Err(Error::new(Kind::Conflict, message));
            }
        };
        durable.map_err(|error| self.describe(key, "sync the directories of", error))?;
        Ok(created)
    }

    async fn find(&self, key: &str) -> Result<Option<u64>> {
        key::check(key)?;
        let path = PathBuf::from(key);
        self.blocking(move |inner| inner.find(&path)).await.map_err(|error| self.describe(key, "look for", error))
    }

    /// A symbolic link is an object here, though one that cannot be read.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        let (asked, after) = (prefix.to_owned(), after.map(str::to_owned));
        let listed = self.blocking(move |inner| look::list(&*inner.disk, &asked, after.as_deref())).await;
        listed.map_err(|error| self.describe(prefix, "list what begins like", error))
    }

    async fn read(&self, key: &str) -> Result<Option<(u64, Body)>> {
        key::check(key)?;
        let path = PathBuf::from(key);
        let opened = self.blocking(move |inner| look::open(&*inner.disk, &path)).await;
        let opened = opened.map_err(|error| self.describe(key, "read", error))?;
        let Some((file, bytes)) = opened else { return Ok(None) };
        let (sender, body) = Body::channel(2);
        let (of, key) = (self.clone(), key.to_owned());
        drop(tokio::spawn(async move {
            let end = look::send(&sender, file, bytes).await;
            match end.map_err(|error| of.describe(&key, "read", error)) {
                Ok(()) => drop(sender.finish().await),
                Err(error) => sender.fail(error).await,
            }
        }));
        Ok(Some((bytes, body)))
    }

    async fn probe(&self) -> Result<String> {
        let space = self.blocking(Inner::probe).await.map_err(|error| {
            Error::unavailable("the directory takes no file: a test file could not be made, linked and removed")
                .because(error)
        })?;
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        Ok(format!("a directory that takes files; {:.1} of {:.1} GiB free", gib(space.available), gib(space.total)))
    }
}

/// Chunks of a body that are written together: those of partitions are small, and each call of the disk changes threads twice.
struct Gathered {
    chunks: Vec<Bytes>,
    bytes: u64,
    /// Whether the body ends with them.
    is_last: bool,
}

impl Gathered {
    async fn next(body: &mut Body) -> Result<Self> {
        let mut gathered = Gathered { chunks: Vec::new(), bytes: 0, is_last: false };
        while gathered.bytes < LOCAL_WRITE_BYTES {
            let Some(chunk) = body.next().await.transpose()? else {
                gathered.is_last = true;
                break;
            };
            gathered.bytes += chunk.len() as u64;
            gathered.chunks.push(chunk);
        }
        Ok(gathered)
    }

    fn write(&self, file: &dyn Unnamed, offset: u64) -> io::Result<()> {
        let parts: Vec<&[u8]> = self.chunks.iter().map(|chunk| &chunk[..]).collect();
        file.write_at(offset, &parts)
    }
}

/// What became of a link.
enum Linked {
    Created,
    AlreadyThere,
    /// A file of another length, in bytes.
    Other(u64),
}

impl Inner {
    /// A file without a name in `dir`, which is made if it is missing.
    fn unnamed(&self, dir: &Path) -> io::Result<Box<dyn Unnamed>> {
        match self.disk.unnamed(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Somebody may have removed a directory that we knew.
                self.remembered(|durable| durable.retain(|known| !dir.starts_with(known)));
                self.disk.create_dirs(dir)?;
                self.disk.unnamed(dir)
            }
            done => done,
        }
    }

    fn link(&self, file: &dyn Unnamed, path: &Path, len: u64) -> io::Result<Linked> {
        file.sync()?;
        match file.link(path) {
            Ok(()) => return Ok(Linked::Created),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let there = self.disk.open(path, Open::Read)?;
        let found = there.len()?;
        if found != len {
            return Ok(Linked::Other(found));
        }
        there.sync()?;
        Ok(Linked::AlreadyThere)
    }

    /// The length of a file, which is durable then.
    fn find(&self, path: &Path) -> io::Result<Option<u64>> {
        let there = match self.disk.open(path, Open::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            there => there?,
        };
        // An attempt may have died before it was durable.
        there.sync()?;
        self.make_durable(path.parent().unwrap_or(Path::new("")))?;
        there.len().map(Some)
    }

    /// Makes the names in `dir` durable, and those of it and the directories above it.
    fn make_durable(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)?;
        let mut new = Vec::new();
        for at in dir.ancestors() {
            let Some(parent) = at.parent() else { break };
            if self.remembered(|durable| durable.contains(at)) {
                break;
            }
            self.disk.sync_dir(parent)?;
            new.push(at.to_owned());
        }
        self.remembered(|durable| {
            if durable.len() + new.len() > DIRECTORIES_REMEMBERED_MAX {
                durable.clear();
            }
            durable.extend(new);
        });
        Ok(())
    }

    fn remembered<T>(&self, act: impl FnOnce(&mut HashSet<PathBuf>) -> T) -> T {
        act(&mut self.durable.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn probe(&self) -> io::Result<crate::disk::Space> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = PathBuf::from(format!("{HIDDEN_PREFIX}probe-{}-{number}", std::process::id()));
        let file = self.disk.unnamed(Path::new(""))?;
        file.write_at(0, &[b"probe"])?;
        file.sync()?;
        match file.link(&name) {
            // A process of the same number died in the middle of this.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            linked => linked?,
        }
        self.disk.remove(&name)?;
        self.disk.sync_dir(Path::new(""))?;
        self.disk.space()
    }
}
