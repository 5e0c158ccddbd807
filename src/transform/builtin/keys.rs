//! Partition keys: by the query of MetadataExtraction, and by event time. Rows stay as they are and get a column for each key.
//!
//! Plain paths are read in one pass over the row, those of the query and that of the event time together; only where an expression
//! needs it, jq gets a tree of the row. Values are strings, numbers as jq prints them, and booleans; what is null or missing, an object
//! or an array, is no value, and the record fails.

use std::borrow::Cow;

use super::super::{Failed, Failure, KeyColumn, Origins, Outcome, Rows};
use super::failure;
use super::jq::{self, Expression};
use super::scan::Paths;
use crate::config::builtin::TimeReader;
use crate::config::prefix::{query_key, time_key};
use crate::config::query::{Query, QueryValue};
use crate::config::{Beyond, EventTime, Fallback};
use crate::error::Result;
use crate::limits::PREFIX_BYTES_MAX;

const FAILED: &str = "DynamicPartitioning.MetadataExtractionFailed";
const TOO_LONG: &str = "DynamicPartitioning.KeyTooLong";
const NO_TIME: &str = "DynamicPartitioning.EventTimeFailed";
const BEYOND: &str = "DynamicPartitioning.EventTimeOutOfRange";

/// What takes keys out of rows.
pub(super) struct Keys {
    paths: Paths,
    /// The query's keys: name, and where the value is.
    query: Vec<(String, Place)>,
    time: Option<Times>,
}

enum Place {
    /// At the path with this number.
    Path(usize),
    Jq(Box<Expression>),
}

struct Times {
    reader: TimeReader,
    /// The number of its path.
    path: usize,
    from: String,
    unreadable: Fallback,
    late: Option<Beyond>,
    early: Option<Beyond>,
    /// The names of its columns.
    columns: Vec<String>,
}

impl Keys {
    pub(super) fn new(query: Option<&str>, time: Option<&EventTime>) -> Result<Self> {
        let mut paths = Paths::default();
        let mut keys = Vec::new();
        for key in query.map_or(Ok(Vec::new()), |query| Query::parse(query).map(|query| query.keys))? {
            let place = match &key.value {
                QueryValue::Path(path) => Place::Path(paths.add(path)),
                QueryValue::Jq(text) => Place::Jq(Box::new(Expression::compile(text)?)),
            };
            keys.push((key.name, place));
        }
        let time = time.map(|time| Times::new(time, &mut paths)).transpose()?;
        Ok(Keys { paths, query: keys, time })
    }

    pub(super) fn run(&self, rows: &Rows, origins: &Origins, bytes_max: usize) -> Keyed {
        let mut columns = self.columns(rows.len());
        let mut failed: Vec<Failed> = Vec::new();
        let mut found = vec![None; self.paths.len()];
        let mut values = Vec::new();
        let mut printed = Printed::default();
        let (mut bytes, mut taken) = (0, 0);
        while taken < rows.len() && bytes <= bytes_max {
            let row = taken;
            let origin = rows.origins[row];
            let has_failed = failed.last().is_some_and(|failed| failed.origin == origin);
            values.clear();
            let arrived_ms = origins.arrived_ms.get(origin as usize).copied().unwrap_or_default();
            if !has_failed
                && let Err(failure) = self.row(rows.get(row), arrived_ms, &mut found, &mut values, &mut printed)
            {
                failed.push(Failed { origin, failure });
                values.clear();
            }
            values.resize(columns.len(), Cow::Borrowed(""));
            for (column, value) in columns.iter_mut().zip(&values) {
                column.data.push_str(value);
                column.ends.push(
                    u32::try_from(column.data.len()).expect("it ends with the value with which there are too many"),
                );
                bytes += value.len();
            }
            bytes += rows.get(row).len();
            taken += 1;
        }
        Keyed { columns, failed, taken, bytes }
    }

    fn columns(&self, rows: usize) -> Vec<KeyColumn> {
        let column = |name: String| KeyColumn { name, data: String::new(), ends: Vec::with_capacity(rows) };
        let query = self.query.iter().map(|(name, _)| query_key(name));
        let time = self.time.iter().flat_map(|time| time.columns.iter().cloned());
        query.chain(time).map(column).collect()
    }

    /// The values of one row, in the order of the columns.
    fn row<'r>(
        &self,
        row: &'r [u8],
        arrived_ms: u64,
        found: &mut [Option<&'r str>],
        values: &mut Vec<Cow<'r, str>>,
        printed: &mut Printed,
    ) -> Result<(), Failure> {
        let not_json = |why: String| failure(FAILED, format!("the record is not JSON: {why}"));
        let text = std::str::from_utf8(row).map_err(|error| not_json(error.to_string()))?;
        self.paths.read(text, found).map_err(not_json)?;
        let mut tree = None;
        for (name, place) in &self.query {
            let value = match place {
                Place::Path(path) => found[*path].and_then(scalar),
                Place::Jq(expression) => {
                    let fault = |why| failure(FAILED, format!("the query gives no value of {name:?}: {why}"));
                    if tree.is_none() {
                        tree = Some(jq::document(text).map_err(fault)?);
                    }
                    let value = tree.as_ref().map_or(Ok(None), |tree| expression.value(tree)).map_err(fault)?;
                    value.as_ref().and_then(jq::text).map(Cow::Owned)
                }
            };
            values.push(check(name, value)?);
        }
        if let Some(time) = &self.time {
            let ms = time.ms(found[time.path], arrived_ms)?;
            values.extend(printed.of(ms, &time.reader).iter().cloned().map(Cow::Owned));
        }
        Ok(())
    }
}

/// A value that a key may have.
fn check<'r>(name: &str, value: Option<Cow<'r, str>>) -> Result<Cow<'r, str>, Failure> {
    match value {
        None => Err(failure(FAILED, format!("the record has no string, number or boolean for the key {name:?}"))),
        Some(value) if value.is_empty() => {
            Err(failure(FAILED, format!("the record has an empty string for the key {name:?}")))
        }
        Some(value) if value.len() > PREFIX_BYTES_MAX => {
            let message =
                format!("the value of the key {name:?} has {} bytes, a prefix at most {PREFIX_BYTES_MAX}", value.len());
            Err(failure(TOO_LONG, message))
        }
        Some(value) => Ok(value),
    }
}

/// A JSON scalar as a key writes it; nothing for null, an object or an array.
fn scalar(raw: &str) -> Option<Cow<'_, str>> {
    let plain = raw.strip_prefix('-').unwrap_or(raw);
    match raw.as_bytes().first()? {
        b'"' if !raw.contains('\\') => Some(Cow::Borrowed(&raw[1..raw.len() - 1])),
        b't' | b'f' => Some(Cow::Borrowed(raw)),
        b'"' | b'0'..=b'9' | b'-' => {
            // Whole numbers are written as they are; -0 is 0.
            let is_whole = plain.len() <= 18 && plain.bytes().all(|byte| byte.is_ascii_digit()) && raw != "-0";
            if is_whole { Some(Cow::Borrowed(raw)) } else { jq::text(&jq::scalar(raw)?).map(Cow::Owned) }
        }
        _ => None,
    }
}

impl Times {
    fn new(settings: &EventTime, paths: &mut Paths) -> Result<Self> {
        let reader = settings.reader()?;
        Ok(Times {
            path: paths.add(&reader.path),
            reader,
            from: settings.from.clone(),
            unreadable: settings.unreadable,
            late: settings.late,
            early: settings.early,
            columns: settings.prints.iter().map(|pattern| time_key(pattern)).collect(),
        })
    }

    /// The time of a record, milliseconds since 1970, by what stands at the path.
    fn ms(&self, raw: Option<&str>, arrived_ms: u64) -> Result<u64, Failure> {
        let is_number = raw.is_some_and(|raw| !raw.starts_with('"'));
        let text = raw.and_then(scalar);
        let read = text.as_ref().and_then(|text| self.reader.read(text, is_number));
        let Some(ms) = read else {
            return match self.unreadable {
                Fallback::Arrival | Fallback::Keep => Ok(arrived_ms),
                Fallback::Error => Err(self.no_time(raw)),
            };
        };
        let is_beyond = |bound: &&Beyond, distance: u64| distance > bound.after_ms;
        let late = self.late.as_ref().filter(|bound| is_beyond(bound, arrived_ms.saturating_sub(ms)));
        let early = self.early.as_ref().filter(|bound| is_beyond(bound, ms.saturating_sub(arrived_ms)));
        match late.or(early).map(|bound| bound.then) {
            None | Some(Fallback::Keep) if !self.reader.can_print(ms) => Err(failure(
                FAILED,
                format!("the time at {} is {ms} ms since 1970, no prefix has times after 9999-12-20", self.from),
            )),
            None | Some(Fallback::Keep) => Ok(ms),
            Some(Fallback::Arrival) => Ok(arrived_ms),
            Some(Fallback::Error) => {
                let how = if late.is_some() { "before" } else { "behind" };
                let message =
                    format!("the time at {} lies {} ms {how} the record's arrival", self.from, ms.abs_diff(arrived_ms));
                Err(failure(BEYOND, message))
            }
        }
    }

    fn no_time(&self, raw: Option<&str>) -> Failure {
        const SHOWN_MAX: usize = 100;
        let what = raw.map_or("nothing".to_owned(), |raw| raw.chars().take(SHOWN_MAX).collect());
        failure(NO_TIME, format!("{} should have a time of the expected format since 1970, and has {what}", self.from))
    }
}

/// The last time that was printed: many records are of one second.
#[derive(Default)]
struct Printed {
    second: Option<u64>,
    texts: Vec<String>,
}

impl Printed {
    fn of(&mut self, ms: u64, reader: &TimeReader) -> &[String] {
        let second = ms / 1_000;
        if self.second.replace(second) != Some(second) {
            self.texts = reader.print(ms);
        }
        &self.texts
    }
}

/// The keys of rows.
pub struct Keyed {
    /// Of the first rows, as many as were taken; of one that failed, empty values.
    columns: Vec<KeyColumn>,
    failed: Vec<Failed>,
    taken: usize,
    /// Of the rows that were taken and these columns.
    bytes: usize,
}

impl Keyed {
    /// The columns, if all of `rows` have their keys and are, with them, no more than `bytes_max` bytes: then they stay where they are.
    pub fn whole(self, rows: &Rows, bytes_max: usize) -> Result<Vec<KeyColumn>, Keyed> {
        let before: usize = rows.keys.iter().map(|key| key.data.len()).sum();
        let is_whole = self.failed.is_empty() && self.taken == rows.len() && self.bytes + before <= bytes_max;
        if is_whole { Ok(self.columns) } else { Err(self) }
    }

    /// What becomes of the first of `rows`, and how many those are.
    pub fn outcome(self, rows: &Rows) -> (Outcome, usize) {
        let Keyed { columns, failed, taken, .. } = self;
        let mut rows = rows.clone();
        rows.truncate(taken);
        rows.set_keys(columns);
        if !failed.is_empty() {
            let has_failed = |origin: &u32| failed.binary_search_by_key(origin, |failed| failed.origin).is_ok();
            let keep: Vec<bool> = rows.origins.iter().map(|origin| !has_failed(origin)).collect();
            rows.retain(&keep);
        }
        (Outcome { rows, failed }, taken)
    }
}
