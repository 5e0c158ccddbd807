//! Bounds of webhooks.

use std::time::Duration;

/// Headers that a webhook may send beside its own.
pub const WEBHOOK_HEADERS_MAX: usize = 16;
/// Bytes of the value of one of them.
pub const WEBHOOK_HEADER_BYTES_MAX: usize = 4_096;
/// Fewest bytes of a secret to sign with: that of Standard Webhooks, as the next.
pub const WEBHOOK_SECRET_BYTES_MIN: usize = 24;
/// Most bytes of it.
pub const WEBHOOK_SECRET_BYTES_MAX: usize = 64;
/// How long an answer may take, if nothing else is said.
pub const WEBHOOK_TIME_DEFAULT: Duration = Duration::from_secs(10);
/// The least that can be said.
pub const WEBHOOK_TIME_MIN: Duration = Duration::from_secs(1);
/// The most: a receiver takes a message and works on it afterwards.
pub const WEBHOOK_TIME_MAX: Duration = Duration::from_mins(1);
/// Messages of one delivery stream that wait for its receiver: a month of objects every five minutes, and a receiver of thousands of
/// partitions that is away for a while. Each is a file, about a kilobyte.
pub const WEBHOOK_WAITING_MAX: usize = 10_000;
/// Bytes of those, on disk.
pub const WEBHOOK_WAITING_BYTES_MAX: u64 = 16 << 20;
/// Bytes of one, as it is read again: with [`WEBHOOK_SPANS_MAX`] spans and the longest keys it has fewer.
pub const WEBHOOK_MESSAGE_BYTES_MAX: usize = 256 << 10;
/// Spans that one message lists; it says how many there are in all.
pub const WEBHOOK_SPANS_MAX: usize = 1_000;
/// A message that is older is given up with its next attempt that fails.
pub const WEBHOOK_AGE_MAX: Duration = Duration::from_hours(24);
/// First pause after an attempt that failed; it doubles, and half of it is left to chance.
pub const WEBHOOK_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest.
pub const WEBHOOK_PAUSE_MAX: Duration = Duration::from_mins(5);
/// The longest that a receiver may ask for by Retry-After.
pub const WEBHOOK_RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// Bytes of an answer's body that are read, and thrown away, so that the connection can be used again.
pub const WEBHOOK_ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long that may take.
pub const WEBHOOK_ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
