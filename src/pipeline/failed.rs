//! What goes to the error output: one JSON document a line for each record that could not be processed, with the
//! fields that Firehose writes, in its order (spec: Amazon Data Firehose developer guide, "Data transformation").

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::capacity::Capacity;
use super::rows::Taken;
use crate::transform::{Failed, Failure};

/// The value of `!{firehose:error-output-type}` for records that a processor refused.
pub(super) const PROCESSING_FAILED: &str = "processing-failed";

/// How many records failed, by the code of their failure.
pub(super) type Codes = BTreeMap<Cow<'static, str>, u64>;

/// A record that goes to the error output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// As it came.
    pub record: Bytes,
    /// When it arrived, milliseconds since 1970.
    pub arrived_ms: u64,
    /// Why.
    pub failure: Failure,
}

impl Refused {
    /// What failed of a chunk; the records are copied, so that a few of them do not hold all.
    pub(super) fn of(taken: &Taken, failed: Vec<Failed>) -> Vec<Refused> {
        let one = |Failed { origin, failure }| {
            let origin = origin as usize;
            let record = Bytes::copy_from_slice(taken.rows.get(origin));
            Refused { record, arrived_ms: taken.origins.arrived_ms[origin], failure }
        };
        failed.into_iter().map(one).collect()
    }

    /// About so much memory does it take.
    pub(super) fn held(&self) -> usize {
        size_of::<Refused>() + self.record.len() + self.failure.message.len()
    }
}

/// What failed of a plan's records, chunk by chunk, as long as there is memory for it.
pub(super) struct Kept {
    /// What failed of each chunk; `None` when memory was short, and they are to be found once more.
    chunks: Option<Vec<Vec<Refused>>>,
    memory: Vec<OwnedSemaphorePermit>,
}

impl Kept {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Kept { chunks: Some(Vec::new()), memory: Vec::new() }
    }

    /// Those of chunks that hold their `memory` already.
    pub(super) fn held(chunks: Vec<Vec<Refused>>, memory: Vec<OwnedSemaphorePermit>) -> Self {
        Kept { chunks: Some(chunks), memory }
    }

    /// Takes those of the next chunk in, if there is room.
    pub(super) fn add(&mut self, failed: Vec<Refused>, capacity: &Capacity) {
        let Some(chunks) = self.chunks.as_mut().filter(|_| !failed.is_empty()) else { return };
        if let Some(memory) = capacity.encoded(failed.iter().map(Refused::held).sum()) {
            chunks.push(failed);
            self.memory.push(memory);
        } else {
            (self.chunks, self.memory) = (None, Vec::new());
        }
    }

    /// All of them, by chunk, unless memory was short.
    pub(super) fn chunks(&self) -> Option<&[Vec<Refused>]> {
        self.chunks.as_deref()
    }
}

/// Counts failures by their code.
pub(super) fn count(codes: &mut Codes, failed: &[Refused]) {
    for refused in failed {
        *codes.entry(refused.failure.code.clone()).or_default() += 1;
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    raw_data: &'a str,
    error_code: &'a str,
    error_message: &'a str,
    attempts_made: u32,
    arrival_timestamp: u64,
    attempt_ending_timestamp: u64,
    #[serde(rename = "lambdaARN", skip_serializing_if = "Option::is_none")]
    lambda_arn: Option<&'a str>,
}

/// The lines of records that failed. `ended_ms` is the plan's time, so that a repeat writes the same bytes.
pub(super) fn lines(failed: &[Refused], ended_ms: u64) -> Bytes {
    let mut out = Vec::with_capacity(failed.iter().map(|refused| refused.held() / 3 * 4 + 200).sum());
    for Refused { record, arrived_ms, failure } in failed {
        let line = Line {
            raw_data: &base64_simd::STANDARD.encode_to_string(record),
            error_code: &failure.code,
            error_message: &failure.message,
            attempts_made: failure.attempts,
            arrival_timestamp: *arrived_ms,
            attempt_ending_timestamp: ended_ms,
            lambda_arn: failure.by.as_deref(),
        };
        serde_json::to_writer(&mut out, &line).expect("strings and numbers can be written to memory");
        out.push(b'\n');
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_firehoses_fields_in_its_order() {
        let failure = |by: Option<&str>| Failure {
            code: "RequireJson.ParseError".into(),
            message: "no \"value\"".into(),
            attempts: 3,
            by: by.map(str::to_owned),
        };
        let refused = |by| Refused { record: Bytes::from_static(b"FA\x00IL"), arrived_ms: 1, failure: failure(by) };
        let out = lines(&[refused(None), refused(Some("arn:aws:lambda:f"))], 2);
        let shared = "{\"rawData\":\"RkEASUw=\",\"errorCode\":\"RequireJson.ParseError\",\"errorMessage\":\"no \\\"value\\\"\",\
             \"attemptsMade\":3,\"arrivalTimestamp\":1,\"attemptEndingTimestamp\":2";
        assert_eq!(out, format!("{shared}}}\n{shared},\"lambdaARN\":\"arn:aws:lambda:f\"}}\n"));
    }
}
