//! Gathers how everything stands, from the parts that know: catalog, journal, ledger by way of the pipelines.

use std::sync::Arc;

use crate::catalog::{Catalog, Entry, Origin, Status as StreamState};
use crate::clock::{Clock, Instant};
use crate::config::Source;
use crate::journal::Journal;
use crate::ledger::Stands;
use crate::pipeline::{Outboxes, Seen};
use crate::record::{ShardId, StreamId};
use crate::stream::Streams;
use crate::stream::data::DataStreams;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::status::{
    FunctionStatus, JournalStatus, ServiceStatus, SourceStatus, Status, StreamStatus, WebhookStatus, backup_name, each,
};

use super::data_status;
use super::importers::SourceStates;
use super::pipelines::{States, readers};

/// What the gathering needs. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Gatherer {
    pub catalog: Catalog,
    pub journal: Arc<dyn Journal>,
    pub journal_bytes_max: u64,
    pub streams: Streams,
    pub data_streams: DataStreams,
    pub states: States,
    pub metrics: Arc<Metrics>,
    pub sources: SourceStates,
    pub webhooks: Outboxes,
    pub clock: Clock,
    pub started: Instant,
}

impl Gatherer {
    /// How everything stands now.
    pub(super) async fn gather(&self) -> Status {
        let mut streams = Vec::new();
        let entries = self.catalog.snapshot();
        for entry in entries.values() {
            let mut stream = self.stream(entry, entry.id).await;
            if entry.stream.backup.is_some() {
                stream.backup = Some(Box::new(self.stream(entry, entry.id.backup()).await));
            }
            streams.push(stream);
        }
        let health = self.journal.healthy();
        let service = ServiceStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: (self.clock.instant() - self.started).as_secs(),
            discarded_records: self.metrics.discarded_records.get(),
            journal: JournalStatus {
                bytes: self.journal.disk_bytes(),
                limit_bytes: self.journal_bytes_max,
                healthy: health.is_ok(),
                reason: health.err().map(|error| error.to_string()),
            },
        };
        let readers = entries.values().flat_map(|entry| readers(entry));
        let known = readers.zip(each(&streams));
        let data_streams = data_status::gather(&self.data_streams, known, self.clock.now_ms()).await;
        Status { service, streams, data_streams }
    }

    /// A delivery stream, or its backup, by what the ledger knows it as.
    async fn stream(&self, entry: &Entry, by: StreamId) -> StreamStatus {
        let is_backup = by != entry.id;
        // What is past is read before what is there, so that the backlog is never negative.
        let seen = self.states.of(by).seen();
        let backlog = backlog(&self.streams, entry.id, followed(&entry.stream.source, &self.data_streams), &seen).await;
        let past = seen.retired + seen.shards.values().map(|stands| stands.committed - stands.began).sum::<u64>();
        let total = seen.total;
        let (source, source_error) = if is_backup { (None, None) } else { self.source(entry).unzip() };
        let functions = if is_backup { Vec::new() } else { self.functions(&entry.stream.name) };
        // While records wait; when none does, nobody waits for a function.
        let down = functions.iter().filter(|_| seen.oldest_ms.is_some()).find_map(FunctionStatus::fault);
        let seen_error = seen.last_error.or(seen.fault).or(down).or(source_error.flatten());
        let state = match (&seen_error, seen.running) {
            (Some(_), _) => "failing",
            (None, true) => "delivering",
            (None, false) => "starting",
        };
        let (last_object, last_object_ms) = seen.last_object.unzip();
        let (last_error, last_error_ms) = seen_error.unzip();
        StreamStatus {
            name: if is_backup { backup_name(&entry.stream.name) } else { entry.stream.name.clone() },
            status: match entry.status {
                StreamState::Active => "ACTIVE".to_owned(),
                StreamState::Deleting => "DELETING".to_owned(),
            },
            origin: match entry.origin {
                Origin::File => "file".to_owned(),
                Origin::Api => "api".to_owned(),
            },
            version: entry.version,
            accepted: past + seen.early + backlog.records,
            delivered: total.delivered,
            unpacked: total.unpacked,
            delivered_bytes: total.delivered_bytes,
            failed: total.failed,
            dropped: total.dropped,
            expired: total.expired,
            discarded: total.discarded,
            damaged: total.damaged,
            backlog_records: backlog.records,
            backlog_bytes: backlog.bytes,
            objects: total.objects,
            object_bytes: total.object_bytes,
            under_way: seen.under_way as u64,
            freshness_seconds: seen.oldest_ms.map(|oldest| self.clock.now_ms().saturating_sub(oldest) as f64 / 1_000.0),
            last_object,
            last_object_ms,
            last_error,
            last_error_ms,
            state: state.to_owned(),
            functions,
            source,
            backup: None,
            webhook: if is_backup { None } else { self.webhook(entry) },
        }
    }

    /// How the telling of the stream's objects goes, if anybody is told.
    fn webhook(&self, entry: &Entry) -> Option<WebhookStatus> {
        entry.stream.webhook.as_ref()?;
        let (waiting, fault) = self.webhooks.seen(entry.id);
        let (last_error, last_error_ms) = fault.unzip();
        let metrics = self.metrics.stream(&entry.stream.name);
        let (sent, failures, dropped) = metrics.webhook();
        Some(WebhookStatus { waiting, sent, failures, dropped, last_error, last_error_ms })
    }

    /// How the calls of the stream's functions go.
    fn functions(&self, stream: &str) -> Vec<FunctionStatus> {
        let each = self.metrics.functions(stream).into_iter().map(|(name, metrics)| {
            let (last_error, last_error_ms) = metrics.last_fault().unzip();
            FunctionStatus {
                name,
                calls: metrics.calls.get(),
                retries: metrics.retries.get(),
                failed_calls: metrics.failed_by_code().values().sum(),
                seconds: metrics.microseconds.get() as f64 / 1e6,
                last_error,
                last_error_ms,
            }
        });
        each.collect()
    }

    /// How the copying from elsewhere goes, if there is any, and its last failure with the time.
    fn source(&self, entry: &Entry) -> Option<(SourceStatus, Option<(String, u64)>)> {
        let Source::Kinesis(from) = &entry.stream.source else { return None };
        let seen = self.sources.get(entry.id)?.seen();
        let status = SourceStatus {
            stream: from.stream.clone(),
            shards: seen.shards as u64,
            copied: seen.copied,
            behind_seconds: seen.behind_ms.map(|ms| ms as f64 / 1_000.0),
            gaps: seen.gaps,
        };
        Some((status, seen.last_error))
    }
}

/// What a delivery stream has not delivered.
pub(super) struct Backlog {
    /// Records.
    pub records: u64,
    /// What they take on disk, about.
    pub bytes: u64,
}

/// The data stream that a delivery stream of this source reads, if there is one.
pub(super) fn followed(source: &Source, data_streams: &DataStreams) -> Option<StreamId> {
    match source {
        Source::DataStream { name, .. } => data_streams.get(name).ok().map(|stream| stream.id()),
        Source::Direct | Source::Kinesis(_) => None,
    }
}

/// What is in the journal beyond what the delivery stream `id`, which reads the data stream `followed`, has seen pass. What
/// it has read of another one, before its source was changed, it remembers; but more of that is none of its concern.
pub(super) async fn backlog(streams: &Streams, id: StreamId, followed: Option<StreamId>, seen: &Seen) -> Backlog {
    let own = ShardId { stream: id, index: 0 };
    // What is put into the stream itself is its backlog also while its pipeline has not begun.
    let unseen = std::iter::once(&own).chain(seen.ahead.iter()).filter(|shard| !seen.shards.contains_key(*shard));
    let is_read = |shard: &ShardId| shard.stream == id || Some(shard.stream) == followed;
    let all = seen.shards.iter().filter(|(shard, _)| is_read(shard)).map(|(shard, stands)| (*shard, *stands));
    let all: Vec<_> = all.chain(unseen.map(|shard| (*shard, Stands::default()))).collect();
    let (reader, mut backlog) = (streams.reader(), Backlog { records: 0, bytes: 0 });
    for (shard, Stands { committed, .. }) in all {
        let extent = reader.extent(shard).await.unwrap_or_default();
        let records = extent.end.saturating_sub(committed);
        backlog.records += records;
        // A data stream's records stay on disk for its other readers: theirs is a share.
        let (part, whole) = if shard == own { (1, 1) } else { (records, (extent.end - extent.start).max(1)) };
        backlog.bytes += (u128::from(extent.disk_bytes) * u128::from(part.min(whole)) / u128::from(whole)) as u64;
    }
    backlog.records = backlog.records.saturating_sub(seen.early);
    backlog
}
