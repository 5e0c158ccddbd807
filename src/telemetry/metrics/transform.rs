//! What is counted of plugins, for each delivery stream that they are used in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;

use crate::limits::PLUGIN_COUNTERS_MAX;

/// The counters of one plugin in one delivery stream, which start with the process.
#[derive(Debug, Default)]
pub struct TransformMetrics {
    /// Nanoseconds that records were in its hands.
    pub nanoseconds: Counter,
    /// Batches given to it, those of searches for guilty records included.
    pub batches: Counter,
    /// Of those, how many failed.
    pub failed_batches: Counter,
    /// Instances made.
    pub instances: Counter,
    /// Fuel burnt.
    pub fuel: Counter,
    /// Rows that became rows.
    pub ok: Counter,
    /// Rows that it dropped.
    pub dropped: Counter,
    /// Rows that failed.
    pub failed: Counter,
    /// Lines that it wanted in the log beyond what is taken.
    pub log_lines_left_out: Counter,
    memory_bytes: AtomicU64,
    own: Mutex<BTreeMap<String, u64>>,
}

impl TransformMetrics {
    /// Remembers the largest instance.
    pub fn saw_memory(&self, bytes: u64) {
        self.memory_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Adds to the plugin's own counters; what is beyond their number is left out.
    pub fn count(&self, counted: Vec<(String, u64)>) {
        if counted.is_empty() {
            return;
        }
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, by) in counted {
            if let Some(sum) = own.get_mut(&name) {
                *sum = sum.saturating_add(by);
            } else if own.len() < PLUGIN_COUNTERS_MAX {
                own.insert(name, by);
            }
        }
    }

    /// The plugin's own counters, by name.
    pub fn own(&self) -> BTreeMap<String, u64> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Those of all plugins, by delivery stream and plugin.
pub(super) type All = BTreeMap<(String, String), Arc<TransformMetrics>>;

type Family = (&'static str, &'static str, fn(&TransformMetrics) -> u64);

const COUNTED: &[Family] = &[
    ("transform_batches", "Batches given to a plugin", |m| m.batches.get()),
    ("transform_failed_batches", "Batches that a plugin failed at", |m| m.failed_batches.get()),
    ("transform_instances", "Instances of a plugin that were made", |m| m.instances.get()),
    ("transform_fuel", "Fuel that a plugin burnt, about one unit for each instruction", |m| m.fuel.get()),
    ("transform_log_lines_left_out", "Lines that a plugin wanted in the log beyond what is taken", |m| {
        m.log_lines_left_out.get()
    }),
];

type Kind = (&'static str, fn(&TransformMetrics) -> u64);

const RESULTS: &[Kind] = &[("ok", |m| m.ok.get()), ("dropped", |m| m.dropped.get()), ("failed", |m| m.failed.get())];

/// Writes those of all plugins.
pub(super) fn encode(all: &All, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    for (name, help, value) in COUNTED {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, metrics) in labelled(all) {
            ConstCounter::new(value(metrics)).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "Seconds that records were in a plugin's hands";
    let mut family = encoder.encode_descriptor("transform_seconds", help, None, MetricType::Counter)?;
    for (labels, metrics) in labelled(all) {
        let seconds = metrics.nanoseconds.get() as f64 / 1e9;
        ConstCounter::new(seconds).encode(family.encode_family(&labels)?)?;
    }
    let help = "Bytes of memory of the largest instance of a plugin so far";
    let mut family = encoder.encode_descriptor("transform_memory_bytes", help, None, MetricType::Gauge)?;
    for (labels, metrics) in labelled(all) {
        let bytes = metrics.memory_bytes.load(Ordering::Relaxed) as f64;
        ConstGauge::new(bytes).encode(family.encode_family(&labels)?)?;
    }
    let help = "Records by what a plugin made of them";
    let mut family = encoder.encode_descriptor("transform_records", help, None, MetricType::Counter)?;
    for ([stream, plugin], metrics) in labelled(all) {
        for (result, value) in RESULTS {
            let labels = [stream, plugin, ("result", *result)];
            ConstCounter::new(value(metrics)).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "What a plugin counts itself";
    let mut family = encoder.encode_descriptor("transform_plugin_counter", help, None, MetricType::Counter)?;
    for ([stream, plugin], metrics) in labelled(all) {
        for (name, sum) in metrics.own() {
            let labels = [stream, plugin, ("name", name.as_str())];
            ConstCounter::new(sum).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

type Labels<'a> = [(&'static str, &'a str); 2];

fn labelled(all: &All) -> impl Iterator<Item = (Labels<'_>, &TransformMetrics)> {
    all.iter()
        .map(|((stream, plugin), metrics)| ([("stream", stream.as_str()), ("plugin", plugin.as_str())], &**metrics))
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;
    use crate::telemetry::status::Status;

    #[test]
    fn a_scrape_names_stream_plugin_and_result() {
        let all = Metrics::default();
        let metrics = all.transform("web", "mask");
        metrics.dropped.inc_by(3);
        metrics.nanoseconds.inc_by(1_500_000_000);
        metrics.saw_memory(7);
        metrics.saw_memory(5);
        metrics.count(vec![("a".into(), 2), ("a".into(), 1)]);
        let text = all.render(&Status::default()).unwrap();
        for line in [
            r#"standpipe_transform_records_total{stream="web",plugin="mask",result="dropped"} 3"#,
            r#"standpipe_transform_seconds_total{stream="web",plugin="mask"} 1.5"#,
            r#"standpipe_transform_memory_bytes{stream="web",plugin="mask"} 7.0"#,
            r#"standpipe_transform_plugin_counter_total{stream="web",plugin="mask",name="a"} 3"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        all.forget("web");
        assert!(!all.render(&Status::default()).unwrap().contains("mask"));
    }

    #[test]
    fn own_counters_are_bounded_in_number() {
        let metrics = TransformMetrics::default();
        metrics.count((0..100).map(|n| (n.to_string(), 1)).collect());
        metrics.count(vec![("0".into(), u64::MAX)]);
        let own = metrics.own();
        assert_eq!((own.len(), own["0"]), (PLUGIN_COUNTERS_MAX, u64::MAX));
    }
}
