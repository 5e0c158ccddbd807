//! Reading what the ledger's files tell about the past, also while the service runs.

use super::files::{damaged, list, name, read};
use super::line::{After, Ending, Entry, Lines};
use crate::disk::Disk;
use crate::error::{Error, Result};

/// One line of the history and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The file's name within `ledger/`.
    pub file: String,
    /// The line's number in it, from 1.
    pub line: u64,
    /// What it says.
    pub entry: Entry,
}

/// Reads all files that are kept, oldest first, a file at a time: first where the shards stood when the history
/// begins ([`Entry::Stream`], [`Entry::Shard`], [`Entry::Open`], [`Entry::Lane`]), then each [`Entry::Start`], [`Entry::Plan`],
/// [`Entry::Replan`], [`Entry::Commit`], [`Entry::Skip`], [`Entry::Advance`], [`Entry::Retire`] and [`Entry::Remove`] in order. Damage is an error in the place of what it destroyed; reading goes on in the next file.
pub fn read_history(disk: &dyn Disk) -> Result<impl Iterator<Item = Result<Recorded>>> {
    let numbers: Vec<u64> = list(disk)?.into_iter().map(|(number, _)| number).collect();
    // Two files are in memory at once: a file's header says how much of the one before it is valid.
    let mut ahead: Option<(usize, Vec<u8>)> = None;
    let mut begun = false;
    Ok((0..numbers.len()).flat_map(move |index| {
        let bytes = match ahead.take() {
            Some((at, bytes)) if at == index => Ok(bytes),
            _ => read(disk, numbers[index]),
        };
        let next = numbers.get(index + 1).and_then(|number| read(disk, *number).ok());
        let valid = next.as_deref().and_then(after).filter(|after| after.file == numbers[index]);
        ahead = next.map(|bytes| (index + 1, bytes));
        let recorded = bytes.map(|bytes| of_file(numbers[index], &bytes, valid, &mut begun));
        recorded.unwrap_or_else(|error| vec![Err(error)])
    }))
}

/// What the header in `bytes` says about the file before.
fn after(bytes: &[u8]) -> Option<After> {
    match Lines::new(bytes).next()? {
        Entry::Header { after, .. } => after,
        _ => None,
    }
}

/// What happened in one file; with the snapshot if none was taken yet.
fn of_file(number: u64, bytes: &[u8], valid: Option<After>, begun: &mut bool) -> Vec<Result<Recorded>> {
    let bound = valid.and_then(|after| usize::try_from(after.bytes).ok());
    let mut lines = Lines::new(&bytes[..bytes.len().min(bound.unwrap_or(usize::MAX))]);
    let (mut recorded, mut complete) = (Vec::new(), false);
    while let Some(entry) = lines.next() {
        let told = match &entry {
            Entry::Header { .. } | Entry::End { .. } | Entry::Routing { .. } => false,
            Entry::Stream { .. } | Entry::Shard { .. } | Entry::Open { .. } | Entry::Lane { .. } => !*begun,
            Entry::Begin { .. } => {
                complete = true;
                false
            }
            Entry::Start { .. }
            | Entry::Plan { .. }
            | Entry::Replan { .. }
            | Entry::Commit { .. }
            | Entry::Skip { .. }
            | Entry::Advance { .. }
            | Entry::Retire { .. }
            | Entry::Remove { .. } => true,
        };
        if told {
            recorded.push(Ok(Recorded { file: name(number), line: lines.number, entry }));
        }
    }
    let (line, offset) = (lines.number, lines.offset);
    match lines.ending() {
        Ending::Unknown(why) => {
            let message = format!("ledger/{} line {line} is not understood: {why}", name(number));
            recorded.push(Err(Error::invalid(message)));
        }
        Ending::Damaged => recorded.push(Err(damaged(number, line))),
        Ending::Torn | Ending::Whole if bound.is_some_and(|bound| offset < bound) => {
            recorded.push(Err(damaged(number, line)));
        }
        // A file that was being begun when the power failed has nothing to tell.
        Ending::Torn | Ending::Whole if !complete => recorded.clear(),
        Ending::Torn | Ending::Whole => {}
    }
    *begun |= complete;
    recorded
}
