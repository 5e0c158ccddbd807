//! The built-in processors, with all that what they make depends on: plans keep these settings as they are.

use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::date_pattern::{DatePattern, TimeFormat, is_printable, local_time};
use super::prefix::{KeySource, Prefix, source};
use super::query::{Path, Query};
use super::{DeliveryStream, Processor};
use crate::error::{Error, Result};
use crate::limits::DELIMITER_BYTES_MAX;

/// A built-in processor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Builtin {
    /// Records are GZIP: what they hold goes on in their place.
    Decompress,
    /// Records are what CloudWatch Logs sends to its subscribers: the messages of the log events go on in place of the whole
    /// document, each with a line feed.
    CloudwatchLogs,
    /// Records hold several records each.
    Deaggregate(SubRecords),
    /// Partition keys are taken out of records, which are JSON.
    Keys {
        /// The query that gives them, as Firehose's MetadataExtraction has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        query: Option<String>,
        /// The time that records say of themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event_time: Option<EventTime>,
    },
}

/// How several records stand in one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubRecords {
    /// JSON objects, one after the other, with or without line feeds between them.
    Json,
    /// With these bytes between them, here in base64.
    Delimited(String),
}

/// Where records say when what they tell of happened, and what that is used for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTime {
    /// The plain path of the value.
    pub from: String,
    /// How it is written: `rfc3339`, `epoch-seconds`, `epoch-millis`, or a pattern.
    pub format: String,
    /// The time zone of times that say none: an IANA name.
    pub time_zone: String,
    /// What becomes of a record without a time that can be read.
    pub unreadable: Fallback,
    /// What becomes of one whose time lies far before its arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Beyond>,
    /// What becomes of one whose time lies far behind its arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early: Option<Beyond>,
    /// The patterns of `!{eventTime:…}` in the prefix; filled in by [`settle`].
    #[serde(default)]
    pub prints: Vec<String>,
    /// The time zone in which they print: the destination's; filled in by [`settle`].
    #[serde(default)]
    pub prints_in: String,
}

/// What becomes of records whose time is far from their arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beyond {
    /// How far is far, in milliseconds.
    pub after_ms: u64,
    /// What then.
    pub then: Fallback,
}

/// What is done instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// The record's arrival is its time.
    #[default]
    Arrival,
    /// It goes to the error output.
    Error,
    /// Nothing: its time is its time.
    Keep,
}

impl SubRecords {
    /// Records with `bytes` between them.
    pub fn delimited(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() || bytes.len() > DELIMITER_BYTES_MAX {
            let message = format!("a delimiter has 1 to {DELIMITER_BYTES_MAX} bytes, not {}", bytes.len());
            return Err(Error::invalid(message));
        }
        Ok(SubRecords::Delimited(base64_simd::STANDARD.encode_to_string(bytes)))
    }
}

impl EventTime {
    /// The time at `from`, as RFC 3339 writes it; records without one, and late ones, are of their arrival.
    pub fn new(from: impl Into<String>) -> Self {
        EventTime {
            from: from.into(),
            format: "rfc3339".to_owned(),
            time_zone: "UTC".to_owned(),
            unreadable: Fallback::Error,
            late: None,
            early: None,
            prints: Vec::new(),
            prints_in: "UTC".to_owned(),
        }
    }

    /// What it takes to use it. An error names the field.
    pub fn reader(&self) -> Result<TimeReader> {
        let path = path(&self.from)?;
        let (zone, prints_in) = (zone(&self.time_zone)?, zone(&self.prints_in)?);
        let format = TimeFormat::parse(&self.format)
            .map_err(|error| Error::invalid(format!("format {:?}: {}", self.format, error.message())))?;
        let pattern = |text: &String| {
            DatePattern::parse(text).ok_or_else(|| Error::invalid(format!("eventTime {text:?} is no date pattern")))
        };
        let prints = self.prints.iter().map(pattern).collect::<Result<_>>()?;
        Ok(TimeReader { path, format, zone, prints, prints_in })
    }
}

/// The plain path of a time.
pub fn path(text: &str) -> Result<Path> {
    Path::parse(text).ok_or_else(|| Error::invalid(format!("from {text:?} is not a plain path such as \".time\"")))
}

fn zone(name: &str) -> Result<Tz> {
    name.parse().map_err(|_| Error::invalid(format!("time_zone {name:?} is not known")))
}

/// Reads the times of records, and prints them for the prefix.
#[derive(Clone, Debug)]
pub struct TimeReader {
    /// Where it stands in a record.
    pub path: Path,
    format: TimeFormat,
    zone: Tz,
    prints: Vec<DatePattern>,
    prints_in: Tz,
}

impl TimeReader {
    /// The time, milliseconds since 1970; `is_number` where the text is that of a JSON number. `None` for what is no time as
    /// expected, and before 1970.
    pub fn read(&self, text: &str, is_number: bool) -> Option<u64> {
        self.format.read(text, is_number, self.zone)
    }

    /// Whether the prefix's patterns print that time as it is: none after 9999-12-20.
    pub fn can_print(&self, ms: u64) -> bool {
        is_printable(ms)
    }

    /// What each of the prefix's patterns prints at that time.
    pub fn print(&self, ms: u64) -> Vec<String> {
        let at = local_time(ms, self.prints_in);
        let print = |pattern: &DatePattern| {
            let mut out = String::new();
            pattern.format(&at, &mut out);
            out
        };
        self.prints.iter().map(print).collect()
    }
}

/// Has the event time read with the query's keys, if there is a query: one pass over a record does for both.
pub fn add_event_time(processors: &mut Vec<Processor>, time: EventTime) {
    match processors.last_mut() {
        Some(Processor::Builtin(Builtin::Keys { event_time, .. })) => *event_time = Some(time),
        _ => processors.push(Processor::Builtin(Builtin::Keys { query: None, event_time: Some(time) })),
    }
}

/// Checks that each of the prefix's keys is given and each that is given is used, and has the processors know what they need of the
/// prefix. The error has AWS's message where AWS has one.
pub fn settle(stream: &mut DeliveryStream) -> Result<()> {
    let (prefix, zone) = (&stream.destination.prefix, stream.destination.time_zone);
    let keys = stream.process.iter_mut().filter_map(|processor| match processor {
        Processor::Builtin(Builtin::Keys { query, event_time }) => Some((query, event_time)),
        _ => None,
    });
    let (mut given, mut has_time) = (Vec::new(), false);
    for (query, event_time) in keys {
        if let Some(query) = query {
            given.extend(Query::parse(query)?.keys.into_iter().map(|key| key.name));
        }
        if let Some(time) = event_time {
            has_time = true;
            time.prints = times(prefix).map(str::to_owned).collect();
            zone.name().clone_into(&mut time.prints_in);
        }
    }
    let wanted: Vec<&str> =
        sources(prefix).filter_map(|key| if let KeySource::Query(name) = key { Some(name) } else { None }).collect();
    if given.iter().any(|name| !wanted.contains(&name.as_str())) {
        return Err(Error::invalid(
            "MetaDataExtraction JQ Query can't contain keys that are not present in the S3 Prefix expression",
        ));
    }
    if let Some(name) = wanted.iter().find(|name| !given.iter().any(|given| given == *name)) {
        return Err(Error::invalid(format!(
            "the prefix has partitionKeyFromQuery:{name}, and no query gives {name:?}"
        )));
    }
    match (times(prefix).next(), has_time) {
        (Some(pattern), false) => Err(Error::invalid(format!(
            "the prefix has eventTime:{pattern}, and nothing says where records have their time: event_time is missing"
        ))),
        (None, true) => Err(Error::invalid("event_time is of no use: the prefix has no !{eventTime:…}")),
        _ => Ok(()),
    }
}

fn sources(prefix: &Prefix) -> impl Iterator<Item = KeySource<'_>> {
    prefix.keys().iter().map(|key| source(key))
}

fn times(prefix: &Prefix) -> impl Iterator<Item = &str> {
    sources(prefix).filter_map(|key| if let KeySource::Time(pattern) = key { Some(pattern) } else { None })
}

impl Beyond {
    /// So far, and what then.
    pub fn new(after: Duration, then: Fallback) -> Self {
        Beyond { after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX), then }
    }
}
