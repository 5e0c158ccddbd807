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

use super::{Failure, Origins, Outcome, Rows};
use deaggregate::Splitter;
pub use keys::Keyed;
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

    /// The keys of the first rows, where it gives rows nothing but keys; they are taken as [`run`](Builtin::run) takes them.
    pub fn keys(&self, rows: &Rows, origins: &Origins, bytes_max: usize) -> Option<Keyed> {
        match &self.0 {
            Kind::Keys(keys) => Some(keys.run(rows, origins, bytes_max)),
            _ => None,
        }
    }

    /// What becomes of the first rows, and how many those are: all of them, or those up to the one with which there are more than
    /// `bytes_max` bytes. What one row becomes is bounded by itself.
    pub fn run(&self, rows: &Rows, origins: &Origins, bytes_max: usize) -> (Outcome, usize) {
        match &self.0 {
            Kind::Decompress => each(rows, bytes_max, gzip::unpack),
            Kind::CloudwatchLogs => each(rows, bytes_max, logs::messages),
            // They are no more than they were.
            Kind::Deaggregate(splitter) => (splitter.run(rows), rows.len()),
            Kind::Keys(keys) => keys.run(rows, origins, bytes_max).outcome(rows),
        }
    }
}

/// Has `make` append what each row becomes to the data of all.
fn each(rows: &Rows, bytes_max: usize, make: impl Fn(&[u8], &mut Vec<u8>) -> Result<(), Failure>) -> (Outcome, usize) {
    let mut making = Making::of(rows);
    let mut taken = 0;
    while taken < rows.len() && making.bytes() <= bytes_max {
        making.row(taken, |out| make(rows.get(taken), out));
        taken += 1;
    }
    (making.finish(), taken)
}

fn failure(code: &'static str, message: String) -> Failure {
    Failure { code: code.into(), message, attempts: 1, by: None }
}
