//! PutRecord and PutRecords: each record that an answer gives a sequence number is durable before the answer leaves.
//!
//! A record that its shard does not take fails alone; the others of its call are stored. A retry of a call that was
//! stored gets the answer of the first one.

use super::super::document::Document;
use super::super::{Wire, address, wire};
use super::encode::{cbor, json, sequence_digits};
use super::records::{Puts, Shape};
use super::{dry_run, rate_exceeded, told};
use crate::api::access::Gate;
use crate::api::server::{Received, Response};
use crate::api::{ApiError, Context, RequestFacts};
use crate::stream::data::{
    Definition, Distribution, Placed, Put, Refusal, SequenceNumber, shard_name, write_shard_name,
};
use crate::telemetry::metrics::DataStreamMetrics;

const THROTTLED: &str = "ProvisionedThroughputExceededException";
const FAILED: &str = "InternalFailure";
/// Bytes of a shard's name.
const SHARD_NAME_BYTES: usize = "shardId-000000000000".len();
const FAILED_MESSAGE: &str = "Internal Service Failure";

/// Runs one put.
///
/// # Errors
/// In this order: `SerializationException`; `ValidationException`; `AccessDeniedException`; `InvalidArgumentException`
/// over 10 MiB; `ResourceNotFoundException`; `ValidationException` without partition keys; `InvalidArgumentException` for
/// hash keys out of range, a `SequenceNumberForOrdering` that cannot be, a record larger than the stream takes;
/// `DryRunOperationException`; of PutRecord also why its record was not stored.
pub(super) async fn call(
    context: &Context,
    gate: &Gate<'_>,
    shape: Shape,
    wire: Wire,
    body: Received,
    facts: &RequestFacts,
) -> Result<Response, ApiError> {
    let Received { bytes, hold, .. } = body;
    let mut puts = Puts::parse(&bytes, shape, wire)?;
    drop(bytes);
    let input = Document::Map(std::mem::take(&mut puts.input));
    let operation = if shape == Shape::Record { "PutRecord" } else { "PutRecords" };
    let name = address::stream(context, gate, operation, &input)?;
    puts.check_bytes()?;
    let stream = context.data_streams.get(&name).map_err(told)?;
    let definition = stream.definition().map_err(told)?;
    if definition.distribution == Distribution::PartitionKey {
        puts.check_keys(shape)?;
    }
    let hashes = puts.hashes()?;
    check_order(context, &name, input.text("SequenceNumberForOrdering"))?;
    if input.flag("DryRun") {
        return Err(would_succeed(context, &definition, &puts));
    }
    let (records, call) = (puts.records(context.clock.now_ms()), facts.call_id(stream.id()));
    let sizes = Sizes::of(&records);
    let placed = stream.put(Put { records, hashes, call }).await.map_err(told)?;
    drop(hold);
    count(&context.metrics.data_stream(&name), &placed, &sizes);
    let encrypted = definition.encryption_key.is_some();
    let told = |shard| rate_exceeded(context, &name, shard);
    let body = match (shape, placed.as_slice()) {
        (Shape::Records, placed) => records_answer(wire, placed, encrypted, &told),
        (Shape::Record, [placed]) => record_answer(wire, *placed, encrypted, &told)?,
        (Shape::Record, _) => return Err(ApiError::internal_failure(FAILED_MESSAGE)),
    };
    Ok(wire::bytes(wire, body))
}

/// # Errors
/// `InvalidArgumentException` for a number that is none, or of the future.
fn check_order(context: &Context, stream: &str, number: Option<&str>) -> Result<(), ApiError> {
    let Some(text) = number else { return Ok(()) };
    let now_s = context.clock.now_ms() / 1000;
    match SequenceNumber::parse(text) {
        Ok(number) if number.arrived_s <= now_s => Ok(()),
        _ => {
            let account = &context.account.id;
            Err(ApiError::invalid_argument(format!(
                "ExclusiveMinimumSequenceNumber {text} used in PutRecord on stream {stream} under account {account} is invalid."
            )))
        }
    }
}

/// What a dry run of a sound call hears.
fn would_succeed(context: &Context, definition: &Definition, puts: &Puts) -> ApiError {
    let (name, account) = (&definition.name, &context.account.id);
    if !definition.takes_puts(context.clock.now_ms()) {
        return ApiError::resource_not_found(format!("Stream {name} under account {account} not found."));
    }
    let max = definition.record_bytes_max;
    if puts.largest() > max {
        return ApiError::invalid_argument(format!("A record of stream {name} may have {max} bytes with its key."));
    }
    dry_run()
}

/// The bytes of each record, which are counted once it is known which ones are stored.
struct Sizes(Vec<u32>);

impl Sizes {
    fn of(records: &crate::record::Records) -> Self {
        Sizes(records.sizes().map(|bytes| bytes as u32).collect())
    }
}

fn count(metrics: &DataStreamMetrics, placed: &[Placed], sizes: &Sizes) {
    let (mut stored, mut bytes, mut repeated, mut throttled) = (0, 0, 0, 0);
    for (placed, size) in placed.iter().zip(&sizes.0) {
        match placed {
            Placed::Stored { repeated: true, .. } => repeated += 1,
            Placed::Stored { .. } => {
                stored += 1;
                bytes += u64::from(*size);
            }
            Placed::Refused { why: Refusal::Throttled, .. } => throttled += 1,
            Placed::Refused { why: Refusal::Failed, .. } => {}
        }
    }
    metrics.incoming_requests.inc();
    metrics.incoming_records.inc_by(stored);
    metrics.incoming_bytes.inc_by(bytes);
    metrics.repeated_records.inc_by(repeated);
    metrics.write_throttled_records.inc_by(throttled);
    metrics.failed_records.inc_by(placed.len() as u64 - stored - repeated - throttled);
}

/// # Errors
/// Why the record was not stored.
fn record_answer(
    wire: Wire,
    placed: Placed,
    encrypted: bool,
    rate_exceeded: &dyn Fn(u32) -> String,
) -> Result<Vec<u8>, ApiError> {
    let (shard, sequence) = match placed {
        Placed::Stored { shard, sequence, .. } => (shard, sequence),
        Placed::Refused { shard, why: Refusal::Throttled } => {
            return Err(ApiError::provisioned_throughput_exceeded(rate_exceeded(shard)));
        }
        Placed::Refused { why: Refusal::Failed, .. } => return Err(ApiError::internal_failure(FAILED_MESSAGE)),
    };
    let number = String::from_utf8_lossy(&sequence_digits(sequence)).into_owned();
    let answer = Document::map([("ShardId", shard_name(shard).into()), ("SequenceNumber", number.into())]);
    Ok(answer.with_some("EncryptionType", encrypted.then_some("KMS")).write(wire))
}

fn records_answer(wire: Wire, placed: &[Placed], encrypted: bool, rate_exceeded: &dyn Fn(u32) -> String) -> Vec<u8> {
    let failed = placed.iter().filter(|placed| matches!(placed, Placed::Refused { .. })).count();
    let mut out = Vec::with_capacity(64 + placed.len() * 128);
    match wire {
        Wire::Json => {
            json::member(&mut out, b'{', "FailedRecordCount");
            out.extend_from_slice(failed.to_string().as_bytes());
            out.extend_from_slice(b",\"Records\":[");
            for (index, placed) in placed.iter().enumerate() {
                out.extend_from_slice(if index == 0 { b"" } else { b"," });
                json_entry(&mut out, *placed, rate_exceeded);
            }
            out.extend_from_slice(if encrypted { b"],\"EncryptionType\":\"KMS\"}" } else { b"]}" });
        }
        Wire::Cbor => {
            out.push(cbor::MAP);
            cbor::text(&mut out, b"FailedRecordCount");
            cbor::head(&mut out, cbor::UNSIGNED, failed as u64);
            cbor::text(&mut out, b"Records");
            out.push(cbor::LIST);
            for placed in placed {
                cbor_entry(&mut out, *placed, rate_exceeded);
            }
            out.push(cbor::BREAK);
            if encrypted {
                cbor::text(&mut out, b"EncryptionType");
                cbor::text(&mut out, b"KMS");
            }
            out.push(cbor::BREAK);
        }
    }
    out
}

/// The code and the message of a record that was not stored.
fn refusal(shard: u32, why: Refusal, rate_exceeded: &dyn Fn(u32) -> String) -> (&'static str, String) {
    match why {
        Refusal::Throttled => (THROTTLED, rate_exceeded(shard)),
        Refusal::Failed => (FAILED, FAILED_MESSAGE.to_owned()),
    }
}

fn json_entry(out: &mut Vec<u8>, placed: Placed, rate_exceeded: &dyn Fn(u32) -> String) {
    match placed {
        Placed::Stored { shard, sequence, .. } => {
            out.extend_from_slice(b"{\"SequenceNumber\":\"");
            sequence.write(out);
            out.extend_from_slice(b"\",\"ShardId\":\"");
            write_shard_name(shard, out);
            out.extend_from_slice(b"\"}");
        }
        Placed::Refused { shard, why } => {
            let (code, message) = refusal(shard, why, rate_exceeded);
            json::member(out, b'{', "ErrorCode");
            json::text(out, code.as_bytes());
            json::member(out, b',', "ErrorMessage");
            json::text(out, message.as_bytes());
            out.push(b'}');
        }
    }
}

fn cbor_entry(out: &mut Vec<u8>, placed: Placed, rate_exceeded: &dyn Fn(u32) -> String) {
    out.push(cbor::MAP);
    match placed {
        Placed::Stored { shard, sequence, .. } => {
            cbor::text(out, b"SequenceNumber");
            cbor::digits(out, sequence);
            cbor::text(out, b"ShardId");
            cbor::head(out, cbor::TEXT, SHARD_NAME_BYTES as u64);
            write_shard_name(shard, out);
        }
        Placed::Refused { shard, why } => {
            let (code, message) = refusal(shard, why, rate_exceeded);
            cbor::text(out, b"ErrorCode");
            cbor::text(out, code.as_bytes());
            cbor::text(out, b"ErrorMessage");
            cbor::text(out, message.as_bytes());
        }
    }
    out.push(cbor::BREAK);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kinesis::Bounds;

    fn number(position: u64) -> SequenceNumber {
        SequenceNumber { created_s: 1_700_000_000, index: position + 1, arrived_s: 1_700_000_100, shard: 1 }
    }

    fn digits(position: u64) -> Document {
        String::from_utf8(sequence_digits(number(position))).unwrap().into()
    }

    #[test]
    fn what_a_retry_finds_stored_is_not_counted_again() {
        let metrics = DataStreamMetrics::default();
        let stored = |position, repeated| Placed::Stored { shard: 1, sequence: number(position), repeated };
        let refused = |why| Placed::Refused { shard: 2, why };
        let placed = [stored(7, true), stored(8, false), refused(Refusal::Throttled), refused(Refusal::Failed)];
        count(&metrics, &placed, &Sizes(vec![1, 2, 4, 8]));
        let counters = [
            &metrics.incoming_requests,
            &metrics.incoming_records,
            &metrics.incoming_bytes,
            &metrics.repeated_records,
            &metrics.write_throttled_records,
            &metrics.failed_records,
        ];
        assert_eq!(counters.map(prometheus_client::metrics::counter::Counter::get), [1, 1, 2, 1, 1, 1]);
    }

    #[test]
    fn an_answer_tells_of_each_record_in_order_in_both_encodings() {
        let rate = |shard: u32| format!("Rate exceeded for {shard}.");
        let placed = [
            Placed::Stored { shard: 1, sequence: number(7), repeated: false },
            Placed::Refused { shard: 2, why: Refusal::Throttled },
            Placed::Refused { shard: 3, why: Refusal::Failed },
        ];
        let stored = Document::map([("SequenceNumber", digits(7)), ("ShardId", "shardId-000000000001".into())]);
        let refused =
            |code: &str, message: &str| Document::map([("ErrorCode", code.into()), ("ErrorMessage", message.into())]);
        let records = vec![stored, refused(THROTTLED, "Rate exceeded for 2."), refused(FAILED, FAILED_MESSAGE)];
        let expected = Document::map([("FailedRecordCount", Document::Int(2)), ("Records", records.into())]);
        for wire in [Wire::Json, Wire::Cbor] {
            let read = |bytes: &[u8]| Document::read(wire, bytes, Bounds::default()).unwrap();
            assert_eq!(read(&records_answer(wire, &placed, false, &rate)), expected);
            let sealed = expected.clone().with("EncryptionType", "KMS");
            assert_eq!(read(&records_answer(wire, &placed, true, &rate)), sealed);
            let one = Document::map([("ShardId", "shardId-000000000001".into()), ("SequenceNumber", digits(7))]);
            assert_eq!(read(&record_answer(wire, placed[0], false, &rate).unwrap()), one);
            let codes = [1, 2].map(|at| record_answer(wire, placed[at], false, &rate).unwrap_err());
            assert_eq!(codes.map(|error| (error.code, error.status)), [(THROTTLED, 400), (FAILED, 500)]);
        }
    }
}
