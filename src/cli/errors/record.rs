//! One line of error output: a record that failed, with all that is said of it.
//!
//! What we write, and what Amazon Data Firehose writes: `errorCode` and `errorMessage`, or for record format conversion
//! `lastErrorCode` and `lastErrorMessage`; further members as they come.

use serde_json::{Map, Value};

use crate::cli::delivered::rows::{Row, Rows};
use crate::config::Compression;
use crate::destination::Destination;
use crate::error::Result;
use crate::limits::ERROR_LINE_BYTES_MAX;

/// The code of lines that cannot be read.
pub(super) const UNREADABLE: &str = "(unreadable)";

/// A record that failed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failed {
    /// Its line in its object, from 1.
    pub(super) line: u64,
    /// Why, in a word.
    pub(super) code: String,
    /// The record as it came, or why it is not there.
    pub(super) raw: Result<Vec<u8>, String>,
    /// All members, in their order.
    pub(super) members: Map<String, Value>,
}

impl Failed {
    /// Reads a line. One that is none is said to be [`UNREADABLE`]: error output can be damaged like anything else.
    pub(super) fn read(row: &Row) -> Failed {
        let unreadable =
            |why: String| Failed { line: row.number, code: UNREADABLE.to_owned(), raw: Err(why), members: Map::new() };
        let Some(bytes) = &row.bytes else {
            return unreadable(format!("the line has more than {ERROR_LINE_BYTES_MAX} bytes"));
        };
        let members: Map<String, Value> = match serde_json::from_slice(bytes) {
            Ok(members) => members,
            Err(error) => return unreadable(format!("the line is no JSON object: {error}")),
        };
        let text = |names: [&str; 2]| names.into_iter().find_map(|name| members.get(name)?.as_str()).map(str::to_owned);
        let code = text(["errorCode", "lastErrorCode"]).unwrap_or_else(|| "(none)".to_owned());
        let raw = match members.get("rawData").and_then(Value::as_str) {
            None => Err("the line has no rawData".to_owned()),
            Some(raw) => {
                base64_simd::STANDARD.decode_to_vec(raw).map_err(|error| format!("rawData is not base64: {error}"))
            }
        };
        Failed { line: row.number, code, raw, members }
    }
}

/// The records of one object of error output.
pub(super) struct Failures(Rows);

impl Failures {
    /// Those of the object under `key`.
    pub(super) async fn open(store: &dyn Destination, key: &str) -> Result<Failures> {
        Rows::open(store, key, Compression::None, ERROR_LINE_BYTES_MAX).await.map(Failures)
    }

    /// The next few; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Failed>>> {
        let rows = self.0.next().await?;
        Ok(rows.map(|rows| rows.iter().map(Failed::read).collect()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(line: &str) -> Failed {
        Failed::read(&Row { number: 7, bytes: Some(Bytes::copy_from_slice(line.as_bytes())) })
    }

    #[test]
    fn codes_and_records_are_found_whoever_wrote_them() {
        let ours =
            read("{\"rawData\":\"RkEASUw=\",\"errorCode\":\"A.B\",\"errorMessage\":\"why\",\"attemptsMade\":1}\n");
        assert_eq!((ours.line, ours.code.as_str(), ours.raw.as_deref()), (7, "A.B", Ok(&b"FA\0IL"[..])));
        let conversion =
            read("{\"attemptsMade\":1,\"lastErrorCode\":\"DataFormatConversion.ParseError\",\"rawData\":\"\"}");
        assert_eq!(
            (conversion.code.as_str(), conversion.raw.as_deref()),
            ("DataFormatConversion.ParseError", Ok(&b""[..]))
        );
    }

    #[test]
    fn what_is_damaged_is_said_and_not_guessed() {
        for (line, code, why) in [
            ("{\"rawData\":\"RkE", UNREADABLE, "no JSON object"),
            ("[1]", UNREADABLE, "no JSON object"),
            ("\n", UNREADABLE, "no JSON object"),
            ("{\"errorCode\":\"A\"}", "A", "no rawData"),
            ("{\"errorCode\":\"A\",\"rawData\":5}", "A", "no rawData"),
            ("{\"rawData\":\"!!\"}", "(none)", "not base64"),
        ] {
            let failed = read(line);
            assert_eq!(failed.code, code, "{line}");
            assert!(failed.raw.as_ref().unwrap_err().contains(why), "{line}: {:?}", failed.raw);
        }
        let too_long = Failed::read(&Row { number: 1, bytes: None });
        assert!(too_long.raw.unwrap_err().contains("more than 16777216 bytes"));
    }
}
