//! The codings that an ingest body may come in, undone within a bound: a bomb is refused at the first byte too much.

use std::io::Read;

use crate::api::ApiError;
use crate::api::server::Hold;
use crate::limits;

/// What a body is compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Nothing.
    Identity,
    /// gzip, one or more members.
    Gzip,
    /// Zstandard, one or more frames.
    Zstd,
}

/// The largest window that a zstd frame may ask for, as a power of two: that of level 19, 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Output is taken in pieces of this size, each accounted for before the next.
const PIECE_BYTES: usize = 64 << 10;

impl Coding {
    /// What `Content-Encoding` says.
    pub(super) fn of(stated: Option<&str>) -> Result<Self, ApiError> {
        let stated = stated.unwrap_or("identity").trim();
        let table =
            [("identity", Coding::Identity), ("gzip", Coding::Gzip), ("x-gzip", Coding::Gzip), ("zstd", Coding::Zstd)];
        let known = table.iter().find(|(name, _)| stated.eq_ignore_ascii_case(name));
        known.map(|(_, coding)| *coding).ok_or_else(|| {
            let shown: String = stated.chars().take(64).collect();
            super::unsupported(format!("Content-Encoding must be gzip, zstd or identity, not {shown:?}"))
        })
    }

    /// Undoes it, off the threads that serve.
    pub(super) async fn decode(self, bytes: Vec<u8>, hold: &mut Hold) -> Result<Vec<u8>, ApiError> {
        if self == Coding::Identity {
            return Ok(bytes);
        }
        let mut own = hold.another();
        let work = tokio::task::spawn_blocking(move || {
            let decoded = self.decode_now(&bytes, limits::INGEST_RECORDS_BYTES_MAX, &mut |more| own.grow(more))?;
            Ok((decoded, own))
        });
        match work.await {
            Ok(Ok((decoded, own))) => {
                hold.merge(own);
                Ok(decoded)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ApiError::internal_failure("The body could not be decompressed for an internal reason.")),
        }
    }

    fn decode_now(
        self,
        bytes: &[u8],
        bytes_max: usize,
        room: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Vec<u8>, ApiError> {
        match self {
            Coding::Identity => Ok(bytes.to_vec()),
            Coding::Gzip => drain("gzip", flate2::bufread::MultiGzDecoder::new(bytes), bytes_max, room),
            Coding::Zstd => {
                let invalid = |error| invalid("zstd", &error);
                let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(invalid)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(invalid)?;
                drain("zstd", decoder, bytes_max, room)
            }
        }
    }
}

fn drain(
    name: &str,
    mut decoder: impl Read,
    bytes_max: usize,
    room: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = decoder.read(&mut piece).map_err(|error| invalid(name, &error))?;
        if count == 0 {
            return Ok(out);
        }
        if out.len() + count > bytes_max {
            return Err(ApiError::request_too_large(format!(
                "the body has more than {bytes_max} bytes when it is decompressed"
            )));
        }
        if !room(count) {
            return Err(ApiError::service_unavailable("Slow down."));
        }
        out.extend_from_slice(&piece[..count]);
    }
}

fn invalid(name: &str, error: &std::io::Error) -> ApiError {
    ApiError::serialization(format!("the body is not valid {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(coding: Coding, bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
        coding.decode_now(bytes, 1 << 20, &mut |_| true).map_err(|error| error.code)
    }

    #[test]
    fn every_coding_is_undone() {
        let two: Vec<u8> = [gzip(b"one "), gzip(b"two")].concat();
        let frames = [zstd::encode_all(&b"one "[..], 3).unwrap(), zstd::encode_all(&b"two"[..], 3).unwrap()].concat();
        assert_eq!(decode(Coding::Gzip, &two).unwrap(), b"one two");
        assert_eq!(decode(Coding::Zstd, &frames).unwrap(), b"one two");
        assert_eq!(decode(Coding::Identity, b"x").unwrap(), b"x");
        assert_eq!(Coding::of(None).ok(), Some(Coding::Identity));
        assert_eq!(Coding::of(Some("GZip")).ok(), Some(Coding::Gzip));
        for other in ["br", "gzip, zstd", "deflate", ""] {
            assert_eq!(Coding::of(Some(other)).unwrap_err().code, "UnsupportedMediaTypeException", "{other}");
        }
    }

    #[test]
    fn bombs_and_garbage_are_refused() {
        let bomb = vec![0; (1 << 20) + 1];
        for (coding, packed) in [(Coding::Gzip, gzip(&bomb)), (Coding::Zstd, zstd::encode_all(&bomb[..], 3).unwrap())] {
            assert!(packed.len() < 16_384);
            assert_eq!(decode(coding, &packed), Err("RequestEntityTooLargeException"));
            assert_eq!(decode(coding, &packed[..packed.len() / 2]).unwrap_err(), "SerializationException");
            assert_eq!(decode(coding, b"no such thing").unwrap_err(), "SerializationException");
            let full = coding.decode_now(&packed, usize::MAX, &mut |_| false);
            assert_eq!(full.unwrap_err().code, "ServiceUnavailableException");
        }
        let mut trailing = gzip(b"x");
        trailing.extend_from_slice(b"garbage");
        assert_eq!(decode(Coding::Gzip, &trailing).unwrap_err(), "SerializationException");
    }
}
