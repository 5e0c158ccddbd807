//! The members of every operation, as the model has them; the longer comments of the model are in the spec.
//!
//! Channels and queues are not here: what is not here is an unknown operation.

use super::{Member, Pattern, Shape, Text};
use crate::limits;

const fn must(name: &'static str, shape: Shape) -> Member {
    Member { name, required: true, shape }
}

const fn may(name: &'static str, shape: Shape) -> Member {
    Member { name, required: false, shape }
}

const fn text(min: usize, max: usize) -> Text {
    Text { min, max, pattern: None }
}

const fn form(min: usize, max: usize, pattern: Pattern) -> Shape {
    Shape::Text(Text { min, max, pattern: Some(pattern) })
}

const fn from(min: i64) -> Shape {
    Shape::Integer { min, max: i64::MAX }
}

const fn between(min: i64, max: i64) -> Shape {
    Shape::Integer { min, max }
}

const NAME: Shape = form(1, limits::DATA_NAME_MAX, Pattern::Name);
const STREAM_ARN: Shape = form(1, 2048, Pattern::StreamArn);
const CONSUMER_ARN: Shape = form(1, 2048, Pattern::ConsumerArn);
const RESOURCE_ARN: Shape = form(1, 2048, Pattern::ResourceArn);
const SEQUENCE: Shape = form(0, usize::MAX, Pattern::Sequence);
const HASH_KEY: Shape = form(0, usize::MAX, Pattern::HashKey);
const TOKEN: Shape = Shape::Text(text(1, 1_048_576));
const ITERATOR: Shape = Shape::Text(text(1, 512));
const KEY_ID: Shape = Shape::Text(text(1, 2048));
const POLICY: Shape = Shape::Text(text(0, usize::MAX));
const PARTITION_KEY: Shape = Shape::Text(text(1, limits::PARTITION_KEY_CHARS_MAX));
const DATA: Shape = Shape::Blob { max: limits::DATA_RECORD_BYTES_MAX };
const TAG_KEY: Text = text(1, 128);
const TAGS: Shape = Shape::Map { min: 1, max: 200, key: TAG_KEY, value: text(0, 256) };
const TAG_KEYS: Shape = Shape::List { min: 1, max: 50, of: &Shape::Text(TAG_KEY) };
const RECORD_SIZE: Shape = between(1024, 10_240);
const STRATEGY: Shape = Shape::Choice(&["AUTO", "USER_PARTITION_KEY"]);
const MODE: Shape = Shape::Structure(&[must("StreamMode", Shape::Choice(&["PROVISIONED", "ON_DEMAND"]))]);
const ENCRYPTION: Shape = Shape::Choice(&["NONE", "KMS"]);
const LIMIT: Shape = between(1, 10_000);

const METRICS: Shape = Shape::List {
    min: 1,
    max: 7,
    of: &Shape::Choice(&[
        "IncomingBytes",
        "IncomingRecords",
        "OutgoingBytes",
        "OutgoingRecords",
        "WriteProvisionedThroughputExceeded",
        "ReadProvisionedThroughputExceeded",
        "IteratorAgeMilliseconds",
        "ALL",
    ]),
};

const RECORDS: Shape = Shape::List {
    min: 1,
    max: limits::PUT_RECORDS_MAX,
    of: &Shape::Structure(&[must("Data", DATA), may("ExplicitHashKey", HASH_KEY), may("PartitionKey", PARTITION_KEY)]),
};

const SHARD_FILTER: Shape = Shape::Structure(&[
    must(
        "Type",
        Shape::Choice(&[
            "AFTER_SHARD_ID",
            "AT_TRIM_HORIZON",
            "FROM_TRIM_HORIZON",
            "AT_LATEST",
            "AT_TIMESTAMP",
            "FROM_TIMESTAMP",
        ]),
    ),
    may("ShardId", NAME),
    may("Timestamp", Shape::Time),
]);

const POSITION_TYPE: Shape =
    Shape::Choice(&["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]);

const STARTING_POSITION: Shape =
    Shape::Structure(&[must("Type", POSITION_TYPE), may("SequenceNumber", SEQUENCE), may("Timestamp", Shape::Time)]);

const BY_NAME: Member = may("StreamName", NAME);
const BY_ARN: Member = may("StreamARN", STREAM_ARN);
const BY_CONSUMER: Member = may("ConsumerARN", CONSUMER_ARN);
const DRY_RUN: Member = may("DryRun", Shape::Boolean);
const RESOURCE: Member = must("ResourceARN", RESOURCE_ARN);
const MAX_RESULTS: Member = may("MaxResults", LIMIT);
const NEXT_TOKEN: Member = may("NextToken", TOKEN);

/// What `operation` takes.
pub(super) fn members(operation: &str) -> Option<&'static [Member]> {
    let (_, members) = OPERATIONS.iter().find(|(name, _)| *name == operation)?;
    Some(members)
}

pub(super) static OPERATIONS: &[(&str, &[Member])] = &[
    // Records: first, for they are looked up most.
    ("PutRecords", &[must("Records", RECORDS), BY_NAME, BY_ARN, DRY_RUN]),
    (
        "PutRecord",
        &[
            BY_NAME,
            must("Data", DATA),
            may("PartitionKey", PARTITION_KEY),
            may("ExplicitHashKey", HASH_KEY),
            may("SequenceNumberForOrdering", SEQUENCE),
            BY_ARN,
            DRY_RUN,
        ],
    ),
    ("GetRecords", &[must("ShardIterator", ITERATOR), may("Limit", LIMIT), BY_ARN, DRY_RUN]),
    (
        "GetShardIterator",
        &[
            BY_NAME,
            must("ShardId", NAME),
            must("ShardIteratorType", POSITION_TYPE),
            may("StartingSequenceNumber", SEQUENCE),
            may("Timestamp", Shape::Time),
            BY_ARN,
            DRY_RUN,
        ],
    ),
    (
        "SubscribeToShard",
        &[
            must("ConsumerARN", CONSUMER_ARN),
            must("ShardId", NAME),
            must("StartingPosition", STARTING_POSITION),
            DRY_RUN,
        ],
    ),
    // Streams.
    (
        "CreateStream",
        &[
            must("StreamName", NAME),
            may("ShardCount", from(1)),
            may("StreamModeDetails", MODE),
            may("Tags", TAGS),
            may("WarmThroughputMiBps", from(0)),
            may("MaxRecordSizeInKiB", RECORD_SIZE),
            may("RecordDistributionStrategy", STRATEGY),
        ],
    ),
    ("DeleteStream", &[BY_NAME, may("EnforceConsumerDeletion", Shape::Boolean), BY_ARN]),
    ("DescribeStream", &[BY_NAME, may("Limit", LIMIT), may("ExclusiveStartShardId", NAME), BY_ARN]),
    ("DescribeStreamSummary", &[BY_NAME, BY_ARN]),
    ("ListStreams", &[may("Limit", LIMIT), may("ExclusiveStartStreamName", NAME), NEXT_TOKEN]),
    // Shards.
    (
        "ListShards",
        &[
            BY_NAME,
            NEXT_TOKEN,
            may("ExclusiveStartShardId", NAME),
            MAX_RESULTS,
            may("StreamCreationTimestamp", Shape::Time),
            may("ShardFilter", SHARD_FILTER),
            BY_ARN,
        ],
    ),
    ("SplitShard", &[BY_NAME, must("ShardToSplit", NAME), must("NewStartingHashKey", HASH_KEY), BY_ARN]),
    ("MergeShards", &[BY_NAME, must("ShardToMerge", NAME), must("AdjacentShardToMerge", NAME), BY_ARN]),
    (
        "UpdateShardCount",
        &[BY_NAME, must("TargetShardCount", from(1)), must("ScalingType", Shape::Choice(&["UNIFORM_SCALING"])), BY_ARN],
    ),
    // Consumers.
    ("RegisterStreamConsumer", &[must("StreamARN", STREAM_ARN), must("ConsumerName", NAME), may("Tags", TAGS)]),
    ("DeregisterStreamConsumer", &[BY_ARN, may("ConsumerName", NAME), BY_CONSUMER]),
    ("DescribeStreamConsumer", &[BY_ARN, may("ConsumerName", NAME), BY_CONSUMER]),
    (
        "ListStreamConsumers",
        &[must("StreamARN", STREAM_ARN), NEXT_TOKEN, MAX_RESULTS, may("StreamCreationTimestamp", Shape::Time)],
    ),
    // Settings of one stream.
    ("IncreaseStreamRetentionPeriod", &[BY_NAME, must("RetentionPeriodHours", from(i64::MIN)), BY_ARN]),
    ("DecreaseStreamRetentionPeriod", &[BY_NAME, must("RetentionPeriodHours", from(i64::MIN)), BY_ARN]),
    (
        "UpdateStreamMode",
        &[must("StreamARN", STREAM_ARN), must("StreamModeDetails", MODE), may("WarmThroughputMiBps", from(0))],
    ),
    ("UpdateMaxRecordSize", &[BY_ARN, must("MaxRecordSizeInKiB", RECORD_SIZE)]),
    ("UpdateStreamWarmThroughput", &[BY_ARN, BY_NAME, must("WarmThroughputMiBps", from(0))]),
    (
        "UpdateStreamRecordDistributionStrategy",
        &[must("StreamARN", STREAM_ARN), must("RecordDistributionStrategy", STRATEGY)],
    ),
    ("StartStreamEncryption", &[BY_NAME, must("EncryptionType", ENCRYPTION), must("KeyId", KEY_ID), BY_ARN]),
    ("StopStreamEncryption", &[BY_NAME, must("EncryptionType", ENCRYPTION), must("KeyId", KEY_ID), BY_ARN]),
    ("EnableEnhancedMonitoring", &[BY_NAME, must("ShardLevelMetrics", METRICS), BY_ARN]),
    ("DisableEnhancedMonitoring", &[BY_NAME, must("ShardLevelMetrics", METRICS), BY_ARN]),
    // Tags and policies.
    ("AddTagsToStream", &[BY_NAME, must("Tags", TAGS), BY_ARN]),
    ("RemoveTagsFromStream", &[BY_NAME, must("TagKeys", TAG_KEYS), BY_ARN]),
    (
        "ListTagsForStream",
        &[BY_NAME, may("ExclusiveStartTagKey", Shape::Text(TAG_KEY)), may("Limit", between(1, 50)), BY_ARN],
    ),
    ("TagResource", &[must("Tags", TAGS), RESOURCE]),
    ("UntagResource", &[must("TagKeys", TAG_KEYS), RESOURCE]),
    ("ListTagsForResource", &[RESOURCE]),
    ("PutResourcePolicy", &[RESOURCE, must("Policy", POLICY)]),
    ("GetResourcePolicy", &[RESOURCE]),
    ("DeleteResourcePolicy", &[RESOURCE]),
    // The account.
    ("DescribeLimits", &[]),
    ("DescribeAccountSettings", &[]),
    (
        "UpdateAccountSettings",
        &[must(
            "MinimumThroughputBillingCommitment",
            Shape::Structure(&[must("Status", Shape::Choice(&["ENABLED", "DISABLED"]))]),
        )],
    ),
];
