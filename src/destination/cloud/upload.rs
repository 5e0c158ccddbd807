//! One object in parts: begin, send, complete; or abort, whatever the reason.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore};
use tokio::task::JoinSet;

use super::{Created, ObjectFacts, Root};
use crate::destination::parts::{Part, Parts};
use crate::error::{Error, Kind, Result};

/// Sends `first` and the rest of `parts`; nothing is visible before the last call.
pub(super) async fn create_in_parts(
    root: &Arc<Root>,
    path: &Path,
    first: Part,
    parts: Parts,
    facts: ObjectFacts,
) -> Result<Created> {
    if let Some(found) = root.find(path).await? {
        return root.same(path, len(first, parts).await?, found);
    }
    let mut upload = Upload::begin(root, path, facts).await?;
    let result = match upload.send_all(first, parts).await {
        Ok(()) => upload.complete().await,
        Err(error) => Err(error),
    };
    if result.is_err() {
        upload.abort().await;
    }
    upload.calls = None;
    result.map(|()| Created::Created)
}

/// How long a body is that need not be sent. Its producer is heard to the end all the same: it counts what it reads.
async fn len(first: Part, mut parts: Parts) -> Result<u64> {
    let (mut len, mut last) = (first.bytes.len() as u64, first.last);
    drop(first);
    while !last {
        let part = parts.next().await?;
        len += part.bytes.len() as u64;
        last = part.last;
    }
    Ok(len)
}

/// An upload that the store knows of; dropped while it is open, it is aborted in the background.
struct Upload {
    root: Arc<Root>,
    path: Path,
    /// `None` once it is over.
    calls: Option<Box<dyn MultipartUpload>>,
}

impl Upload {
    async fn begin(root: &Arc<Root>, path: &Path, facts: ObjectFacts) -> Result<Self> {
        let begun = root.store.put_multipart_opts(path, root.multipart_options(facts)).await;
        let calls = begun.map_err(|error| root.failed("begin of an upload", path, &error))?;
        Ok(Upload { root: Arc::clone(root), path: path.clone(), calls: Some(calls) })
    }

    /// Sends parts as they come, as many at once as `parts` has room for.
    async fn send_all(&mut self, first: Part, mut parts: Parts) -> Result<()> {
        let mut sending = JoinSet::new();
        let mut part = first;
        loop {
            let last = part.last;
            sending.spawn(self.send(part)?);
            // A part that failed ends the upload before the next is waited for.
            while let Some(done) = sending.try_join_next() {
                joined(done)?;
            }
            if last {
                break;
            }
            part = parts.next().await?;
        }
        while let Some(done) = sending.join_next().await {
            joined(done)?;
        }
        Ok(())
    }

    /// Sends one part, and gives back its memory.
    fn send(&mut self, part: Part) -> Result<impl Future<Output = Result<()>> + Send + 'static> {
        let Part { bytes, permit, .. } = part;
        let sending = self.calls()?.put_part(bytes.into());
        let (root, path) = (Arc::clone(&self.root), self.path.clone());
        Ok(async move {
            let sent = sending.await;
            drop(permit);
            sent.map_err(|error| root.failed("a part", &path, &error))
        })
    }

    async fn complete(&mut self) -> Result<()> {
        let (root, path) = (Arc::clone(&self.root), self.path.clone());
        let completed = self.calls()?.complete().await;
        completed.map(drop).map_err(|error| root.failed("completion", &path, &error))
    }

    fn calls(&mut self) -> Result<&mut Box<dyn MultipartUpload>> {
        self.calls.as_mut().ok_or_else(|| Error::new(Kind::Internal, "an upload that is over was used"))
    }

    async fn abort(&mut self) {
        if let Some(calls) = self.calls.take() {
            abort(calls, self.path.clone()).await;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if let Some(calls) = self.calls.take() {
            runtime.spawn(abort(calls, self.path.clone()));
        }
    }
}

/// Tells the store to forget the parts. Best effort: what is left costs storage, not correctness.
async fn abort(mut calls: Box<dyn MultipartUpload>, path: Path) {
    if let Err(error) = calls.abort().await {
        tracing::debug!(key = %path, %error, "parts stay until the store removes them");
    }
}

/// The result of a task that sent a part.
fn joined(done: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    done.unwrap_or_else(|error| {
        Err(Error::new(Kind::Internal, "the task that sends a part of an object has died").because(error))
    })
}
