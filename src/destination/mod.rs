//! Where objects go.
//!
//! > **When `create` returns `Ok`, the object is durable under its key, whole, and nothing that was there before was
//! > replaced.**
//!
//! (An S3 store that ignores `If-None-Match` overwrites; since a key carries its plan's nonce, what it overwrites is
//! the same plan's object.)

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::error::Result;

pub mod local;
pub mod s3;

#[cfg(test)]
mod conformance;

/// What `create` found. Durable either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It was not there, and is now.
    Created,
    /// This very plan's object was there: an earlier attempt had got through.
    AlreadyThere,
}

/// An object's bytes, in order, produced while they are sent: memory is bound by the channel, not by the object.
///
/// The producer drops its end after the last chunk; an `Err` aborts the creation, and nothing appears under the key.
pub struct Body {
    chunks: mpsc::Receiver<Result<Bytes>>,
}

impl Body {
    /// A body whose chunks come through `chunks`.
    pub fn new(chunks: mpsc::Receiver<Result<Bytes>>) -> Self {
        Body { chunks }
    }

    /// A body that is at hand.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let (sender, chunks) = mpsc::channel(1);
        sender.try_send(Ok(bytes.into())).expect("the channel has room for one");
        Body { chunks }
    }

    /// The next chunk; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        self.chunks.recv().await
    }
}

/// What is said about an object beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectFacts {
    /// The `Content-Encoding` header, if it has one.
    pub content_encoding: Option<&'static str>,
}

/// A store of objects under one root (a bucket, a directory). See the module for its guarantee.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Makes one object. An error leaves nothing visible under the key, or this very object whole.
    async fn create(&self, key: &str, body: Body, facts: ObjectFacts) -> Result<Created>;

    /// Tries for real whether the store can be reached and written, and says in a sentence what it is like
    /// (whether it honours `If-None-Match`, for S3).
    async fn probe(&self) -> Result<String>;
}
