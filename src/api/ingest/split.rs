//! What of an ingest body is a record: lines, or the elements of a JSON array.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::api::ApiError;
use crate::limits;

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Records are lines.
    Lines,
    /// Records are the elements of a JSON array.
    Array,
}

/// Records as columns.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    /// All bytes.
    pub(super) data: Vec<u8>,
    /// Where each record ends.
    pub(super) ends: Vec<u32>,
}

impl Form {
    /// What `Content-Type` says.
    pub(super) fn of(stated: Option<&str>) -> Result<Self, ApiError> {
        let essence = stated.unwrap_or("text/plain").split(';').next().unwrap_or("").trim();
        let table = [
            ("text/plain", Form::Lines),
            ("application/x-ndjson", Form::Lines),
            ("application/jsonl", Form::Lines),
            ("application/json", Form::Array),
        ];
        let known = table.iter().find(|(name, _)| essence.eq_ignore_ascii_case(name));
        known.map(|(_, form)| *form).ok_or_else(|| {
            let shown: String = essence.chars().take(64).collect();
            super::unsupported(format!(
                "Content-Type must be text/plain or application/x-ndjson (lines) or application/json (an array), not \
                 {shown:?}"
            ))
        })
    }

    /// Finds the records.
    pub(super) fn split(self, body: &[u8]) -> Result<Columns, ApiError> {
        let mut columns = Columns { data: Vec::with_capacity(body.len()), ends: Vec::new() };
        match self {
            Form::Lines => lines(body, &mut columns)?,
            Form::Array => array(body, &mut columns)?,
        }
        if columns.ends.is_empty() {
            return Err(ApiError::serialization("the body holds no record"));
        }
        if columns.data.len() > limits::INGEST_RECORDS_BYTES_MAX {
            let max = limits::INGEST_RECORDS_BYTES_MAX;
            return Err(ApiError::request_too_large(format!("the records have more than {max} bytes together")));
        }
        Ok(columns)
    }
}

impl Columns {
    /// Ends a record that begins at `start`.
    fn end(&mut self, start: usize) -> Result<(), ApiError> {
        let number = self.ends.len() + 1;
        if number > limits::INGEST_RECORDS_MAX {
            let max = limits::INGEST_RECORDS_MAX;
            return Err(ApiError::request_too_large(format!("the body holds more than {max} records")));
        }
        let bytes = self.data.len() - start;
        if bytes > limits::RECORD_BYTES_MAX {
            let max = limits::RECORD_BYTES_MAX;
            return Err(ApiError::request_too_large(format!(
                "record {number} has {bytes} bytes, a record may have {max}"
            )));
        }
        self.ends.push(u32::try_from(self.data.len()).expect("a body is bounded far below 4 GiB"));
        Ok(())
    }
}

fn lines(body: &[u8], columns: &mut Columns) -> Result<(), ApiError> {
    let mut rest = body;
    while !rest.is_empty() {
        let (line, after) = match memchr::memchr(b'\n', rest) {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &rest[rest.len()..]),
        };
        if !line.is_empty() {
            let start = columns.data.len();
            columns.data.extend_from_slice(line);
            columns.end(start)?;
        }
        rest = after;
    }
    Ok(())
}

fn array(body: &[u8], columns: &mut Columns) -> Result<(), ApiError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut refused = None;
    let read = Elements { columns, refused: &mut refused }.deserialize(&mut json).and_then(|()| json.end());
    match (refused, read) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => {
            let message: String = error.to_string().chars().take(200).collect();
            Err(ApiError::serialization(format!("the body is not a JSON array: {message}")))
        }
    }
}

struct Elements<'c> {
    columns: &'c mut Columns,
    /// Why reading was broken off, where the JSON was not the reason.
    refused: &'c mut Option<ApiError>,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<&RawValue>()? {
            let start = self.columns.data.len();
            let text = element.get();
            if text.starts_with('"') {
                let text: String = serde_json::from_str(text).map_err(A::Error::custom)?;
                self.columns.data.extend_from_slice(text.as_bytes());
            } else {
                compact(&mut self.columns.data, text.as_bytes());
            }
            if let Err(error) = self.columns.end(start) {
                *self.refused = Some(error);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

/// Valid JSON without the blanks between its tokens; numbers, escapes and the order of members stay as they are.
fn compact(out: &mut Vec<u8>, json: &[u8]) {
    let (mut in_string, mut escaped) = (false, false);
    for &byte in json {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            continue;
        } else {
            in_string = byte == b'"';
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(form: Form, body: &str) -> Result<Vec<String>, (&'static str, String)> {
        let columns = form.split(body.as_bytes()).map_err(|error| (error.code, error.message.into_owned()))?;
        let records = crate::record::Records::new(0, columns.ends, columns.data.into());
        Ok(records.iter().map(|record| String::from_utf8(record.to_vec()).unwrap()).collect())
    }

    #[test]
    fn lines_are_records() {
        assert_eq!(records(Form::Lines, "a\n\nb\r\nc").unwrap(), ["a", "b\r", "c"]);
        assert_eq!(records(Form::Lines, "a\n").unwrap(), ["a"]);
        for empty in ["", "\n", "\n\n\n"] {
            assert_eq!(records(Form::Lines, empty).unwrap_err().1, "the body holds no record");
        }
    }

    #[test]
    fn elements_are_records() {
        let body = "[ \"text \\\"1\\\"\\n\", {\"b\" : [1.00, \"x \\\" y\"] ,\n\"a\":1e2}, 7, null, \"\", [ ] ]";
        assert_eq!(
            records(Form::Array, body).unwrap(),
            ["text \"1\"\n", r#"{"b":[1.00,"x \" y"],"a":1e2}"#, "7", "null", "", "[]"]
        );
        for (body, part) in [
            ("", "EOF"),
            ("{}", "expected a JSON array of records"),
            ("[1", "EOF"),
            ("[1] 2", "trailing"),
            ("[\"\\ud800\"]", "hex escape"),
        ] {
            let (code, message) = records(Form::Array, body).unwrap_err();
            assert_eq!(code, "SerializationException", "{body}");
            assert!(message.contains(part), "{body}: {message}");
        }
        assert_eq!(records(Form::Array, "[]").unwrap_err().1, "the body holds no record");
    }

    #[test]
    fn what_is_too_large_is_named() {
        let long = "x".repeat(limits::RECORD_BYTES_MAX + 1);
        let message = "record 2 has 1024001 bytes, a record may have 1024000";
        assert_eq!(
            records(Form::Lines, &format!("a\n{long}\n")).unwrap_err(),
            ("RequestEntityTooLargeException", message.to_owned())
        );
        assert_eq!(
            records(Form::Array, &format!("[1,\"{long}\"]")).unwrap_err(),
            ("RequestEntityTooLargeException", message.to_owned())
        );
        let many = "1\n".repeat(limits::INGEST_RECORDS_MAX + 1);
        assert_eq!(records(Form::Lines, &many).unwrap_err().1, "the body holds more than 100000 records");
    }

    #[test]
    fn content_types_are_told_apart() {
        assert_eq!(Form::of(None).ok(), Some(Form::Lines));
        assert_eq!(Form::of(Some("Text/Plain; charset=utf-8")).ok(), Some(Form::Lines));
        assert_eq!(Form::of(Some("application/json")).ok(), Some(Form::Array));
        let refused = Form::of(Some("application/x-www-form-urlencoded")).unwrap_err();
        assert!(refused.message.contains("application/x-ndjson"));
    }

    proptest! {
        #[test]
        fn compacting_keeps_the_value(text in ".{0,30}", number in any::<i64>()) {
            let value = serde_json::json!([{"k y": text}, [number], text]);
            let mut out = Vec::new();
            compact(&mut out, serde_json::to_string_pretty(&value).unwrap().as_bytes());
            prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
