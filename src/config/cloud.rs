//! Google Cloud Storage and Azure Blob Storage, as a destination names them.

use super::Secret;

/// A bucket of Google Cloud Storage.
#[derive(Clone, Debug, PartialEq)]
pub struct GcsStore {
    /// The bucket's name.
    pub bucket: String,
    /// Another endpoint than Google's: a private one, or an emulator.
    pub endpoint: Option<String>,
    /// Who we are.
    pub credentials: GcsCredentials,
    /// `STANDARD`, `NEARLINE`, `COLDLINE` or `ARCHIVE`; the bucket's default without.
    pub storage_class: Option<String>,
}

/// How Google is told who we are.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum GcsCredentials {
    /// Application default credentials: `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's file, the metadata server.
    #[default]
    Default,
    /// The JSON key of a service account.
    ServiceAccount(Secret<String>),
    /// Nobody: for emulators.
    Anonymous,
}

/// A container of Azure Blob Storage.
#[derive(Clone, Debug, PartialEq)]
pub struct AzureStore {
    /// The storage account.
    pub account: String,
    /// The container's name.
    pub container: String,
    /// Another endpoint than `https://ACCOUNT.blob.core.windows.net`; of an emulator with the account as its path.
    pub endpoint: Option<String>,
    /// Who we are.
    pub credentials: AzureCredentials,
    /// Access tier: `Hot`, `Cool`, `Cold` or `Archive`; the account's default without.
    pub storage_class: Option<String>,
    /// Index tags of the blobs.
    pub tags: Vec<(String, String)>,
}

/// How Azure is told who we are.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum AzureCredentials {
    /// What the environment says (`AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_CLIENT_ID`, `AZURE_FEDERATED_TOKEN_FILE`, …), or else
    /// the machine's managed identity.
    #[default]
    Default,
    /// The account's key, in base64.
    AccountKey(Secret<String>),
    /// A shared access signature.
    Sas(Secret<String>),
    /// A service principal.
    ClientSecret {
        /// Its directory.
        tenant_id: String,
        /// Its application.
        client_id: String,
        /// Its secret.
        client_secret: Secret<String>,
    },
    /// The machine's managed identity.
    ManagedIdentity {
        /// Which, where it has several.
        client_id: Option<String>,
    },
}

impl GcsStore {
    /// A bucket with every default.
    pub fn new(bucket: impl Into<String>) -> Self {
        let credentials = GcsCredentials::Default;
        GcsStore { bucket: bucket.into(), endpoint: None, credentials, storage_class: None }
    }
}

impl AzureStore {
    /// A container with every default.
    pub fn new(account: impl Into<String>, container: impl Into<String>) -> Self {
        AzureStore {
            account: account.into(),
            container: container.into(),
            endpoint: None,
            credentials: AzureCredentials::Default,
            storage_class: None,
            tags: Vec::new(),
        }
    }
}
