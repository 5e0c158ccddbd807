//! Prefix expressions: `web/!{timestamp:yyyy/MM/dd/HH}/`, and the names of objects.
//!
//! A prefix is literal text with expressions `!{namespace:value}`:
//! - `!{timestamp:PATTERN}`: the object's time as Java's `DateTimeFormatter` prints it (see `date_pattern`);
//! - `!{firehose:random-string}`: eleven random characters;
//! - `!{firehose:error-output-type}`: why records are in an error output object; in error prefixes only;
//! - `!{partitionKeyFromLambda:NAME}`: the value of the partition key that a plugin gave a record (see `keys`); where
//!   dynamic partitioning is enabled;
//! - `!{partitionKeyFromQuery:NAME}`: the same of a key that a query takes out of records;
//! - `!{eventTime:PATTERN}`: the time that a record says of itself, printed as that of `timestamp`. Firehose has no such thing.
//!
//! A delivered prefix without any expression gets `yyyy/MM/dd/HH/` appended, without a slash between; one with an
//! expression gets nothing, also where that is random-string alone (observed, against the written rule). An error
//! prefix that is given gets nothing appended; without one it is `<prefix><error-type>/yyyy/MM/dd/HH/`. Messages and
//! rules are those of Firehose (developer guide, "Custom prefixes for S3 objects").

use chrono_tz::Tz;

use super::date_pattern::{DatePattern, local_time};
use crate::error::{Error, Result};
use crate::limits::{PLUGIN_KEY_NAME_BYTES_MAX, PLUGIN_KEYS_MAX, PREFIX_BYTES_MAX, PREFIX_MAX, PREFIX_TEXT_MAX};

mod keys;
#[cfg(test)]
mod tests;

pub use keys::{KeySource, Partitioning, query_key, source, time_key};

/// Characters of `!{firehose:random-string}`.
pub const RANDOM_CHARS: usize = 11;
/// Characters of the longest error output type (`AmazonOpenSearchService-failed`), rounded up.
const ERROR_TYPE_CHARS_MAX: usize = 32;
/// Bytes that a prefix must leave for each of its partition keys that are not times: a UUID fits.
const KEY_BYTES_LEAST: usize = 36;
const IMPLICIT_TIME: &str = "yyyy/MM/dd/HH/";
const NAME_TIME: &str = "yyyy-MM-dd-HH-mm-ss";

/// Which prefix a text stands for; each allows other expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixKind {
    /// Of delivered objects.
    Delivered,
    /// Of delivered objects, where dynamic partitioning may be used.
    Partitioned,
    /// Of error output objects.
    Errors,
}

/// A parsed prefix. What its expressions need is given at [`evaluate`](Prefix::evaluate).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    text: String,
    parts: Vec<Part>,
    /// The names of its partition keys, each once: see [`KeySource`].
    keys: Vec<String>,
    /// What Firehose appends by itself; not counted in the length of a prefix.
    implicit: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Timestamp(DatePattern),
    Random,
    ErrorType,
    /// The value of this one of the partition keys.
    Key(usize),
    /// The same of an event time, which this pattern has printed: it is written as it is.
    EventTime(usize, DatePattern),
}

/// What the expressions of a prefix are evaluated with.
#[derive(Clone, Copy, Debug)]
pub struct PrefixFacts<'a> {
    /// The object's timestamp, milliseconds since 1970; cut to seconds.
    pub object_ms: u64,
    /// Its time zone.
    pub time_zone: Tz,
    /// Eleven random characters, `!{firehose:random-string}`.
    pub random: &'a str,
    /// `!{firehose:error-output-type}`, for error prefixes.
    pub error_type: &'a str,
    /// The values of the prefix's partition keys, in their order.
    pub keys: &'a [String],
}

impl Prefix {
    /// Parses one prefix; the error is Firehose's own message. An empty error prefix is the default one of streams
    /// without a prefix: use [`check_prefixes`] for a pair.
    pub fn parse(text: &str, kind: PrefixKind) -> Result<Self> {
        let chars = text.chars().count();
        if chars > PREFIX_TEXT_MAX {
            return Err(Error::invalid(format!("a prefix has at most {PREFIX_TEXT_MAX} characters, this one {chars}")));
        }
        if text.chars().any(char::is_control) {
            return Err(Error::invalid("a prefix must not contain control characters"));
        }
        let (parts, keys) = parse_parts(text, kind)?;
        let implicit = match kind {
            PrefixKind::Delivered | PrefixKind::Partitioned if !has_expressions(&parts) => {
                vec![implicit_time(IMPLICIT_TIME)]
            }
            PrefixKind::Errors if text.is_empty() => default_error_parts(),
            _ => Vec::new(),
        };
        let prefix = Prefix { text: text.to_owned(), parts, keys, implicit };
        prefix.check_length()?;
        Ok(prefix)
    }

    /// The text as it was written; empty where the default is used.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The literal text before the first expression: every key begins with it.
    pub fn head(&self) -> &str {
        self.text.split("!{").next().unwrap_or_default()
    }

    /// Whether it has expressions as it was written.
    pub fn has_expressions(&self) -> bool {
        has_expressions(&self.parts)
    }

    /// The evaluated prefix, the time suffix `yyyy/MM/dd/HH/` included where Firehose appends one.
    pub fn evaluate(&self, facts: PrefixFacts<'_>) -> String {
        let mut out = String::with_capacity(self.text.len() + 16);
        write(&self.parts, facts, &mut out);
        write(&self.implicit, facts, &mut out);
        out
    }

    /// The names of its partition keys, each once, in order.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Characters of the longest text to which it can evaluate, what Firehose appends included, the values of partition keys
    /// left out.
    pub fn chars_max(&self) -> usize {
        chars_max(&self.parts) + chars_max(&self.implicit)
    }

    /// The error prefix of streams that have none of their own.
    fn default_error(delivered: &Prefix) -> Self {
        Prefix {
            text: String::new(),
            parts: delivered.parts.clone(),
            keys: delivered.keys.clone(),
            implicit: default_error_parts(),
        }
    }

    fn check_length(&self) -> Result<()> {
        if chars_max(&self.parts) > PREFIX_MAX {
            return Err(Error::invalid(format!("Length of evaluated prefix cannot be greater than {PREFIX_MAX}")));
        }
        let bytes = self.parts.iter().map(Part::bytes_max).sum::<usize>();
        if bytes > PREFIX_BYTES_MAX {
            return Err(Error::invalid(format!(
                "a prefix has at most {PREFIX_BYTES_MAX} bytes in UTF-8 when it is evaluated, this one up to {bytes}"
            )));
        }
        let least = KEY_BYTES_LEAST * self.keys.iter().filter(|key| !matches!(source(key), KeySource::Time(_))).count();
        if self.room() < least {
            return Err(Error::invalid(format!(
                "a prefix must leave room for {least} bytes of partition keys, this one leaves {}",
                self.room()
            )));
        }
        Ok(())
    }
}

/// Parses the two prefixes of a destination and checks them against one another; empty or missing is the default.
/// The error is Firehose's own message.
pub fn check_prefixes(prefix: Option<&str>, error_prefix: Option<&str>) -> Result<(Prefix, Prefix)> {
    check_as(PrefixKind::Delivered, prefix, error_prefix)
}

/// The same where partition keys in the prefix enable dynamic partitioning.
pub fn check_partitioned(prefix: Option<&str>, error_prefix: Option<&str>) -> Result<(Prefix, Prefix)> {
    check_as(PrefixKind::Partitioned, prefix, error_prefix)
}

fn check_as(kind: PrefixKind, prefix: Option<&str>, error_prefix: Option<&str>) -> Result<(Prefix, Prefix)> {
    let delivered = Prefix::parse(prefix.unwrap_or(""), kind)?;
    let errors = match error_prefix.filter(|text| !text.is_empty()) {
        Some(text) => Prefix::parse(text, PrefixKind::Errors)?,
        None if delivered.has_expressions() => {
            return Err(Error::invalid("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"));
        }
        None => Prefix::default_error(&delivered),
    };
    Ok((delivered, errors))
}

/// What follows the prefix in an object's key: `<name>-<version>-yyyy-MM-dd-HH-mm-ss-<nonce><extension>`.
pub fn object_name(stream: &str, version: u64, object_ms: u64, time_zone: Tz, nonce: &str, extension: &str) -> String {
    let mut name = format!("{stream}-{version}-");
    parse_own(NAME_TIME).format(&local_time(object_ms, time_zone), &mut name);
    name.push('-');
    name.push_str(nonce);
    name.push_str(extension);
    name
}

/// The time zone of that name; empty is UTC. Firehose knows an old list of IANA names (`Asia/Calcutta`, not
/// `Asia/Kolkata`); we take every IANA name but, like Firehose, none of three letters other than UTC.
pub fn time_zone(name: &str) -> Result<Tz> {
    match name {
        "" | "UTC" => Some(Tz::UTC),
        _ if name.len() == 3 => None,
        _ => name.parse().ok(),
    }
    .ok_or_else(|| {
        Error::invalid(
            "Provided custom time zone is not supported. Custom time zones are limited to UTC and non-3-letter IANA \
             time zones.",
        )
    })
}

fn parse_parts(text: &str, kind: PrefixKind) -> Result<(Vec<Part>, Vec<String>)> {
    let (mut parts, mut keys) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some((literal, tail)) = rest.split_once("!{") {
        let (expression, tail) = tail.split_once('}').ok_or_else(invalid_usage)?;
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.to_owned()));
        }
        parts.push(parse_expression(expression, kind, &mut keys)?);
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    let has_type = parts.contains(&Part::ErrorType);
    match kind {
        PrefixKind::Delivered | PrefixKind::Partitioned if has_type => {
            Err(Error::invalid("Prefix must not contain any occurrence of !{firehose:error-output-type}"))
        }
        PrefixKind::Errors if has_expressions(&parts) && !has_type => Err(Error::invalid(
            "ErrorOutputPrefix must contain at least one occurrence of !{firehose:error-output-type}",
        )),
        _ => Ok((parts, keys)),
    }
}

fn parse_expression(expression: &str, kind: PrefixKind, keys: &mut Vec<String>) -> Result<Part> {
    if expression.contains("!{") {
        return Err(invalid_usage());
    }
    let (namespace, value) = expression.split_once(':').ok_or_else(invalid_usage)?;
    match (namespace, value) {
        ("timestamp", pattern) => DatePattern::parse(pattern).map(Part::Timestamp).ok_or_else(invalid_value),
        ("firehose", "random-string") => Ok(Part::Random),
        ("firehose", "error-output-type") => Ok(Part::ErrorType),
        ("firehose", _) => Err(invalid_value()),
        ("partitionKeyFromLambda", name) if kind == PrefixKind::Partitioned => lambda_key(name, keys).map(Part::Key),
        ("partitionKeyFromQuery", name) if kind == PrefixKind::Partitioned => {
            check_name(name)?;
            key(query_key(name), keys).map(Part::Key)
        }
        ("eventTime", pattern) if kind == PrefixKind::Partitioned => {
            let parsed = DatePattern::parse(pattern).ok_or_else(invalid_value)?;
            Ok(Part::EventTime(key(time_key(pattern), keys)?, parsed))
        }
        ("partitionKeyFromQuery" | "partitionKeyFromLambda", _) => Err(Error::invalid(match kind {
            PrefixKind::Partitioned | PrefixKind::Delivered => {
                "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic Partitioning is \
                 enabled."
            }
            PrefixKind::Errors => "Dynamic Partitioning Namespaces can't be part of an error prefix expression",
        })),
        ("eventTime", _) if kind == PrefixKind::Errors => Err(Error::invalid(
            "eventTime can't be part of an error prefix: what is in the error output may have no time of its own",
        )),
        _ => Err(Error::invalid(format!("Namespace to the left of colon ({namespace}) is an invalid keyword!"))),
    }
}

/// The number of the partition key `name` of a plugin.
fn lambda_key(name: &str, keys: &mut Vec<String>) -> Result<usize> {
    check_name(name)?;
    // So that no plugin can give what is a query's or a time.
    if name.contains(':') {
        return Err(Error::invalid(format!("the name of a partition key of a plugin has no colon, unlike {name:?}")));
    }
    key(name.to_owned(), keys)
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > PLUGIN_KEY_NAME_BYTES_MAX {
        let message =
            format!("the name of a partition key has 1 to {PLUGIN_KEY_NAME_BYTES_MAX} bytes, not {}", name.len());
        return Err(Error::invalid(message));
    }
    Ok(())
}

/// The number of the partition key with this internal name.
fn key(name: String, keys: &mut Vec<String>) -> Result<usize> {
    if let Some(known) = keys.iter().position(|known| *known == name) {
        return Ok(known);
    }
    if keys.len() == PLUGIN_KEYS_MAX {
        return Err(Error::invalid(format!("a prefix has at most {PLUGIN_KEYS_MAX} partition keys")));
    }
    keys.push(name);
    Ok(keys.len() - 1)
}

fn invalid_usage() -> Error {
    Error::invalid("Invalid expression usage")
}

fn invalid_value() -> Error {
    Error::invalid("Invalid conversion character used in the value of the expression in Prefix")
}

fn has_expressions(parts: &[Part]) -> bool {
    parts.iter().any(|part| !matches!(part, Part::Literal(_)))
}

fn default_error_parts() -> Vec<Part> {
    vec![Part::ErrorType, Part::Literal("/".to_owned()), implicit_time(IMPLICIT_TIME)]
}

fn implicit_time(pattern: &'static str) -> Part {
    Part::Timestamp(parse_own(pattern))
}

fn parse_own(pattern: &'static str) -> DatePattern {
    DatePattern::parse(pattern).expect("our own patterns are valid")
}

/// Appends what parts of a prefix become.
fn write(parts: &[Part], facts: PrefixFacts<'_>, out: &mut String) {
    let at = local_time(facts.object_ms, facts.time_zone);
    let value = |key: &usize| facts.keys.get(*key).map_or("", String::as_str);
    for part in parts {
        match part {
            Part::Literal(text) => out.push_str(text),
            Part::Timestamp(pattern) => pattern.format(&at, out),
            Part::Random => out.push_str(facts.random),
            Part::ErrorType => out.push_str(facts.error_type),
            Part::Key(key) => keys::write(value(key), out),
            Part::EventTime(key, _) => out.push_str(value(key)),
        }
    }
}

fn chars_max(parts: &[Part]) -> usize {
    parts.iter().map(Part::chars_max).sum()
}

impl Part {
    fn chars_max(&self) -> usize {
        match self {
            Part::Literal(text) => text.chars().count(),
            Part::Timestamp(pattern) | Part::EventTime(_, pattern) => pattern.chars_max(),
            Part::Random => RANDOM_CHARS,
            Part::ErrorType => ERROR_TYPE_CHARS_MAX,
            // Their length is bound by what the others leave: see `Partitioning::room`.
            Part::Key(_) => 0,
        }
    }

    fn bytes_max(&self) -> usize {
        match self {
            Part::Literal(text) => text.len(),
            Part::Timestamp(pattern) | Part::EventTime(_, pattern) => pattern.bytes_max(),
            Part::Random | Part::ErrorType | Part::Key(_) => self.chars_max(),
        }
    }
}
