//! The rows of a plan that goes to an HTTP endpoint, on their way from the encoders to the requests: a line for each.
//!
//! ```text
//! <when it arrived, ms since 1970; nothing where that is not known> <base64>\n
//! ```

use crate::error::{Error, Result};

/// The value of `!{firehose:error-output-type}` for records that an endpoint did not take.
pub(in super::super) const ENDPOINT_FAILED: &str = "http-endpoint-failed";

/// Appends one row.
pub(in super::super) fn append(joined: &mut Vec<u8>, arrived_ms: Option<u64>, row: &[u8]) {
    if let Some(ms) = arrived_ms {
        joined.extend_from_slice(ms.to_string().as_bytes());
    }
    joined.push(b' ');
    base64_simd::STANDARD.encode_append(row, joined);
    joined.push(b'\n');
}

/// A row as it was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub arrived_ms: Option<u64>,
    pub base64: &'a str,
}

impl<'a> Row<'a> {
    /// Reads a line, with or without its end.
    pub(super) fn read(line: &'a [u8]) -> Result<Self> {
        let text = std::str::from_utf8(line).ok().and_then(|line| line.trim_end_matches('\n').split_once(' '));
        let (arrived, base64) = text.ok_or_else(|| Error::corrupt("a row for an endpoint is not as it was written"))?;
        Ok(Row { arrived_ms: arrived.parse().ok(), base64 })
    }

    /// Bytes of the record.
    pub(super) fn len(&self) -> u64 {
        let padding = self.base64.bytes().rev().take_while(|byte| *byte == b'=').count();
        (self.base64.len() / 4 * 3 - padding) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let mut lines = Vec::new();
        for len in 0..5 {
            append(&mut lines, (len % 2 == 0).then_some(len), &vec![b'\n'; len as usize]);
        }
        let read: Vec<_> = lines.split_inclusive(|byte| *byte == b'\n').map(|line| Row::read(line).unwrap()).collect();
        assert_eq!(read.iter().map(Row::len).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        let arrived: Vec<_> = read.iter().map(|row| row.arrived_ms).collect();
        assert_eq!(arrived, [Some(0), None, Some(2), None, Some(4)]);
        assert_eq!(read[2].base64, "Cgo=");
        assert!(Row::read(b"nothing\n").is_err());
    }
}
