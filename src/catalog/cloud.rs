//! The stored form of Google's and Azure's stores: without their secrets, which are taken from where the configuration still
//! names the same bucket or account. Where it does not, the stream drains with the credentials of the machine.

use serde::{Deserialize, Serialize};

use crate::config::{AzureStore, Config, GcsStore, Store};

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
    config.delivery_streams.iter().map(|stream| &stream.destination.store)
}
