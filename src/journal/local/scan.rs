//! Reading a whole segment to learn what it holds: what its sidecar would tell, but for checkpoints of before it.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;

use super::damage::Hole;
use super::frame::{Fault, HEAD_BYTES, Head, MAGIC};
use super::sidecar::{Mark, Stored};
use super::walk::Walk;
use crate::disk::File;
use crate::journal::Checkpoint;
use crate::limits::SEGMENT_MARK_BYTES;
use crate::record::ShardId;

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// One past its last position.
    pub(super) end: u64,
    /// One past its last whole frame; what follows is a torn tail.
    pub(super) len: u64,
    pub(super) oldest_ms: u64,
    pub(super) newest_ms: u64,
    pub(super) marks: Vec<Mark>,
    pub(super) calls: Vec<Stored>,
    pub(super) holes: Vec<Hole>,
    /// The newest checkpoint of each source in it; empty for one that was forgotten.
    pub(super) checkpoints: BTreeMap<String, Bytes>,
}

/// Reads all frames. Whether a broken frame is damage or the torn tail: see [`recover`](super::recover).
pub(super) fn scan(walk: &mut Walk<'_>, first: u64) -> io::Result<Scan> {
    let mut found = Scan { end: first, len: super::segment::DATA_START, ..Scan::default() };
    // Broken frames of which it is not known yet whether they had been durable, with what was found before each.
    let mut suspects: Vec<(u64, Scan)> = Vec::new();
    loop {
        let offset = found.len;
        let (head, content) = match walk.frame(offset, found.end)? {
            Ok(frame) => frame,
            Err(Fault::Short) if offset >= walk.len() => break,
            Err(_) => {
                let Some((head, content)) = walk.resync(offset, found.end)? else { break };
                suspects.push((offset, found.clone()));
                found.skip_to(&head);
                (head, content)
            }
        };
        suspects.retain(|(broken, _)| *broken >= u64::from(head.durable));
        found.take(&head);
        if let Some(Checkpoint { source, at }) = content.checkpoint {
            // A copy: the bytes are part of a whole window.
            found.checkpoints.insert(source, Bytes::copy_from_slice(&at));
        }
    }
    Ok(suspects.into_iter().next().map_or(found, |(_, before)| before))
}

impl Scan {
    /// Takes everything up to a frame for lost.
    fn skip_to(&mut self, head: &Head) {
        let end_offset = u64::from(head.offset);
        if head.first > self.end {
            self.holes.push(Hole { offset: self.len, end_offset, start: self.end, end: head.first });
        }
        self.end = head.first;
    }

    fn take(&mut self, head: &Head) {
        mark(&mut self.marks, head.first, head.offset);
        if let Some(call) = head.call {
            self.calls.push(Stored { call, start: head.first, count: head.count, arrived_ms: head.arrived_ms });
        }
        self.oldest_ms = if self.oldest_ms == 0 { head.arrived_ms } else { self.oldest_ms.min(head.arrived_ms) };
        self.newest_ms = self.newest_ms.max(head.arrived_ms);
        self.end = head.end();
        self.len = head.end_offset();
    }
}

/// Adds a mark for a frame, if the last one is far enough away.
pub(super) fn mark(marks: &mut Vec<Mark>, position: u64, offset: u32) {
    if marks.last().is_none_or(|last| u64::from(offset) >= u64::from(last.offset) + SEGMENT_MARK_BYTES) {
        marks.push(Mark { position, offset });
    }
}

/// What the frames of a segment whose header is lost tell about it.
pub(super) struct Orphans {
    /// The segment's random number.
    pub(super) nonce: u64,
    /// One past the last position of which it is sure that something durable stood before it.
    pub(super) durable_end: Option<u64>,
}

/// Looks for heads of frames in a segment whose header is lost.
pub(super) fn orphans(file: &dyn File, shard: ShardId, len: u64) -> io::Result<Option<Orphans>> {
    const WINDOW: u64 = 1 << 20;
    let mut found: Option<Orphans> = None;
    let mut offset = 0;
    while offset + (HEAD_BYTES as u64) <= len {
        let want = (len - offset).min(WINDOW);
        let mut window = vec![0; want as usize];
        file.read_at(offset, &mut window)?;
        for at in memchr::memmem::find_iter(&window, &MAGIC) {
            let head = Head::decode_anywhere(&window[at..]).filter(|head| {
                let here = u64::from(head.offset) == offset + at as u64;
                here && (head.ident.stream, head.ident.shard) == (shard.stream, shard.index)
            });
            let Some(head) = head else { continue };
            let orphans = found.get_or_insert(Orphans { nonce: head.ident.nonce, durable_end: None });
            if head.ident.nonce == orphans.nonce && head.durable > 0 {
                orphans.durable_end = orphans.durable_end.max(Some(head.end()));
            }
        }
        if want < WINDOW {
            break;
        }
        offset += want - HEAD_BYTES as u64 + 1;
    }
    Ok(found)
}
