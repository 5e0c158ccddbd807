//! One record as a line of JSON; see the module above for its members.

use std::io::Write as _;

use crate::stream::data::{Shard, shard_name};

/// Where a record stands.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// In a delivery stream's only shard.
    Position(u64),
    /// In a shard of a data stream.
    Sequence(&'a Shard, u64),
}

/// Appends a record's line.
pub(super) fn record(out: &mut Vec<u8>, place: Place<'_>, arrived_ms: u64, key: Option<&[u8]>, data: &[u8]) {
    match place {
        Place::Position(position) => {
            begin(out, 0);
            // Writing to a vector cannot fail.
            let _ = write!(out, ",\"position\":{position}");
        }
        Place::Sequence(shard, position) => {
            begin(out, shard.index);
            out.extend_from_slice(b",\"sequence\":\"");
            shard.sequence(position, arrived_ms).write(out);
            out.push(b'"');
        }
    }
    let _ = write!(out, ",\"arrived\":{arrived_ms}");
    if let Some(key) = key {
        member(out, "key", key);
    }
    member(out, "data", data);
    out.extend_from_slice(b"}\n");
}

/// Appends the line that says how many records of a shard were gone.
pub(super) fn missed(out: &mut Vec<u8>, shard: u32, records: u64) {
    begin(out, shard);
    let _ = writeln!(out, ",\"missed\":{records}}}");
}

fn begin(out: &mut Vec<u8>, shard: u32) {
    let _ = write!(out, "{{\"shard\":\"{}\"", shard_name(shard));
}

/// Text where it is one that can be shown; so a line is at most about twice as long as its record.
fn member(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let shown = |text: &&str| text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r'));
    match std::str::from_utf8(bytes).ok().filter(shown) {
        Some(text) => {
            let _ = write!(out, ",\"{name}\":");
            serde_json::to_writer(out, text).expect("a text is always JSON, and a vector takes all");
        }
        None => {
            let _ = write!(out, ",\"{name}_base64\":\"{}\"", base64_simd::STANDARD.encode_to_string(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: Option<&[u8]>, data: &[u8]) -> serde_json::Value {
        let mut out = Vec::new();
        record(&mut out, Place::Position(7), 5, key, data);
        assert_eq!(memchr::memchr(b'\n', &out), Some(out.len() - 1), "one line is one object");
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn text_is_text_and_anything_else_base64() {
        let shard = "shardId-000000000000";
        for (data, name, shown) in [
            (&b"plain"[..], "data", "plain"),
            (b"", "data", ""),
            ("\"é\"\n\t\\\r\n".as_bytes(), "data", "\"é\"\n\t\\\r\n"),
            (b"\xff\x00", "data_base64", "/wA="),
            (b"\x1b[2J", "data_base64", "G1sySg=="),
        ] {
            let expected = serde_json::json!({ "shard": shard, "position": 7, "arrived": 5, name: shown });
            assert_eq!(line(None, data), expected);
        }
        assert_eq!(line(Some(b"k"), b"")["key"], "k");
        assert_eq!(line(Some(b"\xff"), b"")["key_base64"], "/w==");
    }

    #[test]
    fn what_is_gone_is_a_line_too() {
        let mut out = Vec::new();
        missed(&mut out, 3, 12);
        assert_eq!(out, b"{\"shard\":\"shardId-000000000003\",\"missed\":12}\n");
    }
}
