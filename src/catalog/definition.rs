//! The stored form of a stream of the configuration file: what it did when the service last started, so that a
//! change is noticed, and so that a stream which vanished from the file can still be drained.
//!
//! Secrets are not stored. A stream that drains after it vanished takes them from where the file still has them
//! under the same access key id; where it has not, the AWS chain's credentials are used.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{
    AwsCredentials, Backup, Buckets, Buffering, Builtin, Checksum, Compression, Config, Conversion, Delimiter,
    DeliveryStream, Destination, Level, PartitionSettings, Processor, S3Connection, S3Store, Source, Sse, Store,
    check_partitioned,
};
use crate::error::{Error, Result};

use super::cloud::{StoredAzure, StoredEndpoint, StoredGcs};
use super::source::StoredSource;

/// A [`DeliveryStream`] without its name and its secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Definition {
    #[serde(default, skip_serializing_if = "StoredSource::is_direct")]
    source: StoredSource,
    size_bytes: u64,
    interval_ms: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    process: Vec<StoredProcessor>,
    store: Box<StoredStore>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http: Option<Box<StoredEndpoint>>,
    prefix: String,
    error_prefix: String,
    time_zone: String,
    compression: Compression,
    level: Level,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_extension: Option<String>,
    delimiter: Delimiter,
    /// The stream that its backup is, as it would be alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backup: Option<Box<Definition>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conversion: Option<Box<Conversion>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partitions_open: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retention_ms: Option<u64>,
    pub(super) drain: bool,
    encrypted: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredProcessor {
    RequireJson,
    Builtin(Builtin),
    Plugin { name: String, config: BTreeMap<String, String>, retries: Option<u32>, batch_bytes: Option<u32> },
}

impl From<&Processor> for StoredProcessor {
    fn from(processor: &Processor) -> Self {
        match processor.clone() {
            Processor::RequireJson => StoredProcessor::RequireJson,
            Processor::Builtin(builtin) => StoredProcessor::Builtin(builtin),
            Processor::Plugin { name, config, retries, batch_bytes } => {
                StoredProcessor::Plugin { name, config, retries, batch_bytes }
            }
        }
    }
}

impl From<StoredProcessor> for Processor {
    fn from(stored: StoredProcessor) -> Self {
        match stored {
            StoredProcessor::RequireJson => Processor::RequireJson,
            StoredProcessor::Builtin(builtin) => Processor::Builtin(builtin),
            StoredProcessor::Plugin { name, config, retries, batch_bytes } => {
                Processor::Plugin { name, config, retries, batch_bytes }
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredStore {
    S3(Box<StoredS3>),
    Gcs(StoredGcs),
    Azure(StoredAzure),
    Local(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredS3 {
    bucket: String,
    region: Option<String>,
    endpoint: Option<String>,
    path_style: bool,
    access_key_id: Option<String>,
    profile: Option<String>,
    sse: Option<StoredSse>,
    storage_class: Option<String>,
    acl: Option<String>,
    tags: Vec<(String, String)>,
    checksum: StoredChecksum,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredSse {
    S3,
    Kms { key: Option<String> },
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredChecksum {
    Crc64Nvme,
    Crc32,
    Crc32c,
    Sha256,
    None,
}

impl From<&DeliveryStream> for Definition {
    fn from(stream: &DeliveryStream) -> Self {
        // Taken apart completely, so that a new field cannot be forgotten here.
        let DeliveryStream {
            name: _,
            buffer,
            source,
            process,
            destination,
            backup: _,
            // It has secrets, and its file says it anew at each start; without that nobody is told any more.
            webhook: _,
            bytes_max,
            retention,
            drain,
            encrypted,
        } = stream;
        let Destination {
            store,
            prefix,
            error_prefix,
            time_zone,
            compression,
            level,
            file_extension,
            delimiter,
            conversion,
            partition,
            http,
        } = destination;
        Definition {
            source: source.into(),
            size_bytes: buffer.size_bytes,
            interval_ms: milliseconds(buffer.interval),
            process: process.iter().map(StoredProcessor::from).collect(),
            store: Box::new(store.into()),
            http: http.as_deref().map(|http| Box::new(http.into())),
            prefix: prefix.text().into(),
            error_prefix: error_prefix.text().into(),
            time_zone: time_zone.name().into(),
            compression: *compression,
            level: *level,
            file_extension: file_extension.clone(),
            delimiter: *delimiter,
            backup: stream.of_backup().as_ref().map(|backup| Box::new(Definition::from(backup))),
            conversion: conversion.clone(),
            partitions_open: (*partition != PartitionSettings::default()).then_some(partition.max_open),
            bytes_max: *bytes_max,
            retention_ms: retention.map(milliseconds),
            drain: *drain,
            encrypted: *encrypted,
        }
    }
}

impl From<&Store> for StoredStore {
    fn from(store: &Store) -> Self {
        match store {
            Store::Local { path } => StoredStore::Local(path.clone()),
            Store::S3(s3) => StoredStore::S3(Box::new(s3.as_ref().into())),
            Store::Gcs(gcs) => StoredStore::Gcs(gcs.as_ref().into()),
            Store::Azure(azure) => StoredStore::Azure(azure.as_ref().into()),
        }
    }
}

impl From<&S3Store> for StoredS3 {
    fn from(store: &S3Store) -> Self {
        let S3Store { bucket, connection, sse, storage_class, acl, tags, checksum } = store;
        let S3Connection { region, endpoint, path_style, credentials, profile } = connection;
        StoredS3 {
            bucket: bucket.clone(),
            region: region.clone(),
            endpoint: endpoint.clone(),
            path_style: *path_style,
            access_key_id: credentials.as_ref().map(|credentials| credentials.access_key_id.clone()),
            profile: profile.clone(),
            sse: sse.as_ref().map(|sse| match sse {
                Sse::S3 => StoredSse::S3,
                Sse::Kms { key } => StoredSse::Kms { key: key.clone() },
            }),
            storage_class: storage_class.clone(),
            acl: acl.clone(),
            tags: tags.clone(),
            checksum: match checksum {
                Checksum::Crc64Nvme => StoredChecksum::Crc64Nvme,
                Checksum::Crc32 => StoredChecksum::Crc32,
                Checksum::Crc32c => StoredChecksum::Crc32c,
                Checksum::Sha256 => StoredChecksum::Sha256,
                Checksum::None => StoredChecksum::None,
            },
        }
    }
}

impl Definition {
    /// The stream again, with secrets from `config`.
    pub(super) fn restore(self, name: &str, config: &Config) -> Result<DeliveryStream> {
        let time_zone = self
            .time_zone
            .parse()
            .map_err(|_| Error::corrupt(format!("delivery stream {name}: unknown time zone {:?}", self.time_zone)))?;
        let (prefix, error_prefix) = check_partitioned(Some(&self.prefix), Some(&self.error_prefix))?;
        let backup = self.backup.map(|backup| backup.restore(name, config)).transpose()?;
        Ok(DeliveryStream {
            name: name.to_owned(),
            source: self.source.restore(name, config),
            buffer: Buffering { size_bytes: self.size_bytes, interval: Duration::from_millis(self.interval_ms) },
            process: self.process.into_iter().map(Processor::from).collect(),
            destination: Destination {
                store: self.store.restore(name, config),
                http: self.http.map(|http| Box::new(http.restore(config))),
                prefix,
                error_prefix,
                time_zone,
                compression: self.compression,
                level: self.level,
                file_extension: self.file_extension,
                delimiter: self.delimiter,
                conversion: self.conversion,
                partition: self
                    .partitions_open
                    .map_or_else(PartitionSettings::default, |max_open| PartitionSettings { max_open }),
            },
            backup: backup.map(|DeliveryStream { buffer, destination, .. }| Box::new(Backup { buffer, destination })),
            webhook: None,
            bytes_max: self.bytes_max,
            retention: self.retention_ms.map(Duration::from_millis),
            drain: self.drain,
            encrypted: self.encrypted,
        })
    }
}

impl StoredStore {
    fn restore(self, name: &str, config: &Config) -> Store {
        match self {
            StoredStore::Local(path) => Store::Local { path },
            StoredStore::S3(s3) => Store::S3(Box::new(s3.restore(name, config))),
            StoredStore::Gcs(gcs) => Store::Gcs(Box::new(gcs.restore(config))),
            StoredStore::Azure(azure) => Store::Azure(Box::new(azure.restore(config))),
        }
    }
}

impl StoredS3 {
    fn restore(self, name: &str, config: &Config) -> S3Store {
        let credentials = self.access_key_id.and_then(|id| known_credentials(&id, name, config));
        S3Store {
            bucket: self.bucket,
            connection: S3Connection {
                region: self.region,
                endpoint: self.endpoint,
                path_style: self.path_style,
                credentials,
                profile: self.profile,
            },
            sse: self.sse.map(|sse| match sse {
                StoredSse::S3 => Sse::S3,
                StoredSse::Kms { key } => Sse::Kms { key },
            }),
            storage_class: self.storage_class,
            acl: self.acl,
            tags: self.tags,
            checksum: match self.checksum {
                StoredChecksum::Crc64Nvme => Checksum::Crc64Nvme,
                StoredChecksum::Crc32 => Checksum::Crc32,
                StoredChecksum::Crc32c => Checksum::Crc32c,
                StoredChecksum::Sha256 => Checksum::Sha256,
                StoredChecksum::None => Checksum::None,
            },
        }
    }
}

/// The static credentials of the configuration with this access key id.
pub(super) fn known_credentials(access_key_id: &str, name: &str, config: &Config) -> Option<AwsCredentials> {
    let found = credentials(config).find(|known| known.access_key_id == access_key_id).cloned();
    if found.is_none() {
        tracing::warn!(
            stream = name,
            access_key_id,
            "this delivery stream is no longer in the configuration file, nor is the secret of its access key: it \
             drains with the credentials of the AWS chain"
        );
    }
    found
}

/// All static credentials that the configuration has.
fn credentials(config: &Config) -> impl Iterator<Item = &AwsCredentials> {
    let buckets = match &config.buckets {
        Buckets::S3(connection) => connection.credentials.as_ref(),
        Buckets::Local(_) => None,
    };
    let destinations = config.delivery_streams.iter().flat_map(DeliveryStream::destinations);
    let stores = destinations.filter_map(|destination| match &destination.store {
        Store::S3(s3) => s3.connection.credentials.as_ref(),
        Store::Gcs(_) | Store::Azure(_) | Store::Local { .. } => None,
    });
    let sources = config.delivery_streams.iter().filter_map(|stream| match &stream.source {
        Source::Kinesis(from) => from.credentials.as_ref(),
        Source::Direct | Source::DataStream { .. } => None,
    });
    buckets.into_iter().chain(stores).chain(sources)
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
