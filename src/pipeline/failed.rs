//! What goes to the error output: one JSON document a line for each record that could not be processed, with the
//! fields that Firehose writes, in its order (spec: Amazon Data Firehose developer guide, "Data transformation").

use serde::Serialize;

/// The value of `!{firehose:error-output-type}` for records that a processor refused.
pub(super) const PROCESSING_FAILED: &str = "processing-failed";

/// Why a record went to the error output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// `Processor.Reason`, in Firehose's manner.
    pub code: &'static str,
    /// For a person.
    pub message: String,
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
}

/// Appends the line for one record. `ended_ms` is the plan's time, so that a repeat writes the same bytes.
pub(super) fn write_line(out: &mut Vec<u8>, record: &[u8], arrived_ms: u64, ended_ms: u64, failure: &Failure) {
    let line = Line {
        raw_data: &base64_simd::STANDARD.encode_to_string(record),
        error_code: failure.code,
        error_message: &failure.message,
        attempts_made: 1,
        arrival_timestamp: arrived_ms,
        attempt_ending_timestamp: ended_ms,
    };
    serde_json::to_writer(&mut *out, &line).expect("strings and numbers can be written to memory");
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_firehoses_fields_in_its_order() {
        let mut out = Vec::new();
        let failure = Failure { code: "RequireJson.ParseError", message: "no \"value\"".into() };
        write_line(&mut out, b"FA\x00IL", 1, 2, &failure);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"rawData\":\"RkEASUw=\",\"errorCode\":\"RequireJson.ParseError\",\"errorMessage\":\"no \\\"value\\\"\",\
             \"attemptsMade\":1,\"arrivalTimestamp\":1,\"attemptEndingTimestamp\":2}\n"
        );
    }
}
