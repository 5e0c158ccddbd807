//! Room for large answers: bounded over all of them, and for one stream by half of that, so that slow readers of one stream leave
//! the others theirs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::record::StreamId;

/// The bytes that all large answers of a listener together may hold.
pub(super) struct AnswerRooms {
    all: Arc<Semaphore>,
    share_max: usize,
    /// What is left to each stream that has an answer under way, or waits for one.
    shares: Mutex<HashMap<StreamId, Weak<Semaphore>>>,
}

/// What one answer holds of them.
#[derive(Debug)]
pub struct AnswerRoom {
    all: OwnedSemaphorePermit,
    share: OwnedSemaphorePermit,
}

impl AnswerRooms {
    pub(super) fn new(bytes: usize) -> Self {
        AnswerRooms { all: Arc::new(Semaphore::new(bytes)), share_max: bytes / 2, shares: Mutex::default() }
    }

    /// Waits for room for an answer of up to `bytes` with records of `stream`.
    pub(super) async fn room(&self, stream: StreamId, bytes: usize) -> AnswerRoom {
        const OPEN: &str = "the semaphores of answers are never closed";
        let count = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        // Its own share first: who waits for that holds nothing of what others wait for.
        let share = self.share(stream).acquire_many_owned(count(bytes.min(self.share_max))).await.expect(OPEN);
        let all = self.all.clone().acquire_many_owned(count(bytes)).await.expect(OPEN);
        AnswerRoom { all, share }
    }

    fn share(&self, stream: StreamId) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.retain(|_, share| share.strong_count() > 0);
        if let Some(share) = shares.get(&stream).and_then(Weak::upgrade) {
            return share;
        }
        let share = Arc::new(Semaphore::new(self.share_max));
        shares.insert(stream, Arc::downgrade(&share));
        share
    }
}

impl AnswerRoom {
    /// Gives back all but `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        for permit in [&mut self.all, &mut self.share] {
            drop(permit.split(permit.num_permits().saturating_sub(bytes)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    const SLOW: StreamId = StreamId(1);
    const OTHER: StreamId = StreamId(2);

    #[tokio::test(start_paused = true)]
    async fn a_stream_has_half_at_most_and_gives_back_what_it_does_not_need() {
        let (rooms, clock) = (AnswerRooms::new(100), Clock::simulated(1, 0));
        let room = async |stream, bytes| clock.within(Duration::from_secs(2), rooms.room(stream, bytes)).await;
        let mut held = vec![room(SLOW, 25).await.unwrap(), room(SLOW, 25).await.unwrap()];
        assert!(room(SLOW, 1).await.is_none(), "it has its half");
        let other = room(OTHER, 50).await.expect("the other half is free");
        assert!(room(StreamId(3), 1).await.is_none(), "that was all");
        drop(other);
        held[0].shrink_to(5);
        let more = room(SLOW, 20).await.expect("there is room again");
        assert!(room(SLOW, 1).await.is_none());
        drop((held, more));
        room(SLOW, 80).await.expect("one that is larger than a share can be answered by itself");
        drop(room(OTHER, 1).await);
        assert_eq!(rooms.shares.lock().unwrap().len(), 1, "what nobody holds is forgotten");
    }
}
