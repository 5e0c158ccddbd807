//! A real Kinesis stream as a source: it is our own, in a second service, spoken to as if it were Amazon's.

use std::collections::BTreeMap;

use aws_sdk_firehose::types::{
    DeliveryStreamType, ExtendedS3DestinationConfiguration, KinesisStreamSourceConfiguration,
};
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;

use super::{House, Running, delivery, is_in_order, is_whole};

const ROLE: &str = "arn:aws:iam::000000000000:role/any";

pub(crate) fn firehose(endpoint: &str) -> aws_sdk_firehose::Client {
    let config = aws_sdk_firehose::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
        .endpoint_url(endpoint)
        .build();
    aws_sdk_firehose::Client::from_conf(config)
}

/// Makes a delivery stream of the API that reads a data stream.
pub(crate) async fn create_delivery(client: &aws_sdk_firehose::Client, name: &str, stream: &str) {
    let source = KinesisStreamSourceConfiguration::builder()
        .kinesis_stream_arn(format!("arn:aws:kinesis:us-east-1:000000000000:stream/{stream}"))
        .role_arn(ROLE);
    let destination = ExtendedS3DestinationConfiguration::builder().role_arn(ROLE).bucket_arn("arn:aws:s3:::lake");
    let call = client
        .create_delivery_stream()
        .delivery_stream_name(name)
        .delivery_stream_type(DeliveryStreamType::KinesisStreamAsSource)
        .kinesis_stream_source_configuration(source.build().unwrap())
        .extended_s3_destination_configuration(destination.build().unwrap());
    Box::pin(call.send()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_elsewhere_is_copied_once_through_reshards_and_restarts() {
    for way in ["poll = \"200ms\"", "consumer = \"standpipe\""] {
        let (there, here) = (House::new(), House::new());
        let upstream = there.start("").await;
        upstream.client.create_stream().stream_name("clicks").shard_count(2).send().await.unwrap();
        let source = format!(
            "{{ kinesis = {{ stream = \"clicks\", region = \"us-east-1\", endpoint = \"{}\", {way}, \
             credentials = {{ access_key_id = \"a\", secret_access_key = \"b\" }} }} }}",
            upstream.endpoint()
        );
        let tables = delivery("copy", &source, "size = \"1 KiB\", interval = \"0s\"");
        let mut sent = upstream.put("clicks", 6, 0, 10).await;
        let service = here.start(&tables).await;
        here.until_delivered("copy", sent.len()).await;
        let open = upstream.open_shards("clicks").await;
        upstream.split("clicks", &open[0]).await;
        sent.extend(upstream.put("clicks", 6, 10, 10).await);
        here.until_delivered("copy", sent.len()).await;
        service.stop().await;
        let open = upstream.open_shards("clicks").await;
        upstream.merge("clicks", &open[1], &open[2]).await;
        sent.extend(upstream.put("clicks", 6, 20, 10).await);
        let service = here.start(&tables).await;
        here.until_delivered("copy", sent.len()).await;
        service.stop().await;
        is_whole(&here.delivered("copy"), &sent);
        is_in_order(&here.objects("copy"));
        upstream.stop().await;
    }
}

fn source(upstream: &Running, stream: &str, way: &str) -> String {
    format!(
        "{{ kinesis = {{ stream = \"{stream}\", region = \"us-east-1\", endpoint = \"{}\", {way}, \
         credentials = {{ access_key_id = \"a\", secret_access_key = \"b\" }} }} }}",
        upstream.endpoint()
    )
}

/// Checkpoints are of one stream: what takes its place while it is copied is copied as another, once, also where its shards
/// have the names of those that are done.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_elsewhere_that_is_made_anew_is_copied_once() {
    for way in ["poll = \"200ms\"", "consumer = \"standpipe\""] {
        let (there, here) = (House::new(), House::new());
        let upstream = there.start("").await;
        let create = || upstream.client.create_stream().stream_name("clicks").shard_count(1).send();
        create().await.unwrap();
        let tables = delivery("copy", &source(&upstream, "clicks", way), "size = \"1 KiB\", interval = \"0s\"");
        let mut sent = upstream.put("clicks", 2, 0, 3).await;
        let service = here.start(&tables).await;
        here.until_delivered("copy", sent.len()).await;
        let open = upstream.open_shards("clicks").await;
        upstream.split("clicks", &open[0]).await;
        sent.extend(upstream.put("clicks", 2, 3, 3).await);
        here.until_delivered("copy", sent.len()).await;
        let delete = upstream.client.delete_stream().stream_name("clicks").enforce_consumer_deletion(true);
        delete.send().await.unwrap();
        create().await.unwrap();
        sent.extend(upstream.put("clicks", 2, 6, 3).await);
        here.until_delivered("copy", sent.len()).await;
        service.stop().await;
        sent.extend(upstream.put("clicks", 2, 9, 3).await);
        let service = here.start(&tables).await;
        here.until_delivered("copy", sent.len()).await;
        service.stop().await;
        is_whole(&here.delivered("copy"), &sent);
        upstream.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_was_deregistered_is_registered_again() {
    let (there, here) = (House::new(), House::new());
    let upstream = there.start("").await;
    upstream.client.create_stream().stream_name("clicks").shard_count(2).send().await.unwrap();
    let source = source(&upstream, "clicks", "consumer = \"standpipe\"");
    let service = here.start(&delivery("copy", &source, "size = \"1 KiB\", interval = \"0s\"")).await;
    let mut sent = upstream.put("clicks", 4, 0, 3).await;
    here.until_delivered("copy", sent.len()).await;
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";
    let call = upstream.client.deregister_stream_consumer().stream_arn(arn).consumer_name("standpipe");
    call.send().await.unwrap();
    sent.extend(upstream.put("clicks", 4, 3, 3).await);
    here.until_delivered("copy", sent.len()).await;
    service.stop().await;
    is_whole(&here.delivered("copy"), &sent);
    upstream.stop().await;
}

/// Importers share the leave to hold an answer, so one whose journal is full must not keep it.
#[tokio::test(flavor = "multi_thread")]
async fn an_importer_without_room_keeps_no_other_waiting() {
    let (there, here) = (House::new(), House::new());
    let upstream = there.start("").await;
    for (stream, shards) in [("wide", 8), ("clicks", 1)] {
        upstream.client.create_stream().stream_name(stream).shard_count(shards).send().await.unwrap();
    }
    let entries = (0..64).map(|key| {
        let entry = PutRecordsRequestEntry::builder().data(Blob::new(vec![b'x'; 100_000]));
        entry.partition_key(key.to_string()).build().unwrap()
    });
    let put = upstream.client.put_records().stream_name("wide").set_records(Some(entries.collect()));
    assert_eq!(put.send().await.unwrap().failed_record_count(), Some(0));
    // A file stands where its folder should be.
    std::fs::write(here.lake.path().join("full"), "").unwrap();
    let buffer = "size = \"64 KiB\", interval = \"0s\"";
    let poll = "poll = \"200ms\"";
    let full = delivery("full", &source(&upstream, "wide", poll), buffer).replacen(
        "buffer",
        "max_bytes = \"1 MiB\"\nbuffer",
        1,
    );
    let copy = delivery("copy", &source(&upstream, "clicks", poll), buffer);
    let service = here.start(&format!("{full}{copy}")).await;
    let mut sent = Vec::new();
    for number in 0..20 {
        sent.extend(upstream.put("clicks", 1, number, 1).await);
        here.until_delivered("copy", sent.len()).await;
    }
    service.break_off().await;
    is_whole(&here.delivered("copy"), &sent);
    upstream.stop().await;
}

pub(crate) fn api_delivered(house: &House, name: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for line in api_objects(house, name).into_values().flatten() {
        *found.entry(line).or_default() += 1;
    }
    found
}

pub(crate) fn api_objects(house: &House, name: &str) -> BTreeMap<String, Vec<String>> {
    let mut objects = house.objects("lake");
    objects.retain(|key, _| key.contains(name));
    objects
}
