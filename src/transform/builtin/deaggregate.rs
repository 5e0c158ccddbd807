//! De-aggregation: a row that holds several records becomes a row for each. What stands between them is dropped, and of an empty
//! row nothing is left. A row with more than 500 goes on whole, as on AWS.

use std::ops::Range;

use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::super::{Outcome, Rows};
use super::making::Making;
use super::{Failure, failure};
use crate::limits::SUB_RECORDS_MAX;

const CODE: &str = "RecordDeAggregation.ParseError";

/// How records stand in a row.
pub(super) enum Splitter {
    /// JSON objects, with white space between them or without.
    Json,
    /// These bytes are between them.
    Delimited(Box<Finder<'static>>),
}

impl Splitter {
    pub(super) fn delimited(delimiter: &[u8]) -> Self {
        Splitter::Delimited(Box::new(Finder::new(delimiter).into_owned()))
    }

    pub(super) fn run(&self, rows: &Rows) -> Outcome {
        let mut making = Making::of(rows);
        let mut parts = Vec::new();
        for row in 0..rows.len() {
            let data = rows.get(row);
            parts.clear();
            let found = match self {
                Splitter::Json => objects(data, &mut parts),
                Splitter::Delimited(delimiter) => {
                    pieces(data, delimiter, &mut parts);
                    Ok(())
                }
            };
            match found {
                Ok(()) if parts.len() > SUB_RECORDS_MAX => making.push(row, data),
                Ok(()) => parts.iter().for_each(|part| making.push(row, &data[part.clone()])),
                Err(failure) => making.fail(row, failure),
            }
        }
        making.finish()
    }
}

/// Where the objects of `data` are; all that is JSON is checked to be it.
fn objects(data: &[u8], parts: &mut Vec<Range<usize>>) -> Result<(), Failure> {
    let mut values = serde_json::Deserializer::from_slice(data).into_iter::<&RawValue>();
    while let Some(value) = values.next() {
        let end = values.byte_offset();
        let value = value.map_err(|error| failure(CODE, format!("the record is not JSON objects: {error}")))?.get();
        if !value.starts_with('{') {
            let why = "the record is not JSON objects: it has something else beside them, such as an array";
            return Err(failure(CODE, why.to_owned()));
        }
        parts.push(end - value.len()..end);
    }
    Ok(())
}

/// What stands between delimiters, without what is empty.
fn pieces(data: &[u8], delimiter: &Finder<'_>, parts: &mut Vec<Range<usize>>) {
    let mut start = 0;
    let ends = delimiter.find_iter(data).chain([data.len()]);
    for end in ends {
        if end > start {
            parts.push(start..end);
        }
        start = end + delimiter.needle().len();
    }
}
