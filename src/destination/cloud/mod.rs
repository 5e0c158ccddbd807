//! Objects in Google Cloud Storage and in Azure Blob Storage, by way of `object_store`.
//!
//! An object of up to [`S3_PART_BYTES`] is one call that creates and never replaces (`x-goog-if-generation-match: 0`,
//! `If-None-Match: *`). A larger one goes in parts of that size, a few at once, and appears with the last call. That call cannot
//! be made conditional with either store, so before the first part it is looked whether the object is there:
//!
//! | found                         | meaning                                                                       |
//! |-------------------------------|-------------------------------------------------------------------------------|
//! | nothing                       | its parts are sent; two attempts at once of one plan write the same bytes     |
//! | an object of as many bytes    | [`Created::AlreadyThere`]: the key carries the plan's nonce, so it is ours    |
//! | an object of another length   | [`Kind::Conflict`]: somebody else writes under our keys                       |
//!
//! The same comparison follows where a store says of a whole object that it exists. The library repeats a call a few times
//! by itself; the pipeline repeats the whole creation for as long as it likes. Parts that a crash left behind are dropped by
//! Azure after a week, and stay in Google's bucket until a lifecycle rule (`AbortIncompleteMultipartUpload`) removes them.

mod azure;
mod fault;
mod gcs;
mod look;
#[cfg(test)]
mod tests;
mod upload;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions,
    PutOptions, RetryConfig, TagSet,
};
use tokio::sync::Semaphore;

use self::fault::Fault;
use super::parts::Parts;
use super::{Body, Created, Destination, ObjectFacts, Page};
use crate::config::{AzureStore, GcsStore};
use crate::error::{Error, Kind, Result};
use crate::limits::{
    KEY_BYTES_MAX, S3_ATTEMPT_TIME_MAX, S3_ATTEMPTS_MAX, S3_CALL_TIME_MAX, S3_CONNECT_TIME_MAX, S3_PART_BYTES,
    S3_PARTS_MAX, S3_RETRY_PAUSE,
};

const CONTENT_TYPE: &str = "application/octet-stream";

/// A bucket of Google Cloud Storage, or a container of Azure Blob Storage.
pub struct CloudDestination {
    root: Arc<Root>,
    /// The key that the probe writes.
    probe_key: String,
    /// Parts in memory, being collected or sent.
    parts: Arc<Semaphore>,
}

/// What every call needs.
struct Root {
    store: Arc<dyn ObjectStore>,
    kind: Cloud,
    /// Where it is, for messages: `gs://logs`, `az://account/logs`.
    place: String,
    storage_class: Option<String>,
    tags: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cloud {
    Gcs,
    Azure,
}

/// A store in a few words: `gs://BUCKET`.
pub fn gcs_place(store: &GcsStore) -> String {
    format!("gs://{}", store.bucket)
}

/// A store in a few words: `az://ACCOUNT/CONTAINER`.
pub fn azure_place(store: &AzureStore) -> String {
    format!("az://{}/{}", store.account, store.container)
}

impl CloudDestination {
    /// A bucket. `probe_prefix` is the literal beginning of the keys that will be written. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where the credentials are none.
    pub fn gcs(store: &GcsStore, probe_prefix: &str) -> Result<Self> {
        let root = Root {
            store: Arc::new(gcs::connect(store)?),
            kind: Cloud::Gcs,
            place: gcs_place(store),
            storage_class: store.storage_class.clone(),
            tags: Vec::new(),
        };
        Ok(CloudDestination::new(root, probe_prefix))
    }

    /// A container, in the same way.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where the credentials are none.
    pub fn azure(store: &AzureStore, probe_prefix: &str) -> Result<Self> {
        let root = Root {
            store: Arc::new(azure::connect(store)?),
            kind: Cloud::Azure,
            place: azure_place(store),
            storage_class: store.storage_class.clone(),
            tags: store.tags.clone(),
        };
        Ok(CloudDestination::new(root, probe_prefix))
    }

    fn new(root: Root, probe_prefix: &str) -> Self {
        CloudDestination {
            root: Arc::new(root),
            probe_key: format!("{probe_prefix}.standpipe-probe"),
            parts: Arc::new(Semaphore::new(S3_PARTS_MAX)),
        }
    }
}

#[async_trait]
impl Destination for CloudDestination {
    async fn create(&self, key: &str, body: Body, facts: ObjectFacts) -> Result<Created> {
        let path = path(key)?;
        let mut parts = Parts::new(body, Arc::clone(&self.parts), S3_PART_BYTES);
        let first = parts.next().await?;
        if first.last {
            self.root.create_whole(&path, first.bytes, facts).await
        } else {
            upload::create_in_parts(&self.root, &path, first, parts, facts).await
        }
    }

    async fn find(&self, key: &str) -> Result<Option<u64>> {
        self.root.find(&path(key)?).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        look::list(&self.root, prefix, after).await
    }

    async fn read(&self, key: &str) -> Result<Option<(u64, Body)>> {
        look::read(&self.root, key).await
    }

    /// Creates one empty object, twice: the second time it must be found there.
    async fn probe(&self) -> Result<String> {
        let (root, path) = (&self.root, path(&self.probe_key)?);
        for _ in 0..2 {
            let options = root.options(PutMode::Create, ObjectFacts::default());
            match root.store.put_opts(&path, Bytes::new().into(), options).await {
                Ok(_) => {}
                Err(error) if Fault::of(&error).may_exist() => {
                    return Ok(format!("{} creates objects and replaces none", root.place));
                }
                Err(error) => return Err(root.failed("probe", &path, &error)),
            }
        }
        Ok(format!("{} ignores conditions: exactly-once rests on the plan's nonce alone", root.place))
    }
}

impl Root {
    async fn create_whole(&self, path: &Path, bytes: Bytes, facts: ObjectFacts) -> Result<Created> {
        let len = bytes.len() as u64;
        let put = self.store.put_opts(path, bytes.into(), self.options(PutMode::Create, facts)).await;
        let Err(error) = put else { return Ok(Created::Created) };
        if !Fault::of(&error).may_exist() {
            return Err(self.failed("put", path, &error));
        }
        // A conflict may have other reasons than that the object is there.
        match self.find(path).await? {
            Some(found) => self.same(path, len, found),
            None => Err(self.failed("put", path, &error)),
        }
    }

    /// What is there is ours if it has our length.
    fn same(&self, path: &Path, ours: u64, found: u64) -> Result<Created> {
        if ours == found {
            return Ok(Created::AlreadyThere);
        }
        let message =
            format!("object {}/{path} is there with {found} bytes, ours has {ours}: it is not ours", self.place);
        Err(Error::new(Kind::Conflict, message))
    }

    async fn find(&self, path: &Path) -> Result<Option<u64>> {
        match self.store.head(path).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("looking for", path, &error)),
        }
    }

    fn options(&self, mode: PutMode, facts: ObjectFacts) -> PutOptions {
        PutOptions { mode, tags: self.tags(), attributes: self.attributes(facts), ..PutOptions::default() }
    }

    fn multipart_options(&self, facts: ObjectFacts) -> PutMultipartOptions {
        let (tags, attributes) = (self.tags(), self.attributes(facts));
        PutMultipartOptions { tags, attributes, ..PutMultipartOptions::default() }
    }

    fn tags(&self) -> TagSet {
        let mut tags = TagSet::default();
        for (name, value) in &self.tags {
            tags.push(name, value);
        }
        tags
    }

    fn attributes(&self, facts: ObjectFacts) -> Attributes {
        let mut all = Attributes::from_iter([(Attribute::ContentType, CONTENT_TYPE)]);
        if let Some(encoding) = facts.content_encoding {
            all.insert(Attribute::ContentEncoding, encoding.into());
            if self.kind == Cloud::Gcs {
                // Google would take gzip off for whoever does not ask for it, though the key ends in ".gz".
                all.insert(Attribute::CacheControl, "no-transform".into());
            }
        }
        if let Some(class) = &self.storage_class {
            all.insert(Attribute::StorageClass, class.clone().into());
        }
        all
    }

    /// The error of a call that failed.
    fn failed(&self, action: &str, path: &Path, error: &object_store::Error) -> Error {
        let error = Fault::of(error).into_error(&format!("{action} of {}/{path}", self.place), &self.place);
        tracing::debug!(place = self.place, key = %path, action, %error, "call to the store failed");
        error
    }
}

/// A key as the library wants it: it takes no name that is empty, `.` or `..`, and no control characters.
fn path(key: &str) -> Result<Path> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let len = key.len();
        return Err(Error::invalid(format!("key {key:?} has {len} bytes, an object's key has 1 to {KEY_BYTES_MAX}")));
    }
    match Path::parse(key) {
        Ok(path) if path.as_ref() == key => Ok(path),
        _ => Err(Error::invalid(format!(
            "key {key:?} has an empty name, \".\" or \"..\" as a name, or a control character in its path"
        ))),
    }
}

/// How both stores are spoken to; without TLS only where the endpoint says so.
fn client(endpoint: Option<&str>) -> ClientOptions {
    ClientOptions::new()
        .with_timeout(S3_ATTEMPT_TIME_MAX)
        .with_connect_timeout(S3_CONNECT_TIME_MAX)
        .with_allow_http(endpoint.is_some_and(|url| url.starts_with("http://")))
}

/// A few quick attempts: the pipeline makes the long pauses.
fn retries() -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: S3_RETRY_PAUSE, ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: S3_ATTEMPTS_MAX as usize - 1, retry_timeout: S3_CALL_TIME_MAX }
}
