//! A zip file with one deflated entry, written without knowing its size beforehand (PKWARE APPNOTE 6.3.10).
//!
//! ```text
//! local file header, sizes and CRC left to the descriptor (flag bit 3)
//! deflate blocks of all chunks, each chunk up to a sync flush; an empty last block
//! data descriptor | central directory with one entry | zip64 end records if needed | end record
//! ```
//! All numbers are little-endian. The entry's time is zip's zero, 1980-01-01 00:00, so that a repeat makes the same
//! bytes. Beyond 4 GiB the sizes stand in zip64 records, and the descriptor has 8-byte sizes.

use super::Sums;

/// An empty fixed-Huffman block with the last-block bit.
const LAST_BLOCK: &[u8] = &[0x03, 0x00];
/// Sizes follow the data (bit 3), the name is UTF-8 (bit 11).
const FLAGS: u16 = (1 << 3) | (1 << 11);
const DEFLATED: u16 = 8;
/// 1980-01-01, as date and time of MS-DOS.
const DATE: u16 = (1 << 5) | 1;
const TIME: u16 = 0;
const VERSION_DEFLATE: u16 = 20;
const VERSION_ZIP64: u16 = 45;

/// The local file header.
pub(super) fn head(entry: &str) -> Vec<u8> {
    let mut out = Record::new(b"PK\x03\x04");
    out.u16(VERSION_DEFLATE).u16(FLAGS).u16(DEFLATED).u16(TIME).u16(DATE);
    out.u32(0).u32(0).u32(0).u16(entry.len() as u16).u16(0);
    out.bytes(entry.as_bytes());
    out.0
}

/// The end of the deflate stream, and the records after it.
pub(super) fn tail(entry: &str, sums: &Sums) -> Vec<u8> {
    let sizes =
        Sizes { crc32: sums.crc.sum(), encoded: sums.encoded_bytes + LAST_BLOCK.len() as u64, raw: sums.raw_bytes };
    let zip64 = sizes.raw.max(sizes.encoded) >= u64::from(u32::MAX);
    let mut out = LAST_BLOCK.to_vec();
    out.extend(descriptor(sizes, zip64));
    let directory_at = head(entry).len() as u64 + sums.encoded_bytes + out.len() as u64;
    let directory = directory(entry, sizes, zip64);
    out.extend_from_slice(&directory);
    if zip64 || directory_at >= u64::from(u32::MAX) {
        out.extend(zip64_end(directory_at, directory.len() as u64));
    }
    out.extend(end(directory_at, directory.len() as u32));
    out
}

/// What the records after the data say of it.
#[derive(Clone, Copy)]
struct Sizes {
    crc32: u32,
    encoded: u64,
    raw: u64,
}

fn descriptor(sizes: Sizes, zip64: bool) -> Vec<u8> {
    let mut out = Record::new(b"PK\x07\x08");
    out.u32(sizes.crc32);
    if zip64 {
        out.u64(sizes.encoded).u64(sizes.raw);
    } else {
        out.u32(sizes.encoded as u32).u32(sizes.raw as u32);
    }
    out.0
}

/// The central directory: one file header.
fn directory(entry: &str, sizes: Sizes, zip64: bool) -> Vec<u8> {
    let version = if zip64 { VERSION_ZIP64 } else { VERSION_DEFLATE };
    let extra_bytes = if zip64 { 20 } else { 0 };
    let size = |bytes: u64| if zip64 { u32::MAX } else { bytes as u32 };
    let mut out = Record::new(b"PK\x01\x02");
    out.u16(version).u16(version).u16(FLAGS).u16(DEFLATED).u16(TIME).u16(DATE);
    out.u32(sizes.crc32).u32(size(sizes.encoded)).u32(size(sizes.raw));
    out.u16(entry.len() as u16).u16(extra_bytes).u16(0).u16(0).u16(0).u32(0).u32(0);
    out.bytes(entry.as_bytes());
    if zip64 {
        out.u16(1).u16(16).u64(sizes.raw).u64(sizes.encoded);
    }
    out.0
}

fn zip64_end(directory_at: u64, directory_bytes: u64) -> Vec<u8> {
    let mut out = Record::new(b"PK\x06\x06");
    out.u64(44).u16(VERSION_ZIP64).u16(VERSION_ZIP64).u32(0).u32(0).u64(1).u64(1);
    out.u64(directory_bytes).u64(directory_at);
    // The locator.
    out.bytes(b"PK\x06\x07").u32(0).u64(directory_at + directory_bytes).u32(1);
    out.0
}

fn end(directory_at: u64, directory_bytes: u32) -> Vec<u8> {
    let mut out = Record::new(b"PK\x05\x06");
    let directory_at = u32::try_from(directory_at).unwrap_or(u32::MAX);
    out.u16(0).u16(0).u16(1).u16(1).u32(directory_bytes).u32(directory_at).u16(0);
    out.0
}

/// Appends little-endian numbers.
struct Record(Vec<u8>);

impl Record {
    fn new(signature: &[u8]) -> Self {
        Record(signature.to_vec())
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
}
