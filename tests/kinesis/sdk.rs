//! The AWS SDK as its users have it: what it reads from our answers.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::operation::list_streams::ListStreamsOutput;
use aws_sdk_kinesis::types::{
    ConsumerStatus, MetricsName, ScalingType, ShardFilter, ShardFilterType, StreamMode, StreamModeDetails, StreamStatus,
};

use crate::harness::{START_MS, Service, arn, open};

fn client(service: &Service) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(format!("http://{}", service.address))
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKID", "secret", None, None, "test"))
        .build();
    Client::from_conf(config)
}

#[tokio::test]
async fn the_sdk_makes_streams_and_reads_what_they_are() {
    let service = open().await;
    let sdk = client(&service);
    for name in ["a", "b", "c"] {
        sdk.create_stream().stream_name(name).shard_count(3).send().await.unwrap();
    }
    let described = sdk.describe_stream().stream_name("a").send().await.unwrap().stream_description.unwrap();
    assert_eq!((described.stream_status(), described.shards().len()), (&StreamStatus::Active, 3));
    assert_eq!(described.stream_arn(), arn("a"));
    let made_ms = u64::try_from(described.stream_creation_timestamp().to_millis().unwrap()).unwrap();
    assert!((START_MS..START_MS + 60_000).contains(&made_ms), "{made_ms}");
    let pages = sdk.list_streams().limit(1).into_paginator().send().collect::<Result<Vec<_>, _>>().await.unwrap();
    let names: Vec<&str> = pages.iter().flat_map(ListStreamsOutput::stream_names).map(String::as_str).collect();
    assert_eq!((pages.len(), names), (3, vec!["a", "b", "c"]));

    let latest = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build().unwrap();
    let list = sdk.list_shards().stream_name("a").shard_filter(latest).max_results(2).send().await.unwrap();
    assert_eq!(list.shards().len(), 2);
    let rest = sdk.list_shards().next_token(list.next_token().unwrap()).send().await.unwrap();
    assert_eq!((rest.shards().len(), rest.next_token()), (1, None));
    // As it was answered, so it must be understood.
    let made = *described.stream_creation_timestamp();
    let same = sdk.list_shards().stream_name("a").stream_creation_timestamp(made).send().await.unwrap();
    assert_eq!(same.shards().len(), 3);
}

#[tokio::test]
async fn the_sdk_changes_streams_and_understands_refusals() {
    let service = open().await;
    let sdk = client(&service);
    sdk.create_stream().stream_name("s").shard_count(1).tags("team", "data").send().await.unwrap();
    sdk.increase_stream_retention_period().stream_name("s").retention_period_hours(48).send().await.unwrap();
    let scaled = sdk.update_shard_count().stream_name("s").target_shard_count(2);
    let scaled = scaled.scaling_type(ScalingType::UniformScaling).send().await.unwrap();
    assert_eq!((scaled.current_shard_count(), scaled.target_shard_count()), (Some(1), Some(2)));
    let metrics = sdk.enable_enhanced_monitoring().stream_name("s").shard_level_metrics(MetricsName::All);
    assert_eq!(metrics.send().await.unwrap().desired_shard_level_metrics().len(), 7);
    let registered = sdk.register_stream_consumer().stream_arn(arn("s")).consumer_name("c").send().await.unwrap();
    let consumer = registered.consumer.unwrap();
    assert_eq!(consumer.consumer_status(), &ConsumerStatus::Active);
    let described = sdk.describe_stream_consumer().consumer_arn(consumer.consumer_arn()).send().await.unwrap();
    assert_eq!(described.consumer_description.unwrap().stream_arn(), arn("s"));
    let on_demand = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build().unwrap();
    sdk.update_stream_mode().stream_arn(arn("s")).stream_mode_details(on_demand).send().await.unwrap();
    let summary = sdk.describe_stream_summary().stream_name("s").send().await.unwrap();
    let summary = summary.stream_description_summary.unwrap();
    assert_eq!((summary.open_shard_count(), summary.consumer_count()), (2, Some(1)));
    assert_eq!(summary.retention_period_hours(), 48);

    let again = sdk.create_stream().stream_name("s").shard_count(1).send().await.unwrap_err().into_service_error();
    assert!(again.is_resource_in_use_exception(), "{again:?}");
    assert_eq!(again.meta().message(), Some("Stream s under account 000000000000 already exists."));
    let none = sdk.describe_stream().stream_name("none").send().await.unwrap_err().into_service_error();
    assert!(none.is_resource_not_found_exception(), "{none:?}");
    let invalid = sdk.create_stream().stream_name("a b").shard_count(1).send().await.unwrap_err().into_service_error();
    assert_eq!(invalid.meta().code(), Some("ValidationException"));
    sdk.delete_stream().stream_name("s").enforce_consumer_deletion(true).send().await.unwrap();
}
