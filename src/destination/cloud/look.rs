//! Looking at a bucket or container: listing it, and reading one object piece by piece.

use futures_util::stream::{BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::{Root, path};
use crate::destination::{Body, BodySender, Listed, Page};
use crate::error::{Error, Result, causes};
use crate::limits::CLOUD_PAGE_OBJECTS_MAX;

/// A page of the objects whose keys begin with `prefix` and stand behind `after`.
pub(super) async fn list(root: &Root, prefix: &str, after: Option<&str>) -> Result<Page> {
    // The library lists folders; of names that only begin alike it is for us to tell.
    let folder = prefix.rsplit_once('/').map(|(folder, _)| path(folder)).transpose()?;
    let mut all: BoxStream<'_, object_store::Result<ObjectMeta>> = match after {
        Some(after) => root.store.list_with_offset(folder.as_ref(), &Path::from(after)),
        None => root.store.list(folder.as_ref()),
    };
    let mut page = Page::default();
    while let Some(object) = all.next().await {
        let object = object.map_err(|error| root.failed("listing", &folder.clone().unwrap_or_default(), &error))?;
        let key = object.location.as_ref();
        if !key.starts_with(prefix) || after.is_some_and(|after| key <= after) {
            continue;
        }
        if page.objects.len() == CLOUD_PAGE_OBJECTS_MAX {
            page.after = page.objects.last().map(|last| last.key.clone());
            break;
        }
        page.objects.push(Listed { key: key.to_owned(), bytes: object.size });
    }
    Ok(page)
}

/// The bytes of an object, fetched while they are taken.
pub(super) async fn read(root: &Root, key: &str) -> Result<Option<(u64, Body)>> {
    let found = match root.store.get(&path(key)?).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(root.failed("reading", &path(key)?, &error)),
    };
    let (bytes, action) = (found.meta.size, format!("reading {}/{key}", root.place));
    let (sender, body) = Body::channel(2);
    drop(tokio::spawn(async move {
        match send(&sender, found.into_stream(), bytes).await {
            Ok(()) => drop(sender.finish().await),
            Err(why) => sender.fail(Error::unavailable(format!("{action} failed: {why}"))).await,
        }
    }));
    Ok(Some((bytes, body)))
}

async fn send(
    out: &BodySender,
    mut from: BoxStream<'static, object_store::Result<bytes::Bytes>>,
    bytes: u64,
) -> Result<(), String> {
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
