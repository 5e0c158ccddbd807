//! The built-in processors, as Firehose has them: decompression, logs of CloudWatch, de-aggregation, and partition keys by
//! query and by event time. Each is a pure function of its settings and the rows.
//!
//! | processor | a row becomes | it fails |
//! |---|---|---|
//! | [`gzip`] | what its GZIP members hold | `Decompression failed.` |
//! | [`logs`] | the messages of its log events, each with a line feed; nothing of a control message | `CloudWatchLogProcessing.ParseError` |
//! | [`deaggregate`] | a row for each record in it; itself if there are more than 500 | `RecordDeAggregation.ParseError` |
//! | [`keys`] | itself, with partition keys | `DynamicPartitioning.…` |
//!
//! The first code is Firehose's own; of the others it documents none, and these are in its manner. A record fails whole: when a
//! row of it fails, none goes on.

mod deaggregate;
mod gzip;
mod jq;
mod keys;
mod logs;
mod making;
mod scan;
#[cfg(test)]
mod tests;

use crate::config::{self, SubRecords};
use crate::error::{Error, Result};
use crate::limits::STEP_OUTPUT_BYTES_MAX;

use super::{Failure, Origins, Outcome, Rows};
use deaggregate::Splitter;
use keys::Keys;
use making::Making;

/// A built-in processor, ready to be used. What takes long is done once, here; it is shared by all threads.
pub struct Builtin(Kind);

enum Kind {
    Decompress,
    CloudwatchLogs,
    Deaggregate(Splitter),
    Keys(Box<Keys>),
}

impl Builtin {
    /// Makes it ready. Settings that were checked are never refused, but those of a plan may be of another version.
    pub fn new(settings: &config::Builtin) -> Result<Self> {
        Ok(Builtin(match settings {
            config::Builtin::Decompress => Kind::Decompress,
            config::Builtin::CloudwatchLogs => Kind::CloudwatchLogs,
            config::Builtin::Deaggregate(SubRecords::Json) => Kind::Deaggregate(Splitter::Json),
            config::Builtin::Deaggregate(SubRecords::Delimited(delimiter)) => {
                let bytes = base64_simd::STANDARD.decode_to_vec(delimiter);
                let bytes = bytes.map_err(|error| Error::corrupt("the delimiter is no base64").because(error))?;
                Kind::Deaggregate(Splitter::delimited(&bytes))
            }
            config::Builtin::Keys { query, event_time } => {
                Kind::Keys(Box::new(Keys::new(query.as_deref(), event_time.as_ref())?))
            }
        }))
    }

    /// What becomes of the rows.
    pub fn run(&self, rows: &Rows, origins: &Origins) -> Outcome {
        match &self.0 {
            Kind::Decompress => each(rows, gzip::unpack),
            Kind::CloudwatchLogs => each(rows, |row, out, _| logs::messages(row, out)),
            Kind::Deaggregate(splitter) => splitter.run(rows),
            Kind::Keys(keys) => keys.run(rows, origins),
        }
    }
}

/// Has `make` append what each row becomes to the data of all; it is told how many bytes may be appended.
fn each(rows: &Rows, make: impl Fn(&[u8], &mut Vec<u8>, usize) -> Result<(), Failure>) -> Outcome {
    let mut making = Making::of(rows);
    for row in 0..rows.len() {
        let left = STEP_OUTPUT_BYTES_MAX.saturating_sub(making.bytes());
        making.row(row, |out| make(rows.get(row), out, left));
    }
    making.finish()
}

fn failure(code: &'static str, message: String) -> Failure {
    Failure { code: code.into(), message, attempts: 1, by: None }
}
