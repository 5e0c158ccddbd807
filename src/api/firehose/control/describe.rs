//! DescribeDeliveryStream and ListDeliveryStreams.

use serde_json::{Map, Value, json};

use crate::api::{ApiError, Context};
use crate::catalog::{Entry, Origin, Status};
use crate::config::{Buffering, DeliveryStream, Destination, Sse, Store};

use super::destination::{DESTINATION, compression_format};
use super::endpoint::{self, ENDPOINT};
use super::{Input, encryption, find, object, processors, source};

/// The one destination of every stream.
pub(super) const DESTINATION_ID: &str = "destinationId-000000000001";

/// Names of one page of a listing, unless it says more.
const PAGE: usize = 10;
const MIB: u64 = 1 << 20;

/// The members that a plain S3 destination has.
const PLAIN_MEMBERS: [&str; 8] = [
    "RoleARN",
    "BucketARN",
    "Prefix",
    "ErrorOutputPrefix",
    "BufferingHints",
    "CompressionFormat",
    "EncryptionConfiguration",
    "CloudWatchLoggingOptions",
];

/// What a stream is; the cursor of destinations only ends the list if it names the one that there is.
pub(super) fn describe(context: &Context, input: &Input) -> Result<Value, ApiError> {
    let entry = find(context, input.name())?;
    let name = &entry.stream.name;
    let mut shown = object(json!({
        "DeliveryStreamName": name,
        "DeliveryStreamARN": context.account.delivery_stream_arn(name),
        "DeliveryStreamStatus": match entry.status { Status::Active => "ACTIVE", Status::Deleting => "DELETING" },
        "DeliveryStreamEncryptionConfiguration": encryption::describe(entry.stream.encrypted),
        "DeliveryStreamType": source::kind(&entry.stream.source),
        "VersionId": entry.version.to_string(),
        "CreateTimestamp": seconds(entry.created_ms),
    }));
    if let Some(updated_ms) = entry.updated_ms {
        shown.insert("LastUpdateTimestamp".into(), seconds(updated_ms));
    }
    if let Some(source) = source::describe(context, &entry) {
        shown.insert("Source".into(), source);
    }
    let past = input.text("ExclusiveStartDestinationId") == Some(DESTINATION_ID);
    let destinations = if past { Vec::new() } else { vec![destination(context, &entry)] };
    shown.insert("Destinations".into(), destinations.into());
    shown.insert("HasMoreDestinations".into(), false.into());
    Ok(json!({ "DeliveryStreamDescription": shown }))
}

/// The names of the streams, sorted, a page at a time.
pub(super) fn list(context: &Context, input: &Input) -> Value {
    let wanted = input.text("DeliveryStreamType");
    let after = input.text("ExclusiveStartDeliveryStreamName").unwrap_or_default();
    let limit = input.limit(PAGE);
    let streams = context.catalog.snapshot();
    let fitting = streams.iter().filter(|(name, entry)| {
        wanted.is_none_or(|kind| kind == source::kind(&entry.stream.source)) && name.as_str() > after
    });
    let mut names = fitting.map(|(name, _)| name);
    let page: Vec<&String> = names.by_ref().take(limit).collect();
    json!({ "DeliveryStreamNames": page, "HasMoreDeliveryStreams": names.next().is_some() })
}

fn destination(context: &Context, entry: &Entry) -> Value {
    let given = entry.api.as_ref().and_then(|api| api.get(ENDPOINT)).filter(|_| entry.origin == Origin::Api);
    let endpoint = match (given, &entry.stream.destination.http) {
        (Some(Value::Object(api)), _) => Some(endpoint::describe(api)),
        (_, Some(http)) => Some(endpoint::from_config(http, &entry.stream, &store_of_endpoint(context, &entry.stream))),
        _ => None,
    };
    if let Some(endpoint) = endpoint {
        return json!({ "DestinationId": DESTINATION_ID, "HttpEndpointDestinationDescription": endpoint });
    }
    let mut extended = match entry.api.as_ref().and_then(|api| api.get(DESTINATION)) {
        Some(Value::Object(api)) if entry.origin == Origin::Api => api.clone(),
        _ => from_config(context, &entry.stream),
    };
    if let Some(backup) = extended.remove("S3BackupConfiguration") {
        extended.insert("S3BackupDescription".into(), backup);
    }
    let plain: Map<String, Value> =
        PLAIN_MEMBERS.iter().filter_map(|name| Some(((*name).to_owned(), extended.get(*name)?.clone()))).collect();
    json!({
        "DestinationId": DESTINATION_ID,
        "S3DestinationDescription": plain,
        "ExtendedS3DestinationDescription": extended,
    })
}

/// A stream of the configuration file in the API's words, as near as they come.
fn from_config(context: &Context, stream: &DeliveryStream) -> Map<String, Value> {
    let to = &stream.destination;
    let mut shown = plain(context, to, &stream.buffer);
    shown.insert("S3BackupMode".into(), if stream.backup.is_some() { "Enabled" } else { "Disabled" }.into());
    shown.insert("CustomTimeZone".into(), to.time_zone.name().into());
    if let Some(backup) = &stream.backup {
        shown.insert("S3BackupConfiguration".into(), plain(context, &backup.destination, &backup.buffer).into());
    }
    let account = &context.account;
    if let Some(steps) = processors::describe(stream, &account.region, &account.id, &role(context)) {
        shown.insert("ProcessingConfiguration".into(), steps);
    }
    if !to.prefix.keys().is_empty() {
        shown.insert("DynamicPartitioningConfiguration".into(), json!({ "Enabled": true }));
    }
    if let Some(extension) = &to.file_extension {
        shown.insert("FileExtension".into(), extension.as_str().into());
    }
    shown
}

/// The one store that the API knows of an endpoint: of all that came, or of what failed.
fn store_of_endpoint(context: &Context, stream: &DeliveryStream) -> Map<String, Value> {
    let failures = plain(context, &stream.destination, &stream.buffer);
    let Some(backup) = &stream.backup else { return failures };
    let mut shown = plain(context, &backup.destination, &backup.buffer);
    if let Some(errors) = failures.get("ErrorOutputPrefix") {
        shown.insert("ErrorOutputPrefix".into(), errors.clone());
    }
    shown
}

/// The members that a plain S3 destination has.
fn plain(context: &Context, to: &Destination, buffer: &Buffering) -> Map<String, Value> {
    let mut shown = object(json!({
        "RoleARN": role(context),
        "BucketARN": format!("arn:aws:s3:::{}", bucket(&to.store)),
        "Prefix": to.prefix.text(),
        "BufferingHints": {
            "SizeInMBs": buffer.size_bytes.div_ceil(MIB).max(1),
            "IntervalInSeconds": buffer.interval.as_secs(),
        },
        "CompressionFormat": compression_format(to.compression),
        "EncryptionConfiguration": sse(&to.store),
        "CloudWatchLoggingOptions": { "Enabled": false },
    }));
    if !to.error_prefix.text().is_empty() {
        shown.insert("ErrorOutputPrefix".into(), to.error_prefix.text().into());
    }
    shown
}

/// The role of what has none: clients expect one, and nobody takes it on.
pub(super) fn role(context: &Context) -> String {
    format!("arn:aws:iam::{}:role/standpipe", context.account.id)
}

/// The bucket's name; for a directory its last name, with what a bucket's name cannot have replaced.
fn bucket(store: &Store) -> String {
    match store {
        Store::S3(s3) => s3.bucket.clone(),
        Store::Gcs(gcs) => gcs.bucket.clone(),
        Store::Azure(azure) => azure.container.clone(),
        Store::Local { path } => {
            let name = path.file_name().map_or_else(|| "local".into(), |name| name.to_string_lossy());
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            name.chars().map(|c| if fits(c) { c } else { '-' }).collect()
        }
    }
}

fn sse(store: &Store) -> Value {
    match store {
        Store::S3(s3) => match &s3.sse {
            Some(Sse::Kms { key: Some(key) }) => json!({ "KMSEncryptionConfig": { "AWSKMSKeyARN": key } }),
            _ => json!({ "NoEncryptionConfig": "NoEncryption" }),
        },
        Store::Gcs(_) | Store::Azure(_) | Store::Local { .. } => json!({ "NoEncryptionConfig": "NoEncryption" }),
    }
}

/// A timestamp of JSON 1.1: seconds since 1970, with a fraction.
pub(super) fn seconds(ms: u64) -> Value {
    json!(ms as f64 / 1000.0)
}
