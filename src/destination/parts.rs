//! Cuts a body into parts of one size, each with its share of the memory that a destination may use.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Body;
use crate::error::Result;
use crate::limits::S3_SMALL_BYTES;

/// The parts of a body, in order.
pub(super) struct Parts {
    body: Body,
    permits: Arc<Semaphore>,
    part_bytes: usize,
    /// What came beyond the last part.
    rest: Bytes,
    ended: bool,
}

/// One part.
pub(super) struct Part {
    /// As many bytes as a part has, or fewer in the last.
    pub(super) bytes: Bytes,
    /// Whether the body ends here.
    pub(super) last: bool,
    /// Its share of the memory, given back when it is dropped; a small object needs none.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl Parts {
    pub(super) fn new(body: Body, permits: Arc<Semaphore>, part_bytes: usize) -> Self {
        Parts { body, permits, part_bytes, rest: Bytes::new(), ended: false }
    }

    /// The next part; once it is not small any more, it waits for room. Not to be called after the last.
    pub(super) async fn next(&mut self) -> Result<Part> {
        let mut permit = None;
        let mut bytes = Vec::new();
        loop {
            if permit.is_none() && bytes.len() + self.rest.len() > S3_SMALL_BYTES {
                let permits = Arc::clone(&self.permits);
                permit = Some(permits.acquire_owned().await.expect("the semaphore is never closed"));
            }
            let count = self.rest.len().min(self.part_bytes - bytes.len());
            self.append(&mut bytes, count);
            if !self.rest.is_empty() || !self.fetch().await? {
                break;
            }
        }
        Ok(Part { bytes: bytes.into(), last: self.ended && self.rest.is_empty(), permit })
    }

    /// Moves `count` bytes of the rest to `bytes`, which never takes more memory than a part has.
    fn append(&mut self, bytes: &mut Vec<u8>, count: usize) {
        let needed = bytes.len() + count;
        if needed > bytes.capacity() {
            let capacity = needed.max(bytes.capacity() * 2).min(self.part_bytes);
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&self.rest[..count]);
        self.rest.advance(count);
    }

    /// Waits for more; false at the end.
    async fn fetch(&mut self) -> Result<bool> {
        while self.rest.is_empty() && !self.ended {
            match self.body.next().await {
                Some(chunk) => self.rest = chunk?,
                None => self.ended = true,
            }
        }
        Ok(!self.rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Error;

    async fn cut(chunks: Vec<Vec<u8>>, part_bytes: usize) -> Vec<Bytes> {
        let body = Body::ready(chunks.into_iter().map(Bytes::from));
        let mut parts = Parts::new(body, Arc::new(Semaphore::new(1)), part_bytes);
        let mut all = Vec::new();
        loop {
            let part = parts.next().await.unwrap();
            all.push(part.bytes);
            if part.last {
                return all;
            }
        }
    }

    proptest! {
        #[test]
        fn parts_are_equal_but_the_last_and_add_up(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..12),
            part_bytes in 1_usize..50,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let parts = runtime.block_on(cut(chunks.clone(), part_bytes));
            let whole = chunks.concat();
            prop_assert_eq!(parts.concat(), whole.clone());
            prop_assert_eq!(parts.len(), whole.len().div_ceil(part_bytes).max(1));
            prop_assert!(parts[..parts.len() - 1].iter().all(|part| part.len() == part_bytes));
        }
    }

    #[tokio::test]
    async fn an_error_in_the_body_comes_through() {
        let (sender, body) = Body::channel(2);
        assert!(sender.send(Bytes::from_static(b"abc")).await);
        sender.fail(Error::corrupt("bad frame")).await;
        let mut parts = Parts::new(body, Arc::new(Semaphore::new(2)), 2);
        assert_eq!(parts.next().await.unwrap().bytes, "ab");
        assert_eq!(parts.next().await.err().unwrap().message(), "bad frame");
    }
}
