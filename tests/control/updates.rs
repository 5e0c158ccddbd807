//! UpdateDestination: what is merged, what raises the version, what is refused.

use serde_json::{Value, json};

use super::{BUCKET, ROLE, START_MS, Service, create, updating};

/// (destination at creation, update, members of the description afterwards; null: absent)
async fn assert_merged<const N: usize>(table: [(Value, Value, Value); N]) {
    let service = Service::new().await;
    for (number, (before, update, after)) in table.into_iter().enumerate() {
        let name = format!("s{number}");
        service.create(&name, before).await;
        service.update(&name, "1", update.clone()).await.expect("the update is right");
        let shown = service.destination(&name).await;
        for (member, value) in after.as_object().expect("the test gives an object") {
            assert_eq!(&shown[member], value, "{member} after {update}");
        }
        assert_eq!(service.describe(&name).await["VersionId"], "2");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_given_stays_and_what_is_given_is_replaced_whole() {
    assert_merged([
        (
            json!({ "Prefix": "a/", "CompressionFormat": "GZIP" }),
            json!({ "Prefix": "b/" }),
            json!({ "Prefix": "b/", "CompressionFormat": "GZIP" }),
        ),
        (
            json!({ "BufferingHints": { "SizeInMBs": 10, "IntervalInSeconds": 60 } }),
            json!({ "BufferingHints": { "SizeInMBs": 20, "IntervalInSeconds": 90 } }),
            json!({ "BufferingHints": { "SizeInMBs": 20, "IntervalInSeconds": 90 } }),
        ),
        // Replaced whole: the other half is the default again.
        (
            json!({ "BufferingHints": { "SizeInMBs": 10, "IntervalInSeconds": 60 } }),
            json!({ "BufferingHints": { "SizeInMBs": 20 } }),
            json!({ "BufferingHints": { "SizeInMBs": 20, "IntervalInSeconds": 300 } }),
        ),
        (
            json!({ "BufferingHints": { "SizeInMBs": 10, "IntervalInSeconds": 60 } }),
            json!({ "FileExtension": ".json" }),
            json!({ "BufferingHints": { "SizeInMBs": 10, "IntervalInSeconds": 60 }, "FileExtension": ".json" }),
        ),
        (
            json!({ "EncryptionConfiguration": { "NoEncryptionConfig": "NoEncryption" } }),
            json!({ "EncryptionConfiguration": {
                "KMSEncryptionConfig": { "AWSKMSKeyARN": "arn:aws:kms:us-east-1:123456789012:key/k" },
            } }),
            json!({ "EncryptionConfiguration": {
                "KMSEncryptionConfig": { "AWSKMSKeyARN": "arn:aws:kms:us-east-1:123456789012:key/k" },
            } }),
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn some_members_merge_inside() {
    let conversion = |schema: Value| json!({ "DataFormatConversionConfiguration": { "Enabled": false, "SchemaConfiguration": schema } });
    let delimiter = json!([{ "Type": "AppendDelimiterToRecord" }]);
    assert_merged([
        // Enabled is inherited, Processors are cleared.
        (
            json!({ "ProcessingConfiguration": { "Enabled": false, "Processors": delimiter } }),
            json!({ "ProcessingConfiguration": {} }),
            json!({ "ProcessingConfiguration": { "Enabled": false } }),
        ),
        (
            json!({ "ProcessingConfiguration": { "Enabled": false } }),
            json!({ "ProcessingConfiguration": { "Processors": delimiter } }),
            json!({ "ProcessingConfiguration": { "Enabled": false, "Processors": delimiter } }),
        ),
        // Member by member, also in the schema.
        (
            conversion(json!({ "DatabaseName": "d", "TableName": "t" })),
            json!({ "DataFormatConversionConfiguration": { "SchemaConfiguration": { "TableName": "u" } } }),
            conversion(json!({ "DatabaseName": "d", "TableName": "u" })),
        ),
        (
            json!({ "S3BackupConfiguration": { "RoleARN": ROLE, "BucketARN": BUCKET, "Prefix": "x/" } }),
            json!({ "S3BackupUpdate": { "CompressionFormat": "GZIP" } }),
            json!({ "S3BackupDescription": {
                "RoleARN": ROLE,
                "BucketARN": BUCKET,
                "Prefix": "x/",
                "CompressionFormat": "GZIP",
                "BufferingHints": { "SizeInMBs": 5, "IntervalInSeconds": 300 },
                "EncryptionConfiguration": { "NoEncryptionConfig": "NoEncryption" },
                "CloudWatchLoggingOptions": { "Enabled": false },
            }, "S3BackupConfiguration": null }),
        ),
        (
            json!({ "S3BackupMode": "Disabled" }),
            json!({ "S3BackupMode": "Enabled", "S3BackupUpdate": {
                "RoleARN": ROLE, "BucketARN": BUCKET, "BufferingHints": { "SizeInMBs": 7, "IntervalInSeconds": 60 },
            } }),
            json!({ "S3BackupMode": "Enabled", "S3BackupDescription": {
                "RoleARN": ROLE,
                "BucketARN": BUCKET,
                "Prefix": "",
                "CompressionFormat": "UNCOMPRESSED",
                "BufferingHints": { "SizeInMBs": 7, "IntervalInSeconds": 60 },
                "EncryptionConfiguration": { "NoEncryptionConfig": "NoEncryption" },
                "CloudWatchLoggingOptions": { "Enabled": false },
            } }),
        ),
        (
            json!({ "BucketARN": "arn:aws:s3:::one" }),
            json!({ "BucketARN": "arn:aws:s3:::two", "RoleARN": "arn:aws:iam::123456789012:role/other" }),
            json!({ "BucketARN": "arn:aws:s3:::two", "RoleARN": "arn:aws:iam::123456789012:role/other" }),
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_a_change_raises_the_version() {
    let service = Service::new().await;
    service.create("s", json!({ "Prefix": "a/" })).await;
    service.context.clock.sleep(std::time::Duration::from_millis(1_250)).await;
    // Nothing, the same, and the defaults in words.
    let same = [
        json!({}),
        json!({ "Prefix": "a/" }),
        json!({ "CompressionFormat": "UNCOMPRESSED", "BufferingHints": { "IntervalInSeconds": 300, "SizeInMBs": 5 } }),
        json!({ "BufferingHints": { "SizeInMBs": 5.0 }, "Prefix": null }),
    ];
    for update in same {
        service.update("s", "1", update).await.unwrap();
        let shown = service.describe("s").await;
        assert_eq!((&shown["VersionId"], shown.get("LastUpdateTimestamp")), (&json!("1"), None));
    }
    service.update("s", "1", json!({ "Prefix": "b/" })).await.unwrap();
    let shown = service.describe("s").await;
    assert_eq!(shown["VersionId"], "2");
    assert_eq!(shown["CreateTimestamp"], json!(START_MS as f64 / 1000.0));
    assert_eq!(shown["LastUpdateTimestamp"], json!((START_MS + 1_250) as f64 / 1000.0));
    let entry = service.context.catalog.get("s").unwrap();
    assert_eq!((entry.version, entry.stream.destination.prefix.text()), (2, "b/"));
}

#[tokio::test(start_paused = true)]
async fn the_plain_update_changes_the_same_stream() {
    let service = Service::new().await;
    service.create("s", json!({ "FileExtension": ".x" })).await;
    let mut body = updating("s", "1", json!({}));
    body.as_object_mut().unwrap().remove("ExtendedS3DestinationUpdate");
    body["S3DestinationUpdate"] = json!({ "Prefix": "p/", "CompressionFormat": "ZIP" });
    service.ok("UpdateDestination", body).await;
    let shown = service.describe("s").await["Destinations"][0].clone();
    assert_eq!(shown["S3DestinationDescription"]["Prefix"], "p/");
    assert_eq!(shown["S3DestinationDescription"].get("FileExtension"), None);
    assert_eq!(shown["ExtendedS3DestinationDescription"]["CompressionFormat"], "ZIP");
    assert_eq!(shown["ExtendedS3DestinationDescription"]["FileExtension"], ".x");
}

#[tokio::test(start_paused = true)]
async fn updates_that_are_refused() {
    let service = Service::new().await;
    service.create("s", json!({})).await;
    service.update("s", "1", json!({ "Prefix": "a/" })).await.unwrap();
    let backup = json!({ "RoleARN": ROLE, "BucketARN": BUCKET, "Prefix": "source/" });
    service.create("backed-up", json!({ "S3BackupMode": "Enabled", "S3BackupConfiguration": backup })).await;
    let http = json!({ "EndpointConfiguration": { "Url": "https://x" } });
    let mut wrong_id = updating("s", "2", json!({}));
    wrong_id["DestinationId"] = "destinationId-000000000002".into();
    let mut none = updating("s", "2", json!({}));
    none.as_object_mut().unwrap().remove("ExtendedS3DestinationUpdate");
    let mut two = updating("s", "2", json!({}));
    two["S3DestinationUpdate"] = json!({});
    let mut other = none.clone();
    other["HttpEndpointDestinationUpdate"] = http;
    let table = [
        (
            updating("s", "1", json!({})),
            "ConcurrentModificationException",
            "Cannot update firehose: s since the current version id: 2 and specified version id: 1 do not match",
        ),
        (
            updating("t", "1", json!({})),
            "ResourceNotFoundException",
            "Firehose t under account 123456789012 not found.",
        ),
        (wrong_id, "InvalidArgumentException", "Destination Id destinationId-000000000002 not found"),
        (none, "InvalidArgumentException", "Exactly one destination configuration is supported for a Firehose"),
        (two, "InvalidArgumentException", "Exactly one destination configuration is supported for a Firehose"),
        (
            other,
            "InvalidArgumentException",
            "Destination Id destinationId-000000000001 of s is no HttpEndpoint: its type cannot be changed",
        ),
        (
            updating("s", "2", json!({ "Prefix": "!{timestamp:yyyy}/" })),
            "InvalidArgumentException",
            "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions",
        ),
        (
            updating("s", "2", json!({ "S3BackupMode": "Enabled" })),
            "InvalidArgumentException",
            "S3 backup destination configuration is required when enabling S3 backup.",
        ),
        (
            updating("s", "2", json!({ "S3BackupUpdate": { "Prefix": "x/" } })),
            "InvalidArgumentException",
            "S3BackupUpdate needs BucketARN and RoleARN where there was no S3 backup before",
        ),
        (
            updating("backed-up", "1", json!({ "S3BackupMode": "Disabled" })),
            "InvalidArgumentException",
            "Disabling S3 backup is not currently supported.",
        ),
        (
            updating("s", "2", json!({ "DynamicPartitioningConfiguration": { "Enabled": true } })),
            "InvalidArgumentException",
            "Dynamic Partitioning can only be enabled when a Firehose is created, and cannot be disabled afterwards",
        ),
    ];
    for (body, code, message) in table {
        assert_eq!(service.refused("UpdateDestination", body.clone()).await, (code, message.into()), "{body}");
    }
    assert_eq!(service.describe("s").await["VersionId"], "2");
}

/// Of updates that know the same version one wins, and the others are told.
#[tokio::test(start_paused = true)]
async fn racing_updates() {
    let service = Service::new().await;
    service.ok("CreateDeliveryStream", create("s", json!({}))).await;
    let update = |prefix: &'static str| service.update("s", "1", json!({ "Prefix": prefix }));
    let (a, b, c) = tokio::join!(update("a/"), update("b/"), update("c/"));
    let results = [a, b, c];
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for error in results.into_iter().filter_map(Result::err) {
        assert_eq!(error.code, "ConcurrentModificationException");
    }
    assert_eq!(service.describe("s").await["VersionId"], "2");
}
