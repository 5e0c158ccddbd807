//! The stored form of Google's and Azure's stores and of HTTP endpoints: without their secrets, which are taken from where the configuration still
//! names the same bucket, account or URL. Where it does not, the stream drains with the credentials of the machine, or without.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{AzureStore, Config, DeliveryStream, GcsStore, HttpEndpoint, Store};

use super::definition::milliseconds;

/// A [`GcsStore`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredGcs {
    bucket: String,
    endpoint: Option<String>,
    storage_class: Option<String>,
}

/// An [`AzureStore`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredAzure {
    account: String,
    container: String,
    endpoint: Option<String>,
    storage_class: Option<String>,
    tags: Vec<(String, String)>,
}

/// An [`HttpEndpoint`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredEndpoint {
    url: String,
    name: Option<String>,
    gzip: bool,
    attributes: Vec<(String, String)>,
    retry_ms: u64,
}

impl From<&HttpEndpoint> for StoredEndpoint {
    fn from(endpoint: &HttpEndpoint) -> Self {
        let HttpEndpoint { url, name, access_key: _, gzip, attributes, retry } = endpoint.clone();
        StoredEndpoint { url, name, gzip, attributes, retry_ms: milliseconds(retry) }
    }
}

impl StoredEndpoint {
    /// The endpoint again, with its access key from `config`.
    pub(super) fn restore(self, config: &Config) -> HttpEndpoint {
        let StoredEndpoint { url, name, gzip, attributes, retry_ms } = self;
        let known = config.delivery_streams.iter().filter_map(|stream| stream.destination.http.as_deref());
        let access_key = known.filter(|known| known.url == url).find_map(|known| known.access_key.clone());
        HttpEndpoint { url, name, access_key, gzip, attributes, retry: Duration::from_millis(retry_ms) }
    }
}

impl From<&GcsStore> for StoredGcs {
    fn from(store: &GcsStore) -> Self {
        let GcsStore { bucket, endpoint, credentials: _, storage_class } = store.clone();
        StoredGcs { bucket, endpoint, storage_class }
    }
}

impl From<&AzureStore> for StoredAzure {
    fn from(store: &AzureStore) -> Self {
        let AzureStore { account, container, endpoint, credentials: _, storage_class, tags } = store.clone();
        StoredAzure { account, container, endpoint, storage_class, tags }
    }
}

impl StoredGcs {
    /// The store again, with secrets from `config`.
    pub(super) fn restore(self, config: &Config) -> GcsStore {
        let StoredGcs { bucket, endpoint, storage_class } = self;
        let known = stores(config).find_map(|store| match store {
            Store::Gcs(gcs) if gcs.bucket == bucket && gcs.endpoint == endpoint => Some(gcs.credentials.clone()),
            _ => None,
        });
        GcsStore { bucket, endpoint, credentials: known.unwrap_or_default(), storage_class }
    }
}

impl StoredAzure {
    /// The store again, with secrets from `config`.
    pub(super) fn restore(self, config: &Config) -> AzureStore {
        let StoredAzure { account, container, endpoint, storage_class, tags } = self;
        let known = stores(config).find_map(|store| match store {
            Store::Azure(azure) if azure.account == account && azure.endpoint == endpoint => {
                Some(azure.credentials.clone())
            }
            _ => None,
        });
        AzureStore { account, container, endpoint, credentials: known.unwrap_or_default(), storage_class, tags }
    }
}

fn stores(config: &Config) -> impl Iterator<Item = &Store> {
    config.delivery_streams.iter().flat_map(DeliveryStream::destinations).map(|destination| &destination.store)
}
