//! What is written is what the plain writer of documents would write, whatever the records are.

use proptest::prelude::*;

use super::super::super::{Bounds, Document};
use super::*;
use crate::record::Keys;
use crate::stream::data::{Closed, HashRange};

fn shard(index: u32, parents: [Option<u32>; 2]) -> Shard {
    let range = HashRange { start: 0, end: u128::MAX };
    let [parent, adjacent_parent] = parents;
    let closed = (index == 0).then_some(Closed { end: 9, at_ms: 1_700_000_100_000 });
    Shard { index, range, parent, adjacent_parent, opened_ms: 1_700_000_000_000, created_ms: 1_700_000_000_000, closed }
}

fn shards() -> Vec<Shard> {
    vec![shard(0, [None; 2]), shard(1, [None; 2]), shard(2, [Some(0), Some(1)]), shard(3, [Some(1), None])]
}

fn put(arrived_ms: u64, records: &[(Vec<u8>, String)]) -> Records {
    let data: Vec<&[u8]> = records.iter().map(|(data, _)| data.as_slice()).collect();
    let keys: Vec<&str> = records.iter().map(|(_, key)| key.as_str()).collect();
    let Records { ends, data: bytes, .. } = Records::from_slices(0, &keys);
    Records { keys: Some(Keys { ends, data: bytes }), ..Records::from_slices(arrived_ms, &data) }
}

fn digits(shard: &Shard, position: u64, arrived_ms: u64) -> String {
    String::from_utf8(sequence_digits(shard.sequence(position, arrived_ms))).unwrap()
}

/// A record as a document of `wire`, once it was read back: JSON knows neither blobs nor times.
fn expected(wire: Wire, record: &(Vec<u8>, String), sequence: String, arrived_ms: u64, encrypted: bool) -> Document {
    let (data, key) = record;
    let (time, data) = match wire {
        Wire::Json => {
            (Document::Float(arrived_ms as f64 / 1000.0), Document::Text(base64_simd::STANDARD.encode_to_string(data)))
        }
        Wire::Cbor => (Document::Time(arrived_ms), Document::Blob(data.clone())),
    };
    let sequence: Document = sequence.into();
    Document::map([("SequenceNumber", sequence), ("ApproximateArrivalTimestamp", time), ("Data", data)])
        .with_some("PartitionKey", (!key.is_empty()).then_some(key.as_str()))
        .with_some("EncryptionType", encrypted.then_some("KMS"))
}

fn any_record() -> impl Strategy<Value = (Vec<u8>, String)> {
    (proptest::collection::vec(any::<u8>(), 0..200), "\\PC{0,8}|[ -~]{1,30}|\"\\\\\u{1}{0,3}|\u{7f}é")
}

proptest! {
    #[test]
    fn pages_are_documents(
        puts in proptest::collection::vec(proptest::collection::vec(any_record(), 1..5), 0..4),
        encrypted: bool,
        position in 0u64..1 << 40,
        behind_ms in 0u64..1 << 40,
    ) {
        let (shards, arrived_ms) = (shards(), 1_700_000_050_042);
        let shard = &shards[1];
        for wire in [Wire::Json, Wire::Cbor] {
            let mut page = Page::new(wire, shard, encrypted, position);
            for records in &puts {
                page.add(&put(arrived_ms, records));
            }
            let bytes = page.end(Some(("NextShardIterator", b"a+/=")), behind_ms, &shards).concat();
            let records = puts.iter().flatten().zip(position..).map(|(record, position)| {
                expected(wire, record, digits(shard, position, arrived_ms), arrived_ms, encrypted)
            });
            let whole = Document::map([
                ("Records", Document::List(records.collect())),
                ("NextShardIterator", "a+/=".into()),
                ("MillisBehindLatest", Document::Int(behind_ms.cast_signed())),
            ]);
            prop_assert_eq!(Document::read(wire, &bytes, Bounds::default()), Ok(whole));
        }
    }
}

#[test]
fn the_end_of_a_shard_names_its_children_and_no_place_to_go_on() {
    let shards = shards();
    let child = |name: &str, parents: &[&str]| {
        let parents: Vec<Document> = parents.iter().map(|parent| (*parent).into()).collect();
        let range = Document::map([
            ("StartingHashKey", "0".into()),
            ("EndingHashKey", "340282366920938463463374607431768211455".into()),
        ]);
        Document::map([("ShardId", name.into()), ("ParentShards", parents.into()), ("HashKeyRange", range)])
    };
    let both = child("shardId-000000000002", &["shardId-000000000000", "shardId-000000000001"]);
    let table = [(0, vec![both.clone()]), (1, vec![both, child("shardId-000000000003", &["shardId-000000000001"])])];
    for (index, children) in table {
        for wire in [Wire::Json, Wire::Cbor] {
            let page = Page::new(wire, &shards[index], false, 9);
            let bytes = page.end(None, 0, &shards).concat();
            let whole = Document::map([
                ("Records", Document::List(Vec::new())),
                ("MillisBehindLatest", Document::Int(0)),
                ("ChildShards", children.clone().into()),
            ]);
            assert_eq!(Document::read(wire, &bytes, Bounds::default()), Ok(whole));
        }
    }
}

#[test]
fn large_pages_come_in_pieces_and_records_are_not_cut() {
    let shards = shards();
    let records = put(5, &vec![(vec![7; 40_000], "k".to_owned()); 10]);
    for wire in [Wire::Json, Wire::Cbor] {
        let mut page = Page::new(wire, &shards[0], false, 0);
        page.add(&records);
        let pieces = page.end(Some(("NextShardIterator", b"x")), 0, &shards);
        assert!(pieces.len() >= 4, "{}", pieces.len());
        let whole = Document::read(wire, &pieces.concat(), Bounds::default()).unwrap();
        assert_eq!(whole.list("Records").len(), 10);
    }
}
