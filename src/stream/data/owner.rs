//! The task that owns all definitions: one change after the other, durable before it is seen.

use std::any::Any;

use tokio::sync::oneshot;

use super::definition::{Definition, NewDataStream};
use crate::error::Result;
use crate::record::StreamId;

/// One change and who waits for it.
pub(super) struct Message {
    pub(super) change: Change,
    pub(super) reply: oneshot::Sender<Result<Made>>,
}

/// What a change made, for who asked for it.
pub(super) type Made = Box<dyn Any + Send>;

/// A change of one definition.
pub(super) type Edit = Box<dyn FnOnce(&mut Definition, u64) -> Result<Made> + Send>;

/// What may be asked; see the methods of [`DataStreams`](super::DataStreams).
pub(super) enum Change {
    Create(Box<NewDataStream>),
    Edit { name: String, edit: Edit },
    ForgetShards { id: StreamId, shards: Vec<u32> },
    Gone { id: StreamId },
}
