//! A client of Azure Blob Storage.

use object_store::azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};

use super::{client, retries};
use crate::config::{AzureCredentials, AzureStore};
use crate::error::{Error, Result};

pub(super) fn connect(store: &AzureStore) -> Result<MicrosoftAzure> {
    let mut builder = credentials(&store.credentials)
        .with_account(&store.account)
        .with_container_name(&store.container)
        .with_use_emulator(false)
        .with_client_options(client(store.endpoint.as_deref()))
        .with_retry(retries());
    if let Some(endpoint) = &store.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    builder.build().map_err(|error| {
        let AzureStore { account, container, .. } = store;
        let message = format!("container {container:?} of account {account:?} cannot be used as it is configured");
        Error::invalid(message).because(error)
    })
}

fn credentials(credentials: &AzureCredentials) -> MicrosoftAzureBuilder {
    let new = MicrosoftAzureBuilder::new;
    match credentials {
        AzureCredentials::Default => MicrosoftAzureBuilder::from_env(),
        AzureCredentials::AccountKey(key) => {
            new().with_access_key(key.reveal().as_str()).with_credential_type("access_key")
        }
        AzureCredentials::Sas(token) => {
            let builder = new().with_config(AzureConfigKey::SasKey, token.reveal().as_str());
            builder.with_credential_type("sas_token")
        }
        AzureCredentials::ClientSecret { tenant_id, client_id, client_secret } => new()
            .with_client_secret_authorization(client_id, client_secret.reveal().as_str(), tenant_id)
            .with_credential_type("client_secret"),
        AzureCredentials::ManagedIdentity { client_id } => {
            let builder = new().with_credential_type("managed_identity");
            match client_id {
                Some(id) => builder.with_client_id(id),
                None => builder,
            }
        }
    }
}
