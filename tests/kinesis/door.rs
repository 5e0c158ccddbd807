//! Who gets in, in which encoding, and what a web page hears.

use serde_json::json;
use standpipe::api::kinesis::Wire;

use crate::harness::{ACCOUNT, BOTH, Call, SECRET, Service, Setup, arn, key, open, start};

fn list(wire: Wire) -> Call {
    Call::kinesis(wire, "ListStreams", &json!({}))
}

async fn guarded() -> Service {
    start(Setup { keys: vec![key("AKID", None)], ..Setup::default() }).await
}

#[tokio::test]
async fn answers_have_the_encoding_and_the_headers_of_aws() {
    let service = open().await;
    for wire in BOTH {
        for (operation, body, status) in [
            ("ListStreams", json!({}), 200),
            ("DescribeStream", json!({"StreamName": "none"}), 400),
            ("DescribeStream", json!({"StreamName": 7}), 400),
            ("CreateQueue", json!({}), 400),
        ] {
            let answer = Call::kinesis(wire, operation, &body).send(&service).await;
            assert_eq!(answer.status, status, "{operation}");
            assert_eq!(answer.header("content-type"), Some(wire.content_type()));
            assert_eq!(answer.header("x-amzn-requestid").map(str::len), Some(36));
            let id = base64_simd::STANDARD.decode_to_vec(answer.header("x-amz-id-2").unwrap()).unwrap();
            assert!((64..=80).contains(&id.len()));
            assert!(answer.body().is_object());
        }
        let stated = format!("{}; charset=utf-8", wire.content_type().to_uppercase());
        let mut call = list(wire);
        call.headers[0].1 = stated;
        assert_eq!(call.send(&service).await.status, 200);
        let answer =
            service.call(wire, "CreateStream", json!({"StreamName": format!("{wire:?}"), "ShardCount": 1})).await;
        assert_eq!((answer.status, answer.bytes.len()), (200, 0));
        assert_eq!(answer.header("content-type"), Some(wire.content_type()));
        assert_eq!(answer.header("content-length"), Some("0"));
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_its_encoding() {
    let service = open().await;
    for (wire, body) in [
        (Wire::Json, &b""[..]),
        (Wire::Cbor, b""),
        (Wire::Json, b"{"),
        (Wire::Json, b"[]"),
        (Wire::Cbor, b"\x80"),
        (Wire::Cbor, b"{}"),
        (Wire::Json, b"\xbf\xff"),
        (Wire::Json, br#"{"StreamName":"a","StreamName":"b"}"#),
        (Wire::Cbor, b"\xbf\x6aStreamName\x61a\x6aStreamName\x61b\xff"),
    ] {
        let answer = Call::raw(wire, "DescribeStream", body).send(&service).await;
        assert_eq!((answer.status, answer.refusal().0.as_str()), (400, "SerializationException"), "{body:?}");
        assert_eq!(answer.header("content-type"), Some(wire.content_type()));
    }
}

#[tokio::test]
async fn another_content_type_is_answered_as_aws_answers_it() {
    let service = open().await;
    for (stated, status, part) in [
        ("application/json", 400, r#"{"Output":{"__type":"com.amazon.coral.service#SerializationException"}"#),
        ("text/plain", 404, "<UnknownOperationException/>"),
        ("application/x-amz-json-1.0", 404, "<UnknownOperationException/>"),
        ("", 404, "<UnknownOperationException/>"),
    ] {
        let call =
            Call::new("POST", "{}").with("content-type", stated).with("x-amz-target", "Kinesis_20131202.ListStreams");
        let answer = call.send(&service).await;
        assert_eq!(answer.status, status, "{stated}");
        assert!(String::from_utf8_lossy(&answer.bytes).starts_with(part), "{answer:?}");
    }
}

#[tokio::test]
async fn a_target_leads_to_its_api_and_no_other() {
    let service = open().await;
    for (target, wire, code) in [
        ("Kinesis_20131202.Nonsense", Wire::Json, "UnknownOperationException"),
        ("Kinesis_20131202.ListDeliveryStreams", Wire::Json, "UnknownOperationException"),
        ("Firehose_20150804.ListStreams", Wire::Json, "UnknownOperationException"),
        ("Firehose_20150804.ListDeliveryStreams", Wire::Cbor, "SerializationException"),
        ("DynamoDB_20120810.ListTables", Wire::Cbor, "UnknownOperationException"),
        ("DynamoDB_20120810.ListTables", Wire::Json, "UnknownOperationException"),
    ] {
        let call = Call::new("POST", "{}").with("content-type", wire.content_type()).with("x-amz-target", target);
        let answer = call.send(&service).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.header("x-amzn-errortype"), Some(code), "{target}");
    }
}

#[tokio::test]
async fn a_call_is_signed_for_its_own_service() {
    let service = guarded().await;
    for wire in BOTH {
        let mut changed = list(wire).signed(&service, "AKID", "kinesis", SECRET);
        changed.body = Call::kinesis(wire, "ListStreams", &json!({"Limit": 1})).body;
        for (call, code) in [
            (list(wire), "MissingAuthenticationTokenException"),
            (list(wire).signed(&service, "AKID", "firehose", SECRET), "InvalidSignatureException"),
            (list(wire).signed(&service, "AKID", "kinesis", "wrong"), "InvalidSignatureException"),
            (list(wire).signed(&service, "OTHER", "kinesis", SECRET), "UnrecognizedClientException"),
            (list(wire).with("authorization", "AWS4-HMAC-SHA256 Credential=x"), "IncompleteSignatureException"),
            (changed, "InvalidSignatureException"),
        ] {
            let answer = call.send(&service).await;
            assert_eq!((answer.status, answer.refusal().0.as_str()), (400, code));
            assert_eq!(answer.header("content-type"), Some(wire.content_type()));
        }
        assert_eq!(list(wire).signed(&service, "AKID", "kinesis", SECRET).send(&service).await.status, 200);
    }
    let firehose = Call::new("POST", "{}")
        .with("content-type", "application/x-amz-json-1.1")
        .with("x-amz-target", "Firehose_20150804.ListDeliveryStreams");
    for (scope, status) in [("firehose", 200), ("kinesis", 403)] {
        assert_eq!(firehose.clone().signed(&service, "AKID", scope, SECRET).send(&service).await.status, status);
    }
}

#[tokio::test]
async fn a_web_page_may_call_with_a_key_and_never_without_keys() {
    let asks = Call::new("OPTIONS", "")
        .with("origin", "http://evil.example")
        .with("access-control-request-method", "POST")
        .with("access-control-request-headers", "x-amz-target, content-type");
    let (open, guarded) = (open().await, guarded().await);
    let granted = asks.send(&guarded).await;
    assert_eq!((granted.status, granted.bytes.len()), (200, 0));
    for (name, value) in [
        ("access-control-allow-origin", Some("*")),
        ("access-control-max-age", Some("172800")),
        ("access-control-allow-methods", Some("POST")),
        ("access-control-allow-headers", Some("x-amz-target, content-type")),
        ("x-amz-id-2", None),
        ("content-type", None),
    ] {
        assert_eq!(granted.header(name), value, "{name}");
    }
    let refused = asks.send(&open).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (405, None));

    for wire in BOTH {
        let page = list(wire).with("origin", "http://evil.example");
        let answer = page.send(&open).await;
        assert_eq!((answer.status, answer.refusal().0.as_str()), (400, "AccessDeniedException"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let answer = page.signed(&guarded, "AKID", "kinesis", SECRET).send(&guarded).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("*")));
        assert!(answer.header("access-control-expose-headers").unwrap().contains("x-amzn-RequestId"));
    }
}

/// One key for each, all with the same secret.
#[tokio::test]
async fn policies_are_asked_about_the_resource_that_is_acted_on() {
    let allow = |action: &str, resource: &str| json!([{"Effect": "Allow", "Action": action, "Resource": resource}]);
    let keys = vec![
        key("ALL", None),
        key("LIST", Some(allow("kinesis:ListStreams", "*"))),
        key("ONE", Some(allow("kinesis:*", &arn("one")))),
        key("CONSUMER", Some(allow("kinesis:*", &arn("one/consumer/c:*")))),
        key("CREATE", Some(allow("kinesis:CreateStream", &arn("*")))),
    ];
    let service = start(Setup { keys, ..Setup::default() }).await;
    let one = json!({"StreamName": "one"});
    let by_name = json!({"StreamARN": arn("one"), "ConsumerName": "c"});
    let table = [
        ("ALL", "CreateStream", json!({"StreamName": "one", "ShardCount": 1}), true),
        ("ALL", "CreateStream", json!({"StreamName": "two", "ShardCount": 1}), true),
        ("LIST", "ListStreams", json!({}), true),
        ("ONE", "ListStreams", json!({}), false),
        ("ONE", "DescribeLimits", json!({}), false),
        ("ONE", "DescribeStream", one.clone(), true),
        ("ONE", "DescribeStream", json!({"StreamARN": arn("one")}), true),
        ("ONE", "DescribeStream", json!({"StreamName": "two"}), false),
        ("ONE", "DescribeStream", json!({"StreamName": "none"}), false),
        ("LIST", "DescribeStream", one.clone(), false),
        ("CONSUMER", "RegisterStreamConsumer", by_name.clone(), false),
        (
            "ONE",
            "RegisterStreamConsumer",
            json!({"StreamARN": arn("one"), "ConsumerName": "c", "Tags": {"a": "b"}}),
            false,
        ),
        ("ONE", "RegisterStreamConsumer", by_name.clone(), true),
        ("ONE", "DescribeStreamConsumer", by_name.clone(), false),
        ("CONSUMER", "DescribeStreamConsumer", by_name.clone(), true),
        ("CONSUMER", "DescribeStreamConsumer", json!({"StreamARN": arn("one"), "ConsumerName": "d"}), false),
        ("ONE", "DeregisterStreamConsumer", by_name.clone(), false),
        ("CONSUMER", "DeregisterStreamConsumer", by_name, true),
        ("CREATE", "CreateStream", json!({"StreamName": "x", "ShardCount": 1, "Tags": {"a": "b"}}), false),
        ("CREATE", "CreateStream", json!({"StreamName": "x", "ShardCount": 1}), true),
        ("CREATE", "DeleteStream", json!({"StreamName": "x"}), false),
        ("LIST", "ListTagsForResource", json!({"ResourceARN": arn("one")}), false),
        ("ONE", "ListTagsForResource", json!({"ResourceARN": arn("one")}), true),
    ];
    for (id, operation, body, allowed) in table {
        let call = Call::kinesis(Wire::Json, operation, &body).signed(&service, id, "kinesis", SECRET);
        let answer = call.send(&service).await;
        if allowed {
            assert_eq!(answer.status, 200, "{id} {operation} {body}: {:?}", answer.body());
        } else {
            let (code, message) = answer.refusal();
            assert_eq!(code, "AccessDeniedException", "{id} {operation} {body}");
            let user = format!("User: arn:aws:iam::{ACCOUNT}:user/{id} is not authorized to perform: kinesis:");
            assert!(message.starts_with(&user), "{message}");
        }
    }
}

#[tokio::test]
async fn a_page_of_shards_is_asked_for_by_the_stream_of_its_token() {
    let keys = vec![
        key("ALL", None),
        key("TWO", Some(json!([{"Effect": "Allow", "Action": "kinesis:*", "Resource": arn("two")}]))),
    ];
    let service = start(Setup { keys, ..Setup::default() }).await;
    let send = async |id, operation, body| {
        Call::kinesis(Wire::Json, operation, &body).signed(&service, id, "kinesis", SECRET).send(&service).await
    };
    send("ALL", "CreateStream", json!({"StreamName": "one", "ShardCount": 2})).await;
    let page = send("ALL", "ListShards", json!({"StreamName": "one", "MaxResults": 1})).await.body();
    let rest = json!({"NextToken": page["NextToken"]});
    assert_eq!(send("TWO", "ListShards", rest.clone()).await.refusal().0, "AccessDeniedException");
    assert_eq!(send("ALL", "ListShards", rest).await.body()["Shards"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_denial_of_a_consumer_is_not_evaded_by_a_shorter_arn() {
    let policy = json!([
        {"Effect": "Allow", "Action": "kinesis:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "kinesis:*", "Resource": arn("s/consumer/c:*")},
    ]);
    let service = start(Setup { keys: vec![key("AKID", Some(policy))], ..Setup::default() }).await;
    let send = async |operation, body| {
        Call::kinesis(Wire::Json, operation, &body).signed(&service, "AKID", "kinesis", SECRET).send(&service).await
    };
    assert_eq!(send("CreateStream", json!({"StreamName": "s", "ShardCount": 1})).await.status, 200);
    let consumer = send("RegisterStreamConsumer", json!({"StreamARN": arn("s"), "ConsumerName": "c"})).await.body();
    let whole = consumer["Consumer"]["ConsumerARN"].as_str().unwrap().to_owned();
    for (resource, code) in [(whole, "AccessDeniedException"), (arn("s/consumer/c"), "ResourceNotFoundException")] {
        for (operation, more) in [
            ("TagResource", json!({"Tags": {"a": "b"}})),
            ("UntagResource", json!({"TagKeys": ["a"]})),
            ("ListTagsForResource", json!({})),
            ("PutResourcePolicy", json!({"Policy": "{}"})),
            ("GetResourcePolicy", json!({})),
            ("DeleteResourcePolicy", json!({})),
        ] {
            let mut body = more;
            body["ResourceARN"] = resource.clone().into();
            assert_eq!(send(operation, body).await.refusal().0, code, "{operation} {resource}");
        }
    }
}
