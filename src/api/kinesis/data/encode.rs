//! Writes records out, straight from their columns into the pieces of an answer, in both encodings.
//!
//! A page is what GetRecords answers and what one event of a subscription holds: `Records`, where to go on,
//! `MillisBehindLatest`, and at the end of a closed shard `ChildShards`. KCL takes a page only if it has either a place to
//! go on or children, never both or neither.

use bytes::Bytes;

use super::super::Wire;
use crate::limits::ANSWER_PIECE_BYTES;
use crate::record::Records;
use crate::stream::data::{SequenceNumber, Shard, shard_name};

/// Bytes of a record in an answer beside its data and its key, about.
const RECORD_OVERHEAD: usize = 192;

/// A page that is being written.
pub struct Page<'a> {
    wire: Wire,
    shard: &'a Shard,
    encrypted: bool,
    /// The position of the next record.
    position: u64,
    is_first: bool,
    done: Vec<Bytes>,
    out: Vec<u8>,
}

impl<'a> Page<'a> {
    /// A page whose first record is at `position` of `shard`.
    pub fn new(wire: Wire, shard: &'a Shard, encrypted: bool, position: u64) -> Self {
        let mut out = Vec::with_capacity(1 << 10);
        match wire {
            Wire::Json => out.extend_from_slice(b"{\"Records\":["),
            Wire::Cbor => {
                out.push(cbor::MAP);
                cbor::text(&mut out, b"Records");
                out.push(cbor::LIST);
            }
        }
        Page { wire, shard, encrypted, position, is_first: true, done: Vec::new(), out }
    }

    /// Writes the records of one put.
    pub fn add(&mut self, records: &Records) {
        let mut arrived = Vec::with_capacity(24);
        time(self.wire, &mut arrived, records.arrived_ms);
        for index in 0..records.len() {
            let data = records.get(index);
            let key = records.keys.as_ref().map_or(&b""[..], |keys| keys.get(index));
            let sequence = self.shard.sequence(self.position, records.arrived_ms);
            self.make_room(data.len() / 3 * 4 + key.len() + RECORD_OVERHEAD);
            match self.wire {
                Wire::Json => self.json_record(data, key, sequence, &arrived),
                Wire::Cbor => self.cbor_record(data, key, sequence, &arrived),
            }
            self.position += 1;
            self.is_first = false;
        }
    }

    /// Ends a page. `onward` is the member that says where to go on; without it the shard is at its end, and its
    /// children among the stream's `shards` are named instead.
    pub fn end(mut self, onward: Option<(&str, &[u8])>, behind_ms: u64, shards: &[Shard]) -> Vec<Bytes> {
        self.make_room(1 << 10);
        let out = &mut self.out;
        match self.wire {
            Wire::Json => {
                out.push(b']');
                if let Some((name, text)) = onward {
                    json::member(out, b',', name);
                    json::text(out, text);
                }
                json::member(out, b',', "MillisBehindLatest");
                out.extend_from_slice(behind_ms.to_string().as_bytes());
            }
            Wire::Cbor => {
                out.push(cbor::BREAK);
                if let Some((name, text)) = onward {
                    cbor::text(out, name.as_bytes());
                    cbor::text(out, text);
                }
                cbor::text(out, b"MillisBehindLatest");
                cbor::head(out, cbor::UNSIGNED, behind_ms);
            }
        }
        if onward.is_none() {
            children(self.wire, out, self.shard, shards);
        }
        out.push(if self.wire == Wire::Json { b'}' } else { cbor::BREAK });
        self.done.push(self.out.into());
        self.done
    }

    /// Makes a piece of what is there once it is large, so that nothing is copied while a page grows.
    fn make_room(&mut self, bytes: usize) {
        if self.out.len() >= ANSWER_PIECE_BYTES {
            let full = std::mem::replace(&mut self.out, Vec::with_capacity(ANSWER_PIECE_BYTES + bytes));
            self.done.push(full.into());
        } else {
            self.out.reserve(bytes);
        }
    }

    fn json_record(&mut self, data: &[u8], key: &[u8], sequence: SequenceNumber, arrived: &[u8]) {
        let out = &mut self.out;
        out.extend_from_slice(if self.is_first { b"{\"SequenceNumber\":\"" } else { b",{\"SequenceNumber\":\"" });
        sequence.write(out);
        out.extend_from_slice(b"\",\"ApproximateArrivalTimestamp\":");
        out.extend_from_slice(arrived);
        out.extend_from_slice(b",\"Data\":\"");
        base64_simd::STANDARD.encode_append(data, out);
        out.push(b'"');
        if !key.is_empty() {
            out.extend_from_slice(b",\"PartitionKey\":");
            json::text(out, key);
        }
        out.extend_from_slice(if self.encrypted { b",\"EncryptionType\":\"KMS\"}" } else { b"}" });
    }

    fn cbor_record(&mut self, data: &[u8], key: &[u8], sequence: SequenceNumber, arrived: &[u8]) {
        let out = &mut self.out;
        out.push(cbor::MAP);
        cbor::text(out, b"SequenceNumber");
        cbor::digits(out, sequence);
        cbor::text(out, b"ApproximateArrivalTimestamp");
        out.extend_from_slice(arrived);
        cbor::text(out, b"Data");
        cbor::head(out, cbor::BYTES, data.len() as u64);
        out.extend_from_slice(data);
        if !key.is_empty() {
            cbor::text(out, b"PartitionKey");
            cbor::text(out, key);
        }
        if self.encrypted {
            cbor::text(out, b"EncryptionType");
            cbor::text(out, b"KMS");
        }
        out.push(cbor::BREAK);
    }
}

/// The digits of a sequence number, as text.
pub(in super::super) fn sequence_digits(sequence: SequenceNumber) -> Vec<u8> {
    let mut digits = Vec::with_capacity(64);
    sequence.write(&mut digits);
    digits
}

fn time(wire: Wire, out: &mut Vec<u8>, ms: u64) {
    match wire {
        Wire::Json => out.extend_from_slice(format!("{}.{:03}", ms / 1000, ms % 1000).as_bytes()),
        Wire::Cbor => {
            out.push(cbor::TIME);
            cbor::head(out, cbor::UNSIGNED, ms);
        }
    }
}

/// Writes the member `ChildShards`: those that have `shard` for a parent.
fn children(wire: Wire, out: &mut Vec<u8>, shard: &Shard, shards: &[Shard]) {
    use super::super::Document;
    let is_child = |child: &&Shard| child.parents().any(|parent| parent == shard.index);
    let described = shards.iter().filter(is_child).map(|child| {
        let parents = [child.parent, child.adjacent_parent].into_iter().flatten();
        let parents: Vec<Document> = parents.map(|parent| shard_name(parent).into()).collect();
        let range = Document::map([
            ("StartingHashKey", child.range.start.to_string().into()),
            ("EndingHashKey", child.range.end.to_string().into()),
        ]);
        let name = shard_name(child.index).into();
        Document::map([("ShardId", name), ("ParentShards", parents.into()), ("HashKeyRange", range)])
    });
    let list = Document::List(described.collect()).write(wire);
    match wire {
        Wire::Json => json::member(out, b',', "ChildShards"),
        Wire::Cbor => cbor::text(out, b"ChildShards"),
    }
    out.extend_from_slice(&list);
}

/// Pieces of JSON.
pub(super) mod json {
    /// `,"name":`.
    pub(crate) fn member(out: &mut Vec<u8>, before: u8, name: &str) {
        out.extend_from_slice(&[before, b'"']);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
    }

    /// A string; most have nothing that must be escaped.
    pub(crate) fn text(out: &mut Vec<u8>, text: &[u8]) {
        if text.iter().any(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')) {
            let text = String::from_utf8_lossy(text);
            return serde_json::to_writer(out, &text).expect("a text can be written into memory");
        }
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
    }
}

/// Pieces of CBOR; maps and lists have no stated length, as those of AWS.
pub(super) mod cbor {
    use super::SequenceNumber;

    pub(crate) const UNSIGNED: u8 = 0x00;
    pub(crate) const BYTES: u8 = 0x40;
    pub(crate) const TEXT: u8 = 0x60;
    pub(crate) const LIST: u8 = 0x9f;
    pub(crate) const MAP: u8 = 0xbf;
    pub(crate) const TIME: u8 = 0xc1;
    pub(crate) const BREAK: u8 = 0xff;

    /// The head of a value: its type and a number (its own, or its length).
    pub(crate) fn head(out: &mut Vec<u8>, kind: u8, number: u64) {
        match number {
            0..=23 => out.push(kind | number as u8),
            24..=0xff => out.extend_from_slice(&[kind | 0x18, number as u8]),
            0x100..=0xffff => {
                out.push(kind | 0x19);
                out.extend_from_slice(&(number as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                out.push(kind | 0x1a);
                out.extend_from_slice(&(number as u32).to_be_bytes());
            }
            _ => {
                out.push(kind | 0x1b);
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
    }

    pub(crate) fn text(out: &mut Vec<u8>, text: &[u8]) {
        head(out, TEXT, text.len() as u64);
        out.extend_from_slice(text);
    }

    /// A sequence number as a text.
    pub(crate) fn digits(out: &mut Vec<u8>, sequence: SequenceNumber) {
        // They nearly always have 56 digits: the head is put right where they have not.
        let at = out.len();
        out.extend_from_slice(&[TEXT | 0x18, 0]);
        sequence.write(out);
        out[at + 1] = u8::try_from(out.len() - at - 2).expect("a number of 186 bits has 57 digits at most");
    }
}

#[cfg(test)]
mod tests;
