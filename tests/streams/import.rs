//! A real Kinesis stream as a source: it is our own, in a second service, spoken to as if it were Amazon's.

use std::collections::BTreeMap;

use aws_sdk_firehose::types::{
    DeliveryStreamType, ExtendedS3DestinationConfiguration, KinesisStreamSourceConfiguration,
};
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};

use super::{House, delivery, is_in_order, is_whole};

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
    call.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_elsewhere_is_copied_once_through_reshards_and_restarts() {
    for how in ["poll = \"200ms\"", "consumer = \"standpipe\""] {
        let (there, here) = (House::new(), House::new());
        let upstream = there.start("").await;
        upstream.client.create_stream().stream_name("clicks").shard_count(2).send().await.unwrap();
        let source = format!(
            "{{ kinesis = {{ stream = \"clicks\", region = \"us-east-1\", endpoint = \"{}\", {how}, \
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
