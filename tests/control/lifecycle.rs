//! Create, describe, encrypt, delete; and streams of the configuration file, which the API only shows.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::processors::with_plugins;
use super::{BUCKET, ROLE, START_MS, Service, config, create, file_stream, named, updating, with_place};
use standpipe::catalog::{Origin, Status};
use standpipe::config::{Buckets, Compression, Sse, Store};
use standpipe::disk::sim::SimDisk;

#[tokio::test(start_paused = true)]
async fn defaults_are_those_of_firehose() {
    let service = Service::new().await;
    let body = json!({ "DeliveryStreamName": "web-logs", "S3DestinationConfiguration": with_place(json!({})) });
    let arn = "arn:aws:firehose:us-east-1:123456789012:deliverystream/web-logs";
    assert_eq!(service.ok("CreateDeliveryStream", body).await, json!({ "DeliveryStreamARN": arn }));
    let plain = json!({
        "RoleARN": ROLE,
        "BucketARN": BUCKET,
        "Prefix": "",
        "BufferingHints": { "SizeInMBs": 5, "IntervalInSeconds": 300 },
        "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": { "NoEncryptionConfig": "NoEncryption" },
        "CloudWatchLoggingOptions": { "Enabled": false },
    });
    let mut extended = plain.clone();
    extended["S3BackupMode"] = "Disabled".into();
    assert_eq!(
        service.describe("web-logs").await,
        json!({
            "DeliveryStreamName": "web-logs",
            "DeliveryStreamARN": arn,
            "DeliveryStreamStatus": "ACTIVE",
            "DeliveryStreamEncryptionConfiguration": { "Status": "DISABLED" },
            "DeliveryStreamType": "DirectPut",
            "VersionId": "1",
            "CreateTimestamp": START_MS as f64 / 1000.0,
            "Destinations": [{
                "DestinationId": "destinationId-000000000001",
                "S3DestinationDescription": plain,
                "ExtendedS3DestinationDescription": extended,
            }],
            "HasMoreDestinations": false,
        })
    );
}

/// A destination with all that there is, and each option said.
fn everything(serializer: &Value, deserializer: &Value) -> Value {
    let parameter = |name: &str, value: &str| json!({ "ParameterName": name, "ParameterValue": value });
    json!({
        "RoleARN": ROLE,
        "BucketARN": BUCKET,
        "Prefix": "t=!{partitionKeyFromQuery:t}/h=!{partitionKeyFromLambda:h}/",
        "ErrorOutputPrefix": "e/!{firehose:error-output-type}/",
        "BufferingHints": { "SizeInMBs": 128, "IntervalInSeconds": 60 },
        "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": { "NoEncryptionConfig": "NoEncryption" },
        "CloudWatchLoggingOptions": { "Enabled": true, "LogGroupName": "g", "LogStreamName": "s" },
        "ProcessingConfiguration": { "Enabled": true, "Processors": [
            { "Type": "RecordDeAggregation", "Parameters": [parameter("SubRecordType", "JSON")] },
            { "Type": "Lambda", "Parameters": [
                parameter("LambdaArn", "arn:aws:lambda:us-east-1:123456789012:function:mask"),
                parameter("NumberOfRetries", "3"),
                parameter("RoleArn", ROLE),
                parameter("BufferSizeInMBs", "1"),
                parameter("BufferIntervalInSeconds", "60"),
            ] },
            { "Type": "MetadataExtraction", "Parameters": [
                parameter("MetadataExtractionQuery", "{t: .tenant}"),
                parameter("JsonParsingEngine", "JQ-1.6"),
            ] },
        ] },
        "S3BackupMode": "Enabled",
        "S3BackupConfiguration": {
            "RoleARN": ROLE,
            "BucketARN": BUCKET,
            "Prefix": "source/!{timestamp:yyyy}/",
            "ErrorOutputPrefix": "source-errors/!{firehose:error-output-type}/",
            "BufferingHints": { "SizeInMBs": 7, "IntervalInSeconds": 61 },
            "CompressionFormat": "GZIP",
            "EncryptionConfiguration": { "NoEncryptionConfig": "NoEncryption" },
            "CloudWatchLoggingOptions": { "Enabled": false },
        },
        "DataFormatConversionConfiguration": {
            "Enabled": true,
            "SchemaConfiguration": {
                "RoleARN": ROLE, "CatalogId": "123456789012", "DatabaseName": "d", "TableName": "t", "Region": "us-east-1",
                "VersionId": "LATEST",
            },
            "InputFormatConfiguration": { "Deserializer": deserializer },
            "OutputFormatConfiguration": { "Serializer": serializer },
        },
        "DynamicPartitioningConfiguration": { "Enabled": true, "RetryOptions": { "DurationInSeconds": 300 } },
        "FileExtension": ".lake",
        "CustomTimeZone": "Europe/Berlin",
    })
}

#[tokio::test(start_paused = true)]
async fn every_option_comes_back_as_it_was_given() {
    let service = Service::start(&SimDisk::new(1), &with_plugins(Vec::new())).await.unwrap();
    let parquet = json!({ "ParquetSerDe": {
        "BlockSizeBytes": 67_108_864, "PageSizeBytes": 65_536, "Compression": "GZIP", "EnableDictionaryCompression": true,
        "MaxPaddingBytes": 1, "WriterVersion": "V2",
    } });
    let orc = json!({ "OrcSerDe": {
        "StripeSizeBytes": 8_388_608, "BlockSizeBytes": 67_108_864, "RowIndexStride": 1_000, "EnablePadding": true,
        "PaddingTolerance": 0.5, "Compression": "ZLIB", "BloomFilterColumns": ["n"],
        "BloomFilterFalsePositiveProbability": 0.1, "DictionaryKeyThreshold": 0.8, "FormatVersion": "V0_11",
    } });
    let openx = json!({ "OpenXJsonSerDe": {
        "ConvertDotsInJsonKeysToUnderscores": true, "CaseInsensitive": false, "ColumnToJsonKeyMappings": { "ts": "timestamp" },
    } });
    let hive = json!({ "HiveJsonSerDe": { "TimestampFormats": ["millis", "yyyy-MM-dd"] } });
    for (name, serializer, deserializer) in [("a", &parquet, &openx), ("b", &orc, &hive), ("c", &parquet, &hive)] {
        let given = everything(serializer, deserializer);
        service.create(name, given.clone()).await;
        let mut expected = given;
        let backup = expected.as_object_mut().unwrap().remove("S3BackupConfiguration").unwrap();
        expected["S3BackupDescription"] = backup;
        let shown = service.describe(name).await["Destinations"][0]["ExtendedS3DestinationDescription"].clone();
        assert_eq!(shown, expected);
        let stream = service.context.catalog.get(name).unwrap().stream.clone();
        let conversion = stream.destination.conversion.as_ref().unwrap();
        assert_eq!(conversion.format.extension(), if name == "b" { ".orc" } else { ".parquet" });
        assert_eq!((stream.process.len(), stream.destination.prefix.keys().len()), (3, 2));
        assert_eq!(stream.backup.as_ref().unwrap().destination.compression, Compression::Gzip);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_is_what_is_done() {
    let service = Service::new().await;
    let key = "arn:aws:kms:us-east-1:123456789012:key/k";
    let given = json!({
        "BucketARN": "arn:aws:s3:::lake",
        "Prefix": "d/!{timestamp:yyyy}/",
        "ErrorOutputPrefix": "e/!{firehose:error-output-type}/",
        "BufferingHints": { "SizeInMBs": 128, "IntervalInSeconds": 0 },
        "CompressionFormat": "HADOOP_SNAPPY",
        "EncryptionConfiguration": { "KMSEncryptionConfig": { "AWSKMSKeyARN": key } },
        "CloudWatchLoggingOptions": { "Enabled": true, "LogGroupName": "g", "LogStreamName": "s" },
        "CustomTimeZone": "Europe/Berlin",
        "FileExtension": ".sn",
    });
    service.create("s", given.clone()).await;
    let entry = service.context.catalog.get("s").unwrap();
    assert_eq!((entry.origin, entry.status, entry.version), (Origin::Api, Status::Active, 1));
    let (stream, to) = (&entry.stream, &entry.stream.destination);
    assert_eq!((stream.buffer.size_bytes, stream.buffer.interval.as_secs()), (128 << 20, 0));
    assert_eq!((to.compression, to.time_zone.name()), (Compression::HadoopSnappy, "Europe/Berlin"));
    assert_eq!((to.prefix.text(), to.file_extension.as_deref()), ("d/!{timestamp:yyyy}/", Some(".sn")));
    let Store::S3(s3) = &to.store else { panic!("{:?}", to.store) };
    assert_eq!((s3.bucket.as_str(), &s3.sse), ("lake", &Some(Sse::Kms { key: Some(key.into()) })));
    let shown = service.destination("s").await;
    for (member, value) in given.as_object().unwrap() {
        assert_eq!(&shown[member], value, "{member}");
    }
}

#[tokio::test(start_paused = true)]
async fn buckets_may_be_folders() {
    let config = standpipe::config::Config { buckets: Buckets::Local("/srv/lake".into()), ..config(Vec::new()) };
    let service = Service::start(&SimDisk::new(1), &config).await.unwrap();
    service.create("s", json!({ "BucketARN": "arn:aws:s3:::logs" })).await;
    let entry = service.context.catalog.get("s").unwrap();
    assert_eq!(entry.stream.destination.store, Store::Local { path: PathBuf::from("/srv/lake/logs") });
    for bucket in [".", "..", ".hidden"] {
        let body = create("t", json!({ "BucketARN": format!("arn:aws:s3:::{bucket}") }));
        assert_eq!(service.refused("CreateDeliveryStream", body).await.0, "InvalidArgumentException");
    }
    let key = json!({ "KMSEncryptionConfig": { "AWSKMSKeyARN": "arn:aws:kms:us-east-1:123456789012:key/k" } });
    let (code, message) =
        service.refused("CreateDeliveryStream", create("t", json!({ "EncryptionConfiguration": key }))).await;
    assert_eq!(code, "InvalidArgumentException");
    assert!(message.starts_with("KMSEncryptionConfig is not supported"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_name_is_taken_once_and_free_when_its_stream_is_gone() {
    let service = Service::new().await;
    service.create("s", json!({})).await;
    let taken = ("ResourceInUseException", "Firehose s under accountId 123456789012 already exists".to_owned());
    assert_eq!(service.refused("CreateDeliveryStream", create("s", json!({}))).await, taken);
    let first = service.context.catalog.get("s").unwrap().id;

    service.ok("DeleteDeliveryStream", named("s")).await;
    assert_eq!(service.describe("s").await["DeliveryStreamStatus"], "DELETING");
    // Deleting again succeeds; all other changes are refused until it is gone.
    service.ok("DeleteDeliveryStream", json!({ "DeliveryStreamName": "s", "AllowForceDelete": true })).await;
    assert_eq!(service.refused("CreateDeliveryStream", create("s", json!({}))).await, taken);
    for (operation, body) in [
        ("UpdateDestination", updating("s", "1", json!({ "Prefix": "x" }))),
        ("TagDeliveryStream", json!({ "DeliveryStreamName": "s", "Tags": [{ "Key": "a" }] })),
        ("UntagDeliveryStream", json!({ "DeliveryStreamName": "s", "TagKeys": ["a"] })),
        ("StartDeliveryStreamEncryption", named("s")),
        ("StopDeliveryStreamEncryption", named("s")),
    ] {
        let refused = ("ResourceInUseException", "Firehose s under accountId 123456789012 is being deleted".to_owned());
        assert_eq!(service.refused(operation, body).await, refused, "{operation}");
    }

    let catalog = &service.context.catalog;
    catalog.gone("s", first).await.unwrap();
    catalog.gone("s", first).await.unwrap();
    for operation in ["DescribeDeliveryStream", "DeleteDeliveryStream", "ListTagsForDeliveryStream"] {
        let missing = ("ResourceNotFoundException", "Firehose s under account 123456789012 not found.".to_owned());
        assert_eq!(service.refused(operation, named("s")).await, missing);
    }
    service.create("s", json!({})).await;
    let second = catalog.get("s").unwrap();
    assert_ne!(second.id, first);
    // A late word about the first life does nothing to the second.
    catalog.gone("s", first).await.unwrap();
    service.ok("DeleteDeliveryStream", named("s")).await;
    catalog.gone("s", first).await.unwrap();
    assert_eq!(catalog.get("s").unwrap().id, second.id);
}

#[tokio::test(start_paused = true)]
async fn the_cursor_of_destinations() {
    let service = Service::new().await;
    service.create("s", json!({})).await;
    for (cursor, shown) in [("destinationId-000000000001", 0), ("other", 1)] {
        let body = json!({ "DeliveryStreamName": "s", "ExclusiveStartDestinationId": cursor, "Limit": 1 });
        let answer = service.ok("DescribeDeliveryStream", body).await["DeliveryStreamDescription"].clone();
        assert_eq!(answer["Destinations"].as_array().unwrap().len(), shown, "{cursor}");
        assert_eq!(answer["HasMoreDestinations"], false);
    }
}

#[tokio::test(start_paused = true)]
async fn encryption_is_on_at_once_if_there_is_a_key() {
    let service = Service::new().await;
    let on = json!({ "KeyType": "AWS_OWNED_CMK", "Status": "ENABLED" });
    let off = json!({ "Status": "DISABLED" });
    let status = async |name: &str| service.describe(name).await["DeliveryStreamEncryptionConfiguration"].clone();
    let mut body = create("made-encrypted", json!({}));
    body["DeliveryStreamEncryptionConfigurationInput"] = json!({ "KeyType": "AWS_OWNED_CMK" });
    service.ok("CreateDeliveryStream", body).await;
    assert_eq!(status("made-encrypted").await, on);

    service.create("s", json!({})).await;
    service.ok("StartDeliveryStreamEncryption", named("s")).await;
    service.ok("StartDeliveryStreamEncryption", named("s")).await;
    assert_eq!(status("s").await, on);
    // An update of the destination leaves it on, and it is no update of the destination.
    service.update("s", "1", json!({ "Prefix": "x/" })).await.unwrap();
    assert!(service.context.catalog.get("s").unwrap().stream.encrypted);
    assert_eq!(service.describe("s").await["VersionId"], "2");
    service.ok("StopDeliveryStreamEncryption", named("s")).await;
    assert_eq!(status("s").await, off);
    let theirs = json!({
        "DeliveryStreamName": "s",
        "DeliveryStreamEncryptionConfigurationInput": { "KeyType": "CUSTOMER_MANAGED_CMK" },
    });
    assert_eq!(
        service.refused("StartDeliveryStreamEncryption", theirs).await,
        ("InvalidArgumentException", "KeyARN has to be specified when KeyType is CUSTOMER_MANAGED_CMK".into())
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_key_encryption_is_refused() {
    let keyless = standpipe::config::Config { encryption_key: None, ..config(Vec::new()) };
    let service = Service::start(&SimDisk::new(1), &keyless).await.unwrap();
    let refused =
        ("InvalidArgumentException", "encryption is not available: the configuration has no encryption_key".to_owned());
    let mut body = create("s", json!({}));
    body["DeliveryStreamEncryptionConfigurationInput"] = json!({ "KeyType": "AWS_OWNED_CMK" });
    assert_eq!(service.refused("CreateDeliveryStream", body).await, refused);
    service.create("s", json!({})).await;
    assert_eq!(service.refused("StartDeliveryStreamEncryption", named("s")).await, refused);
    service.ok("StopDeliveryStreamEncryption", named("s")).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_the_file_is_shown_and_never_changed() {
    let service = Service::start(&SimDisk::new(1), &config(vec![file_stream("web", "w/")])).await.unwrap();
    let shown = service.describe("web").await;
    assert_eq!((&shown["DeliveryStreamStatus"], &shown["VersionId"]), (&json!("ACTIVE"), &json!("1")));
    let destination = service.destination("web").await;
    assert_eq!(destination["BucketARN"], "arn:aws:s3:::my-lake");
    assert_eq!((&destination["Prefix"], &destination["CompressionFormat"]), (&json!("w/"), &json!("ZSTD")));
    let belongs = "delivery stream web belongs to the configuration file: change it there and restart the service";
    let calls: [(&str, Value); 6] = [
        ("DeleteDeliveryStream", json!({ "DeliveryStreamName": "web", "AllowForceDelete": true })),
        ("UpdateDestination", updating("web", "1", json!({ "Prefix": "x" }))),
        ("TagDeliveryStream", json!({ "DeliveryStreamName": "web", "Tags": [{ "Key": "a" }] })),
        ("UntagDeliveryStream", json!({ "DeliveryStreamName": "web", "TagKeys": ["a"] })),
        ("StartDeliveryStreamEncryption", named("web")),
        ("StopDeliveryStreamEncryption", named("web")),
    ];
    for (operation, body) in calls {
        let refused = service.refused(operation, body).await;
        assert_eq!(refused, ("InvalidArgumentException", belongs.into()), "{operation}");
    }
    assert_eq!(service.refused("CreateDeliveryStream", create("web", json!({}))).await.0, "ResourceInUseException");
    assert_eq!(service.ok("ListTagsForDeliveryStream", named("web")).await["Tags"], json!([]));
}

/// In a bucket such keys are odd; below a directory every object would be refused, for ever, after its records were
/// acknowledged.
#[tokio::test(start_paused = true)]
async fn prefixes_that_no_directory_takes_are_refused_where_buckets_are_folders() {
    let config = standpipe::config::Config { buckets: Buckets::Local("/srv/lake".into()), ..config(Vec::new()) };
    let service = Service::start(&SimDisk::new(1), &config).await.unwrap();
    for prefix in ["/logs/", "a//b/", "../../etc/", "a/./", ".tmp-", "a\\b/"] {
        let (code, message) = service.refused("CreateDeliveryStream", create("s", json!({ "Prefix": prefix }))).await;
        assert_eq!(code, "InvalidArgumentException", "{prefix}");
        assert!(message.contains("in its path"), "{prefix}: {message}");
    }
    service.create("s", json!({ "Prefix": "logs/" })).await;
    assert!(service.update("s", "1", json!({ "ErrorOutputPrefix": "/errors/" })).await.is_err());
}
