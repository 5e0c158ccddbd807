//! AWS's throughput limits of a shard, as token buckets.
