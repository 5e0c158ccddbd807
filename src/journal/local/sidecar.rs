//! The sidecar: what a sealed segment holds, so that nobody has to read it to know.
//!
//! All numbers are little endian.
//!
//! | bytes | field | meaning |
//! |---:|---|---|
//! | 8 | magic | `SPIDX002` if there are checkpoints, else `SPIDX001` |
//! | 120 | header | the segment's header, as in the segment |
//! | 8 | end | one past the last position |
//! | 8 | len | the segment's length in bytes |
//! | 8 + 8 | arrival | of the oldest and of the newest put, milliseconds since 1970 |
//! | 4 + 4 | counts | of marks and of calls |
//! | 12 each | marks | position (8) and offset (4) of a frame, at most one for every 128 KiB |
//! | 36 each | calls | call (16), first position (8), count (4), arrival (8) |
//! | 4 | count | of checkpoints; this and the next only in `SPIDX002` |
//! | 4 + … each | checkpoints | length of source (2) and of at (2), source, at; sources rise |
//! | 4 | crc | crc32c of all before |
//!
//! The checkpoints are all that the shard has at the segment's end, those of earlier segments included: so the newest
//! sidecar and the frames behind its segment tell the shard's checkpoints, whatever else was freed.
//!
//! A sidecar counts only if its length is right, its crc holds and the segment's file is as long as it says; otherwise
//! the segment is read and the sidecar written again. The newest sidecar of a shard outlives its segment: it alone
//! knows where the shard's positions go on. One with checkpoints also stays until a newer one is durable.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::frame::{u32_at, u64_at};
use super::segment::{HEADER_BYTES, Header};
use crate::record::CallId;

const MAGIC: &[u8; 8] = b"SPIDX001";
const MAGIC_CHECKPOINTS: &[u8; 8] = b"SPIDX002";
const FIXED_BYTES: usize = 8 + HEADER_BYTES + 8 + 8 + 16 + 8;
const MARK_BYTES: usize = 12;
const CALL_BYTES: usize = 36;

/// Where a frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Its first position.
    pub(super) position: u64,
    /// Its offset in the segment.
    pub(super) offset: u32,
}

/// A call that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// The call.
    pub(super) call: CallId,
    /// The first of its positions.
    pub(super) start: u64,
    /// How many.
    pub(super) count: u32,
    /// Milliseconds since 1970.
    pub(super) arrived_ms: u64,
}

/// What a sealed segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sidecar {
    pub(super) header: Header,
    pub(super) end: u64,
    pub(super) len: u64,
    pub(super) oldest_ms: u64,
    pub(super) newest_ms: u64,
    pub(super) marks: Vec<Mark>,
    pub(super) calls: Vec<Stored>,
    /// By source; none is empty.
    pub(super) checkpoints: BTreeMap<String, Bytes>,
}

impl Sidecar {
    /// Its bytes on disk.
    pub(super) fn encode(&self) -> Vec<u8> {
        let len = FIXED_BYTES + self.marks.len() * MARK_BYTES + self.calls.len() * CALL_BYTES + 4;
        let mut bytes = Vec::with_capacity(len);
        bytes.extend_from_slice(if self.checkpoints.is_empty() { MAGIC } else { MAGIC_CHECKPOINTS });
        bytes.extend_from_slice(&self.header.encode());
        for number in [self.end, self.len, self.oldest_ms, self.newest_ms] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&(self.marks.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.calls.len() as u32).to_le_bytes());
        for mark in &self.marks {
            bytes.extend_from_slice(&mark.position.to_le_bytes());
            bytes.extend_from_slice(&mark.offset.to_le_bytes());
        }
        for stored in &self.calls {
            bytes.extend_from_slice(&stored.call.0);
            bytes.extend_from_slice(&stored.start.to_le_bytes());
            bytes.extend_from_slice(&stored.count.to_le_bytes());
            bytes.extend_from_slice(&stored.arrived_ms.to_le_bytes());
        }
        if !self.checkpoints.is_empty() {
            put_checkpoints(&mut bytes, &self.checkpoints);
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads one; `None` when it is not whole.
    pub(super) fn decode(bytes: &[u8]) -> Option<Sidecar> {
        let (content, crc) = bytes.split_last_chunk::<4>()?;
        let with_checkpoints = content.starts_with(MAGIC_CHECKPOINTS);
        let known = with_checkpoints || content.starts_with(MAGIC);
        if !known || crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (fixed, rest) = content.split_at_checked(FIXED_BYTES)?;
        let at = 8 + HEADER_BYTES;
        let marks = (u32_at(fixed, at + 32) as usize).checked_mul(MARK_BYTES)?;
        let calls = (u32_at(fixed, at + 36) as usize).checked_mul(CALL_BYTES)?;
        let (marks, rest) = rest.split_at_checked(marks)?;
        let (calls, mut rest) = rest.split_at_checked(calls)?;
        let checkpoints = if with_checkpoints { take_checkpoints(&mut rest)? } else { BTreeMap::new() };
        if !rest.is_empty() {
            return None;
        }
        Some(Sidecar {
            header: Header::decode(&fixed[8..at])?,
            end: u64_at(fixed, at),
            len: u64_at(fixed, at + 8),
            oldest_ms: u64_at(fixed, at + 16),
            newest_ms: u64_at(fixed, at + 24),
            marks: marks.as_chunks::<MARK_BYTES>().0.iter().map(mark).collect(),
            calls: calls.as_chunks::<CALL_BYTES>().0.iter().map(stored).collect(),
            checkpoints,
        })
    }
}

fn put_checkpoints(bytes: &mut Vec<u8>, checkpoints: &BTreeMap<String, Bytes>) {
    bytes.extend_from_slice(&(checkpoints.len() as u32).to_le_bytes());
    for (source, at) in checkpoints {
        bytes.extend_from_slice(&(source.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(at.len() as u16).to_le_bytes());
        bytes.extend_from_slice(source.as_bytes());
        bytes.extend_from_slice(at);
    }
}

/// Takes the checkpoints off the front. Each takes some bytes, so a lying count ends with the bytes that are there.
fn take_checkpoints(rest: &mut &[u8]) -> Option<BTreeMap<String, Bytes>> {
    let mut checkpoints = BTreeMap::new();
    for _ in 0..u32_at(rest.split_off(..4)?, 0) {
        let lengths = u32_at(rest.split_off(..4)?, 0);
        let (source, at) = ((lengths & 0xffff) as usize, (lengths >> 16) as usize);
        let source = std::str::from_utf8(rest.split_off(..source)?).ok()?;
        checkpoints.insert(source.to_owned(), Bytes::copy_from_slice(rest.split_off(..at)?));
    }
    Some(checkpoints)
}

fn mark(bytes: &[u8; MARK_BYTES]) -> Mark {
    Mark { position: u64_at(bytes, 0), offset: u32_at(bytes, 8) }
}

fn stored(bytes: &[u8; CALL_BYTES]) -> Stored {
    Stored {
        call: CallId(bytes[..16].try_into().expect("sixteen bytes")),
        start: u64_at(bytes, 16),
        count: u32_at(bytes, 24),
        arrived_ms: u64_at(bytes, 28),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::Ident;
    use super::*;
    use crate::record::StreamId;

    fn sidecar(marks: usize, calls: usize, checkpoints: usize) -> Sidecar {
        Sidecar {
            header: Header {
                ident: Ident { stream: StreamId(1), shard: 0, nonce: 4 },
                first: 10,
                created_ms: 5,
                key: None,
            },
            end: 99,
            len: 12_345,
            oldest_ms: 6,
            newest_ms: 7,
            marks: (0..marks).map(|n| Mark { position: 10 + n as u64, offset: 1024 + n as u32 }).collect(),
            calls: (0..calls)
                .map(|n| Stored { call: CallId([n as u8; 16]), start: n as u64, count: 3, arrived_ms: 6 })
                .collect(),
            checkpoints: (0..checkpoints).map(|n| (format!("source {n}"), Bytes::from(vec![b'x'; n + 1]))).collect(),
        }
    }

    #[test]
    fn it_reads_back_and_every_change_is_seen() {
        for (marks, calls, checkpoints) in [(0, 0, 0), (1, 0, 0), (0, 2, 0), (3, 2, 0), (0, 0, 1), (3, 2, 3)] {
            let sidecar = sidecar(marks, calls, checkpoints);
            let bytes = sidecar.encode();
            assert_eq!(Sidecar::decode(&bytes).as_ref(), Some(&sidecar));
            assert_eq!(&bytes[..8], if checkpoints == 0 { b"SPIDX001" } else { b"SPIDX002" });
            for byte in 0..bytes.len() {
                let mut bad = bytes.clone();
                bad[byte] ^= 4;
                assert_eq!(Sidecar::decode(&bad), None);
                assert_eq!(Sidecar::decode(&bytes[..byte]), None);
            }
        }
    }

    fn with_crc(mut bytes: Vec<u8>) -> Vec<u8> {
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    proptest! {
        #[test]
        fn hostile_bytes_with_a_right_checksum_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..400)) {
            for magic in [MAGIC, MAGIC_CHECKPOINTS] {
                let _ = Sidecar::decode(&with_crc([&magic[..], &tail].concat()));
            }
        }

        #[test]
        fn lying_lengths_of_checkpoints_never_panic(at in 0..60_usize, lie: u8) {
            let mut bytes = sidecar(0, 0, 3).encode();
            bytes.truncate(bytes.len() - 4);
            let len = bytes.len();
            bytes[len - 1 - at] = lie;
            if let Some(read) = Sidecar::decode(&with_crc(bytes)) {
                prop_assert!(read.encode().len() <= len + 4);
            }
        }
    }
}
