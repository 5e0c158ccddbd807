//! Objects decompressed again, as a stream of bytes in bounded memory. What is damaged or cut is an error, not an end.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};

use crate::config::Compression;
use crate::limits::READ_PIECE_BYTES;

/// What a xerial stream begins with: magic, version, compatible version.
const XERIAL_HEADER_BYTES: usize = 16;
/// Bytes of a block of snappy, compressed or not: what we write has at most 256 KiB, other writers a few MiB.
const BLOCK_BYTES_MAX: u32 = 64 << 20;

type Input = BufReader<Box<dyn Read + Send>>;

/// The bytes that were compressed into `input`.
pub(in crate::cli) fn expand(
    compression: Compression,
    input: Box<dyn Read + Send>,
) -> io::Result<Box<dyn Read + Send>> {
    let mut input = BufReader::with_capacity(READ_PIECE_BYTES, input);
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(MultiGzDecoder::new(input)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(input)?),
        Compression::Snappy => {
            let mut header = [0; XERIAL_HEADER_BYTES];
            input.read_exact(&mut header)?;
            if !header.starts_with(b"\x82SNAPPY\0") {
                return Err(damaged("it does not begin as snappy-java begins"));
            }
            Box::new(Blocks { input, framed: false, block: Vec::new(), at: 0, left: 0 })
        }
        Compression::HadoopSnappy => Box::new(Blocks { input, framed: true, block: Vec::new(), at: 0, left: 0 }),
        Compression::Zip => {
            skip_zip_head(&mut input)?;
            Box::new(Zipped { data: DeflateDecoder::new(input), sum: flate2::Crc::new(), is_past: false })
        }
    })
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

/// Blocks of snappy, each with its length before it; framed, with the length of what was compressed before some.
struct Blocks {
    input: Input,
    framed: bool,
    block: Vec<u8>,
    at: usize,
    /// Of the frame: bytes that are not decompressed yet.
    left: usize,
}

impl Blocks {
    /// The next number; `None` at the end of the input.
    fn number(&mut self) -> io::Result<Option<usize>> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut bytes = [0; 4];
        self.input.read_exact(&mut bytes)?;
        match u32::from_be_bytes(bytes) {
            len if len > BLOCK_BYTES_MAX => Err(damaged("a block of snappy is too long")),
            len => Ok(Some(len as usize)),
        }
    }

    /// Decompresses the next block; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        if self.framed && self.left == 0 {
            let Some(left) = self.number()? else { return Ok(false) };
            self.left = left;
        }
        let Some(len) = self.number()? else {
            return if self.left == 0 { Ok(false) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        };
        let mut compressed = Vec::new();
        self.input.by_ref().take(len as u64).read_to_end(&mut compressed)?;
        if compressed.len() < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if snap::raw::decompress_len(&compressed)? > BLOCK_BYTES_MAX as usize {
            return Err(damaged("a block of snappy is too long"));
        }
        self.block = snap::raw::Decoder::new().decompress_vec(&compressed)?;
        self.at = 0;
        if self.framed {
            let left = self.left.checked_sub(self.block.len());
            self.left = left.ok_or_else(|| damaged("a block of snappy is longer than it says"))?;
        }
        Ok(true)
    }
}

impl Read for Blocks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let len = into.len().min(self.block.len() - self.at);
        into[..len].copy_from_slice(&self.block[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

/// Passes over the header before the data of the first entry of a zip file.
fn skip_zip_head(input: &mut Input) -> io::Result<()> {
    let mut head = [0; 30];
    input.read_exact(&mut head)?;
    let number = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    if !head.starts_with(b"PK\x03\x04") || number(8) != 8 {
        return Err(damaged("it is no zip file with one deflated entry"));
    }
    let more = u64::from(number(26)) + u64::from(number(28));
    let skipped = io::copy(&mut input.by_ref().take(more), &mut io::sink())?;
    if skipped < more { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// The data of the first entry; at its end its checksum is looked at.
struct Zipped {
    data: DeflateDecoder<Input>,
    sum: flate2::Crc,
    is_past: bool,
}

impl Read for Zipped {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.is_past {
            return Ok(0);
        }
        let len = self.data.read(into)?;
        if len > 0 || into.is_empty() {
            self.sum.update(&into[..len]);
            return Ok(len);
        }
        let mut descriptor = [0; 8];
        self.data.get_mut().read_exact(&mut descriptor)?;
        self.is_past = true;
        if descriptor.starts_with(b"PK\x07\x08") && descriptor[4..] == self.sum.sum().to_le_bytes() {
            return Ok(0);
        }
        Err(damaged("the checksum of the entry does not match"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Level;
    use crate::format::{Container, Encoding};

    const ALL: [Compression; 6] = [
        Compression::None,
        Compression::Gzip,
        Compression::Zstd,
        Compression::Snappy,
        Compression::HadoopSnappy,
        Compression::Zip,
    ];

    fn object(compression: Compression, chunks: &[&[u8]]) -> Vec<u8> {
        let encoding = Encoding { compression, level: Level::Fast };
        let mut container = Container::new(encoding, "web-1");
        let mut object = container.head().to_vec();
        for raw in chunks {
            let chunk = encoding.encode_chunk(raw);
            container.add(&chunk);
            object.extend_from_slice(&chunk.bytes);
        }
        object.extend_from_slice(&container.tail());
        object
    }

    fn expanded(compression: Compression, object: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        expand(compression, Box::new(io::Cursor::new(object)))?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn what_was_compressed_comes_back_and_what_was_cut_is_an_error() {
        let large: Vec<u8> =
            (0..500_000_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 20).to_le_bytes()).collect();
        for compression in ALL {
            for chunks in [&[][..], &[&b"a\nb\n"[..], b"c\n"], &[&large[..], &large[..70_000]]] {
                let whole = object(compression, chunks);
                assert!(expanded(compression, whole.clone()).unwrap() == chunks.concat(), "{compression:?}");
                if compression == Compression::None || chunks.is_empty() {
                    continue;
                }
                let head = Container::new(Encoding { compression, level: Level::Fast }, "web-1").head().len();
                assert!(expanded(compression, whole[..head + 5].to_vec()).is_err(), "{compression:?}");
            }
        }
    }

    #[test]
    fn garbage_is_an_error() {
        for compression in &ALL[1..] {
            for garbage in [vec![0xff; 100], b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff".to_vec(), vec![0x1f]] {
                assert!(expanded(*compression, garbage).is_err(), "{compression:?}");
            }
        }
    }

    #[test]
    fn a_flipped_byte_in_a_zip_file_is_noticed() {
        let mut object = object(Compression::Zip, &[b"some text that is some text"]);
        let whole = object.len();
        // The checksum in the descriptor, which follows the data.
        let at = object.windows(4).position(|bytes| bytes == b"PK\x07\x08").unwrap() + 5;
        object[at] ^= 1;
        assert_eq!(object.len(), whole);
        assert!(expanded(Compression::Zip, object).unwrap_err().to_string().contains("checksum"));
    }
}
