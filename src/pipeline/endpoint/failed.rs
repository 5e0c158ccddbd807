//! What becomes of records that an endpoint did not take: a line of JSON each, with the fields that Firehose writes, in its order
//! (spec: Amazon Data Firehose developer guide, "Handle data delivery failures", HTTP endpoints).

use bytes::Bytes;
use serde::Serialize;

use super::batches::Batch;
use crate::destination::http::Refusal;
use crate::error::Result;

/// A request that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// What the last attempt was told.
    pub refusal: Refusal,
    /// How many there were.
    pub attempts: u32,
    /// When the last ended, milliseconds since 1970.
    pub ended_ms: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    attempts_made: u32,
    arrival_timestamp: u64,
    error_code: &'a str,
    error_message: &'a str,
    attempt_ending_timestamp: u64,
    raw_data: &'a str,
    subsequence_number: u32,
    data_id: String,
}

/// The lines of a request's records; `oldest_ms` is when one came of which that is not known.
pub(super) fn lines(batch: &Batch, given: &Given, request_id: &str, oldest_ms: u64) -> Result<Bytes> {
    let Given { refusal, attempts, ended_ms } = given;
    let mut out = Vec::new();
    for (at, row) in batch.rows().enumerate() {
        let row = row?;
        let line = Line {
            attempts_made: *attempts,
            arrival_timestamp: row.arrived_ms.unwrap_or(oldest_ms),
            error_code: refusal.code,
            error_message: &refusal.message,
            attempt_ending_timestamp: *ended_ms,
            raw_data: row.base64,
            subsequence_number: 0,
            data_id: format!("{request_id}.{at}"),
        };
        serde_json::to_writer(&mut out, &line).expect("strings and numbers can be written to memory");
        out.push(b'\n');
    }
    Ok(out.into())
}
