//! Reading a request's body: into one buffer, within bytes and time, hashed as it comes in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::room::{AnswerRoom, AnswerRooms};
use super::{Bounds, Shared};
use crate::clock::{Clock, Instant};
use crate::limits;
use crate::record::StreamId;

/// A body that was not read yet.
pub struct Body {
    incoming: Incoming,
    /// The client sends the body only when it is asked to.
    asks_first: bool,
    clock: Clock,
    bounds: Bounds,
    hold: Hold,
}

/// A body that was.
pub struct Received {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Its digest.
    pub sha256: [u8; 32],
    /// Keep this as long as the bytes, or what was made of them, are in memory.
    pub hold: Hold,
}

/// A share of the bytes that all requests of a listener together may hold.
pub struct Hold {
    free: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    /// The same for answers.
    answers: Arc<AnswerRooms>,
    /// The same for large pieces of long answers.
    pushes: Arc<Semaphore>,
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It has more bytes than this.
    TooLarge(usize),
    /// It, or a pause in it, took longer than this.
    TooSlow(Duration),
    /// It ended before it was complete.
    Cut,
    /// All requests together hold as much as they may; nothing is wrong with this one.
    Busy,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::TooLarge(limit) => write!(f, "the request's body has more than {limit} bytes"),
            BodyError::TooSlow(limit) => write!(f, "the request's body or a pause in it, took more than {limit:?}"),
            BodyError::Cut => f.write_str("the request's body ended before it was complete"),
            BodyError::Busy => f.write_str("too many bytes of requests are in flight, try again"),
        }
    }
}

impl Body {
    pub(super) fn new(incoming: Incoming, headers: &HeaderMap, clock: Clock, bounds: Bounds, hold: Hold) -> Self {
        let asks_first = headers.contains_key(http::header::EXPECT);
        Body { incoming, asks_first, clock, bounds, hold }
    }

    /// Reads all of it, if it has at most `bytes_max` bytes. One that says that it has more is refused before it is
    /// kept.
    pub async fn read(mut self, bytes_max: usize) -> Result<Received, BodyError> {
        let stated = self.incoming.size_hint().exact();
        if stated.is_some_and(|stated| stated > bytes_max as u64) {
            self.discard().await;
            return Err(BodyError::TooLarge(bytes_max));
        }
        let mut bytes = Vec::with_capacity(stated.map_or(0, |stated| stated as usize));
        let mut digest = digest::Context::new(&digest::SHA256);
        let deadline = self.clock.instant() + self.bounds.body_time;
        while let Some(chunk) = self.chunk(deadline).await? {
            if bytes.len() + chunk.len() > bytes_max {
                drop(bytes);
                self.discard().await;
                return Err(BodyError::TooLarge(bytes_max));
            }
            if !self.hold.grow(chunk.len()) {
                drop(bytes);
                self.discard().await;
                return Err(BodyError::Busy);
            }
            digest.update(&chunk);
            bytes.extend_from_slice(&chunk);
        }
        Ok(Received { bytes, sha256: finish(digest), hold: self.hold })
    }

    /// Reads it and keeps nothing but its digest, so that the client hears the answer to a request that is refused;
    /// `None` when that would take too many bytes or too long.
    pub async fn discard(&mut self) -> Option<[u8; 32]> {
        if self.asks_first {
            return None;
        }
        let deadline = self.clock.instant() + limits::REFUSED_BODY_TIME_MAX;
        let mut digest = digest::Context::new(&digest::SHA256);
        let mut bytes = 0;
        while let Some(chunk) = self.chunk(deadline).await.ok()? {
            bytes += chunk.len();
            if bytes > limits::REFUSED_BODY_BYTES_MAX {
                return None;
            }
            digest.update(&chunk);
        }
        Some(finish(digest))
    }

    async fn chunk(&mut self, deadline: Instant) -> Result<Option<Bytes>, BodyError> {
        loop {
            let left = deadline.saturating_duration_since(self.clock.instant());
            let wait = self.bounds.body_stall.min(left);
            let frame = self.clock.within(wait, self.incoming.frame()).await;
            let limit = if wait < left { self.bounds.body_stall } else { self.bounds.body_time };
            match frame.ok_or(BodyError::TooSlow(limit))? {
                None => return Ok(None),
                Some(Err(_)) => return Err(BodyError::Cut),
                // What is no data is a trailer: it says nothing that we go by.
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data() {
                        return Ok(Some(chunk));
                    }
                }
            }
        }
    }
}

impl Hold {
    pub(super) fn of<H>(shared: &Shared<H>) -> Self {
        Hold {
            free: shared.body_bytes.clone(),
            permit: None,
            answers: shared.answer_rooms.clone(),
            pushes: shared.push_bytes.clone(),
        }
    }

    /// One of no listener, with room for pieces of so many bytes.
    #[cfg(test)]
    pub(in crate::api) fn alone(push_bytes: usize) -> Self {
        let [free, pushes] = [0, push_bytes].map(|bytes| Arc::new(Semaphore::new(bytes)));
        Hold { free, permit: None, answers: Arc::new(AnswerRooms::new(0)), pushes }
    }

    /// An empty one of the same listener.
    #[must_use]
    pub fn another(&self) -> Hold {
        let Hold { free, answers, pushes, .. } = self;
        Hold { free: free.clone(), permit: None, answers: answers.clone(), pushes: pushes.clone() }
    }

    /// Room for an answer of up to `bytes` with records of `stream`, from what all large answers of the listener together may
    /// hold, of which a stream has half at most; it waits until there is some. Give it to
    /// [`Answer::holding`](super::Answer::holding).
    pub async fn answer_room(&self, stream: StreamId, bytes: usize) -> AnswerRoom {
        self.answers.room(stream, bytes).await
    }

    /// Room for one piece of a long answer, from what such pieces of all answers may hold together; waits for it. Give
    /// it to [`Place::send_holding`](super::Place::send_holding).
    pub async fn push_room(&self, bytes: usize) -> OwnedSemaphorePermit {
        self.pushes.clone().acquire_many_owned(push(bytes)).await.expect("the semaphore of pieces is never closed")
    }

    /// The same if there is room at once.
    pub fn try_push_room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.pushes.clone().try_acquire_many_owned(push(bytes)).ok()
    }

    /// Takes over what the other holds.
    pub fn merge(&mut self, other: Hold) {
        match (&mut self.permit, other.permit) {
            (Some(permit), Some(more)) => permit.merge(more),
            (none, more) => *none = none.take().or(more),
        }
    }

    /// Takes `bytes` more; `false` when there are not so many.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let Ok(count) = u32::try_from(bytes) else { return false };
        let Ok(more) = self.free.clone().try_acquire_many_owned(count) else { return false };
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        true
    }
}

/// A piece larger than all the room there is takes all of it.
fn push(bytes: usize) -> u32 {
    bytes.min(limits::PUSH_BYTES_IN_FLIGHT_MAX) as u32
}

fn finish(digest: digest::Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.finish().as_ref());
    bytes
}
