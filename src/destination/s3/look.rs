//! Looking at a bucket: listing it, and reading one object piece by piece.

use aws_sdk_s3::primitives::ByteStream;

use super::Bucket;
use super::fault::Fault;
use crate::destination::{Body, BodySender, Listed, Page};
use crate::error::{Error, Result, causes};

/// A page of the objects whose keys begin with `prefix` and stand behind `after`.
pub(super) async fn list(bucket: &Bucket, prefix: &str, after: Option<&str>) -> Result<Page> {
    let name = &bucket.store.bucket;
    let call = bucket.connection.client().list_objects_v2().bucket(name).prefix(prefix);
    let answer = match call.set_start_after(after.map(str::to_owned)).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let allow = format!("allow s3:ListBucket on arn:aws:s3:::{name}");
            return Err(refused(bucket, Fault::of(&error), &format!("listing s3://{name}/{prefix}"), &allow).await);
        }
    };
    let object = |object: &aws_sdk_s3::types::Object| {
        let bytes = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        object.key().map(|key| Listed { key: key.to_owned(), bytes })
    };
    let objects: Vec<_> = answer.contents().iter().filter_map(object).collect();
    // A store that says "more" and gives nothing would have us ask for ever.
    let more = answer.is_truncated() == Some(true);
    let after = objects.last().filter(|_| more).map(|last| last.key.clone());
    Ok(Page { objects, after })
}

/// The bytes of an object, fetched while they are taken.
pub(super) async fn read(bucket: &Bucket, key: &str) -> Result<Option<(u64, Body)>> {
    let name = &bucket.store.bucket;
    let action = format!("reading s3://{name}/{key}");
    let found = match bucket.connection.client().get_object().bucket(name).key(key).send().await {
        Ok(found) => found,
        Err(error) => {
            let fault = Fault::of(&error);
            if fault.status == Some(404) && fault.code != "NoSuchBucket" {
                return Ok(None);
            }
            let allow = format!("allow s3:GetObject on arn:aws:s3:::{name}/{key}");
            return Err(refused(bucket, fault, &action, &allow).await);
        }
    };
    let bytes = found.content_length().and_then(|bytes| u64::try_from(bytes).ok());
    let bytes =
        bytes.ok_or_else(|| Error::unavailable(format!("{action} failed: the store does not say its length")))?;
    let (sender, body) = Body::channel(2);
    drop(tokio::spawn(async move {
        match send(&sender, found.body, bytes).await {
            Ok(()) => drop(sender.finish().await),
            Err(why) => sender.fail(Error::unavailable(format!("{action} failed: {why}"))).await,
        }
    }));
    Ok(Some((bytes, body)))
}

async fn send(out: &BodySender, mut from: ByteStream, bytes: u64) -> Result<(), String> {
    let mut sent = 0;
    while let Some(piece) = from.next().await {
        let piece = piece.map_err(|error| causes(&error))?;
        sent += piece.len() as u64;
        if !out.send(piece).await {
            return Ok(());
        }
    }
    if sent == bytes { Ok(()) } else { Err(format!("it ended after {sent} of {bytes} bytes")) }
}

async fn refused(bucket: &Bucket, fault: Fault, action: &str, allow: &str) -> Error {
    if fault.blames_credentials() {
        bucket.connection.renew().await;
    }
    match fault.status {
        Some(403) => Error::unavailable(format!("{action} failed: {allow}")),
        _ => fault.into_error(action, &bucket.store.bucket),
    }
}
