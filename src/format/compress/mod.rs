//! Compression: chunks of an object's bytes become chunks of its container, each by itself.
//!
//! An object is `head`, then its encoded chunks in order, then `tail` (see [`Container`]). A chunk is encoded without
//! looking at any other, so several can be encoded at once on different threads, and the same bytes cut at the same
//! places always make the same object.
//!
//! | compression  | head               | one chunk                                              | tail                  |
//! |--------------|--------------------|--------------------------------------------------------|-----------------------|
//! | none         |                    | the bytes                                              |                       |
//! | gzip         |                    | one gzip member (RFC 1952 2.2: members concatenate)    |                       |
//! | zstd         |                    | one frame with size and checksum (RFC 8878 3)          |                       |
//! | snappy       | the xerial header  | xerial blocks of 32 KiB (see [`snappy`])               |                       |
//! | hadoop-snappy|                    | Hadoop blocks (see [`snappy`])                         |                       |
//! | zip          | local file header  | deflate blocks up to a sync flush (see [`zip`])        | last block, directory |
//!
//! Extensions and `Content-Encoding` are those that Amazon Data Firehose was seen to write; zstd, which it does not
//! have, follows RFC 8878.

mod pool;
mod snappy;
#[cfg(test)]
mod tests;
mod zip;

use bytes::Bytes;
use flate2::Crc;

use crate::config::{Compression, Level};

/// What objects are compressed with, and how hard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// The container.
    pub compression: Compression,
    /// How hard to compress; snappy has only one level.
    pub level: Level,
}

/// An encoded chunk.
#[derive(Debug)]
pub struct Chunk {
    /// Its bytes in the object.
    pub bytes: Bytes,
    /// How many bytes went in.
    pub raw_bytes: u64,
    /// CRC-32 of what went in; only zip needs it, elsewhere it is of nothing.
    crc: Crc,
}

impl Encoding {
    /// What a key ends with unless the configuration says otherwise.
    pub fn extension(self) -> &'static str {
        match self.compression {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
            // The documentation says .hsnappy for Hadoop's; the service writes .snappy.
            Compression::Snappy | Compression::HadoopSnappy => ".snappy",
            Compression::Zip => ".zip",
        }
    }

    /// The `Content-Encoding` of an object.
    pub fn content_encoding(self) -> Option<&'static str> {
        match self.compression {
            Compression::None => None,
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
            Compression::Snappy => Some("snappy-java"),
            Compression::HadoopSnappy => Some("hadoop-snappy"),
            Compression::Zip => Some("zip"),
        }
    }

    /// Encodes one chunk, best of about [`ENCODE_CHUNK_BYTES`](crate::limits::ENCODE_CHUNK_BYTES). Pure CPU: about
    /// 5 ms for 1 MiB with gzip, so not for a thread that serves connections.
    pub fn encode_chunk(self, raw: &[u8]) -> Chunk {
        let mut crc = Crc::new();
        let bytes = match self.compression {
            _ if raw.is_empty() => Vec::new(),
            Compression::None => raw.to_vec(),
            Compression::Gzip => pool::gzip(raw, self.level),
            Compression::Zstd => pool::zstd(raw, self.level),
            Compression::Snappy => snappy::xerial_blocks(raw),
            Compression::HadoopSnappy => snappy::hadoop_blocks(raw),
            Compression::Zip => {
                crc.update(raw);
                pool::deflate(raw, self.level)
            }
        };
        Chunk { bytes: bytes.into(), raw_bytes: raw.len() as u64, crc }
    }
}

/// The container of one object: what stands before and after its chunks.
///
/// ```
/// # use standpipe::format::{Container, Encoding};
/// # use standpipe::config::{Compression, Level};
/// let encoding = Encoding { compression: Compression::Gzip, level: Level::Balanced };
/// let mut container = Container::new(encoding, "web-1-2026-11-21-09-51-13-046b6c7f");
/// let mut object = container.head().to_vec();
/// for raw in ["GET /\n", "GET /a\n"] {
///     let chunk = encoding.encode_chunk(raw.as_bytes());
///     container.add(&chunk);
///     object.extend_from_slice(&chunk.bytes);
/// }
/// object.extend_from_slice(&container.tail());
/// ```
#[derive(Debug)]
pub struct Container {
    encoding: Encoding,
    /// The name of the entry in a zip file.
    entry: String,
    sums: Sums,
}

/// What is known of the chunks so far.
#[derive(Debug, Default)]
struct Sums {
    raw_bytes: u64,
    encoded_bytes: u64,
    crc: Crc,
}

impl Container {
    /// A container without chunks. `entry` names the entry of a zip file; it must follow from the plan, so that a
    /// repeat makes the same bytes, and is cut at 255 bytes.
    pub fn new(encoding: Encoding, entry: &str) -> Self {
        let entry = entry[..entry.floor_char_boundary(255)].to_owned();
        Container { encoding, entry, sums: Sums::default() }
    }

    /// What comes before the first chunk; often nothing.
    pub fn head(&self) -> Bytes {
        match self.encoding.compression {
            Compression::Snappy => Bytes::from_static(snappy::XERIAL_HEADER),
            Compression::Zip => zip::head(&self.entry).into(),
            _ => Bytes::new(),
        }
    }

    /// Takes note of the next chunk, in the order of the object; the caller writes its bytes.
    pub fn add(&mut self, chunk: &Chunk) {
        self.add_kept(chunk, chunk.bytes.len());
    }

    /// The same of a chunk whose bytes, so many, are kept elsewhere.
    pub fn add_kept(&mut self, chunk: &Chunk, bytes: usize) {
        self.sums.crc.combine(&chunk.crc);
        self.sums.raw_bytes += chunk.raw_bytes;
        self.sums.encoded_bytes += bytes as u64;
    }

    /// What comes after the last chunk; often nothing, but an object without bytes is a valid container too.
    pub fn tail(self) -> Bytes {
        let empty = self.sums.encoded_bytes == 0;
        match self.encoding.compression {
            Compression::Gzip if empty => pool::gzip(b"", self.encoding.level).into(),
            Compression::Zstd if empty => pool::zstd(b"", self.encoding.level).into(),
            Compression::Zip => zip::tail(&self.entry, &self.sums).into(),
            _ => Bytes::new(),
        }
    }
}
