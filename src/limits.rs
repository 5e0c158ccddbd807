//! Every bound in one table, each with the reason for its number, and the relations that must hold between them.

use std::time::Duration;

// ---- what AWS promises its clients (spec: Amazon Data Firehose API, PutRecord and PutRecordBatch) ----

/// Bytes of one record, before base64.
pub const RECORD_BYTES_MAX: usize = 1_024_000;
/// Records of one PutRecordBatch.
pub const BATCH_RECORDS_MAX: usize = 500;
/// Bytes of all records of one PutRecordBatch, before base64: 4 MiB.
pub const BATCH_BYTES_MAX: usize = 4 << 20;
/// Characters of a delivery stream's name.
pub const STREAM_NAME_MAX: usize = 64;
/// Delivery streams in all: what current AWS documentation allows per region.
pub const STREAMS_MAX: usize = 5_000;
/// Tags of one stream.
pub const TAGS_MAX: usize = 50;

// ---- the edge ----

/// Bytes of a request body of the AWS APIs: 4 MiB in base64, with the JSON around 500 records, rounded up.
pub const API_BODY_BYTES_MAX: usize = 6 << 20;
/// Bytes of a plain ingest body as received.
pub const INGEST_BODY_BYTES_MAX: usize = 8 << 20;
/// Bytes of a plain ingest body after decompression: what one put may hold in the journal.
pub const INGEST_RECORDS_BYTES_MAX: usize = 16 << 20;
/// Records of one plain ingest request.
pub const INGEST_RECORDS_MAX: usize = 100_000;
/// Bytes of request bodies held at once, over all connections; beyond it requests get 503.
pub const BODY_BYTES_IN_FLIGHT_MAX: usize = 64 << 20;
/// Connections at once on one listener.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Bytes of a request's head.
pub const HEAD_BYTES_MAX: usize = 32 << 10;
/// How long a client may take for a request's head; also the longest idle time of a kept connection.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(75);
/// How long a client may take for a request's body.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// How far a signature's time may be from ours; AWS allows 5 minutes for most services.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);

// ---- the journal ----

/// Bytes after which a segment is sealed and the next one begun: small enough that a trimmed backlog frees disk
/// steadily, large enough that a sync of a new directory entry is rare.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// Bytes of puts waiting for the journal's writer, over all shards; a put waits for room before it is queued.
pub const APPEND_BYTES_QUEUED_MAX: usize = 32 << 20;
/// Bytes of fresh records kept in memory for readers, over all shards.
pub const FRESH_BYTES_MAX: usize = 32 << 20;
/// Bytes after which the writer stops adding puts to a group and syncs.
pub const GROUP_BYTES_MAX: usize = 8 << 20;
/// How long a call's retry is known again: SDKs give up well before.
pub const CALL_MEMORY: Duration = Duration::from_secs(600);
/// Calls remembered at once (about 48 bytes each); beyond it the oldest are forgotten early, and that is counted.
pub const CALLS_REMEMBERED_MAX: usize = 500_000;
/// Bytes that must stay free on the file system, or this share of it in percent, whichever is less: the low-water mark.
pub const FREE_BYTES_MIN: u64 = 512 << 20;
/// See [`FREE_BYTES_MIN`].
pub const FREE_PERCENT_MIN: u64 = 5;

// ---- delivery ----

/// Bytes of records encoded at once: one gzip member, one zstd frame. At this size the loss of ratio against one
/// long stream is under half a percent on web logs.
pub const ENCODE_CHUNK_BYTES: usize = 1 << 20;
/// Idle compressors kept of each kind, a few MB at most: as many as chunks may be encoded at once on a usual machine.
pub const COMPRESSORS_KEPT_MAX: usize = 8;
/// Encoded bytes kept while buffers fill, over all pipelines; beyond it a buffer is encoded when it is delivered.
pub const ENCODED_BYTES_MAX: usize = 48 << 20;
/// Bytes of one read from the journal.
pub const READ_BYTES: usize = 2 << 20;
/// Objects of one pipeline that may be under way at once.
pub const UPLOADS_PER_PIPELINE_MAX: usize = 4;
/// Objects under way at once over all pipelines: each holds at most a few chunks and one part.
pub const UPLOADS_MAX: usize = 16;
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
pub const S3_ATTEMPT_TIME_MAX: Duration = Duration::from_secs(120);
/// How long a call to S3 may take with all its attempts.
pub const S3_CALL_TIME_MAX: Duration = Duration::from_secs(300);
/// Bytes of an object's key: the bound of S3.
pub const KEY_BYTES_MAX: usize = 1_024;
/// Characters of an evaluated prefix: the bound of Firehose.
pub const PREFIX_MAX: usize = 512;
/// Bytes of one name in a path of a local directory.
pub const PATH_NAME_BYTES_MAX: usize = 255;
/// Longest pause between two attempts at one object.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);

// ---- the ledger ----

/// Bytes after which the ledger starts a new file with the live state at its head.
pub const LEDGER_FILE_BYTES: u64 = 16 << 20;

const _: () = assert!(RECORD_BYTES_MAX <= BATCH_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_MAX / 3 * 4 < API_BODY_BYTES_MAX);
const _: () = assert!(API_BODY_BYTES_MAX <= BODY_BYTES_IN_FLIGHT_MAX);
const _: () = assert!(INGEST_BODY_BYTES_MAX <= INGEST_RECORDS_BYTES_MAX);
const _: () = assert!(INGEST_RECORDS_BYTES_MAX <= APPEND_BYTES_QUEUED_MAX);
const _: () = assert!((INGEST_RECORDS_BYTES_MAX as u64) < SEGMENT_BYTES);
// S3 takes at most 10,000 parts; the largest buffer (128 MiB) times the worst growth of an encoder stays far below.
const _: () = assert!(S3_PART_BYTES >= 5 << 20);
// Each of the objects under way needs room for one part, or one would wait for the end of another.
const _: () = assert!(S3_PARTS_MAX >= UPLOADS_PER_PIPELINE_MAX);
