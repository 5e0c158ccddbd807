//! Objects in S3, or in a store that speaks its protocol.
//!
//! An object of up to [`S3_PART_BYTES`] is one `PutObject`; a larger one goes in parts of exactly that size but the
//! last, a few at once. Both carry `If-None-Match: *` and a checksum of the whole object, so that nothing is replaced and
//! nothing is stored that is not what was sent. What the answers mean:
//!
//! | answer                        | meaning                                                                       |
//! |-------------------------------|-------------------------------------------------------------------------------|
//! | 200                           | [`Created::Created`]                                                          |
//! | 412 to our condition          | [`Created::AlreadyThere`]: the key carries the plan's nonce, so it is ours    |
//! | 409 ConditionalRequestConflict| another attempt is under way and may still fail: not "exists"; try again      |
//! | 200 with an error in its body | the error                                                                     |
//! | 403, expired token, no bucket | an operator must act; hold, and try again: nothing of it is given up          |
//! | no answer                     | it may or may not be there: try again, and 412 or 200 will tell               |
//!
//! The SDK repeats a call a few times by itself; the pipeline repeats the whole creation for as long as it likes.
//! A store that refuses the condition or the checksum (501, or 400 and a word to that effect) is found out by
//! [`probe`](Destination::probe), or by the first creation if the probe could not reach it, and is sent neither from
//! then on. Parts of an upload that a crash left behind stay in the bucket until a lifecycle rule
//! (`AbortIncompleteMultipartUpload`) removes them; every other end of an upload removes its own.

mod checksum;
mod connection;
mod fault;
mod fetch;
mod look;
mod probe;
#[cfg(test)]
mod tests;
mod upload;

use std::fmt::Write;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ObjectCannedAcl, ServerSideEncryption, StorageClass};
use bytes::Bytes;
use tokio::sync::Semaphore;

use self::checksum::Sum;
use self::connection::Connection;
pub use self::connection::{Connections, TimeLimits};
use self::fault::Fault;
pub use self::fetch::fetch;
use self::probe::{Habits, Headers};
use super::parts::Parts;
use super::{Body, Created, Destination, ObjectFacts, Page};
use crate::config::{S3Store, Sse};
use crate::error::{Error, Result};
use crate::limits::{KEY_BYTES_MAX, S3_PART_BYTES, S3_PARTS_MAX};

const CONTENT_TYPE: &str = "application/octet-stream";

/// A bucket.
pub struct S3Destination {
    bucket: Arc<Bucket>,
    /// The key that the probe writes.
    probe_key: String,
    /// Parts in memory, being collected or sent: each up to [`S3_PART_BYTES`].
    parts: Arc<Semaphore>,
}

/// What every call to one bucket needs.
struct Bucket {
    store: S3Store,
    connection: Arc<Connection>,
    habits: Habits,
}

impl S3Destination {
    /// A destination over a connection of `connections`, shared with every other that has the same settings.
    ///
    /// `probe_prefix` is the literal beginning of the keys that will be written, up to the first expression: where a
    /// policy allows those, it allows the probe. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Invalid`](crate::error::Kind::Invalid) where no region can be found.
    pub async fn connect(connections: &Connections, store: &S3Store, probe_prefix: &str) -> Result<Self> {
        let connection = connections.get(&store.connection).await?;
        let bucket = Bucket { store: store.clone(), connection, habits: Habits::default() };
        Ok(S3Destination {
            bucket: Arc::new(bucket),
            probe_key: format!("{probe_prefix}.standpipe-probe"),
            parts: Arc::new(Semaphore::new(S3_PARTS_MAX)),
        })
    }
}

impl S3Destination {
    /// The probe at start may not have reached the store: what it refuses is found out now, for the next attempt.
    async fn find_out_again(&self) {
        let bucket = &self.bucket.store.bucket;
        match probe::find_out(&self.bucket, &self.probe_key).await {
            Ok(found) => tracing::info!(bucket, "bucket {found}"),
            Err(error) => tracing::debug!(bucket, error = %error, "what the store refuses is not known yet"),
        }
    }
}

#[async_trait]
impl Destination for S3Destination {
    async fn create(&self, key: &str, body: Body, facts: ObjectFacts) -> Result<Created> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(Error::invalid(format!(
                "key {key:?} has {} bytes, an object's key has 1 to {KEY_BYTES_MAX}",
                key.len()
            )));
        }
        let mut parts = Parts::new(body, Arc::clone(&self.parts), S3_PART_BYTES);
        let first = parts.next().await?;
        let result = if first.last {
            self.bucket.create_whole(key, first.bytes, facts).await
        } else {
            upload::create_in_parts(&self.bucket, key, first, parts, facts).await
        };
        if result.is_err() && self.bucket.habits.take_doubt() {
            self.find_out_again().await;
        }
        result
    }

    async fn find(&self, key: &str) -> Result<Option<u64>> {
        let Bucket { store, connection, .. } = &*self.bucket;
        let action = format!("looking for s3://{}/{key}", store.bucket);
        let head = connection.client().head_object().bucket(&store.bucket).key(key);
        let fault = match head.send().await {
            Ok(found) => return Ok(Some(found.content_length().and_then(|len| u64::try_from(len).ok()).unwrap_or(0))),
            Err(error) => Fault::of(&error),
        };
        if fault.blames_credentials() {
            connection.renew().await;
        }
        match fault.status {
            Some(404) => Ok(None),
            // Without the right to list, what is not there is refused as well.
            Some(403) => {
                let bucket = &store.bucket;
                Err(Error::unavailable(format!(
                    "{action} failed: allow s3:GetObject on arn:aws:s3:::{bucket}/{key} and s3:ListBucket on \
                     arn:aws:s3:::{bucket}"
                )))
            }
            _ => Err(fault.into_error(&action, &store.bucket)),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        look::list(&self.bucket, prefix, after).await
    }

    async fn read(&self, key: &str) -> Result<Option<(u64, Body)>> {
        look::read(&self.bucket, key).await
    }

    async fn probe(&self) -> Result<String> {
        let found = probe::find_out(&self.bucket, &self.probe_key).await?;
        Ok(format!("bucket {:?} {found}", self.bucket.store.bucket))
    }
}

impl Bucket {
    /// One `PutObject`.
    async fn create_whole(&self, key: &str, bytes: Bytes, facts: ObjectFacts) -> Result<Created> {
        let (client, headers) = (self.connection.client(), self.habits.headers());
        let fault = match self.put(&client, key, bytes, facts, headers).send().await {
            Ok(_) => return Ok(Created::Created),
            Err(error) => Fault::of(&error),
        };
        if fault.says_exists(headers) {
            return Ok(Created::AlreadyThere);
        }
        Err(self.failed("put", key, fault).await)
    }

    /// A `PutObject` with all that is configured and `headers`.
    fn put(
        &self,
        client: &Client,
        key: &str,
        bytes: Bytes,
        facts: ObjectFacts,
        headers: Headers,
    ) -> PutObjectFluentBuilder {
        let sum = headers.checksum.then(|| Sum::of(self.store.checksum, &bytes)).flatten();
        let put = client
            .put_object()
            .bucket(&self.store.bucket)
            .key(key)
            .set_if_none_match(headers.condition.then(|| "*".to_owned()))
            .content_type(CONTENT_TYPE)
            .set_content_encoding(facts.content_encoding.map(str::to_owned))
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.kms_key())
            .set_storage_class(self.storage_class())
            .set_acl(self.acl())
            .set_tagging(self.tagging())
            .body(ByteStream::from(bytes));
        match sum {
            Some(sum) => sum.on_put(put),
            None => put,
        }
    }

    /// A `CreateMultipartUpload` with the same.
    fn begin(
        &self,
        client: &Client,
        key: &str,
        facts: ObjectFacts,
        headers: Headers,
    ) -> CreateMultipartUploadFluentBuilder {
        let begin = client
            .create_multipart_upload()
            .bucket(&self.store.bucket)
            .key(key)
            .content_type(CONTENT_TYPE)
            .set_content_encoding(facts.content_encoding.map(str::to_owned))
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.kms_key())
            .set_storage_class(self.storage_class())
            .set_acl(self.acl())
            .set_tagging(self.tagging());
        if headers.checksum { checksum::on_begin(self.store.checksum, begin) } else { begin }
    }

    /// What a creation that failed returns; learns from the fault what can be learnt for the next attempt.
    async fn failed(&self, action: &str, key: &str, fault: Fault) -> Error {
        if fault.blames_credentials() {
            self.connection.renew().await;
        }
        if fault.refuses_header() {
            self.habits.doubt();
        }
        let error = fault.into_error(&format!("{action} of s3://{}/{key}", self.store.bucket), &self.store.bucket);
        tracing::debug!(bucket = self.store.bucket, key, action, error = %error, "call to the store failed");
        error
    }

    fn encryption(&self) -> Option<ServerSideEncryption> {
        self.store.sse.as_ref().map(|sse| match sse {
            Sse::S3 => ServerSideEncryption::Aes256,
            Sse::Kms { .. } => ServerSideEncryption::AwsKms,
        })
    }

    fn kms_key(&self) -> Option<String> {
        match &self.store.sse {
            Some(Sse::Kms { key }) => key.clone(),
            _ => None,
        }
    }

    fn storage_class(&self) -> Option<StorageClass> {
        self.store.storage_class.as_deref().map(StorageClass::from)
    }

    fn acl(&self) -> Option<ObjectCannedAcl> {
        self.store.acl.as_deref().map(ObjectCannedAcl::from)
    }

    /// Tags as the query string that S3 wants.
    fn tagging(&self) -> Option<String> {
        let pairs: Vec<_> =
            self.store.tags.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
        (!pairs.is_empty()).then(|| pairs.join("&"))
    }
}

/// `text` with everything but letters, digits and `-._~` percent-encoded.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => write!(out, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    out
}
