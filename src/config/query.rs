//! Queries that take partition keys out of records: `{tenant: .tenant, hour: .time | strptime("%Y-%m-%d") | strftime("%H")}`.
//!
//! A query is one object constructor of jq, in one string. Each of its values is either a **plain path** (`.a.b[0]`), which is
//! read without jq, or an expression of jq, of which only that is taken whose work and output are bounded by the record
//! (see `allow`): nothing loops, nothing depends on time, environment or input, and nothing makes a long text of a number.
//! Faults are told with their place: the character, counted from 1.

mod allow;
mod path;
mod split;
#[cfg(test)]
mod tests;

pub use path::{Path, Segment};

use crate::error::{Error, Result};
use crate::limits::{PLUGIN_KEY_NAME_BYTES_MAX, PLUGIN_KEYS_MAX, QUERY_CHARS_MAX, QUERY_VALUE_BYTES_MAX};

/// A query that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Its keys, each name once, in order; at least one.
    pub keys: Vec<QueryKey>,
}

/// One key of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryKey {
    /// As it is in `!{partitionKeyFromQuery:NAME}`.
    pub name: String,
    /// How its value is found.
    pub value: QueryValue,
}

/// How the value of a key is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryValue {
    /// It stands there in the record.
    Path(Path),
    /// This expression of jq gives it: at most one value.
    Jq(String),
}

/// A fault, and the byte of the query where it is.
struct Fault {
    at: usize,
    why: String,
}

impl Fault {
    fn new(at: usize, why: impl Into<String>) -> Self {
        Fault { at, why: why.into() }
    }
}

impl Query {
    /// Reads and checks a query.
    ///
    /// # Errors
    /// Says what is wrong, and at which character.
    pub fn parse(text: &str) -> Result<Self> {
        let chars = text.chars().count();
        if chars > QUERY_CHARS_MAX {
            return Err(Error::invalid(format!("a query has at most {QUERY_CHARS_MAX} characters, this one {chars}")));
        }
        keys(text).map(|keys| Query { keys }).map_err(|fault| {
            let place = text.get(..fault.at).unwrap_or(text).chars().count() + 1;
            Error::invalid(format!("the query is wrong at character {place}: {}", fault.why))
        })
    }
}

fn keys(text: &str) -> Result<Vec<QueryKey>, Fault> {
    let mut keys: Vec<QueryKey> = Vec::new();
    for entry in split::entries(text)? {
        if entry.name.is_empty() || entry.name.len() > PLUGIN_KEY_NAME_BYTES_MAX {
            let why = format!("the name of a key has 1 to {PLUGIN_KEY_NAME_BYTES_MAX} bytes, not {}", entry.name.len());
            return Err(Fault::new(entry.at, why));
        }
        if keys.iter().any(|key| key.name == entry.name) {
            return Err(Fault::new(entry.at, format!("key {:?} is there twice", entry.name)));
        }
        if keys.len() == PLUGIN_KEYS_MAX {
            return Err(Fault::new(entry.at, format!("a query has at most {PLUGIN_KEYS_MAX} keys")));
        }
        keys.push(QueryKey { name: entry.name.to_owned(), value: value(&entry)? });
    }
    Ok(keys)
}

fn value(entry: &split::Entry<'_>) -> Result<QueryValue, Fault> {
    let Some((at, text)) = entry.value else { return Ok(QueryValue::Path(Path::field(entry.name))) };
    if text.len() > QUERY_VALUE_BYTES_MAX {
        let why = format!("the value of a key has at most {QUERY_VALUE_BYTES_MAX} bytes, this one {}", text.len());
        return Err(Fault::new(at, why));
    }
    if let Some(path) = Path::parse(text) {
        return Ok(QueryValue::Path(path));
    }
    allow::check(text).map_err(|fault| Fault { at: at + fault.at, ..fault })?;
    Ok(QueryValue::Jq(text.to_owned()))
}
