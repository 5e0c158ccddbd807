//! The second layer of validation: what a request means (`InvalidArgumentException`), with AWS's messages, and the
//! refusal by name of what Standpipe does not have yet.
//!
//! A feature that is refused is first checked as AWS would, so that a request which is wrong anywhere is told what
//! is wrong with it, and one that is right is told that we lack the feature.

use serde_json::{Map, Value};

use crate::api::ApiError;
use crate::error::{Error, Result};

use super::destination::{CloudWatchLoggingOptions, EncryptionConfiguration, S3Destination};
use super::processors;

const ONE_DESTINATION: &str = "Exactly one destination configuration is supported for a Firehose";
/// MiB: smallest buffer with dynamic partitioning or data format conversion.
const LARGE_BUFFER_MIB_MIN: u64 = 64;

/// Says that we do not have `what`.
pub(super) fn unsupported(what: &str) -> ApiError {
    ApiError::invalid_argument(format!("{what} is not supported yet by Standpipe"))
}

pub(super) fn lacks(what: &str) -> Error {
    Error::invalid(format!("{what} is not supported yet by Standpipe"))
}

/// The name of the one member of `input` that ends in `ending`.
pub(super) fn one_destination(input: &Map<String, Value>, ending: &str) -> Result<String, ApiError> {
    let mut given = input.keys().filter(|name| name.ends_with(ending));
    match (given.next(), given.next()) {
        (Some(name), None) => Ok(name.clone()),
        _ => Err(ApiError::invalid_argument(ONE_DESTINATION)),
    }
}

/// The bucket of an ARN that has the model's form. The name may become a folder's, so it must be one.
pub(super) fn bucket(arn: &str) -> Result<&str> {
    let name = arn.rsplit(':').next().unwrap_or_default();
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(Error::invalid(format!("BucketARN {arn:?} names no bucket: {name:?} cannot be a bucket's name")));
    }
    Ok(name)
}

/// Everything about an S3 destination but its prefixes, time zone and bucket, whose parsers check them.
pub(super) fn destination(given: &S3Destination) -> Result<()> {
    encryption(&given.encryption_configuration)?;
    logging(&given.cloud_watch_logging_options)?;
    let partitioned = given.is_partitioned();
    if partitioned {
        dynamic_partitioning(given)?;
    }
    if let Some(conversion) = &given.data_format_conversion_configuration
        && conversion.is_enabled()
    {
        data_format_conversion(given)?;
        conversion.checked()?;
    }
    given.processing_configuration.as_ref().map_or(Ok(()), |p| processors::check(p, partitioned))?;
    if let Some(backup) = &given.s3_backup_configuration {
        if backup.bucket_arn.is_none() || backup.role_arn.is_none() {
            return Err(Error::invalid(
                "S3BackupUpdate needs BucketARN and RoleARN where there was no S3 backup before",
            ));
        }
        encryption(&backup.encryption_configuration)?;
        logging(&backup.cloud_watch_logging_options)?;
    }
    if given.s3_backup_mode == "Enabled" && given.s3_backup_configuration.is_none() {
        return Err(Error::invalid("S3 backup destination configuration is required when enabling S3 backup."));
    }
    Ok(())
}

fn encryption(given: &EncryptionConfiguration) -> Result<()> {
    if given.none.is_some() == given.kms.is_some() {
        return Err(Error::invalid("Exactly one of NoEncryptionConfig or KMSEncryptionConfig must be specified"));
    }
    Ok(())
}

pub(super) fn logging(given: &CloudWatchLoggingOptions) -> Result<()> {
    if given.enabled && given.log_group_name.as_deref().unwrap_or_default().is_empty() {
        return Err(Error::invalid("CloudWatch Log Group Name is required if CloudWatch Logging is enabled"));
    }
    Ok(())
}

fn dynamic_partitioning(given: &S3Destination) -> Result<()> {
    const NAMESPACES: [&str; 2] = ["!{partitionKeyFromQuery:", "!{partitionKeyFromLambda:"];
    let has_key = |text: &str| NAMESPACES.iter().any(|namespace| text.contains(namespace));
    if !has_key(&given.prefix) {
        return Err(Error::invalid(
            "S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning is enabled",
        ));
    }
    if given.error_output_prefix.as_deref().is_some_and(has_key) {
        return Err(Error::invalid("Dynamic Partitioning Namespaces can't be part of an error prefix expression"));
    }
    large_buffer(given, "Dynamic Partitioning")
}

fn data_format_conversion(given: &S3Destination) -> Result<()> {
    if given.compression_format != "UNCOMPRESSED" {
        return Err(Error::invalid(
            "The S3 destination's compression format must be set to UNCOMPRESSED when data format conversion is enabled",
        ));
    }
    large_buffer(given, "data format conversion")
}

fn large_buffer(given: &S3Destination, feature: &str) -> Result<()> {
    if given.buffering_hints.size_mib < LARGE_BUFFER_MIB_MIN {
        return Err(Error::invalid(format!(
            "BufferingHints.SizeInMBs must be at least {LARGE_BUFFER_MIB_MIN} when {feature} is enabled."
        )));
    }
    Ok(())
}
