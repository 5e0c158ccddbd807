//! The task that lets go what is over: records beyond retention, shards without records, streams after their delay.
