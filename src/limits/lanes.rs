//! The bounds of partitioned streams.

use std::time::Duration;

/// Bytes of joined rows that an open lane of a partitioned stream gathers before they are encoded.
pub const LANE_CHUNK_BYTES: usize = 64 << 10;
/// Up to so many bytes rows of several batches are gathered in one piece of memory.
pub const LANE_PIECE_BYTES: usize = 8 << 10;
/// With so many bytes of the rows of several lanes a job that encodes them is large enough: another processor takes the next.
pub const LANES_TOGETHER_BYTES: usize = 1 << 20;
/// The same of all lanes of one stream; beyond it what is larger than the mean is encoded early.
pub const LANES_RAW_BYTES_MAX: usize = 48 << 20;
/// Bytes of failed records with which an error output object of a partitioned stream is large enough.
pub const LANE_FAILURES_BYTES: u64 = 1 << 20;
/// Lanes of one stream that may be open unless it says otherwise: what Firehose allows. Beyond it those nearest to their triggers
/// are cut.
pub const LANES_OPEN_DEFAULT: usize = 500;
/// The most that a stream may say: each takes some 64 KiB of memory.
pub const LANES_OPEN_MAX: usize = 10_000;
/// Lanes of one stream of which something is planned above its watermark: beyond it those that hold the watermark are cut. Each is
/// some hundred bytes, here and in the ledger.
pub const LANES_PLANNED_MAX: usize = 20_000;
/// Early cuts of batches that no plan has written down yet, of one stream: beyond it some lanes are cut, whose plans do. Each is
/// some 30 bytes of a line of the ledger.
pub const LANE_CUTS_MAX: usize = 4_096;
/// Bytes of records of one partitioned stream, of all its shards, that wait for their batch to be whole; beyond it all batches
/// are cut early.
pub const LANE_BLOCKS_BYTES_MAX: usize = 32 << 20;
/// Batches of one partitioned stream that are being routed.
pub const LANE_BATCHES_MAX: usize = 8;
/// Plans of one partitioned stream that are not committed; at so many nothing more is read until some are.
pub const LANE_PLANS_MAX: usize = 1_024;
/// How often the watermark of a partitioned stream advances.
pub const LANES_ADVANCE_EVERY: Duration = Duration::from_secs(1);
