//! What infrastructure tools send is described again without drift.

use serde_json::{Value, json};

use super::{BUCKET, ROLE, Service, named};

/// Every member that `sent` has is in `shown` with the same value.
fn assert_within(sent: &Value, shown: &Value, path: &str) {
    match (sent, shown) {
        (Value::Object(sent), Value::Object(shown)) => {
            for (name, value) in sent {
                let path = format!("{path}.{name}");
                assert_within(value, shown.get(name).unwrap_or_else(|| panic!("{path} is missing")), &path);
            }
        }
        _ => assert_eq!(sent, shown, "{path}"),
    }
}

/// As the Terraform provider writes `aws_kinesis_firehose_delivery_stream` with a plain `extended_s3_configuration`,
/// and with blocks that are there and off.
#[tokio::test(start_paused = true)]
async fn terraform_sees_what_it_sent() {
    let minimal = json!({
        "BucketARN": BUCKET,
        "RoleARN": ROLE,
        "BufferingHints": { "IntervalInSeconds": 300, "SizeInMBs": 5 },
        "CompressionFormat": "UNCOMPRESSED",
        "CustomTimeZone": "UTC",
        "DataFormatConversionConfiguration": { "Enabled": false },
        "EncryptionConfiguration": { "NoEncryptionConfig": "NoEncryption" },
        "FileExtension": "",
        "Prefix": "",
        "ProcessingConfiguration": { "Enabled": false, "Processors": [] },
        "S3BackupMode": "Disabled",
    });
    let mut blocks = minimal.clone();
    blocks["CloudWatchLoggingOptions"] = json!({ "Enabled": true, "LogGroupName": "/aws/x", "LogStreamName": "S3" });
    blocks["DynamicPartitioningConfiguration"] =
        json!({ "Enabled": false, "RetryOptions": { "DurationInSeconds": 300 } });
    blocks["DataFormatConversionConfiguration"] = json!({
        "Enabled": false,
        "InputFormatConfiguration": { "Deserializer": { "OpenXJsonSerDe": { "CaseInsensitive": true } } },
        "OutputFormatConfiguration": { "Serializer": { "ParquetSerDe": { "BlockSizeBytes": 268_435_456 } } },
        "SchemaConfiguration": { "DatabaseName": "d", "RoleARN": ROLE, "TableName": "t" },
    });
    blocks["ProcessingConfiguration"] = json!({
        "Enabled": false,
        "Processors": [{ "Type": "Lambda", "Parameters": [{ "ParameterName": "LambdaArn", "ParameterValue": "arn:x" }] }],
    });
    let service = Service::new().await;
    for (name, destination) in [("minimal", minimal), ("blocks", blocks)] {
        let body = json!({
            "DeliveryStreamName": name,
            "DeliveryStreamType": "DirectPut",
            "ExtendedS3DestinationConfiguration": destination,
            "Tags": [{ "Key": "team", "Value": "data" }],
        });
        service.ok("CreateDeliveryStream", body).await;
        assert_within(&destination, &service.destination(name).await, name);
        // The apply that follows changes nothing.
        service.update(name, "1", destination).await.unwrap();
        assert_eq!(service.describe(name).await["VersionId"], "1");
    }
    service
        .ok(
            "StartDeliveryStreamEncryption",
            json!({
                "DeliveryStreamName": "minimal",
                "DeliveryStreamEncryptionConfigurationInput": { "KeyType": "AWS_OWNED_CMK" },
            }),
        )
        .await;
    service.ok("DeleteDeliveryStream", json!({ "DeliveryStreamName": "minimal", "AllowForceDelete": true })).await;
    let id = service.context.catalog.get("minimal").unwrap().id;
    service.context.catalog.gone("minimal", id).await.unwrap();
    assert_eq!(service.refused("DescribeDeliveryStream", named("minimal")).await.0, "ResourceNotFoundException");
}

#[tokio::test(start_paused = true)]
async fn the_throughput_hint_is_shown() {
    let service = Service::new().await;
    let body = json!({
        "DeliveryStreamName": "s",
        "DirectPutSourceConfiguration": { "ThroughputHintInMBs": 7 },
        "ExtendedS3DestinationConfiguration": { "BucketARN": BUCKET, "RoleARN": ROLE },
    });
    service.ok("CreateDeliveryStream", body).await;
    service.update("s", "1", json!({ "Prefix": "x/" })).await.unwrap();
    let shown = service.describe("s").await;
    assert_eq!(shown["Source"], json!({ "DirectPutSourceDescription": { "ThroughputHintInMBs": 7 } }));
}
