//! What a receiver is told of an object.
//!
//! ```json
//! {"id": "…", "type": "object.delivered", "timestamp": "2026-11-21T09:30:00.123Z", "data": {
//!   "deliveryStream": {"name": "web", "arn": "arn:aws:firehose:…"},
//!   "store": {"type": "s3", "bucket": "logs"},
//!   "object": {"key": "web/2026/…", "size": 1234, "records": 500, "format": "records", "compression": "gzip"},
//!   "partitionKeys": {"partitionKeyFromQuery:tenant": "acme"},
//!   "spans": [{"shard": "shardId-000000000000", "first": 0, "last": 499}], "spanCount": 1}}
//! ```
//!
//! - `type`: `object.delivered`, or `error-output.delivered`, where `data` has `errorOutputType` and no `partitionKeys`.
//! - `timestamp`: when it was written down that the object is durable.
//! - `store`: `s3` and `gcs` with `bucket`, `azure` with `account` and `container`, `local` with `path`.
//! - `object`: `size` in bytes as stored, `records` the rows or lines in it; `format` is `records`, `parquet`, `orc`, or `json` of
//!   error output.
//! - `spans`: the positions of the records that the object was made from; one that is partitioned has some of them. At most 1,000 of
//!   `spanCount`.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use super::super::endpoint::{ENDPOINT_FAILED, Progress};
use super::super::place::Place;
use super::super::target::Target;
use super::outbox::Message;
use crate::config::prefix::{KeySource, source};
use crate::ledger::{ErrorType, Lane, Plan, Tally};
use crate::limits::WEBHOOK_SPANS_MAX;

/// The delivery stream, as it is told of.
pub(super) struct Stream<'a> {
    pub name: &'a str,
    pub arn: &'a str,
}

/// A plan that was carried out.
pub(super) struct Done<'a> {
    pub plan: &'a Plan,
    pub target: &'a Target,
    pub tally: &'a Tally,
    /// What an endpoint did not take, by the key of its object.
    pub progress: &'a Progress,
}

impl Done<'_> {
    /// What is said of the object under `key`, which has so many bytes.
    pub(super) fn message(&self, stream: &Stream<'_>, (key, bytes): (&str, u64), now_ms: u64) -> Message {
        let is_error = key != self.plan.key || self.target.http.is_some();
        let mut data = Map::new();
        let mut put = |name: &str, value: Value| _ = data.insert(name.to_owned(), value);
        put("deliveryStream", json!({ "name": stream.name, "arn": stream.arn }));
        put("store", place(&self.target.place));
        if is_error {
            let (of, records) = self.error_output(key);
            put(
                "object",
                json!({ "key": key, "size": bytes, "records": records, "format": "json", "compression": "none" }),
            );
            put("errorOutputType", of.into());
        } else {
            put("object", self.object(key, bytes));
            if let Some(keys) = self.partition_keys() {
                put("partitionKeys", keys);
            }
        }
        let spans = self.plan.spans.iter().take(WEBHOOK_SPANS_MAX).map(|span| {
            let shard = format!("shardId-{:012}", span.shard.index);
            json!({ "shard": shard, "first": span.start, "last": span.end.saturating_sub(1) })
        });
        put("spans", spans.collect());
        put("spanCount", self.plan.spans.len().into());
        let kind = if is_error { "error-output.delivered" } else { "object.delivered" };
        let id = id(self.plan, key);
        let body = json!({ "id": id, "type": kind, "timestamp": time(now_ms), "data": data });
        Message { id, body: body.to_string().into() }
    }

    fn object(&self, key: &str, bytes: u64) -> Value {
        let Tally { delivered, unpacked, .. } = self.tally;
        let mut object = json!({ "key": key, "size": bytes, "records": delivered + unpacked });
        if let Some(settings) = self.target.columnar() {
            object["format"] = settings.format.extension().trim_start_matches('.').into();
        } else {
            object["format"] = "records".into();
            object["compression"] = json!(self.target.compression);
        }
        object
    }

    /// Of which type the error output under `key` is, and how many lines it has.
    fn error_output(&self, key: &str) -> (&'static str, u64) {
        if let Some(rows) = self.progress.rows(&self.plan.key, key) {
            return (ENDPOINT_FAILED, rows);
        }
        let outputs = self.plan.error_output(self.tally);
        match outputs.iter().find(|output| output.key == key) {
            Some(output) if output.of != ErrorType::Processing => (output.of.name(), output.records),
            // What an endpoint did not take is counted with these, and is in objects of its own.
            processing => {
                let records = processing.map_or(0, |output| output.records);
                (ErrorType::Processing.name(), records.saturating_sub(self.progress.all_rows()))
            }
        }
    }

    /// The values of the prefix's keys, each under the expression that it has there.
    fn partition_keys(&self) -> Option<Value> {
        let Lane::Keys(values) = &self.plan.share.as_ref()?.lane else { return None };
        let names = &self.target.partition.as_ref()?.rules.keys;
        let written = |name: &String| match source(name) {
            KeySource::Plugin(name) => format!("partitionKeyFromLambda:{name}"),
            KeySource::Query(name) => format!("partitionKeyFromQuery:{name}"),
            KeySource::Time(pattern) => format!("eventTime:{pattern}"),
        };
        Some(names.iter().map(written).zip(values.iter().map(|value| Value::from(value.as_str()))).collect())
    }
}

fn place(place: &Place) -> Value {
    match place {
        Place::S3 { bucket, .. } => json!({ "type": "s3", "bucket": bucket }),
        Place::Gcs { bucket, .. } => json!({ "type": "gcs", "bucket": bucket }),
        Place::Azure { account, container, .. } => {
            json!({ "type": "azure", "account": account, "container": container })
        }
        Place::Local { path } => json!({ "type": "local", "path": path }),
    }
}

/// The same in all repeats, also those of a later process: a key has its plan's nonce.
fn id(plan: &Plan, key: &str) -> String {
    let hash = digest(&SHA256, format!("{}/{key}", plan.stream).as_bytes());
    hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn time(ms: u64) -> String {
    let at = i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
