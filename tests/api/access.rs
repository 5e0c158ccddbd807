//! Nobody gets in without a verdict: every form of credentials on every way in.

use std::sync::Arc;

use standpipe::api::Account;
use standpipe::api::access::Access;
use standpipe::api::server::Bounds;
use standpipe::clock::Clock;

use crate::harness::{ACCOUNT, Call, SECRET, Service, key, open, put_record, start};

const OPERATIONS: [&str; 12] = [
    "PutRecord",
    "PutRecordBatch",
    "CreateDeliveryStream",
    "DeleteDeliveryStream",
    "DescribeDeliveryStream",
    "ListDeliveryStreams",
    "UpdateDestination",
    "TagDeliveryStream",
    "UntagDeliveryStream",
    "ListTagsForDeliveryStream",
    "StartDeliveryStreamEncryption",
    "StopDeliveryStreamEncryption",
];

async fn guarded(policy: Option<&str>) -> Service {
    start(vec![key("AKID", policy)], &["let-me-in"], Bounds::default()).await
}

fn call(operation: &str) -> Call {
    Call::aws(operation, r#"{"DeliveryStreamName":"web","Record":{"Data":""},"Records":[{"Data":""}]}"#)
}

#[tokio::test]
async fn every_operation_refuses_every_form_that_proves_nothing() {
    let service = guarded(None).await;
    let now = Clock::real().now_ms();
    let signature = "0".repeat(64);
    let presigned = format!("/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID&X-Amz-Signature={signature}");
    for operation in OPERATIONS {
        let plain = call(operation);
        let mut changed = plain.clone().signed(&service, "AKID");
        changed.body.push(b' ');
        let mut query = plain.clone();
        query.target.clone_from(&presigned);
        let mut both = plain.clone().signed(&service, "AKID");
        both.target.clone_from(&presigned);
        // Well beyond five minutes: the test takes its time too.
        let skew = 900_000;
        let unsigned = plain.clone().signed(&service, "AKID").with("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        let table = [
            (plain.clone(), 403, "MissingAuthenticationTokenException"),
            (plain.clone().with("authorization", "Bearer let-me-in"), 400, "IncompleteSignatureException"),
            (plain.clone().with("authorization", "Basic QTpC"), 400, "IncompleteSignatureException"),
            (query, 400, "IncompleteSignatureException"),
            (both, 400, "IncompleteSignatureException"),
            (changed, 403, "InvalidSignatureException"),
            (unsigned, 403, "InvalidSignatureException"),
            (plain.clone().signed_at(&service, "AKID", "wrong", now), 403, "InvalidSignatureException"),
            (plain.clone().signed_at(&service, "NOBODY", SECRET, now), 403, "UnrecognizedClientException"),
            (plain.clone().signed_at(&service, "AKID", SECRET, now - skew), 403, "InvalidSignatureException"),
            (plain.clone().signed_at(&service, "AKID", SECRET, now + skew), 403, "InvalidSignatureException"),
        ];
        for (call, status, code) in table {
            assert_eq!(call.send(&service).await.error(), (status, code.to_owned()), "{operation}");
        }
    }
    assert!(service.shelf.records().is_empty());
}

#[tokio::test]
async fn a_policy_bounds_what_a_key_may_do() {
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"firehose:PutRecord","Resource":"arn:aws:firehose:us-east-1:000000000000:deliverystream/web"}}"#;
    let service = guarded(Some(policy)).await;
    for operation in OPERATIONS {
        let answer = call(operation).signed(&service, "AKID").send(&service).await;
        if operation == "PutRecord" {
            assert_eq!(answer.status, 200);
        } else {
            assert_eq!(answer.error(), (400, "AccessDeniedException".to_owned()), "{operation}: {answer:?}");
        }
    }
    let elsewhere = put_record("web-2", "x").signed(&service, "AKID").send(&service).await;
    assert_eq!(
        elsewhere.json()["message"],
        "User: arn:aws:iam::000000000000:user/AKID is not authorized to perform: firehose:PutRecord on resource: \
         arn:aws:firehose:us-east-1:000000000000:deliverystream/web-2 because no identity-based policy allows the \
         firehose:PutRecord action"
    );
    let ingest = Call::ingest("web", "text/plain", "x").signed(&service, "AKID").send(&service).await;
    assert_eq!(ingest.status, 403);
    let twice = r#"{"DeliveryStreamName":"web","DeliveryStreamName":"web-2"}"#;
    let twice = Call::aws("DeleteDeliveryStream", twice).signed(&service, "AKID").send(&service).await;
    assert_eq!(twice.error(), (400, "SerializationException".to_owned()));
    assert_eq!(service.shelf.records().len(), 1);
}

#[tokio::test]
async fn who_may_not_read_a_data_stream_cannot_have_it_delivered() {
    let statement = |more: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[
                {{"Effect":"Allow","Action":"firehose:*","Resource":"*"}}{more}]}}"#
        )
    };
    let reads = r#",{"Effect":"Allow","Action":"kinesis:GetRecords","Resource":"arn:aws:kinesis:us-east-1:000000000000:stream/clicks"}"#;
    let keys = vec![key("WRITES", Some(&statement(""))), key("READS", Some(&statement(reads)))];
    let service = start(keys, &[], Bounds::default()).await;
    // In another partition's words it is the same stream.
    for partition in ["aws", "aws-cn"] {
        let body = format!(
            r#"{{"DeliveryStreamName":"s","DeliveryStreamType":"KinesisStreamAsSource","KinesisStreamSourceConfiguration":
                {{"KinesisStreamARN":"arn:{partition}:kinesis:us-east-1:000000000000:stream/clicks","RoleARN":"arn:aws:iam::000000000000:role/r"}},
                "S3DestinationConfiguration":{{"RoleARN":"arn:aws:iam::000000000000:role/r","BucketARN":"arn:aws:s3:::b"}}}}"#
        );
        let create = Call::aws("CreateDeliveryStream", body);
        let refused = create.clone().signed(&service, "WRITES").send(&service).await;
        assert_eq!(refused.error(), (400, "AccessDeniedException".to_owned()));
        assert!(refused.json()["message"].as_str().unwrap().contains("kinesis:GetRecords on resource"));
        let allowed = create.signed(&service, "READS").send(&service).await;
        let message = allowed.json()["message"].as_str().unwrap().to_owned();
        assert!(message.ends_with("stream clicks under account 000000000000 not found."), "{message}");
    }
}

#[tokio::test]
async fn ingest_asks_for_a_token_or_a_signature() {
    let service = guarded(None).await;
    let call = Call::ingest("web", "text/plain", "x");
    let bearer = |token: &str| call.clone().with("authorization", &format!("Bearer {token}"));
    let refused = [
        call.clone(),
        bearer("let-me-out"),
        bearer(""),
        bearer("let-me-in").with("authorization", "Bearer let-me-in"),
        call.clone().with("authorization", "Basic bGV0LW1lLWlu"),
        call.clone().signed(&service, "NOBODY"),
        call.clone().signed_at(&service, "AKID", "wrong", Clock::real().now_ms()),
        // What the body means must be covered by the signature.
        call.clone().signed(&service, "AKID").with("content-encoding", "gzip"),
        call.clone().signed(&service, "AKID").with("idempotency-key", "k"),
    ];
    for call in refused {
        let answer = call.send(&service).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("unauthorized")), "{:?}", call.headers);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert!(service.shelf.records().is_empty());
    assert_eq!(bearer("let-me-in").send(&service).await.status, 200);
    assert_eq!(call.clone().signed(&service, "AKID").send(&service).await.status, 200);
    assert_eq!(service.shelf.records().len(), 2);
    let guarded_by_tokens_alone = start(Vec::new(), &["let-me-in"], Bounds::default()).await;
    assert_eq!(call.send(&guarded_by_tokens_alone).await.status, 401);
    assert_eq!(bearer("let-me-in").send(&guarded_by_tokens_alone).await.status, 200);
}

#[tokio::test]
async fn keys_change_while_the_service_runs() {
    let service = guarded(None).await;
    assert_eq!(put_record("web", "1").signed(&service, "AKID").send(&service).await.status, 200);
    let account = Account { id: ACCOUNT.into(), region: "us-east-1".into() };
    service.access.send(Arc::new(Access::new(&[key("NEXT", None)], &[], &account).unwrap())).unwrap();
    let old = put_record("web", "2").signed(&service, "AKID").send(&service).await;
    assert_eq!(old.error(), (403, "UnrecognizedClientException".to_owned()));
    assert_eq!(put_record("web", "3").signed(&service, "NEXT").send(&service).await.status, 200);
    assert_eq!(service.shelf.texts(), ["1", "3"]);
}

#[tokio::test]
async fn no_web_page_gets_in_where_nobody_has_to_say_who_they_are() {
    let service = open().await;
    let call = Call::ingest("web", "text/plain", "x");
    assert_eq!(call.clone().with("origin", "https://example.com").send(&service).await.status, 403);
    let mut form = put_record("web", "x");
    form.headers[0].1 = "text/plain".to_owned();
    assert_eq!(form.send(&service).await.error(), (400, "SerializationException".to_owned()));
    assert_eq!(call.send(&service).await.status, 200);
    assert_eq!(service.shelf.texts(), ["x"]);
}

#[tokio::test]
async fn a_web_page_may_put_with_a_key_and_never_without_keys() {
    // Also where plain ingest alone is guarded.
    let tokens = start(Vec::new(), &["let-me-in"], Bounds::default()).await;
    for service in [open().await, tokens] {
        for call in OPERATIONS.map(call) {
            let answer = call.with("origin", "http://evil.example").send(&service).await;
            assert_eq!(answer.error(), (400, "AccessDeniedException".to_owned()));
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
        assert!(service.shelf.records().is_empty());
        assert_eq!(call("PutRecord").send(&service).await.status, 200);
    }
    let service = guarded(None).await;
    let page = put_record("web", "a").with("origin", "http://evil.example");
    assert_eq!(page.signed(&service, "AKID").send(&service).await.status, 200);
}
