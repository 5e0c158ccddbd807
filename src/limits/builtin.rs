//! Bounds of the built-in processors (spec: Amazon Data Firehose API, ProcessorParameter; developer guide, "Dynamic
//! partitioning").

use std::time::Duration;

/// Characters of a query: those of a parameter's value.
pub const QUERY_CHARS_MAX: usize = 5_120;
/// Bytes of the value of one of its keys: what is longer nobody reads, and its parser calls itself.
pub const QUERY_VALUE_BYTES_MAX: usize = 1_024;
/// Brackets within each other in a query.
pub const QUERY_DEPTH_MAX: usize = 24;
/// Minus signs in one value of a query: each may be a call of the parser within another.
pub const QUERY_NEGATIONS_MAX: usize = 64;
/// How much larger than the record may be what one value of a query makes on its way.
pub const QUERY_COPIES_MAX: u64 = 256;
/// Steps of a plain path.
pub const QUERY_PATH_SEGMENTS_MAX: usize = 32;
/// The largest number of an element in a plain path.
pub const QUERY_INDEX_MAX: usize = 1_000_000;
/// Objects and arrays within each other in a record of which jq is asked: it calls itself for each.
pub const QUERY_RECORD_DEPTH_MAX: usize = 128;
/// Bytes of a record of which jq is asked: the largest of a data stream. What jq makes of it on its way may be forty times as large where a text is
/// split, and as many times as a query has [copies](QUERY_COPIES_MAX).
pub const QUERY_RECORD_BYTES_MAX: usize = 10 << 20;
/// Values in such a record: each takes 16 bytes of jq's tree, and up to 200 where it is a small object, so that a tree has 100 MiB at most.
pub const QUERY_RECORD_VALUES_MAX: usize = 512 << 10;
/// Digits of a number in a record of which jq is asked, and of one that is a key: longer ones take quadratic time.
pub const QUERY_NUMBER_BYTES_MAX: usize = 512;
/// Bytes that one compressed record may become: the largest record of a data stream, and as many times as logs shrink.
pub const DECOMPRESSED_RECORD_BYTES_MAX: usize = 32 << 20;
/// Records in one record that is taken apart; one with more goes on whole: the bound of Firehose.
pub const SUB_RECORDS_MAX: usize = 500;
/// The farthest that a record's time may be said to be allowed from its arrival.
pub const EVENT_TIME_DISTANCE_MAX: Duration = Duration::from_hours(24 * 3_650);
/// Bytes of a delimiter: those of a parameter's value, before base64.
pub const DELIMITER_BYTES_MAX: usize = 3_840;
