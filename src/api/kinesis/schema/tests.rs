//! Texts of the two layers, as AWS gives them.

use proptest::prelude::*;

use super::*;

fn json(operation: &str, body: &str) -> Result<Document, ApiError> {
    read(operation, Wire::Json, body.as_bytes())
}

#[test]
fn wrong_types_are_told_as_aws_tells_them() {
    let number = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to";
    let table = [
        ("DescribeStream", r#"{"StreamName":23}"#, format!("{number} an String")),
        ("DescribeStream", r#"{"StreamName":true}"#, "class java.lang.Boolean can not be converted to an String".into()),
        ("DescribeStream", r#"{"StreamName":[]}"#, "Start of list found where not expected".into()),
        ("DescribeStream", r#"{"StreamName":{}}"#, "Start of structure or map found where not expected.".into()),
        ("DescribeStream", r#"{"Limit":"2"}"#, "class java.lang.String can not be converted to an Integer".into()),
        ("DeleteStream", r#"{"EnforceConsumerDeletion":"23"}"#, "'23' can not be converted to an Boolean".into()),
        ("DeleteStream", r#"{"EnforceConsumerDeletion":23}"#, format!("{number} an Boolean")),
        ("PutRecord", r#"{"Data":23}"#, format!("{number} a Blob")),
        (
            "PutRecord",
            r#"{"Data":"abc"}"#,
            "'abc' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 3"
                .into(),
        ),
        (
            "PutRecord",
            r#"{"Data":"=+/="}"#,
            "'=+/=' can not be converted to a Blob: Invalid Base64 character: '='".into(),
        ),
        (
            "PutRecord",
            r#"{"Data":"YY=="}"#,
            "'YY==' can not be converted to a Blob: Invalid last non-pad Base64 character dectected".into(),
        ),
        ("PutRecords", r#"{"Records":"x"}"#, "Expected list or null".into()),
        ("PutRecords", r#"{"Records":{}}"#, "Start of structure or map found where not expected.".into()),
        ("PutRecords", r#"{"Records":["x"]}"#, "Expected null".into()),
        ("AddTagsToStream", r#"{"Tags":1}"#, "Expected map or null".into()),
        ("AddTagsToStream", r#"{"Tags":[]}"#, "Start of list found where not expected".into()),
        ("GetShardIterator", r#"{"Timestamp":"x"}"#, "class java.lang.String can not be converted to milliseconds since epoch".into()),
    ];
    for (operation, body, message) in table {
        let error = json(operation, body).expect_err(body);
        assert_eq!((error.code, &*error.message), ("SerializationException", message.as_str()), "{body}");
    }
}

#[test]
fn broken_constraints_are_told_as_aws_tells_them() {
    let must = "failed to satisfy constraint: Member must";
    let name = "regular expression pattern: [a-zA-Z0-9_.-]+";
    let long = "a".repeat(129);
    let table = [
        (
            "DescribeStream",
            r#"{"StreamName":"a;b"}"#.to_owned(),
            format!("1 validation error detected: Value 'a;b' at 'streamName' {must} satisfy {name}"),
        ),
        (
            "DescribeStream",
            r#"{"StreamName":"","Limit":0}"#.to_owned(),
            format!(
                "3 validation errors detected: Value '' at 'streamName' {must} satisfy {name}; Value '' at \
                 'streamName' {must} have length greater than or equal to 1; Value '0' at 'limit' {must} have value \
                 greater than or equal to 1"
            ),
        ),
        (
            "DescribeStream",
            format!(r#"{{"StreamName":"{long}","Limit":10001}}"#),
            format!(
                "2 validation errors detected: Value '{long}' at 'streamName' {must} have length less than or equal \
                 to 128; Value '10001' at 'limit' {must} have value less than or equal to 10000"
            ),
        ),
        (
            "SplitShard",
            "{}".to_owned(),
            format!(
                "2 validation errors detected: Value null at 'shardToSplit' {must} not be null; Value null at \
                 'newStartingHashKey' {must} not be null"
            ),
        ),
        (
            "PutRecords",
            r#"{"StreamName":"s","Records":[{"Data":"","PartitionKey":"a"},{"PartitionKey":"","Data":null}]}"#
                .to_owned(),
            format!(
                "2 validation errors detected: Value null at 'records.2.member.data' {must} not be null; Value '' at \
                 'records.2.member.partitionKey' {must} have length greater than or equal to 1"
            ),
        ),
        (
            "GetShardIterator",
            r#"{"ShardId":"0","ShardIteratorType":"X","StreamName":"s"}"#.to_owned(),
            format!(
                "1 validation error detected: Value 'X' at 'shardIteratorType' {must} satisfy enum value set: \
                 [AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER, TRIM_HORIZON, LATEST, AT_TIMESTAMP]"
            ),
        ),
        (
            "RemoveTagsFromStream",
            r#"{"StreamName":"s","TagKeys":["",""]}"#.to_owned(),
            "1 validation error detected: Value '[, ]' at 'tagKeys' failed to satisfy constraint: Member must satisfy \
             constraint: [Member must have length less than or equal to 128, Member must have length greater than or \
             equal to 1]"
                .to_owned(),
        ),
        (
            "AddTagsToStream",
            r#"{"StreamName":"s","Tags":{"":"x"}}"#.to_owned(),
            "1 validation error detected: Value '{=x}' at 'tags' failed to satisfy constraint: Map keys must satisfy \
             constraint: [Member must have length less than or equal to 128, Member must have length greater than or \
             equal to 1]"
                .to_owned(),
        ),
        (
            "SplitShard",
            r#"{"StreamName":"s","ShardToSplit":"0","NewStartingHashKey":"01"}"#.to_owned(),
            format!(
                r"1 validation error detected: Value '01' at 'newStartingHashKey' {must} satisfy regular expression pattern: 0|([1-9]\d{{0,38}})"
            ),
        ),
    ];
    for (operation, body, message) in table {
        let error = json(operation, &body).expect_err(&body);
        assert_eq!((error.code, &*error.message), ("ValidationException", message.as_str()), "{body}");
    }
}

#[test]
fn an_answer_lists_ten_errors_at_most_and_stays_small() {
    let records = vec![format!(r#"{{"Data":"","PartitionKey":"{}"}}"#, "x".repeat(5000)); 500].join(",");
    let error = json("PutRecords", &format!(r#"{{"Records":[{records}]}}"#)).unwrap_err();
    assert!(error.message.starts_with("10 validation errors detected: "));
    assert!(error.message.len() < 20_000, "{}", error.message.len());
}

#[test]
fn what_comes_out_has_the_type_of_the_table() {
    let body = r#"{"StreamName":"s","ShardId":"0","ShardIteratorType":"AT_TIMESTAMP","Timestamp":1459799926.48,
        "StartingSequenceNumber":null,"Unknown":{"a":[1]},"StreamId":7}"#;
    let input = json("GetShardIterator", body).unwrap();
    assert_eq!(input.time("Timestamp"), Some(1_459_799_926_480));
    assert_eq!(input.members().len(), 4, "{input:?}");
    let input = json("DescribeStream", r#"{"Limit":2.9}"#).unwrap();
    assert_eq!(input.int("Limit"), Some(2));
    let input = json("IncreaseStreamRetentionPeriod", r#"{"RetentionPeriodHours":1e30}"#).unwrap();
    assert_eq!(input.int("RetentionPeriodHours"), Some(i32::MAX.into()));
    let mut input = json("PutRecord", r#"{"Data":"aGVsbG8=","DryRun":"true"}"#).unwrap();
    assert!(input.flag("DryRun"));
    assert_eq!(input.take_blob("Data"), Some(b"hello".to_vec()));
}

#[test]
fn a_blob_of_cbor_is_a_byte_string() {
    let body = |data| Document::map([("Data", data)]).write(Wire::Cbor);
    let mut input = read("PutRecord", Wire::Cbor, &body(Document::Blob(vec![0, 255]))).unwrap();
    assert_eq!(input.take_blob("Data"), Some(vec![0, 255]));
    let error = read("PutRecord", Wire::Cbor, &body("aGVsbG8=".into())).unwrap_err();
    assert_eq!(error.message, "class java.lang.String can not be converted to a Blob");
    let named = Document::map([("StreamName", Document::Blob(b"s".to_vec()))]).write(Wire::Cbor);
    let error = read("DescribeStream", Wire::Cbor, &named).unwrap_err();
    assert_eq!(error.message, "class java.nio.HeapByteBuffer can not be converted to an String");
}

#[test]
fn patterns_take_the_whole_text() {
    let table = [
        (Pattern::Name, "a.b_c-1", true),
        (Pattern::Name, "a\n", false),
        (Pattern::Name, "ä", false),
        (Pattern::StreamArn, "arn:aws:kinesis:us-east-1:000000000000:stream/x", true),
        (Pattern::StreamArn, "arn:aws:kinesis:us-east-1:00000000000:stream/x", false),
        (Pattern::StreamArn, "arn:aws:kinesis:us-east-1:000000000000:stream/x y", false),
        (Pattern::ConsumerArn, "arn:aws:kinesis:us-east-1:000000000000:stream/x/consumer/y:123", true),
        (Pattern::ConsumerArn, "arn:aws:kinesis:us-east-1:000000000000:stream/x", false),
        (Pattern::ResourceArn, "arn:aws:kinesis:us-east-1:000000000000:stream/x/consumer/y:1", true),
        (Pattern::Sequence, "0", true),
        (Pattern::Sequence, "٣", false),
        (Pattern::HashKey, "340282366920938463463374607431768211455", true),
        (Pattern::HashKey, "", false),
    ];
    for (pattern, text, fits) in table {
        assert_eq!(pattern.matches(text), fits, "{pattern:?} {text:?}");
    }
}

#[test]
fn every_operation_stands_once() {
    let mut names: Vec<&str> = operations::OPERATIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), 40);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 40);
    assert_eq!(json("CreateQueue", "{}").unwrap_err().code, "UnknownOperationException");
}

fn any_value() -> impl Strategy<Value = Document> {
    let leaf = prop_oneof![
        Just(Document::Null),
        any::<bool>().prop_map(Document::Bool),
        any::<i64>().prop_map(Document::Int),
        any::<f64>().prop_map(Document::Float),
        "[a-z0-9=:/+{},. \u{e4}]{0,20}".prop_map(Document::Text),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Document::Blob),
        any::<u64>().prop_map(Document::Time),
    ];
    leaf.prop_recursive(2, 16, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Document::List),
            proptest::collection::btree_map("[a-z]{0,3}", inner.clone(), 0..4)
                .prop_map(|map| Document::Map(map.into_iter().collect())),
            inner.prop_map(|value| Document::map([
                ("Type", value.clone()),
                ("Data", value.clone()),
                ("StreamMode", value)
            ])),
        ]
    })
}

proptest! {
    /// Every member of every operation, each with a value of any kind.
    #[test]
    fn no_value_does_harm(at in any::<prop::sample::Index>(), values in proptest::collection::vec(any_value(), 8), cbor: bool) {
        let (operation, members) = operations::OPERATIONS[at.index(operations::OPERATIONS.len())];
        let named = members.iter().zip(values).map(|(member, value)| (member.name.to_owned(), value));
        let wire = if cbor { Wire::Cbor } else { Wire::Json };
        match read(operation, wire, &Document::Map(named.collect()).write(wire)) {
            Ok(input) => prop_assert!(input.members().iter().all(|(_, value)| *value != Document::Null)),
            Err(error) => {
                prop_assert!(["SerializationException", "ValidationException"].contains(&error.code), "{}", error.code);
            }
        }
    }
}
