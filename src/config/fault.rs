//! What is wrong with a file: every fault with its line, its column and the line itself. Secrets in a shown line are
//! hidden.

use std::fmt;
use std::ops::Range;

use super::excerpt::Excerpt;
use crate::error::Error;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// From 1; 0 when the fault has no place, as that of a missing file.
    pub line: usize,
    /// In characters, from 1; 0 when the fault has no place.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
    excerpt: Option<Excerpt>,
}

/// Everything that is wrong with a file, in the order of its lines; at least one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    file_name: String,
    faults: Vec<Fault>,
}

impl Faults {
    /// A single fault without a place.
    pub(super) fn whole_file(file_name: &str, message: impl Into<String>) -> Self {
        let fault = Fault { line: 0, column: 0, message: message.into(), excerpt: None };
        Faults { file_name: file_name.to_owned(), faults: vec![fault] }
    }

    /// The faults, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter()
    }
}

/// `FILE:LINE:COLUMN: message` for each fault, with its line and a caret below.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.file_name)?;
            if fault.line > 0 {
                write!(f, "{}:{}:", fault.line, fault.column)?;
            }
            write!(f, " {}", fault.message)?;
            if let Some(excerpt) = &fault.excerpt {
                let number = fault.line.to_string();
                write!(f, "\n  {number} | {}", excerpt.line)?;
                write!(f, "\n  {:1$} | {2}", "", number.len(), excerpt.marks())?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl From<Faults> for Error {
    fn from(faults: Faults) -> Self {
        Error::invalid(faults.to_string())
    }
}

/// Gathers faults while a text is checked.
pub(super) struct Findings {
    found: Vec<(Range<usize>, String)>,
    /// Keys that were refused, by the place of their table: what is wrong is not missing too.
    refused: Vec<(usize, String)>,
}

impl Findings {
    pub(super) fn new() -> Self {
        Findings { found: Vec::new(), refused: Vec::new() }
    }

    /// Adds a fault at a range of bytes of the text.
    pub(super) fn add(&mut self, span: Range<usize>, message: impl Into<String>) {
        let fault = (span, message.into());
        if !self.found.contains(&fault) {
            self.found.push(fault);
        }
    }

    /// How many faults there are.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// Notes that `key` of the table at `table` is there, though not as it should be.
    pub(super) fn refuse(&mut self, table: &Range<usize>, key: &str) {
        self.refused.push((table.start, key.to_owned()));
    }

    /// Adds the fault that `key` of the table at `table` is missing, unless it was refused.
    pub(super) fn missing(&mut self, table: &Range<usize>, place: Range<usize>, key: &str, why: &str) {
        if !self.refused.iter().any(|(start, refused)| *start == table.start && refused == key) {
            self.add(place, format!("missing key \"{key}\"{why}"));
        }
    }

    /// Whether a key of the table at `table` is there, though not as it should be.
    pub(super) fn refused_in(&self, table: &Range<usize>) -> bool {
        self.refused.iter().any(|(start, _)| *start == table.start)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The faults with their lines in `text`.
    pub(super) fn into_faults(mut self, file_name: &str, text: &str) -> Faults {
        self.found.sort_by_key(|(span, _)| span.start);
        let place = |(span, message): (Range<usize>, String)| {
            let (line, column, excerpt) = Excerpt::of(text, &span);
            Fault { line, column, message, excerpt: Some(excerpt) }
        };
        Faults { file_name: file_name.to_owned(), faults: self.found.into_iter().map(place).collect() }
    }
}
