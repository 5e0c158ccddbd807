//! Where objects go.
//!
//! > **When `create` returns `Ok`, the object is durable under its key, whole, and nothing that was there before was
//! > replaced.**
//!
//! (An S3 store that ignores `If-None-Match` overwrites; since a key carries its plan's nonce, what it overwrites is
//! the same plan's object.)

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::error::{Error, Kind, Result};

pub mod cloud;
pub mod http;
pub mod local;
mod parts;
pub mod s3;
mod stores;

pub use stores::{Stores, place};

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

/// An object's bytes, in order: chunks that are at hand, then chunks that are produced while they are sent, so that
/// memory is bound by the channel and not by the object.
pub struct Body {
    ready: VecDeque<Bytes>,
    rest: Option<mpsc::Receiver<Piece>>,
    /// Bytes that were taken.
    taken: Arc<AtomicU64>,
}

/// The producer's end of a [`Body`]. The body is whole only after [`finish`](BodySender::finish): a producer that goes
/// away before (an error, a panic, a cancelled task) makes the creation fail, and nothing appears under the key.
pub struct BodySender(mpsc::Sender<Piece>);

enum Piece {
    Chunk(Bytes),
    End,
    Failed(Error),
}

impl Body {
    /// A body that is produced while it is sent, at most `chunks` ahead.
    pub fn channel(chunks: usize) -> (BodySender, Body) {
        let (sender, rest) = mpsc::channel(chunks);
        (BodySender(sender), Body { ready: VecDeque::new(), rest: Some(rest), taken: Arc::default() })
    }

    /// A body that is at hand, in pieces.
    pub fn ready(chunks: impl IntoIterator<Item = Bytes>) -> Self {
        Body { ready: chunks.into_iter().collect(), rest: None, taken: Arc::default() }
    }

    /// A body that is at hand.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Body::ready([bytes.into()])
    }

    /// The next chunk; `None` at the end. After an error there is nothing more.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        let piece = self.take().await;
        if let Some(Ok(chunk)) = &piece {
            self.taken.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
        piece
    }

    /// How many bytes were taken of it, also to be asked once it is gone.
    pub fn taken(&self) -> Arc<AtomicU64> {
        self.taken.clone()
    }

    async fn take(&mut self) -> Option<Result<Bytes>> {
        if let Some(chunk) = self.ready.pop_front() {
            return Some(Ok(chunk));
        }
        let piece = self.rest.as_mut()?.recv().await;
        if let Some(Piece::Chunk(chunk)) = piece {
            return Some(Ok(chunk));
        }
        self.rest = None;
        match piece {
            Some(Piece::Failed(error)) => Some(Err(error)),
            Some(Piece::End | Piece::Chunk(_)) => None,
            None => Some(Err(Error::new(Kind::Internal, "the producer of a body ended before the body"))),
        }
    }

    /// Whether the producer finishes without a single chunk; waits for the first.
    pub async fn is_void(&mut self) -> Result<bool> {
        match self.take().await.transpose()? {
            None => Ok(true),
            Some(first) => {
                self.ready.push_front(first);
                Ok(false)
            }
        }
    }
}

impl BodySender {
    /// Sends the next chunk; `false` when nobody wants it any more.
    pub async fn send(&self, chunk: Bytes) -> bool {
        self.0.send(Piece::Chunk(chunk)).await.is_ok()
    }

    /// Says that the body is whole; `false` when nobody wants it any more.
    pub async fn finish(self) -> bool {
        self.0.send(Piece::End).await.is_ok()
    }

    /// Says that there will be no whole body.
    pub async fn fail(self, error: Error) {
        // Nobody wants it any more: then nobody needs to know why.
        let _ = self.0.send(Piece::Failed(error)).await;
    }
}

/// An object as a listing has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its bytes as stored.
    pub bytes: u64,
}

/// A part of a listing, in the order of the keys' bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most as many as the store likes to give at once.
    pub objects: Vec<Listed>,
    /// After which key the next part begins; `None` at the end.
    pub after: Option<String>,
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
    /// Makes one object. An error leaves nothing visible under the key, or this very object whole;
    /// [`Kind::NotFound`] says that the store itself does not exist, and so the object surely does not.
    async fn create(&self, key: &str, body: Body, facts: ObjectFacts) -> Result<Created>;

    /// Whether there is an object under `key`, durable: the bytes that it has.
    ///
    /// # Errors
    /// When that cannot be said.
    async fn find(&self, key: &str) -> Result<Option<u64>> {
        Err(Error::unavailable(format!("whether object {key:?} is there cannot be said of this store")))
    }

    /// The objects whose keys begin with `prefix` and stand behind `after`, a page of them. Everything that was there before the
    /// first page was asked for, and was not removed since, is in one of the pages.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        let _ = after;
        Err(Error::invalid(format!("objects under {prefix:?} cannot be listed in this kind of store")))
    }

    /// The bytes of an object as stored, and how many there are; `None` where there is no such object. They are fetched while
    /// they are taken, so that memory is bound by a few pieces; one that changes or breaks off meanwhile ends with an error.
    async fn read(&self, key: &str) -> Result<Option<(u64, Body)>> {
        Err(Error::invalid(format!("object {key:?} cannot be read from this kind of store")))
    }

    /// Tries for real whether the store can be reached and written, and says in a sentence what it is like
    /// (whether it honours `If-None-Match`, for S3).
    async fn probe(&self) -> Result<String>;
}
