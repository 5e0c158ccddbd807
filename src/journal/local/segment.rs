//! Where segments lie and what they begin with.
//!
//! ```text
//! journal/<stream id, 16 hexadecimal digits>/<shard>/<first position, 20 digits>.seg       a segment
//!                                                                           .idx       its sidecar, once it is sealed
//!                                                                           .damaged   what was lost in it
//!                                                                           .idx.new   one that is being written
//! journal/<stream id>/removed                                               the stream is being removed
//! ```
//! A segment holds frames of one shard at consecutive positions. It is written by one process life only: after a
//! restart the next put begins a new one.
//!
//! A segment begins with its header, twice: at byte 0 and at byte 512, so that one bad sector does not cost 64 MiB.
//! Frames begin at byte 1024. All numbers are little endian.
//!
//! | offset | bytes | field | meaning |
//! |---:|---:|---|---|
//! | 0 | 8 | magic | `SPSEG001`: its last three digits are the format's version |
//! | 8 | 8 | nonce | random; every frame carries it |
//! | 16 | 8 | stream | |
//! | 24 | 4 | shard | |
//! | 28 | 4 | flags | bit 0: frames are encrypted, the key fields are set |
//! | 32 | 8 | first | the first position |
//! | 40 | 8 | created | milliseconds since 1970 |
//! | 48 | 8 | key id | names the master key |
//! | 56 | 12 | key nonce | |
//! | 68 | 48 | data key | wrapped: AES-256-GCM under the master key, bytes 0..48 authenticated with it |
//! | 116 | 4 | crc | crc32c of the 116 bytes before |

use std::path::{Path, PathBuf};

use super::cipher::{Cipher, Master, Wrapped, key_name};
use super::frame::{Ident, u32_at, u64_at};
use crate::error::{Error, Result};
use crate::record::{ShardId, StreamId};

/// The folder of all segments.
pub(super) const JOURNAL_DIR: &str = "journal";
/// The file that says that a stream's folder is to vanish.
pub(super) const REMOVED: &str = "removed";
/// What the name of a small file ends with while it is being written.
pub(super) const NEW: &str = ".new";
/// Where frames begin.
pub(super) const DATA_START: u64 = 1024;
/// Bytes of one copy of the header.
pub(super) const HEADER_BYTES: usize = 120;
const SECOND_COPY: usize = 512;
const BOUND_BYTES: usize = 48;
const MAGIC: &[u8; 8] = b"SPSEG001";
const ENCRYPTED: u32 = 1;

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) ident: Ident,
    pub(super) first: u64,
    pub(super) created_ms: u64,
    pub(super) key: Option<Wrapped>,
}

impl Header {
    /// One copy.
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..BOUND_BYTES].copy_from_slice(&self.bound());
        if let Some(key) = &self.key {
            bytes[48..56].copy_from_slice(&key.key_id);
            bytes[56..68].copy_from_slice(&key.nonce);
            bytes[68..116].copy_from_slice(&key.sealed);
        }
        let crc = crc32c::crc32c(&bytes[..116]);
        bytes[116..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Both copies with what is between and behind them: the first [`DATA_START`] bytes of a segment.
    pub(super) fn encode_twice(&self) -> Vec<u8> {
        let mut bytes = vec![0; DATA_START as usize];
        let copy = self.encode();
        bytes[..HEADER_BYTES].copy_from_slice(&copy);
        bytes[SECOND_COPY..SECOND_COPY + HEADER_BYTES].copy_from_slice(&copy);
        bytes
    }

    /// One copy, read.
    pub(super) fn decode(bytes: &[u8]) -> Option<Header> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        let flags = u32_at(bytes, 28);
        if &bytes[..8] != MAGIC || crc32c::crc32c(&bytes[..116]) != u32_at(bytes, 116) || flags & !ENCRYPTED != 0 {
            return None;
        }
        let key = Wrapped {
            key_id: bytes[48..56].try_into().ok()?,
            nonce: bytes[56..68].try_into().ok()?,
            sealed: bytes[68..116].try_into().ok()?,
        };
        Some(Header {
            ident: Ident { stream: StreamId(u64_at(bytes, 16)), shard: u32_at(bytes, 24), nonce: u64_at(bytes, 8) },
            first: u64_at(bytes, 32),
            created_ms: u64_at(bytes, 40),
            key: (flags & ENCRYPTED != 0).then_some(key),
        })
    }

    /// The first copy of a segment's head that is whole.
    pub(super) fn decode_either(head: &[u8]) -> Option<Header> {
        Header::decode(head).or_else(|| Header::decode(head.get(SECOND_COPY..)?))
    }

    /// Whether it is the header of the segment that its file name says.
    pub(super) fn belongs_to(&self, shard: ShardId, first: u64) -> bool {
        self.ident.stream == shard.stream && self.ident.shard == shard.index && self.first == first
    }

    /// A header with a fresh data key, and that key.
    pub(super) fn with_key(mut self, master: &Master, clock: &crate::clock::Clock) -> (Header, Cipher) {
        // The flag is part of what is bound, so the field must be set before the key is made.
        self.key = Some(Wrapped { key_id: master.id(), nonce: [0; 12], sealed: [0; 48] });
        let (cipher, wrapped) = master.generate(clock, &self.bound());
        self.key = Some(wrapped);
        (self, cipher)
    }

    /// The data key, if frames are encrypted. The error names the segment and the keys.
    pub(super) fn cipher(&self, master: Option<&Master>, path: &Path) -> Result<Option<Cipher>> {
        let Some(key) = &self.key else { return Ok(None) };
        let (path, wanted) = (path.display(), key_name(key.key_id));
        let Some(master) = master else {
            return Err(Error::invalid(format!(
                "segment {path} is encrypted under the key {wanted}, and no encryption_key is configured"
            )));
        };
        if master.id() != key.key_id {
            return Err(Error::invalid(format!(
                "segment {path} is encrypted under the key {wanted}, the configured encryption_key is {}",
                key_name(master.id())
            )));
        }
        let cipher = master.unwrap(key, &self.bound());
        cipher.map(Some).ok_or_else(|| Error::corrupt(format!("the data key of segment {path} cannot be unwrapped")))
    }

    /// What the data key is bound to.
    fn bound(&self) -> [u8; BOUND_BYTES] {
        let mut bytes = [0; BOUND_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.ident.nonce.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.ident.stream.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.ident.shard.to_le_bytes());
        bytes[28..32].copy_from_slice(&(if self.key.is_some() { ENCRYPTED } else { 0 }).to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.created_ms.to_le_bytes());
        bytes
    }
}

/// What a file in a shard's folder is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `.seg`
    Segment,
    /// `.idx`
    Sidecar,
    /// `.damaged`
    Note,
}

impl Part {
    fn extension(self) -> &'static str {
        match self {
            Part::Segment => "seg",
            Part::Sidecar => "idx",
            Part::Note => "damaged",
        }
    }
}

/// A stream's folder.
pub(super) fn stream_dir(stream: StreamId) -> PathBuf {
    Path::new(JOURNAL_DIR).join(stream.to_string())
}

/// A shard's folder.
pub(super) fn shard_dir(shard: ShardId) -> PathBuf {
    stream_dir(shard.stream).join(shard.index.to_string())
}

/// A file of the segment that begins at `first`.
pub(super) fn path_of(shard: ShardId, first: u64, part: Part) -> PathBuf {
    shard_dir(shard).join(format!("{first:020}.{}", part.extension()))
}

/// The opposite of [`path_of`], for the name alone.
pub(super) fn parse_name(name: &str) -> Option<(u64, Part)> {
    let (digits, extension) = name.split_once('.')?;
    let part = [Part::Segment, Part::Sidecar, Part::Note].into_iter().find(|part| part.extension() == extension)?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
        .map(|first| (first, part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn header() -> Header {
        Header {
            ident: Ident { stream: StreamId(0xabc), shard: 2, nonce: 77 },
            first: 5_000,
            created_ms: 1_700_000_000_000,
            key: None,
        }
    }

    #[test]
    fn a_header_reads_back_from_either_copy() {
        let (sealed, _) = header().with_key(&Master::new(&[3; 32]), &Clock::real());
        for header in [header(), sealed] {
            let bytes = header.encode_twice();
            assert_eq!(bytes.len() as u64, DATA_START);
            for byte in 0..bytes.len() {
                let mut bad = bytes.clone();
                bad[byte] ^= 0x10;
                assert_eq!(Header::decode_either(&bad), Some(header), "byte {byte}");
            }
            let mut both = bytes;
            both[20] ^= 1;
            both[SECOND_COPY + 90] ^= 1;
            assert_eq!(Header::decode_either(&both), None);
        }
        assert_eq!(Header::decode_either(b"short"), None);
    }

    #[test]
    fn a_wrong_or_missing_master_key_is_named() {
        let (right, wrong) = (Master::new(&[3; 32]), Master::new(&[4; 32]));
        let (sealed, _) = header().with_key(&right, &Clock::real());
        let path = Path::new("a.seg");
        assert!(sealed.cipher(Some(&right), path).unwrap().is_some());
        assert!(header().cipher(None, path).unwrap().is_none());
        let error = sealed.cipher(Some(&wrong), path).err().unwrap().to_string();
        assert!(error.contains(&key_name(right.id())) && error.contains(&key_name(wrong.id())), "{error}");
        let error = sealed.cipher(None, path).err().unwrap().to_string();
        assert!(error.contains(&key_name(right.id())) && error.contains("a.seg"), "{error}");
        let mut moved = sealed;
        moved.first += 1;
        assert!(moved.cipher(Some(&right), path).is_err(), "the data key is bound to its segment");
    }

    #[test]
    fn names_parse_as_they_are_made() {
        let shard = ShardId { stream: StreamId(0xabc), index: 12 };
        let path = path_of(shard, 42, Part::Sidecar);
        assert_eq!(path, Path::new("journal/0000000000000abc/12/00000000000000000042.idx"));
        assert_eq!(parse_name(path.file_name().unwrap().to_str().unwrap()), Some((42, Part::Sidecar)));
        assert_eq!(parse_name("18446744073709551615.seg"), Some((u64::MAX, Part::Segment)));
        for bad in [
            "",
            "42.seg",
            "00000000000000000042.tmp",
            "0000000000000000004x.seg",
            "99999999999999999999.seg",
            "+0000000000000000042.seg",
        ] {
            assert_eq!(parse_name(bad), None, "{bad}");
        }
    }
}
