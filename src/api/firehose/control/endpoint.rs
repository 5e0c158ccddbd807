//! An HTTP endpoint as a destination of the API: its members, what AWS fills in, and what it means to the rest of the service.
//!
//! What the endpoint does not take, and what a processor refuses, goes to the bucket of `S3Configuration`, uncompressed. With
//! `S3BackupMode` AllData all that came goes there besides, as `S3Configuration` says of objects. The access key is kept with the
//! stream and never shown.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::config::endpoint::{access_key, common_attributes};
use crate::config::{Backup, Buckets, Buffering, Compression, DeliveryStream, Destination, HttpEndpoint, Secret};
use crate::error::{Error, Result};

use super::destination::{
    BufferingHints, CloudWatchLoggingOptions, MIB, ProcessingConfiguration, S3Destination, complete as complete_s3,
    complete_plain, fill, fill_in,
};
use super::{checks, object, processors};

/// The member that holds the destination.
pub(super) const ENDPOINT: &str = "HttpEndpointDestinationConfiguration";
/// That of an update.
pub(super) const ENDPOINT_UPDATE: &str = "HttpEndpointDestinationUpdate";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    endpoint_configuration: EndpointConfiguration,
    buffering_hints: BufferingHints,
    cloud_watch_logging_options: CloudWatchLoggingOptions,
    request_configuration: RequestConfiguration,
    processing_configuration: Option<ProcessingConfiguration>,
    retry_options: RetryOptions,
    s3_backup_mode: String,
    s3_configuration: Map<String, Value>,
    secrets_manager_configuration: Option<SecretsManager>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EndpointConfiguration {
    url: String,
    name: Option<String>,
    access_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RequestConfiguration {
    content_encoding: String,
    #[serde(default)]
    common_attributes: Vec<CommonAttribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CommonAttribute {
    attribute_name: String,
    attribute_value: String,
}

#[derive(Deserialize)]
struct RetryOptions {
    #[serde(rename = "DurationInSeconds")]
    seconds: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretsManager {
    enabled: bool,
}

/// Fills in what AWS fills in, in a destination that has the shape of the model.
pub(super) fn complete(destination: &mut Map<String, Value>) {
    fill_in(destination, "BufferingHints", "SizeInMBs", json!(5));
    fill_in(destination, "BufferingHints", "IntervalInSeconds", json!(300));
    fill_in(destination, "CloudWatchLoggingOptions", "Enabled", json!(false));
    fill_in(destination, "RequestConfiguration", "ContentEncoding", json!("NONE"));
    fill_in(destination, "RetryOptions", "DurationInSeconds", json!(300));
    if let Some(processing) = destination.get_mut("ProcessingConfiguration") {
        processors::complete(processing);
    }
    fill(destination, "S3BackupMode", json!("FailedDataOnly"));
    if let Some(Value::Object(s3)) = destination.get_mut("S3Configuration") {
        complete_plain(s3, 5);
    }
}

/// The stream `name` that has this destination.
pub(super) fn of_api(name: &str, given: &Value, buckets: &Buckets) -> Result<DeliveryStream> {
    let given = Given::deserialize(given)
        .map_err(|error| Error::invalid(format!("{ENDPOINT} cannot be read")).because(error))?;
    check(&given)?;
    let http = given.endpoint()?;
    let mut s3 = given.s3_configuration;
    complete_s3(&mut s3);
    let s3 = S3Destination::deserialize(Value::Object(s3))
        .map_err(|error| Error::invalid("S3Configuration cannot be read").because(error))?;
    let failures = s3.checked(name, buckets)?;
    let all = || Backup { buffer: failures.buffer, destination: failures.destination.clone() };
    Ok(DeliveryStream {
        backup: (given.s3_backup_mode == "AllData").then(all).map(Box::new),
        process: given.processing_configuration.as_ref().map_or(Ok(Vec::new()), processors::steps)?,
        buffer: Buffering {
            size_bytes: given.buffering_hints.size_mib * MIB,
            interval: Duration::from_secs(given.buffering_hints.interval_s),
        },
        destination: Destination {
            http: Some(Box::new(http)),
            compression: Compression::None,
            file_extension: None,
            ..failures.destination
        },
        ..failures
    })
}

fn check(given: &Given) -> Result<()> {
    checks::logging(&given.cloud_watch_logging_options)?;
    given.processing_configuration.as_ref().map_or(Ok(()), |p| processors::check(p, false))?;
    if given.secrets_manager_configuration.as_ref().is_some_and(|secrets| secrets.enabled) {
        return Err(checks::lacks("SecretsManagerConfiguration"));
    }
    Ok(())
}

impl Given {
    fn endpoint(&self) -> Result<HttpEndpoint> {
        let EndpointConfiguration { url, name, access_key: key } = &self.endpoint_configuration;
        crate::config::endpoint::endpoint_url(url)?;
        let key = key.as_ref().filter(|key| !key.is_empty());
        if let Some(key) = key {
            access_key(key).map_err(|error| Error::invalid(format!("AccessKey {}", error.message())))?;
        }
        let request = &self.request_configuration;
        let attributes: Vec<_> = request
            .common_attributes
            .iter()
            .map(|attribute| (attribute.attribute_name.clone(), attribute.attribute_value.clone()))
            .collect();
        common_attributes(&attributes)?;
        Ok(HttpEndpoint {
            name: name.clone(),
            access_key: key.cloned().map(Secret::new),
            gzip: request.content_encoding == "GZIP",
            attributes,
            retry: Duration::from_secs(self.retry_options.seconds),
            ..HttpEndpoint::new(url)
        })
    }
}

/// Merges an update: a member that is given replaces the one there is, but the bucket's settings merge as its own do.
pub(super) fn merge(into: &mut Map<String, Value>, update: Map<String, Value>) {
    for (name, given) in update {
        if name == "S3Update" {
            let mut s3 = object(into.remove("S3Configuration").unwrap_or_default());
            super::update::merge(&mut s3, object(given));
            into.insert("S3Configuration".into(), s3.into());
        } else {
            super::update::merge(into, Map::from_iter([(name, given)]));
        }
    }
}

/// As Describe shows it.
pub(super) fn describe(given: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = given.clone();
    if let Some(Value::Object(endpoint)) = shown.get_mut("EndpointConfiguration") {
        endpoint.remove("AccessKey");
    }
    if let Some(s3) = shown.remove("S3Configuration") {
        shown.insert("S3DestinationDescription".into(), s3);
    }
    shown
}

/// An endpoint of the configuration file in the API's words; `s3` is its store in the same.
pub(super) fn from_config(
    endpoint: &HttpEndpoint,
    stream: &DeliveryStream,
    s3: &Map<String, Value>,
) -> Map<String, Value> {
    let attribute = |(name, value): &(String, String)| json!({ "AttributeName": name, "AttributeValue": value });
    let mut shown = object(json!({
        "EndpointConfiguration": { "Url": endpoint.url },
        "BufferingHints": {
            "SizeInMBs": stream.buffer.size_bytes.div_ceil(MIB).max(1),
            "IntervalInSeconds": stream.buffer.interval.as_secs(),
        },
        "CloudWatchLoggingOptions": { "Enabled": false },
        "RequestConfiguration": {
            "ContentEncoding": if endpoint.gzip { "GZIP" } else { "NONE" },
            "CommonAttributes": endpoint.attributes.iter().map(attribute).collect::<Vec<_>>(),
        },
        "RetryOptions": { "DurationInSeconds": endpoint.retry.as_secs() },
        "S3BackupMode": if stream.backup.is_some() { "AllData" } else { "FailedDataOnly" },
        "S3DestinationDescription": s3,
    }));
    if let Some(name) = &endpoint.name {
        shown["EndpointConfiguration"]["Name"] = name.as_str().into();
    }
    shown
}
