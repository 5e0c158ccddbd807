//! Destinations and buckets: which keys belong to which store, and what they may say.

use std::net::IpAddr;
use std::ops::Range;

use super::super::at::{At, TextOr};
use super::super::shape::{either, nearest};
use super::super::{
    AwsCredentials, Buckets, Compression, Delimiter, Destination, HttpEndpoint, PartitionSettings, Prefix, PrefixKind,
    S3Connection, Sse, Store, check_partitioned, check_prefixes, names, raw, time_zone,
};
use super::Checker;
use super::endpoint::EndpointKeys;
use crate::limits::LANES_OPEN_MAX;

/// The keys that say how S3 is reached; they stand in destinations, in `[buckets]` and with modules.
pub(super) struct Connection {
    pub(super) region: Option<At<String>>,
    pub(super) endpoint: Option<At<String>>,
    pub(super) path_style: Option<At<bool>>,
    pub(super) credentials: Option<At<raw::Credentials>>,
    pub(super) profile: Option<At<String>>,
}

/// A key and where it is written, if it is.
pub(super) type Written = (&'static str, Option<Range<usize>>);

pub(super) fn written<T>(key: &'static str, value: Option<&At<T>>) -> Written {
    (key, value.map(|value| value.span.clone()))
}

impl Checker<'_> {
    pub(super) fn buckets(&mut self, At { value: buckets, span }: At<raw::Buckets>) -> Option<Buckets> {
        let connection = Connection {
            region: buckets.region,
            endpoint: buckets.endpoint,
            path_style: buckets.path_style,
            credentials: buckets.credentials,
            profile: buckets.profile,
        };
        match buckets.kind?.value {
            kind @ (raw::StoreKind::Gcs | raw::StoreKind::Azure | raw::StoreKind::Http) => {
                let message = format!("type = \"{}\" cannot hold buckets: must be \"s3\" or \"local\"", kind.name());
                self.findings.add(span, message);
                None
            }
            raw::StoreKind::S3 => {
                self.foreign_keys("s3", &[written("path", buckets.path.as_ref())]);
                Some(Buckets::S3(self.connection(connection)))
            }
            raw::StoreKind::Local => {
                self.foreign_keys("local", &connection.written());
                self.local_path(buckets.path, &span).map(Buckets::Local)
            }
        }
    }

    pub(super) fn destination(&mut self, At { value: mut raw, span }: At<raw::Destination>) -> Option<Destination> {
        let raw::Destination { prefix, error_prefix, time_zone: zone, compression, compression_level, .. } = &raw;
        let is_http = raw.kind.as_ref().is_some_and(|kind| kind.value == raw::StoreKind::Http);
        let of_objects = [
            written("prefix", prefix.as_ref()),
            written("compression", compression.as_ref()),
            written("compression_level", compression_level.as_ref()),
            written("file_extension", raw.file_extension.as_ref()),
            written("delimiter", raw.delimiter.as_ref()),
            written("format", raw.format.as_ref()),
            written("partition", raw.partition.as_ref()),
        ];
        if is_http {
            self.foreign_keys("http", &of_objects);
        }
        let (prefix, error_prefix) = self.prefixes(prefix.as_ref().filter(|_| !is_http), error_prefix.as_ref());
        let zone = zone.as_ref().and_then(|zone| self.accept("time_zone", &zone.span, time_zone(&zone.value)));
        let extension = self.checked("file_extension", raw.file_extension.clone(), names::file_extension);
        let compression = compression.as_ref().map_or(Compression::default(), |compression| compression.value);
        if let Some(level) = compression_level
            && matches!(compression, Compression::None | Compression::Snappy | Compression::HadoopSnappy)
        {
            let name = serde_json::to_value(compression).ok();
            let name = name.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
            let message = format!("compression_level has no meaning with compression = \"{name}\"");
            self.findings.add(level.span.clone(), message);
        }
        let (level, delimiter) = (compression_level.as_ref().map(|level| level.value), raw.delimiter.clone());
        let conversion = raw.format.take().and_then(|format| {
            self.no_encoding_beside(compression, delimiter.as_ref(), &format.span);
            self.conversion(format)
        });
        let partition = raw.partition.take().map(|partition| self.partition(partition, &prefix)).unwrap_or_default();
        let (http, store) = self.whereto(raw, &span)?;
        let destination = Destination::new(store);
        Some(Destination {
            http: http.map(Box::new),
            prefix,
            error_prefix,
            time_zone: zone.unwrap_or(destination.time_zone),
            compression,
            level: level.unwrap_or(destination.level),
            file_extension: extension.filter(|extension| !extension.is_empty()),
            delimiter: delimiter.map_or(destination.delimiter, |delimiter| delimiter.value),
            conversion: conversion.map(Box::new),
            partition,
            store: destination.store,
        })
    }

    /// A format has its own compression, and its rows need nothing between them.
    fn no_encoding_beside(
        &mut self,
        compression: Compression,
        delimiter: Option<&At<Delimiter>>,
        place: &Range<usize>,
    ) {
        if compression != Compression::None {
            let message = "with a format, compression must be \"none\": the format has its own";
            self.findings.add(place.clone(), message);
        }
        if let Some(delimiter) = delimiter.filter(|delimiter| delimiter.value != Delimiter::Never) {
            self.findings.add(delimiter.span.clone(), "with a format there is no delimiter between records");
        }
    }

    /// The store, and of an endpoint that one too.
    fn whereto(&mut self, raw: raw::Destination, place: &Range<usize>) -> Option<(Option<HttpEndpoint>, Store)> {
        let endpoint = EndpointKeys { url: raw.url, request: raw.request, failures: raw.failures };
        let store = raw::Store {
            kind: raw.kind,
            path: raw.path,
            bucket: raw.bucket,
            region: raw.region,
            endpoint: raw.endpoint,
            path_style: raw.path_style,
            credentials: raw.credentials,
            profile: raw.profile,
            sse: raw.sse,
            storage_class: raw.storage_class,
            acl: raw.acl,
            tags: raw.tags,
            checksum: raw.checksum,
            service_account: raw.service_account,
            anonymous: raw.anonymous,
            account: raw.account,
            container: raw.container,
            account_key: raw.account_key,
            sas_token: raw.sas_token,
            identity: raw.identity,
        };
        let kind = store.kind.as_ref()?.value;
        if kind == raw::StoreKind::Http {
            self.foreign_store_keys(kind, &store);
            return self.endpoint(endpoint, place).map(|(http, store)| (Some(http), store));
        }
        let of_endpoints = [
            written("url", endpoint.url.as_ref()),
            written("request", endpoint.request.as_ref()),
            written("failures", endpoint.failures.as_ref()),
        ];
        self.foreign_keys(kind.name(), &of_endpoints);
        self.store(store, place).map(|store| (None, store))
    }

    pub(super) fn local_path(&mut self, path: Option<At<String>>, place: &Range<usize>) -> Option<std::path::PathBuf> {
        if path.is_none() {
            self.findings.missing(place, place.clone(), "path", ": type = \"local\" needs it");
        }
        self.path("path", &path?)
    }

    /// Keys that a store of type `kind` does not have.
    pub(super) fn foreign_keys(&mut self, kind: &str, keys: &[Written]) {
        for (key, span) in keys {
            if let Some(span) = span {
                self.findings.add(span.clone(), format!("key \"{key}\" does not belong to type = \"{kind}\""));
            }
        }
    }

    fn partition(&mut self, At { value: raw, span }: At<raw::Partition>, prefix: &Prefix) -> PartitionSettings {
        if prefix.keys().is_empty() {
            self.findings.add(span, "partition has no meaning where prefix has no partition keys");
        }
        let max_open = self.number("max_open", raw.max_open, 1..=LANES_OPEN_MAX as u64);
        max_open.map_or_else(PartitionSettings::default, |max| PartitionSettings { max_open: max as usize })
    }

    /// Both prefixes; the faults are at the one that is meant.
    fn prefixes(&mut self, prefix: Option<&At<String>>, errors: Option<&At<String>>) -> (Prefix, Prefix) {
        let mut sound = true;
        let both = [("prefix", prefix, PrefixKind::Partitioned), ("error_prefix", errors, PrefixKind::Errors)];
        for (key, written, kind) in both {
            if let Some(written) = written {
                sound &= self.accept(key, &written.span, Prefix::parse(&written.value, kind)).is_some();
            }
        }
        let pair =
            check_partitioned(prefix.map(|prefix| prefix.value.as_str()), errors.map(|errors| errors.value.as_str()));
        let pair = match (pair, prefix) {
            (Ok(pair), _) => Some(pair),
            (Err(error), Some(prefix)) if sound => self.accept("error_prefix", &prefix.span, Err(error)),
            _ => None,
        };
        pair.unwrap_or_else(|| check_prefixes(None, None).expect("the default prefixes are valid"))
    }

    pub(super) fn connection(&mut self, raw: Connection) -> S3Connection {
        self.one_identity(raw.credentials.as_ref(), raw.profile.as_ref());
        let endpoint = self.checked("endpoint", raw.endpoint, names::endpoint);
        // A host that is a number cannot have the bucket before it.
        let path_style =
            raw.path_style.map_or_else(|| endpoint.as_deref().is_some_and(is_numeric), |style| style.value);
        S3Connection {
            region: self.checked("region", raw.region, names::region),
            endpoint: endpoint.map(|url| url.trim_end_matches('/').to_owned()),
            path_style,
            credentials: raw.credentials.and_then(|credentials| self.credentials(&credentials.value)),
            profile: raw.profile.map(|profile| profile.value),
        }
    }

    /// Credentials and a profile would each say who we are.
    pub(super) fn one_identity(&mut self, credentials: Option<&At<raw::Credentials>>, profile: Option<&At<String>>) {
        if let (Some(_), Some(profile)) = (credentials, profile) {
            self.findings.add(profile.span.clone(), "profile and credentials exclude one another");
        }
    }

    pub(super) fn credentials(&mut self, raw: &raw::Credentials) -> Option<AwsCredentials> {
        let id = raw.access_key_id.as_ref().and_then(|id| self.token("access_key_id", id));
        let secret = raw.secret_access_key.as_ref().and_then(|key| self.secret("secret_access_key", key));
        let session_token = raw.session_token.as_ref().and_then(|token| self.token("session_token", token));
        let access_key_id = id?.reveal().clone();
        Some(AwsCredentials { access_key_id, secret_access_key: secret?, session_token })
    }

    pub(super) fn sse(&mut self, sse: At<TextOr<raw::SseKms>>) -> Option<Sse> {
        match sse.value {
            TextOr::Text(text) if text == "s3" => Some(Sse::S3),
            TextOr::Text(text) if text == "kms" => Some(Sse::Kms { key: None }),
            TextOr::Text(text) => {
                let message = format!("sse {text:?} must be \"s3\", \"kms\" or {{ kms = \"key id or ARN\" }}");
                self.findings.add(sse.span, message);
                None
            }
            TextOr::Table(raw::SseKms { kms: Some(key) }) if key.value.is_empty() => {
                self.findings.add(key.span, "kms: is empty");
                None
            }
            TextOr::Table(raw::SseKms { kms }) => kms.map(|key| Sse::Kms { key: Some(key.value) }),
        }
    }

    pub(super) fn tags(&mut self, raw: std::collections::BTreeMap<At<String>, At<String>>) -> Vec<(String, String)> {
        let mut raw: Vec<_> = raw.into_iter().collect();
        raw.sort_by_key(|(key, _)| key.span.start);
        let place = raw.first().map(|(key, _)| key.span.clone());
        let mut tags = Vec::new();
        let mut sound = true;
        for (key, value) in raw {
            sound &= self.accept("tags", &key.span, names::object_tag(&key.value, &value.value)).is_some();
            tags.push((key.value, value.value));
        }
        if let Some(place) = place.filter(|_| sound) {
            self.accept("tags", &place, names::object_tags(&tags));
        }
        tags
    }

    pub(super) fn one_of(&mut self, key: &str, text: Option<At<String>>, known: &[&str]) -> Option<String> {
        let text = text?;
        if known.contains(&text.value.as_str()) {
            return Some(text.value);
        }
        let hint = match nearest(&text.value, known.iter().copied()) {
            Some(near) => format!(": did you mean \"{near}\"?"),
            None => format!(": must be {}", either(known.iter().copied())),
        };
        self.findings.add(text.span, format!("unknown {key} {:?}{hint}", text.value));
        None
    }
}

impl Connection {
    fn written(&self) -> [Written; 5] {
        [
            written("region", self.region.as_ref()),
            written("endpoint", self.endpoint.as_ref()),
            written("path_style", self.path_style.as_ref()),
            written("credentials", self.credentials.as_ref()),
            written("profile", self.profile.as_ref()),
        ]
    }
}

/// Whether an endpoint's host is an IP address or `localhost`.
fn is_numeric(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<http::Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}
