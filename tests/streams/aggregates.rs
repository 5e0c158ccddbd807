//! Aggregated records of the Kinesis Producer Library arrive unpacked.

use std::collections::BTreeMap;

use aws_sdk_kinesis::primitives::Blob;
use md5::{Digest, Md5};

use super::{House, delivery};

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// One length-delimited field of protobuf.
fn field(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Records with their keys, aggregated as the KPL does it.
fn aggregate(records: &[(&str, &str)]) -> Vec<u8> {
    let mut message = Vec::new();
    for (key, _) in records {
        field(1, key.as_bytes(), &mut message);
    }
    for (index, (_, data)) in records.iter().enumerate() {
        let mut record = vec![1 << 3];
        varint(index as u64, &mut record);
        field(3, data.as_bytes(), &mut record);
        field(3, &record, &mut message);
    }
    let mut out = vec![0xf3, 0x89, 0x9a, 0xc2];
    out.extend_from_slice(&message);
    out.extend_from_slice(&Md5::digest(&message));
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn user_records_are_delivered_and_what_only_looks_like_an_aggregate_as_it_is() {
    let house = House::new();
    let tables = "[data_stream.clicks]\n".to_owned()
        + &delivery("lake", "{ data_stream = \"clicks\" }", "size = \"1 MiB\", interval = \"60s\"");
    let service = house.start(&tables).await;
    let whole = aggregate(&[("a", "one\n"), ("b", "two\n"), ("a", "three\n")]);
    let mut broken = aggregate(&[("a", "never seen")]);
    *broken.last_mut().unwrap() ^= 1;
    let nested = aggregate(&[("a", "four\n")]);
    for data in [whole, b"plain\n".to_vec(), broken.clone(), b"\n".to_vec(), nested] {
        let put = service.client.put_record().stream_name("clicks").partition_key("k").data(Blob::new(data));
        put.send().await.unwrap();
    }
    service.stop().await;
    let mut bytes = Vec::new();
    let objects = lake_files(&house);
    assert_eq!(objects.len(), 1);
    for object in objects.values() {
        bytes.extend_from_slice(object);
    }
    let expected = [b"one\ntwo\nthree\nplain\n".as_slice(), &broken, b"\nfour\n"].concat();
    assert_eq!(bytes, expected);
}

fn lake_files(house: &House) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![house.lake.path().join("lake")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                files.insert(entry.path().display().to_string(), std::fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}
