//! What has been shown: each record once, also after a connection was made again.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Deserialize;

use super::Format;
use crate::cli::terminal::{complain, count, harmless};
use crate::config::StartAt;
use crate::error::{Error, Result};

/// The output, and how far it is.
pub(super) struct Shown<W> {
    out: W,
    format: Format,
    /// Control characters are replaced.
    is_terminal: bool,
    left: Option<u64>,
    /// Of each shard the last record.
    last: BTreeMap<String, Last>,
}

struct Last {
    arrived_ms: u64,
    /// Its number, see [`Line::number`].
    number: (usize, String),
}

/// A line of the answer, as much of it as matters.
#[derive(Deserialize)]
struct Line {
    shard: String,
    position: Option<u64>,
    sequence: Option<String>,
    #[serde(default)]
    arrived: u64,
    missed: Option<u64>,
    data: Option<String>,
    data_base64: Option<String>,
}

impl<W: Write> Shown<W> {
    pub(super) fn new(out: W, format: Format, is_terminal: bool, limit: Option<u64>) -> Self {
        Shown { out, format, is_terminal, left: limit, last: BTreeMap::new() }
    }

    /// Where to go on, once something was shown: with the oldest of the shards' last records, because no shard has
    /// anything older that was not shown. What comes twice for that is known by its number.
    pub(super) fn resume(&self) -> Option<StartAt> {
        self.last.values().map(|last| last.arrived_ms).min().map(StartAt::Time)
    }

    /// Shows a line of the answer; false when that was the last one that is wanted, or nobody reads.
    ///
    /// # Errors
    /// `Invalid` for a line that is none of ours, and for an output that cannot be written.
    pub(super) fn line(&mut self, text: &[u8]) -> Result<bool> {
        let line: Line = serde_json::from_slice(text)
            .map_err(|error| Error::invalid("a line of the answer is not one of a Standpipe").because(error))?;
        if let Some(missed) = line.missed {
            complain(format_args!(
                "{}: {} records were gone before they were read",
                harmless(&line.shard),
                count(missed)
            ));
            return written(match self.format {
                Format::Json => self.out.write_all(&[text, b"\n"].concat()),
                Format::Text => Ok(()),
            });
        }
        let number = line.number();
        if self.last.get(&line.shard).is_some_and(|last| last.number >= number) {
            return Ok(true);
        }
        let shown = match self.format {
            Format::Json => [text, b"\n"].concat(),
            Format::Text => self.text(&line)?,
        };
        let outcome = self.out.write_all(&shown).and_then(|()| self.out.flush());
        self.last.insert(line.shard, Last { arrived_ms: line.arrived, number });
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        Ok(written(outcome)? && self.left != Some(0))
    }

    /// The record's bytes, on a line of their own.
    fn text(&self, line: &Line) -> Result<Vec<u8>> {
        let mut bytes = match (&line.data, &line.data_base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(base64)) => base64_simd::STANDARD
                .decode_to_vec(base64)
                .map_err(|error| Error::invalid("a record of the answer is not in base64").because(error))?,
            (None, None) => Vec::new(),
        };
        if self.is_terminal && line.data.is_none() {
            bytes = harmless(&String::from_utf8_lossy(&bytes)).into_bytes();
        }
        if !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        Ok(bytes)
    }
}

impl Line {
    /// The record's number in its shard: digits, the shorter ones first.
    fn number(&self) -> (usize, String) {
        let digits = match (self.position, &self.sequence) {
            (Some(position), _) => position.to_string(),
            (None, Some(sequence)) => sequence.clone(),
            (None, None) => String::new(),
        };
        (digits.len(), digits)
    }
}

/// A reader that went away (`| head`) is an end like any other.
fn written(outcome: io::Result<()>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::invalid("standard output cannot be written").because(error)),
    }
}
