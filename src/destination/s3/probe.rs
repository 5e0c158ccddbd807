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

/// Which headers a store is sent: all, until it refuses one.
pub(super) struct Habits(AtomicU8);

impl Default for Habits {
    fn default() -> Self {
        Habits(AtomicU8::new(CONDITION | CHECKSUM))
    }
}

impl Habits {
    /// Whether `If-None-Match` is sent.
    pub(super) fn condition(&self) -> bool {
        self.0.load(Ordering::Relaxed) & CONDITION != 0
    }

    /// Whether checksums are sent.
    pub(super) fn checksum(&self) -> bool {
        self.0.load(Ordering::Relaxed) & CHECKSUM != 0
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
    fn set(&self, bits: u8) {
        self.0.store(bits, Ordering::Relaxed);
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
    let before = bucket.habits.0.load(Ordering::Relaxed) & !DOUBT;
    let mut refusal = Fault::default();
    for bits in [CONDITION | CHECKSUM, CHECKSUM, CONDITION, 0] {
        bucket.habits.set(bits);
        match find_condition(bucket, key).await {
            Ok(condition) => return Ok(Findings { condition, checksum: bits & CHECKSUM != 0 }),
            Err(fault) if fault.refuses_header() => refusal = fault,
            Err(fault) => {
                bucket.habits.set(before);
                return Err(bucket.failed("probe", key, fault).await);
            }
        }
    }
    // It refused everything, so it was not our headers.
    let error = bucket.failed("probe", key, refusal).await;
    bucket.habits.set(before);
    Err(error)
}

/// What the store makes of a condition that holds, and of one that does not.
async fn find_condition(bucket: &Bucket, key: &str) -> Result<Condition, Fault> {
    if !bucket.habits.condition() {
        put(bucket, key).await?;
        return Ok(Condition::Refused);
    }
    // The first may find the object of an earlier start; the second must find the first's.
    for _ in 0..2 {
        if !put(bucket, key).await? {
            return Ok(Condition::Honoured);
        }
    }
    Ok(Condition::Ignored)
}

/// Puts the empty object; false where it was there. Another instance's probe at the same moment (409) shows as much.
async fn put(bucket: &Bucket, key: &str) -> Result<bool, Fault> {
    let client = bucket.connection.client();
    let Err(error) = bucket.put(&client, key, Bytes::new(), ObjectFacts::default()).send().await else {
        return Ok(true);
    };
    let fault = Fault::of(&error);
    let conflict = fault.status == Some(409) && fault.code == "ConditionalRequestConflict";
    if bucket.says_exists(&fault) || conflict { Ok(false) } else { Err(fault) }
}
