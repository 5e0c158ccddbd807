//! Who is subscribed to which shard: one subscription for each consumer and shard; a later one takes over.

use tokio_util::sync::CancellationToken;

use super::DataStream;
use crate::error::Result;

/// One subscription; it is over when it is dropped.
pub struct Subscription {
    taken_over: CancellationToken,
}

impl Subscription {
    /// Cancelled when another call of the same consumer took the shard over, or the consumer was deregistered.
    pub fn over(&self) -> &CancellationToken {
        &self.taken_over
    }
}

impl DataStream {
    /// Subscribes a registered consumer to a shard.
    ///
    /// # Errors
    /// `NotFound` without such a consumer or shard; `Conflict` within
    /// [`SUBSCRIPTION_TAKEOVER_AFTER`](crate::limits::SUBSCRIPTION_TAKEOVER_AFTER) of the last one that succeeded;
    /// `Throttled` over [`SUBSCRIPTIONS_MAX`](crate::limits::SUBSCRIPTIONS_MAX).
    pub fn subscribe(&self, consumer: &str, shard: u32) -> Result<Subscription> {
        let _ = (consumer, shard);
        todo!()
    }
}

/// All subscriptions.
#[derive(Default)]
pub(super) struct Subscriptions;
