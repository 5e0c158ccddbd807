//! Where a plan's objects go and how they are stored there, as the plan remembers it: without secrets, which come from the
//! configuration in force.

use serde::{Deserialize, Serialize};

use crate::config::{
    AzureCredentials, AzureStore, Checksum, GcsCredentials, GcsStore, S3Connection, S3Store, Sse, Store,
};

/// A store, as a plan names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Place {
    S3 {
        bucket: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        #[serde(default)]
        path_style: bool,
    },
    Gcs {
        bucket: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
    },
    Azure {
        account: String,
        container: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
    },
    Local {
        path: std::path::PathBuf,
    },
}

/// How a bucket is to store objects: what was encrypted under a key yesterday must not be put in the clear because its
/// stream goes elsewhere today.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Stored {
    #[serde(skip_serializing_if = "Option::is_none")]
    sse: Option<Sse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<(String, String)>,
    checksum: Checksum,
}

impl Stored {
    pub(super) fn of(store: &Store) -> Self {
        match store {
            Store::Local { .. } => Stored::default(),
            Store::Gcs(gcs) => Stored { storage_class: gcs.storage_class.clone(), ..Stored::default() },
            Store::Azure(azure) => {
                Stored { storage_class: azure.storage_class.clone(), tags: azure.tags.clone(), ..Stored::default() }
            }
            Store::S3(s3) => Stored {
                sse: s3.sse.clone(),
                storage_class: s3.storage_class.clone(),
                acl: s3.acl.clone(),
                tags: s3.tags.clone(),
                checksum: s3.checksum,
            },
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        *self == Stored::default()
    }
}

impl Place {
    pub(super) fn of(store: &Store) -> Self {
        match store {
            Store::Local { path } => Place::Local { path: path.clone() },
            Store::Gcs(gcs) => Place::Gcs { bucket: gcs.bucket.clone(), endpoint: gcs.endpoint.clone() },
            Store::Azure(azure) => Place::Azure {
                account: azure.account.clone(),
                container: azure.container.clone(),
                endpoint: azure.endpoint.clone(),
            },
            Store::S3(s3) => Place::S3 {
                bucket: s3.bucket.clone(),
                region: s3.connection.region.clone(),
                endpoint: s3.connection.endpoint.clone(),
                path_style: s3.connection.path_style,
            },
        }
    }

    /// The store to put into: `now`, that of the settings in force, when it is the same place (so that new credentials and
    /// storage settings count), else the planned one, reached with the credentials in force if they are of its kind.
    pub(super) fn store(&self, stored: &Stored, now: &Store) -> Store {
        if Place::of(now) == *self {
            return now.clone();
        }
        let Stored { sse, storage_class, acl, tags, checksum } = stored.clone();
        match self {
            Place::Local { path } => Store::Local { path: path.clone() },
            Place::Gcs { bucket, endpoint } => {
                let credentials = match now {
                    Store::Gcs(gcs) => gcs.credentials.clone(),
                    _ => GcsCredentials::default(),
                };
                let endpoint = endpoint.clone();
                Store::Gcs(Box::new(GcsStore { endpoint, credentials, storage_class, ..GcsStore::new(bucket) }))
            }
            Place::Azure { account, container, endpoint } => {
                let credentials = match now {
                    // Keys and signatures are an account's own.
                    Store::Azure(azure) if azure.account == *account => azure.credentials.clone(),
                    _ => AzureCredentials::default(),
                };
                let (new, endpoint) = (AzureStore::new(account, container), endpoint.clone());
                Store::Azure(Box::new(AzureStore { endpoint, credentials, storage_class, tags, ..new }))
            }
            Place::S3 { bucket, region, endpoint, path_style } => {
                let (credentials, profile) = match now {
                    Store::S3(s3) => (s3.connection.credentials.clone(), s3.connection.profile.clone()),
                    _ => (None, None),
                };
                let connection = S3Connection {
                    region: region.clone(),
                    endpoint: endpoint.clone(),
                    path_style: *path_style,
                    credentials,
                    profile,
                };
                let mut store = S3Store::new(bucket.clone(), connection);
                (store.sse, store.storage_class, store.acl) = (sse, storage_class, acl);
                (store.tags, store.checksum) = (tags, checksum);
                Store::S3(Box::new(store))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn azure(account: &str) -> Store {
        let credentials = AzureCredentials::AccountKey(Secret::new("a2V5".to_owned()));
        Store::Azure(Box::new(AzureStore {
            credentials,
            storage_class: Some("Cool".to_owned()),
            tags: vec![("team".to_owned(), "web".to_owned())],
            ..AzureStore::new(account, "lake")
        }))
    }

    fn gcs(bucket: &str) -> Store {
        let credentials = GcsCredentials::ServiceAccount(Secret::new("{}".to_owned()));
        Store::Gcs(Box::new(GcsStore { credentials, ..GcsStore::new(bucket) }))
    }

    /// The place and the way of storing, through the ledger and back, without any secret.
    fn planned(store: &Store) -> (Place, Stored) {
        let text = serde_json::to_string(&(Place::of(store), Stored::of(store))).unwrap();
        assert!(!text.contains("a2V5") && !text.contains("{}"), "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_planned_place_is_reached_with_the_credentials_in_force_if_they_are_for_it() {
        let (place, stored) = planned(&azure("one"));
        assert_eq!(place.store(&stored, &azure("one")), azure("one"));
        let Store::Azure(elsewhere) = place.store(&stored, &azure("two")) else { panic!("another kind") };
        assert_eq!(elsewhere.account, "one");
        assert_eq!(elsewhere.credentials, AzureCredentials::Default, "another account's key opens nothing");
        assert_eq!((elsewhere.storage_class.as_deref(), elsewhere.tags.len()), (Some("Cool"), 1));
        let (place, stored) = planned(&gcs("one"));
        assert_eq!(place.store(&stored, &gcs("two")), gcs("one"));
        let Store::Gcs(elsewhere) = place.store(&stored, &azure("one")) else { panic!("another kind") };
        assert_eq!(elsewhere.credentials, GcsCredentials::Default);
    }
}
