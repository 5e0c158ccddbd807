//! What is read, what is refused, and that hostile bytes do no harm.

use proptest::prelude::*;

use super::*;

fn read(wire: Wire, bytes: &[u8]) -> Result<Document, ApiError> {
    Document::read(wire, bytes, Bounds::default())
}

fn text(text: &str) -> Document {
    text.into()
}

#[test]
fn cbor_is_read_in_all_its_forms() {
    let one = |value| Document::map([("a", value)]);
    let table: [(&[u8], Document); 20] = [
        (b"\xa1\x61a\x01", one(Document::Int(1))),
        (b"\xbf\x61a\x01\xff", one(Document::Int(1))),
        (b"\xbf\x7f\x61a\xff\x01\xff", one(Document::Int(1))),
        (b"\x9f\x01\x20\xff", Document::List(vec![Document::Int(1), Document::Int(-1)])),
        (b"\x82\x01\x39\x01\x00", Document::List(vec![Document::Int(1), Document::Int(-257)])),
        (b"\x7f\x62ab\x61c\xff", text("abc")),
        (b"\x63abc", text("abc")),
        (b"\x5f\x42\x00\xff\x41\x07\xff", Document::Blob(vec![0, 255, 7])),
        (b"\x40", Document::Blob(vec![])),
        (b"\xf6", Document::Null),
        (b"\xf7", Document::Null),
        (b"\xf5", Document::Bool(true)),
        (b"\xf9\x3e\x00", Document::Float(1.5)),
        (b"\xf9\x80\x01", Document::Float(-5.960_464_477_539_063e-8)),
        (b"\xfa\x3f\xc0\x00\x00", Document::Float(1.5)),
        (b"\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00", Document::Float(1.5)),
        (b"\xc1\x1b\x00\x00\x01\x53\xe2\xcc\xf3\x30", Document::Time(1_459_798_995_760)),
        (b"\xc1\xfb\x41\xd5\xc0\x99\x6e\xbe\xb8\x52", Document::Time(1_459_774_906_980)),
        (b"\xc1\x20", Document::Time(0)),
        (b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", Document::Float(18_446_744_073_709_551_615.0)),
    ];
    for (bytes, expected) in table {
        assert_eq!(read(Wire::Cbor, bytes), Ok(expected), "{bytes:x?}");
    }
}

#[test]
fn cbor_that_lies_or_ends_is_refused() {
    let deep = [0x81; 40];
    let long = [&[0x9f][..], &vec![0x01; 20_001], &[0xff]].concat();
    let table: [(&[u8], &str); 17] = [
        (b"", "ends in the middle"),
        (b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "ends in the middle"),
        (b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", "ends in the middle"),
        (b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", "ends in the middle"),
        (b"\x7b\xff\xff\xff\xff\xff\xff\xff\xff\x61", ""),
        (b"\xbf\x61a\x01", "ends in the middle"),
        (b"\xbf\x61a\xff", "where none belongs"),
        (b"\xa2\x61a\x01\x61a\x02", "\"a\" stands in it twice"),
        (b"\xa2\x61a\x01\x7f\x61a\xff\x02", "\"a\" stands in it twice"),
        (b"\xa1\x01\x01", "no text"),
        (b"\xc2\x41\x01", "the tag 2"),
        (b"\xc1\x61a", "where none belongs"),
        (b"\x01\x01", "follow after its end"),
        (b"\x62\xff\xff", ""),
        (b"\xff", "where none belongs"),
        (&deep, "nested too deep"),
        (&long, "too many values"),
    ];
    for (bytes, part) in table {
        let error = read(Wire::Cbor, bytes).expect_err(part);
        assert_eq!(error.code, "SerializationException");
        let shown = &bytes[..bytes.len().min(20)];
        assert!(error.message.contains(part), "{shown:x?}: {}", error.message);
    }
}

#[test]
fn json_is_bounded_and_names_stand_once() {
    let nested = "[".repeat(40);
    let many = format!("[{}0]", "0,".repeat(20_000));
    let long = format!("{{{:?}:0,{:?}:1}}", "x".repeat(1000), "x".repeat(1000));
    let table = [
        ("", "EOF"),
        ("{", "EOF"),
        ("{} {}", "trailing"),
        (r#"{"a":1,"a":2}"#, "\\\"a\\\" stands in it twice"),
        (r#"{"a":{"b":1,"\u0062":2}}"#, "stands in it twice"),
        ("\"\\ud800\"", ""),
        (&nested, "nested too deep"),
        (&many, "too many values"),
        (&long, "stands in it twice"),
    ];
    for (body, part) in table {
        let error = read(Wire::Json, body.as_bytes()).expect_err(part);
        assert!(error.message.contains(&part.replace('\\', "")), "{part}: {}", error.message);
        assert!(error.message.chars().count() < 260, "{}", error.message);
    }
    assert_eq!(read(Wire::Json, br#" {"a":null} "#).unwrap().get("a"), None);
    assert_eq!(read(Wire::Json, b"9223372036854775808"), Ok(Document::Float(9_223_372_036_854_775_808.0)));
}

#[test]
fn answers_are_written_as_those_of_aws() {
    let document = Document::map([
        ("Time", Document::Time(1_459_799_926_480)),
        ("Data", Document::Blob(b"hello".to_vec())),
        ("List", Document::List(vec![Document::Int(-1), Document::Null, true.into()])),
        ("Text", "a\"b".into()),
    ]);
    let json = String::from_utf8(document.write(Wire::Json)).unwrap();
    assert_eq!(json, r#"{"Time":1459799926.480,"Data":"aGVsbG8=","List":[-1,null,true],"Text":"a\"b"}"#);
    let cbor = document.write(Wire::Cbor);
    let expected = b"\xbf\x64Time\xc1\x1b\x00\x00\x01\x53\xe2\xdb\x26\xd0\x64Data\x45hello\x64List\x9f\x20\xf6\xf5\xff\x64Text\x63a\"b\xff";
    assert_eq!(cbor, expected);
}

fn any_document() -> impl Strategy<Value = Document> {
    let leaf = prop_oneof![
        Just(Document::Null),
        any::<bool>().prop_map(Document::Bool),
        any::<i64>().prop_map(Document::Int),
        (-1e9..1e9f64).prop_map(Document::Float),
        ".{0,12}".prop_map(Document::Text),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Document::Blob),
        (0..4_102_444_800_000u64).prop_map(Document::Time),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Document::List),
            proptest::collection::btree_map(".{0,8}", inner, 0..6)
                .prop_map(|map| Document::Map(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn cbor_comes_back_as_it_went(document in any_document()) {
        prop_assert_eq!(read(Wire::Cbor, &document.write(Wire::Cbor)).unwrap(), document);
    }

    /// The edge relies on it: the header that says which encoding it is need not be signed.
    #[test]
    fn no_bytes_are_a_map_in_both_encodings(document in any_document(), damage in any::<Option<(prop::sample::Index, u8)>>()) {
        for wire in [Wire::Json, Wire::Cbor] {
            let mut bytes = document.write(wire);
            if let Some((at, byte)) = damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let maps = [Wire::Json, Wire::Cbor].map(|wire| matches!(read(wire, &bytes), Ok(Document::Map(_))));
            prop_assert_ne!(maps, [true, true]);
        }
    }

    #[test]
    fn json_is_what_serde_reads(document in any_document()) {
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&document.write(Wire::Json)).is_ok());
    }

    #[test]
    fn hostile_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(Wire::Json, &bytes);
        let _ = read(Wire::Cbor, &bytes);
    }

    /// Structured noise gets deeper than random bytes: one byte of a valid document is another.
    #[test]
    fn a_damaged_document_is_read_or_refused(document in any_document(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = document.write(Wire::Cbor);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = read(Wire::Cbor, &bytes) {
            let mut left = bytes.len();
            prop_assert!(fits(&read, &mut left), "more came out than went in");
        }
    }
}

/// Whether what was read has no more bytes than it was read from.
fn fits(document: &Document, left: &mut usize) -> bool {
    let bytes = match document {
        Document::Text(text) => text.len(),
        Document::Blob(blob) => blob.len(),
        _ => 1,
    };
    let Some(rest) = left.checked_sub(bytes) else { return false };
    *left = rest;
    match document {
        Document::List(items) => items.iter().all(|item| fits(item, left)),
        Document::Map(members) => members.iter().all(|(_, value)| fits(value, left)),
        _ => true,
    }
}
