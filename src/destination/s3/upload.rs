//! One object in parts: begin, send, complete; or abort, whatever the reason.

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use tokio::task::JoinSet;

use super::checksum::{Running, Sum};
use super::fault::Fault;
use super::probe::Headers;
use super::{Bucket, Created, ObjectFacts};
use crate::destination::parts::{Part, Parts};
use crate::error::{Error, Kind, Result};

/// Sends `first` and the rest of `parts`; nothing is visible before the last call, and that one is conditional.
pub(super) async fn create_in_parts(
    bucket: &Arc<Bucket>,
    key: &str,
    first: Part,
    parts: Parts,
    facts: ObjectFacts,
) -> Result<Created> {
    let mut upload = Upload::begin(bucket, key, facts).await?;
    let result = match upload.send_all(first, parts).await {
        Ok(sent) => upload.complete(sent).await,
        Err(error) => Err(error),
    };
    if !matches!(result, Ok(Created::Created)) {
        upload.abort().await;
    }
    upload.open = false;
    result
}

/// An upload that S3 knows of; dropped while it is open, it is aborted in the background.
struct Upload {
    bucket: Arc<Bucket>,
    client: Client,
    key: String,
    id: String,
    headers: Headers,
    open: bool,
}

/// All that `complete` needs.
struct Sent {
    parts: Vec<CompletedPart>,
    /// The checksum of the whole object.
    sum: Option<Sum>,
}

impl Upload {
    async fn begin(bucket: &Arc<Bucket>, key: &str, facts: ObjectFacts) -> Result<Self> {
        let (client, headers) = (bucket.connection.client(), bucket.habits.headers());
        let id = match bucket.begin(&client, key, facts, headers).send().await {
            Ok(begun) => begun.upload_id,
            Err(error) => return Err(bucket.failed("begin of an upload", key, Fault::of(&error)).await),
        };
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            return Err(Error::unavailable(format!("begin of an upload of {key:?} failed: the store gave it no id")));
        };
        Ok(Upload { bucket: Arc::clone(bucket), client, key: key.to_owned(), id, headers, open: true })
    }

    /// Sends parts as they come, as many at once as `parts` has room for.
    async fn send_all(&self, first: Part, mut parts: Parts) -> Result<Sent> {
        let mut sum = self.headers.checksum.then(|| Running::new(self.bucket.store.checksum)).flatten();
        let mut sending = JoinSet::new();
        let mut sent = Vec::new();
        let mut part = first;
        for number in 1.. {
            if let Some(sum) = &mut sum {
                sum.update(&part.bytes);
            }
            let last = part.last;
            sending.spawn(self.send(number, part));
            // A part that failed ends the upload before the next is waited for.
            while let Some(done) = sending.try_join_next() {
                sent.push(joined(done)?);
            }
            if last {
                break;
            }
            part = parts.next().await?;
        }
        while let Some(done) = sending.join_next().await {
            sent.push(joined(done)?);
        }
        sent.sort_by_key(|part| part.part_number);
        Ok(Sent { parts: sent, sum: sum.map(Running::finish) })
    }

    /// Sends one part, and gives back its memory.
    fn send(&self, number: i32, part: Part) -> impl Future<Output = Result<CompletedPart>> + Send + 'static {
        let (bucket, headers) = (Arc::clone(&self.bucket), self.headers);
        let key = self.key.clone();
        let call = self.client.upload_part().bucket(&bucket.store.bucket).key(&key).upload_id(&self.id);
        let call = call.part_number(number);
        async move {
            let Part { bytes, permit, .. } = part;
            let sum = headers.checksum.then(|| Sum::of(bucket.store.checksum, &bytes)).flatten();
            let call = match &sum {
                Some(sum) => sum.on_part(call),
                None => call,
            };
            let answer = call.body(ByteStream::from(bytes)).send().await;
            drop(permit);
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    let action = format!("part {number}");
                    return Err(bucket.failed(&action, &key, Fault::of(&error)).await);
                }
            };
            let done = CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag);
            Ok(match sum {
                Some(sum) => sum.on_completed_part(done),
                None => done,
            }
            .build())
        }
    }

    /// Makes the object of its parts, if there is none under the key.
    async fn complete(&self, sent: Sent) -> Result<Created> {
        let bucket = &self.bucket;
        let call = self
            .client
            .complete_multipart_upload()
            .bucket(&bucket.store.bucket)
            .key(&self.key)
            .upload_id(&self.id)
            .set_if_none_match(self.headers.condition.then(|| "*".to_owned()))
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(sent.parts)).build());
        let call = match sent.sum {
            Some(sum) => sum.on_complete(call),
            None => call,
        };
        let fault = match call.send().await {
            Ok(_) => return Ok(Created::Created),
            Err(error) => Fault::of(&error),
        };
        if fault.says_exists(self.headers) {
            return Ok(Created::AlreadyThere);
        }
        Err(bucket.failed("completion", &self.key, fault).await)
    }

    /// Tells the store to forget the parts. Best effort: what is left costs storage, not correctness.
    async fn abort(&mut self) {
        self.open = false;
        abort(&self.client, &self.bucket.store.bucket, &self.key, &self.id).await;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.open {
            let (client, bucket) = (self.client.clone(), Arc::clone(&self.bucket));
            let (key, id) = (std::mem::take(&mut self.key), std::mem::take(&mut self.id));
            runtime.spawn(async move { abort(&client, &bucket.store.bucket, &key, &id).await });
        }
    }
}

async fn abort(client: &Client, bucket: &str, key: &str, id: &str) {
    let call = client.abort_multipart_upload().bucket(bucket).key(key).upload_id(id);
    if let Err(error) = call.send().await {
        let error = Fault::of(&error).into_error("abort of an upload", bucket);
        tracing::debug!(bucket, key, error = %error, "parts stay until a lifecycle rule removes them");
    }
}

/// The result of a task that sent a part.
fn joined(done: Result<Result<CompletedPart>, tokio::task::JoinError>) -> Result<CompletedPart> {
    done.unwrap_or_else(|error| {
        Err(Error::new(Kind::Internal, "the task that sends a part of an object has died").because(error))
    })
}
