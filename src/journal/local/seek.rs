//! Where the records of a time begin: by the arrivals that are known of segments, then by the heads of frames.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::cipher::Cipher;
use super::damage::Hole;
use super::frame::Ident;
use super::segment::DATA_START;
use super::sidecar::Mark;
use super::state::{Inner, Segment, Shard, View, lock};
use super::walk::Walk;
use crate::disk::{File, Open};
use crate::error::{Error, Result};

/// Bytes read at once while heads are looked at: bodies are skipped where they are longer.
const WINDOW_BYTES: usize = 16 << 10;

/// The position, if what memory knows of segments tells it: where all that can be read came then or later, or before.
pub(super) fn quick(shard: &Shard, arrived_ms: u64) -> Option<u64> {
    let view = lock(&shard.view);
    match candidate(&view, view.start, arrived_ms) {
        None => Some(view.end),
        Some(segment) if segment.oldest_ms >= arrived_ms => Some(segment.first().clamp(view.start, view.end)),
        Some(_) => None,
    }
}

/// The position, by reading; may block. Damage is passed over: it is the readers who report it.
pub(super) fn from_disk(inner: &Inner, shard: &Shard, arrived_ms: u64) -> Result<u64> {
    let (mut from, mut vanished) = (0, None);
    loop {
        let piece = {
            let view = lock(&shard.view);
            from = from.max(view.start);
            match candidate(&view, from, arrived_ms) {
                Some(segment) => Piece::of(segment, shard, view.end),
                None => return Ok(view.end),
            }
        };
        match inner.disk.open(&piece.path, Open::Read).and_then(|file| piece.seek(&*file, from, arrived_ms)) {
            Ok(Some(position)) => return Ok(position.max(lock(&shard.view).start)),
            Ok(None) => from = piece.end,
            // It was freed since we looked; if so, the start has moved on.
            Err(error) if error.kind() == io::ErrorKind::NotFound && vanished != Some(piece.first) => {
                vanished = Some(piece.first);
            }
            Err(error) => {
                let message = format!("cannot look for a time in {}", piece.path.display());
                return Err(Error::unavailable(message).because(error));
            }
        }
    }
}

/// The first segment with something visible from position `from` on that may have come at that time or later.
fn candidate(view: &View, from: u64, arrived_ms: u64) -> Option<&Segment> {
    let visible = |segment: &&Segment| segment.end.min(view.end) > from.max(segment.first());
    view.segments.iter().filter(visible).find(|segment| segment.newest_ms >= arrived_ms)
}

/// What must be known of a segment.
struct Piece {
    path: PathBuf,
    first: u64,
    ident: Ident,
    cipher: Option<Arc<Cipher>>,
    marks: Vec<Mark>,
    holes: Vec<Hole>,
    end: u64,
    len: u64,
}

impl Piece {
    fn of(segment: &Segment, shard: &Shard, end: u64) -> Piece {
        Piece {
            path: segment.path(shard.id),
            first: segment.first(),
            ident: segment.header.ident,
            cipher: segment.cipher.clone(),
            marks: segment.marks.clone(),
            holes: segment.holes.clone(),
            end: segment.end.min(end),
            len: segment.len,
        }
    }

    /// The first position from `start` on whose put came then or later.
    fn seek(&self, file: &dyn File, start: u64, arrived_ms: u64) -> io::Result<Option<u64>> {
        let mut walk = Walk::new(file, self.ident, self.cipher.as_deref(), self.len, WINDOW_BYTES);
        let mark = self.last_mark_before(&mut walk, start, arrived_ms)?;
        let (mut offset, mut position) =
            mark.map_or((DATA_START, self.first), |mark| (u64::from(mark.offset), mark.position));
        while position < self.end {
            if let Some(hole) = self.holes.iter().find(|hole| hole.start <= position && position < hole.end) {
                (offset, position) = (hole.end_offset, hole.end);
                continue;
            }
            match walk.head(offset)? {
                Ok(head) if head.first == position => {
                    if head.end() > start && head.arrived_ms >= arrived_ms {
                        return Ok(Some(position.max(start)));
                    }
                    (offset, position) = (head.end_offset(), head.end());
                }
                _ => match walk.resync(offset, position)? {
                    Some((head, _)) => (offset, position) = (u64::from(head.offset), head.first),
                    None => return Ok(None),
                },
            }
        }
        Ok(None)
    }

    /// The last mark at or before `start`, or a later one whose put came before that time: what is wanted stands behind it.
    fn last_mark_before(&self, walk: &mut Walk<'_>, start: u64, arrived_ms: u64) -> io::Result<Option<Mark>> {
        let (mut low, mut high) = (self.marks.partition_point(|mark| mark.position <= start), self.marks.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.first_whole(walk, middle, high)? {
                Some((at, arrived)) if arrived < arrived_ms => low = at + 1,
                _ => high = middle,
            }
        }
        Ok(low.checked_sub(1).map(|at| self.marks[at]))
    }

    /// The first of the marks `from..to` whose frame's head is whole, and when its put came.
    fn first_whole(&self, walk: &mut Walk<'_>, from: usize, to: usize) -> io::Result<Option<(usize, u64)>> {
        for at in from..to {
            let mark = self.marks[at];
            if let Ok(head) = walk.head(u64::from(mark.offset))?
                && head.first == mark.position
            {
                return Ok(Some((at, head.arrived_ms)));
            }
        }
        Ok(None)
    }
}
