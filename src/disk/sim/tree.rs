//! The tree of names and files, as it is seen and as a crash would leave it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::bytes::{Bytes, Mercy};
use super::faults::{Fate, Faults, Op};
use super::rng::Rng;
use crate::disk::Entry;

/// Numbers a file or directory.
pub(super) type Ino = u64;

const ROOT: Ino = 0;
/// What a name costs on the disk beside the file's bytes; so that a full disk refuses new files too.
const NAME_COST: u64 = 64;

/// A file or a directory.
pub(super) enum Node {
    File(Bytes, Arc<()>),
    Dir(Dir),
}

impl Node {
    pub(super) fn file() -> Self {
        Node::File(Bytes::default(), Arc::new(()))
    }
}

/// A directory's names.
#[derive(Default)]
pub(super) struct Dir {
    live: BTreeMap<String, Ino>,
    durable: BTreeMap<String, Ino>,
    /// Changes since the last sync, in order: those of one operation stand together.
    pending: Vec<Vec<(String, Option<Ino>)>>,
}

impl Dir {
    fn change(&mut self, names: Vec<(String, Option<Ino>)>) {
        apply(&mut self.live, &names);
        self.pending.push(names);
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.live);
        self.pending.clear();
    }

    fn crash(&mut self, mercy: Mercy, rng: &mut Rng) {
        let mut left = std::mem::take(&mut self.durable);
        for names in &self.pending {
            if mercy == Mercy::All || mercy == Mercy::Some && rng.coin() {
                apply(&mut left, names);
            }
        }
        self.live = left;
        self.sync();
    }
}

fn apply(to: &mut BTreeMap<String, Ino>, names: &[(String, Option<Ino>)]) {
    for (name, ino) in names {
        match ino {
            Some(ino) => to.insert(name.clone(), *ino),
            None => to.remove(name),
        };
    }
}

/// The whole disk.
pub(super) struct Tree {
    nodes: BTreeMap<Ino, Node>,
    next_ino: Ino,
    rng: Rng,
    pub(super) faults: Faults,
    pub(super) capacity: u64,
    /// Counts crashes and restarts: what was opened before is void.
    pub(super) epoch: u64,
    pub(super) locked: BTreeSet<Ino>,
    /// How many nodes there were when the unreachable ones were last dropped.
    swept: usize,
}

impl Tree {
    pub(super) fn new(seed: u64) -> Self {
        Tree {
            nodes: BTreeMap::from([(ROOT, Node::Dir(Dir::default()))]),
            next_ino: ROOT + 1,
            rng: Rng::new(seed),
            faults: Faults::default(),
            capacity: 1 << 40,
            epoch: 0,
            locked: BTreeSet::new(),
            swept: 0,
        }
    }

    // ---- operations and their fate ----

    /// Carries out a change, or lets it fail as ordered.
    pub(super) fn change<T>(&mut self, op: Op, act: impl FnOnce(&mut Tree) -> io::Result<T>) -> io::Result<T> {
        match self.faults.change(op) {
            Fate::Done => act(self),
            Fate::Refused(error) => Err(error),
            Fate::Failed(error) => {
                // A change of names that was cut off may have been made; a sync that fails has made nothing sure.
                if op != Op::SyncDir && self.rng.coin() {
                    drop(act(self));
                }
                Err(error)
            }
        }
    }

    /// Lets something that only looks fail as ordered.
    pub(super) fn observe(&mut self, op: Op) -> io::Result<()> {
        self.faults.observe(op)
    }

    pub(super) fn write(&mut self, ino: Ino, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let (wanted, result) = match self.faults.change(Op::Write) {
            Fate::Refused(error) => return Err(error),
            Fate::Failed(error) => (self.rng.below(bytes.len() + 1), Err(error)),
            Fate::Done => (bytes.len(), Ok(())),
        };
        let len = self.file(ino)?.live.len();
        let free = usize::try_from(self.capacity.saturating_sub(self.used())).unwrap_or(usize::MAX);
        let fits = wanted.min(len.saturating_add(free).saturating_sub(offset));
        if fits > 0 {
            self.file_mut(ino)?.write(offset, &bytes[..fits]);
        }
        if fits < wanted { Err(Errno::NOSPC.into()) } else { result }
    }

    pub(super) fn sync(&mut self, ino: Ino) -> io::Result<()> {
        let fate = self.faults.change(Op::Sync);
        let Tree { nodes, rng, .. } = self;
        let Some(Node::File(bytes, _)) = nodes.get_mut(&ino) else { return Err(Errno::BADF.into()) };
        match fate {
            Fate::Refused(error) => return Err(error),
            Fate::Failed(error) => {
                bytes.fail_sync(rng);
                return Err(error);
            }
            Fate::Done => bytes.sync(),
        }
        Ok(())
    }

    pub(super) fn set_len(&mut self, ino: Ino, len: usize) -> io::Result<()> {
        self.change(Op::SetLen, |tree| {
            let more = len.saturating_sub(tree.file(ino)?.live.len());
            tree.room(more as u64)?;
            tree.file_mut(ino)?.set_len(len);
            Ok(())
        })
    }

    pub(super) fn crash(&mut self) {
        let mercy = [Mercy::All, Mercy::None, Mercy::Some, Mercy::Some, Mercy::Some][self.rng.below(5)];
        let Tree { nodes, rng, .. } = self;
        for node in nodes.values_mut() {
            match node {
                Node::File(bytes, _) => bytes.crash(mercy, rng),
                Node::Dir(dir) => dir.crash(mercy, rng),
            }
        }
        self.restart();
    }

    pub(super) fn restart(&mut self) {
        self.epoch += 1;
        self.locked.clear();
        self.faults.reset();
        for node in self.nodes.values_mut() {
            if let Node::File(_, opened) = node {
                *opened = Arc::new(());
            }
        }
        self.sweep();
    }

    // ---- finding ----

    pub(super) fn find(&self, names: &[&str]) -> io::Result<Ino> {
        let mut at = ROOT;
        for name in names {
            at = *self.dir(at)?.live.get(*name).ok_or(Errno::NOENT)?;
        }
        Ok(at)
    }

    pub(super) fn find_durable(&self, names: &[&str]) -> Option<Ino> {
        names.iter().try_fold(ROOT, |at, name| self.dir(at).ok()?.durable.get(*name).copied())
    }

    pub(super) fn find_dir(&self, names: &[&str]) -> io::Result<Ino> {
        let ino = self.find(names)?;
        self.dir(ino).map(|_| ino)
    }

    pub(super) fn name(&self, dir: Ino, name: &str) -> Option<Ino> {
        self.dir(dir).ok()?.live.get(name).copied()
    }

    pub(super) fn absent(&self, dir: Ino, name: &str) -> io::Result<()> {
        if self.name(dir, name).is_some() { Err(Errno::EXIST.into()) } else { Ok(()) }
    }

    pub(super) fn file(&self, ino: Ino) -> io::Result<&Bytes> {
        match self.nodes.get(&ino) {
            Some(Node::File(bytes, _)) => Ok(bytes),
            Some(Node::Dir(_)) => Err(Errno::ISDIR.into()),
            None => Err(Errno::BADF.into()),
        }
    }

    pub(super) fn file_mut(&mut self, ino: Ino) -> io::Result<&mut Bytes> {
        match self.nodes.get_mut(&ino) {
            Some(Node::File(bytes, _)) => Ok(bytes),
            Some(Node::Dir(_)) => Err(Errno::ISDIR.into()),
            None => Err(Errno::BADF.into()),
        }
    }

    /// A token that says, as long as it lives, that the file is open.
    pub(super) fn opened(&self, ino: Ino) -> Arc<()> {
        match self.nodes.get(&ino) {
            Some(Node::File(_, opened)) => opened.clone(),
            _ => Arc::new(()),
        }
    }

    pub(super) fn list(&self, dir: Ino) -> io::Result<Vec<Entry>> {
        let entry = |(name, ino): (&String, &Ino)| {
            let file = self.file(*ino).ok();
            Entry { name: name.clone(), is_dir: file.is_none(), len: file.map_or(0, |file| file.live.len() as u64) }
        };
        Ok(self.dir(dir)?.live.iter().map(entry).collect())
    }

    pub(super) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut todo = vec![(String::new(), ROOT)];
        while let Some((path, ino)) = todo.pop() {
            let Ok(dir) = self.dir(ino) else {
                found.push(path);
                continue;
            };
            for (name, ino) in &dir.live {
                todo.push((if path.is_empty() { name.clone() } else { format!("{path}/{name}") }, *ino));
            }
        }
        found.sort_unstable();
        found
    }

    // ---- room ----

    /// Bytes of all files that are named or open.
    pub(super) fn used(&self) -> u64 {
        let named: BTreeSet<Ino> = self.dirs().flat_map(|dir| dir.live.values().copied()).collect();
        let cost = |(ino, node): (&Ino, &Node)| match node {
            Node::File(bytes, opened) if named.contains(ino) || Arc::strong_count(opened) > 1 => {
                bytes.live.len() as u64 + NAME_COST
            }
            _ => 0,
        };
        self.nodes.iter().map(cost).sum()
    }

    pub(super) fn room(&self, more: u64) -> io::Result<()> {
        if self.used() + NAME_COST + more > self.capacity { Err(Errno::NOSPC.into()) } else { Ok(()) }
    }

    // ---- changing ----

    pub(super) fn add(&mut self, node: Node) -> Ino {
        let ino = self.next_ino;
        self.next_ino += 1;
        self.nodes.insert(ino, node);
        ino
    }

    pub(super) fn add_named(&mut self, dir: Ino, name: &str, node: Node) -> Ino {
        let ino = self.add(node);
        self.set_name(dir, name, Some(ino));
        ino
    }

    pub(super) fn set_name(&mut self, dir: Ino, name: &str, ino: Option<Ino>) {
        if let Some(Node::Dir(dir)) = self.nodes.get_mut(&dir) {
            dir.change(vec![(name.to_owned(), ino)]);
        }
    }

    pub(super) fn rename(&mut self, from: (Ino, &str), to: (Ino, &str)) -> io::Result<()> {
        let ino = self.name(from.0, from.1).ok_or(Errno::NOENT)?;
        self.file(ino)?;
        if let Some(target) = self.name(to.0, to.1) {
            self.file(target)?;
        }
        if from == to {
            return Ok(());
        }
        if from.0 != to.0 {
            self.set_name(to.0, to.1, Some(ino));
            self.set_name(from.0, from.1, None);
        } else if let Some(Node::Dir(dir)) = self.nodes.get_mut(&from.0) {
            // Within one directory a rename is one change: both names or neither.
            dir.change(vec![(from.1.to_owned(), None), (to.1.to_owned(), Some(ino))]);
        }
        Ok(())
    }

    pub(super) fn create_dirs(&mut self, names: &[&str]) -> io::Result<()> {
        let mut at = ROOT;
        for name in names {
            self.dir(at)?;
            let there = self.name(at, name);
            at = there.unwrap_or_else(|| self.add_named(at, name, Node::Dir(Dir::default())));
        }
        self.dir(at).map(drop)
    }

    pub(super) fn sync_dir(&mut self, dir: Ino) {
        if let Some(Node::Dir(dir)) = self.nodes.get_mut(&dir) {
            dir.sync();
        }
        if self.nodes.len() > 2 * self.swept + 64 {
            self.sweep();
        }
    }

    pub(super) fn put(&mut self, names: &[&str], bytes: &[u8]) {
        let (name, above) = names.split_last().expect("a file has a name");
        self.create_dirs(above).expect("no file is in the way");
        let mut file = Bytes::default();
        file.write(0, bytes);
        file.settle();
        let ino = self.add(Node::File(file, Arc::new(())));
        let dir = self.find(above).expect("it was just made");
        self.set_name(dir, name, Some(ino));
        for depth in 0..names.len() {
            let dir = self.find(&names[..depth]).expect("it was just made");
            self.sync_dir(dir);
        }
    }

    /// Drops what no name leads to, now or after a crash, and nobody has open.
    fn sweep(&mut self) {
        let pending = |dir: &Dir| dir.pending.iter().flatten().filter_map(|(_, ino)| *ino).collect::<Vec<_>>();
        let mut named: BTreeSet<Ino> = self
            .dirs()
            .flat_map(|dir| dir.live.values().chain(dir.durable.values()).copied().chain(pending(dir)))
            .collect();
        named.insert(ROOT);
        self.nodes.retain(|ino, node| {
            named.contains(ino) || matches!(node, Node::File(_, opened) if Arc::strong_count(opened) > 1)
        });
        self.swept = self.nodes.len();
    }

    fn dirs(&self) -> impl Iterator<Item = &Dir> {
        self.nodes.values().filter_map(|node| match node {
            Node::Dir(dir) => Some(dir),
            Node::File(..) => None,
        })
    }

    fn dir(&self, ino: Ino) -> io::Result<&Dir> {
        match self.nodes.get(&ino) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(..)) => Err(Errno::NOTDIR.into()),
            None => Err(Errno::NOENT.into()),
        }
    }
}
