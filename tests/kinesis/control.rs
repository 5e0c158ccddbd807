//! Streams, their settings, tags, policies and consumers: shapes and refusals of every operation, in both encodings.

use std::time::Duration;

use serde_json::{Value, json};
use standpipe::api::kinesis::Wire;
use standpipe::stream::data::{FileStream, Limits, Mode};

use crate::harness::{ACCOUNT, BOTH, START_MS, Service, Setup, arn, open, start};

const NOT_FOUND: &str = "Stream none under account 000000000000 not found.";

/// When a stream says that it was made, which must be since the service started.
fn created(description: &Value) -> Value {
    let seconds = description["StreamCreationTimestamp"].as_f64().expect("a number");
    assert!((0.0..60.0).contains(&(seconds - START_MS as f64 / 1000.0)), "{seconds}");
    seconds.into()
}

async fn summary(service: &Service, name: &str) -> Value {
    let answer = service.ok(Wire::Json, "DescribeStreamSummary", json!({"StreamName": name})).await;
    answer["StreamDescriptionSummary"].clone()
}

#[tokio::test]
async fn a_stream_looks_as_aws_shows_it() {
    let service = open().await;
    service.create("s", 1).await;
    for wire in BOTH {
        let mut described =
            service.ok(wire, "DescribeStream", json!({"StreamARN": arn("s")})).await["StreamDescription"].clone();
        assert_eq!(described["Shards"].as_array().unwrap().len(), 1);
        described.as_object_mut().unwrap().remove("Shards");
        let both = json!({
            "StreamName": "s",
            "StreamARN": arn("s"),
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": "PROVISIONED"},
            "StreamCreationTimestamp": created(&described),
            "RetentionPeriodHours": 24,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": "NONE",
        });
        let mut expected = both.clone();
        expected["HasMoreShards"] = false.into();
        assert_eq!(described, expected);
        let summary = service.ok(wire, "DescribeStreamSummary", json!({"StreamName": "s"})).await;
        let mut expected = both;
        expected["OpenShardCount"] = 1.into();
        expected["ConsumerCount"] = 0.into();
        expected["MaxRecordSizeInKiB"] = 1024.into();
        assert_eq!(summary, json!({"StreamDescriptionSummary": expected}));
    }
}

#[tokio::test]
async fn streams_are_made_as_they_are_asked_for() {
    for wire in BOTH {
        let service = open().await;
        let body = json!({
            "StreamName": "d",
            "ShardCount": 17,
            "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
            "Tags": {"b": "2", "a": "1"},
            "WarmThroughputMiBps": 10,
            "MaxRecordSizeInKiB": 2048,
            "RecordDistributionStrategy": "AUTO",
        });
        assert_eq!(service.ok(wire, "CreateStream", body.clone()).await, Value::Null);
        let summary = summary(&service, "d").await;
        assert_eq!(summary["StreamModeDetails"]["StreamMode"], "ON_DEMAND");
        assert_eq!(summary["OpenShardCount"], 4);
        assert_eq!(summary["MaxRecordSizeInKiB"], 2048);
        assert_eq!(summary["RecordDistributionStrategy"], "AUTO");
        assert_eq!(summary["WarmThroughput"], json!({"TargetMiBps": 10, "CurrentMiBps": 10}));
        let tags = service.ok(wire, "ListTagsForStream", json!({"StreamName": "d"})).await;
        let expected = json!([{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]);
        assert_eq!(tags, json!({"Tags": expected, "HasMoreTags": false}));

        for (body, code, part) in [
            (body, "ResourceInUseException", "Stream d under account 000000000000 already exists."),
            (
                json!({"StreamName": "p"}),
                "ValidationException",
                "1 validation error detected: Value null at 'shardCount'",
            ),
            (
                json!({"StreamName": "p", "ShardCount": 0}),
                "ValidationException",
                "1 validation error detected: Value '0' at 'shardCount'",
            ),
            (
                json!({"StreamName": "p", "ShardCount": 51}),
                "LimitExceededException",
                "This request would exceed the shard limit",
            ),
            (
                json!({"StreamName": "p", "ShardCount": 1, "RecordDistributionStrategy": "AUTO"}),
                "ValidationException",
                "RecordDistributionStrategy AUTO",
            ),
            (
                json!({"ShardCount": 1}),
                "ValidationException",
                "1 validation error detected: Value null at 'streamName'",
            ),
        ] {
            let (found, message) = service.refused(wire, "CreateStream", body.clone()).await;
            assert_eq!(found, code, "{body}: {message}");
            assert!(message.starts_with(part), "{message}");
        }
    }
}

#[tokio::test]
async fn streams_are_deleted() {
    for wire in BOTH {
        let service = open().await;
        service.create("s", 1).await;
        service.ok(wire, "RegisterStreamConsumer", json!({"StreamARN": arn("s"), "ConsumerName": "c"})).await;
        let plain = json!({"StreamName": "s"});
        assert_eq!(service.refused(wire, "DeleteStream", plain.clone()).await.0, "ResourceInUseException");
        let force = json!({"StreamARN": arn("s"), "EnforceConsumerDeletion": true});
        assert_eq!(service.ok(wire, "DeleteStream", force).await, Value::Null);
        let (code, message) = service.refused(wire, "DescribeStream", plain.clone()).await;
        assert_eq!(
            (code.as_str(), message.as_str()),
            ("ResourceNotFoundException", "Stream s under account 000000000000 not found.")
        );
        assert_eq!(service.refused(wire, "DeleteStream", plain).await.0, "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn streams_are_listed_in_pages() {
    let service = open().await;
    for name in ["c", "a", "b"] {
        service.create(name, 1).await;
    }
    for wire in BOTH {
        let all = service.ok(wire, "ListStreams", json!({})).await;
        assert_eq!((&all["StreamNames"], &all["HasMoreStreams"]), (&json!(["a", "b", "c"]), &json!(false)));
        assert_eq!(all["NextToken"], Value::Null);
        let expected = json!({
            "StreamName": "a",
            "StreamARN": arn("a"),
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": "PROVISIONED"},
            "StreamCreationTimestamp": created(&all["StreamSummaries"][0]),
        });
        assert_eq!(all["StreamSummaries"][0], expected);
        let first = service.ok(wire, "ListStreams", json!({"Limit": 2})).await;
        assert_eq!((&first["StreamNames"], &first["HasMoreStreams"]), (&json!(["a", "b"]), &json!(true)));
        // A paginator sends what it sent first, and the token.
        let rest = json!({"NextToken": first["NextToken"], "ExclusiveStartStreamName": "a"});
        assert_eq!(service.ok(wire, "ListStreams", rest).await["StreamNames"], json!(["c"]));
        let after = json!({"ExclusiveStartStreamName": "aa"});
        assert_eq!(service.ok(wire, "ListStreams", after).await["StreamNames"], json!(["b", "c"]));
        assert_eq!(service.refused(wire, "ListStreams", json!({"NextToken": "x"})).await.0, "InvalidArgumentException");
        assert_eq!(service.refused(wire, "ListStreams", json!({"Limit": 0})).await.0, "ValidationException");
    }
}

/// Every operation that takes a stream, with the rest of what it needs.
#[tokio::test]
async fn every_operation_on_a_stream_says_when_there_is_none() {
    let service = open().await;
    let consumer = format!("{}/consumer/c:1", arn("none"));
    let table = [
        ("DeleteStream", json!({"StreamName": "none"})),
        ("DescribeStream", json!({"StreamName": "none"})),
        ("DescribeStreamSummary", json!({"StreamARN": arn("none")})),
        ("ListShards", json!({"StreamName": "none"})),
        ("SplitShard", json!({"StreamName": "none", "ShardToSplit": "0", "NewStartingHashKey": "7"})),
        ("MergeShards", json!({"StreamName": "none", "ShardToMerge": "0", "AdjacentShardToMerge": "1"})),
        ("UpdateShardCount", json!({"StreamName": "none", "TargetShardCount": 1, "ScalingType": "UNIFORM_SCALING"})),
        ("RegisterStreamConsumer", json!({"StreamARN": arn("none"), "ConsumerName": "c"})),
        ("DeregisterStreamConsumer", json!({"ConsumerARN": consumer})),
        ("DescribeStreamConsumer", json!({"ConsumerARN": consumer})),
        ("ListStreamConsumers", json!({"StreamARN": arn("none")})),
        ("IncreaseStreamRetentionPeriod", json!({"StreamName": "none", "RetentionPeriodHours": 48})),
        ("DecreaseStreamRetentionPeriod", json!({"StreamName": "none", "RetentionPeriodHours": 48})),
        ("UpdateStreamMode", json!({"StreamARN": arn("none"), "StreamModeDetails": {"StreamMode": "ON_DEMAND"}})),
        ("UpdateMaxRecordSize", json!({"StreamARN": arn("none"), "MaxRecordSizeInKiB": 2048})),
        ("UpdateStreamWarmThroughput", json!({"StreamARN": arn("none"), "WarmThroughputMiBps": 10})),
        (
            "UpdateStreamRecordDistributionStrategy",
            json!({"StreamARN": arn("none"), "RecordDistributionStrategy": "AUTO"}),
        ),
        ("StartStreamEncryption", json!({"StreamName": "none", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"})),
        ("StopStreamEncryption", json!({"StreamName": "none", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"})),
        ("EnableEnhancedMonitoring", json!({"StreamName": "none", "ShardLevelMetrics": ["ALL"]})),
        ("DisableEnhancedMonitoring", json!({"StreamName": "none", "ShardLevelMetrics": ["ALL"]})),
        ("AddTagsToStream", json!({"StreamName": "none", "Tags": {"a": "b"}})),
        ("RemoveTagsFromStream", json!({"StreamName": "none", "TagKeys": ["a"]})),
        ("ListTagsForStream", json!({"StreamName": "none"})),
        ("TagResource", json!({"ResourceARN": arn("none"), "Tags": {"a": "b"}})),
        ("UntagResource", json!({"ResourceARN": consumer, "TagKeys": ["a"]})),
        ("ListTagsForResource", json!({"ResourceARN": arn("none")})),
        ("PutResourcePolicy", json!({"ResourceARN": arn("none"), "Policy": "{}"})),
        ("GetResourcePolicy", json!({"ResourceARN": consumer})),
        ("DeleteResourcePolicy", json!({"ResourceARN": arn("none")})),
    ];
    for (operation, body) in table {
        for wire in BOTH {
            let (code, message) = service.refused(wire, operation, body.clone()).await;
            assert_eq!((code.as_str(), message.as_str()), ("ResourceNotFoundException", NOT_FOUND), "{operation}");
        }
        let mut elsewhere = body.clone();
        for member in ["StreamARN", "ConsumerARN", "ResourceARN"] {
            if let Some(Value::String(arn)) = elsewhere.get_mut(member) {
                *arn = arn.replace(ACCOUNT, "111111111111").replace("none", "s");
                let (code, _) = service.refused(Wire::Json, operation, elsewhere.clone()).await;
                assert_eq!(code, "ResourceNotFoundException", "{operation}");
            }
        }
        let (code, _) = service.refused(Wire::Json, operation, json!({"StreamName": "", "StreamARN": "x"})).await;
        assert_eq!(code, "ValidationException", "{operation}");
    }
}

#[tokio::test]
async fn a_stream_must_be_named_once() {
    let service = open().await;
    service.create("s", 1).await;
    let (code, message) = service.refused(Wire::Json, "DescribeStream", json!({})).await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("InvalidArgumentException", "Either StreamName or StreamARN should be provided.")
    );
    let two = json!({"StreamName": "t", "StreamARN": arn("s")});
    assert_eq!(service.refused(Wire::Json, "DescribeStream", two).await.0, "InvalidArgumentException");
    let one = json!({"StreamName": "s", "StreamARN": arn("s"), "StreamId": "whatever", "Unknown": [{}]});
    service.ok(Wire::Json, "DescribeStream", one).await;
}

#[tokio::test]
async fn settings_are_changed_and_shown() {
    for wire in BOTH {
        let service = open().await;
        service.create("s", 1).await;
        let hours = |hours: i64| json!({"StreamName": "s", "RetentionPeriodHours": hours});
        assert_eq!(service.ok(wire, "IncreaseStreamRetentionPeriod", hours(48)).await, Value::Null);
        assert_eq!(summary(&service, "s").await["RetentionPeriodHours"], 48);
        for (operation, asked, message) in [
            (
                "IncreaseStreamRetentionPeriod",
                8761,
                "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.",
            ),
            (
                "DecreaseStreamRetentionPeriod",
                23,
                "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.",
            ),
            (
                "DecreaseStreamRetentionPeriod",
                -1,
                "Minimum allowed retention period is 24 hours. Requested retention period (-1 hours) is too short.",
            ),
            (
                "IncreaseStreamRetentionPeriod",
                47,
                "Requested retention period (47 hours) for stream s can not be shorter than existing retention period (48 hours). Use DecreaseRetentionPeriod API.",
            ),
        ] {
            let refused = service.refused(wire, operation, hours(asked)).await;
            assert_eq!(refused, ("InvalidArgumentException".to_owned(), message.to_owned()));
        }
        service.ok(wire, "DecreaseStreamRetentionPeriod", hours(24)).await;

        service.ok(wire, "UpdateMaxRecordSize", json!({"StreamARN": arn("s"), "MaxRecordSizeInKiB": 10240})).await;
        let small = json!({"StreamARN": arn("s"), "MaxRecordSizeInKiB": 1023});
        assert_eq!(service.refused(wire, "UpdateMaxRecordSize", small).await.0, "ValidationException");

        let key = json!({"StreamName": "s", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"});
        assert_eq!(service.ok(wire, "StartStreamEncryption", key.clone()).await, Value::Null);
        let now = summary(&service, "s").await;
        assert_eq!((&now["EncryptionType"], &now["KeyId"]), (&"KMS".into(), &"alias/aws/kinesis".into()));
        assert_eq!((&now["MaxRecordSizeInKiB"], &now["RetentionPeriodHours"]), (&10_240.into(), &24.into()));
        service.ok(wire, "StopStreamEncryption", key).await;
        assert_eq!(summary(&service, "s").await["EncryptionType"], "NONE");
        for key in [
            json!({"StreamName": "s", "EncryptionType": "NONE", "KeyId": "alias/aws/kinesis"}),
            json!({"StreamName": "s", "EncryptionType": "KMS", "KeyId": "no key"}),
        ] {
            assert_eq!(service.refused(wire, "StartStreamEncryption", key).await.0, "InvalidArgumentException");
        }
    }
}

#[tokio::test]
async fn the_mode_is_changed_and_what_belongs_to_it() {
    for wire in BOTH {
        let service = open().await;
        service.create("s", 2).await;
        let mode = |mode: &str| json!({"StreamARN": arn("s"), "StreamModeDetails": {"StreamMode": mode}});
        let warm = json!({"StreamName": "s", "WarmThroughputMiBps": 50});
        let auto = json!({"StreamARN": arn("s"), "RecordDistributionStrategy": "AUTO"});
        assert_eq!(service.refused(wire, "UpdateStreamWarmThroughput", warm.clone()).await.0, "ValidationException");
        assert_eq!(
            service.refused(wire, "UpdateStreamRecordDistributionStrategy", auto.clone()).await.0,
            "ValidationException"
        );
        service.ok(wire, "UpdateStreamMode", mode("ON_DEMAND")).await;
        let answer = service.ok(wire, "UpdateStreamWarmThroughput", warm).await;
        let throughput = json!({"TargetMiBps": 50, "CurrentMiBps": 50});
        assert_eq!(answer, json!({"StreamARN": arn("s"), "StreamName": "s", "WarmThroughput": throughput}));
        assert_eq!(service.ok(wire, "UpdateStreamRecordDistributionStrategy", auto).await, Value::Null);
        let now = summary(&service, "s").await;
        assert_eq!((&now["WarmThroughput"], &now["RecordDistributionStrategy"]), (&throughput, &"AUTO".into()));
        assert_eq!(now["StreamModeDetails"]["StreamMode"], "ON_DEMAND");
        service.ok(wire, "UpdateStreamMode", mode("PROVISIONED")).await;
        assert_eq!(service.refused(wire, "UpdateStreamMode", mode("ON_DEMAND")).await.0, "LimitExceededException");
        assert_eq!(service.refused(wire, "UpdateStreamMode", mode("OTHER")).await.0, "ValidationException");
    }
}

#[tokio::test]
async fn metrics_are_switched_on_and_off() {
    for wire in BOTH {
        let service = open().await;
        service.create("s", 1).await;
        let metrics = |names: Value| json!({"StreamName": "s", "ShardLevelMetrics": names});
        let answer =
            service.ok(wire, "EnableEnhancedMonitoring", metrics(json!(["OutgoingBytes", "IncomingBytes"]))).await;
        let on = json!(["IncomingBytes", "OutgoingBytes"]);
        let expected = json!({"StreamName": "s", "CurrentShardLevelMetrics": [], "DesiredShardLevelMetrics": on, "StreamARN": arn("s")});
        assert_eq!(answer, expected);
        assert_eq!(summary(&service, "s").await["EnhancedMonitoring"], json!([{"ShardLevelMetrics": on}]));
        let answer = service.ok(wire, "DisableEnhancedMonitoring", metrics(json!(["ALL"]))).await;
        assert_eq!((&answer["CurrentShardLevelMetrics"], &answer["DesiredShardLevelMetrics"]), (&on, &json!([])));
        let (code, message) = service.refused(wire, "EnableEnhancedMonitoring", metrics(json!(["X"]))).await;
        assert_eq!(code, "ValidationException");
        assert!(message.contains("Value '[X]' at 'shardLevelMetrics'"), "{message}");
    }
}

#[tokio::test]
async fn streams_and_consumers_have_tags() {
    for wire in BOTH {
        let service = open().await;
        service.create("s", 1).await;
        let made =
            service.ok(wire, "RegisterStreamConsumer", json!({"StreamARN": arn("s"), "ConsumerName": "c"})).await;
        let consumer = made["Consumer"]["ConsumerARN"].clone();
        assert_eq!(
            service.ok(wire, "AddTagsToStream", json!({"StreamName": "s", "Tags": {"c": "", "a": "1"}})).await,
            Value::Null
        );
        service.ok(wire, "TagResource", json!({"ResourceARN": arn("s"), "Tags": {"b": "2", "a": "9"}})).await;
        let list = |more: Value| {
            let mut body = more;
            body["StreamName"] = "s".into();
            body
        };
        let a = json!({"Key": "a", "Value": "9"});
        let page = service.ok(wire, "ListTagsForStream", list(json!({"Limit": 1}))).await;
        assert_eq!(page, json!({"Tags": [a], "HasMoreTags": true}));
        let rest = service.ok(wire, "ListTagsForStream", list(json!({"ExclusiveStartTagKey": "a"}))).await;
        let expected = json!([{"Key": "b", "Value": "2"}, {"Key": "c", "Value": ""}]);
        assert_eq!(rest, json!({"Tags": expected, "HasMoreTags": false}));
        service.ok(wire, "RemoveTagsFromStream", json!({"StreamName": "s", "TagKeys": ["b", "none"]})).await;
        service.ok(wire, "UntagResource", json!({"ResourceARN": arn("s"), "TagKeys": ["c"]})).await;
        let left = service.ok(wire, "ListTagsForResource", json!({"ResourceARN": arn("s")})).await;
        assert_eq!(left, json!({"Tags": [a]}));

        service.ok(wire, "TagResource", json!({"ResourceARN": consumer, "Tags": {"x": "y", "z": ""}})).await;
        service.ok(wire, "UntagResource", json!({"ResourceARN": consumer, "TagKeys": ["z"]})).await;
        let left = service.ok(wire, "ListTagsForResource", json!({"ResourceARN": consumer})).await;
        assert_eq!(left, json!({"Tags": [{"Key": "x", "Value": "y"}]}));

        let many: Value = (0..50).map(|n| (format!("k{n}"), json!(""))).collect::<serde_json::Map<_, _>>().into();
        for (tags, code) in [(json!({"a;": "b"}), "InvalidArgumentException"), (many, "LimitExceededException")] {
            let body = json!({"StreamName": "s", "Tags": tags});
            let (found, message) = service.refused(wire, "AddTagsToStream", body).await;
            assert!([code, "InvalidArgumentException"].contains(&found.as_str()), "{message}");
        }
        assert_eq!(
            service.refused(wire, "AddTagsToStream", json!({"StreamName": "s", "Tags": {}})).await.0,
            "ValidationException"
        );
    }
}

#[tokio::test]
async fn policies_are_kept_and_shown() {
    for wire in BOTH {
        let service = open().await;
        service.create("s", 1).await;
        let made =
            service.ok(wire, "RegisterStreamConsumer", json!({"StreamARN": arn("s"), "ConsumerName": "c"})).await;
        for resource in [json!(arn("s")), made["Consumer"]["ConsumerARN"].clone()] {
            let of = json!({"ResourceARN": resource});
            assert_eq!(service.ok(wire, "GetResourcePolicy", of.clone()).await, json!({"Policy": "{}"}));
            let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
            let put = json!({"ResourceARN": resource, "Policy": policy});
            assert_eq!(service.ok(wire, "PutResourcePolicy", put).await, Value::Null);
            assert_eq!(service.ok(wire, "GetResourcePolicy", of.clone()).await, json!({"Policy": policy}));
            assert_eq!(service.ok(wire, "DeleteResourcePolicy", of.clone()).await, Value::Null);
            assert_eq!(service.ok(wire, "GetResourcePolicy", of).await, json!({"Policy": "{}"}));
            let nonsense = json!({"ResourceARN": resource, "Policy": "nonsense"});
            assert_eq!(service.refused(wire, "PutResourcePolicy", nonsense).await.0, "ValidationException");
        }
    }
}

#[tokio::test]
async fn consumers_come_and_go() {
    for wire in BOTH {
        let service = start(Setup { state_delay: Duration::from_secs(10), ..Setup::default() }).await;
        service.create("s", 1).await;
        service.advance(Duration::from_secs(11)).await;
        let named = |name: &str| json!({"StreamARN": arn("s"), "ConsumerName": name});
        let made = service.ok(wire, "RegisterStreamConsumer", named("c")).await["Consumer"].clone();
        let seconds = made["ConsumerCreationTimestamp"].as_f64().unwrap().floor();
        assert!(seconds - START_MS as f64 / 1000.0 > 10.0);
        let consumer_arn = format!("{}/consumer/c:{seconds}", arn("s"));
        assert_eq!(made["ConsumerARN"], consumer_arn);
        assert_eq!((&made["ConsumerName"], &made["ConsumerStatus"]), (&"c".into(), &"CREATING".into()));
        assert_eq!(made.as_object().unwrap().len(), 4);
        service.advance(Duration::from_secs(11)).await;
        let mut active = made.clone();
        active["ConsumerStatus"] = "ACTIVE".into();
        service.ok(wire, "RegisterStreamConsumer", named("b")).await;
        let first = service.ok(wire, "ListStreamConsumers", json!({"StreamARN": arn("s"), "MaxResults": 1})).await;
        assert_eq!(first["Consumers"][0]["ConsumerName"], "b");
        let rest = json!({"StreamARN": arn("s"), "NextToken": first["NextToken"]});
        assert_eq!(service.ok(wire, "ListStreamConsumers", rest).await, json!({"Consumers": [active]}));

        let mut description = active.clone();
        description["StreamARN"] = arn("s").into();
        for by in [named("c"), json!({"ConsumerARN": consumer_arn})] {
            let described = service.ok(wire, "DescribeStreamConsumer", by).await;
            assert_eq!(described, json!({"ConsumerDescription": description}));
        }
        assert_eq!(summary(&service, "s").await["ConsumerCount"], 2);
        let (_, message) = service.refused(wire, "DescribeStreamConsumer", named("none")).await;
        assert_eq!(message, "Consumer none, account 000000000000 not found.");
        for (operation, body, code) in [
            ("RegisterStreamConsumer", named("c"), "ResourceInUseException"),
            ("DescribeStreamConsumer", named("none"), "ResourceNotFoundException"),
            (
                "DescribeStreamConsumer",
                json!({"ConsumerARN": format!("{}/consumer/c:1", arn("s"))}),
                "ResourceNotFoundException",
            ),
            ("DescribeStreamConsumer", json!({"ConsumerName": "c"}), "InvalidArgumentException"),
            (
                "DescribeStreamConsumer",
                json!({"ConsumerARN": consumer_arn, "StreamARN": arn("s"), "ConsumerName": "b"}),
                "InvalidArgumentException",
            ),
            ("DeregisterStreamConsumer", named("none"), "ResourceNotFoundException"),
        ] {
            let (found, message) = service.refused(wire, operation, body.clone()).await;
            assert_eq!(found, code, "{operation} {body}: {message}");
        }
        assert_eq!(
            service.ok(wire, "DeregisterStreamConsumer", json!({"ConsumerARN": consumer_arn})).await,
            Value::Null
        );
        assert_eq!(service.refused(wire, "DescribeStreamConsumer", named("c")).await.0, "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn the_account_is_described() {
    let service = open().await;
    service.create("s", 3).await;
    service
        .ok(Wire::Json, "CreateStream", json!({"StreamName": "d", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}))
        .await;
    for wire in BOTH {
        let limits = service.ok(wire, "DescribeLimits", json!({})).await;
        assert_eq!(
            (&limits["ShardLimit"], &limits["OpenShardCount"], &limits["OnDemandStreamCount"]),
            (&50.into(), &7.into(), &1.into())
        );
        let none = json!({"MinimumThroughputBillingCommitment": {"Status": "DISABLED"}});
        assert_eq!(service.ok(wire, "DescribeAccountSettings", json!({})).await, none);
        assert_eq!(service.ok(wire, "UpdateAccountSettings", none.clone()).await, none);
        let bill = json!({"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}});
        assert_eq!(service.refused(wire, "UpdateAccountSettings", bill).await.0, "InvalidArgumentException");
    }
}

#[tokio::test]
async fn a_stream_of_the_file_is_shown_and_not_changed() {
    let file = vec![FileStream {
        name: "f".into(),
        mode: Mode::Provisioned,
        shards: 1,
        retention: Duration::from_hours(24),
        record_bytes_max: 1 << 20,
        limits: Limits::None,
        bytes_max: None,
        encrypted: false,
    }];
    let service = start(Setup { file, ..Setup::default() }).await;
    assert_eq!(summary(&service, "f").await["OpenShardCount"], 1);
    for (operation, body) in [
        ("DeleteStream", json!({"StreamName": "f"})),
        ("IncreaseStreamRetentionPeriod", json!({"StreamName": "f", "RetentionPeriodHours": 48})),
        ("UpdateShardCount", json!({"StreamName": "f", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"})),
    ] {
        let (code, message) = service.refused(Wire::Json, operation, body).await;
        assert_eq!(code, "ResourceInUseException", "{operation}");
        assert!(message.contains("configuration file"), "{message}");
    }
    service.ok(Wire::Json, "RegisterStreamConsumer", json!({"StreamARN": arn("f"), "ConsumerName": "c"})).await;
}
