//! The two snappy containers of Firehose, both around raw snappy blocks; all numbers are big-endian.
//!
//! *Xerial* (snappy-java's `SnappyOutputStream`, `Content-Encoding: snappy-java`):
//! ```text
//! 0x82 "SNAPPY" 0x00   version u32 = 1   lowest version that can read it u32 = 1
//! then, for each 32 KiB of input:   length u32   raw snappy block
//! ```
//!
//! *Hadoop* (`SnappyCodec`'s `BlockCompressorStream`, `Content-Encoding: hadoop-snappy`):
//! ```text
//! for each block of input:   uncompressed length u32   length u32   raw snappy block
//! ```
//! A Hadoop reader holds one compressed block in a buffer of 256 KiB (`io.compression.codec.snappy.buffersize`), so
//! Hadoop's writer takes a sixth and 32 bytes less of input than that; so do we. No block has length 0, which readers
//! take for the end.

/// What a xerial stream begins with.
pub(super) const XERIAL_HEADER: &[u8] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";

const XERIAL_BLOCK_BYTES: usize = 32 << 10;
const HADOOP_BUFFER_BYTES: usize = 256 << 10;
const HADOOP_BLOCK_BYTES: usize = HADOOP_BUFFER_BYTES - (HADOOP_BUFFER_BYTES / 6 + 32);

/// `raw` as xerial blocks, without the header.
pub(super) fn xerial_blocks(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() / 2);
    let mut encoder = snap::raw::Encoder::new();
    let mut scratch = vec![0; snap::raw::max_compress_len(XERIAL_BLOCK_BYTES)];
    for block in raw.chunks(XERIAL_BLOCK_BYTES) {
        append_block(&mut out, &mut encoder, block, &mut scratch);
    }
    out
}

/// `raw` as Hadoop blocks.
pub(super) fn hadoop_blocks(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() / 2);
    let mut encoder = snap::raw::Encoder::new();
    let mut scratch = vec![0; snap::raw::max_compress_len(HADOOP_BLOCK_BYTES)];
    for block in raw.chunks(HADOOP_BLOCK_BYTES) {
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        append_block(&mut out, &mut encoder, block, &mut scratch);
    }
    out
}

/// Appends the compressed length and the compressed bytes of `block`.
fn append_block(out: &mut Vec<u8>, encoder: &mut snap::raw::Encoder, block: &[u8], scratch: &mut [u8]) {
    let length = encoder.compress(block, scratch).expect("the scratch has room for the worst case of a block");
    out.extend_from_slice(&(length as u32).to_be_bytes());
    out.extend_from_slice(&scratch[..length]);
}
