//! What the server keeps, and the operations on it: atomic, in memory, strict about digests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_smithy_checksums::ChecksumAlgorithm;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CompletedPart, CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteObjectInput, DeleteObjectOutput, ETag, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, IfNoneMatch, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectsV2Input, ListObjectsV2Output, Metadata, MultipartUpload, PutObjectInput, PutObjectOutput, StreamingBlob,
    UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};

/// Bytes that every part but the last must have.
const PART_BYTES_MIN: usize = 5 << 20;

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub bytes: Bytes,
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    /// How often it was made: more than once only where conditions are ignored or not sent.
    pub creations: u32,
    /// Whether a later creation brought other bytes than the first.
    pub altered: bool,
}

/// All buckets.
pub struct Store {
    state: Mutex<State>,
    ignore_conditions: bool,
}

#[derive(Default)]
struct State {
    buckets: BTreeMap<String, BTreeMap<String, Object>>,
    uploads: BTreeMap<String, Upload>,
    uploads_begun: u64,
}

struct Upload {
    bucket: String,
    key: String,
    content_type: Option<String>,
    content_encoding: Option<String>,
    parts: BTreeMap<i32, Bytes>,
}

impl Store {
    pub(super) fn new(buckets: &[String], ignore_conditions: bool) -> Self {
        let buckets = buckets.iter().map(|name| (name.clone(), BTreeMap::new())).collect();
        Store { state: Mutex::new(State { buckets, ..State::default() }), ignore_conditions }
    }

    /// One object.
    pub fn object(&self, bucket: &str, key: &str) -> Option<Object> {
        self.state().buckets.get(bucket)?.get(key).cloned()
    }

    /// The objects of a bucket, by key.
    pub fn objects(&self, bucket: &str) -> BTreeMap<String, Object> {
        self.state().buckets.get(bucket).cloned().unwrap_or_default()
    }

    /// Uploads in parts that are neither complete nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.state().uploads.len()
    }

    pub fn create_bucket(&self, name: &str) {
        self.state().buckets.entry(name.to_owned()).or_default();
    }

    pub fn delete_bucket(&self, name: &str) {
        self.state().buckets.remove(name);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Whether a write with `condition` must not replace anything.
    fn forbids_replacing(&self, condition: Option<&IfNoneMatch>) -> S3Result<bool> {
        match condition {
            Some(condition) if !condition.is_any() => Err(s3_error!(NotImplemented, "only If-None-Match: *")),
            Some(_) => Ok(!self.ignore_conditions),
            None => Ok(false),
        }
    }
}

impl State {
    fn bucket(&mut self, name: &str) -> S3Result<&mut BTreeMap<String, Object>> {
        self.buckets.get_mut(name).ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    fn upload(&mut self, id: &str, bucket: &str, key: &str) -> S3Result<&mut Upload> {
        let upload = self.uploads.get_mut(id).filter(|upload| upload.bucket == bucket && upload.key == key);
        upload.ok_or_else(|| s3_error!(NoSuchUpload, "The specified upload does not exist"))
    }

    fn make(&mut self, bucket: &str, key: String, object: Object, no_replace: bool) -> S3Result<()> {
        let objects = self.bucket(bucket)?;
        let Some(old) = objects.get_mut(&key) else {
            objects.insert(key, object);
            return Ok(());
        };
        if no_replace {
            return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
        }
        let altered = old.altered || old.bytes != object.bytes;
        *old = Object { creations: old.creations + 1, altered, ..object };
        Ok(())
    }
}

/// The operations, for s3s.
pub(super) struct Operations(pub(super) Arc<Store>);

#[async_trait::async_trait]
impl S3 for Operations {
    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let bytes = collect(input.body).await?;
        check_digests(&request.headers, &bytes)?;
        let object = Object {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            creations: 1,
            altered: false,
            bytes: bytes.clone(),
        };
        let no_replace = self.0.forbids_replacing(input.if_none_match.as_ref())?;
        self.0.state().make(&input.bucket, input.key, object, no_replace)?;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(e_tag(&bytes)), ..Default::default() }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = request.input;
        let mut state = self.0.state();
        state.bucket(&input.bucket)?;
        state.uploads_begun += 1;
        let id = format!("upload-{}", state.uploads_begun);
        let upload = Upload {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            parts: BTreeMap::new(),
        };
        state.uploads.insert(id.clone(), upload);
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..Default::default()
        }))
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let bytes = collect(input.body).await?;
        check_digests(&request.headers, &bytes)?;
        let tag = e_tag(&bytes);
        let mut state = self.0.state();
        state.upload(&input.upload_id, &input.bucket, &input.key)?.parts.insert(input.part_number, bytes);
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(tag), ..Default::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let no_replace = self.0.forbids_replacing(input.if_none_match.as_ref())?;
        let mut state = self.0.state();
        let upload = state.upload(&input.upload_id, &input.bucket, &input.key)?;
        let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let bytes = joined(upload, &named)?;
        check_digests(&request.headers, &bytes)?;
        let object = Object {
            content_type: upload.content_type.clone(),
            content_encoding: upload.content_encoding.clone(),
            creations: 1,
            altered: false,
            bytes: bytes.clone(),
        };
        state.make(&input.bucket, input.key.clone(), object, no_replace)?;
        state.uploads.remove(&input.upload_id);
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(e_tag(&bytes)),
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        let mut state = self.0.state();
        state.upload(&input.upload_id, &input.bucket, &input.key)?;
        state.uploads.remove(&input.upload_id);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let object = self.find(&input.bucket, &input.key)?;
        let bytes = match &input.range {
            Some(range) => {
                let range = range.check(object.bytes.len() as u64)?;
                object.bytes.slice(range.start as usize..range.end as usize)
            }
            None => object.bytes.clone(),
        };
        Ok(S3Response::new(GetObjectOutput {
            content_length: Some(bytes.len() as i64),
            e_tag: Some(e_tag(&object.bytes)),
            metadata: Some(history(&object)),
            content_type: object.content_type,
            content_encoding: object.content_encoding,
            body: Some(StreamingBlob::wrap(stream::iter([Ok::<_, std::io::Error>(bytes)]))),
            ..Default::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let object = self.find(&request.input.bucket, &request.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(object.bytes.len() as i64),
            e_tag: Some(e_tag(&object.bytes)),
            metadata: Some(history(&object)),
            content_type: object.content_type,
            content_encoding: object.content_encoding,
            ..Default::default()
        }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.state().bucket(&request.input.bucket)?.remove(&request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.0.state().bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        self.0.create_bucket(&request.input.bucket);
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    /// Pages by key: the token is the last key of the page before.
    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.continuation_token.clone().or(input.start_after).unwrap_or_default();
        let page = usize::try_from(input.max_keys.unwrap_or(1_000)).unwrap_or(0).min(1_000);
        let mut state = self.0.state();
        let mut keys = state
            .bucket(&input.bucket)?
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix) && key.as_str() > after.as_str());
        let contents: Vec<_> = keys.by_ref().take(page).map(listed).collect();
        let more = keys.next().is_some();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            key_count: Some(contents.len() as i32),
            max_keys: Some(page as i32),
            is_truncated: Some(more),
            next_continuation_token: if more { contents.last().and_then(|last| last.key.clone()) } else { None },
            contents: Some(contents),
            ..Default::default()
        }))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let state = self.0.state();
        let of_bucket = state.uploads.iter().filter(|(_, upload)| upload.bucket == request.input.bucket);
        let uploads = of_bucket.map(|(id, upload)| MultipartUpload {
            upload_id: Some(id.clone()),
            key: Some(upload.key.clone()),
            ..Default::default()
        });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(request.input.bucket.clone()),
            uploads: Some(uploads.collect()),
            ..Default::default()
        }))
    }
}

impl Operations {
    fn find(&self, bucket: &str, key: &str) -> S3Result<Object> {
        let mut state = self.0.state();
        state.bucket(bucket)?.get(key).cloned().ok_or_else(|| s3_error!(NoSuchKey, "The key does not exist"))
    }
}

fn listed((key, object): (&String, &Object)) -> s3s::dto::Object {
    s3s::dto::Object {
        key: Some(key.clone()),
        size: Some(object.bytes.len() as i64),
        e_tag: Some(e_tag(&object.bytes)),
        ..Default::default()
    }
}

/// What a test in another process wants to know, as metadata.
fn history(object: &Object) -> Metadata {
    [("creations", object.creations.to_string()), ("altered", object.altered.to_string())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let mut bytes = BytesMut::new();
    let Some(mut body) = body else { return Ok(Bytes::new()) };
    while let Some(chunk) = body.next().await {
        // What s3s finds wrong with a body, such as another SHA-256 than was signed, comes up here.
        bytes.extend_from_slice(&chunk.map_err(|error| s3_error!(BadDigest, "{error}"))?);
    }
    Ok(bytes.freeze())
}

/// The bytes of an upload whose parts are as the client says.
fn joined(upload: &Upload, named: &[CompletedPart]) -> S3Result<Bytes> {
    if named.is_empty() {
        return Err(s3_error!(MalformedXML, "no parts"));
    }
    let mut bytes = BytesMut::new();
    let mut previous = 0;
    for (index, part) in named.iter().enumerate() {
        let number = part.part_number.unwrap_or(0);
        if number <= previous {
            return Err(s3_error!(InvalidPartOrder, "part {number} after part {previous}"));
        }
        previous = number;
        let stored = upload.parts.get(&number).filter(|stored| part.e_tag.as_ref() == Some(&e_tag(stored)));
        let stored = stored.ok_or_else(|| s3_error!(InvalidPart, "part {number} is not what was uploaded"))?;
        if stored.len() < PART_BYTES_MIN && index + 1 < named.len() {
            return Err(s3_error!(EntityTooSmall, "part {number} has {} bytes", stored.len()));
        }
        check_part(part, stored)?;
        bytes.extend_from_slice(stored);
    }
    Ok(bytes.freeze())
}

fn check_part(part: &CompletedPart, stored: &Bytes) -> S3Result<()> {
    let sums = [
        ("crc32", &part.checksum_crc32),
        ("crc32c", &part.checksum_crc32c),
        ("crc64nvme", &part.checksum_crc64nvme),
        ("sha256", &part.checksum_sha256),
    ];
    for (name, sum) in sums {
        if let Some(sum) = sum {
            check_digest(name, sum, stored)?;
        }
    }
    Ok(())
}

/// Compares each checksum header with the bytes.
fn check_digests(headers: &HeaderMap, bytes: &Bytes) -> S3Result<()> {
    for (name, value) in headers {
        let Some(algorithm) = name.as_str().strip_prefix("x-amz-checksum-") else { continue };
        if !["type", "algorithm"].contains(&algorithm) {
            check_digest(algorithm, value.to_str().unwrap_or(""), bytes)?;
        }
    }
    Ok(())
}

fn check_digest(algorithm: &str, expected: &str, bytes: &Bytes) -> S3Result<()> {
    let hasher: ChecksumAlgorithm =
        algorithm.parse().map_err(|_| s3_error!(InvalidRequest, "unknown checksum {algorithm}"))?;
    let mut hasher = hasher.into_impl();
    hasher.update(bytes);
    let found = base64_simd::STANDARD.encode_to_string(hasher.finalize());
    if found == expected { Ok(()) } else { Err(bad_digest(algorithm)) }
}

fn bad_digest(algorithm: &str) -> S3Error {
    s3_error!(BadDigest, "The {algorithm} you specified did not match the calculated checksum")
}

fn e_tag(bytes: &Bytes) -> ETag {
    ETag::Strong(format!("{:08x}{:08x}", libdeflater::crc32(bytes), bytes.len()))
}
