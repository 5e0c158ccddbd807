//! The ledger's files on disk: finding the valid one at start, appending to it, going on in a new one, retiring old ones.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Options;
use super::line::{After, Ending, Entry, Lines, write};
use super::state::State;
use crate::disk::{Disk, File, Lock, Open};
use crate::error::{Error, Kind, Result};

/// The version of the format that is written.
const FORMAT: u32 = 3;
/// The oldest that is read: it has no lanes, and else is the same.
const FORMAT_MIN: u32 = 2;
const DIR: &str = "ledger";

/// Why nothing could be appended.
pub(super) enum Failure {
    /// It is not there, and may be tried again.
    Write(io::Error),
    /// It may be there or not, and nobody can know before a restart.
    Sync(io::Error),
}

/// The files, held by their one writer.
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    options: Options,
    /// What is appended to; `None` when the next append has to begin a new file.
    current: Option<Current>,
    next_number: u64,
    /// The last valid byte of all.
    last: Option<After>,
    /// Older files with their sizes, oldest first.
    older: VecDeque<(u64, u64)>,
    _lock: Box<dyn Lock>,
}

struct Current {
    number: u64,
    file: Box<dyn File>,
    len: u64,
    /// Bytes at which the next file is begun.
    full: u64,
}

impl Files {
    /// Finds the state on disk and begins a new file with it.
    pub(super) fn open(disk: Arc<dyn Disk>, options: Options) -> Result<(Files, State)> {
        let lock = prepare(&*disk)?;
        let Found { state, numbers, last, unfinished } = find(&*disk)?;
        let next_number = numbers.back().map_or(1, |(number, _)| number.saturating_add(1));
        let older = numbers.into_iter().filter(|(number, _)| !unfinished.contains(number)).collect();
        let mut files = Files { disk, options, current: None, next_number, last, older, _lock: lock };
        files.begin(&state).map_err(|failure| match failure {
            Failure::Write(error) => Error::unavailable("cannot begin a new ledger file").because(error),
            Failure::Sync(error) => Error::new(Kind::Internal, "cannot sync a new ledger file").because(error),
        })?;
        for number in unfinished {
            files.discard(number);
        }
        Ok((files, state))
    }

    /// Makes sure that there is a file with room, beginning one with `state` if need be, and says where it ends.
    pub(super) fn ready(&mut self, state: &State) -> Result<u64, Failure> {
        match &self.current {
            Some(current) if current.len < current.full => Ok(current.len),
            _ => self.begin(state),
        }
    }

    /// Appends whole lines and makes them durable. After a [`Failure::Write`] the next file is begun by
    /// [`ready`](Files::ready).
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), Failure> {
        let Some(mut current) = self.current.take() else {
            return Err(Failure::Write(io::Error::other("no file was begun")));
        };
        if let Err(error) = current.file.write_at(current.len, &[lines]) {
            // Should this fail too, the next file's header still says where this one ended.
            let _ = current.file.set_len(current.len);
            self.older.push_back((current.number, current.len));
            return Err(Failure::Write(error));
        }
        current.file.sync().map_err(Failure::Sync)?;
        current.len += lines.len() as u64;
        self.last = Some(After { file: current.number, bytes: current.len });
        self.current = Some(current);
        Ok(())
    }

    /// The state on disk.
    pub(super) fn state(&self) -> Result<State> {
        let Some(After { file, bytes }) = self.last else { return Ok(State::new()) };
        let mut found = read(&*self.disk, file)?;
        found.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        let (state, _) = replay(file, &found)?.ok_or_else(|| damaged(file, 1))?;
        Ok(state)
    }

    /// Where the current file ends; `None` when there is none.
    pub(super) fn end(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.len)
    }

    /// Begins a file. Once the file before was left, nothing may be appended to it again, whether this succeeds or
    /// not: what stands in the newer one counts, should it turn out to be whole after a crash.
    fn begin(&mut self, state: &State) -> Result<u64, Failure> {
        if let Some(left) = self.current.take() {
            self.older.push_back((left.number, left.len));
        }
        let number = self.next_number;
        self.next_number += 1;
        let mut bytes = Vec::new();
        write(&mut bytes, 0, &Entry::Header { format: FORMAT, file: number, after: self.last });
        state.snapshot().for_each(|entry| write(&mut bytes, 0, &entry));

        let file = self.disk.open(&path(number), Open::CreateNew).map_err(Failure::Write)?;
        if let Err(error) = file.write_at(0, &[&bytes]) {
            self.discard(number);
            return Err(Failure::Write(error));
        }
        file.sync().map_err(Failure::Sync)?;
        self.disk.sync_dir(Path::new(DIR)).map_err(Failure::Sync)?;
        let len = bytes.len() as u64;
        // A snapshot may be longer than a file should be: then it is not written again before as much has happened.
        let full = self.options.file_bytes.max(2 * len);
        self.last = Some(After { file: number, bytes: len });
        self.current = Some(Current { number, file, len, full });
        self.retire();
        Ok(len)
    }

    /// Removes the oldest files beyond the bounds. One older file always stays.
    fn retire(&mut self) {
        let mut bytes: u64 = self.older.iter().map(|(_, len)| len).sum();
        while self.older.len() > 1
            && (self.older.len() >= self.options.files_kept || bytes > self.options.bytes_kept)
            && let Some((number, len)) = self.older.pop_front()
        {
            bytes -= len;
            self.discard(number);
        }
    }

    fn discard(&self, number: u64) {
        if let Err(error) = self.disk.remove(&path(number)) {
            tracing::warn!(file = name(number), %error, "cannot remove a file of the ledger that is not needed");
        }
    }
}

/// A file's name within the ledger's directory.
pub(super) fn name(number: u64) -> String {
    format!("{number:020}.jsonl")
}

fn path(number: u64) -> PathBuf {
    Path::new(DIR).join(name(number))
}

/// The numbers and sizes of the ledger's files, oldest first.
pub(super) fn list(disk: &dyn Disk) -> Result<VecDeque<(u64, u64)>> {
    let entries = match disk.list(Path::new(DIR)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        entries => entries.map_err(|error| Error::unavailable("cannot list ledger/").because(error))?,
    };
    let number = |name: &str| name.strip_suffix(".jsonl").filter(|digits| digits.len() == 20)?.parse().ok();
    Ok(entries.iter().filter_map(|entry| Some((number(&entry.name)?, entry.len))).collect())
}

/// All bytes of a file.
pub(super) fn read(disk: &dyn Disk, number: u64) -> Result<Vec<u8>> {
    let read = || {
        let file = disk.open(&path(number), Open::Read)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error: io::Error| Error::unavailable(format!("cannot read ledger/{}", name(number))).because(error))
}

fn prepare(disk: &dyn Disk) -> Result<Box<dyn Lock>> {
    let made = disk.create_dirs(Path::new(DIR)).and_then(|()| disk.sync_dir(Path::new("")));
    made.map_err(|error| Error::unavailable("cannot make the directory ledger/").because(error))?;
    disk.lock(&Path::new(DIR).join("lock")).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::new(Kind::Conflict, "the ledger is in use by another process"),
        _ => Error::unavailable("cannot lock ledger/lock").because(error),
    })
}

/// What was found on disk.
struct Found {
    state: State,
    /// All files with their sizes, oldest first.
    numbers: VecDeque<(u64, u64)>,
    last: Option<After>,
    /// Files newer than the valid one, whose snapshots were never finished.
    unfinished: Vec<u64>,
}

/// Reads the newest file whose snapshot is whole. One that is not was being begun when the power failed: nothing was
/// ever appended to it, and the file before it has everything.
fn find(disk: &dyn Disk) -> Result<Found> {
    let numbers = list(disk)?;
    let mut unfinished = Vec::new();
    for &(number, _) in numbers.iter().rev() {
        let bytes = read(disk, number)?;
        let Some((state, valid)) = replay(number, &bytes)? else {
            unfinished.push(number);
            continue;
        };
        if valid < bytes.len() {
            let (file, bytes) = (name(number), bytes.len() - valid);
            tracing::warn!(file, bytes, "cut a torn tail of the ledger, which was never acknowledged");
        }
        // What is read may stand in the page cache alone. The new file will make it durable; this is for the history.
        let _ = disk.open(&path(number), Open::Write).and_then(|file| file.sync());
        let last = Some(After { file: number, bytes: valid as u64 });
        return Ok(Found { state, numbers, last, unfinished });
    }
    Ok(Found { state: State::new(), numbers, last: None, unfinished })
}

/// The state after a file's last valid line and how many bytes are valid; `None` if its snapshot is not complete.
fn replay(number: u64, bytes: &[u8]) -> Result<Option<(State, usize)>> {
    let mut lines = Lines::new(bytes);
    let mut state = State::new();
    let mut complete = false;
    while let Some(entry) = lines.next() {
        let applied = match &entry {
            Entry::Header { format, file, .. } if lines.number == 1 => check_header(*format, *file, number),
            _ if lines.number == 1 => Err(Error::corrupt("the first line is no header")),
            entry if complete => state.apply(entry),
            entry => state.restore(entry),
        };
        complete |= matches!(entry, Entry::Begin { .. });
        applied.map_err(|error| refused(number, lines.number, "cannot follow the lines before it", error))?;
    }
    let (line, valid) = (lines.number, lines.offset);
    match lines.ending() {
        Ending::Whole | Ending::Torn => Ok(complete.then_some((state, valid))),
        Ending::Damaged => Err(damaged(number, line)),
        Ending::Unknown(why) => {
            let kind = Error::invalid(format!("was it written by a newer version? {why}"));
            Err(refused(number, line, "is whole, but not understood", kind))
        }
    }
}

fn check_header(format: u32, file: u64, number: u64) -> Result<()> {
    if !(FORMAT_MIN..=FORMAT).contains(&format) {
        let message = format!("the file has format {format}, this version reads {FORMAT_MIN} to {FORMAT}");
        return Err(Error::invalid(message));
    }
    if file != number {
        return Err(Error::corrupt(format!("the file says that it is number {file}: was it copied?")));
    }
    Ok(())
}

/// What an operator is told who has to decide.
pub(super) fn damaged(number: u64, line: u64) -> Error {
    Error::corrupt(format!(
        "ledger/{} line {line} is damaged, and later lines prove that it was whole: restore the data directory from a \
         backup, or cut the file before that line, which may deliver again what was delivered since",
        name(number)
    ))
}

fn refused(number: u64, line: u64, what: &str, cause: Error) -> Error {
    let kind = if cause.kind() == Kind::Invalid { Kind::Invalid } else { Kind::Corrupt };
    Error::new(kind, format!("ledger/{} line {line} {what}", name(number))).because(cause)
}
