//! Bounds of calls to S3, and to the stores of other clouds, which keep the same.

use std::time::Duration;

/// Bytes above which an S3 object is sent in parts, and the size of each part but the last.
pub const S3_PART_BYTES: usize = 8 << 20;
/// Parts of one S3 destination in memory at once, over all its objects but the small ones: with one being collected and the others on
/// their way an upload is not held up by its round trips.
pub const S3_PARTS_MAX: usize = 4;
/// Bytes up to which an object, or the beginning of a part, waits for no room: so that many small objects are on their
/// way at once.
pub const S3_SMALL_BYTES: usize = 512 << 10;
/// Attempts of one call to S3 by the SDK itself; the pipeline tries whole objects again for as long as it likes.
pub const S3_ATTEMPTS_MAX: u32 = 3;
/// The SDK's first pause between attempts (doubled, with jitter): short, for the pipeline makes the long ones.
pub const S3_RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long a connection to S3 may take.
pub const S3_CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long one attempt of a call to S3 may take: a part of 8 MiB at 70 KB/s.
pub const S3_ATTEMPT_TIME_MAX: Duration = Duration::from_mins(2);
/// How long a call to S3 may take with all its attempts.
pub const S3_CALL_TIME_MAX: Duration = Duration::from_mins(5);
/// Objects of Google Cloud Storage or Azure in one page of a listing.
pub const CLOUD_PAGE_OBJECTS_MAX: usize = 1_000;
