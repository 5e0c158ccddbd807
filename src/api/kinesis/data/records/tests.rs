//! Both ways of reading a body make the same of it, and neither lets anything through that breaks a constraint.

use proptest::prelude::*;

use super::*;
use crate::stream::data::hash_of;

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

fn fast(body: &[u8], shape: Shape, wire: Wire) -> Option<Puts> {
    match wire {
        Wire::Json => scan::scan(body, shape),
        Wire::Cbor => cbor::read(body, shape),
    }
}

fn record(data: &[u8], key: &str, hash: Option<&str>) -> Document {
    let data = Document::Blob(data.to_vec());
    Document::map([("Data", data), ("PartitionKey", key.into())]).with_some("ExplicitHashKey", hash)
}

fn call(records: Vec<Document>) -> Document {
    Document::map([("Records", records.into()), ("StreamName", "s".into())])
}

#[test]
fn what_sdks_write_takes_the_fast_way() {
    let one = record(b"a", "k", Some("7")).with("StreamName", "s").with("StreamARN", ARN);
    let many = call(vec![record(b"a", "k", None), record(b"", "ключ", Some("0")), record(b"ccc", "x", None)]);
    for (document, shape) in [(one, Shape::Record), (many, Shape::Records)] {
        for wire in [Wire::Json, Wire::Cbor] {
            let body = document.write(wire);
            let puts = fast(&body, shape, wire).unwrap_or_else(|| panic!("{document:?}"));
            assert_eq!(Ok(puts), Puts::read_slowly(&body, shape, wire));
        }
    }
    let stated = b"\xa2\x67Records\x81\xa2\x64Data\x41a\x6cPartitionKey\x61k\x6aStreamName\x61s";
    let puts = cbor::read(stated, Shape::Records);
    assert_eq!(puts, Puts::read_slowly(stated, Shape::Records, Wire::Cbor).ok());
    assert_eq!(puts.map(|puts| puts.records(3).data), Some("a".into()));
    let spaced = br#" { "Records" : [ { "PartitionKey" : "k" , "Data" : "YQ==" } ] , "StreamName" : "s" } "#;
    assert!(scan::scan(spaced, Shape::Records).is_some());
}

#[test]
fn columns_hold_data_keys_and_hashes_in_order() {
    let max = u128::MAX.to_string();
    let body = call(vec![record(b"ab", "k", None), record(b"", "kk", Some(&max)), record(b"c", "k", Some("5"))]);
    let puts = Puts::parse(&body.write(Wire::Json), Shape::Records, Wire::Json).unwrap();
    assert_eq!(puts.hashes().unwrap(), [hash_of(b"k"), u128::MAX, 5]);
    assert_eq!(puts.largest(), 3);
    let records = puts.records(7);
    assert_eq!(records.iter().collect::<Vec<_>>(), [&b"ab"[..], b"", b"c"]);
    let keys = records.keys.unwrap();
    assert_eq!([keys.get(0), keys.get(1), keys.get(2)], [&b"k"[..], b"kk", b"k"]);
}

#[test]
fn what_breaks_a_constraint_is_refused_in_words() {
    let beyond = "340282366920938463463374607431768211456";
    let long = "k".repeat(257);
    let one = || record(b"a", "k", None);
    let bare = Document::map([("Data", Document::Blob(vec![1]))]);
    let table: [(Document, &str); 8] = [
        (call(vec![]), "'records' failed to satisfy constraint: Member must have length greater than or equal to 1"),
        (
            call(vec![one(); 501]),
            "'records' failed to satisfy constraint: Member must have length less than or equal to 500",
        ),
        (call(vec![record(b"a", &long, None)]), "'records.1.member.partitionKey' failed"),
        (call(vec![one(), record(b"a", "", None)]), "'records.2.member.partitionKey' failed"),
        (call(vec![record(b"a", "k", Some("01"))]), "'records.1.member.explicitHashKey' failed"),
        (call(vec![record(b"a", "k", Some(beyond))]), "Specified value was 340282366920938463463374607431768211456"),
        (
            call(vec![one(), bare]),
            "Value null at 'records.2.member.partitionKey' failed to satisfy constraint: Member must not be null",
        ),
        (call(vec![record(&vec![0; 10 << 20], "k", None)]), "Records size exceeds 10 MB limit"),
    ];
    for (document, part) in table {
        for wire in [Wire::Json, Wire::Cbor] {
            let refused = Puts::parse(&document.write(wire), Shape::Records, wire).and_then(|puts| {
                puts.check_bytes()?;
                puts.check_keys(Shape::Records)?;
                puts.hashes().map(drop)
            });
            let error = refused.expect_err(part);
            assert!(error.message.contains(part), "{part}: {}", error.message);
        }
    }
}

#[test]
fn lengths_that_lie_are_not_believed() {
    let table: [&[u8]; 5] = [
        b"\xbf\x67Records\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff\x67Records",
        b"\xbf\x67Records\x9f\xbf\x64Data\x5b\x7f\xff\xff\xff\xff\xff\xff\xffa",
        b"\xbf\x67Records\x9f\xbf\x64Data\x5a\xff\xff\xff\xffa",
        b"\xbf\x67Records\x9f\xbf\x64Data\x41a\x6cPartitionKey\x7b\xff\xff\xff\xff\xff\xff\xff\xffk",
    ];
    for body in table {
        assert_eq!(cbor::read(body, Shape::Records), None);
        assert!(Puts::parse(body, Shape::Records, Wire::Cbor).is_err());
    }
}

fn any_member() -> impl Strategy<Value = (String, Document)> {
    const NAMES: [&str; 8] =
        ["Data", "PartitionKey", "ExplicitHashKey", "StreamName", "StreamARN", "Records", "DryRun", "Other"];
    let value = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..9).prop_map(Document::Blob),
        prop_oneof!["[a-z]{0,3}", Just("a\"\\é".to_owned()), "[0-9]{1,40}", Just(ARN.to_owned())]
            .prop_map(Document::Text),
        any::<bool>().prop_map(Document::Bool),
        Just(Document::Null),
    ];
    (proptest::sample::select(&NAMES[..]).prop_map(str::to_owned), value)
}

fn any_call() -> impl Strategy<Value = Document> {
    let sound =
        ("[a-zé\"\\\\]{1,4}", proptest::collection::vec(any::<u8>(), 0..40), proptest::option::of("[1-9][0-9]{0,38}"))
            .prop_map(|(key, data, hash)| record(&data, &key, hash.as_deref()));
    let loose = || proptest::collection::vec(any_member(), 0..4).prop_map(Document::Map);
    let records = proptest::collection::vec(prop_oneof![9 => sound, 1 => loose()], 0..4);
    let beside = proptest::collection::vec(any_member(), 0..2);
    let many = (records, beside).prop_map(|(records, beside)| {
        let Document::Map(mut members) = call(records) else { unreachable!() };
        members.extend(beside);
        Document::Map(members)
    });
    prop_oneof![many, loose()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn both_ways_read_the_same(document in any_call(), one: bool, cbor: bool) {
        let shape = if one { Shape::Record } else { Shape::Records };
        let wire = if cbor { Wire::Cbor } else { Wire::Json };
        let body = document.write(wire);
        if let Some(puts) = fast(&body, shape, wire) {
            prop_assert_eq!(Puts::read_slowly(&body, shape, wire), Ok(puts));
        }
    }

    #[test]
    fn a_damaged_body_is_read_alike_or_refused(at in any::<prop::sample::Index>(), byte: u8, cbor: bool) {
        let wire = if cbor { Wire::Cbor } else { Wire::Json };
        let mut body = call(vec![record(b"abc", "key", Some("12")), record(b"", "k", None)]).write(wire);
        let at = at.index(body.len());
        body[at] = byte;
        if let Some(puts) = fast(&body, Shape::Records, wire) {
            prop_assert_eq!(Puts::read_slowly(&body, Shape::Records, wire), Ok(puts));
        }
    }
}
