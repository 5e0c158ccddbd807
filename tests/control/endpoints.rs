//! HTTP endpoints as destinations: what comes back is what was said, but for the key; updates; rejections.

use std::time::Duration;

use serde_json::{Value, json};
use standpipe::config::Compression;

use super::{BUCKET, ROLE, Service};

const INVALID: &str = "InvalidArgumentException";

/// A stream `s` to an endpoint, with `more` in its destination.
fn create(more: Value) -> Value {
    let mut destination = json!({
        "EndpointConfiguration": { "Url": "https://h/firehose", "Name": "collector", "AccessKey": "hush" },
        "S3Configuration": { "RoleARN": ROLE, "BucketARN": BUCKET, "ErrorOutputPrefix": "e/!{firehose:error-output-type}/" },
    });
    if let (Value::Object(all), Value::Object(more)) = (&mut destination, more) {
        all.extend(more);
    }
    json!({ "DeliveryStreamName": "s", "HttpEndpointDestinationConfiguration": destination })
}

async fn described(service: &Service) -> Value {
    let shown =
        service.call("DescribeDeliveryStream", &json!({ "DeliveryStreamName": "s" })).await.expect("it is there");
    shown["DeliveryStreamDescription"]["Destinations"][0]["HttpEndpointDestinationDescription"].clone()
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_described_as_it_was_made_without_its_key() {
    let service = Service::new().await;
    let attributes = json!([{ "AttributeName": "env", "AttributeValue": "prod" }]);
    let more = json!({
        "BufferingHints": { "SizeInMBs": 3, "IntervalInSeconds": 60 },
        "RequestConfiguration": { "ContentEncoding": "GZIP", "CommonAttributes": attributes },
        "RetryOptions": { "DurationInSeconds": 30 },
        "RoleARN": ROLE,
    });
    service.call("CreateDeliveryStream", &create(more.clone())).await.unwrap();
    let shown = described(&service).await;
    assert_eq!(shown["EndpointConfiguration"], json!({ "Url": "https://h/firehose", "Name": "collector" }));
    for (name, value) in more.as_object().unwrap() {
        assert_eq!(shown[name], *value, "{name}");
    }
    assert_eq!(shown["S3BackupMode"], "FailedDataOnly");
    assert_eq!(shown["S3DestinationDescription"]["BucketARN"], BUCKET);
    assert_eq!(shown["S3DestinationDescription"]["ErrorOutputPrefix"], "e/!{firehose:error-output-type}/");
    let entry = service.context.catalog.get("s").unwrap();
    let http = entry.stream.destination.http.as_deref().unwrap();
    assert_eq!(http.access_key.as_ref().unwrap().reveal(), "hush");
    assert_eq!((http.url.as_str(), http.gzip, http.retry), ("https://h/firehose", true, Duration::from_secs(30)));
    assert_eq!(http.attributes, [("env".to_owned(), "prod".to_owned())]);
    assert_eq!((entry.stream.buffer.size_bytes, entry.stream.buffer.interval), (3 << 20, Duration::from_mins(1)));
}

#[tokio::test(start_paused = true)]
async fn defaults_are_filled_in_and_updates_merge() {
    let service = Service::new().await;
    service.call("CreateDeliveryStream", &create(json!({}))).await.unwrap();
    let shown = described(&service).await;
    assert_eq!(shown["BufferingHints"], json!({ "SizeInMBs": 5, "IntervalInSeconds": 300 }));
    assert_eq!(shown["RequestConfiguration"], json!({ "ContentEncoding": "NONE" }));
    assert_eq!(shown["RetryOptions"], json!({ "DurationInSeconds": 300 }));
    let update = json!({
        "DeliveryStreamName": "s", "CurrentDeliveryStreamVersionId": "1", "DestinationId": "destinationId-000000000001",
        "HttpEndpointDestinationUpdate": {
            "RetryOptions": { "DurationInSeconds": 0 },
            "S3Update": { "BucketARN": "arn:aws:s3:::other" },
        },
    });
    service.call("UpdateDestination", &update).await.unwrap();
    let after = described(&service).await;
    assert_eq!(after["RetryOptions"], json!({ "DurationInSeconds": 0 }));
    assert_eq!(after["S3DestinationDescription"]["BucketARN"], "arn:aws:s3:::other");
    assert_eq!(after["S3DestinationDescription"]["ErrorOutputPrefix"], "e/!{firehose:error-output-type}/");
    assert_eq!(after["EndpointConfiguration"], shown["EndpointConfiguration"]);
    let entry = service.context.catalog.get("s").unwrap();
    assert!(entry.stream.destination.http.as_deref().unwrap().access_key.is_some(), "what is not given stays");
    let of_s3 = json!({
        "DeliveryStreamName": "s", "CurrentDeliveryStreamVersionId": "2", "DestinationId": "destinationId-000000000001",
        "ExtendedS3DestinationUpdate": { "Prefix": "p/" },
    });
    let (code, message) = service.refused("UpdateDestination", of_s3).await;
    assert!(code == INVALID && message.contains("its type cannot be changed"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused() {
    let attribute = json!({ "AttributeName": "a", "AttributeValue": "" });
    let table = [
        (
            json!({ "RequestConfiguration": { "CommonAttributes": [attribute, attribute] } }),
            "Http Endpoint Common Attributes have duplicate name a",
        ),
        (
            json!({ "CloudWatchLoggingOptions": { "Enabled": true } }),
            "CloudWatch Log Group Name is required if CloudWatch Logging is enabled",
        ),
        (
            json!({ "EndpointConfiguration": { "Url": "https://user:secret@h/" } }),
            "url must not contain credentials: an endpoint is shown an access key",
        ),
        (
            json!({ "ProcessingConfiguration": { "Enabled": true, "Processors": [] } }),
            "A maximum of 5 and a minimum of 1 processor needs to be supplied when processing is enabled.",
        ),
    ];
    let service = Service::new().await;
    for (more, message) in table {
        let refused = service.refused("CreateDeliveryStream", create(more.clone())).await;
        assert_eq!(refused, (INVALID, message.into()), "{more}");
    }
    for url in ["http://h/", "ftp://h/", ""] {
        let body = create(json!({ "EndpointConfiguration": { "Url": url } }));
        assert_eq!(service.refused("CreateDeliveryStream", body).await.0, "ValidationException", "{url}");
    }
    assert!(service.context.catalog.snapshot().is_empty());
}

#[tokio::test(start_paused = true)]
async fn all_data_is_backed_up_as_the_bucket_says() {
    let service = Service::new().await;
    let s3 = json!({
        "RoleARN": ROLE, "BucketARN": "arn:aws:s3:::copies", "Prefix": "all/", "CompressionFormat": "GZIP",
        "BufferingHints": { "SizeInMBs": 7, "IntervalInSeconds": 61 }, "ErrorOutputPrefix": "e/!{firehose:error-output-type}/",
    });
    let all = json!({ "S3BackupMode": "AllData", "S3Configuration": s3 });
    service.call("CreateDeliveryStream", &create(all)).await.unwrap();
    let shown = described(&service).await;
    assert_eq!(shown["S3BackupMode"], "AllData");
    for (name, value) in s3.as_object().unwrap() {
        assert_eq!(shown["S3DestinationDescription"][name], *value, "{name}");
    }
    let stream = service.context.catalog.get("s").unwrap().stream.clone();
    let backup = stream.backup.as_deref().unwrap();
    assert_eq!((backup.buffer.size_bytes, backup.buffer.interval), (7 << 20, Duration::from_secs(61)));
    assert_eq!((backup.destination.compression, backup.destination.prefix.text()), (Compression::Gzip, "all/"));
    assert!(backup.destination.http.is_none() && stream.destination.http.is_some());
    assert_eq!(stream.destination.compression, Compression::None, "what failed is not compressed");
    let update = json!({
        "DeliveryStreamName": "s", "CurrentDeliveryStreamVersionId": "1", "DestinationId": "destinationId-000000000001",
        "HttpEndpointDestinationUpdate": { "S3BackupMode": "FailedDataOnly" },
    });
    service.call("UpdateDestination", &update).await.unwrap();
    assert!(service.context.catalog.get("s").unwrap().stream.backup.is_none());
}
