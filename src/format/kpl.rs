//! Aggregated records of the Kinesis Producer Library: several user records in one, taken apart again.
//!
//! ```text
//! F3 89 9A C2 | AggregatedRecord (protocol buffers 2) | MD5 of the AggregatedRecord, 16 bytes
//!
//! AggregatedRecord { 1 repeated string partition_key_table; 2 repeated string explicit_hash_key_table;
//!                    3 repeated Record records }
//! Record           { 1 required uint64 partition_key_index; 2 optional uint64 explicit_hash_key_index;
//!                    3 required bytes data; 4 repeated Tag tags }
//! ```
//! (spec: amazon-kinesis-producer, aggregation-format.md.) What has another beginning, a wrong checksum or cannot be
//! parsed is a record like any other. Fields that are not known are passed over, as protocol buffers do. Nothing is
//! copied and nothing nested is followed: user records are slices of the record that they came in, and one that looks
//! like an aggregate itself is left as it is.

use md5::{Digest, Md5};

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const DIGEST_BYTES: usize = 16;
/// The number of `AggregatedRecord.records`.
const RECORDS: u64 = 3;
/// The number of `Record.partition_key_index`.
const KEY_INDEX: u64 = 1;
/// The number of `Record.data`.
const DATA: u64 = 3;

/// Whether `record` begins as an aggregate does: cheap, and enough to know that most records are none.
pub fn may_be_aggregate(record: &[u8]) -> bool {
    record.starts_with(&MAGIC)
}

/// The user records of an aggregate, in order; `None` for a record that is none. There may be none at all in it.
pub fn user_records(record: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let body = record.strip_prefix(&MAGIC)?;
    let (message, digest) = body.split_at_checked(body.len().checked_sub(DIGEST_BYTES)?)?;
    if message.is_empty() || Md5::digest(message)[..] != *digest {
        return None;
    }
    // Read twice, so that nothing is taken from what turns out not to be one, and nothing is gathered.
    let is_whole = records(message).all(|record| record.is_some());
    is_whole.then(|| records(message).flatten())
}

/// The data of each record of a message; `None` in the place of what cannot be parsed, which is the last.
fn records(message: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    Fields(message).filter_map(|field| match field {
        Some(Field { number: RECORDS, value: Value::Bytes(record) }) => Some(data(record)),
        Some(_) => None,
        None => Some(None),
    })
}

/// The data of one record; `None` without one of its required fields.
fn data(record: &[u8]) -> Option<&[u8]> {
    let (mut data, mut has_key) = (None, false);
    for field in Fields(record) {
        match field? {
            // Of a field that is given twice the last counts.
            Field { number: DATA, value: Value::Bytes(bytes) } => data = Some(bytes),
            Field { number: KEY_INDEX, value: Value::Number } => has_key = true,
            _ => {}
        }
    }
    data.filter(|_| has_key)
}

struct Field<'a> {
    number: u64,
    value: Value<'a>,
}

enum Value<'a> {
    /// A varint, whose number is of no use here.
    Number,
    /// Eight or four bytes of a field that is not known.
    Fixed,
    Bytes(&'a [u8]),
}

/// The fields of a message; after one that cannot be parsed comes `None` and then nothing.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<Field<'a>>;

    fn next(&mut self) -> Option<Option<Field<'a>>> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<Field<'a>> {
        let tag = self.varint()?;
        let number = tag >> 3;
        let value = match tag & 7 {
            0 => self.varint().map(|_| Value::Number)?,
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            // Groups, which nobody writes any more, and what is not defined.
            _ => return None,
        };
        // Field numbers have 29 bits, and there is no field 0.
        (1..1 << 29).contains(&number).then_some(Field { number, value })
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn varint(out: &mut Vec<u8>, mut number: u64) {
        while number >= 0x80 {
            out.push((number as u8) | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }

    fn bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
        varint(out, (field << 3) | 2);
        varint(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }

    fn seal(message: &[u8]) -> Vec<u8> {
        [&MAGIC[..], message, &Md5::digest(message)[..]].concat()
    }

    fn message<T: AsRef<[u8]>>(records: &[T]) -> Vec<u8> {
        let mut out = Vec::new();
        bytes(&mut out, 1, b"key");
        bytes(&mut out, 2, b"170141183460469231731687303715884105728");
        for (index, data) in records.iter().enumerate() {
            let mut record = Vec::new();
            for (field, number) in [(1, 0), (2, index as u64 * 300)] {
                varint(&mut record, field << 3);
                varint(&mut record, number);
            }
            bytes(&mut record, 3, data.as_ref());
            bytes(&mut record, 4, b"\x0a\x01t");
            bytes(&mut out, 3, &record);
        }
        out
    }

    /// What the KPL would make of these.
    pub(crate) fn aggregate<T: AsRef<[u8]>>(records: &[T]) -> Vec<u8> {
        seal(&message(records))
    }

    fn unpacked(record: &[u8]) -> Option<Vec<&[u8]>> {
        Some(user_records(record)?.collect())
    }

    /// Written down by hand from the schema above, not by the encoder of these tests.
    #[test]
    fn a_known_aggregate_is_taken_apart() {
        let message = b"\x0a\x01a\x0a\x01b\x1a\x09\x08\x00\x1a\x05hello\x1a\x09\x08\x01\x1a\x05world";
        assert_eq!(unpacked(&seal(message)).unwrap(), [b"hello", b"world"]);
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..40)) {
            let packed = aggregate(&records);
            prop_assert!(may_be_aggregate(&packed));
            prop_assert_eq!(unpacked(&packed).unwrap(), records);
        }

        #[test]
        fn a_flipped_bit_makes_it_a_record_like_any_other(at in 0usize..1_000) {
            let mut packed = aggregate(&["one", "two"]);
            let bit = at % (packed.len() * 8);
            packed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(unpacked(&packed).is_none());
        }

        #[test]
        fn no_message_panics_or_brings_more_than_it_has(message in prop::collection::vec(any::<u8>(), 0..200)) {
            let sealed = seal(&message);
            if let Some(records) = unpacked(&sealed) {
                prop_assert!(records.iter().map(|record| record.len()).sum::<usize>() <= message.len());
            }
        }

        #[test]
        fn a_sealed_message_that_is_cut_is_whole_or_nothing(cut in 0usize..200) {
            let message = message(&["one", "two", "three"]);
            let sealed = seal(&message[..cut.min(message.len())]);
            let all: [&[u8]; 3] = [b"one", b"two", b"three"];
            if let Some(records) = unpacked(&sealed) {
                prop_assert!(all.starts_with(&records));
            }
        }
    }

    #[test]
    fn what_is_none_is_left_alone() {
        let mut endless = vec![0x1a];
        endless.extend([0xff; 12]);
        let huge = [&[0x1a][..], &[0xff, 0xff, 0xff, 0xff, 0x0f], b"short"].concat();
        for (message, what) in [
            (&b""[..], "an empty message"),
            (b"\x1a\x02\x08\x00", "a record without data"),
            (b"\x1a\x02\x1a\x00", "a record without a key"),
            (b"\x1a\x05\x08\x00\x1a\x05a", "data that is longer than its record"),
            (&huge, "a length of gigabytes"),
            (&endless, "a number without an end"),
            (b"\x1b\x08\x00\x1c", "a group"),
            (b"\x00\x00", "field 0"),
        ] {
            assert!(unpacked(&seal(message)).is_none(), "{what}");
        }
        assert!(unpacked(b"").is_none() && unpacked(&MAGIC).is_none() && unpacked(b"plain").is_none());
    }

    #[test]
    fn unknown_fields_are_passed_over_and_an_aggregate_may_hold_nothing() {
        let strange = b"\x1a\x18\x08\x00\x21\x01\x02\x03\x04\x05\x06\x07\x08\x1a\x04last\x28\x01\x2d\x01\x02\x03\x04";
        assert_eq!(unpacked(&seal(strange)).unwrap(), [b"last"]);
        assert_eq!(unpacked(&seal(b"\x0a\x01k")).unwrap(), [b""; 0]);
    }

    #[test]
    fn one_level_is_taken_apart() {
        let inner = aggregate(&["a", "b"]);
        assert_eq!(unpacked(&aggregate(&[&inner])).unwrap(), [&inner[..]]);
    }
}
