//! The shard map, pure: uniform ranges, splits, merges, rescaling, and which shards a list shows.

use super::shard::Shard;

/// A change of the shard map, with shards by name as the caller wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reshard {
    /// One shard becomes two.
    Split {
        /// The shard.
        shard: String,
        /// Where the second one begins.
        new_start: u128,
    },
    /// Two neighbours become one.
    Merge {
        /// The lower one.
        shard: String,
        /// The one above it.
        adjacent: String,
    },
    /// As many shards as asked for, of about the same size, by splits and merges.
    Uniform {
        /// How many open shards there are to be.
        target: u32,
    },
}

/// Which shards a list shows (ShardFilter of ListShards).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardFilter {
    /// Those with a higher number.
    After(u32),
    /// Those that were open at the trim horizon.
    AtTrimHorizon,
    /// All whose records are within retention.
    FromTrimHorizon,
    /// The open ones.
    AtLatest,
    /// Those that were open then (milliseconds since 1970).
    At(u64),
    /// Those that were open then or later.
    From(u64),
}

impl ShardFilter {
    /// Whether it shows `shard`, at a time at which records before `horizon_ms` are gone.
    pub fn shows(&self, shard: &Shard, horizon_ms: u64) -> bool {
        let _ = (shard, horizon_ms);
        todo!()
    }
}
