//! Start-up: finds the segments of all shards, reads those that have no sidecar, cuts torn tails, and notes damage.
//!
//! A torn tail is what stands behind the last frame that may have been acknowledged. Frames of one group become durable
//! together, so where a frame is broken, whole frames behind it that were written before it was durable belong to
//! its group: the group was never acknowledged and goes with the tail. A frame behind it that was written later
//! says that the broken one had been durable: that is damage, and what follows stays.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::calls::{Calls, expired};
use super::cipher::Cipher;
use super::damage::{self, Hole};
use super::frame::Ident;
use super::keeper::{remove_if_there, remove_stream, replace, shard_of};
use super::scan::{Scan, orphans, scan};
use super::segment::{DATA_START, Header, JOURNAL_DIR, NEW, Part, REMOVED, parse_name, path_of, shard_dir, stream_dir};
use super::sidecar::{Sidecar, Stored};
use super::state::{Inner, Leftover, Segment, Shard, State, View, lock, report};
use super::sync::Target;
use super::walk::Walk;
use crate::disk::{File, Open};
use crate::error::{Error, Kind, Result};
use crate::journal::Checkpoint;
use crate::record::{ShardId, StreamId};

/// More positions than one segment can hold: by so much a shard goes on where the sidecar that knew its end is lost.
const POSITIONS_SKIPPED: u64 = 1 << 32;
/// Bytes in memory while a segment is read.
const WINDOW_BYTES: usize = 1 << 20;

/// What start-up found, besides what it put into [`Inner`].
pub(super) struct Recovered {
    /// The calls that are to be known again.
    pub(super) calls: Calls,
    /// Sidecars that are to be written.
    pub(super) unsealed: Vec<(Arc<Shard>, Box<Sidecar>)>,
    /// What must be synced before any of it is relied on.
    pub(super) targets: Vec<Target>,
}

/// Reads the journal's folder. Fails where the disk does, and where segments are encrypted under another key.
pub(super) fn recover(inner: &Inner) -> Result<Recovered> {
    let failed = |error: io::Error| Error::new(Kind::Unavailable, "cannot read the journal's folder").because(error);
    inner.disk.create_dirs(Path::new(JOURNAL_DIR)).map_err(failed)?;
    inner.disk.sync_dir(Path::new("")).map_err(failed)?;
    let mut calls = Vec::new();
    let mut unsealed = Vec::new();
    let mut targets = Vec::new();
    let mut unseen = inner.options.ends_min.clone();
    for entry in inner.disk.list(Path::new(JOURNAL_DIR)).map_err(failed)? {
        let Ok(stream) = entry.name.parse::<StreamId>() else {
            tracing::warn!(name = entry.name, "what is this in the journal's folder");
            continue;
        };
        let folders = inner.disk.list(&stream_dir(stream)).map_err(failed)?;
        if folders.iter().any(|entry| entry.name == REMOVED) {
            remove_stream(&*inner.disk, stream).map_err(failed)?;
            continue;
        }
        targets.push(Target::Dir(stream_dir(stream)));
        for id in folders.iter().filter_map(|entry| shard_of(stream, &entry.name)) {
            unseen.remove(&id);
            let found = Loader::new(inner, id).load()?;
            targets.extend(found.targets);
            calls.extend(found.calls.into_iter().map(|stored| (id, stored)));
            unsealed.extend(found.unsealed);
        }
    }
    for (id, _) in unseen.into_iter().filter(|(_, end)| *end > 0) {
        inner.disk.create_dirs(&shard_dir(id)).map_err(failed)?;
        targets.push(Target::Dir(stream_dir(id.stream)));
        targets.extend(Loader::new(inner, id).load()?.targets);
    }
    if !targets.is_empty() {
        targets.push(Target::Dir(JOURNAL_DIR.into()));
    }
    let now_ms = inner.clock.now_ms();
    calls.sort_by_key(|(_, stored)| stored.arrived_ms);
    let mut memory = Calls::new(inner.options.calls_max);
    for (id, stored) in calls {
        memory.remember(id, stored, now_ms);
    }
    Ok(Recovered { calls: memory, unsealed, targets })
}

/// A segment, and its sidecar where that is to be written.
type Loaded = (Segment, Option<Sidecar>);

/// Loads one shard.
struct Loader<'a> {
    inner: &'a Inner,
    id: ShardId,
    calls: Vec<Stored>,
    /// The newest of each source, as of what was loaded by now; segments and sidecars are loaded in the order of positions.
    checkpoints: BTreeMap<String, Bytes>,
    /// There was one, be it forgotten by now.
    checkpointed: bool,
    unsealed: Vec<(Arc<Shard>, Box<Sidecar>)>,
    targets: Vec<Target>,
}

/// The files of one shard.
#[derive(Default)]
struct Files {
    /// First position and length.
    segments: BTreeMap<u64, u64>,
    sidecars: BTreeMap<u64, u64>,
    notes: BTreeSet<u64>,
}

impl Files {
    /// The first position of the newest segment or sidecar.
    fn newest(&self) -> Option<u64> {
        self.segments.keys().chain(self.sidecars.keys()).max().copied()
    }
}

impl<'a> Loader<'a> {
    fn new(inner: &'a Inner, id: ShardId) -> Self {
        Loader {
            inner,
            id,
            calls: Vec::new(),
            checkpoints: BTreeMap::new(),
            checkpointed: false,
            unsealed: Vec::new(),
            targets: Vec::new(),
        }
    }

    fn load(mut self) -> Result<Self> {
        let files = self.list()?;
        let mut view = View::default();
        let mut sidecars = Vec::new();
        // One past the last position that the disk tells of.
        let mut end = 0;
        let firsts: BTreeSet<u64> = files.segments.keys().chain(files.sidecars.keys()).copied().collect();
        for first in firsts {
            let Some(&bytes) = files.segments.get(&first) else {
                let (leftover, leftover_end) = self.leftover(first, &files)?;
                end = end.max(leftover_end);
                view.leftovers.push_back(leftover);
                continue;
            };
            let newest = files.segments.last_key_value().is_some_and(|(last, _)| *last == first);
            let sidecar_bytes = files.sidecars.get(&first).copied().unwrap_or(0);
            let Some((segment, unsealed)) = self.segment(first, bytes, sidecar_bytes, newest)? else { continue };
            end = end.max(segment.end);
            view.segments.push_back(segment);
            sidecars.extend(unsealed);
        }
        self.notes(&files, &mut view)?;
        end = end.max(view.segments.back().map_or(0, |segment| segment.end));
        end = end.max(files.segments.last_key_value().map_or(0, |(first, _)| *first));
        end = end.max(self.known_end(end));
        self.keep_end(&mut view, end)?;
        self.targets(&view)?;
        self.publish(view, end, sidecars)?;
        Ok(self)
    }

    /// Keeps the calls that are still to be known.
    fn know(&mut self, calls: &[Stored]) {
        let now_ms = self.inner.clock.now_ms();
        self.calls.extend(calls.iter().filter(|stored| !expired(stored, now_ms)));
    }

    /// Takes the checkpoints of a sidecar, which are all that there were at its end.
    fn checkpoints_are(&mut self, sidecar: &Sidecar) {
        self.checkpoints.clone_from(&sidecar.checkpoints);
        self.checkpointed |= !sidecar.checkpoints.is_empty();
    }

    /// Takes those that came with the frames of an unsealed segment.
    fn checkpoints_change(&mut self, changes: BTreeMap<String, Bytes>) {
        self.checkpointed |= !changes.is_empty();
        for (source, at) in changes {
            Checkpoint { source, at }.enter(&mut self.checkpoints);
        }
    }

    /// A sidecar without a segment, and the end of the shard as it tells it.
    fn leftover(&mut self, first: u64, files: &Files) -> Result<(Leftover, u64)> {
        let bytes = files.sidecars.get(&first).copied().unwrap_or(0);
        let (end, calls_ms) = match self.sidecar(first)? {
            Some(sidecar) => {
                self.know(&sidecar.calls);
                self.checkpoints_are(&sidecar);
                (sidecar.end, newest(&sidecar.calls))
            }
            None if files.newest() == Some(first) => (first.saturating_add(POSITIONS_SKIPPED), 0),
            None => (first, 0),
        };
        Ok((Leftover { first, calls_ms, bytes }, end))
    }

    fn list(&self) -> Result<Files> {
        let dir = shard_dir(self.id);
        let mut files = Files::default();
        for entry in self.inner.disk.list(&dir).map_err(|error| failed(&dir, error))? {
            match parse_name(&entry.name) {
                Some((first, Part::Segment)) => drop(files.segments.insert(first, entry.len)),
                Some((first, Part::Sidecar)) => drop(files.sidecars.insert(first, entry.len)),
                Some((first, Part::Note)) => drop(files.notes.insert(first)),
                None if entry.name.ends_with(NEW) => {
                    let path = dir.join(&entry.name);
                    remove_if_there(&*self.inner.disk, &path).map_err(|error| failed(&path, error))?;
                }
                None => tracing::warn!(folder = %dir.display(), name = entry.name, "what is this in a shard's folder"),
            }
        }
        Ok(files)
    }

    /// One segment, and its sidecar where that is to be written; nothing where it holds nothing.
    fn segment(&mut self, first: u64, bytes: u64, sidecar_bytes: u64, newest: bool) -> Result<Option<Loaded>> {
        let path = path_of(self.id, first, Part::Segment);
        let file = self.inner.disk.open(&path, Open::Read).map_err(|error| failed(&path, error))?;
        let mut head = vec![0; bytes.min(DATA_START) as usize];
        file.read_at(0, &mut head).map_err(|error| failed(&path, error))?;
        let own = Header::decode_either(&head).filter(|header| header.belongs_to(self.id, first));
        let sidecar = self.sidecar(first)?;
        sidecar.iter().for_each(|sidecar| self.checkpoints_are(sidecar));
        // Without length it only kept the shard's end, before there was a segment.
        let of_it = |sidecar: &Sidecar| sidecar.len > 0 && own.is_none_or(|own| own == sidecar.header);
        let sidecar = sidecar.filter(of_it);
        let header = own.or_else(|| sidecar.as_ref().map(|sidecar| sidecar.header));
        if let Some(sidecar) = sidecar.as_ref().filter(|sidecar| sidecar.len == bytes) {
            let cipher = sidecar.header.cipher(self.inner.master.as_ref(), &path)?;
            self.know(&sidecar.calls);
            return Ok(Some((segment_of(sidecar, cipher, State::Sealed { sidecar_bytes }), None)));
        }
        self.read_segment(&path, &*file, first, header, sidecar.map(|sidecar| sidecar.end), newest)
    }

    /// Reads a segment that has no (right) sidecar, and cuts its torn tail.
    fn read_segment(
        &mut self,
        path: &Path,
        file: &dyn File,
        first: u64,
        header: Option<Header>,
        mut sealed_end: Option<u64>,
        newest: bool,
    ) -> Result<Option<Loaded>> {
        let failed = |error| failed(path, error);
        let len = file.len().map_err(failed)?;
        let was_sealed = sealed_end.is_some();
        let header = if let Some(header) = header {
            header
        } else {
            let Some(orphans) = orphans(file, self.id, len).map_err(failed)? else {
                return self.discard(path, len).map(|()| None);
            };
            tracing::error!(file = %path.display(), "both copies of a segment's header are damaged");
            sealed_end = sealed_end.max(orphans.durable_end);
            self.header(first, orphans.nonce)
        };
        let cipher = header.cipher(self.inner.master.as_ref(), path)?;
        if newest {
            // Where its last sync failed, the last group may stand in memory alone, as pages that count as written.
            file.sync().and_then(|()| file.forget()).map_err(failed)?;
        }
        let mut walk = Walk::new(file, header.ident, cipher.as_ref(), len, WINDOW_BYTES);
        let mut found = scan(&mut walk, first).map_err(failed)?;
        if let Some(end) = sealed_end.filter(|end| *end > found.end) {
            found.holes.push(Hole { offset: found.len, end_offset: found.len, start: found.end, end });
            found.end = end;
        }
        if found.end == first && newest {
            return self.discard(path, len).map(|()| None);
        }
        if found.len < len {
            if newest && sealed_end.is_none() {
                self.cut(path, found.len, len)?;
            } else {
                found.len = len;
            }
        }
        for hole in &found.holes {
            report(path, *hole, "found while reading an unsealed segment");
        }
        if !found.holes.is_empty() {
            self.inner.write_note(self.id, first, &damage::encode(&found.holes));
        }
        // A sidecar of this very segment has told what came with these frames, and with those that are lost.
        if !was_sealed {
            self.checkpoints_change(std::mem::take(&mut found.checkpoints));
        }
        let (sidecar, holes) = sidecar_of(header, found, self.checkpoints.clone());
        self.know(&sidecar.calls);
        let mut segment = segment_of(&sidecar, cipher, State::Retired);
        segment.holes = holes;
        Ok(Some((segment, Some(sidecar))))
    }

    /// Cuts a torn tail off, durably, before anything is appended behind it.
    fn cut(&self, path: &Path, len: u64, before: u64) -> Result<()> {
        tracing::warn!(file = %path.display(), offset = len, bytes = before - len, "cut a torn tail that was never acknowledged");
        let file = self.inner.disk.open(path, Open::Write).map_err(|error| failed(path, error))?;
        file.set_len(len).and_then(|()| file.sync()).map_err(|error| failed(path, error))
    }

    /// Removes a segment in which no frame was ever whole.
    fn discard(&self, path: &Path, len: u64) -> Result<()> {
        tracing::warn!(file = %path.display(), bytes = len, "removed a segment without any whole frame");
        remove_if_there(&*self.inner.disk, path).map_err(|error| failed(path, error))
    }

    fn sidecar(&self, first: u64) -> Result<Option<Sidecar>> {
        let path = path_of(self.id, first, Part::Sidecar);
        let Some(bytes) = self.read(&path)? else { return Ok(None) };
        let sidecar = Sidecar::decode(&bytes).filter(|sidecar| sidecar.header.belongs_to(self.id, first));
        if sidecar.is_none() {
            tracing::warn!(file = %path.display(), "a sidecar is damaged");
        }
        Ok(sidecar)
    }

    /// Adds the damage that was noted before, and what is missing between segments.
    fn notes(&self, files: &Files, view: &mut View) -> Result<()> {
        for &first in &files.notes {
            let note = self.read(&path_of(self.id, first, Part::Note))?.unwrap_or_default();
            let holes = damage::decode(&String::from_utf8_lossy(&note));
            match view.segments.iter_mut().find(|segment| segment.first() == first) {
                Some(segment) => {
                    for hole in holes {
                        segment.end = segment.end.max(hole.end);
                        damage::add(&mut segment.holes, hole);
                    }
                }
                None => view.damaged += holes.iter().map(Hole::positions).sum::<u64>(),
            }
        }
        for at in 1..view.segments.len() {
            let next = view.segments[at].first();
            let segment = &mut view.segments[at - 1];
            if segment.end < next {
                let hole = Hole { offset: segment.len, end_offset: segment.len, start: segment.end, end: next };
                damage::add(&mut segment.holes, hole);
                segment.end = next;
                report(&segment.path(self.id), hole, "the end of a segment, or a whole one, is missing");
                self.inner.write_note(self.id, segment.first(), &damage::encode(&segment.holes));
            } else if segment.end > next {
                tracing::error!(file = %segment.path(self.id).display(), "two segments hold the same positions");
                segment.end = next;
            }
        }
        view.damaged += view.segments.iter().flat_map(|segment| &segment.holes).map(Hole::positions).sum::<u64>();
        Ok(())
    }

    /// The end that is known from elsewhere; loud where it is beyond what the disk tells of.
    fn known_end(&self, end: u64) -> u64 {
        let known = self.inner.options.ends_min.get(&self.id).copied().unwrap_or(0);
        if known > end {
            tracing::error!(
                folder = %shard_dir(self.id).display(),
                ends_at = end,
                planned_up_to = known,
                "the journal has lost records that were planned for delivery: was it damaged, or restored from a backup? \
                 Their positions are passed over"
            );
        }
        known
    }

    /// Sees to it that some file tells the shard's end, also when the segment that told it had nothing in it.
    fn keep_end(&self, view: &mut View, end: u64) -> Result<()> {
        if end == 0 || view.segments.back().is_some_and(|segment| segment.end == end) {
            return Ok(());
        }
        if let Some(leftover) = view.leftovers.back()
            && self.sidecar(leftover.first)?.is_some_and(|sidecar| sidecar.end == end)
        {
            return Ok(());
        }
        let header = self.header(end, 0);
        let checkpoints = self.checkpoints.clone();
        let sidecar =
            Sidecar { header, end, len: 0, oldest_ms: 0, newest_ms: 0, marks: vec![], calls: vec![], checkpoints };
        let bytes = sidecar.encode();
        let path = path_of(self.id, end, Part::Sidecar);
        replace(&*self.inner.disk, &path, &bytes).map_err(|error| failed(&path, error))?;
        view.leftovers.push_back(Leftover { first: end, calls_ms: 0, bytes: bytes.len() as u64 });
        Ok(())
    }

    /// What may not be durable yet: names, segments that were not sealed, and the sidecar that keeps the end.
    fn targets(&mut self, view: &View) -> Result<()> {
        self.targets.push(Target::Dir(shard_dir(self.id)));
        let unsealed = view.segments.iter().filter(|segment| segment.state == State::Retired);
        let mut paths: Vec<PathBuf> = unsealed.map(|segment| segment.path(self.id)).collect();
        let sealed = view.segments.back().filter(|segment| segment.state != State::Retired).map(Segment::first);
        let newest = sealed.max(view.leftovers.back().map(|leftover| leftover.first));
        paths.extend(newest.map(|first| path_of(self.id, first, Part::Sidecar)));
        for path in paths {
            let file = self.inner.disk.open(&path, Open::Read).map_err(|error| failed(&path, error))?;
            self.targets.push(Target::File(file.into()));
        }
        Ok(())
    }

    fn publish(&mut self, mut view: View, end: u64, sidecars: Vec<Sidecar>) -> Result<()> {
        let shard = self.inner.find_or_make(self.id)?;
        view.start = view.segments.front().map_or(end, Segment::first);
        view.end = end;
        view.checkpoints = std::mem::take(&mut self.checkpoints);
        view.checkpointed = self.checkpointed;
        shard.called(newest(&self.calls));
        self.inner.add_bytes(&shard.stream_bytes, view.disk_bytes());
        *lock(&shard.view) = view;
        shard.tip.send_modify(|tip| tip.end = end);
        self.unsealed = sidecars.into_iter().map(|sidecar| (shard.clone(), Box::new(sidecar))).collect();
        Ok(())
    }

    /// A header in place of one that there is not.
    fn header(&self, first: u64, nonce: u64) -> Header {
        let ident = Ident { stream: self.id.stream, shard: self.id.index, nonce };
        Header { ident, first, created_ms: self.inner.clock.now_ms(), key: None }
    }

    /// A small file, if it is there.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let read = || {
            let file = self.inner.disk.open(path, Open::Read)?;
            let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
            file.read_at(0, &mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(path, error)),
        }
    }
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::new(Kind::Unavailable, format!("cannot recover {}", path.display())).because(error)
}

fn sidecar_of(header: Header, found: Scan, checkpoints: BTreeMap<String, Bytes>) -> (Sidecar, Vec<Hole>) {
    let Scan { end, len, oldest_ms, newest_ms, marks, calls, holes, checkpoints: _ } = found;
    (Sidecar { header, end, len, oldest_ms, newest_ms, marks, calls, checkpoints }, holes)
}

fn segment_of(sidecar: &Sidecar, cipher: Option<Cipher>, state: State) -> Segment {
    Segment {
        header: sidecar.header,
        cipher: cipher.map(Arc::new),
        end: sidecar.end,
        len: sidecar.len,
        marks: sidecar.marks.clone(),
        holes: Vec::new(),
        oldest_ms: sidecar.oldest_ms,
        newest_ms: sidecar.newest_ms,
        calls_ms: newest(&sidecar.calls),
        state,
    }
}

fn newest(calls: &[Stored]) -> u64 {
    calls.iter().map(|stored| stored.arrived_ms).max().unwrap_or(0)
}
