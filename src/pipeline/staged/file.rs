//! A staged file on disk.
//!
//! ```text
//! "SPSTAGE1"  sealed: 1 byte, 0 or 1  7 bytes, 0  key id: 8 bytes
//! for each part: length, 4 bytes  CRC-32C, 4 bytes  body             little-endian; both of the body as it stands there
//! ```
//! The plan says how many bytes there are and what their SHA-256 is. A reader that comes to the end without an error has
//! read just what was written.

use std::io;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

use super::Staged;
use super::seal::{KeyId, Master, Seal};
use crate::disk::{Disk, File, Open};
use crate::error::{Error, Result};
use crate::limits::STAGED_PART_BYTES_MAX;

const MAGIC: &[u8; 8] = b"SPSTAGE1";
const HEAD_BYTES: usize = 24;
const PART_HEAD_BYTES: usize = 8;

/// A file that is being written.
pub(super) struct Writer {
    file: Box<dyn File>,
    at: u64,
    parts: u64,
    digest: Context,
    seal: Option<Seal>,
}

impl Writer {
    /// Makes the file at `path`, which is to be called `name`.
    pub(super) fn create(disk: &dyn Disk, path: &Path, name: &str, master: Option<&Master>) -> io::Result<Self> {
        let file = disk.open(path, Open::CreateNew)?;
        let seal = master.map(|master| master.of_file(name));
        let mut writer = Writer { file, at: 0, parts: 0, digest: Context::new(&SHA256), seal };
        writer.write(&[&head(master.map(Master::id))])?;
        Ok(writer)
    }

    /// Bytes of the file so far.
    pub(super) fn bytes(&self) -> u64 {
        self.at
    }

    /// Writes one part.
    pub(super) fn push(&mut self, mut body: Vec<u8>) -> io::Result<()> {
        if let Some(seal) = &self.seal {
            seal.close(self.parts, &mut body);
        }
        let len = u32::try_from(body.len()).ok().filter(|_| body.len() <= STAGED_PART_BYTES_MAX);
        let len = len.ok_or_else(|| io::Error::other(format!("a part has {} bytes", body.len())))?;
        self.parts += 1;
        let mut head = [0; PART_HEAD_BYTES];
        head[..4].copy_from_slice(&len.to_le_bytes());
        head[4..].copy_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        self.write(&[&head, &body])
    }

    /// Makes all of it durable but its name; its digest.
    pub(super) fn finish(self) -> io::Result<String> {
        self.file.sync()?;
        Ok(hex(self.digest.finish().as_ref()))
    }

    fn write(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        self.file.write_at(self.at, parts)?;
        for part in parts {
            self.digest.update(part);
            self.at += part.len() as u64;
        }
        Ok(())
    }
}

/// A file that is being read, once.
pub(super) struct Reader {
    file: Box<dyn File>,
    wanted: Staged,
    at: u64,
    parts: u64,
    digest: Context,
    seal: Option<Seal>,
}

impl Reader {
    /// Opens the file at `path`, which `wanted` tells of.
    ///
    /// # Errors
    /// [`Corrupt`](crate::error::Kind::Corrupt) when it is not there, or not what was written;
    /// [`Invalid`](crate::error::Kind::Invalid) when it was encrypted with another key.
    pub(super) fn open(disk: &dyn Disk, path: &Path, wanted: &Staged, master: Option<&Master>) -> Result<Self> {
        let file = match disk.open(path, Open::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged(wanted, "is missing")),
            Err(error) => return Err(unreadable(wanted, error)),
        };
        let len = file.len().map_err(|error| unreadable(wanted, error))?;
        if len != wanted.bytes {
            return Err(damaged(wanted, &format!("has {len} bytes, it was written with {}", wanted.bytes)));
        }
        let digest = Context::new(&SHA256);
        let mut reader = Reader { file, wanted: wanted.clone(), at: 0, parts: 0, digest, seal: None };
        let found: [u8; HEAD_BYTES] = reader.take(HEAD_BYTES)?.try_into().expect("so many were asked for");
        let key_id: KeyId = found[16..].try_into().expect("it has 8 bytes");
        let key_id = (found[8] != 0).then_some(key_id);
        if head(key_id) != found {
            return Err(damaged(wanted, "does not begin as a staged file does"));
        }
        if key_id.is_some() {
            let master = master.filter(|master| Some(master.id()) == key_id);
            let other = || Error::invalid(format!("the staged file {} is encrypted with another key", wanted.file));
            reader.seal = Some(master.ok_or_else(other)?.of_file(&wanted.file));
        }
        Ok(reader)
    }

    /// The next part; `None` at the end, when all that was read is just what was written.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if self.at == self.wanted.bytes {
            let found = hex(self.digest.clone().finish().as_ref());
            let is_whole = found == self.wanted.sha256;
            return if is_whole { Ok(None) } else { Err(self.damaged("is not what was written")) };
        }
        let head = self.take(PART_HEAD_BYTES)?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let body = self.take(number(0) as usize)?;
        if crc32c::crc32c(&body) != number(4) {
            return Err(self.damaged(&format!("has a part {} that is not what was written", self.parts)));
        }
        let opened = match &self.seal {
            Some(seal) => seal.open(self.parts, body),
            None => Some(body),
        };
        self.parts += 1;
        opened.map(Some).ok_or_else(|| self.damaged("cannot be decrypted"))
    }

    /// What was read is no part.
    pub(super) fn damaged(&self, how: &str) -> Error {
        damaged(&self.wanted, how)
    }

    fn take(&mut self, len: usize) -> Result<Vec<u8>> {
        if self.wanted.bytes - self.at < len as u64 {
            return Err(self.damaged("ends within a part"));
        }
        let mut bytes = vec![0; len];
        self.file.read_at(self.at, &mut bytes).map_err(|error| unreadable(&self.wanted, error))?;
        self.digest.update(&bytes);
        self.at += len as u64;
        Ok(bytes)
    }
}

fn head(key: Option<KeyId>) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(MAGIC);
    if let Some(key) = key {
        head[8] = 1;
        head[16..].copy_from_slice(&key);
    }
    head
}

fn damaged(wanted: &Staged, how: &str) -> Error {
    Error::corrupt(format!("the staged file {} {how}", wanted.file))
}

fn unreadable(wanted: &Staged, error: io::Error) -> Error {
    Error::unavailable(format!("the staged file {} cannot be read", wanted.file)).because(error)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
