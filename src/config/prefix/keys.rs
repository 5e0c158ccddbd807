//! Partition keys in prefixes: which there are, how long their values may be, and how a value is written into a key.
//!
//! Values come out of records and are hostile. What is not a letter, a digit or one of a few signs is written as `%XX`, so that
//! no value makes a folder of its own, and different values never become the same text. Query engines (Hive, Spark, Athena) pass over
//! files and folders whose names begin with `_` or `.`, so where a value begins a name these are written as `%5F` and `%2E`; a dot at
//! the beginning of a value is so anywhere. A value that would make a key too long is refused, never cut.
//!
//! Nor does a value lead into the error output's folders, also where nothing stands before the first key: see
//! [`evaluate_apart`](Prefix::evaluate_apart).
//!
//! Where a value comes from is part of its key's internal name, as plans and columns of rows have it: `NAME` is a plugin's,
//! `query:NAME` a query's, and `time:PATTERN` the record's own time as the pattern prints it. Names of plugins' keys have no
//! colon. What a pattern prints is no record's choice, and may be folders.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::super::date_pattern::local_time;
use super::{Part, Prefix, PrefixFacts};
use crate::error::Result;
use crate::limits::{PATH_NAME_BYTES_MAX, PREFIX_BYTES_MAX, PREFIX_MAX};

/// Signs that stand for themselves in a value, beside letters and digits: those that S3 calls safe, and a few that every store
/// and tool takes.
const SIGNS: &str = "-_.!*'()@,+~";

/// So much later each unit of a time has changed, at one of these times: a day and some, 40 days, 400 days, 20 years.
const LATER_MS: [u64; 4] = [90_061_001, 3_456_000_000, 34_560_000_000, 631_152_000_000];

const QUERY: &str = "query:";
const TIME: &str = "time:";

/// Where the value of a partition key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource<'a> {
    /// A plugin gives it under this name.
    Plugin(&'a str),
    /// A query does.
    Query(&'a str),
    /// It is the record's own time, printed by this pattern.
    Time(&'a str),
}

/// Where the value of the key with this internal name comes from.
pub fn source(key: &str) -> KeySource<'_> {
    match (key.strip_prefix(QUERY), key.strip_prefix(TIME)) {
        (Some(name), _) => KeySource::Query(name),
        (_, Some(pattern)) => KeySource::Time(pattern),
        _ => KeySource::Plugin(key),
    }
}

/// The internal name of a query's key.
pub fn query_key(name: &str) -> String {
    format!("{QUERY}{name}")
}

/// The internal name of an event time as this pattern prints it.
pub fn time_key(pattern: &str) -> String {
    format!("{TIME}{pattern}")
}

/// The partition keys of a prefix. All that it depends on whether a row has a partition, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partitioning {
    /// Names, in the order in which the prefix names them first.
    pub keys: Vec<String>,
    /// How often the prefix has each; of event times never, for there is always room for them.
    pub uses: Vec<usize>,
    /// Bytes that all values may take in the prefix as they are written.
    pub room: usize,
    /// Bytes that one value may take as it is written: in a directory names are bounded.
    pub each: usize,
}

impl Partitioning {
    /// Says why a row with these values, in the order of the keys, cannot be put anywhere.
    pub fn check(&self, values: &[String]) -> Result<(), String> {
        let mut total = 0;
        for ((name, uses), value) in self.keys.iter().zip(&self.uses).zip(values) {
            if matches!(source(name), KeySource::Time(_)) {
                continue;
            }
            let written = written_bytes(value);
            if written > self.each {
                let each = self.each;
                return Err(format!(
                    "partition key {name:?} has {written} bytes as it is written, the limit is {each}"
                ));
            }
            total += written * uses;
        }
        if total > self.room {
            let room = self.room;
            return Err(format!("partition keys have {total} bytes in the prefix, it leaves room for {room}"));
        }
        Ok(())
    }
}

impl Prefix {
    /// Its partition keys, if it has any; `named` where each folder's name is bounded by the store.
    pub fn partitioning(&self, named: bool) -> Option<Partitioning> {
        let mut uses = vec![0; self.keys.len()];
        let mut segments = vec![(0, 0)];
        for part in &self.parts {
            let last = segments.last_mut().expect("there is always one");
            match part {
                Part::Key(key) => {
                    uses[*key] += 1;
                    last.1 += 1;
                }
                Part::Literal(text) => {
                    let mut pieces = text.split('/').map(str::len);
                    last.0 += pieces.next().unwrap_or(0);
                    segments.extend(pieces.map(|bytes| (bytes, 0)));
                }
                part => last.0 += part.bytes_max(),
            }
        }
        let share = |(bytes, keys): &(usize, usize)| PATH_NAME_BYTES_MAX.saturating_sub(*bytes).checked_div(*keys);
        let room = self.room();
        let each = if named { segments.iter().filter_map(share).min().unwrap_or(room) } else { room };
        (!self.keys.is_empty()).then(|| Partitioning { keys: self.keys.clone(), uses, room, each })
    }

    /// Whether a slash stands behind its last partition key.
    pub fn ends_key_folders(&self) -> bool {
        let last = self.parts.iter().rposition(|part| matches!(part, Part::Key(_)));
        // What an event time prints is as long as its pattern says: it needs none.
        let has_slash = |part: &Part| matches!(part, Part::Literal(text) if text.contains('/'));
        last.is_none_or(|last| self.parts[last..].iter().any(has_slash))
    }

    /// Values that its keys may have at this time: for those who want to see what it makes of them.
    pub fn sample_keys(&self, ms: u64, time_zone: Tz) -> Vec<String> {
        let at = local_time(ms, time_zone);
        let mut keys = vec!["k".to_owned(); self.keys.len()];
        for part in &self.parts {
            if let Part::EventTime(key, pattern) = part {
                keys[*key].clear();
                pattern.format(&at, &mut keys[*key]);
            }
        }
        keys
    }

    /// The evaluated prefix, outside of the folders that `others` make, with error output of these types. Values of partition keys come
    /// from records, and one could be the name of such a folder: then its first sign is written `%XX`. Where such a folder is called
    /// otherwise at another time every value is written so. It becomes the text of no other value: none is written so else.
    pub fn evaluate_apart(&self, facts: PrefixFacts<'_>, others: &[(&Prefix, &str)]) -> String {
        let mut out = self.evaluate(facts);
        let Some(first) = self.parts.iter().position(|part| matches!(part, Part::Key(_))) else { return out };
        let at = self.before(first, facts).len();
        let value = out[at..].split('/').next();
        let leads_into = |&(other, error_type): &(&Prefix, &str)| {
            let facts = PrefixFacts { error_type, ..facts };
            let name = self.folder(first, other, facts);
            let later = |ms| PrefixFacts { object_ms: facts.object_ms.saturating_add(ms), random: "another", ..facts };
            name.as_deref() == value || LATER_MS.iter().any(|ms| self.folder(first, other, later(*ms)) != name)
        };
        if others.iter().any(leads_into)
            && let Some(sign) = out[at..].chars().next()
        {
            let mut escaped = String::new();
            escape(sign, &mut escaped);
            out.replace_range(at..at + sign.len_utf8(), &escaped);
        }
        out
    }

    /// What the first `parts` become.
    fn before(&self, parts: usize, facts: PrefixFacts<'_>) -> String {
        let mut before = String::new();
        super::write(&self.parts[..parts], facts, &mut before);
        before
    }

    /// The name of the folder behind them, where `other` has one there.
    fn folder(&self, parts: usize, other: &Prefix, facts: PrefixFacts<'_>) -> Option<String> {
        let key = other.evaluate(facts);
        Some(key.strip_prefix(&self.before(parts, facts))?.split_once('/')?.0.to_owned())
    }

    /// Bytes that are left for the values of partition keys.
    pub(super) fn room(&self) -> usize {
        let bytes = self.parts.iter().map(Part::bytes_max).sum();
        let chars = self.parts.iter().map(Part::chars_max).sum();
        PREFIX_BYTES_MAX.saturating_sub(bytes).min(PREFIX_MAX.saturating_sub(chars))
    }
}

/// Appends a value as it is written in a key.
pub(super) fn write(value: &str, out: &mut String) {
    let begins_name = out.is_empty() || out.ends_with('/');
    let dots = value.bytes().all(|byte| byte == b'.');
    for (at, char) in value.char_indices() {
        // A name that begins with a dot or a low line is hidden, and one of nothing but dots is another folder.
        let is_hidden = char == '.' && (dots || at == 0) || char == '_' && begins_name && at == 0;
        if !is_hidden && (char.is_alphanumeric() || SIGNS.contains(char)) {
            out.push(char);
            continue;
        }
        escape(char, out);
    }
}

fn escape(char: char, out: &mut String) {
    let mut bytes = [0; 4];
    for byte in char.encode_utf8(&mut bytes).bytes() {
        out.push('%');
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];

fn written_bytes(value: &str) -> usize {
    // The longest that is looked at: beyond it the length alone decides, and nothing is written.
    if value.len() > PREFIX_BYTES_MAX {
        return value.len();
    }
    let mut out = String::with_capacity(value.len());
    write(value, &mut out);
    out.len()
}
