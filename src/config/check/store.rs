//! Stores: which keys belong to which, and what they may say.

use std::ops::Range;

use super::super::at::At;
use super::super::raw::{Identity, Store as Raw, StoreKind};
use super::super::{AzureCredentials, AzureStore, GcsCredentials, GcsStore, S3Store, Secret, Store, names, raw};
use super::Checker;
use super::destination::{Connection, Written, written};

/// A key, where it is written, and the kinds of stores that have it.
type Owned = (Written, &'static [StoreKind]);

fn keys(raw: &Raw) -> [Owned; 19] {
    use StoreKind::{Azure, Gcs, Local, S3};
    let tags = raw.tags.first_key_value().map(|(key, _)| key.span.clone());
    [
        (written("path", raw.path.as_ref()), &[Local]),
        (written("bucket", raw.bucket.as_ref()), &[S3, Gcs]),
        (written("sse", raw.sse.as_ref()), &[S3]),
        (written("storage_class", raw.storage_class.as_ref()), &[S3, Gcs, Azure]),
        (written("acl", raw.acl.as_ref()), &[S3]),
        (("tags", tags), &[S3, Azure]),
        (written("checksum", raw.checksum.as_ref()), &[S3]),
        (written("region", raw.region.as_ref()), &[S3]),
        (written("endpoint", raw.endpoint.as_ref()), &[S3, Gcs, Azure]),
        (written("path_style", raw.path_style.as_ref()), &[S3]),
        (written("credentials", raw.credentials.as_ref()), &[S3]),
        (written("profile", raw.profile.as_ref()), &[S3]),
        (written("service_account", raw.service_account.as_ref()), &[Gcs]),
        (written("anonymous", raw.anonymous.as_ref()), &[Gcs]),
        (written("account", raw.account.as_ref()), &[Azure]),
        (written("container", raw.container.as_ref()), &[Azure]),
        (written("account_key", raw.account_key.as_ref()), &[Azure]),
        (written("sas_token", raw.sas_token.as_ref()), &[Azure]),
        (written("identity", raw.identity.as_ref()), &[Azure]),
    ]
}

impl Checker<'_> {
    /// Says of each key that it does not belong to `kind`, if it does not.
    pub(super) fn foreign_store_keys(&mut self, kind: StoreKind, raw: &Raw) {
        let foreign: Vec<_> = keys(raw).into_iter().filter(|(_, kinds)| !kinds.contains(&kind)).collect();
        for (key, _) in foreign {
            self.foreign_keys(kind.name(), &[key]);
        }
    }

    /// The store of a table at `place`.
    pub(super) fn store(&mut self, raw: Raw, place: &Range<usize>) -> Option<Store> {
        let At { value: kind, span } = raw.kind.clone()?;
        self.foreign_store_keys(kind, &raw);
        match kind {
            StoreKind::Local => self.local_path(raw.path, place).map(|path| Store::Local { path }),
            StoreKind::S3 => self.s3(raw, place),
            StoreKind::Gcs => self.gcs(raw, place),
            StoreKind::Azure => self.azure(raw, place),
            StoreKind::Http => {
                self.findings.add(span, "type = \"http\" is no store of objects");
                None
            }
        }
    }

    fn needed(&mut self, key: &'static str, kind: StoreKind, value: Option<&At<String>>, place: &Range<usize>) {
        if value.is_none() {
            let why = format!(": type = \"{}\" needs it", kind.name());
            self.findings.missing(place, place.clone(), key, &why);
        }
    }

    fn s3(&mut self, raw: Raw, place: &Range<usize>) -> Option<Store> {
        self.needed("bucket", StoreKind::S3, raw.bucket.as_ref(), place);
        let bucket = self.checked("bucket", raw.bucket, names::bucket_name);
        let connection = self.connection(Connection {
            region: raw.region,
            endpoint: raw.endpoint,
            path_style: raw.path_style,
            credentials: raw.credentials,
            profile: raw.profile,
        });
        let sse = raw.sse.and_then(|sse| self.sse(sse));
        let storage_class = self.one_of("storage_class", raw.storage_class, names::STORAGE_CLASSES);
        let acl = self.one_of("acl", raw.acl, names::ACLS);
        let tags = self.tags(raw.tags);
        let checksum = raw.checksum.map_or_else(Default::default, |checksum| checksum.value);
        let store = S3Store { sse, storage_class, acl, tags, checksum, ..S3Store::new(bucket?, connection) };
        Some(Store::S3(Box::new(store)))
    }

    fn gcs(&mut self, raw: Raw, place: &Range<usize>) -> Option<Store> {
        self.needed("bucket", StoreKind::Gcs, raw.bucket.as_ref(), place);
        let bucket = self.checked("bucket", raw.bucket, names::bucket_name);
        let endpoint = self.checked("endpoint", raw.endpoint, names::endpoint);
        let storage_class = self.one_of("storage_class", raw.storage_class, names::GCS_CLASSES);
        let anonymous = raw.anonymous.as_ref().is_some_and(|anonymous| anonymous.value);
        if let (true, Some(key)) = (anonymous, &raw.service_account) {
            self.findings.add(key.span.clone(), "service_account and anonymous exclude one another");
        }
        let credentials = match raw.service_account {
            Some(key) => self.service_account(&key).map_or(GcsCredentials::Default, GcsCredentials::ServiceAccount),
            None if anonymous => GcsCredentials::Anonymous,
            None => GcsCredentials::Default,
        };
        let endpoint = endpoint.map(|url| url.trim_end_matches('/').to_owned());
        Some(Store::Gcs(Box::new(GcsStore { endpoint, credentials, storage_class, ..GcsStore::new(bucket?) })))
    }

    /// The key of a service account, whose form is checked so that the fault is told here and not by every attempt.
    fn service_account(&mut self, written: &At<raw::Secret>) -> Option<Secret<String>> {
        let key = self.secret("service_account", written)?;
        let document: Option<serde_json::Value> = serde_json::from_str(key.reveal()).ok();
        let has = |name| {
            document.as_ref().is_some_and(|document| document.get(name).is_some_and(serde_json::Value::is_string))
        };
        if has("private_key") && has("client_email") {
            return Some(key);
        }
        let message = "service_account: is not the JSON key of a service account: it has no \"private_key\" and \
                       \"client_email\"";
        self.findings.add(written.span.clone(), message);
        None
    }

    fn azure(&mut self, raw: Raw, place: &Range<usize>) -> Option<Store> {
        self.needed("account", StoreKind::Azure, raw.account.as_ref(), place);
        self.needed("container", StoreKind::Azure, raw.container.as_ref(), place);
        let account = self.checked("account", raw.account, names::azure_account);
        let container = self.checked("container", raw.container, names::azure_container);
        let endpoint = self.checked("endpoint", raw.endpoint, names::azure_endpoint);
        let storage_class = self.one_of("storage_class", raw.storage_class, names::AZURE_TIERS);
        let tags = self.tags(raw.tags);
        let given = [
            written("account_key", raw.account_key.as_ref()),
            written("sas_token", raw.sas_token.as_ref()),
            written("identity", raw.identity.as_ref()),
        ];
        let given: Vec<_> = given.into_iter().filter_map(|(key, span)| Some((key, span?))).collect();
        if let [(one, _), (other, span), ..] = given.as_slice() {
            self.findings.add(span.clone(), format!("{one} and {other} exclude one another"));
        }
        let credentials = self.azure_credentials(raw.account_key, raw.sas_token, raw.identity);
        let endpoint = endpoint.map(|url| url.trim_end_matches('/').to_owned());
        let store = AzureStore { endpoint, storage_class, tags, ..AzureStore::new(account?, container?) };
        Some(Store::Azure(Box::new(AzureStore { credentials: credentials?, ..store })))
    }

    fn azure_credentials(
        &mut self,
        account_key: Option<At<raw::Secret>>,
        sas_token: Option<At<raw::Secret>>,
        identity: Option<At<Identity>>,
    ) -> Option<AzureCredentials> {
        if let Some(key) = account_key {
            let secret = self.secret("account_key", &key)?;
            if base64_simd::STANDARD.decode_to_vec(secret.reveal()).is_ok() {
                return Some(AzureCredentials::AccountKey(secret));
            }
            self.findings.add(key.span, "account_key: is not base64");
            return None;
        }
        if let Some(token) = sas_token {
            return self.token("sas_token", &token).map(AzureCredentials::Sas);
        }
        let Some(At { value: Identity { tenant_id, client_id, client_secret }, span }) = identity else {
            return Some(AzureCredentials::Default);
        };
        match (tenant_id, client_id, client_secret) {
            (Some(tenant), Some(client), Some(secret)) => Some(AzureCredentials::ClientSecret {
                tenant_id: tenant.value,
                client_id: client.value,
                client_secret: self.secret("client_secret", &secret)?,
            }),
            (None, client_id, None) => {
                Some(AzureCredentials::ManagedIdentity { client_id: client_id.map(|id| id.value) })
            }
            _ => {
                let message = "identity: a service principal has tenant_id, client_id and client_secret, a managed \
                               identity client_id or nothing";
                self.findings.add(span, message);
                None
            }
        }
    }
}
