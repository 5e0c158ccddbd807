//! Every metric, named once. The names follow CloudWatch's `AWS/Firehose` metrics in Prometheus' manner; what they
//! count is what Firehose's documentation says they count.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;

/// The counters of one stream. Cloning an `Arc` of it is how other parts get to count.
#[derive(Default)]
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
    /// `DeliveryToS3.Success`: objects stored.
    pub delivery_success: Counter,
    /// Attempts at an object that failed and will be repeated.
    pub delivery_failure: Counter,
}

/// All metrics of the process.
#[derive(Default)]
pub struct Metrics {
    streams: Mutex<BTreeMap<String, Arc<StreamMetrics>>>,
}

impl Metrics {
    /// The counters of the stream called `name`; made on first use.
    pub fn stream(&self, name: &str) -> Arc<StreamMetrics> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.entry(name.to_owned()).or_default().clone()
    }

    /// Forgets a stream that is gone.
    pub fn forget(&self, name: &str) {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}
