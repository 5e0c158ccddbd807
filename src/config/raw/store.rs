//! The keys that say which store objects go to; they stand in a destination itself, and in `failures` of one that is not a store.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::Checksum;
use super::super::at::{At, TextOr};
use super::{Credentials, Secret, SseKms};

/// Kinds of destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum StoreKind {
    S3,
    Gcs,
    Azure,
    Local,
    Http,
}

impl StoreKind {
    /// As it is written.
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            StoreKind::S3 => "s3",
            StoreKind::Gcs => "gcs",
            StoreKind::Azure => "azure",
            StoreKind::Local => "local",
            StoreKind::Http => "http",
        }
    }
}

/// A store of objects.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Store {
    /// Kind of store: S3 (or what speaks its protocol), Google Cloud Storage, Azure Blob Storage, or a local directory.
    #[serde(rename = "type")]
    #[schemars(required)]
    pub(in super::super) kind: Option<At<StoreKind>>,
    /// Directory, relative to this file; for type = "local".
    pub(in super::super) path: Option<At<String>>,
    /// Bucket; for type = "s3" and "gcs".
    pub(in super::super) bucket: Option<At<String>>,
    /// The bucket's region; the AWS chain's without. For type = "s3".
    pub(in super::super) region: Option<At<String>>,
    /// URL of a store that is not AWS's, Google's or Azure's own.
    pub(in super::super) endpoint: Option<At<String>>,
    /// Whether the bucket is named in the path instead of the host name; for type = "s3".
    pub(in super::super) path_style: Option<At<bool>>,
    /// Static credentials; the AWS chain without. For type = "s3".
    pub(in super::super) credentials: Option<At<Credentials>>,
    /// Profile of the AWS chain; for type = "s3".
    pub(in super::super) profile: Option<At<String>>,
    /// Server-side encryption: "s3", "kms" (with the bucket's key), or { kms = "key id or ARN" }; for type = "s3".
    pub(in super::super) sse: Option<At<TextOr<SseKms>>>,
    /// Storage class as the store spells it.
    pub(in super::super) storage_class: Option<At<String>>,
    /// Canned ACL as S3 spells it.
    pub(in super::super) acl: Option<At<String>>,
    /// Tags of the objects, at most 10; for type = "s3" and "azure".
    #[serde(default)]
    pub(in super::super) tags: BTreeMap<At<String>, At<String>>,
    /// Checksum that is sent with each object; for type = "s3". Default: crc64nvme.
    pub(in super::super) checksum: Option<At<Checksum>>,
    /// The JSON key of a service account; Google's application default credentials without. For type = "gcs".
    pub(in super::super) service_account: Option<At<Secret>>,
    /// Whether no credentials are sent, for emulators; for type = "gcs".
    pub(in super::super) anonymous: Option<At<bool>>,
    /// Storage account; for type = "azure".
    pub(in super::super) account: Option<At<String>>,
    /// Container; for type = "azure".
    pub(in super::super) container: Option<At<String>>,
    /// The storage account's key; for type = "azure".
    pub(in super::super) account_key: Option<At<Secret>>,
    /// A shared access signature; for type = "azure".
    pub(in super::super) sas_token: Option<At<Secret>>,
    /// A service principal, or with client_id alone, or empty, the machine's managed identity; for type = "azure".
    pub(in super::super) identity: Option<At<Identity>>,
}

/// Who we are to Azure.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Identity {
    /// Directory of the service principal.
    pub(in super::super) tenant_id: Option<At<String>>,
    /// Application of the service principal, or of the managed identity where the machine has several.
    pub(in super::super) client_id: Option<At<String>>,
    /// Secret of the service principal.
    pub(in super::super) client_secret: Option<At<Secret>>,
}
