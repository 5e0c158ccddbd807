//! What is read from the body of a put, and what is refused with which words.

use super::*;
use proptest::prelude::*;

fn batch(body: &str) -> Result<Put, ApiError> {
    Put::parse(body.as_bytes(), Shape::Records)
}

fn refused(body: &str, shape: Shape) -> (&'static str, String) {
    let error = match Put::parse(body.as_bytes(), shape) {
        Err(error) => error,
        Ok(put) => put.validate().expect_err(body),
    };
    (error.code, error.message.into_owned())
}

fn encoded(bytes: usize) -> String {
    base64_simd::STANDARD.encode_to_string(vec![b'x'; bytes])
}

#[test]
fn data_is_decoded_in_order() {
    let put = batch(r#"{"Records":[{"Data":"YQ=="},{"Data":""},{"X":{"Data":1},"Data":"Yy\/+"}],"DeliveryStreamName":"s-1.a_B","New":[]}"#)
        .unwrap();
    assert!(put.validate().is_ok());
    assert_eq!((put.data.as_slice(), put.ends.as_slice()), (&b"ac/\xfe"[..], &[1, 1, 4][..]));
    assert_eq!(put.valid_name(), Some("s-1.a_B"));
    let one = Put::parse(br#"{"DeliveryStreamName":"s","Record":{"Data":"aGk="}}"#, Shape::Record).unwrap();
    assert!(one.validate().is_ok());
    assert_eq!((one.data.as_slice(), one.ends.as_slice()), (&b"hi"[..], &[2][..]));
}

#[test]
fn another_shape_is_a_serialization_error() {
    let table = [
        ("", "EOF"),
        ("[]", "invalid type: sequence, expected a JSON object"),
        ("null", "expected a JSON object"),
        (r#"{"DeliveryStreamName":"s","Records":[{"Data":"YQ=="}]} x"#, "trailing characters"),
        (r#"{"DeliveryStreamName":"s","Records":[{"Data":"YQ=="}]"#, "EOF"),
        (r#"{"DeliveryStreamName":5,"Records":[]}"#, "invalid type: integer `5`, expected a string"),
        (r#"{"DeliveryStreamName":"s","Records":{}}"#, "expected a list of records"),
        (r#"{"DeliveryStreamName":"s","Records":"x"}"#, "expected a list of records"),
        (r#"{"DeliveryStreamName":"s","Records":["YQ=="]}"#, "expected a record"),
        (r#"{"DeliveryStreamName":"s","Records":[{"Data":5}]}"#, "expected a base64 string"),
        (r#"{"DeliveryStreamName":"s","Records":[{"Data":["YQ=="]}]}"#, "expected a base64 string"),
        (r#"{"DeliveryStreamName":"s","Records":[{"Data":"YQ"}]}"#, "not base64"),
        (r#"{"DeliveryStreamName":"s","Records":[{"Data":"YQ=\n"}]}"#, "not base64"),
        (r#"{"DeliveryStreamName":"s","Records":[{"Data":"YR=="}]}"#, "not base64"),
        (r#"{"DeliveryStreamName":"s","Records":[{"Data":"_-=="}]}"#, "not base64"),
        (r#"{"DeliveryStreamName":"s","Records":[{"Data":"","Data":""}]}"#, "duplicate field `Data`"),
        (r#"{"DeliveryStreamName":"s","DeliveryStreamName":"t","Records":[]}"#, "duplicate field"),
        (r#"{"DeliveryStreamName":"s","Records":[],"Records":[]}"#, "duplicate field `Records`"),
    ];
    for (body, part) in table {
        let (code, message) = refused(body, Shape::Records);
        assert_eq!(code, "SerializationException", "{body}");
        assert!(message.contains(part), "{body}: {message}");
    }
    let invalid_utf8 = Put::parse(b"{\"DeliveryStreamName\":\"\xff\"}", Shape::Records);
    assert_eq!(invalid_utf8.err().unwrap().code, "SerializationException");
    let deep = format!("{{\"x\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    // What stands in a member that we do not know is skipped, however deep it is.
    assert_eq!(refused(&deep, Shape::Records).0, "ValidationException");
    let deep = deep.replace('x', "Records");
    assert_eq!(refused(&deep, Shape::Records).0, "SerializationException");
    let long = format!(r#"{{"DeliveryStreamName":"s","Records":"{}"}}"#, "y".repeat(100_000));
    assert!(refused(&long, Shape::Records).1.len() <= 200);
}

#[test]
fn broken_constraints_are_told_together() {
    let table = [
        (
            Shape::Records,
            r#"{"Records":[{"Data":""}]}"#.to_owned(),
            "1 validation error detected: Value at 'deliveryStreamName' failed to satisfy constraint: Member must not \
             be null",
        ),
        (
            Shape::Records,
            r#"{"DeliveryStreamName":null,"Records":[]}"#.to_owned(),
            "2 validation errors detected: Value at 'deliveryStreamName' failed to satisfy constraint: Member must \
             not be null; Value at 'records' failed to satisfy constraint: Member must have length greater than or \
             equal to 1",
        ),
        (
            Shape::Records,
            r#"{"DeliveryStreamName":"s"}"#.to_owned(),
            "1 validation error detected: Value at 'records' failed to satisfy constraint: Member must not be null",
        ),
        (
            Shape::Records,
            r#"{"DeliveryStreamName":"s","Records":[null,{"Data":null},{}]}"#.to_owned(),
            "3 validation errors detected: Value at 'records.1.member' failed to satisfy constraint: Member must not \
             be null; Value at 'records.2.member.data' failed to satisfy constraint: Member must not be null; Value \
             at 'records.3.member.data' failed to satisfy constraint: Member must not be null",
        ),
        (
            Shape::Record,
            r#"{"DeliveryStreamName":"a/b","Record":null}"#.to_owned(),
            "2 validation errors detected: Value at 'deliveryStreamName' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value at 'record' failed to satisfy constraint: \
             Member must not be null",
        ),
        (
            Shape::Record,
            format!(r#"{{"DeliveryStreamName":"{}","Record":{{"Data":""}}}}"#, "n".repeat(65)),
            "1 validation error detected: Value at 'deliveryStreamName' failed to satisfy constraint: Member must \
             have length less than or equal to 64",
        ),
    ];
    for (shape, body, expected) in table {
        assert_eq!(refused(&body, shape), ("ValidationException", expected.to_owned()));
    }
}

#[test]
fn the_bounds_of_records_are_told_with_their_number() {
    let over = encoded(limits::RECORD_BYTES_MAX + 1);
    let table = [
        (
            Shape::Records,
            format!(r#"{{"DeliveryStreamName":"s","Records":[{}{{"Data":"{over}"}}]}}"#, r#"{"Data":""},"#.repeat(96)),
            "1 validation error detected: Value at 'records.97.member.data' failed to satisfy constraint: Member must \
             have length less than or equal to 1024000",
        ),
        (
            Shape::Records,
            format!(r#"{{"DeliveryStreamName":"s","Records":[{}{{"Data":""}}]}}"#, r#"{"Data":""},"#.repeat(500)),
            "1 validation error detected: Value at 'records' failed to satisfy constraint: Member must have length \
             less than or equal to 500",
        ),
        (
            Shape::Record,
            format!(r#"{{"DeliveryStreamName":"s","Record":{{"Data":"{over}"}}}}"#),
            "1 validation error detected: Value at 'record.data' failed to satisfy constraint: Member must have \
             length less than or equal to 1024000",
        ),
    ];
    for (shape, body, expected) in table {
        assert_eq!(refused(&body, shape), ("ValidationException", expected.to_owned()));
    }
    let many = format!(r#"{{"DeliveryStreamName":"s","Records":[{}{{}}]}}"#, "{},".repeat(99));
    let (_, message) = refused(&many, Shape::Records);
    assert!(message.starts_with("100 validation errors detected"));
    assert_eq!(message.matches("records.").count(), FAULTS_SHOWN_MAX);
}

#[test]
fn a_batch_may_have_four_mebibytes_and_not_one_byte_more() {
    let full = encoded(limits::RECORD_BYTES_MAX);
    let rest = limits::BATCH_BYTES_MAX - 4 * limits::RECORD_BYTES_MAX;
    let body = |last: usize| {
        let four = format!(r#"{{"Data":"{full}"}},"#).repeat(4);
        format!(r#"{{"DeliveryStreamName":"s","Records":[{four}{{"Data":"{}"}}]}}"#, encoded(last))
    };
    assert!(body(rest).len() < limits::API_BODY_BYTES_MAX);
    assert!(batch(&body(rest)).unwrap().validate().is_ok());
    assert_eq!(
        refused(&body(rest + 1), Shape::Records),
        ("InvalidArgumentException", "Records size exceeds 4 MB limit".to_owned())
    );
}

#[test]
fn what_sdks_write_takes_the_fast_way() {
    let table = [
        (Shape::Records, r#"{"DeliveryStreamName":"s","Records":[{"Data":"YQ=="},{"Data":""}]}"#),
        (Shape::Records, r#"{"DeliveryStreamName": "s", "Records": [{"Data": "YQ=="}, {"Data": "aGk="}]}"#),
        (Shape::Records, "\n{\t\"Records\" :[ {\r\"Data\":\"YQ==\"} ] , \"DeliveryStreamName\":\"s\" }\n"),
        (Shape::Record, r#"{"Record":{"Data":"YQ=="},"DeliveryStreamName":"s"}"#),
        (Shape::Record, r#"{"DeliveryStreamName":"s"}"#),
    ];
    for (shape, body) in table {
        assert_eq!(scan::scan(body.as_bytes(), shape), Put::deserialize(body.as_bytes(), shape).ok(), "{body}");
    }
}

/// Text of the words that bodies are made of: often nearly one, and now and then one.
fn nearly_a_body() -> impl Strategy<Value = String> {
    const WORDS: [&str; 26] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\"",
        "\\",
        "null",
        "7",
        "\"YQ==\"",
        "\"YR==\"",
        "\"YQ\"",
        "\"a/b\"",
        "\"\"",
        "\"s\"",
        "\"Data\":",
        "\"Record\":",
        "\"Records\":",
        "\"DeliveryStreamName\":",
        "\"DeliveryStreamName\":\"s\"",
        "{\"Data\":\"YQ==\"}",
        "\"Records\":[{\"Data\":\"aGk=\"}",
        "\"D\\u0061ta\":\"\"",
    ];
    let word = || proptest::sample::select(&WORDS[..]);
    let loose = proptest::collection::vec(word(), 0..16).prop_map(|words| words.concat());
    // One word of a sound body is replaced, or none.
    let sound = [
        "{",
        "\"Records\":",
        "[",
        "{",
        "\"Data\":",
        "\"YQ==\"",
        "}",
        ",",
        "{\"Data\":\"YQ==\"}",
        "]",
        ",",
        "\"DeliveryStreamName\":",
        "\"s\"",
        "}",
    ];
    let mended = (0..=sound.len(), word()).prop_map(move |(at, word)| {
        let mut words = sound;
        if let Some(slot) = words.get_mut(at) {
            *slot = word;
        }
        words.concat()
    });
    prop_oneof![loose, mended]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn both_ways_read_the_same(body in nearly_a_body(), one: bool) {
        let shape = if one { Shape::Record } else { Shape::Records };
        if let Some(put) = scan::scan(body.as_bytes(), shape) {
            let other = Put::deserialize(body.as_bytes(), shape);
            prop_assert_eq!(other.ok(), Some(put));
        }
    }

    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..60), cut in 0usize..70) {
        let _ = Put::parse(&body, Shape::Records);
        let sound = br#"{"DeliveryStreamName":"s","Records":[{"Data":"YQ=="}, {"Data":"aGk="}]}"#;
        let _ = Put::parse(&sound[..cut.min(sound.len())], Shape::Records);
    }
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..20)) {
        let list: Vec<_> = records
            .iter()
            .map(|record| serde_json::json!({"Data": base64_simd::STANDARD.encode_to_string(record)}))
            .collect();
        let body = serde_json::json!({"DeliveryStreamName": "s", "Records": list}).to_string();
        let put = batch(&body).unwrap();
        prop_assert!(put.validate().is_ok());
        let columns = crate::record::Records::new(0, put.ends, put.data.into());
        let out: Vec<Vec<u8>> = columns.iter().map(<[u8]>::to_vec).collect();
        prop_assert_eq!(out, records);
    }

    #[test]
    fn no_body_panics(body in "[ -~]{0,80}") {
        let _ = batch(&body);
        let _ = Put::parse(body.as_bytes(), Shape::Record);
    }
}
