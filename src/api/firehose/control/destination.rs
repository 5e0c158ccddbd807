//! An S3 destination as the API says it: its members, what AWS fills in, and what it means to the rest of the service.
//!
//! The catalog keeps a stream as the CreateDeliveryStream that would make it as it is now: an object with
//! [`DESTINATION`] (also for a stream that was made with the plain S3 destination: Describe shows both forms of any)
//! and, if they were given, the [members](super::source::MEMBERS) of its source. What AWS fills in is filled in when it is stored, so that an update which says
//! the same in other words is seen to change nothing.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::catalog::FromApi;
use crate::config::names::local_keys;
use crate::config::{
    Backup, Buckets, Buffering, Compression, Delimiter, DeliveryStream, Destination, S3Store, Sse, Store, builtin,
    check_partitioned, check_prefixes, time_zone,
};
use crate::error::{Error, Result};

use super::conversion::DataFormatConversion;
use super::endpoint::{self, ENDPOINT};
use super::{checks, processors, source};

/// The member that holds the destination.
pub(super) const DESTINATION: &str = "ExtendedS3DestinationConfiguration";

pub(super) const MIB: u64 = 1 << 20;

/// What a stream of the API does, given where its buckets live: for `Catalog::open`.
pub fn from_api(buckets: Buckets) -> FromApi {
    Arc::new(move |name, api| {
        if let Some(given) = api.get(ENDPOINT) {
            return Ok(DeliveryStream { source: source::of_api(api)?, ..endpoint::of_api(name, given, &buckets)? });
        }
        let given = api.get(DESTINATION).ok_or_else(|| Error::invalid(format!("{DESTINATION} is missing")))?;
        let given = S3Destination::deserialize(given)
            .map_err(|error| Error::invalid(format!("{DESTINATION} cannot be read")).because(error))?;
        Ok(DeliveryStream { source: source::of_api(api)?, ..given.checked(name, &buckets)? })
    })
}

/// The members that mean something to us or that are refused; the others are only shown.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct S3Destination {
    #[serde(rename = "BucketARN")]
    pub(super) bucket_arn: String,
    pub(super) prefix: String,
    pub(super) error_output_prefix: Option<String>,
    pub(super) buffering_hints: BufferingHints,
    pub(super) compression_format: String,
    pub(super) encryption_configuration: EncryptionConfiguration,
    pub(super) cloud_watch_logging_options: CloudWatchLoggingOptions,
    pub(super) processing_configuration: Option<ProcessingConfiguration>,
    pub(super) s3_backup_mode: String,
    pub(super) s3_backup_configuration: Option<PlainDestination>,
    pub(super) data_format_conversion_configuration: Option<DataFormatConversion>,
    pub(super) dynamic_partitioning_configuration: Option<DynamicPartitioning>,
    pub(super) file_extension: Option<String>,
    pub(super) custom_time_zone: Option<String>,
}

/// The members of a plain S3 destination: where the backup goes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PlainDestination {
    #[serde(rename = "RoleARN")]
    pub(super) role_arn: Option<String>,
    #[serde(rename = "BucketARN")]
    pub(super) bucket_arn: Option<String>,
    pub(super) prefix: String,
    pub(super) error_output_prefix: Option<String>,
    pub(super) buffering_hints: BufferingHints,
    pub(super) compression_format: String,
    pub(super) encryption_configuration: EncryptionConfiguration,
    pub(super) cloud_watch_logging_options: CloudWatchLoggingOptions,
}

#[derive(Debug, Deserialize)]
pub(super) struct BufferingHints {
    #[serde(rename = "SizeInMBs")]
    pub(super) size_mib: u64,
    #[serde(rename = "IntervalInSeconds")]
    pub(super) interval_s: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct EncryptionConfiguration {
    #[serde(rename = "NoEncryptionConfig")]
    pub(super) none: Option<String>,
    #[serde(rename = "KMSEncryptionConfig")]
    pub(super) kms: Option<KmsEncryption>,
}

#[derive(Debug, Deserialize)]
pub(super) struct KmsEncryption {
    #[serde(rename = "AWSKMSKeyARN")]
    pub(super) key: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CloudWatchLoggingOptions {
    pub(super) enabled: bool,
    pub(super) log_group_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ProcessingConfiguration {
    pub(super) enabled: Option<bool>,
    #[serde(default)]
    pub(super) processors: Vec<Processor>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Processor {
    pub(super) r#type: String,
    #[serde(default)]
    pub(super) parameters: Vec<Parameter>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Parameter {
    #[serde(rename = "ParameterName")]
    pub(super) name: String,
    #[serde(rename = "ParameterValue")]
    pub(super) value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DynamicPartitioning {
    pub(super) enabled: Option<bool>,
}

/// Fills in what AWS fills in, in an extended S3 destination that has the shape of the model.
pub(super) fn complete(destination: &mut Map<String, Value>) {
    let on = |feature: &str, default: bool| {
        let feature = destination.get(feature);
        feature.is_some_and(|feature| feature.get("Enabled").map_or(default, |enabled| enabled == &Value::Bool(true)))
    };
    let large = on("DataFormatConversionConfiguration", true) || on("DynamicPartitioningConfiguration", false);
    complete_plain(destination, if large { 128 } else { 5 });
    if let Some(processing) = destination.get_mut("ProcessingConfiguration") {
        processors::complete(processing);
    }
    fill(destination, "S3BackupMode", json!("Disabled"));
    if let Some(Value::Object(backup)) = destination.get_mut("S3BackupConfiguration") {
        complete_plain(backup, 5);
    }
}

/// The same for the members that the plain S3 destination has.
pub(super) fn complete_plain(destination: &mut Map<String, Value>, size_mib: u64) {
    fill(destination, "Prefix", json!(""));
    fill_in(destination, "BufferingHints", "SizeInMBs", json!(size_mib));
    fill_in(destination, "BufferingHints", "IntervalInSeconds", json!(300));
    fill(destination, "CompressionFormat", json!("UNCOMPRESSED"));
    fill(destination, "EncryptionConfiguration", json!({ "NoEncryptionConfig": "NoEncryption" }));
    fill_in(destination, "CloudWatchLoggingOptions", "Enabled", json!(false));
}

pub(super) fn fill(object: &mut Map<String, Value>, member: &str, default: Value) {
    object.entry(member).or_insert(default);
}

pub(super) fn fill_in(object: &mut Map<String, Value>, member: &str, inner: &str, default: Value) {
    if let Value::Object(object) = object.entry(member).or_insert_with(|| Value::Object(Map::new())) {
        fill(object, inner, default);
    }
}

impl S3Destination {
    /// Whether dynamic partitioning is enabled.
    pub(super) fn is_partitioned(&self) -> bool {
        self.dynamic_partitioning_configuration.as_ref().is_some_and(|on| on.enabled == Some(true))
    }

    pub(super) fn checked(self, name: &str, buckets: &Buckets) -> Result<DeliveryStream> {
        checks::destination(&self)?;
        let store = store(&self.bucket_arn, &self.encryption_configuration, buckets)?;
        let backup = match &self.s3_backup_configuration {
            Some(backup) if self.s3_backup_mode == "Enabled" => {
                Some(Box::new(backup.checked(name, self.custom_time_zone.as_deref(), buckets)?))
            }
            _ => None,
        };
        let conversion =
            self.data_format_conversion_configuration.as_ref().filter(|conversion| conversion.is_enabled());
        let conversion = conversion.map(DataFormatConversion::checked).transpose()?;
        let check = if self.is_partitioned() { check_partitioned } else { check_prefixes };
        let (prefix, error_prefix) = check(Some(&self.prefix), self.error_output_prefix.as_deref())?;
        let processing = self.processing_configuration.as_ref();
        let process = processing.map_or(Ok(Vec::new()), processors::steps)?;
        let mut stream = DeliveryStream {
            process,
            buffer: self.buffering_hints.checked(),
            backup,
            ..DeliveryStream::new(
                name,
                Destination {
                    prefix,
                    error_prefix,
                    time_zone: time_zone(self.custom_time_zone.as_deref().unwrap_or_default())?,
                    compression: compression(&self.compression_format)?,
                    file_extension: self.file_extension.filter(|extension| !extension.is_empty()),
                    // Rows of columns have nothing between them.
                    delimiter: match (&conversion, processing) {
                        (None, Some(processing)) => processors::delimiter(processing),
                        _ => Delimiter::Never,
                    },
                    conversion: conversion.map(Box::new),
                    ..Destination::new(store)
                },
            )
        };
        builtin::settle(&mut stream)?;
        local_keys(name, &stream.destination)?;
        Ok(stream)
    }
}

impl PlainDestination {
    /// The backup of the stream called `name`.
    fn checked(&self, name: &str, zone: Option<&str>, buckets: &Buckets) -> Result<Backup> {
        let bucket = self.bucket_arn.as_deref().unwrap_or_default();
        let (prefix, error_prefix) = check_prefixes(Some(&self.prefix), self.error_output_prefix.as_deref())?;
        let destination = Destination {
            prefix,
            error_prefix,
            time_zone: time_zone(zone.unwrap_or_default())?,
            compression: compression(&self.compression_format)?,
            delimiter: Delimiter::Never,
            ..Destination::new(store(bucket, &self.encryption_configuration, buckets)?)
        };
        local_keys(name, &destination)?;
        Ok(Backup { buffer: self.buffering_hints.checked(), destination })
    }
}

impl BufferingHints {
    fn checked(&self) -> Buffering {
        Buffering { size_bytes: self.size_mib * MIB, interval: Duration::from_secs(self.interval_s) }
    }
}

fn store(bucket_arn: &str, encryption: &EncryptionConfiguration, buckets: &Buckets) -> Result<Store> {
    let bucket = checks::bucket(bucket_arn)?;
    let key = encryption.kms.as_ref().map(|kms| kms.key.clone());
    match buckets {
        Buckets::Local(_) if key.is_some() => Err(Error::invalid(
            "KMSEncryptionConfig is not supported by Standpipe where buckets are folders of a local directory",
        )),
        Buckets::Local(root) => Ok(Store::Local { path: root.join(bucket) }),
        Buckets::S3(connection) => {
            let sse = key.map(|key| Sse::Kms { key: Some(key) });
            Ok(Store::S3(Box::new(S3Store { sse, ..S3Store::new(bucket, connection.clone()) })))
        }
    }
}

/// Firehose's names of compressions, with ours.
const COMPRESSIONS: [(&str, Compression); 5] = [
    ("UNCOMPRESSED", Compression::None),
    ("GZIP", Compression::Gzip),
    ("ZIP", Compression::Zip),
    ("Snappy", Compression::Snappy),
    ("HADOOP_SNAPPY", Compression::HadoopSnappy),
];

fn compression(name: &str) -> Result<Compression> {
    let known = COMPRESSIONS.iter().find(|(known, _)| *known == name);
    known.map(|(_, ours)| *ours).ok_or_else(|| Error::invalid(format!("CompressionFormat {name:?} is not known")))
}

/// Firehose's name of a compression; `ZSTD`, which Firehose does not have, for ours.
pub(super) fn compression_format(ours: Compression) -> &'static str {
    COMPRESSIONS.iter().find(|(_, known)| *known == ours).map_or("ZSTD", |(name, _)| name)
}
