//! PutRecord and PutRecordBatch: the bytes that a 200 answers for are durable before it leaves.
//!
//! A call is stored whole or not at all, so `FailedPutCount` is always 0: where Firehose throttles single records,
//! this answers `ServiceUnavailableException` for the call, and nothing of it was stored.

use std::sync::Arc;

use super::records::{Put, Shape};
use crate::api::access::Gate;
use crate::api::server::Received;
use crate::api::{ApiError, Context, RequestFacts};
use crate::catalog::{Entry, Status};
use crate::config::{DeliveryStream, Source};
use crate::error::Kind;
use crate::journal::{Append, Appended};
use crate::record::{Records, ShardId, Span};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// PutRecord.
    Record,
    /// PutRecordBatch.
    Batch,
}

/// Runs one put; the body of the answer.
///
/// # Errors
/// In this order: `SerializationException` for a body of the wrong shape; `AccessDeniedException`;
/// `ValidationException` for broken constraints; `InvalidArgumentException` over 4 MiB; `ResourceNotFoundException`; `InvalidArgumentException` for a stream that
/// takes its records from another one;
/// `ServiceUnavailableException` when the journal has no room: nothing was stored.
pub async fn call(
    context: &Context,
    gate: &Gate<'_>,
    operation: Operation,
    body: Received,
    facts: &RequestFacts,
) -> Result<Vec<u8>, ApiError> {
    let (action, shape) = match operation {
        Operation::Record => ("firehose:PutRecord", Shape::Record),
        Operation::Batch => ("firehose:PutRecordBatch", Shape::Records),
    };
    let Received { bytes, hold, .. } = body;
    let put = Put::parse(&bytes, shape)?;
    drop(bytes);
    let Some(name) = put.valid_name() else {
        return Err(put.validate().err().unwrap_or_else(|| ApiError::validation("deliveryStreamName is not valid")));
    };
    gate.check(action, &context.account.delivery_stream_arn(name))?;
    put.validate()?;
    let entry = active(context, name)?;
    let records = Records::new(context.clock.now_ms(), put.ends, put.data.into());
    let appended = store(context, &entry, records, facts).await?;
    drop(hold);
    Ok(match operation {
        Operation::Record => record_answer(appended.span, entry.stream.encrypted),
        Operation::Batch => batch_answer(appended.span, entry.stream.encrypted),
    })
}

/// A batch whose body is larger than that of any valid one: the code and text by which clients know to send less,
/// with the HTTP status of a body that was not kept.
pub fn batch_too_large() -> ApiError {
    ApiError { status: 413, ..ApiError::invalid_argument(super::records::BATCH_TOO_LARGE) }
}

/// The stream called `name`, if it takes puts.
///
/// # Errors
/// `ResourceNotFoundException` also for one that is being deleted, as Firehose answers for every stream that is not
/// ACTIVE. Its text is Firehose's, as reported in turbot/steampipe-plugin-aws issue 759. `InvalidArgumentException` for
/// one whose records come from a stream.
pub fn active(context: &Context, name: &str) -> Result<Arc<Entry>, ApiError> {
    let entry = context.catalog.get(name).filter(|entry| entry.status == Status::Active).ok_or_else(|| {
        let account = &context.account.id;
        ApiError::resource_not_found(format!("Firehose {name} under account {account} not found."))
    })?;
    check_source(&entry.stream)?;
    Ok(entry)
}

/// Refuses what only a stream of direct puts takes.
///
/// # Errors
/// `InvalidArgumentException`; code and text are Firehose's, as reported in aws/aws-cli issue 7010.
pub fn check_source(stream: &DeliveryStream) -> Result<(), ApiError> {
    match stream.source {
        Source::Direct => Ok(()),
        Source::DataStream { .. } | Source::Kinesis(_) => Err(ApiError::invalid_argument(
            "This operation is not permitted on KinesisStreamAsSource delivery stream type.",
        )),
    }
}

/// Stores one call's records, durably, and counts them.
pub async fn store(
    context: &Context,
    entry: &Entry,
    records: Records,
    facts: &RequestFacts,
) -> Result<Appended, ApiError> {
    let (count, bytes) = (records.len() as u64, records.data.len() as u64);
    let metrics = context.metrics.stream(&entry.stream.name);
    let put = Append {
        call: facts.call_id(entry.id),
        encrypt: entry.stream.encrypted,
        bytes_max: entry.stream.bytes_max,
        ..Append::of(records)
    };
    match context.streams.get(entry.id).append(put).await {
        Ok(appended) => {
            if appended.repeated {
                metrics.repeated_requests.inc();
            } else {
                metrics.incoming_requests.inc();
                metrics.incoming_records.inc_by(count);
                metrics.incoming_bytes.inc_by(bytes);
            }
            Ok(appended)
        }
        Err(error) => {
            if matches!(error.kind(), Kind::Unavailable | Kind::Throttled) {
                metrics.throttled_records.inc_by(count);
                tracing::warn!(stream = entry.stream.name, records = count, %error, "records are refused, nothing of them is stored");
                let mut slow_down = ApiError::service_unavailable("Slow down.");
                slow_down.cause = Some(error.to_string());
                return Err(slow_down);
            }
            Err(error.into())
        }
    }
}

fn record_answer(span: Span, encrypted: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    out.extend_from_slice(b"{\"RecordId\":\"");
    shard_digits(&mut out, span.shard);
    out.extend_from_slice(&digits(span.start));
    out.extend_from_slice(b"\",\"Encrypted\":");
    out.extend_from_slice(if encrypted { b"true}" } else { b"false}" });
    out
}

fn batch_answer(span: Span, encrypted: bool) -> Vec<u8> {
    let count = usize::try_from(span.len()).unwrap_or(0);
    let mut out = Vec::with_capacity(96 + count * 64);
    out.extend_from_slice(b"{\"FailedPutCount\":0,\"Encrypted\":");
    out.extend_from_slice(if encrypted { b"true" } else { b"false" });
    out.extend_from_slice(b",\"RequestResponses\":[");
    // All but the position is the same for each record.
    let mut entry = b",{\"RecordId\":\"".to_vec();
    shard_digits(&mut entry, span.shard);
    for position in span.start..span.end {
        let comma = usize::from(position == span.start);
        out.extend_from_slice(&entry[comma..]);
        out.extend_from_slice(&digits(position));
        out.extend_from_slice(b"\"}");
    }
    out.extend_from_slice(b"]}");
    out
}

/// The beginning of a record's id. All of it says where the record stands, in 40 hexadecimal digits: stream, shard,
/// position. Opaque to clients; for us it finds the record again, and a retry that was recognised gets the same ones.
fn shard_digits(out: &mut Vec<u8>, shard: ShardId) {
    out.extend_from_slice(&digits(shard.stream.0));
    out.extend_from_slice(&digits(u64::from(shard.index))[8..]);
}

fn digits(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|at| DIGITS[(number >> (60 - 4 * at) & 15) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::StreamId;

    #[test]
    fn answers_name_every_record_in_order() {
        let span = Span { shard: ShardId { stream: StreamId(0xabc), index: 1 }, start: 254, end: 257 };
        let answer: serde_json::Value = serde_json::from_slice(&batch_answer(span, true)).unwrap();
        assert_eq!(answer["FailedPutCount"], 0);
        assert_eq!(answer["Encrypted"], true);
        let ids: Vec<_> = answer["RequestResponses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["RecordId"].as_str().unwrap())
            .collect();
        assert_eq!(
            ids,
            [
                "0000000000000abc0000000100000000000000fe",
                "0000000000000abc0000000100000000000000ff",
                "0000000000000abc000000010000000000000100"
            ]
        );
        let answer: serde_json::Value = serde_json::from_slice(&record_answer(span, false)).unwrap();
        assert_eq!((answer["RecordId"].as_str(), answer["Encrypted"].as_bool()), (Some(ids[0]), Some(false)));
    }
}
