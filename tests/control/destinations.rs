//! S3 destinations that are refused for what they mean, table by table.

use serde_json::{Value, json};

use super::{BUCKET, ROLE, Service, create};

const INVALID: &str = "InvalidArgumentException";

/// Layer two: the appendix of the specification, as far as it concerns S3 destinations, and what we lack.
async fn assert_refused<const N: usize>(table: [(Value, &str); N]) {
    let service = Service::new().await;
    for (destination, message) in table {
        let body = create("s", destination);
        assert_eq!(service.refused("CreateDeliveryStream", body.clone()).await, (INVALID, message.into()), "{body}");
    }
    assert!(service.context.catalog.snapshot().is_empty());
}

/// A destination with dynamic partitioning, and `more`.
fn partitioned(more: Value) -> Value {
    with(json!({ "DynamicPartitioningConfiguration": { "Enabled": true }, "ErrorOutputPrefix": "e/" }), more)
}

/// The parameters of a query.
fn query(text: &'static str) -> [(&'static str, &'static str); 2] {
    [("JsonParsingEngine", "JQ-1.6"), ("MetadataExtractionQuery", text)]
}

/// The same with this prefix and a MetadataExtraction processor.
fn extracting(prefix: &str, parameters: &[(&str, &str)]) -> Value {
    let parameter = |(name, value): &(&str, &str)| json!({ "ParameterName": name, "ParameterValue": value });
    let parameters: Vec<_> = parameters.iter().map(parameter).collect();
    let processors = json!([{ "Type": "MetadataExtraction", "Parameters": parameters }]);
    let processing = json!({ "Enabled": true, "Processors": processors });
    partitioned(json!({ "Prefix": prefix, "ProcessingConfiguration": processing }))
}

fn with(mut members: Value, more: Value) -> Value {
    if let (Value::Object(members), Value::Object(more)) = (&mut members, more) {
        members.extend(more);
    }
    members
}

/// A destination with data format conversion between these.
fn converted(deserializer: Value, serializer: Value) -> Value {
    let mut both = json!({ "InputFormatConfiguration": {}, "OutputFormatConfiguration": {} });
    both["InputFormatConfiguration"]["Deserializer"] = deserializer;
    both["OutputFormatConfiguration"]["Serializer"] = serializer;
    with(
        json!({ "BufferingHints": { "SizeInMBs": 64, "IntervalInSeconds": 300 } }),
        json!({ "DataFormatConversionConfiguration": both }),
    )
}

/// The same with a schema.
fn with_schema(schema: Value, deserializer: Value, serializer: Value) -> Value {
    let mut both = converted(deserializer, serializer);
    both["DataFormatConversionConfiguration"]["SchemaConfiguration"] = schema;
    both
}

/// A destination with these processors enabled.
fn processing<const N: usize>(processors: [Value; N]) -> Value {
    let processors = Value::from_iter(processors);
    json!({ "ProcessingConfiguration": { "Enabled": true, "Processors": processors } })
}

fn processor<const N: usize>(kind: &str, parameters: [(&str, &str); N]) -> Value {
    let parameters = parameters.map(|(name, value)| json!({ "ParameterName": name, "ParameterValue": value }));
    json!({ "Type": kind, "Parameters": parameters.to_vec() })
}

#[tokio::test(start_paused = true)]
async fn prefixes_and_time_zones_that_make_no_sense() {
    assert_refused([
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
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn dynamic_partitioning_is_checked() {
    assert_refused([
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
            "the prefix has partitionKeyFromQuery:a, and no query gives \"a\"",
        ),
        (
            with(json!({ "Prefix": "!{partitionKeyFromLambda:a}/" }), json!({ "ErrorOutputPrefix": "e/" })),
            "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic Partitioning is enabled.",
        ),
        (
            partitioned(json!({ "Prefix": "!{partitionKeyFromLambda:a}/", "ErrorOutputPrefix": "" })),
            "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions",
        ),
        (
            partitioned(json!({
                "Prefix": "!{partitionKeyFromQuery:a}/",
                "ProcessingConfiguration": { "Enabled": true, "Processors": [{ "Type": "RecordDeAggregation" }] },
            })),
            "SubRecordType has to be one of JSON, DELIMITED",
        ),
        (
            partitioned(with(
                json!({ "Prefix": "!{partitionKeyFromQuery:a}/" }),
                processing([processor("RecordDeAggregation", [("SubRecordType", "DELIMITED")])]),
            )),
            "Delimiter should be present for DELIMITED",
        ),
        (
            partitioned(with(
                json!({ "Prefix": "!{partitionKeyFromQuery:a}/" }),
                processing([processor("RecordDeAggregation", [("SubRecordType", "DELIMITED"), ("Delimiter", "####")])]),
            )),
            "Delimiter has to be base64 encoded",
        ),
        (
            extracting("!{partitionKeyFromQuery:a}/", &[("JsonParsingEngine", "JQ-1.6")]),
            "MetadataExtractionQuery is required when MetadataExtraction processor is used.",
        ),
        (
            extracting("!{partitionKeyFromQuery:a}/", &[("JsonParsingEngine", "JQ-1.7"), ("MetadataExtractionQuery", "{a}")]),
            "MetaDataExtraction JSON Parsing Engine has to be one of JQ-1.6",
        ),
        (
            extracting("!{partitionKeyFromQuery:a}/", &query("{a:.a,b:.b}")),
            "MetaDataExtraction JQ Query can't contain keys that are not present in the S3 Prefix expression",
        ),
        (
            extracting("!{partitionKeyFromQuery:a}/!{partitionKeyFromQuery:b}/", &query("{a:.a}")),
            "the prefix has partitionKeyFromQuery:b, and no query gives \"b\"",
        ),
        (
            extracting("!{partitionKeyFromQuery:a}/", &query("{a:.a|now}")),
            "MetadataExtractionQuery cannot be used: the query is wrong at character 7: there is no function now here: only those whose work is bounded",
        ),
        (
            extracting("!{partitionKeyFromQuery:a}/!{eventTime:yyyy}/", &query("{a}")),
            "the prefix has eventTime:yyyy, and nothing says where records have their time: event_time is missing",
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn data_format_conversion_is_checked() {
    assert_refused([
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
        (converted(json!({}), json!({})), "Deserializer must not be null"),
        (converted(json!({ "OpenXJsonSerDe": {} }), json!({})), "Serializer must not be null"),
        (
            converted(json!({ "OpenXJsonSerDe": {} }), json!({ "ParquetSerDe": {}, "OrcSerDe": {} })),
            "More than one serializer specified. Only one may be chosen.",
        ),
        (
            converted(json!({ "OpenXJsonSerDe": {}, "HiveJsonSerDe": {} }), json!({})),
            "More than one deserializer specified. Only one may be chosen.",
        ),
        (
            converted(json!({ "OpenXJsonSerDe": {} }), json!({ "ParquetSerDe": {} })),
            "SchemaConfiguration must not be null",
        ),
        (
            with_schema(json!({ "TableName": "t" }), json!({ "OpenXJsonSerDe": {} }), json!({ "OrcSerDe": {} })),
            "SchemaConfiguration.DatabaseName must not be null",
        ),
        (
            with_schema(
                json!({ "DatabaseName": "d", "TableName": "t", "RoleARN": ROLE }),
                json!({ "HiveJsonSerDe": { "TimestampFormats": ["yyyy-QQ"] } }),
                json!({ "ParquetSerDe": {} }),
            ),
            "One or more SerDe options are invalid for org.apache.hcatalog.data.JsonSerDe: [Key: timestamp.formats Value: \
             yyyy-QQ]",
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn processors_that_make_no_sense_or_that_we_lack() {
    const FIVE: &str = "A maximum of 5 and a minimum of 1 processor needs to be supplied when processing is enabled.";
    fn lambda<const N: usize>(more: [(&str, &str); N]) -> Value {
        let mut lambda = processor("Lambda", more);
        let arn = json!({ "ParameterName": "LambdaArn", "ParameterValue": "arn:aws:lambda:x:1:function:f" });
        lambda["Parameters"].as_array_mut().expect("a list").push(arn);
        lambda
    }
    assert_refused([
        (processing([]), FIVE),
        (processing([(); 6].map(|()| processor("AppendDelimiterToRecord", []))), FIVE),
        (processing([lambda([]), lambda([])]), "Cannot have more than 1 Lambda processor."),
        (processing([processor("Lambda", [])]), "LambdaArn is required when Lambda processor is used."),
        (
            processing([lambda([("NumberOfRetries", "301")])]),
            "Number of retries for lambda must be between 0 and 300.",
        ),
        (
            processing([lambda([("BufferSizeInMBs", "1")])]),
            "Both BufferSizeInMBs and BufferIntervalInSeconds are required to configure buffering for lambda processor.",
        ),
        (
            processing([lambda([("BufferSizeInMBs", "0.1"), ("BufferIntervalInSeconds", "60")])]),
            "BufferSizeInMBs for lambda processor must be between 0.2 and 3.",
        ),
        (
            processing([lambda([("BufferSizeInMBs", "0.2"), ("BufferIntervalInSeconds", "901")])]),
            "BufferIntervalInSeconds for lambda processor must be between 0 and 900.",
        ),
        (
            processing([lambda([])]),
            "LambdaArn names the function f, and the configuration has no [plugin.f]: it has no plugins",
        ),
        (
            processing([lambda([("NumberOfRetries", "1.5")])]),
            "Number of retries for lambda must be between 0 and 300.",
        ),
        (
            processing([processor("Lambda", [("LambdaArn", "f")])]),
            "LambdaArn \"f\" is not the ARN of a function: it has the form \"arn:aws:lambda:REGION:ACCOUNT:function:NAME\", perhaps with a qualifier",
        ),
        (
            processing([processor("Decompression", []), processor("Decompression", [])]),
            "Cannot have more than 1 Decompression processor.",
        ),
        (
            processing([processor("Decompression", [("CompressionFormat", "ZSTD")])]),
            "CompressionFormat for Decompression processor has to be GZIP",
        ),
        (
            processing([processor("MetadataExtraction", [])]),
            "class com.amazonaws.services.firehose.internal.model.MetadataExtractionProcessor can only be present when Dynamic Partitioning is enabled.",
        ),
        (
            processing([processor("RecordDeAggregation", [])]),
            "class com.amazonaws.services.firehose.internal.model.RecordDeAggregationProcessor can only be present when Dynamic Partitioning is enabled.",
        ),
        (
            processing([processor("CloudWatchLogProcessing", [])]),
            "CloudWatchLogProcessingProcessor can only be enabled with DecompressionProcessor",
        ),
        (
            processing([
                processor("Decompression", []),
                processor("CloudWatchLogProcessing", [("DataMessageExtraction", "yes")]),
            ]),
            "Invalid parameter value for DataMessageExtraction. Allowed values are True and False.",
        ),
        (
            json!({ "ProcessingConfiguration": { "Processors": [{ "Type": "AppendDelimiterToRecord" }] } }),
            "ProcessingConfiguration.Enabled is required when Processors are given",
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn other_members_that_make_no_sense_or_that_we_lack() {
    assert_refused([
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
            json!({ "S3BackupMode": "Enabled", "S3BackupConfiguration": {
                "RoleARN": ROLE, "BucketARN": BUCKET, "Prefix": "!{timestamp:yyyy}/",
            } }),
            "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions",
        ),
        (
            json!({ "CloudWatchLoggingOptions": { "Enabled": true } }),
            "CloudWatch Log Group Name is required if CloudWatch Logging is enabled",
        ),
        (
            json!({ "BucketARN": "arn:aws:s3:::.." }),
            "BucketARN \"arn:aws:s3:::..\" names no bucket: \"..\" cannot be a bucket's name",
        ),
        (
            json!({ "NewFeature": true }),
            "extendedS3DestinationConfiguration.NewFeature is not a member of CreateDeliveryStream that Standpipe supports",
        ),
    ])
    .await;
}
