//! Data streams (spec: Kinesis Data Streams, quotas).

use std::time::Duration;

/// Maps and lists within each other in a request of the Kinesis API: valid ones need four.
pub const DOCUMENT_DEPTH_MAX: usize = 32;
/// Values in a request of the Kinesis API: 500 records of six members each, with room. Each costs some 60 bytes, so a
/// body of nothing but commas would else become a gigabyte.
pub const DOCUMENT_VALUES_MAX: usize = 20_000;
/// Bytes of a request body of the Kinesis API: 10 MiB of records in base64, with keys and JSON around them.
pub const KINESIS_BODY_BYTES_MAX: usize = 16 << 20;
/// Records of one PutRecords.
pub const PUT_RECORDS_MAX: usize = 500;
/// Bytes of one PutRecords: data and partition keys.
pub const PUT_RECORDS_BYTES_MAX: usize = 10 << 20;
/// Characters of a partition key.
pub const PARTITION_KEY_CHARS_MAX: usize = 256;
/// Bytes of one record with its key, unless the stream says otherwise.
pub const DATA_RECORD_BYTES_DEFAULT: usize = 1 << 20;
/// The most that a stream may say.
pub const DATA_RECORD_BYTES_MAX: usize = 10 << 20;
/// Characters of a data stream's name, a consumer's name, a shard's name.
pub const DATA_NAME_MAX: usize = 128;
/// Records of one GetRecords.
pub const GET_RECORDS_MAX: usize = 10_000;
/// Bytes of records that one GetRecords brings.
pub const GET_RECORDS_BYTES_MAX: usize = 10 << 20;
/// Bytes of GetRecords answers held at once, over all connections, and half of that for one stream; a call beyond it waits, then
/// is throttled.
pub const GET_RECORDS_BYTES_IN_FLIGHT_MAX: usize = 128 << 20;
/// How long a shard iterator and a token of a list are good for.
pub const ITERATOR_TIME_MAX: Duration = Duration::from_mins(5);
/// How long one subscription lasts.
pub const SUBSCRIPTION_TIME_MAX: Duration = Duration::from_mins(5);
/// A subscriber hears something at least this often.
pub const SUBSCRIPTION_EVENT_EVERY: Duration = Duration::from_secs(5);
/// Before it is this old, a subscription is not taken over by a second one of the same consumer to the same shard.
pub const SUBSCRIPTION_TAKEOVER_AFTER: Duration = Duration::from_secs(5);
/// Bytes of records in one event of a subscription: a hundred subscribers may have two each on the way.
pub const SUBSCRIPTION_EVENT_BYTES_MAX: usize = 512 << 10;
/// The same while slow subscribers leave no room for more: with [`SUBSCRIPTION_EVENT_RECORDS_SMALL`] it is within
/// [`PUSH_FREE_BYTES`](super::PUSH_FREE_BYTES) once it is written, unless a single record is not.
pub const SUBSCRIPTION_EVENT_BYTES_SMALL: usize = 32 << 10;
/// Records of such an event.
pub const SUBSCRIPTION_EVENT_RECORDS_SMALL: usize = 256;
/// Subscriptions at once.
pub const SUBSCRIPTIONS_MAX: usize = 2_000;
/// Consumers of one stream.
pub const CONSUMERS_MAX: usize = 20;
/// Open shards of the whole account, unless the configuration says otherwise: AWS's in its large regions.
pub const SHARDS_DEFAULT: u32 = 500;
/// The most that the configuration may say, and the open shards of one stream.
pub const SHARDS_MAX: u32 = 10_000;
/// Data streams in all.
pub const DATA_STREAMS_MAX: usize = 5_000;
/// Shards that an on-demand stream begins with.
pub const ON_DEMAND_SHARDS: u32 = 4;
/// What one shard takes in a second under AWS's limits.
pub const SHARD_WRITE_BYTES_PER_SECOND: u64 = 1 << 20;
/// Records that one shard takes in a second under AWS's limits.
pub const SHARD_WRITE_RECORDS_PER_SECOND: u64 = 1_000;
/// Bytes that all readers of one shard, or one subscriber, get in a second under AWS's limits.
pub const SHARD_READ_BYTES_PER_SECOND: u64 = 2 << 20;
/// GetRecords calls to one shard in a second under AWS's limits.
pub const SHARD_READS_PER_SECOND: u64 = 5;
/// Retention of a data stream through the API, and its default: 24 hours.
pub const DATA_RETENTION_MIN: Duration = Duration::from_hours(24);
/// The longest retention of a data stream: 365 days.
pub const DATA_RETENTION_MAX: Duration = Duration::from_hours(8_760);
/// The shortest that the configuration file may say: retention is looked at by the second.
pub const DATA_RETENTION_FILE_MIN: Duration = Duration::from_secs(1);
/// How long a stream may be made to stay CREATING, UPDATING or DELETING: AWS takes some seconds.
pub const STATE_DELAY_MAX: Duration = Duration::from_mins(10);
/// Shards that one stream keeps in its map, closed ones included: a complete rescale of the largest stream, twice. A
/// loop of splits and merges must end somewhere.
pub const DATA_SHARDS_KEPT_MAX: usize = 4 * SHARDS_MAX as usize;
/// Puts to one data stream under way at once; a reshard waits for all of them. More than the journal's writer queues.
pub const DATA_PUTS_AT_ONCE_MAX: u32 = 16_384;
/// How long a reshard waits for the puts under way; they wait behind it.
pub const RESHARD_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long the deletion of a data stream waits until its disk is free; it goes on behind the answer.
pub const DATA_REMOVE_WAIT_MAX: Duration = Duration::from_secs(5);
/// Changes of data streams that wait for their owner, which stores all that wait in one file; a caller waits for room.
pub const DATA_CHANGES_QUEUED_MAX: usize = 128;
/// Bytes of the stored definitions: 5,000 streams with consumers, tags and some shards, or fewer with many shards.
pub const DATA_STREAMS_BYTES_MAX: usize = 128 << 20;
/// Data streams that may be CREATING at once: AWS's bound.
pub const DATA_STREAMS_CREATING_MAX: usize = 5;
/// UpdateShardCount calls for one stream in 24 hours: AWS's bound.
pub const RESCALES_PER_DAY_MAX: usize = 10;
/// Changes of a stream's mode in 24 hours: AWS's bound.
pub const MODE_CHANGES_PER_DAY_MAX: usize = 2;
/// Characters of the key of a tag of a data stream.
pub const DATA_TAG_KEY_CHARS_MAX: usize = 128;
/// Characters of its value.
pub const DATA_TAG_VALUE_CHARS_MAX: usize = 256;
/// MiB a second that an on-demand stream can be told to be ready for: AWS's bound in its large regions.
pub const WARM_MIBPS_MAX: u32 = 10_240;
/// Bytes of a resource policy: AWS's bound for Kinesis.
pub const POLICY_BYTES_MAX: usize = 20 << 10;
/// Characters of the name of an encryption key.
pub const ENCRYPTION_KEY_NAME_MAX: usize = 2_048;
/// How far ahead of our clock a token may have been made before it is none of ours: clocks are set back.
pub const TOKEN_AHEAD_MAX: Duration = Duration::from_mins(5);
/// Bytes of a token as text: those of lists hold a name at most.
pub const TOKEN_BYTES_MAX: usize = 1_024;
/// The longest that a shard's horizon is taken for known: reads stay cheap, and are off by a second at most.
pub const HORIZON_MEMORY: Duration = Duration::from_secs(1);
/// The least time between two trims of one stream by its retention; a twentieth of the retention else.
pub const RETENTION_STEP_MIN: Duration = Duration::from_millis(200);
/// The most: what is freed then is a small part of any disk.
pub const RETENTION_STEP_MAX: Duration = Duration::from_secs(10);
/// The least pause of the data streams' keeper: what is due within it is done together.
pub const KEEPER_PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest: so late it may notice that the wall clock jumped.
pub const KEEPER_PAUSE_MAX: Duration = Duration::from_hours(1);
/// How often the load of an on-demand stream is looked at.
pub const DEMAND_LOOK_EVERY: Duration = Duration::from_secs(10);
/// Looks in a row after which a hot shard is split: half a minute, on top of the minute that rates are taken over.
pub const DEMAND_HOT_LOOKS: u32 = 3;
/// Looks in a row after which cold shards are merged: five minutes. Closed shards are a burden to readers.
pub const DEMAND_COLD_LOOKS: u32 = 30;
/// Bytes of the name of a source that is copied from.
pub const CHECKPOINT_SOURCE_BYTES_MAX: usize = 256;
/// Bytes of a checkpoint.
pub const CHECKPOINT_BYTES_MAX: usize = 1 << 10;
/// Sources whose checkpoints one shard keeps; a put of one more is refused.
pub const CHECKPOINT_SOURCES_MAX: usize = 20_000;
