//! Shards: how they look, and how lists of them are asked for.

use std::time::Duration;

use serde_json::{Value, json};
use standpipe::api::kinesis::Wire;

use crate::harness::{BOTH, START_MS, Setup, arn, open, start};

fn ids(list: &Value) -> Vec<&str> {
    let shards = list.as_array().expect("a list").iter();
    shards.map(|shard| shard["ShardId"].as_str().expect("a text")).collect()
}

const ZERO: &str = "shardId-000000000000";
const ONE: &str = "shardId-000000000001";
const TWO: &str = "shardId-000000000002";
const THREE: &str = "shardId-000000000003";

#[tokio::test]
async fn a_shard_looks_as_aws_shows_it() {
    let service = open().await;
    service.create("s", 2).await;
    for wire in BOTH {
        let list = service.ok(wire, "ListShards", json!({"StreamName": "s"})).await;
        assert_eq!(list["NextToken"], Value::Null);
        assert_eq!(ids(&list["Shards"]), [ZERO, ONE]);
        let [low, high] = [&list["Shards"][0], &list["Shards"][1]];
        assert_eq!(low["HashKeyRange"]["StartingHashKey"], "0");
        assert_eq!(low["HashKeyRange"]["EndingHashKey"], "170141183460469231731687303715884105727");
        assert_eq!(high["HashKeyRange"]["StartingHashKey"], "170141183460469231731687303715884105728");
        assert_eq!(high["HashKeyRange"]["EndingHashKey"], "340282366920938463463374607431768211455");
        let members: Vec<&str> = low.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["ShardId", "HashKeyRange", "SequenceNumberRange"]);
        let numbers = low["SequenceNumberRange"].as_object().unwrap();
        assert_eq!(numbers.len(), 1);
        assert_eq!(numbers["StartingSequenceNumber"].as_str().unwrap().len(), 56);
        let described = service.ok(wire, "DescribeStream", json!({"StreamName": "s"})).await;
        assert_eq!(described["StreamDescription"]["Shards"], list["Shards"]);
    }
}

#[tokio::test]
async fn splits_and_merges_show_their_lineage() {
    for wire in BOTH {
        let service = open().await;
        service.create("s", 1).await;
        let half = "170141183460469231731687303715884105728";
        let split = json!({"StreamName": "s", "ShardToSplit": "0", "NewStartingHashKey": half});
        let answer = service.call(wire, "SplitShard", split.clone()).await;
        assert_eq!((answer.status, answer.bytes.len()), (200, 0), "{:?}", answer.body());
        let list = service.ok(wire, "ListShards", json!({"StreamARN": arn("s")})).await;
        assert_eq!(ids(&list["Shards"]), [ZERO, ONE, TWO]);
        assert_eq!(list["Shards"][1]["ParentShardId"], ZERO);
        assert!(list["Shards"][0]["SequenceNumberRange"]["EndingSequenceNumber"].is_string());
        let merge = json!({"StreamName": "s", "ShardToMerge": ONE, "AdjacentShardToMerge": "shardId-2"});
        service.ok(wire, "MergeShards", merge.clone()).await;
        let list =
            service.ok(wire, "ListShards", json!({"StreamName": "s", "ShardFilter": {"Type": "AT_LATEST"}})).await;
        assert_eq!(ids(&list["Shards"]), [THREE]);
        assert_eq!(
            (&list["Shards"][0]["ParentShardId"], &list["Shards"][0]["AdjacentParentShardId"]),
            (&ONE.into(), &TWO.into())
        );

        for (operation, body, code, part) in [
            ("SplitShard", split, "ResourceInUseException", "Shard shardId-000000000000 in stream s under"),
            ("MergeShards", merge, "ResourceInUseException", "Shard shardId-000000000001 in stream s under"),
            (
                "SplitShard",
                json!({"StreamName": "s", "ShardToSplit": THREE, "NewStartingHashKey": "0"}),
                "InvalidArgumentException",
                "NewStartingHashKey 0 used in SplitShard() on shard shardId-000000000003 in stream s under account 000000000000 is not both greater than one plus",
            ),
            (
                "SplitShard",
                json!({"StreamName": "s", "ShardToSplit": THREE, "NewStartingHashKey": "9".repeat(39)}),
                "InvalidArgumentException",
                "Invalid NewStartingHashKey. NewStartingHashKey must be in the range: [0, 2^128-1]. Specified value was 999",
            ),
            (
                "SplitShard",
                json!({"StreamName": "s", "ShardToSplit": "x", "NewStartingHashKey": "7"}),
                "ResourceNotFoundException",
                "Could not find shard x in stream s under account 000000000000.",
            ),
            (
                "SplitShard",
                json!({"StreamName": "none", "ShardToSplit": "0", "NewStartingHashKey": "7"}),
                "ResourceNotFoundException",
                "Stream none under account 000000000000 not found.",
            ),
        ] {
            let (found, message) = service.refused(wire, operation, body.clone()).await;
            assert_eq!(found, code, "{operation} {body}: {message}");
            assert!(message.starts_with(part), "{message}");
        }
    }
}

#[tokio::test]
async fn a_stream_is_rescaled() {
    for wire in BOTH {
        let service = open().await;
        service.create("s", 2).await;
        let rescale =
            |target: i64| json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"});
        let answer = service.ok(wire, "UpdateShardCount", rescale(4)).await;
        let expected = json!({"StreamName": "s", "CurrentShardCount": 2, "TargetShardCount": 4, "StreamARN": arn("s")});
        assert_eq!(answer, expected);
        let summary = service.ok(wire, "DescribeStreamSummary", json!({"StreamName": "s"})).await;
        assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], 4);
        assert_eq!(service.refused(wire, "UpdateShardCount", rescale(9)).await.0, "InvalidArgumentException");
        assert_eq!(service.refused(wire, "UpdateShardCount", rescale(0)).await.0, "ValidationException");
        service
            .ok(wire, "CreateStream", json!({"StreamName": "d", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}))
            .await;
        let on_demand = json!({"StreamName": "d", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"});
        assert_eq!(service.refused(wire, "UpdateShardCount", on_demand).await.0, "ValidationException");
    }
}

#[tokio::test]
async fn lists_go_on_by_token_until_it_expires() {
    let service = open().await;
    service.create("s", 3).await;
    service.create("other", 3).await;
    for wire in BOTH {
        let first = service.ok(wire, "ListShards", json!({"StreamName": "s", "MaxResults": 2})).await;
        assert_eq!(ids(&first["Shards"]), [ZERO, ONE]);
        let token = first["NextToken"].clone();
        let rest = service.ok(wire, "ListShards", json!({"NextToken": token, "MaxResults": 2})).await;
        assert_eq!((ids(&rest["Shards"]), &rest["NextToken"]), (vec![TWO], &Value::Null));
        let after = json!({"StreamName": "s", "ExclusiveStartShardId": "shardId-0", "MaxResults": 1});
        assert_eq!(ids(&service.ok(wire, "ListShards", after).await["Shards"]), [ONE]);

        let created = f64::from(u32::try_from(START_MS / 1000).unwrap());
        for (body, code, message) in [
            (json!({}), "InvalidArgumentException", "Either NextToken or StreamName should be provided."),
            (
                json!({"NextToken": token, "StreamName": "s"}),
                "InvalidArgumentException",
                "NextToken and StreamName cannot be provided together.",
            ),
            (
                json!({"NextToken": token, "StreamCreationTimestamp": created}),
                "InvalidArgumentException",
                "NextToken and StreamCreationTimestamp cannot be provided together.",
            ),
            (json!({"NextToken": "nonsense"}), "InvalidArgumentException", "NextToken is invalid."),
            (
                json!({"StreamName": "s", "StreamCreationTimestamp": created - 10.0}),
                "ResourceNotFoundException",
                "Stream s under account 000000000000 not found.",
            ),
        ] {
            assert_eq!(service.refused(wire, "ListShards", body).await, (code.to_owned(), message.to_owned()));
        }
        assert_eq!(
            service.refused(wire, "ListStreams", json!({"NextToken": token})).await.0,
            "InvalidArgumentException"
        );
        let described = service.ok(wire, "DescribeStream", json!({"StreamName": "s", "Limit": 2})).await;
        let made = &described["StreamDescription"]["StreamCreationTimestamp"];
        assert_eq!(described["StreamDescription"]["HasMoreShards"], true);
        let same = json!({"StreamName": "s", "StreamCreationTimestamp": made});
        assert_eq!(ids(&service.ok(wire, "ListShards", same).await["Shards"]).len(), 3);

        service.advance(Duration::from_secs(301)).await;
        let (code, _) = service.refused(wire, "ListShards", json!({"NextToken": token})).await;
        assert_eq!(code, "ExpiredNextTokenException");
    }
}

#[tokio::test]
async fn filters_choose_shards() {
    let service = open().await;
    service.create("s", 1).await;
    service.advance(Duration::from_secs(100)).await;
    let half = "170141183460469231731687303715884105728";
    service
        .ok(Wire::Json, "SplitShard", json!({"StreamName": "s", "ShardToSplit": "0", "NewStartingHashKey": half}))
        .await;
    service.advance(Duration::from_secs(100)).await;
    let at = |seconds: u32| (START_MS / 1000) as f64 + f64::from(seconds);
    for wire in BOTH {
        for (filter, expected) in [
            (json!({"Type": "AT_LATEST"}), vec![ONE, TWO]),
            (json!({"Type": "AT_TRIM_HORIZON"}), vec![ZERO]),
            (json!({"Type": "FROM_TRIM_HORIZON"}), vec![ZERO, ONE, TWO]),
            (json!({"Type": "AFTER_SHARD_ID", "ShardId": "0"}), vec![ONE, TWO]),
            (json!({"Type": "AT_TIMESTAMP", "Timestamp": at(50)}), vec![ZERO]),
            (json!({"Type": "AT_TIMESTAMP", "Timestamp": at(150)}), vec![ONE, TWO]),
            (json!({"Type": "FROM_TIMESTAMP", "Timestamp": at(50)}), vec![ZERO, ONE, TWO]),
            (json!({"Type": "FROM_TIMESTAMP", "Timestamp": at(150)}), vec![ONE, TWO]),
        ] {
            let body = json!({"StreamName": "s", "ShardFilter": filter});
            assert_eq!(ids(&service.ok(wire, "ListShards", body.clone()).await["Shards"]), expected, "{body}");
        }
        for filter in [
            json!({"Type": "AFTER_SHARD_ID"}),
            json!({"Type": "AT_TIMESTAMP"}),
            json!({"Type": "AT_LATEST", "ShardId": "0"}),
            json!({"Type": "AT_TRIM_HORIZON", "Timestamp": at(1)}),
        ] {
            let (code, _) =
                service.refused(wire, "ListShards", json!({"StreamName": "s", "ShardFilter": filter})).await;
            assert_eq!(code, "InvalidArgumentException", "{filter}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_being_made_shows_no_shards() {
    let service = start(Setup { state_delay: Duration::from_mins(1), ..Setup::default() }).await;
    service.create("s", 1).await;
    for wire in BOTH {
        let described =
            service.ok(wire, "DescribeStream", json!({"StreamName": "s"})).await["StreamDescription"].clone();
        assert_eq!((&described["StreamStatus"], &described["Shards"]), (&"CREATING".into(), &json!([])));
        let (code, message) = service.refused(wire, "ListShards", json!({"StreamName": "s"})).await;
        assert_eq!(code, "ResourceInUseException");
        assert_eq!(message, "Stream s under account 000000000000 not ACTIVE, instead in state CREATING");
    }
    service.advance(Duration::from_secs(61)).await;
    let described =
        service.ok(Wire::Json, "DescribeStream", json!({"StreamName": "s"})).await["StreamDescription"].clone();
    assert_eq!((&described["StreamStatus"], described["Shards"].as_array().unwrap().len()), (&"ACTIVE".into(), 1));
}
