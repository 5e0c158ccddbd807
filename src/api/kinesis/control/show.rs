//! How streams, shards and consumers look.

use super::super::document::Document;
use crate::api::Account;
use crate::stream::data::{Consumer, Definition, Distribution, Mode, Settings, Shard, shard_name};

fn mode(mode: Mode) -> Document {
    let name = match mode {
        Mode::Provisioned => "PROVISIONED",
        Mode::OnDemand => "ON_DEMAND",
    };
    Document::map([("StreamMode", name.into())])
}

/// A list of names.
pub(super) fn names(names: &[String]) -> Document {
    Document::List(names.iter().map(|name| name.as_str().into()).collect())
}

/// What all descriptions of a stream begin with.
fn head(account: &Account, definition: &Definition, now_ms: u64) -> Document {
    Document::map([
        ("StreamName", definition.name.as_str().into()),
        ("StreamARN", account.data_stream_arn(&definition.name).into()),
        ("StreamStatus", definition.status(now_ms).name().into()),
        ("StreamModeDetails", mode(definition.mode)),
        ("StreamCreationTimestamp", Document::Time(definition.created_ms)),
    ])
}

/// StreamSummary.
pub(super) fn summary(account: &Account, definition: &Definition, now_ms: u64) -> Document {
    head(account, definition, now_ms)
}

/// What StreamDescription and StreamDescriptionSummary share.
pub(super) fn described(account: &Account, definition: &Definition, now_ms: u64) -> Document {
    let metrics = Document::map([("ShardLevelMetrics", names(&definition.metrics))]);
    let encryption = if definition.encryption_key.is_some() { "KMS" } else { "NONE" };
    let hours = definition.retention.as_secs().div_ceil(3600);
    head(account, definition, now_ms)
        .with("RetentionPeriodHours", i64::try_from(hours).unwrap_or(i64::MAX))
        .with("EnhancedMonitoring", vec![metrics])
        .with("EncryptionType", encryption)
        .with_some("KeyId", definition.encryption_key.as_deref())
}

/// StreamDescriptionSummary.
pub(super) fn described_summary(account: &Account, definition: &Definition, now_ms: u64) -> Document {
    let strategy = (definition.mode == Mode::OnDemand).then_some(match definition.distribution {
        Distribution::PartitionKey => "USER_PARTITION_KEY",
        Distribution::Auto => "AUTO",
    });
    described(account, definition, now_ms)
        .with("OpenShardCount", definition.open_shards().count())
        .with("ConsumerCount", definition.consumers.len())
        .with("MaxRecordSizeInKiB", definition.record_bytes_max / 1024)
        .with_some("RecordDistributionStrategy", strategy)
        .with_some("WarmThroughput", definition.warm_mibps.map(warm))
}

/// WarmThroughputObject: we are as ready as we ever will be.
pub(super) fn warm(mibps: u32) -> Document {
    Document::map([("TargetMiBps", mibps.into()), ("CurrentMiBps", mibps.into())])
}

/// Shard.
pub(super) fn shard(shard: &Shard) -> Document {
    let range = Document::map([
        ("StartingHashKey", shard.range.start.to_string().into()),
        ("EndingHashKey", shard.range.end.to_string().into()),
    ]);
    let numbers = Document::map([("StartingSequenceNumber", shard.first_sequence().to_string().into())])
        .with_some("EndingSequenceNumber", shard.last_sequence().map(|number| number.to_string()));
    Document::map([("ShardId", shard_name(shard.index).into())])
        .with_some("ParentShardId", shard.parent.map(shard_name))
        .with_some("AdjacentParentShardId", shard.adjacent_parent.map(shard_name))
        .with("HashKeyRange", range)
        .with("SequenceNumberRange", numbers)
}

/// Consumer.
pub(super) fn consumer(consumer: &Consumer, stream: &str, settings: &Settings, now_ms: u64) -> Document {
    Document::map([
        ("ConsumerName", consumer.name.as_str().into()),
        ("ConsumerARN", consumer.arn(stream, settings).into()),
        ("ConsumerStatus", consumer.status(settings, now_ms).name().into()),
        ("ConsumerCreationTimestamp", Document::Time(consumer.created_ms)),
    ])
}

/// A list of Tag, in the order of keys.
pub(super) fn tags(tags: &[(String, String)]) -> Document {
    let one = |(key, value): &(String, String)| {
        Document::map([("Key", key.as_str().into()), ("Value", value.as_str().into())])
    };
    Document::List(tags.iter().map(one).collect())
}
