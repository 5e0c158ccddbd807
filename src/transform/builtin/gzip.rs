//! Decompression: GZIP (RFC 1952), of several members too. What a record may become is bounded.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;

use super::{Failure, failure};
use crate::limits::DECOMPRESSED_RECORD_BYTES_MAX;

/// Firehose's errorCode of a record that cannot be decompressed.
const CODE: &str = "Decompression failed.";

/// Appends what `record` holds, at most [`DECOMPRESSED_RECORD_BYTES_MAX`] and a byte: whoever is told that it fails takes it away.
pub(super) fn unpack(record: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
    let most = DECOMPRESSED_RECORD_BYTES_MAX;
    if record.is_empty() {
        return Err(failure(CODE, "the record is empty".to_owned()));
    }
    let mut inside = MultiGzDecoder::new(record).take(most as u64 + 1);
    match inside.read_to_end(out) {
        Ok(bytes) if bytes <= most => Ok(()),
        Ok(_) => Err(failure(CODE, format!("the record becomes more than {most} bytes"))),
        Err(error) => Err(failure(CODE, format!("the record is not GZIP: {error}"))),
    }
}
