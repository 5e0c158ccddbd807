//! Looking at what was delivered: `standpipe errors`, `verify` and `replay`.

use std::time::Duration;

/// Objects in a page of a directory's listing: each page reads the directories on its way again.
pub const LIST_PAGE_OBJECTS: usize = 10_000;
/// Directories in one another that are listed: a key has 1,024 bytes, so no object of ours is deeper.
pub const LIST_DEPTH_MAX: usize = 512;
/// Bytes of a file that are read at once.
pub const READ_PIECE_BYTES: usize = 256 << 10;
/// Bytes of a line of an error output object: the largest record in base64, its message, and what is said beside it.
pub const ERROR_LINE_BYTES_MAX: usize = 16 << 20;
/// Bytes of a marker of what was sent again: 500 records that all stand apart take 10 KiB.
pub const MARKER_BYTES_MAX: usize = 64 << 10;
/// How long a batch of records that are sent again is tried: well within the memory of calls.
pub const RESEND_TIME_MAX: Duration = Duration::from_mins(3);
/// How old a marker may be for its batch to be sent once more under its name. With the time of sending and a clock that is a
/// little off it stays below the memory of calls.
pub const RESEND_AGE_MAX: Duration = Duration::from_mins(6);

// The help of the commands says 900 calls a second.
const _: () = assert!(
    super::CALLS_REMEMBERED_MAX as u64 / (RESEND_TIME_MAX.as_secs() + RESEND_AGE_MAX.as_secs()) >= 900,
    "a call that is made again must be remembered while so many come"
);

const _: () = assert!(
    RESEND_TIME_MAX.as_secs() + RESEND_AGE_MAX.as_secs() < super::CALL_MEMORY.as_secs(),
    "what is sent once more must be known again"
);
