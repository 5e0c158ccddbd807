//! Every metric, named once, in Prometheus' manner; what they count is what the CloudWatch metric of `AWS/Firehose`
//! named beside them counts (spec: Amazon Data Firehose developer guide, "Monitoring with CloudWatch metrics").
//!
//! Record counts come from the journal and the ledger, so they hold over restarts and their sum is exact:
//! accepted = delivered + failed + dropped + expired + discarded + damaged + backlog. Request counts start with the
//! process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::status::{Status, StreamStatus, backup_of};
use crate::limits::FAILURE_CODES_MAX;

mod data;
mod function;
mod transform;

pub use data::DataStreamMetrics;
pub use function::FunctionMetrics;
pub use transform::TransformMetrics;

/// The counters of one stream that start with the process.
#[derive(Debug, Default)]
pub struct StreamMetrics {
    /// `IncomingRecords`: records acknowledged (a recognised retry is not counted again).
    pub incoming_records: Counter,
    /// `IncomingBytes`: bytes of those.
    pub incoming_bytes: Counter,
    /// `IncomingPutRequests`: put calls acknowledged.
    pub incoming_requests: Counter,
    /// Retries of stored calls that were recognised.
    pub repeated_requests: Counter,
    /// `ThrottledRecords`: records refused for want of room.
    pub throttled_records: Counter,
    /// How often records of a source were gone before they could be copied.
    pub source_gaps: Counter,
    /// `DeliveryToS3.Success`: objects stored.
    pub delivery_success: Counter,
    /// Attempts at an object that failed and will be repeated.
    pub delivery_failure: Counter,
    /// `DeliveryToHttpEndpoint.Success`: requests that an endpoint took.
    pub endpoint_success: Counter,
    /// `DeliveryToHttpEndpoint.ProcessedRecords`: records in requests, each as often as it was sent.
    pub endpoint_records: Counter,
    /// `DeliveryToHttpEndpoint.ProcessedBytes`: bytes of those.
    pub endpoint_bytes: Counter,
    /// Time that steps of processing took, over all threads.
    pub transform_microseconds: Counter,
    /// Messages that a webhook's receiver took.
    pub webhook_sent: Counter,
    /// Attempts at a message that failed.
    pub webhook_failures: Counter,
    /// Messages that were given up.
    pub webhook_dropped: Counter,
    /// Records in the error output, by the code of their failure.
    failed_by_code: Mutex<BTreeMap<String, u64>>,
    functions: Mutex<function::All>,
}

/// In the place of further codes: plugins name their own, and metrics must not grow without end.
const OTHER_CODES: &str = "other";

impl StreamMetrics {
    /// Counts records that went to the error output for one reason.
    pub fn failed(&self, code: &str, records: u64) {
        let mut codes = self.failed_by_code.lock().unwrap_or_else(PoisonError::into_inner);
        let code = if codes.len() < FAILURE_CODES_MAX || codes.contains_key(code) { code } else { OTHER_CODES };
        *codes.entry(code.to_owned()).or_default() += records;
    }

    /// The counters of the function called `name`; made on first use.
    pub fn function(&self, name: &str) -> Arc<FunctionMetrics> {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        functions.entry(name.to_owned()).or_default().clone()
    }

    /// Those of all its functions, by name.
    pub fn functions(&self) -> BTreeMap<String, Arc<FunctionMetrics>> {
        self.functions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Messages to the stream's webhook: how many were taken, how many attempts failed, how many messages were given up.
    pub fn webhook(&self) -> (u64, u64, u64) {
        (self.webhook_sent.get(), self.webhook_failures.get(), self.webhook_dropped.get())
    }

    /// How many went there, by code.
    fn failed_by_code(&self) -> BTreeMap<String, u64> {
        self.failed_by_code.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All metrics of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    streams: Mutex<BTreeMap<String, Arc<StreamMetrics>>>,
    data_streams: Mutex<BTreeMap<String, Arc<DataStreamMetrics>>>,
    transforms: Mutex<transform::All>,
    /// Modules of plugins that were compiled, and not taken from the cache.
    pub compiled_modules: Counter,
    /// Records given up with streams that are gone, and with backups that were taken away.
    pub discarded_records: Counter,
}

impl Metrics {
    /// The counters of the stream called `name`; made on first use.
    pub fn stream(&self, name: &str) -> Arc<StreamMetrics> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = streams.get(name) {
            return known.clone();
        }
        streams.entry(name.to_owned()).or_default().clone()
    }

    /// The counters of the data stream called `name`; made on first use.
    pub fn data_stream(&self, name: &str) -> Arc<DataStreamMetrics> {
        let mut streams = self.data_streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = streams.get(name) {
            return known.clone();
        }
        streams.entry(name.to_owned()).or_default().clone()
    }

    /// The counters of a plugin in a delivery stream; made on first use.
    pub fn transform(&self, stream: &str, plugin: &str) -> Arc<TransformMetrics> {
        let mut transforms = self.transforms.lock().unwrap_or_else(PoisonError::into_inner);
        transforms.entry((stream.to_owned(), plugin.to_owned())).or_default().clone()
    }

    /// Those of the functions that the stream called `name` calls, by their names.
    pub fn functions(&self, name: &str) -> BTreeMap<String, Arc<FunctionMetrics>> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.get(name).map(|stream| stream.functions()).unwrap_or_default()
    }

    /// Forgets the data streams that are gone.
    pub fn retain_data_streams(&self, exists: impl Fn(&str) -> bool) {
        self.data_streams.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| exists(name));
    }

    /// Forgets a stream that is gone.
    pub fn forget(&self, name: &str) {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.transforms.lock().unwrap_or_else(PoisonError::into_inner).retain(|(stream, _), _| stream != name);
    }

    /// The text that a Prometheus server scrapes.
    pub fn render(&self, status: &Status) -> Result<String, fmt::Error> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let data_streams = self.data_streams.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let transforms = self.transforms.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut registry = Registry::with_prefix("standpipe");
        let discarded = self.discarded_records.get();
        let compiled = self.compiled_modules.get();
        registry.register_collector(Box::new(Scrape {
            status: status.clone(),
            streams,
            data_streams,
            transforms,
            discarded,
            compiled,
        }));
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }
}

/// The state of all metrics at one moment.
#[derive(Debug)]
struct Scrape {
    status: Status,
    streams: BTreeMap<String, Arc<StreamMetrics>>,
    data_streams: BTreeMap<String, Arc<DataStreamMetrics>>,
    transforms: transform::All,
    discarded: u64,
    compiled: u64,
}

/// One family: name, help, and its value for a stream.
type Family<T> = (&'static str, &'static str, fn(&T) -> u64);

/// Counts that hold over restarts.
const DURABLE: &[Family<StreamStatus>] = &[
    ("accepted_records", "Records acknowledged since the stream was made", |s| s.accepted),
    (
        "delivered_records",
        "DeliveryToS3.Records, BackupToS3.Records, DeliveryToHttpEndpoint.Records: records in committed objects or taken by the endpoint",
        |s| s.delivered,
    ),
    ("unpacked_records", "Rows in those objects beyond delivered_records", |s| s.unpacked),
    (
        "delivered_bytes",
        "DeliveryToS3.Bytes, BackupToS3.Bytes, DeliveryToHttpEndpoint.Bytes: bytes of those rows before compression",
        |s| s.delivered_bytes,
    ),
    ("failed_records", "Records in the error output", |s| s.failed),
    ("dropped_records", "Records dropped by a transform", |s| s.dropped),
    ("expired_records", "Records that outlived the stream's retention and were given up", |s| s.expired),
    ("source_discarded_records", "Records given up with a data stream that was deleted", |s| s.discarded),
    ("damaged_records", "Records lost to damage on disk", |s| s.damaged),
    ("objects", "DeliveryToS3.ObjectCount: objects written, error output included", |s| s.objects),
    ("object_bytes", "Bytes of those objects as stored", |s| s.object_bytes),
];

/// Counts since the process started.
const COUNTED: &[Family<StreamMetrics>] = &[
    ("incoming_records", "IncomingRecords: records acknowledged", |m| m.incoming_records.get()),
    ("incoming_bytes", "IncomingBytes: bytes acknowledged", |m| m.incoming_bytes.get()),
    ("incoming_put_requests", "IncomingPutRequests: put calls acknowledged", |m| m.incoming_requests.get()),
    ("repeated_put_requests", "Retries of stored calls that were recognised", |m| m.repeated_requests.get()),
    ("throttled_records", "ThrottledRecords: records refused for want of room", |m| m.throttled_records.get()),
    ("source_gaps", "Times that records of a source were gone before they were copied", |m| m.source_gaps.get()),
    ("delivery_success", "DeliveryToS3.Success, BackupToS3.Success: objects stored", |m| m.delivery_success.get()),
    ("delivery_failures", "Attempts at an object that failed and are repeated", |m| m.delivery_failure.get()),
    ("endpoint_success", "DeliveryToHttpEndpoint.Success: requests that an endpoint took", |m| {
        m.endpoint_success.get()
    }),
    ("endpoint_processed_records", "DeliveryToHttpEndpoint.ProcessedRecords: records sent, with every attempt", |m| {
        m.endpoint_records.get()
    }),
    ("endpoint_processed_bytes", "DeliveryToHttpEndpoint.ProcessedBytes: bytes of those", |m| m.endpoint_bytes.get()),
    ("transform_microseconds", "Time that processing of records took, over all threads", |m| {
        m.transform_microseconds.get()
    }),
    ("webhook_sent", "Messages about objects that a webhook's receiver took", |m| m.webhook_sent.get()),
    ("webhook_failures", "Attempts at such messages that failed", |m| m.webhook_failures.get()),
    ("webhook_dropped", "Such messages that were given up", |m| m.webhook_dropped.get()),
];

/// Of those, what backups have.
const COUNTED_OF_BACKUPS: &[Family<StreamMetrics>] = &[
    ("delivery_success", "Objects stored", |m| m.delivery_success.get()),
    ("delivery_failures", "Attempts at an object that failed and are repeated", |m| m.delivery_failure.get()),
];

/// What is so at the moment.
const CURRENT: &[Family<StreamStatus>] = &[
    ("backlog_records", "Records acknowledged and not past yet", |s| s.backlog_records),
    ("backlog_disk_bytes", "Bytes that the stream takes in the journal", |s| s.backlog_bytes),
    ("objects_under_way", "Objects planned and not committed", |s| s.under_way),
    ("failing", "1 while the last attempt at an object failed", |s| u64::from(s.last_error.is_some())),
];

/// The same, what backups do not have: of their objects nobody is told.
const CURRENT_OF_STREAMS: &[Family<StreamStatus>] =
    &[("webhook_waiting", "Messages about objects that wait for a webhook's receiver", |s| {
        s.webhook.as_ref().map_or(0, |webhook| webhook.waiting)
    })];

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let streams = &self.status.streams;
        for (name, help, value) in DURABLE {
            let rows = streams.iter().map(|stream| (stream.name.as_str(), value(stream)));
            counters(&mut encoder, name, help, rows)?;
        }
        for (name, help, value) in COUNTED {
            let own = self.streams.iter().filter(|(stream, _)| backup_of(stream).is_none());
            let rows = own.map(|(stream, metrics)| (stream.as_str(), value(metrics)));
            counters(&mut encoder, name, help, rows)?;
        }
        self.backups(&mut encoder)?;
        self.failures(&mut encoder)?;
        for (name, help, value) in data::COUNTED {
            let rows = self.data_streams.iter().map(|(stream, metrics)| (stream.as_str(), value(metrics)));
            counters(&mut encoder, name, help, rows)?;
        }
        for (name, help, value) in CURRENT.iter().chain(CURRENT_OF_STREAMS) {
            let rows = streams.iter().map(|stream| (stream.name.as_str(), value(stream) as f64));
            gauges(&mut encoder, name, help, rows)?;
        }
        let fresh = streams.iter().filter_map(|s| Some((s.name.as_str(), s.freshness_seconds?)));
        gauges(
            &mut encoder,
            "data_freshness_seconds",
            "DeliveryToS3.DataFreshness, BackupToS3.DataFreshness, DeliveryToHttpEndpoint.DataFreshness: age of the oldest record not past",
            fresh,
        )?;
        let gap = streams.iter().map(|s| (s.name.as_str(), s.unaccounted() as f64));
        gauges(
            &mut encoder,
            "unaccounted_records",
            "accepted less everything that is accounted for: not 0 is a fault",
            gap,
        )?;
        transform::encode(&self.transforms, &mut encoder)?;
        function::encode(&self.streams, &mut encoder)?;
        self.service(&mut encoder)
    }
}

impl Scrape {
    /// Backups in families of their own (`BackupToS3`), so that no sum over streams counts a record twice.
    fn backups(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let backups: Vec<(&str, &StreamStatus)> =
            self.status.streams.iter().filter_map(|s| Some((s.name.as_str(), s.backup.as_deref()?))).collect();
        if backups.is_empty() {
            return Ok(());
        }
        let (of, name) = (|help: &str| format!("Of backups: {help}"), |name: &str| format!("backup_{name}"));
        for (family, help, value) in DURABLE {
            counters(encoder, &name(family), &of(help), backups.iter().map(|(stream, s)| (*stream, value(s))))?;
        }
        for (family, help, value) in COUNTED_OF_BACKUPS {
            let rows = self.streams.iter().filter_map(|(stream, metrics)| Some((backup_of(stream)?, value(metrics))));
            counters(encoder, &name(family), &of(help), rows)?;
        }
        for (family, help, value) in CURRENT {
            gauges(encoder, &name(family), &of(help), backups.iter().map(|(stream, s)| (*stream, value(s) as f64)))?;
        }
        let fresh = backups.iter().filter_map(|(stream, s)| Some((*stream, s.freshness_seconds?)));
        gauges(encoder, &name("data_freshness_seconds"), &of("age of the oldest record not past"), fresh)?;
        let gap = backups.iter().map(|(stream, s)| (*stream, s.unaccounted() as f64));
        gauges(encoder, &name("unaccounted_records"), &of("not 0 is a fault"), gap)
    }

    fn failures(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Records in the error output, by the code of their failure";
        let mut family = encoder.encode_descriptor("failures", help, None, MetricType::Counter)?;
        for (stream, metrics) in &self.streams {
            for (code, failed) in metrics.failed_by_code() {
                let labels = [("stream", stream.as_str()), ("code", code.as_str())];
                ConstCounter::new(failed).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn service(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let service = &self.status.service;
        for (name, help, value) in [
            ("discarded_records", "Records given up with deleted streams, and with backups taken away", self.discarded),
            ("transform_compiled_modules", "Modules of plugins compiled, not taken from the cache", self.compiled),
        ] {
            ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        for (name, help, value) in [
            ("journal_disk_bytes", "Bytes of the journal on disk", service.journal.bytes),
            ("journal_limit_bytes", "Bytes beyond which puts are refused", service.journal.limit_bytes),
            ("journal_healthy", "1 while puts are taken", u64::from(service.journal.healthy)),
            ("uptime_seconds", "Seconds since the service started", service.uptime_seconds),
        ] {
            let unit: Option<&Unit> = None;
            let gauge = ConstGauge::new(value as f64);
            gauge.encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}

fn counters<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl Iterator<Item = (&'a str, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (stream, value) in rows {
        ConstCounter::new(value).encode(family.encode_family(&[("stream", stream)])?)?;
    }
    Ok(())
}

fn gauges<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl Iterator<Item = (&'a str, f64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (stream, value) in rows {
        ConstGauge::new(value).encode(family.encode_family(&[("stream", stream)])?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::status::backup_name;
    use super::*;

    #[test]
    fn a_backup_has_families_of_its_own_and_is_in_no_sum() {
        let metrics = Metrics::default();
        metrics.stream("web").delivery_success.inc_by(3);
        metrics.stream(&backup_name("web")).delivery_success.inc_by(5);
        let backup = StreamStatus { name: backup_name("web"), accepted: 7, delivered: 4, ..StreamStatus::default() };
        let stream = StreamStatus { name: "web".into(), accepted: 7, delivered: 7, ..StreamStatus::default() };
        let without = Status { streams: vec![stream.clone()], ..Status::default() };
        assert!(!metrics.render(&without).unwrap().contains("backup_"));
        let stream = StreamStatus { backup: Some(Box::new(backup)), ..stream };
        let text = metrics.render(&Status { streams: vec![stream], ..Status::default() }).unwrap();
        for (family, rows) in [
            ("standpipe_accepted_records_total", vec!["{stream=\"web\"} 7"]),
            ("standpipe_delivered_records_total", vec!["{stream=\"web\"} 7"]),
            ("standpipe_delivery_success_total", vec!["{stream=\"web\"} 3"]),
            ("standpipe_backup_delivered_records_total", vec!["{stream=\"web\"} 4"]),
            ("standpipe_backup_delivery_success_total", vec!["{stream=\"web\"} 5"]),
            ("standpipe_backup_unaccounted_records", vec!["{stream=\"web\"} 3.0"]),
            ("standpipe_backup_data_freshness_seconds", vec![]),
            ("standpipe_webhook_waiting", vec!["{stream=\"web\"} 0.0"]),
            ("standpipe_backup_webhook_waiting", vec![]),
        ] {
            let found: Vec<_> = text
                .lines()
                .filter_map(|line| line.strip_prefix(family).filter(|rest| rest.starts_with('{')))
                .collect();
            assert_eq!(found, rows, "{family} in\n{text}");
        }
    }

    #[test]
    fn a_scrape_names_the_stream_and_keeps_the_identity() {
        let metrics = Metrics::default();
        metrics.stream("web").incoming_records.inc_by(7);
        for code in 0..FAILURE_CODES_MAX + 3 {
            metrics.stream("web").failed(&format!("Wasm.{code}"), 2);
        }
        let stream = StreamStatus {
            name: "web".into(),
            accepted: 7,
            delivered: 2,
            failed: 1,
            discarded: 2,
            backlog_records: 2,
            freshness_seconds: Some(1.5),
            ..StreamStatus::default()
        };
        let status = Status { streams: vec![stream], ..Status::default() };
        let text = metrics.render(&status).unwrap();
        for line in [
            "standpipe_accepted_records_total{stream=\"web\"} 7",
            "standpipe_delivered_records_total{stream=\"web\"} 2",
            "standpipe_source_discarded_records_total{stream=\"web\"} 2",
            "standpipe_discarded_records_total 0",
            "standpipe_incoming_records_total{stream=\"web\"} 7",
            "standpipe_failures_total{stream=\"web\",code=\"Wasm.3\"} 2",
            "standpipe_failures_total{stream=\"web\",code=\"other\"} 6",
            "standpipe_backlog_records{stream=\"web\"} 2.0",
            "standpipe_data_freshness_seconds{stream=\"web\"} 1.5",
            "standpipe_unaccounted_records{stream=\"web\"} 0.0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
