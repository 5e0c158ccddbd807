//! What is refused before a destination is looked at, with which code and which words: the parts of a create, the
//! constraints of the model, JSON that is none.

use serde_json::{Value, json};

use super::{BUCKET, ROLE, Service, create, named, updating, with_place};

const INVALID: &str = "InvalidArgumentException";
const VALIDATION: &str = "ValidationException";
const SERIALIZATION: &str = "SerializationException";

#[tokio::test(start_paused = true)]
async fn a_create_with_the_wrong_parts() {
    let service = Service::new().await;
    let s3 = with_place(json!({}));
    let http = json!({ "EndpointConfiguration": { "Url": "https://x" }, "S3Configuration": s3 });
    let splunk = json!({
        "HECEndpoint": "https://x", "HECEndpointType": "Raw", "HECToken": "t", "S3Configuration": s3,
    });
    let kinesis = json!({ "KinesisStreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/s", "RoleARN": ROLE });
    let key = "arn:aws:kms:us-east-1:123456789012:key/k";
    let encryption = |input: Value| json!({ "ExtendedS3DestinationConfiguration": s3, "DeliveryStreamEncryptionConfigurationInput": input });
    let exactly_one = "Exactly one destination configuration is supported for a Firehose";
    let table = [
        (json!({}), exactly_one),
        (json!({ "S3DestinationConfiguration": s3, "ExtendedS3DestinationConfiguration": s3 }), exactly_one),
        (json!({ "S3DestinationConfiguration": s3, "HttpEndpointDestinationConfiguration": http }), exactly_one),
        (
            json!({ "SplunkDestinationConfiguration": splunk }),
            "SplunkDestinationConfiguration is not supported yet by Standpipe",
        ),
        (
            json!({ "DeliveryStreamType": "KinesisStreamAsSource", "S3DestinationConfiguration": s3 }),
            "KinesisSourceStreamConfig is mandatory for KinesisStreamAsSource stream type.",
        ),
        (
            json!({ "DeliveryStreamType": "MSKAsSource", "S3DestinationConfiguration": s3 }),
            "MSKSourceConfig is mandatory for MSK as Source stream type.",
        ),
        (
            json!({
                "DeliveryStreamType": "KinesisStreamAsSource",
                "KinesisStreamSourceConfiguration": kinesis,
                "DeliveryStreamEncryptionConfigurationInput": { "KeyType": "AWS_OWNED_CMK" },
                "S3DestinationConfiguration": s3,
            }),
            "Server side encryption from firehose is only allowed for direct put delivery streams and database as a source delivery streams",
        ),
        (
            json!({ "KinesisStreamSourceConfiguration": kinesis, "S3DestinationConfiguration": s3 }),
            "KinesisStreamSourceConfiguration needs DeliveryStreamType KinesisStreamAsSource, not DirectPut",
        ),
        (
            json!({
                "DeliveryStreamType": "KinesisStreamAsSource",
                "KinesisStreamSourceConfiguration": kinesis,
                "DirectPutSourceConfiguration": { "ThroughputHintInMBs": 1 },
                "S3DestinationConfiguration": s3,
            }),
            "DirectPutSourceConfiguration needs DeliveryStreamType DirectPut, not KinesisStreamAsSource",
        ),
        (
            json!({ "DeliveryStreamType": "DatabaseAsSource", "S3DestinationConfiguration": s3 }),
            "DeliveryStreamType DatabaseAsSource is not supported yet by Standpipe",
        ),
        (
            encryption(json!({ "KeyType": "CUSTOMER_MANAGED_CMK" })),
            "KeyARN has to be specified when KeyType is CUSTOMER_MANAGED_CMK",
        ),
        (
            encryption(json!({ "KeyType": "AWS_OWNED_CMK", "KeyARN": key })),
            "KeyARN cannot be specified when KeyType is AWS_OWNED_CMK",
        ),
        (
            encryption(json!({ "KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": key })),
            "KeyType CUSTOMER_MANAGED_CMK is not supported yet by Standpipe: use AWS_OWNED_CMK, which is the encryption_key of its configuration",
        ),
    ];
    for (mut body, message) in table {
        body["DeliveryStreamName"] = "s".into();
        assert_eq!(service.refused("CreateDeliveryStream", body.clone()).await, (INVALID, message.into()), "{body}");
    }
}

/// Layer one: the message about one broken constraint of the model.
fn one(path: &str, constraint: &str) -> String {
    format!("1 validation error detected: Value at '{path}' failed to satisfy constraint: Member must {constraint}")
}

#[tokio::test(start_paused = true)]
async fn broken_constraints_are_all_named() {
    let service = Service::new().await;
    let at = |member: &str| format!("extendedS3DestinationConfiguration.{member}");
    let table = [
        (
            json!({ "CompressionFormat": "BROTLI" }),
            one(&at("compressionFormat"), "satisfy enum value set: [ZIP, HADOOP_SNAPPY, Snappy, GZIP, UNCOMPRESSED]"),
        ),
        (
            json!({ "BufferingHints": { "SizeInMBs": 129 } }),
            one(&at("bufferingHints.sizeInMBs"), "have value less than or equal to 128"),
        ),
        (
            json!({ "BufferingHints": { "IntervalInSeconds": -1 } }),
            one(&at("bufferingHints.intervalInSeconds"), "have value greater than or equal to 0"),
        ),
        (
            json!({ "FileExtension": "gz" }),
            one(&at("fileExtension"), r"satisfy regular expression pattern: ^$|\.[0-9a-z!\-_.*'()]+"),
        ),
        (json!({ "Prefix": "a".repeat(1025) }), one(&at("prefix"), "have length less than or equal to 1024")),
        (
            json!({ "ProcessingConfiguration": { "Processors": [{ "Type": "X" }] } }),
            one(
                &at("processingConfiguration.processors.1.member.type"),
                "satisfy enum value set: [RecordDeAggregation, Decompression, CloudWatchLogProcessing, Lambda, MetadataExtraction, AppendDelimiterToRecord]",
            ),
        ),
        (
            json!({ "EncryptionConfiguration": { "KMSEncryptionConfig": {} } }),
            one(&at("encryptionConfiguration.kMSEncryptionConfig.aWSKMSKeyARN"), "not be null"),
        ),
        (
            json!({ "Prefix": "a".repeat(1025), "BucketARN": "x" }),
            format!(
                "2 validation errors detected: Value at '{}' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:.*:s3:::[\\w\\.\\-]{{1,255}}; Value at '{}' failed to satisfy constraint: Member must have length less than or equal to 1024",
                at("bucketARN"),
                at("prefix"),
            ),
        ),
    ];
    for (destination, message) in table {
        let body = create("s", destination);
        assert_eq!(service.refused("CreateDeliveryStream", body.clone()).await, (VALIDATION, message), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn constraints_hold_in_every_operation() {
    let service = Service::new().await;
    let calls = [
        ("DescribeDeliveryStream", json!({}), one("deliveryStreamName", "not be null")),
        (
            "DeleteDeliveryStream",
            named("a b"),
            one("deliveryStreamName", "satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
        ),
        ("DescribeDeliveryStream", named(&"a".repeat(65)), one("deliveryStreamName", "have length less than or equal to 64")),
        ("ListDeliveryStreams", json!({ "Limit": 0 }), one("limit", "have value greater than or equal to 1")),
        (
            "TagDeliveryStream",
            json!({ "DeliveryStreamName": "s", "Tags": [{ "Key": "a" }, { "Key": "aws:b" }] }),
            one("tags.2.member.key", r"satisfy regular expression pattern: ^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$"),
        ),
        (
            "TagDeliveryStream",
            json!({ "DeliveryStreamName": "s", "Tags": [] }),
            one("tags", "have length greater than or equal to 1"),
        ),
        (
            "UntagDeliveryStream",
            json!({ "DeliveryStreamName": "s", "TagKeys": vec!["k"; 51] }),
            one("tagKeys", "have length less than or equal to 50"),
        ),
        (
            "UpdateDestination",
            updating("s", "x", json!({ "CompressionFormat": "none" })),
            "2 validation errors detected: Value at 'currentDeliveryStreamVersionId' failed to satisfy constraint: Member must satisfy regular expression pattern: [0-9]+; Value at 'extendedS3DestinationUpdate.compressionFormat' failed to satisfy constraint: Member must satisfy enum value set: [ZIP, HADOOP_SNAPPY, Snappy, GZIP, UNCOMPRESSED]".into(),
        ),
        (
            "CreateDeliveryStream",
            json!({ "DeliveryStreamName": "s", "HttpEndpointDestinationConfiguration": {
                "EndpointConfiguration": { "Url": "http://x" },
                "S3Configuration": { "RoleARN": ROLE, "BucketARN": BUCKET },
            } }),
            one("httpEndpointDestinationConfiguration.endpointConfiguration.url", "satisfy regular expression pattern: https://.*"),
        ),
    ];
    for (operation, body, message) in calls {
        assert_eq!(service.refused(operation, body).await, (VALIDATION, message), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_json_is_a_serialization_fault() {
    let service = Service::new().await;
    let bodies: [&[u8]; 6] = [
        b"",
        b"{",
        b"[]",
        br#"{"DeliveryStreamName": 5}"#,
        br#"{"DeliveryStreamName": {"a": 1}}"#,
        b"{\"DeliveryStreamName\": \"\xff\"}",
    ];
    for body in bodies {
        let error = service.call_bytes("DescribeDeliveryStream", body).await.unwrap_err();
        assert_eq!(error.code, SERIALIZATION, "{body:?}");
    }
    let table = [
        (json!({ "BufferingHints": { "SizeInMBs": "5" } }), "bufferingHints.sizeInMBs' is not an integer"),
        (json!({ "BufferingHints": { "SizeInMBs": 5.5 } }), "bufferingHints.sizeInMBs' is not an integer"),
        (json!({ "BufferingHints": [] }), "bufferingHints' is not a JSON object"),
        (
            json!({ "ProcessingConfiguration": { "Enabled": "true" } }),
            "processingConfiguration.enabled' is not a boolean",
        ),
        (
            json!({ "ProcessingConfiguration": { "Processors": {} } }),
            "processingConfiguration.processors' is not a list",
        ),
    ];
    for (destination, ending) in table {
        let (code, message) = service.refused("CreateDeliveryStream", create("s", destination)).await;
        assert_eq!(code, SERIALIZATION);
        assert!(message.ends_with(ending), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_nonsense_is_bounded() {
    let service = Service::new().await;
    let processors = vec![json!({}); 50_000];
    let body = create("s", json!({ "ProcessingConfiguration": { "Processors": processors } }));
    let (code, message) = service.refused("CreateDeliveryStream", body).await;
    assert_eq!(code, VALIDATION);
    assert!(message.len() < 32 << 10, "{}", message.len());
}

/// Everything that the catalog keeps of a stream is bounded, also what is only shown.
#[tokio::test(start_paused = true)]
async fn a_huge_configuration_is_refused() {
    let service = Service::new().await;
    let columns: serde_json::Map<String, Value> =
        (0..1_000).map(|number| (format!("c{number}"), "k".repeat(100).into())).collect();
    let body = create(
        "s",
        json!({ "DataFormatConversionConfiguration": {
        "Enabled": false,
        "InputFormatConfiguration": { "Deserializer": { "OpenXJsonSerDe": { "ColumnToJsonKeyMappings": columns } } },
    } }),
    );
    let (code, message) = service.refused("CreateDeliveryStream", body).await;
    assert_eq!(code, INVALID);
    assert!(message.ends_with("more than 65536"), "{message}");
    let long = create("s", json!({ "x".repeat(1 << 20): 1 }));
    assert!(service.refused("CreateDeliveryStream", long).await.1.len() < 200);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_operation() {
    let service = Service::new().await;
    assert_eq!(service.refused("DropDeliveryStream", json!({})).await.0, "UnknownOperationException");
}
