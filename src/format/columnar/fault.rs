//! Why a record cannot be converted, in words.

use std::fmt::Write as _;

use crate::json::{Broken, Scan};
use crate::limits::MISFIT_VALUE_CHARS_MAX;

/// Why a record goes to the error output. The codes are Firehose's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// `DataFormatConversion.ParseError` or `DataFormatConversion.MalformedData`.
    pub code: &'static str,
    /// For a person.
    pub message: String,
}

/// The record is no JSON.
pub const PARSE_ERROR: &str = "DataFormatConversion.ParseError";
/// A value does not have its column's type.
pub const MALFORMED_DATA: &str = "DataFormatConversion.MalformedData";

/// What stopped the reading of a record.
#[derive(Debug)]
pub(super) enum Fault {
    Broken(Broken),
    Unfit(Box<Unfit>),
}

/// A value that does not fit.
#[derive(Debug)]
pub(super) struct Unfit {
    /// Where it begins.
    start: usize,
    /// Columns, fields and items around it, the innermost first.
    path: Vec<String>,
    /// As in `is not a bigint`.
    why: String,
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        Fault::Broken(broken)
    }
}

impl Fault {
    /// The value at byte `start` does not fit, `why` says it.
    #[cold]
    pub(super) fn unfit(start: usize, why: impl Into<String>) -> Fault {
        Fault::Unfit(Box::new(Unfit { start, path: Vec::new(), why: why.into() }))
    }

    /// The same, of the value at byte `start`.
    pub(super) fn at(mut self, start: usize) -> Fault {
        if let Fault::Unfit(unfit) = &mut self {
            unfit.start = start;
        }
        self
    }

    /// The same, in what `part` names.
    #[cold]
    pub(super) fn within(mut self, part: &str) -> Fault {
        if let Fault::Unfit(unfit) = &mut self {
            unfit.path.push(part.to_owned());
        }
        self
    }

    /// What is said of `record`. That it is no JSON goes before all else.
    #[cold]
    pub(super) fn misfit(self, record: &[u8]) -> Misfit {
        let mut whole = Scan::new(record);
        let broken = loop {
            if whole.peek() == 0 {
                break None;
            }
            if let Err(broken) = whole.skip(0) {
                break Some(broken);
            }
        };
        match (self, broken) {
            (_, Some(broken)) | (Fault::Broken(broken), None) => parse_error(record, broken),
            (Fault::Unfit(unfit), None) => unfit.misfit(record),
        }
    }
}

impl Unfit {
    fn misfit(&self, record: &[u8]) -> Misfit {
        let mut scan = Scan::new(record);
        scan.at = self.start;
        let value = match scan.skip(0) {
            Ok(()) => &record[self.start..scan.at],
            Err(_) => &record[self.start..],
        };
        let mut message = "Data does not match the schema. ".to_owned();
        if !self.path.is_empty() {
            let path: Vec<_> = self.path.iter().rev().map(String::as_str).collect();
            // Writing to a String cannot fail.
            let _ = write!(message, "Column {:?}: ", shortened(path.join(".").as_bytes()));
        }
        let _ = write!(message, "{} {}", shortened(value), self.why);
        Misfit { code: MALFORMED_DATA, message }
    }
}

pub(super) fn parse_error(record: &[u8], Broken { at, what }: Broken) -> Misfit {
    let rest = record.get(at..).unwrap_or_default();
    let found = if rest.is_empty() { "the end".to_owned() } else { format!("{:?}", shortened(rest)) };
    let message = format!("Encountered malformed JSON. At byte {at}: {what}, found {found}");
    Misfit { code: PARSE_ERROR, message }
}

/// The first characters of a text that may be long, or none.
pub(super) fn shortened(bytes: &[u8]) -> String {
    // Four bytes a character, and one more to see that there are more.
    let head = &bytes[..bytes.len().min(MISFIT_VALUE_CHARS_MAX * 4 + 4)];
    let text = String::from_utf8_lossy(head);
    match text.char_indices().nth(MISFIT_VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}
