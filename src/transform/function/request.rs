//! What a function is sent: Firehose's event, cut so that an invocation takes it.
//!
//! ```json
//! {"invocationId":"…","deliveryStreamArn":"…","region":"…","sourceKinesisStreamArn":"…","records":[{"recordId":"…",
//!  "approximateArrivalTimestamp":1789014240448,"data":"…","kinesisRecordMetadata":{"shardId":"…","partitionKey":"…",
//!  "approximateArrivalTimestamp":1789014240448,"sequenceNumber":"…","subsequenceNumber":0}}]}
//! ```
//! Record ids are digits that depend on where a record stands alone, so that they are the same in every attempt. A
//! sequence number is the record's position in its shard, not the number that the Kinesis API shows.

use std::fmt::Write as _;
use std::ops::Range;

use bytes::Bytes;

use super::super::{Origins, Rows};
use super::Caller;
use crate::limits::{FUNCTION_BATCH_RECORDS_MAX, FUNCTION_BODY_BYTES_MAX};

/// Room for what stands around the records: an invocation id.
const HEAD_BYTES: usize = 64;

/// Writes the batches of some rows.
pub(super) struct Writer<'a> {
    rows: &'a Rows,
    origins: &'a Origins,
    /// See [`siblings`] and [`children`].
    siblings: Vec<u32>,
    children: Vec<u32>,
    /// What follows the invocation id, up to the records.
    head: String,
    batch_bytes: usize,
}

/// One batch, written.
pub(super) struct Batch {
    /// The rows that are in it; at least one.
    pub(super) rows: Range<usize>,
    /// The record id of each.
    pub(super) ids: Vec<String>,
    /// The event after the invocation id.
    rest: Vec<u8>,
}

impl Batch {
    /// The event.
    pub(super) fn body(&self, invocation_id: &str) -> Bytes {
        let mut body = Vec::with_capacity(HEAD_BYTES + self.rest.len());
        body.extend_from_slice(b"{\"invocationId\":\"");
        body.extend_from_slice(invocation_id.as_bytes());
        body.push(b'"');
        body.extend_from_slice(&self.rest);
        body.into()
    }

    /// Bytes of the largest answer that is read: an invocation's, unless a record alone is larger than it.
    pub(super) fn answer_bytes_max(&self) -> usize {
        FUNCTION_BODY_BYTES_MAX.max(2 * self.rest.len())
    }
}

impl<'a> Writer<'a> {
    pub(super) fn new(rows: &'a Rows, origins: &'a Origins, caller: &Caller, batch_bytes: usize) -> Self {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let mut head =
            format!(",\"deliveryStreamArn\":{},\"region\":{}", text(&caller.delivery_stream_arn), text(&caller.region));
        if let Some(source) = &caller.source_arn {
            // Writing to a String cannot fail.
            let _ = write!(head, ",\"sourceKinesisStreamArn\":{}", text(source));
        }
        head.push_str(",\"records\":[");
        let (siblings, children) = (siblings(rows, origins), children(origins));
        Writer { rows, origins, siblings, children, head, batch_bytes }
    }

    /// The largest batch at the start of `range`; a row that is too large for any is one of its own.
    pub(super) fn batch(&self, range: Range<usize>) -> Batch {
        let mut rest = Vec::with_capacity(self.head.len() + self.batch_bytes);
        rest.extend_from_slice(self.head.as_bytes());
        let (mut ids, mut bytes, mut end) = (Vec::new(), 0, range.start);
        for row in range.clone().take(FUNCTION_BATCH_RECORDS_MAX) {
            let before = rest.len();
            bytes += self.rows.get(row).len();
            let id = self.id(row);
            if row > range.start {
                rest.push(b',');
            }
            self.record(row, &id, &mut rest);
            let fits = bytes <= self.batch_bytes && HEAD_BYTES + rest.len() + 2 <= FUNCTION_BODY_BYTES_MAX;
            if !fits && row > range.start {
                rest.truncate(before);
                break;
            }
            ids.push(id);
            end = row + 1;
        }
        rest.extend_from_slice(b"]}");
        Batch { rows: range.start..end, ids, rest }
    }

    fn id(&self, row: usize) -> String {
        let (shard, position) = place(self.origins, self.rows.origins[row] as usize);
        format!("{shard:010}{position:020}{:06}", self.siblings[row])
    }

    fn record(&self, row: usize, id: &str, out: &mut Vec<u8>) {
        let origin = self.rows.origins[row] as usize;
        let arrived_ms = self.origins.arrived_ms[origin];
        let begin = format!("{{\"recordId\":\"{id}\",\"approximateArrivalTimestamp\":{arrived_ms},\"data\":\"");
        out.extend_from_slice(begin.as_bytes());
        base64_simd::STANDARD.encode_append(self.rows.get(row), out);
        out.push(b'"');
        if let (Some(shard), Some(keys)) = (self.origins.shards.get(origin), &self.origins.keys) {
            let key = serde_json::Value::from(String::from_utf8_lossy(keys.get(origin)));
            let (position, subsequence) = (self.origins.positions[origin], self.children[origin]);
            let metadata = format!(
                ",\"kinesisRecordMetadata\":{{\"shardId\":\"shardId-{shard:012}\",\"partitionKey\":{key},\
                 \"approximateArrivalTimestamp\":{arrived_ms},\"sequenceNumber\":\"{position}\",\
                 \"subsequenceNumber\":{subsequence}}}"
            );
            out.extend_from_slice(metadata.as_bytes());
        }
        out.push(b'}');
    }
}

/// For each origin how many stand right before it at the same place: user records of one aggregate do.
fn children(origins: &Origins) -> Vec<u32> {
    let mut found: Vec<u32> = Vec::with_capacity(origins.positions.len());
    for origin in 0..origins.positions.len() {
        let same = origin > 0 && place(origins, origin) == place(origins, origin - 1);
        found.push(if same { found[origin - 1] + 1 } else { 0 });
    }
    found
}

/// For each row how many stand right before it whose origins are at the same place.
fn siblings(rows: &Rows, origins: &Origins) -> Vec<u32> {
    let at = |row: usize| place(origins, rows.origins[row] as usize);
    let mut found: Vec<u32> = Vec::with_capacity(rows.len());
    for row in 0..rows.len() {
        found.push(if row > 0 && at(row) == at(row - 1) { found[row - 1] + 1 } else { 0 });
    }
    found
}

/// Where an origin stands: its shard and its position in it.
fn place(origins: &Origins, origin: usize) -> (u32, u64) {
    (origins.shards.get(origin).copied().unwrap_or_default(), origins.positions[origin])
}
