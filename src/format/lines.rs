//! Joins records into the bytes of an object: as they are, or with line feeds between them.
//!
//! With [`Delimiter::Between`] each record gets its line feed here too. Whoever encodes a run of records leaves out the last
//! one ([`without_last`]) and puts a [`SEPARATOR`] between two runs of an object: so no run has to know whether another follows.

use crate::config::Delimiter;
use crate::record::Records;

/// Appends `records` to `buffer` in their order, with the line feeds that `delimiter` asks for.
///
/// With [`Delimiter::Never`] the records' bytes are one run in memory and are copied at once.
pub fn append(buffer: &mut Vec<u8>, records: &Records, delimiter: Delimiter) {
    match delimiter {
        Delimiter::Never => buffer.extend_from_slice(contiguous(records)),
        Delimiter::Always | Delimiter::IfMissing | Delimiter::Between => {
            buffer.reserve(joined_bytes_max(records));
            for record in records.iter() {
                append_record(buffer, record, delimiter);
            }
        }
    }
}

/// Appends one record, with the line feed that `delimiter` asks for.
pub fn append_record(buffer: &mut Vec<u8>, record: &[u8], delimiter: Delimiter) {
    buffer.extend_from_slice(record);
    match delimiter {
        Delimiter::Never => {}
        Delimiter::IfMissing if record.last() == Some(&b'\n') => {}
        Delimiter::Always | Delimiter::IfMissing | Delimiter::Between => buffer.push(b'\n'),
    }
}

/// What stands between two runs of records of which the last line feed was left out.
pub const SEPARATOR: &[u8] = b"\n";

/// A run of joined records as it is encoded.
pub fn without_last(joined: &[u8], delimiter: Delimiter) -> &[u8] {
    if delimiter == Delimiter::Between { joined.strip_suffix(SEPARATOR).unwrap_or(joined) } else { joined }
}

/// The most bytes that [`append`] adds for `records`.
pub fn joined_bytes_max(records: &Records) -> usize {
    contiguous(records).len() + records.len()
}

/// The bytes of all records, without what may follow them in the column.
fn contiguous(records: &Records) -> &[u8] {
    let end = records.ends.last().map_or(0, |end| *end as usize);
    &records.data[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(records: &[&str], delimiter: Delimiter) -> String {
        let mut buffer = b"<".to_vec();
        append(&mut buffer, &Records::from_slices(0, records), delimiter);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn each_delimiter_does_what_it_says() {
        let records = ["a", "b\n", "", "\n", "c\n\n", "d"];
        assert_eq!(joined(&records, Delimiter::Never), "<ab\n\nc\n\nd");
        assert_eq!(joined(&records, Delimiter::Always), "<a\nb\n\n\n\n\nc\n\n\nd\n");
        assert_eq!(joined(&records, Delimiter::IfMissing), "<a\nb\n\n\nc\n\nd\n");
        assert_eq!(joined(&records, Delimiter::Between), "<a\nb\n\n\n\n\nc\n\n\nd\n");
        assert_eq!(without_last(b"a\n\n", Delimiter::Between), b"a\n");
        assert_eq!(without_last(b"a\n\n", Delimiter::Always), b"a\n\n");
        for delimiter in [Delimiter::Never, Delimiter::Always, Delimiter::IfMissing, Delimiter::Between] {
            assert_eq!(joined(&[], delimiter), "<");
        }
    }

    #[test]
    fn a_slice_of_records_brings_only_its_own_bytes() {
        let records = Records::from_slices(0, &["ab", "cd", "ef"]).slice(1, 2);
        let mut buffer = Vec::new();
        append(&mut buffer, &records, Delimiter::Never);
        assert_eq!(buffer, b"cd");
    }

    proptest! {
        #[test]
        fn joining_equals_joining_one_by_one(records in proptest::collection::vec(".{0,8}\n?", 0..20)) {
            for delimiter in [Delimiter::Never, Delimiter::Always, Delimiter::IfMissing] {
                let (mut at_once, mut one_by_one) = (Vec::new(), Vec::new());
                append(&mut at_once, &Records::from_slices(0, &records), delimiter);
                for record in &records {
                    append(&mut one_by_one, &Records::from_slices(0, &[record]), delimiter);
                }
                prop_assert_eq!(&at_once, &one_by_one);
                prop_assert!(at_once.len() <= joined_bytes_max(&Records::from_slices(0, &records)));
            }
        }
    }
}
