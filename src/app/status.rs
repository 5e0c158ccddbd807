//! Gathers how everything stands, from the parts that know: catalog, journal, ledger by way of the pipelines.

use std::sync::Arc;

use crate::catalog::{Catalog, Entry, Origin, Status as StreamState};
use crate::clock::{Clock, Instant};
use crate::journal::Journal;
use crate::stream::Streams;
use crate::stream::data::DataStreams;
use crate::telemetry::status::{JournalStatus, ServiceStatus, Status, StreamStatus};

use super::data_status;
use super::pipelines::States;

/// What the gathering needs. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Gatherer {
    pub catalog: Catalog,
    pub journal: Arc<dyn Journal>,
    pub journal_bytes_max: u64,
    pub streams: Streams,
    pub data_streams: DataStreams,
    pub states: States,
    pub clock: Clock,
    pub started: Instant,
}

impl Gatherer {
    /// How everything stands now.
    pub(super) async fn gather(&self) -> Status {
        let mut streams = Vec::new();
        let entries = self.catalog.snapshot();
        for entry in entries.values() {
            streams.push(self.stream(entry).await);
        }
        let health = self.journal.healthy();
        let service = ServiceStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: (self.clock.instant() - self.started).as_secs(),
            journal: JournalStatus {
                bytes: self.journal.disk_bytes(),
                limit_bytes: self.journal_bytes_max,
                healthy: health.is_ok(),
                reason: health.err().map(|error| error.to_string()),
            },
        };
        let known = entries.values().map(AsRef::as_ref).zip(&streams);
        let data_streams = data_status::gather(&self.data_streams, known, self.clock.now_ms()).await;
        Status { service, streams, data_streams }
    }

    async fn stream(&self, entry: &Entry) -> StreamStatus {
        // What is past is read before what is there, so that the backlog is never negative.
        let seen = self.states.of(entry.id).seen();
        let extent = self.streams.get(entry.id).extent().await.unwrap_or_default();
        let accepted = extent.end.max(seen.committed);
        let total = seen.total;
        let state = match (&seen.last_error, seen.running) {
            (Some(_), _) => "failing",
            (None, true) => "delivering",
            (None, false) => "starting",
        };
        let (last_object, last_object_ms) = seen.last_object.unzip();
        let (last_error, last_error_ms) = seen.last_error.unzip();
        StreamStatus {
            name: entry.stream.name.clone(),
            status: match entry.status {
                StreamState::Active => "ACTIVE".to_owned(),
                StreamState::Deleting => "DELETING".to_owned(),
            },
            origin: match entry.origin {
                Origin::File => "file".to_owned(),
                Origin::Api => "api".to_owned(),
            },
            version: entry.version,
            accepted,
            delivered: total.delivered,
            delivered_bytes: total.delivered_bytes,
            failed: total.failed,
            dropped: total.dropped,
            expired: total.expired,
            discarded: total.discarded,
            damaged: total.damaged,
            backlog_records: accepted - seen.committed,
            backlog_bytes: extent.disk_bytes,
            objects: total.objects,
            object_bytes: total.object_bytes,
            under_way: seen.under_way as u64,
            freshness_seconds: seen.oldest_ms.map(|oldest| self.clock.now_ms().saturating_sub(oldest) as f64 / 1_000.0),
            last_object,
            last_object_ms,
            last_error,
            last_error_ms,
            state: state.to_owned(),
        }
    }
}
