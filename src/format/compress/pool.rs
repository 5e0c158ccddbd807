//! The compressors whose state is costly to allocate (up to a few MB), kept for the next chunk.
//!
//! A thread takes a compressor of its kind and level from the pool, or makes one, and puts it back; so there are never
//! more of them than chunks were encoded at once, however many threads there are.
//!
//! Levels were chosen on generated JSON web logs of about 345 bytes a record, in chunks of 1 MiB, on one core;
//! `tests/bench/compress.rs` measures them again. On the same bytes in one piece zlib 1 makes .211, zlib 6 .175.
//!
//! | encoder    | level | MB/s | ratio | chosen for    |   | encoder | level | MB/s | ratio | chosen for    |
//! |------------|-------|------|-------|---------------|---|---------|-------|------|-------|---------------|
//! | libdeflate | 1     | 355  | .191  | gzip fast     |   | zstd    | -1    | 800  | .257  |               |
//! |            | 4     | 220  | .179  |               |   |         | 1     | 695  | .173  | zstd fast     |
//! |            | 5     | 202  | .170  | gzip balanced |   |         | 3     | 446  | .177  | zstd balanced |
//! |            | 6     | 158  | .162  |               |   |         | 5     | 184  | .171  |               |
//! |            | 7     | 109  | .159  |               |   |         | 6     | 145  | .162  |               |
//! |            | 9     | 45   | .155  | gzip best     |   |         | 9     | 89   | .154  | zstd best     |
//! | zlib-rs    | 1     | 259  | .274  |               |   | zlib-rs | 6     | 117  | .172  | zip balanced  |
//! |            | 2     | 225  | .196  | zip fast      |   |         | 8     | 57   | .161  | zip best      |
//! |            | 5     | 160  | .174  |               |   |         | 9     | 74   | .175  |               |
//!
//! - Gzip `balanced` is the fastest libdeflate level within 2 % of zlib 6, here and on logs of dpkg (1.5 % larger) and apt
//!   (.8 %); level 4 is not (3 to 5 %). Levels 10 to 12 run at 3 to 15 MB/s for another 2 %.
//! - Zstd 3 is larger than zstd 1 on these lines, full of random digits as they are, but smaller on plainer text
//!   (4 % on apt's log); so it keeps `balanced`.
//! - Chunks of 256 KiB cost gzip 1.3 % and zstd 3 6 % in size; chunks of 4 MiB save gzip .3 %.

use std::sync::{Mutex, PoisonError};

use flate2::{Compress, FlushCompress, Status};
use libdeflater::{CompressionLvl, Compressor};

use crate::config::Level;
use crate::limits::COMPRESSORS_KEPT_MAX;

/// Compressors of one type with their level.
type Pool<T> = Mutex<Vec<(Level, T)>>;

static GZIP: Pool<(Compressor, Vec<u8>)> = Mutex::new(Vec::new());
static ZSTD: Pool<zstd::bulk::Compressor<'static>> = Mutex::new(Vec::new());
static DEFLATE: Pool<Compress> = Mutex::new(Vec::new());

/// One gzip member.
pub(super) fn gzip(raw: &[u8], level: Level) -> Vec<u8> {
    let new = || {
        let level = match level {
            Level::Fast => 1,
            Level::Balanced => 5,
            Level::Best => 9,
        };
        (Compressor::new(CompressionLvl::new(level).expect("libdeflate has levels 1 to 12")), Vec::new())
    };
    with(&GZIP, level, new, |(compressor, scratch)| {
        // Written to memory that is warm, then copied: a fresh megabyte for each chunk would cost its page faults.
        let bound = compressor.gzip_compress_bound(raw.len());
        if scratch.len() < bound {
            scratch.resize(bound, 0);
        }
        let length = compressor.gzip_compress(raw, scratch).expect("the scratch has room for libdeflate's bound");
        scratch[..length].to_vec()
    })
}

/// One zstd frame.
pub(super) fn zstd(raw: &[u8], level: Level) -> Vec<u8> {
    let new = || {
        let level = match level {
            Level::Fast => 1,
            Level::Balanced => 3,
            Level::Best => 9,
        };
        let mut compressor = zstd::bulk::Compressor::new(level).expect("zstd has levels 1 to 22");
        compressor.include_checksum(true).expect("zstd has the checksum flag");
        compressor
    };
    let mut out = with(&ZSTD, level, new, |compressor| {
        compressor.compress(raw).expect("zstd compresses anything into a buffer of its own bound")
    });
    out.shrink_to_fit();
    out
}

/// Deflate blocks without a last one, up to a byte boundary, so that more can follow.
pub(super) fn deflate(raw: &[u8], level: Level) -> Vec<u8> {
    let new = || {
        let level = match level {
            Level::Fast => 2,
            Level::Balanced => 6,
            Level::Best => 8,
        };
        Compress::new(flate2::Compression::new(level), false)
    };
    with(&DEFLATE, level, new, |compress| {
        compress.reset();
        let mut out = Vec::with_capacity(raw.len() / 4 + 64);
        loop {
            let rest = &raw[compress.total_in() as usize..];
            let status = compress.compress_vec(rest, &mut out, FlushCompress::Sync).expect("deflate takes any input");
            // The flush is over when the compressor leaves room in the buffer.
            if status != Status::BufError && compress.total_in() as usize == raw.len() && out.len() < out.capacity() {
                return out;
            }
            out.reserve(out.capacity() / 2);
        }
    })
}

/// Runs `work` with a compressor of `level` from `pool`, or a new one.
fn with<T, R>(pool: &Pool<T>, level: Level, new: impl FnOnce() -> T, work: impl FnOnce(&mut T) -> R) -> R {
    let kept = take(&mut pool.lock().unwrap_or_else(PoisonError::into_inner), level);
    let mut compressor = kept.unwrap_or_else(new);
    let result = work(&mut compressor);
    let mut kept = pool.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() == COMPRESSORS_KEPT_MAX {
        kept.remove(0);
    }
    kept.push((level, compressor));
    result
}

/// The compressor of `level` that was used last.
fn take<T>(kept: &mut Vec<(Level, T)>, level: Level) -> Option<T> {
    let index = kept.iter().rposition(|(of, _)| *of == level)?;
    Some(kept.remove(index).1)
}
