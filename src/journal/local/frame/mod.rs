//! The frame: one put as it stands in a segment.
//!
//! All numbers are little endian. A frame is a head of 92 bytes and a body.
//!
//! | offset | bytes | field | meaning |
//! |---:|---:|---|---|
//! | 0 | 4 | magic | `SPF1` |
//! | 4 | 4 | flags | bit 0: the body is encrypted; bit 1: `call` is set; bit 2: the records have keys; bit 3: a source's checkpoint is there. A frame with any other bit is refused |
//! | 8 | 8 | nonce | the random number of its segment |
//! | 16 | 8 | stream | |
//! | 24 | 4 | shard | |
//! | 28 | 4 | count | how many records; at least 1 |
//! | 32 | 8 | first | position of the first record |
//! | 40 | 4 | offset | where this frame begins in its segment |
//! | 44 | 4 | durable | how many bytes of the segment were durable when the frame was written |
//! | 48 | 8 | arrived | milliseconds since 1970 |
//! | 56 | 8 | seal | number of the encryption within the segment: its AES-GCM nonce |
//! | 64 | 16 | call | the SDK call, or zeros |
//! | 80 | 4 | body length | |
//! | 84 | 4 | body crc | crc32c of the body as stored |
//! | 88 | 4 | head crc | crc32c of the 88 bytes before |
//!
//! The body is these parts, one behind the other:
//!
//! | part | bytes | there | meaning |
//! |---|---|---|---|
//! | ends | 4 * count | always | one past the last byte of each record within the data; they never fall |
//! | key ends | 4 * count | bit 2 | one past the last byte of each key within the keys; they never fall |
//! | keys | the last key end | bit 2 | the bytes of all keys |
//! | lengths | 2 + 2 | bit 3 | of the next two |
//! | source | | bit 3 | the name of the source that was copied from: UTF-8, not empty |
//! | at | | bit 3 | how far it has been copied with this frame; empty: the source is forgotten |
//! | data | the last end | always | the bytes of all records |
//!
//! An encrypted body is the AES-256-GCM sealing of those bytes with its tag of 16 bytes behind it; the first 84 bytes of
//! the head are authenticated with it.
//!
//! `nonce`, `stream`, `shard` and `offset` make a frame valid in one place of one file only, so that a misplaced block
//! is seen. `durable` tells a torn group from damage: frames behind a broken one that were written before it was
//! durable were never acknowledged; a frame that was written after says that something durable has been lost.

use std::fmt;

use bytes::Bytes;

use super::cipher::Cipher;
use crate::journal::Checkpoint;
use crate::record::{CallId, Records, StreamId};

mod body;

/// Bytes of a frame's head.
pub(super) const HEAD_BYTES: usize = 92;
/// What a frame begins with.
pub(super) const MAGIC: [u8; 4] = *b"SPF1";
/// How much of the head is authenticated by an encrypted body.
const SEALED_HEAD_BYTES: usize = 84;
const ENCRYPTED: u32 = 1;
const HAS_CALL: u32 = 2;
const HAS_KEYS: u32 = 4;
const HAS_CHECKPOINT: u32 = 8;
const KNOWN_FLAGS: u32 = ENCRYPTED | HAS_CALL | HAS_KEYS | HAS_CHECKPOINT;

/// What makes a frame belong to its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ident {
    /// The stream.
    pub(super) stream: StreamId,
    /// The shard's number.
    pub(super) shard: u32,
    /// The segment's random number.
    pub(super) nonce: u64,
}

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) ident: Ident,
    pub(super) encrypted: bool,
    /// Its records have keys.
    pub(super) keys: bool,
    /// It carries a checkpoint.
    pub(super) checkpoint: bool,
    pub(super) call: Option<CallId>,
    pub(super) count: u32,
    pub(super) first: u64,
    pub(super) offset: u32,
    pub(super) durable: u32,
    pub(super) arrived_ms: u64,
    pub(super) seal: u64,
    pub(super) body_len: u32,
    pub(super) body_crc: u32,
}

/// What a frame holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) records: Records,
    pub(super) checkpoint: Option<Checkpoint>,
}

/// Why bytes are not the frame that should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end before the frame does.
    Short,
    /// No frame begins here, or its head does not match its checksum, or has flags that this program does not know.
    Head,
    /// A whole head that belongs to another place, segment or shard.
    Misplaced,
    /// The body does not match its checksum.
    Body,
    /// The body does not match its key, or what it holds is not records.
    Content,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Short => "the bytes end before the frame does",
            Fault::Head => "no whole frame head",
            Fault::Misplaced => "a frame that belongs elsewhere",
            Fault::Body => "the frame's body does not match its checksum",
            Fault::Content => "the frame's body cannot be decoded",
        })
    }
}

impl Head {
    /// One past the position of the last record.
    pub(super) fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// One past the frame's last byte in the segment.
    pub(super) fn end_offset(&self) -> u64 {
        u64::from(self.offset) + HEAD_BYTES as u64 + u64::from(self.body_len)
    }

    fn flags(&self) -> u32 {
        let bit = |set: bool, flag: u32| if set { flag } else { 0 };
        bit(self.encrypted, ENCRYPTED)
            | bit(self.call.is_some(), HAS_CALL)
            | bit(self.keys, HAS_KEYS)
            | bit(self.checkpoint, HAS_CHECKPOINT)
    }

    /// The head's bytes.
    pub(super) fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.flags().to_le_bytes());
        bytes[8..16].copy_from_slice(&self.ident.nonce.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.ident.stream.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.ident.shard.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.count.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.offset.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.durable.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.arrived_ms.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.seal.to_le_bytes());
        bytes[64..80].copy_from_slice(&self.call.map_or([0; 16], |call| call.0));
        bytes[80..84].copy_from_slice(&self.body_len.to_le_bytes());
        bytes[84..88].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..88]);
        bytes[88..92].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a head that stands at `offset` of the segment `ident`.
    pub(super) fn decode(bytes: &[u8], ident: Ident, offset: u64) -> Result<Head, Fault> {
        let head = Head::decode_anywhere(bytes).ok_or(Fault::Head)?;
        let in_place = head.ident == ident && u64::from(head.offset) == offset;
        if in_place { Ok(head) } else { Err(Fault::Misplaced) }
    }

    /// Reads a head, wherever it belongs.
    pub(super) fn decode_anywhere(bytes: &[u8]) -> Option<Head> {
        let bytes: &[u8; HEAD_BYTES] = bytes.get(..HEAD_BYTES)?.try_into().ok()?;
        let flags = u32_at(bytes, 4);
        let known = bytes[0..4] == MAGIC && flags & !KNOWN_FLAGS == 0;
        if !known || crc32c::crc32c(&bytes[..88]) != u32_at(bytes, 88) {
            return None;
        }
        let call: [u8; 16] = bytes[64..80].try_into().expect("sixteen bytes");
        let head = Head {
            ident: Ident { stream: StreamId(u64_at(bytes, 16)), shard: u32_at(bytes, 24), nonce: u64_at(bytes, 8) },
            encrypted: flags & ENCRYPTED != 0,
            keys: flags & HAS_KEYS != 0,
            checkpoint: flags & HAS_CHECKPOINT != 0,
            call: (flags & HAS_CALL != 0).then_some(CallId(call)),
            count: u32_at(bytes, 28),
            first: u64_at(bytes, 32),
            offset: u32_at(bytes, 40),
            durable: u32_at(bytes, 44),
            arrived_ms: u64_at(bytes, 48),
            seal: u64_at(bytes, 56),
            body_len: u32_at(bytes, 80),
            body_crc: u32_at(bytes, 84),
        };
        let sensible = head.count > 0 && head.first.checked_add(u64::from(head.count)).is_some();
        sensible.then_some(head)
    }

    /// What is in `body`, which is checked, and decrypted if need be. Shares the bytes unless they are encrypted.
    pub(super) fn content(&self, body: &Bytes, cipher: Option<&Cipher>) -> Result<Content, Fault> {
        if body.len() != self.body_len as usize {
            return Err(Fault::Short);
        }
        if crc32c::crc32c(body) != self.body_crc {
            return Err(Fault::Body);
        }
        if !self.encrypted {
            return body::decode(self, body.clone()).ok_or(Fault::Content);
        }
        let head = self.encode();
        let plain = cipher.and_then(|cipher| cipher.open(self.seal, &head[..SEALED_HEAD_BYTES], body));
        plain.and_then(|plain| body::decode(self, plain)).ok_or(Fault::Content)
    }
}

/// The bytes that the frames of one write are made of, apart from the records' own: those are written as they are.
#[derive(Default)]
pub(super) struct Encoder {
    small: Vec<u8>,
    parts: Vec<(std::ops::Range<usize>, Bytes)>,
    len: u64,
}

impl Encoder {
    /// Starts with bytes that precede the frames (a new segment's header).
    pub(super) fn starting_with(prefix: &[u8]) -> Self {
        Encoder { small: prefix.to_vec(), parts: vec![(0..prefix.len(), Bytes::new())], len: prefix.len() as u64 }
    }

    /// Adds one frame. Of `head`, body length and crc are filled in here, and the flags of what the body has.
    pub(super) fn push(
        &mut self,
        mut head: Head,
        records: &Records,
        checkpoint: Option<&Checkpoint>,
        cipher: Option<&Cipher>,
    ) -> Head {
        (head.keys, head.checkpoint) = (records.keys.is_some(), checkpoint.is_some());
        let start = self.small.len();
        self.small.resize(start + HEAD_BYTES, 0);
        let data = if let Some(cipher) = cipher {
            let mut body = Vec::with_capacity(stored_bytes(records, checkpoint, true) as usize - HEAD_BYTES);
            body::put_columns(&mut body, records, checkpoint);
            body.extend_from_slice(&records.data);
            head.body_len = (body.len() + Cipher::TAG_BYTES) as u32;
            cipher.seal(head.seal, &head.encode()[..SEALED_HEAD_BYTES], &mut body);
            head.body_crc = crc32c::crc32c(&body);
            Bytes::from(body)
        } else {
            body::put_columns(&mut self.small, records, checkpoint);
            let columns = &self.small[start + HEAD_BYTES..];
            head.body_len = (columns.len() + records.data.len()) as u32;
            head.body_crc = crc32c::crc32c_append(crc32c::crc32c(columns), &records.data);
            records.data.clone()
        };
        self.small[start..start + HEAD_BYTES].copy_from_slice(&head.encode());
        self.len += HEAD_BYTES as u64 + u64::from(head.body_len);
        self.parts.push((start..self.small.len(), data));
        head
    }

    /// How many bytes there are by now.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// What is to be written, in order.
    pub(super) fn parts(&self) -> Vec<&[u8]> {
        let parts = self.parts.iter().flat_map(|(small, data)| [&self.small[small.clone()], &data[..]]);
        parts.filter(|part| !part.is_empty()).collect()
    }
}

/// How many bytes the frame of `records` takes.
pub(super) fn stored_bytes(records: &Records, checkpoint: Option<&Checkpoint>, encrypt: bool) -> u64 {
    let body = body::columns_bytes(records, checkpoint) + records.data.len();
    (HEAD_BYTES + body + if encrypt { Cipher::TAG_BYTES } else { 0 }) as u64
}

/// The number at `offset`, which the caller knows to be within `bytes`.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"))
}

/// The number at `offset`, which the caller knows to be within `bytes`.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests;
