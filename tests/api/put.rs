//! PutRecord and PutRecordBatch over the wire.

use std::sync::atomic::Ordering;

use crate::harness::{Answer, Call, open, put_record};

#[tokio::test]
async fn a_put_is_stored_answered_and_counted() {
    let service = open().await;
    let answer = put_record("web", "hello").send(&service).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/x-amz-json-1.1"));
    assert_eq!(answer.header("x-amzn-requestid").unwrap().len(), 36);
    assert_eq!(answer.json()["Encrypted"], false);
    assert_eq!(answer.json()["RecordId"].as_str().unwrap().len(), 40);
    let body = r#"{"DeliveryStreamName":"sealed","Records":[{"Data":"YQ=="},{"Data":""},{"Data":"Yg=="}]}"#;
    let answer = Call::aws("PutRecordBatch", body).send(&service).await.json();
    assert_eq!((&answer["FailedPutCount"], &answer["Encrypted"]), (&0.into(), &true.into()));
    assert_eq!(answer["RequestResponses"].as_array().unwrap().len(), 3);
    assert_eq!(service.shelf.texts(), ["hello", "a", "", "b"]);
    let appends = service.shelf.appends();
    assert_eq!((appends[0].encrypt, appends[1].encrypt, appends[0].bytes_max), (false, true, Some(77)));
    let counted = service.metrics.stream("sealed");
    assert_eq!(
        (counted.incoming_requests.get(), counted.incoming_records.get(), counted.incoming_bytes.get()),
        (1, 3, 2)
    );
}

#[tokio::test]
async fn a_retried_call_is_stored_once_and_answered_the_same() {
    let service = open().await;
    let call = put_record("web", "once").with("amz-sdk-invocation-id", "5a0c3a4e-0000-4000-8000-000000000001");
    let first = call.clone().with("amz-sdk-request", "attempt=1; max=3").send(&service).await.json();
    let again = call.with("amz-sdk-request", "attempt=2; max=3").send(&service).await.json();
    assert_eq!(first, again);
    let other_body = put_record("web", "twice").with("amz-sdk-invocation-id", "5a0c3a4e-0000-4000-8000-000000000001");
    assert_ne!(other_body.send(&service).await.json(), first);
    let other_stream =
        put_record("web-2", "once").with("amz-sdk-invocation-id", "5a0c3a4e-0000-4000-8000-000000000001");
    assert_eq!(other_stream.send(&service).await.status, 200);
    for _ in 0..2 {
        assert_eq!(put_record("web", "unnamed").send(&service).await.status, 200);
    }
    assert_eq!(service.shelf.texts(), ["once", "twice", "once", "unnamed", "unnamed"]);
    let counted = service.metrics.stream("web");
    assert_eq!((counted.incoming_records.get(), counted.repeated_requests.get()), (4, 1));
}

#[tokio::test]
async fn bad_puts_store_nothing_and_say_why() {
    let service = open().await;
    let five_hundred_and_one = vec![r#"{"Data":""}"#; 501].join(",");
    let over = base64_simd::STANDARD.encode_to_string(vec![0; 1_024_001]);
    let full = base64_simd::STANDARD.encode_to_string(vec![0; 1_024_000]);
    let rest = base64_simd::STANDARD.encode_to_string(vec![0; 4_194_305 - 4 * 1_024_000]);
    let five = format!(
        r#"{{"Data":"{full}"}},{{"Data":"{full}"}},{{"Data":"{full}"}},{{"Data":"{full}"}},{{"Data":"{rest}"}}"#
    );
    let batch =
        |records: &str| Call::aws("PutRecordBatch", format!(r#"{{"DeliveryStreamName":"web","Records":[{records}]}}"#));
    let table = [
        (batch(&five_hundred_and_one), 400, "ValidationException", "less than or equal to 500"),
        (
            batch(""),
            400,
            "ValidationException",
            "'records' failed to satisfy constraint: Member must have length greater",
        ),
        (batch(&format!(r#"{{"Data":"{over}"}}"#)), 400, "ValidationException", "'records.1.member.data'"),
        (batch(&five), 400, "InvalidArgumentException", "Records size exceeds 4 MB limit"),
        (batch(r#"{"Data":"?"}"#), 400, "SerializationException", "not base64"),
        (batch(r#"{"Data":7}"#), 400, "SerializationException", "expected a base64 string"),
        (
            put_record("no-such", "x"),
            400,
            "ResourceNotFoundException",
            "Firehose no-such under account 000000000000 not found.",
        ),
        (put_record("a b", "x"), 400, "ValidationException", "pattern: [a-zA-Z0-9_.-]+"),
        (put_record("../web", "x"), 400, "ValidationException", "pattern"),
        (Call::aws("PutRecord", ""), 400, "SerializationException", "EOF"),
        (Call::aws("PutRecord", "\u{0}"), 400, "SerializationException", ""),
        (Call::aws("PutRecords", "{}"), 400, "UnknownOperationException", "Firehose_20150804.PutRecords"),
        (Call::aws("", "{}"), 400, "UnknownOperationException", ""),
    ];
    for (call, status, code, part) in table {
        let answer = call.send(&service).await;
        assert_eq!(answer.error(), (status, code.to_owned()), "{part}: {answer:?}");
        assert_eq!(answer.header("x-amzn-errortype"), Some(code));
        assert!(answer.json()["message"].as_str().unwrap().contains(part), "{answer:?}");
    }
    assert!(service.shelf.records().is_empty());
}

#[tokio::test]
async fn a_full_journal_is_503_and_nothing_of_it_leaks() {
    let service = open().await;
    service.shelf.full.store(true, Ordering::SeqCst);
    let answer = put_record("web", "x").send(&service).await;
    assert_eq!(answer.error(), (503, "ServiceUnavailableException".to_owned()));
    assert_eq!(answer.json()["message"], "Slow down.");
    assert_eq!(service.metrics.stream("web").throttled_records.get(), 1);
    let plain = Call::ingest("web", "text/plain", "x").send(&service).await;
    assert_eq!((plain.status, plain.header("retry-after")), (503, Some("1")));
    service.shelf.full.store(false, Ordering::SeqCst);
    assert_eq!(put_record("web", "y").send(&service).await.status, 200);
    assert_eq!(service.shelf.texts(), ["y"]);
}

#[tokio::test]
async fn targets_types_and_paths_are_told_apart() {
    let service = open().await;
    let replace = |mut call: Call, name: &str, value: &str| {
        call.headers.retain(|(sent, _)| sent != name);
        call.with(name, value)
    };
    let call = put_record("web", "x");
    let ok: Answer = replace(call.clone(), "content-type", "application/x-amz-json-1.0").send(&service).await;
    assert_eq!(ok.status, 200);
    let wrong = replace(call.clone(), "content-type", "text/plain").send(&service).await;
    assert_eq!(wrong.error(), (400, "SerializationException".to_owned()));
    let other = replace(call.clone(), "x-amz-target", "DynamoDB_20120810.PutItem").send(&service).await;
    assert_eq!(other.error(), (400, "UnknownOperationException".to_owned()));
    let welcome = Call { method: "GET", target: "/".into(), headers: Vec::new(), body: Vec::new() };
    let answer = welcome.send(&service).await;
    assert!(answer.status == 200 && String::from_utf8_lossy(&answer.body).contains("/v1/streams/NAME/records"));
    for (method, target, status) in
        [("GET", "/x", 404), ("POST", "/x", 404), ("PUT", "/", 405), ("PUT", "/v1/streams/web/records", 405)]
    {
        let answer = Call { method, target: target.into(), ..welcome.clone() }.send(&service).await;
        assert_eq!(answer.status, status, "{method} {target}");
        assert!(answer.json()["error"].is_string() && answer.header("x-amzn-requestid").is_some());
    }
}
