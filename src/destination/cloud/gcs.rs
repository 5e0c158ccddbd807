//! A client of Google Cloud Storage.

use std::sync::Arc;

use object_store::StaticCredentialProvider;
use object_store::gcp::{GcpCredential, GoogleCloudStorage, GoogleCloudStorageBuilder};

use super::{client, retries};
use crate::config::{GcsCredentials, GcsStore};
use crate::error::{Error, Result};

pub(super) fn connect(store: &GcsStore) -> Result<GoogleCloudStorage> {
    let builder = match &store.credentials {
        GcsCredentials::Default => GoogleCloudStorageBuilder::from_env(),
        GcsCredentials::ServiceAccount(key) => {
            GoogleCloudStorageBuilder::new().with_service_account_key(key.reveal().as_str())
        }
        GcsCredentials::Anonymous => {
            // Signing alone cannot be left out: the library would still look for credentials.
            let nobody = StaticCredentialProvider::new(GcpCredential { bearer: String::new() });
            GoogleCloudStorageBuilder::new().with_credentials(Arc::new(nobody)).with_skip_signature(true)
        }
    };
    let mut builder = builder
        .with_bucket_name(&store.bucket)
        .with_client_options(client(store.endpoint.as_deref()))
        .with_retry(retries());
    if let Some(endpoint) = &store.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    builder.build().map_err(|error| {
        let message = format!("bucket {:?} of Google Cloud Storage cannot be used as it is configured", store.bucket);
        Error::invalid(message).because(error)
    })
}
