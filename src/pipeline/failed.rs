//! What goes to the error output: one JSON document a line for each record that failed, in an object for each
//! [type](ErrorType), with the fields that Firehose writes, in its order (spec: Amazon Data Firehose developer guide, "Data
//! transformation", and of conversion "Record format conversion error handling").
//!
//! Of conversion the sequence number is the position of the record in its shard, as it is told to functions.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::capacity::Capacity;
use super::rows::Taken;
use super::target::{CatalogTable, Target};
use crate::ledger::{ErrorType, Plan};
use crate::transform::{Failed, Failure};

/// How many records failed, by the code of their failure.
pub(super) type Codes = BTreeMap<Cow<'static, str>, u64>;

/// Of which type a failure is. It is told by its code, which staged files and spilled failures have too.
pub(super) fn type_of(failure: &Failure) -> ErrorType {
    match failure.code.as_ref() {
        "Decompression failed." => ErrorType::Decompression,
        code if code.starts_with("DynamicPartitioning.") => ErrorType::Partitioning,
        code if code.starts_with("DataFormatConversion.") => ErrorType::Conversion,
        _ => ErrorType::Processing,
    }
}

/// Where a record stands in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its position.
    pub position: u64,
    /// Its number among the user records there.
    pub child: u32,
}

/// A record that goes to the error output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// As it came.
    pub record: Bytes,
    /// When it arrived, milliseconds since 1970.
    pub arrived_ms: u64,
    /// Where it stands, if that is known.
    pub place: Option<Place>,
    /// Why.
    pub failure: Failure,
}

impl Refused {
    /// What failed of a chunk; the records are copied, so that a few of them do not hold all.
    pub(super) fn of(taken: &Taken, failed: Vec<Failed>) -> Vec<Refused> {
        let one = |Failed { origin, failure }| {
            let place = Some(Place { position: taken.origins.positions[origin as usize], child: taken.child(origin) });
            let origin = origin as usize;
            let record = Bytes::copy_from_slice(taken.rows.get(origin));
            Refused { record, arrived_ms: taken.origins.arrived_ms[origin], place, failure }
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
pub(super) fn count<'a>(codes: &mut Codes, failed: impl IntoIterator<Item = &'a Refused>) {
    for refused in failed {
        *codes.entry(refused.failure.code.clone()).or_default() += 1;
    }
}

/// One object of a plan's error output.
#[derive(Clone, Copy)]
pub(super) struct Sheet<'a> {
    plan: &'a Plan,
    /// What is in it.
    pub of: ErrorType,
    /// Its key.
    pub key: &'a str,
    table: Option<&'a CatalogTable>,
}

impl<'a> Sheet<'a> {
    /// The object of the plan under `key`.
    pub(super) fn new(plan: &'a Plan, target: &'a Target, (of, key): (ErrorType, &'a str)) -> Self {
        Sheet { plan, of, key, table: target.table.as_ref() }
    }

    /// Those that are in it.
    pub(super) fn pick<'b>(&self, failed: &'b [Refused]) -> impl Iterator<Item = &'b Refused> {
        let (plan, of) = (self.plan, self.of);
        failed.iter().filter(move |refused| plan.error_type(type_of(&refused.failure)) == of)
    }

    /// Their lines. The time of the last attempt is the plan's, so that a repeat writes the same bytes.
    pub(super) fn lines(&self, failed: &[Refused]) -> Bytes {
        let mut out = Vec::with_capacity(self.pick(failed).map(|refused| refused.held() / 3 * 4 + 300).sum());
        for refused in self.pick(failed) {
            let raw = base64_simd::STANDARD.encode_to_string(&refused.record);
            let written = match self.of {
                ErrorType::Conversion => serde_json::to_writer(&mut out, &self.unconverted(refused, &raw)),
                _ => serde_json::to_writer(&mut out, &self.unprocessed(refused, &raw)),
            };
            written.expect("strings and numbers can be written to memory");
            out.push(b'\n');
        }
        out.into()
    }

    fn unprocessed<'b>(&self, refused: &'b Refused, raw_data: &'b str) -> Unprocessed<'b> {
        let failure = &refused.failure;
        Unprocessed {
            raw_data,
            error_code: &failure.code,
            error_message: &failure.message,
            attempts_made: failure.attempts,
            arrival_timestamp: refused.arrived_ms,
            attempt_ending_timestamp: self.plan.planned_ms,
            lambda_arn: failure.by.as_deref(),
        }
    }

    fn unconverted<'b>(&'b self, refused: &'b Refused, raw_data: &'b str) -> Unconverted<'b> {
        let failure = &refused.failure;
        Unconverted {
            attempts_made: failure.attempts,
            arrival_timestamp: refused.arrived_ms,
            last_error_code: &failure.code,
            last_error_message: &failure.message,
            attempt_ending_timestamp: self.plan.planned_ms,
            raw_data,
            sequence_number: refused.place.map(|place| place.position.to_string()),
            sub_sequence_number: refused.place.map(|place| place.child),
            data_catalog_table: self.table,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Unprocessed<'a> {
    raw_data: &'a str,
    error_code: &'a str,
    error_message: &'a str,
    attempts_made: u32,
    arrival_timestamp: u64,
    attempt_ending_timestamp: u64,
    #[serde(rename = "lambdaARN", skip_serializing_if = "Option::is_none")]
    lambda_arn: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Unconverted<'a> {
    attempts_made: u32,
    arrival_timestamp: u64,
    last_error_code: &'a str,
    last_error_message: &'a str,
    attempt_ending_timestamp: u64,
    raw_data: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_sequence_number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_catalog_table: Option<&'a CatalogTable>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::{Builtin, Destination, Store};
    use crate::ledger::Tally;
    use crate::record::StreamId;
    use crate::transform::Step;

    /// A plan that has a key for each of these types.
    pub(in crate::pipeline) fn plan(types: &[ErrorType]) -> Plan {
        Plan {
            stream: StreamId(1),
            spans: Vec::new(),
            planned_ms: 2,
            object_ms: 1,
            version: 1,
            key: "rows".to_owned(),
            error_key: "rest".to_owned(),
            error_keys: types.iter().map(|of| (*of, of.name().to_owned())).collect(),
            target: serde_json::Value::Null,
            share: None,
        }
    }

    fn target() -> Target {
        let destination = Destination::new(Store::Local { path: "/lake".into() });
        Target::of(&crate::config::DeliveryStream::new("web", destination), vec![Step::Builtin(Builtin::Decompress)])
    }

    fn refused(code: &'static str, by: Option<&str>) -> Refused {
        let by = by.map(str::to_owned);
        let failure = Failure { code: code.into(), message: "no \"value\"".into(), attempts: 3, by };
        let place = Some(Place { position: 40, child: 2 });
        Refused { record: Bytes::from_static(b"FA\x00IL"), arrived_ms: 1, place, failure }
    }

    #[test]
    fn a_line_has_firehoses_fields_in_its_order() {
        let failed =
            [refused("RequireJson.ParseError", None), refused("RequireJson.ParseError", Some("arn:aws:lambda:f"))];
        let (plan, target) = (plan(&[]), target());
        let out = Sheet::new(&plan, &target, (ErrorType::Processing, "rest")).lines(&failed);
        let shared = "{\"rawData\":\"RkEASUw=\",\"errorCode\":\"RequireJson.ParseError\",\"errorMessage\":\"no \\\"value\\\"\",\
             \"attemptsMade\":3,\"arrivalTimestamp\":1,\"attemptEndingTimestamp\":2";
        assert_eq!(out, format!("{shared}}}\n{shared},\"lambdaARN\":\"arn:aws:lambda:f\"}}\n"));
    }

    #[test]
    fn a_record_that_does_not_fit_has_the_fields_of_conversion_and_the_table() {
        let table = CatalogTable {
            catalog_id: Some("123456789012".to_owned()),
            database_name: "lake".to_owned(),
            table_name: "events".to_owned(),
            region: Some("eu-west-1".to_owned()),
            version_id: "LATEST".to_owned(),
            catalog_arn: Some("arn:aws:glue:eu-west-1:123456789012:catalog".to_owned()),
        };
        let (plan, target) = (plan(&[ErrorType::Conversion]), Target { table: Some(table), ..target() });
        let failed = [refused("A.B", None), refused("DataFormatConversion.MalformedData", None)];
        let out = Sheet::new(&plan, &target, (ErrorType::Conversion, "c")).lines(&failed);
        let expected = "{\"attemptsMade\":3,\"arrivalTimestamp\":1,\"lastErrorCode\":\"DataFormatConversion.MalformedData\",\
             \"lastErrorMessage\":\"no \\\"value\\\"\",\"attemptEndingTimestamp\":2,\"rawData\":\"RkEASUw=\",\"sequenceNumber\":\"40\",\
             \"subSequenceNumber\":2,\"dataCatalogTable\":{\"catalogId\":\"123456789012\",\"databaseName\":\"lake\",\
             \"tableName\":\"events\",\"region\":\"eu-west-1\",\"versionId\":\"LATEST\",\
             \"catalogArn\":\"arn:aws:glue:eu-west-1:123456789012:catalog\"}}\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn each_record_is_in_one_object_and_what_was_planned_before_types_is_in_the_first() {
        let failed = [
            refused("DataFormatConversion.ParseError", None),
            refused("DynamicPartitioning.KeyTooLong", None),
            refused("Decompression failed.", None),
            refused("Lambda.FunctionError", None),
        ];
        let all = [ErrorType::Decompression, ErrorType::Partitioning, ErrorType::Conversion];
        let target = target();
        for (types, expected) in [(&all[..], vec![1, 1, 1, 1]), (&all[2..], vec![3, 1]), (&[], vec![4])] {
            let plan = plan(types);
            let mut tally = Tally { failed: 4, ..Tally::default() };
            for refused in &failed {
                tally.count_failure(type_of(&refused.failure));
            }
            let counted: Vec<_> = plan.error_output(&tally).iter().map(|output| output.records as usize).collect();
            let sheets: Vec<_> = plan.error_types().map(|output| Sheet::new(&plan, &target, output)).collect();
            let lines: Vec<_> =
                sheets.iter().map(|sheet| memchr::memchr_iter(b'\n', &sheet.lines(&failed)).count()).collect();
            assert_eq!((&counted, &lines), (&expected, &expected), "{types:?}");
            let old = String::from_utf8(sheets[0].lines(&failed).to_vec()).unwrap();
            assert!(!old.contains("lastErrorCode"), "{old}");
        }
    }
}
