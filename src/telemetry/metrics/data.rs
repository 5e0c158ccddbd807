//! What is counted of data streams; the names beside them are those of CloudWatch's `AWS/Kinesis`.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;

use super::Family;

/// How often it is said that readers of one stream miss records, milliseconds.
const MISSED_EVERY_MS: u64 = 60_000;

/// The counters of one data stream, which start with the process.
#[derive(Debug, Default)]
pub struct DataStreamMetrics {
    /// `PutRecords.Success` and `PutRecord.Success`: put calls answered.
    pub incoming_requests: Counter,
    /// `IncomingRecords`: records acknowledged (those of a recognised retry are not counted again).
    pub incoming_records: Counter,
    /// `IncomingBytes`: bytes of those, partition keys included.
    pub incoming_bytes: Counter,
    /// Records of retries that were recognised.
    pub repeated_records: Counter,
    /// `WriteProvisionedThroughputExceeded`: records refused for want of throughput or room.
    pub write_throttled_records: Counter,
    /// `PutRecords.FailedRecords`: records not stored for a fault of ours.
    pub failed_records: Counter,
    /// `GetRecords.Success`: GetRecords calls answered.
    pub outgoing_requests: Counter,
    /// `GetRecords.Records` and `SubscribeToShardEvent.Records`: records read, by each reader.
    pub outgoing_records: Counter,
    /// `GetRecords.Bytes` and `SubscribeToShardEvent.Bytes`: bytes of those.
    pub outgoing_bytes: Counter,
    /// `ReadProvisionedThroughputExceeded`: GetRecords calls refused for want of throughput or room.
    pub read_throttled_requests: Counter,
    /// `SubscribeToShard.Success`: subscriptions begun.
    pub subscriptions: Counter,
    /// Records that a reader asked for after they had outlived their retention.
    pub missed_records: Counter,
    /// Records that a reader asked for and that were lost to damage.
    pub damaged_records: Counter,
    /// When it was last said that there are such, milliseconds since 1970.
    missed_said_ms: AtomicU64,
}

impl DataStreamMetrics {
    /// Counts records that a reader asked for and that are gone, by retention or damage; whether it is time to say so
    /// again.
    pub fn missed(&self, missed: u64, damaged: u64, now_ms: u64) -> bool {
        self.missed_records.inc_by(missed);
        self.damaged_records.inc_by(damaged);
        let said_ms = self.missed_said_ms.load(Ordering::Relaxed);
        let due = said_ms == 0 || now_ms.saturating_sub(said_ms) >= MISSED_EVERY_MS;
        due && self.missed_said_ms.compare_exchange(said_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Counts since the process started.
pub(super) const COUNTED: &[Family<DataStreamMetrics>] = &[
    ("data_stream_put_requests", "PutRecord(s).Success: put calls answered", |m| m.incoming_requests.get()),
    ("data_stream_incoming_records", "IncomingRecords: records acknowledged", |m| m.incoming_records.get()),
    ("data_stream_incoming_bytes", "IncomingBytes: bytes acknowledged, keys included", |m| m.incoming_bytes.get()),
    ("data_stream_repeated_records", "Records of retries that were recognised", |m| m.repeated_records.get()),
    (
        "data_stream_write_throttled_records",
        "WriteProvisionedThroughputExceeded: records refused for want of throughput or room",
        |m| m.write_throttled_records.get(),
    ),
    ("data_stream_failed_records", "PutRecords.FailedRecords: records not stored for a fault of ours", |m| {
        m.failed_records.get()
    }),
    ("data_stream_get_requests", "GetRecords.Success: GetRecords calls answered", |m| m.outgoing_requests.get()),
    ("data_stream_outgoing_records", "Records read, by each reader", |m| m.outgoing_records.get()),
    ("data_stream_outgoing_bytes", "Bytes of those records", |m| m.outgoing_bytes.get()),
    (
        "data_stream_read_throttled_requests",
        "ReadProvisionedThroughputExceeded: GetRecords calls refused for want of throughput or room",
        |m| m.read_throttled_requests.get(),
    ),
    ("data_stream_subscriptions", "SubscribeToShard.Success: subscriptions begun", |m| m.subscriptions.get()),
    ("data_stream_missed_records", "Records that readers asked for after their retention", |m| m.missed_records.get()),
    ("data_stream_damaged_records", "Records that readers asked for and that were lost to damage on disk", |m| {
        m.damaged_records.get()
    }),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_records_are_counted_and_said_once_a_minute() {
        let metrics = DataStreamMetrics::default();
        let said: Vec<bool> = [10, 20, 60_009, 60_010].iter().map(|now_ms| metrics.missed(2, 1, *now_ms)).collect();
        assert_eq!((said, metrics.missed_records.get()), (vec![true, false, false, true], 8));
        assert_eq!(metrics.damaged_records.get(), 4);
    }
}
