//! How data streams stand, in the words of the status document.

use std::collections::BTreeMap;

use crate::record::StreamId;
use crate::stream::data::{DataStreams, Definition, Mode, Origin, ShardStands, Stands, Status, shard_name};
use crate::telemetry::status::{ConsumerStatus, DataStreamStatus, ReaderStatus, ShardStatus, StreamStatus};

/// A delivery stream, as far as it matters to the data stream that it reads.
pub(super) struct Reader {
    /// Its name.
    pub name: String,
    /// Age of the oldest record that it has not delivered.
    pub freshness_seconds: Option<f64>,
}

/// All data streams by name; one that is deleted meanwhile is left out. `streams` are the delivery streams and their
/// backups, as the ledger knows them, with how each of them stands.
pub(super) async fn gather<'a>(
    data_streams: &DataStreams,
    streams: impl Iterator<Item = (StreamId, &'a StreamStatus)>,
    now_ms: u64,
) -> Vec<DataStreamStatus> {
    let readers: BTreeMap<StreamId, Reader> = streams
        .map(|(by, status)| (by, Reader { name: status.name.clone(), freshness_seconds: status.freshness_seconds }))
        .collect();
    let mut all = Vec::new();
    for definition in data_streams.snapshot().values() {
        let Some(stream) = data_streams.by_id(definition.id) else { continue };
        if let Ok(stands) = stream.stands().await {
            all.push(status(definition, &stands, &readers, now_ms));
        }
    }
    all
}

/// One data stream.
pub(super) fn status(
    definition: &Definition,
    stands: &Stands,
    readers: &BTreeMap<StreamId, Reader>,
    now_ms: u64,
) -> DataStreamStatus {
    let shards: Vec<_> = stands.shards.iter().map(|shard| shard_status(shard, now_ms)).collect();
    let oldest_ms = stands.shards.iter().filter_map(|shard| shard.oldest_ms).min();
    let reader = |by: StreamId, behind| {
        // Without a name it was deleted a moment ago.
        let known = readers.get(&by)?;
        let oldest_seconds = known.freshness_seconds.filter(|_| behind > 0);
        Some(ReaderStatus { name: known.name.clone(), behind, oldest_seconds })
    };
    DataStreamStatus {
        name: definition.name.clone(),
        status: status_name(definition.status(now_ms)).to_owned(),
        origin: match definition.origin {
            Origin::File => "file".to_owned(),
            Origin::Api => "api".to_owned(),
        },
        mode: match definition.mode {
            Mode::Provisioned => "PROVISIONED".to_owned(),
            Mode::OnDemand => "ON_DEMAND".to_owned(),
        },
        open_shards: stands.shards.iter().filter(|shard| shard.open).count() as u64,
        records: shards.iter().map(|shard| shard.records).sum(),
        bytes: shards.iter().map(|shard| shard.bytes).sum(),
        retention_seconds: definition.retention.as_secs(),
        oldest_seconds: oldest_ms.map(|ms| age(ms, now_ms)),
        expired: stands.expired,
        consumers: stands
            .consumers
            .iter()
            .map(|one| ConsumerStatus { name: one.name.clone(), subscriptions: one.shards.len() as u64 })
            .collect(),
        readers: stands.pins.iter().filter_map(|pin| reader(pin.by, pin.behind)).collect(),
        shards,
    }
}

fn shard_status(shard: &ShardStands, now_ms: u64) -> ShardStatus {
    ShardStatus {
        name: shard_name(shard.index),
        open: shard.open,
        records: shard.end.saturating_sub(shard.start),
        bytes: shard.disk_bytes,
        oldest_seconds: shard.oldest_ms.map(|ms| age(ms, now_ms)),
    }
}

fn age(then_ms: u64, now_ms: u64) -> f64 {
    now_ms.saturating_sub(then_ms) as f64 / 1_000.0
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Creating => "CREATING",
        Status::Active => "ACTIVE",
        Status::Updating => "UPDATING",
        Status::Deleting => "DELETING",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::disk::sim::SimDisk;
    use crate::journal::memory::MemoryJournal;
    use crate::record::{Keys, Records};
    use crate::stream::data::{FileStream, Limits, Put, Settings};

    fn clicks() -> FileStream {
        FileStream {
            name: "clicks".into(),
            mode: Mode::Provisioned,
            shards: 2,
            retention: Duration::from_hours(48),
            record_bytes_max: 1 << 20,
            limits: Limits::None,
            bytes_max: None,
            encrypted: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_data_stream_is_shown_with_those_who_read_it() {
        let clock = Clock::simulated(1, 1_000_000);
        let settings = Settings {
            account_id: "000000000000".into(),
            region: "us-east-1".into(),
            shards_max: 50,
            state_delay: Duration::ZERO,
            can_encrypt: false,
        };
        let journal = Arc::new(MemoryJournal::new(clock.clone()));
        let disk = Arc::new(SimDisk::new(1));
        let streams = DataStreams::open(disk, journal, clock.clone(), settings, vec![clicks()]).await.unwrap();
        let stream = streams.get("clicks").unwrap();
        let (known, gone) = (StreamId(7), StreamId(8));
        let _pins = (streams.pin(stream.id(), known), streams.pin(stream.id(), gone));
        let keys = Keys { ends: vec![1, 2], data: "kk".into() };
        let records = Records { keys: Some(keys), ..Records::from_slices(clock.now_ms(), &["a", "b"]) };
        stream.put(Put { records, hashes: vec![0, 1], call: None }).await.unwrap();
        clock.sleep(Duration::from_secs(5)).await;

        let readers = BTreeMap::from([(known, Reader { name: "archive".into(), freshness_seconds: Some(4.5) })]);
        let stands = stream.stands().await.unwrap();
        let shown = status(&stream.definition().unwrap(), &stands, &readers, clock.now_ms());
        let words = (shown.name.as_str(), shown.status.as_str(), shown.origin.as_str(), shown.mode.as_str());
        assert_eq!(words, ("clicks", "ACTIVE", "file", "PROVISIONED"));
        assert_eq!((shown.open_shards, shown.records, shown.retention_seconds), (2, 2, 172_800));
        assert_eq!((shown.oldest_seconds, shown.shards.len()), (Some(5.0), 2));
        assert_eq!((shown.shards[0].records, shown.shards[1].oldest_seconds), (2, None));
        let archive = ReaderStatus { name: "archive".into(), behind: 2, oldest_seconds: Some(4.5) };
        assert_eq!(shown.readers, [archive], "one that is no delivery stream any more is left out");
    }
}
