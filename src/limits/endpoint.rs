//! Bounds of HTTP endpoints.

use std::time::Duration;

/// Characters of the URL of an HTTP endpoint; this and what follows are Firehose's bounds.
pub const ENDPOINT_URL_MAX: usize = 1_000;
/// Bytes of its access key.
pub const ENDPOINT_ACCESS_KEY_MAX: usize = 4_096;
/// Common attributes of its requests.
pub const ENDPOINT_ATTRIBUTES_MAX: usize = 50;
/// Characters of the name of one.
pub const ENDPOINT_ATTRIBUTE_NAME_MAX: usize = 256;
/// Characters of its value.
pub const ENDPOINT_ATTRIBUTE_VALUE_MAX: usize = 1_024;
/// How long a request is tried again, the time for answers not counted.
pub const ENDPOINT_RETRY_DEFAULT: Duration = Duration::from_mins(5);
/// The most.
pub const ENDPOINT_RETRY_MAX: Duration = Duration::from_hours(2);
/// Bytes of a buffer that is sent to an endpoint.
pub const ENDPOINT_BUFFER_BYTES_MAX: u64 = 64 << 20;
/// Records in one request.
pub const ENDPOINT_RECORDS_MAX: usize = 10_000;
/// Bytes of the body of one request before compression.
pub const ENDPOINT_BODY_BYTES_MAX: usize = 64 << 20;
/// Bytes of an answer.
pub const ENDPOINT_ANSWER_BYTES_MAX: usize = 1 << 20;
/// Characters of the message in an answer.
pub const ENDPOINT_MESSAGE_CHARS_MAX: usize = 8_192;
/// How long an answer may take.
pub const ENDPOINT_TIME_MAX: Duration = Duration::from_mins(3);
/// How long a connection to an endpoint may take: ours.
pub const ENDPOINT_CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// First pause after a request that failed; it doubles, and varies by [`ENDPOINT_JITTER_PERCENT`].
pub const ENDPOINT_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest.
pub const ENDPOINT_PAUSE_MAX: Duration = Duration::from_mins(2);
/// By so much a pause is longer or shorter than it is.
pub const ENDPOINT_JITTER_PERCENT: u64 = 15;
/// Requests of one endpoint in memory at once, over all its streams: each up to [`ENDPOINT_BODY_BYTES_MAX`].
pub const ENDPOINT_REQUESTS_MAX: usize = 4;
