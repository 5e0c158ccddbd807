//! On-demand streams: shards follow the load.
