//! Prefix expressions: `web/!{timestamp:yyyy/MM/dd/HH}/`.

use chrono_tz::Tz;

use crate::error::Result;

/// Which prefix a text stands for; each allows other expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixKind {
    /// Of delivered objects.
    Delivered,
    /// Of error output objects.
    Errors,
}

/// A parsed prefix. What its expressions need is given at [`evaluate`](Prefix::evaluate).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    text: String,
}

/// What the expressions of a prefix are evaluated with.
#[derive(Clone, Copy, Debug)]
pub struct PrefixFacts<'a> {
    /// The object's timestamp, milliseconds since 1970.
    pub object_ms: u64,
    /// Its time zone.
    pub time_zone: Tz,
    /// Eleven random characters, `!{firehose:random-string}`.
    pub random: &'a str,
    /// `!{firehose:error-output-type}`, for error prefixes.
    pub error_type: &'a str,
}

impl Prefix {
    /// Parses; the error is Firehose's own message.
    pub fn parse(_text: &str, _kind: PrefixKind) -> Result<Self> {
        unimplemented!("being written")
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The evaluated prefix, the time suffix `yyyy/MM/dd/HH/` included where Firehose appends one.
    pub fn evaluate(&self, _facts: PrefixFacts<'_>) -> String {
        unimplemented!("being written")
    }
}
