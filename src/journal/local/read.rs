//! Reading: from memory while a put is fresh, else from its segment, past what is damaged.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::cipher::Cipher;
use super::damage::Hole;
use super::frame::{Fault, HEAD_BYTES, Head, Ident};
use super::segment::DATA_START;
use super::state::{Inner, Shard, lock};
use super::walk::Walk;
use crate::disk::{File, Open};
use crate::error::{Error, Result};
use crate::limits::SEGMENT_MARK_BYTES;
use crate::record::{Batch, Records, ShardId, Span};

/// What memory can say to a read at once.
pub(super) enum Quick {
    /// The answer.
    Batch(Batch),
    /// The records are on disk.
    OnDisk,
}

/// Reads without touching the disk, if that can be done.
pub(super) fn quick(inner: &Inner, shard: &Shard, start: u64, bytes_max: usize) -> Quick {
    let (from, end) = {
        let view = lock(&shard.view);
        (start.max(view.start), view.end)
    };
    if from >= end {
        return Quick::Batch(empty(shard.id, from));
    }
    let puts = lock(&inner.fresh).read(shard.id, from, bytes_max);
    puts.map_or(Quick::OnDisk, |puts| Quick::Batch(batch(shard.id, from, puts)))
}

/// Reads from segments; may block.
pub(super) fn from_disk(inner: &Inner, shard: &Shard, start: u64, bytes_max: usize) -> Result<Batch> {
    let mut position = start;
    let mut vanished = None;
    loop {
        let (piece, end) = {
            let view = lock(&shard.view);
            position = position.max(view.start);
            if position >= view.end {
                return Ok(empty(shard.id, position));
            }
            (Piece::at(&view, shard.id, position), view.end)
        };
        let Some(piece) = piece else { return Ok(empty(shard.id, end)) };
        let found = inner.disk.open(&piece.path, Open::Read).and_then(|file| piece.read(&*file, position, bytes_max));
        match found {
            Ok(Found::Puts(puts)) => return Ok(batch(shard.id, puts.from, puts.records)),
            Ok(Found::Nothing) => position = piece.end,
            Ok(Found::Damage(hole, fault)) => inner.quarantine(shard, piece.first, hole, &fault.to_string()),
            // It was freed since we looked; if so, the start has moved on.
            Err(error) if error.kind() == io::ErrorKind::NotFound && vanished != Some(piece.first) => {
                vanished = Some(piece.first);
            }
            Err(error) => {
                let message = format!("cannot read {} from position {position}", piece.path.display());
                return Err(Error::unavailable(message).because(error));
            }
        }
    }
}

pub(super) fn empty(shard: ShardId, position: u64) -> Batch {
    Batch { span: Span { shard, start: position, end: position }, puts: Vec::new() }
}

fn batch(shard: ShardId, start: u64, puts: Vec<Records>) -> Batch {
    let records: u64 = puts.iter().map(|put| put.len() as u64).sum();
    Batch { span: Span { shard, start, end: start + records }, puts }
}

/// What a read needs to know of a segment.
struct Piece {
    path: PathBuf,
    first: u64,
    ident: Ident,
    cipher: Option<Arc<Cipher>>,
    /// A frame begins at `offset`, with `position`.
    offset: u64,
    position: u64,
    end: u64,
    len: u64,
    holes: Vec<Hole>,
}

enum Found {
    /// What was asked for.
    Puts(Puts),
    /// All that is left of the segment is known to be lost.
    Nothing,
    /// A stretch that was not known to be lost, and how it was found out.
    Damage(Hole, Fault),
}

impl Piece {
    fn at(view: &super::state::View, shard: ShardId, position: u64) -> Option<Piece> {
        let segment = view.segment_at(position)?;
        let mark = segment.marks.partition_point(|mark| mark.position <= position).checked_sub(1);
        let mark = mark.map(|at| segment.marks[at]);
        Some(Piece {
            path: segment.path(shard),
            first: segment.first(),
            ident: segment.header.ident,
            cipher: segment.cipher.clone(),
            offset: mark.map_or(DATA_START, |mark| u64::from(mark.offset)),
            position: mark.map_or(segment.first(), |mark| mark.position),
            end: segment.end.min(view.end),
            len: segment.len,
            holes: segment.holes.clone(),
        })
    }

    fn read(&self, file: &dyn File, start: u64, bytes_max: usize) -> io::Result<Found> {
        let window = bytes_max.saturating_add(SEGMENT_MARK_BYTES as usize);
        let mut walk = Walk::new(file, self.ident, self.cipher.as_deref(), self.len, window);
        let (mut offset, mut position) = (self.offset, self.position);
        let mut puts = Puts { from: start, records: Vec::new(), bytes: 0 };
        while position < self.end {
            if let Some(hole) = self.holes.iter().find(|hole| hole.start <= position && position < hole.end) {
                if !puts.records.is_empty() {
                    break;
                }
                (offset, position) = (hole.end_offset, hole.end);
                continue;
            }
            match step(&mut walk, offset, position, bytes_max, &mut puts)? {
                Ok(Some(next)) => (offset, position) = next,
                Ok(None) => break,
                Err(_) if !puts.records.is_empty() => break,
                Err(fault) => {
                    let hole = self.hole(&mut walk, offset, position)?;
                    if hole.positions() > 0 {
                        return Ok(Found::Damage(hole, fault));
                    }
                    offset = hole.end_offset;
                }
            }
        }
        Ok(if puts.records.is_empty() { Found::Nothing } else { Found::Puts(puts) })
    }

    /// What is lost from a broken frame up to the next whole one.
    fn hole(&self, walk: &mut Walk<'_>, offset: u64, position: u64) -> io::Result<Hole> {
        let next = walk.resync(offset, position)?;
        let (end_offset, end) = next.map_or((self.len, self.end), |(head, _)| (u64::from(head.offset), head.first));
        Ok(Hole { offset, end_offset, start: position, end: end.min(self.end) })
    }
}

/// Takes one frame, or passes over it where it lies before what is wanted. Returns where the next one begins;
/// nothing where enough is read.
fn step(
    walk: &mut Walk<'_>,
    offset: u64,
    position: u64,
    bytes_max: usize,
    puts: &mut Puts,
) -> io::Result<Result<Option<(u64, u64)>, Fault>> {
    let head = match walk.head(offset)? {
        Ok(head) if head.first == position => head,
        Ok(_) => return Ok(Err(Fault::Misplaced)),
        Err(fault) => return Ok(Err(fault)),
    };
    let next = Some((head.end_offset(), head.end()));
    if head.end() <= puts.from {
        return Ok(Ok(next));
    }
    if !puts.records.is_empty() && puts.bytes + stored(&head) > bytes_max {
        return Ok(Ok(None));
    }
    let content = match walk.content(&head)? {
        Ok(content) => content,
        Err(fault) => return Ok(Err(fault)),
    };
    puts.take(&head, content.records);
    Ok(Ok(next))
}

/// Bytes of a frame: what is gathered is measured by them, so that it lies within one window.
fn stored(head: &Head) -> usize {
    HEAD_BYTES + head.body_len as usize
}

/// The puts that a read gathers.
struct Puts {
    /// The position of the first record; until there is one, what was asked for.
    from: u64,
    records: Vec<Records>,
    bytes: usize,
}

impl Puts {
    fn take(&mut self, head: &Head, records: Records) {
        let position = head.first;
        let records = if position < self.from && self.records.is_empty() {
            records.slice((self.from - position) as usize, records.len())
        } else {
            records
        };
        if self.records.is_empty() {
            self.from = position.max(self.from);
        }
        self.bytes += stored(head);
        self.records.push(records);
    }
}
