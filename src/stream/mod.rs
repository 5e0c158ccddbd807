//! Streams over the journal: what puts go into, what pipelines and consumers read from, and the only place that trims.
//!
//! - [`Stream`]: one delivery stream's own records (direct puts, and what importers copy): one shard, trimmed once it is
//!   delivered and, where there is a backup, backed up.
//! - [`data`]: data streams: many shards, many readers, retention by time.
//! - [`Feed`]: what a pipeline reads from, be it the one or the other.

pub mod data;
mod direct;
mod feed;
mod holds;

pub use direct::{Stream, Streams};
pub use feed::{Arrival, Event, Feed, Reader};
