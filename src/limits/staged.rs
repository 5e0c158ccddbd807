//! The bounds of what functions make and what is staged of it.

/// Chunks of one delivery stream that go through functions at once. Each has one call under way, and about a MiB of records.
pub const FUNCTION_CALLS_PER_STREAM_MAX: usize = 4;
/// Bytes of all staged files together. A bound of its own beside the journal's budget: delivery must be able to go on, and to
/// free the journal, when that is used up; so staged files may also take what must stay free
/// ([`FREE_BYTES_MIN`](super::FREE_BYTES_MIN)).
pub const STAGED_BYTES_MAX: u64 = 4 << 30;
/// Bytes of all files of batches together: what functions made of batches above the watermarks of partitioned streams.
/// Beyond it lanes that hold a watermark are cut.
pub const STAGED_BATCHES_BYTES_MAX: u64 = 4 << 30;
/// Bytes of what open lanes have encoded on disk: 500 lanes of 128 MiB each at a ratio of eight. Beyond it rows are made again from
/// the journal.
pub const SPILL_BYTES_MAX: u64 = 8 << 30;
/// What a spill leaves free on the disk: twice what the journal must find ([`FREE_BYTES_MIN`](super::FREE_BYTES_MIN)).
pub const SPILL_FREE_BYTES_MIN: u64 = 1 << 30;
/// Bytes of one staged file, in which large parts are compressed; the records whose rows lie beyond fail. Only a function that makes
/// much more of records than they were gets there. With the largest buffer, failed whole, a file stays below [`STAGED_BYTES_MAX`]: so one
/// of them always finds room.
pub const STAGED_ROWS_BYTES_MAX: u64 = 1 << 30;
/// Bytes of one part of a staged file: what became of one chunk, at most
/// [`STEP_OUTPUT_BYTES_MAX`](super::STEP_OUTPUT_BYTES_MAX) of rows with their keys, and the records that failed.
pub const STAGED_PART_BYTES_MAX: usize = 1 << 30;
/// Codes of failed calls that are counted of one function.
pub const FUNCTION_CODES_MAX: usize = 16;
