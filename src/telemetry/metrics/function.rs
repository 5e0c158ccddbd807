//! What is counted of the calls of functions, for each delivery stream and function.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};

use super::StreamMetrics;
use crate::limits::FUNCTION_CODES_MAX;

/// The counters of one function in one delivery stream, which start with the process.
#[derive(Debug, Default)]
pub struct FunctionMetrics {
    /// Calls that came to an end, retries included.
    pub calls: Counter,
    /// Of those, how many repeated one that had failed.
    pub retries: Counter,
    /// Microseconds that calls took, over all that were side by side.
    pub microseconds: Counter,
    faults: Mutex<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    by_code: BTreeMap<&'static str, u64>,
    last: Option<(String, u64)>,
}

impl FunctionMetrics {
    /// A call ended; `attempt` counts from 1.
    pub fn called(&self, attempt: u32, took: Duration) {
        self.calls.inc();
        self.retries.inc_by(u64::from(attempt > 1));
        self.microseconds.inc_by(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// It had an answer that can be used.
    pub fn answered(&self) {
        self.faults().last = None;
    }

    /// It had none, at `now_ms`.
    pub fn failed(&self, code: &'static str, why: &str, now_ms: u64) {
        let mut faults = self.faults();
        if faults.by_code.len() < FUNCTION_CODES_MAX || faults.by_code.contains_key(code) {
            *faults.by_code.entry(code).or_default() += 1;
        }
        faults.last = Some((format!("{code}: {why}"), now_ms));
    }

    /// How many calls failed, by code.
    pub fn failed_by_code(&self) -> BTreeMap<&'static str, u64> {
        self.faults().by_code.clone()
    }

    /// Why the last call failed and when (milliseconds since 1970), if it did.
    pub fn last_fault(&self) -> Option<(String, u64)> {
        self.faults().last.clone()
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of all functions of a delivery stream.
pub(super) type All = BTreeMap<String, Arc<FunctionMetrics>>;

type Family = (&'static str, &'static str, fn(&FunctionMetrics) -> u64);

const COUNTED: &[Family] = &[
    ("function_calls", "Calls of a function, retries included", |m| m.calls.get()),
    ("function_retries", "Calls of a function that repeated one that had failed", |m| m.retries.get()),
    ("function_microseconds", "Time that calls of a function took, side by side or not", |m| m.microseconds.get()),
];

/// Writes those of all streams.
pub(super) fn encode(
    streams: &BTreeMap<String, Arc<StreamMetrics>>,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let all: Vec<_> = streams.iter().map(|(stream, metrics)| (stream, metrics.functions())).collect();
    let each = || all.iter().flat_map(|(stream, functions)| functions.iter().map(move |one| (stream.as_str(), one)));
    for (name, help, value) in COUNTED {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (stream, (function, metrics)) in each() {
            let labels = [("stream", stream), ("function", function.as_str())];
            ConstCounter::new(value(metrics)).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "Calls of a function that failed, by code";
    let mut family = encoder.encode_descriptor("function_failed_calls", help, None, MetricType::Counter)?;
    for (stream, (function, metrics)) in each() {
        for (code, failed) in metrics.failed_by_code() {
            let labels = [("stream", stream), ("function", function.as_str()), ("code", code)];
            ConstCounter::new(failed).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}
