//! The first layer of validation: the constraints of the API's public model (version 2013-12-02), as one table of
//! members for each operation ([`operations`]).
//!
//! First the types: a value that cannot be what its member is, is a `SerializationException`; what comes out has the
//! type that the table says (blobs decoded, times in milliseconds, fractions of integers cut off, integers held
//! within 32 bits). Then the constraints: every one that is broken is reported, up to ten, in one
//! `ValidationException` with AWS's wording. Members that are null count as absent; those that the model does not
//! know are left out, as AWS does, and so is `StreamId`, which means nothing yet.

mod check;
mod convert;
mod operations;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use regex::Regex;

use super::{Bounds, Document, Wire};
use crate::api::ApiError;

/// What a member may be.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Text(Text),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Of 32 bits.
    Integer {
        min: i64,
        max: i64,
    },
    Boolean,
    Time,
    /// Of so many bytes at most.
    Blob {
        max: usize,
    },
    List {
        min: usize,
        max: usize,
        of: &'static Shape,
    },
    Map {
        min: usize,
        max: usize,
        key: Text,
        value: Text,
    },
    Structure(&'static [Member]),
}

/// A text's characters and form.
#[derive(Clone, Copy, Debug)]
struct Text {
    min: usize,
    max: usize,
    pattern: Option<Pattern>,
}

/// The forms that the model knows.
#[derive(Clone, Copy, Debug)]
enum Pattern {
    Name,
    StreamArn,
    ConsumerArn,
    ResourceArn,
    Sequence,
    HashKey,
}

/// A member of a structure.
#[derive(Clone, Copy, Debug)]
struct Member {
    name: &'static str,
    required: bool,
    shape: Shape,
}

impl Pattern {
    /// As the model spells it, and so as messages do.
    fn spelled(self) -> &'static str {
        match self {
            Pattern::Name => r"[a-zA-Z0-9_.-]+",
            Pattern::StreamArn => r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+",
            Pattern::ConsumerArn => {
                r"^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+"
            }
            Pattern::ResourceArn => r"arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+",
            Pattern::Sequence => r"0|([1-9]\d{0,128})",
            Pattern::HashKey => r"0|([1-9]\d{0,38})",
        }
    }

    fn matches(self, text: &str) -> bool {
        static ALL: LazyLock<[Regex; 6]> = LazyLock::new(|| {
            use Pattern::{ConsumerArn, HashKey, Name, ResourceArn, Sequence, StreamArn};
            [Name, StreamArn, ConsumerArn, ResourceArn, Sequence, HashKey].map(Pattern::compile)
        });
        ALL[self as usize].is_match(text)
    }

    /// The whole text must match, and Java's classes are those of ASCII.
    fn compile(self) -> Regex {
        let ascii = self.spelled().replace(r"\d", "[0-9]").replace(r"\S", r"[^ \t\n\r\f\x0B]");
        Regex::new(&format!(r"\A(?:{ascii})\z")).expect("a test compiles all of them")
    }
}

/// Reads the body of `operation` and checks it; a map that has members of the model only, none of them null.
///
/// # Errors
/// `UnknownOperationException`, `SerializationException`, `ValidationException`.
pub fn read(operation: &str, wire: Wire, body: &[u8]) -> Result<Document, ApiError> {
    let members = operations::members(operation).ok_or_else(|| {
        let shown = super::document::shown(operation);
        ApiError::unknown_operation(format!("Unknown operation {}.{shown}", super::TARGET))
    })?;
    let document = Document::read(wire, body, Bounds::default())?;
    let Document::Map(given) = document else {
        return Err(ApiError::serialization("The request body is not a structure"));
    };
    let input = convert::structure(members, given, wire)?;
    check::check(members, &input)?;
    Ok(input)
}

/// Whether this is an operation that we have.
pub fn knows(operation: &str) -> bool {
    operations::members(operation).is_some()
}
