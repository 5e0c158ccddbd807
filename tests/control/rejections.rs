//! What is refused, with which code and which words: both layers, table by table.

use serde_json::{Value, json};

use super::{BUCKET, ROLE, Service, create, named, updating, with_place};

const INVALID: &str = "InvalidArgumentException";
const VALIDATION: &str = "ValidationException";
const SERIALIZATION: &str = "SerializationException";

/// Layer two: appendix of the specification, as far as it concerns S3 destinations, and what we lack.
#[tokio::test(start_paused = true)]
async fn an_extended_s3_destination_that_makes_no_sense() {
    let service = Service::new().await;
    let lambda = |parameters: Value| json!({ "Type": "Lambda", "Parameters": parameters });
    let parameter = |name: &str, value: &str| json!({ "ParameterName": name, "ParameterValue": value });
    let processing =
        |processors: Value| json!({ "ProcessingConfiguration": { "Enabled": true, "Processors": processors } });
    let arn = parameter("LambdaArn", "arn:aws:lambda:us-east-1:123456789012:function:f");
    let serde = |de: Value, ser: Value| {
        json!({
            "BufferingHints": { "SizeInMBs": 64, "IntervalInSeconds": 300 },
            "DataFormatConversionConfiguration": {
                "InputFormatConfiguration": { "Deserializer": de },
                "OutputFormatConfiguration": { "Serializer": ser },
            },
        })
    };
    let partitioned = |more: Value| {
        let mut all = json!({ "DynamicPartitioningConfiguration": { "Enabled": true }, "ErrorOutputPrefix": "e/" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let table = [
        (
            json!({ "Prefix": "a/!{timestamp:yyyy}/" }),
            "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions",
        ),
        (
            json!({ "Prefix": "a/!{timestamp:yyyy}/", "ErrorOutputPrefix": "e/!{timestamp:yyyy}/" }),
            "ErrorOutputPrefix must contain at least one occurrence of !{firehose:error-output-type}",
        ),
        (
            json!({ "Prefix": "a/!{firehose:error-output-type}/", "ErrorOutputPrefix": "e/" }),
            "Prefix must not contain any occurrence of !{firehose:error-output-type}",
        ),
        (
            json!({ "ErrorOutputPrefix": "!{firehose:error-output-type}/!{partitionKeyFromQuery:a}/" }),
            "Dynamic Partitioning Namespaces can't be part of an error prefix expression",
        ),
        (
            json!({ "Prefix": "!{partitionKeyFromQuery:a}/", "ErrorOutputPrefix": "e/" }),
            "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic Partitioning is enabled.",
        ),
        (
            partitioned(json!({ "Prefix": "a/" })),
            "S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning is enabled",
        ),
        (
            partitioned(json!({
                "Prefix": "!{partitionKeyFromQuery:a}/",
                "BufferingHints": { "SizeInMBs": 63, "IntervalInSeconds": 60 },
            })),
            "BufferingHints.SizeInMBs must be at least 64 when Dynamic Partitioning is enabled.",
        ),
        (
            partitioned(json!({
                "Prefix": "!{partitionKeyFromQuery:a}/",
                "ProcessingConfiguration": { "Enabled": true, "Processors": [{ "Type": "MetadataExtraction" }] },
            })),
            "MetaDataExtraction JSON Parsing Engine has to be one of JQ-1.6",
        ),
        (
            partitioned(json!({ "Prefix": "!{partitionKeyFromQuery:a}/" })),
            "DynamicPartitioningConfiguration is not supported yet by Standpipe",
        ),
        (json!({ "Prefix": "a!{" }), "Invalid expression usage"),
        (
            json!({ "Prefix": "!{no:such}", "ErrorOutputPrefix": "e/" }),
            "Namespace to the left of colon (no) is an invalid keyword!",
        ),
        (
            json!({ "Prefix": "!{timestamp:b}", "ErrorOutputPrefix": "e/" }),
            "Invalid conversion character used in the value of the expression in Prefix",
        ),
        (json!({ "Prefix": "a".repeat(513) }), "Length of evaluated prefix cannot be greater than 512"),
        (
            json!({ "CustomTimeZone": "Mars/Olympus" }),
            "Provided custom time zone is not supported. Custom time zones are limited to UTC and non-3-letter IANA time zones.",
        ),
        (
            json!({
                "CompressionFormat": "GZIP",
                "DataFormatConversionConfiguration": { "Enabled": true },
            }),
            "The S3 destination's compression format must be set to UNCOMPRESSED when data format conversion is enabled",
        ),
        (
            json!({
                "BufferingHints": { "SizeInMBs": 63, "IntervalInSeconds": 300 },
                "DataFormatConversionConfiguration": { "Enabled": true },
            }),
            "BufferingHints.SizeInMBs must be at least 64 when data format conversion is enabled.",
        ),
        (json!({ "DataFormatConversionConfiguration": {} }), "Deserializer must not be null"),
        (serde(json!({}), json!({})), "Deserializer must not be null"),
        (serde(json!({ "OpenXJsonSerDe": {} }), json!({})), "Serializer must not be null"),
        (
            serde(json!({ "OpenXJsonSerDe": {} }), json!({ "ParquetSerDe": {}, "OrcSerDe": {} })),
            "More than one serializer specified. Only one may be chosen.",
        ),
        (
            serde(json!({ "OpenXJsonSerDe": {}, "HiveJsonSerDe": {} }), json!({})),
            "More than one deserializer specified. Only one may be chosen.",
        ),
        (
            serde(json!({ "OpenXJsonSerDe": {} }), json!({ "ParquetSerDe": {} })),
            "DataFormatConversionConfiguration is not supported yet by Standpipe",
        ),
        (
            json!({ "EncryptionConfiguration": {} }),
            "Exactly one of NoEncryptionConfig or KMSEncryptionConfig must be specified",
        ),
        (
            json!({ "EncryptionConfiguration": {
                "NoEncryptionConfig": "NoEncryption",
                "KMSEncryptionConfig": { "AWSKMSKeyARN": "arn:aws:kms:us-east-1:123456789012:key/k" },
            } }),
            "Exactly one of NoEncryptionConfig or KMSEncryptionConfig must be specified",
        ),
        (
            json!({ "S3BackupMode": "Enabled" }),
            "S3 backup destination configuration is required when enabling S3 backup.",
        ),
        (
            json!({ "S3BackupMode": "Enabled", "S3BackupConfiguration": { "RoleARN": ROLE, "BucketARN": BUCKET } }),
            "S3BackupMode Enabled is not supported yet by Standpipe",
        ),
        (
            json!({ "CloudWatchLoggingOptions": { "Enabled": true } }),
            "CloudWatch Log Group Name is required if CloudWatch Logging is enabled",
        ),
        (
            processing(json!([])),
            "A maximum of 5 and a minimum of 1 processor needs to be supplied when processing is enabled.",
        ),
        (
            processing(json!(vec![json!({ "Type": "AppendDelimiterToRecord" }); 6])),
            "A maximum of 5 and a minimum of 1 processor needs to be supplied when processing is enabled.",
        ),
        (processing(json!([lambda(json!([arn])), lambda(json!([arn]))])), "Cannot have more than 1 Lambda processor."),
        (processing(json!([lambda(json!([]))])), "LambdaArn is required when Lambda processor is used."),
        (
            processing(json!([lambda(json!([arn, parameter("NumberOfRetries", "301")]))])),
            "Number of retries for lambda must be between 0 and 300.",
        ),
        (
            processing(json!([lambda(json!([arn, parameter("BufferSizeInMBs", "1")]))])),
            "Both BufferSizeInMBs and BufferIntervalInSeconds are required to configure buffering for lambda processor.",
        ),
        (
            processing(json!([lambda(json!([
                arn,
                parameter("BufferSizeInMBs", "0.1"),
                parameter("BufferIntervalInSeconds", "60"),
            ]))])),
            "BufferSizeInMBs for lambda processor must be between 0.2 and 3.",
        ),
        (
            processing(json!([lambda(json!([
                arn,
                parameter("BufferSizeInMBs", "0.2"),
                parameter("BufferIntervalInSeconds", "901"),
            ]))])),
            "BufferIntervalInSeconds for lambda processor must be between 0 and 900.",
        ),
        (processing(json!([lambda(json!([arn]))])), "processor type Lambda is not supported yet by Standpipe"),
        (
            processing(json!([{ "Type": "AppendDelimiterToRecord" }])),
            "processor type AppendDelimiterToRecord is not supported yet by Standpipe",
        ),
        (
            processing(json!([{ "Type": "MetadataExtraction" }])),
            "class com.amazonaws.services.firehose.internal.model.MetadataExtractionProcessor can only be present when Dynamic Partitioning is enabled.",
        ),
        (
            processing(json!([{ "Type": "RecordDeAggregation" }])),
            "class com.amazonaws.services.firehose.internal.model.RecordDeAggregationProcessor can only be present when Dynamic Partitioning is enabled.",
        ),
        (
            partitioned(json!({
                "Prefix": "!{partitionKeyFromQuery:a}/",
                "ProcessingConfiguration": { "Enabled": true, "Processors": [{ "Type": "RecordDeAggregation" }] },
            })),
            "SubRecordType has to be one of JSON, DELIMITED",
        ),
        (
            processing(json!([{ "Type": "CloudWatchLogProcessing" }])),
            "CloudWatchLogProcessingProcessor can only be enabled with DecompressionProcessor",
        ),
        (
            processing(json!([
                { "Type": "Decompression" },
                { "Type": "CloudWatchLogProcessing", "Parameters": [parameter("DataMessageExtraction", "yes")] },
            ])),
            "Invalid parameter value for DataMessageExtraction. Allowed values are True and False.",
        ),
        (
            json!({ "ProcessingConfiguration": { "Processors": [{ "Type": "AppendDelimiterToRecord" }] } }),
            "ProcessingConfiguration.Enabled is required when Processors are given",
        ),
        (
            json!({ "BucketARN": "arn:aws:s3:::.." }),
            "BucketARN \"arn:aws:s3:::..\" names no bucket: \"..\" cannot be a bucket's name",
        ),
        (
            json!({ "NewFeature": true }),
            "extendedS3DestinationConfiguration.NewFeature is not a member of CreateDeliveryStream that Standpipe supports",
        ),
    ];
    for (destination, message) in table {
        let body = create("s", destination);
        assert_eq!(service.refused("CreateDeliveryStream", body.clone()).await, (INVALID, message.into()), "{body}");
    }
    assert!(service.context.catalog.snapshot().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_create_with_the_wrong_parts() {
    let service = Service::new().await;
    let s3 = with_place(json!({}));
    let http = json!({ "EndpointConfiguration": { "Url": "https://x" }, "S3Configuration": s3 });
    let kinesis = json!({ "KinesisStreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/s", "RoleARN": ROLE });
    let key = "arn:aws:kms:us-east-1:123456789012:key/k";
    let encryption = |input: Value| json!({ "ExtendedS3DestinationConfiguration": s3, "DeliveryStreamEncryptionConfigurationInput": input });
    let exactly_one = "Exactly one destination configuration is supported for a Firehose";
    let table = [
        (json!({}), exactly_one),
        (json!({ "S3DestinationConfiguration": s3, "ExtendedS3DestinationConfiguration": s3 }), exactly_one),
        (json!({ "S3DestinationConfiguration": s3, "HttpEndpointDestinationConfiguration": http }), exactly_one),
        (
            json!({ "HttpEndpointDestinationConfiguration": http }),
            "HttpEndpointDestinationConfiguration is not supported yet by Standpipe",
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
            json!({
                "DeliveryStreamType": "KinesisStreamAsSource",
                "KinesisStreamSourceConfiguration": kinesis,
                "S3DestinationConfiguration": s3,
            }),
            "DeliveryStreamType KinesisStreamAsSource is not supported yet by Standpipe",
        ),
        (
            json!({ "KinesisStreamSourceConfiguration": kinesis, "S3DestinationConfiguration": s3 }),
            "KinesisStreamSourceConfiguration is not supported yet by Standpipe",
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

/// Layer one: constraints of the model.
#[tokio::test(start_paused = true)]
async fn broken_constraints_are_all_named() {
    let service = Service::new().await;
    let one = |path: &str, constraint: &str| {
        format!("1 validation error detected: Value at '{path}' failed to satisfy constraint: Member must {constraint}")
    };
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
