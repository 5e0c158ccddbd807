//! Finds out what a store is like by writing one empty object, and remembers what it refuses.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;

use super::fault::Fault;
use super::{Bucket, ObjectFacts};
use crate::error::Result;

const CONDITION: u8 = 1;
const CHECKSUM: u8 = 2;
/// A header may have been refused.
const DOUBT: u8 = 4;

/// Headers that not every store takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headers {
    /// `If-None-Match: *`.
    pub(super) condition: bool,
    /// `x-amz-checksum-…`.
    pub(super) checksum: bool,
}

/// Which headers a store is sent: all, until it refuses one.
pub(super) struct Habits(AtomicU8);

impl Default for Habits {
    fn default() -> Self {
        Habits(AtomicU8::new(CONDITION | CHECKSUM))
    }
}

impl Habits {
    /// What is sent now.
    pub(super) fn headers(&self) -> Headers {
        let bits = self.0.load(Ordering::Relaxed);
        Headers { condition: bits & CONDITION != 0, checksum: bits & CHECKSUM != 0 }
    }

    /// Takes note that a header may have been refused.
    pub(super) fn doubt(&self) {
        self.0.fetch_or(DOUBT, Ordering::Relaxed);
    }

    /// Whether to find out again; true once for each doubt.
    pub(super) fn take_doubt(&self) -> bool {
        self.0.fetch_and(!DOUBT, Ordering::Relaxed) & DOUBT != 0
    }

    /// Also ends any doubt.
    fn set(&self, headers: Headers) {
        let condition = if headers.condition { CONDITION } else { 0 };
        let checksum = if headers.checksum { CHECKSUM } else { 0 };
        self.0.store(condition | checksum, Ordering::Relaxed);
    }
}

/// What the probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Findings {
    condition: Condition,
    checksum: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Honoured,
    Ignored,
    Refused,
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.condition {
            Condition::Honoured => "honours If-None-Match",
            Condition::Ignored => "ignores If-None-Match: exactly-once rests on the plan's nonce alone",
            Condition::Refused => {
                "refuses If-None-Match, so it is not sent: exactly-once rests on the plan's nonce alone"
            }
        })?;
        if !self.checksum {
            f.write_str("; refuses checksum headers, so they are not sent")?;
        }
        Ok(())
    }
}

/// Writes `key` (empty) until it is clear what the store makes of our headers, and sets the bucket's habits.
pub(super) async fn find_out(bucket: &Bucket, key: &str) -> Result<Findings> {
    let mut refusal = Fault::default();
    for (condition, checksum) in [(true, true), (false, true), (true, false), (false, false)] {
        let headers = Headers { condition, checksum };
        match find_condition(bucket, key, headers).await {
            Ok(condition) => {
                bucket.habits.set(headers);
                return Ok(Findings { condition, checksum });
            }
            Err(fault) if fault.refuses_header() => refusal = fault,
            Err(fault) => return Err(bucket.failed("probe", key, fault).await),
        }
    }
    // It refused everything, so it was not our headers.
    Err(bucket.failed("probe", key, refusal).await)
}

/// What the store makes of a condition that holds, and of one that does not.
async fn find_condition(bucket: &Bucket, key: &str, headers: Headers) -> Result<Condition, Fault> {
    // The first may find the object of an earlier start; the second must find the first's.
    for _ in 0..2 {
        if !put(bucket, key, headers).await? {
            return Ok(Condition::Honoured);
        }
        if !headers.condition {
            return Ok(Condition::Refused);
        }
    }
    Ok(Condition::Ignored)
}

/// Puts the empty object; false where it was there. Another instance's probe at the same moment (409) shows as much.
async fn put(bucket: &Bucket, key: &str, headers: Headers) -> Result<bool, Fault> {
    let client = bucket.connection.client();
    let put = bucket.put(&client, key, Bytes::new(), ObjectFacts::default(), headers);
    let Err(error) = put.send().await else { return Ok(true) };
    let fault = Fault::of(&error);
    if fault.says_exists(headers) || fault.is_conflict() { Ok(false) } else { Err(fault) }
}
