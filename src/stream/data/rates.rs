//! AWS's throughput limits of a shard, as token buckets.

/// The buckets of all shards.
#[derive(Default)]
pub(super) struct Rates;
