//! Every bound in one table, each with the reason for its number, and the relations that must hold between them.

use std::time::Duration;

mod builtin;
mod columnar;
mod data_streams;
mod endpoint;
mod lanes;
mod look;
mod staged;
mod stores;
mod webhook;

pub use builtin::*;
pub use columnar::*;
pub use data_streams::*;
pub use endpoint::*;
pub use lanes::*;
pub use look::*;
pub use staged::*;
pub use stores::*;
pub use webhook::*;

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
pub const BODY_TIME_MAX: Duration = Duration::from_mins(1);
/// How long a client may send nothing in the middle of a request's body.
pub const BODY_STALL_MAX: Duration = Duration::from_secs(15);
/// Bytes of a body that is refused anyway which are still read, and thrown away, so that the client hears why instead
/// of losing its connection.
pub const REFUSED_BODY_BYTES_MAX: usize = 32 << 20;
/// How long that may take.
pub const REFUSED_BODY_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a client may take for the TLS handshake.
pub const TLS_HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// When all connections are taken, one on which nothing has been asked for this long makes room.
pub const IDLE_UNDER_PRESSURE: Duration = Duration::from_secs(1);
/// Requests at once on one HTTP/2 connection.
pub const H2_STREAMS_MAX: u32 = 64;
/// HTTP/2 streams that a client may reset before we close the connection: honest clients reset few.
pub const H2_RESETS_MAX: usize = 32;
/// Bytes of answers that wait on one HTTP/2 stream for its client: they count as sent, so nothing else bounds them.
pub const H2_SEND_BYTES_MAX: usize = 64 << 10;
/// Bytes that a client may send ahead on one HTTP/2 stream, and on all streams of one connection.
pub const H2_WINDOW_BYTES: u32 = 256 << 10;
/// Bytes that one read from a connection may bring: large enough that a batch of 5 MiB takes few of them.
pub const READ_BUFFER_BYTES_MAX: usize = 64 << 10;
/// Bytes of an answer that are handed to a connection at once: what a client that reads no further holds beside the
/// rest of the answer.
pub const ANSWER_PIECE_BYTES: usize = 64 << 10;
/// How long a client may read nothing of an answer that is there.
pub const ANSWER_STALL_MAX: Duration = Duration::from_secs(75);
/// How long a client may take to read an answer, or the piece of a long one, that takes room from others: the largest at
/// 120 KB/s. Whoever reads a little now and then would hold it for hours.
pub const ANSWER_TIME_MAX: Duration = Duration::from_mins(2);
/// Bytes of one piece of a long answer that take no room from others.
pub const PUSH_FREE_BYTES: usize = 128 << 10;
/// Bytes of larger pieces of long answers held at once, over all connections.
pub const PUSH_BYTES_IN_FLIGHT_MAX: usize = 64 << 20;
/// How long a GetRecords call waits for room for its answer before it is throttled.
pub const ANSWER_ROOM_WAIT_MAX: Duration = Duration::from_secs(2);
/// Characters of a client's own name for a call; a longer one is not used.
pub const INVOCATION_ID_MAX: usize = 128;
/// How far a signature's time may be from ours; AWS allows 5 minutes for most services.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_mins(5);

/// Broken constraints that one answer lists: a request of megabytes of nonsense must not get a larger answer.
pub const VALIDATION_ERRORS_MAX: usize = 100;

/// Readers of plain HTTP at once; each holds a read of the journal and about two pieces of its answer.
pub const TAILS_MAX: usize = 128;
/// Bytes that one of them reads at once; one put is read however large it is.
pub const TAIL_READ_BYTES: usize = 256 << 10;
/// About so many bytes of lines go out together; one line goes out however long it is.
pub const TAIL_PIECE_BYTES: usize = 64 << 10;
/// How often a reader to whom nothing new comes is told that we are there.
pub const TAIL_HEARTBEAT: Duration = Duration::from_secs(15);

// ---- importers ----

/// Answers of sources held at once, over all importers; each has at most 10 MiB of records.
pub const SOURCE_ANSWERS_MAX: usize = 4;
/// Attempts of the SDK at one call, before we pause by ourselves.
pub const SOURCE_ATTEMPTS_MAX: u32 = 2;
/// Time for a connection to a source.
pub const SOURCE_CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Time for one call to a source.
pub const SOURCE_CALL_TIME_MAX: Duration = Duration::from_secs(30);
/// Characters that are kept of a source's error.
pub const SOURCE_ERROR_CHARS_MAX: usize = 500;
/// Pause after a call that failed: at first.
pub const SOURCE_PAUSE_MIN: Duration = Duration::from_millis(250);
/// The same after many.
pub const SOURCE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Least time between two reads of one shard: AWS allows five a second.
pub const SOURCE_READ_EVERY_MIN: Duration = Duration::from_millis(210);
/// How often a source is asked for new shards when none has ended.
pub const SOURCE_SHARDS_EVERY: Duration = Duration::from_mins(1);
/// Records whose arrival differs by more than this are not copied in one put: the hour in an object's prefix is that of its
/// oldest record.
pub const SOURCE_PUT_SPREAD_MS: u64 = 60_000;
/// After so long without an answer of a source it is asked whether it still has what was copied last.
pub const SOURCE_GAP_AFTER: Duration = Duration::from_mins(1);
/// Reads that this may take, where a shard has long stretches without records.
pub const SOURCE_GAP_READS_MAX: usize = 20;
/// A subscription of which nothing is heard for this long is given up: one event is due every five seconds.
pub const SOURCE_SILENCE_MAX: Duration = Duration::from_secs(20);
/// How long the checkpoint of a shard is kept that its stream does not list any more: records of Kinesis live a day at the
/// least, so none of it can be asked for then.
pub const SOURCE_SHARD_KEPT: Duration = Duration::from_hours(24);

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
/// How long a failed write of the journal makes the service not ready, unless one goes well before.
pub const WRITE_FAULT_MEMORY: Duration = Duration::from_secs(30);
/// How long a call's retry is known again: SDKs give up well before.
pub const CALL_MEMORY: Duration = Duration::from_mins(10);
/// Calls remembered at once (about 80 bytes each); beyond it the oldest are forgotten early, and that is counted.
pub const CALLS_REMEMBERED_MAX: usize = 500_000;
/// Bytes that must stay free on the file system, or this share of it in percent, whichever is less: the low-water mark.
pub const FREE_BYTES_MIN: u64 = 512 << 20;
/// Percent of the journal's disk budget above which a stream may hold no more than an even share of it.
pub const SHORT_PERCENT: u64 = 80;
/// See [`FREE_BYTES_MIN`].
pub const FREE_PERCENT_MIN: u64 = 5;
/// How long the room on the file system is taken for known, besides what we write ourselves.
pub const FREE_CHECK_EVERY: Duration = Duration::from_secs(1);
/// Puts waiting for the journal's writer; their bytes are bounded by [`APPEND_BYTES_QUEUED_MAX`].
pub const APPENDS_QUEUED_MAX: usize = 4_096;
/// Jobs (sealing, freeing) waiting for the journal's keeper: a sealed segment each, so far more than a burst needs.
pub const KEEPER_JOBS_MAX: usize = 256;
/// Threads that sync files beside the writer, when a group touched several: the file system joins their commits.
pub const SYNC_THREADS: usize = 4;
/// Segment files that the writer holds open at once; the one that was idle for longest is closed.
pub const SEGMENT_FILES_OPEN_MAX: usize = 256;
/// How long the writer holds the file of a shard that is idle.
pub const SEGMENT_FILE_IDLE: Duration = Duration::from_secs(30);
/// Bytes between two marks of a segment's sparse index: what a read at any position reads in vain at most, about.
pub const SEGMENT_MARK_BYTES: u64 = 128 << 10;
/// Bytes of an active segment above which it is freed once all of it has been trimmed.
pub const SEGMENT_SPARE_BYTES: u64 = 1 << 20;
/// How long nothing was put into a shard before its active segment, all of it trimmed, is freed however small it is. A
/// stream that gets a put now and then shall not pay five syncs instead of one for each.
pub const SEGMENT_SPARE_IDLE: Duration = Duration::from_mins(5);
/// Least bytes of a segment where a disk budget asks for small ones (an eighth of the budget).
pub const SEGMENT_BYTES_MIN: u64 = 64 << 10;

// ---- the catalog ----

/// Changes of streams that may wait for the catalog's writer, which stores all that wait in one file; a caller waits
/// for room. Enough that a burst of creations shares its syncs.
pub const CATALOG_CHANGES_QUEUED_MAX: usize = 128;
/// Bytes of the stored catalog: 5,000 streams with all the tags and prefixes that a sane deployment gives them.
pub const CATALOG_BYTES_MAX: usize = 128 << 20;
/// Bytes of one stream as the API describes it, as JSON: what is only kept to be shown is bounded too.
pub const STREAM_API_BYTES_MAX: usize = 64 << 10;

// ---- delivery ----

/// Bytes of records encoded at once: one gzip member, one zstd frame. At this size the loss of ratio against one
/// long stream is under half a percent on web logs.
pub const ENCODE_CHUNK_BYTES: usize = 1 << 20;
/// Records encoded at once: with short ones a chunk ends before its bytes are reached. Records without any byte would else
/// be gathered without bound, at a hundred bytes of bookkeeping each.
pub const ENCODE_CHUNK_RECORDS_MAX: usize = 32 << 10;
/// Idle compressors kept of each kind, a few MB at most: as many as chunks may be encoded at once on a usual machine.
pub const COMPRESSORS_KEPT_MAX: usize = 8;
/// Encoded bytes kept while buffers fill, over all pipelines; beyond it a buffer is encoded when it is delivered.
pub const ENCODED_BYTES_MAX: usize = 48 << 20;
/// Bytes that the chunks of one pipeline may hold that are not whole yet, of all shards that it reads; beyond it a buffer is
/// encoded when it is delivered. One shard never gets there.
pub const OPEN_CHUNKS_BYTES_MAX: usize = 8 << 20;
/// Bytes of rows, with their partition keys, that one step may make of one record; of an aggregate, the user records whose rows lie beyond
/// fail. It is well above what one record may be and what one compressed record may become.
pub const STEP_OUTPUT_BYTES_MAX: usize = 128 << 20;
/// The same of all records that go through the steps together: where a step makes more of them, each half of them goes through the
/// steps on its own. So it bounds memory and is no record's fate. With [`ENCODE_CHUNK_BYTES`] and one record more as input, rows must be
/// multiplied by dozens. A plugin sees those halves, so that a version that changes it cannot read again what another has planned.
pub const STEP_TOGETHER_BYTES_MAX: usize = 64 << 20;
/// Modules of plugins that are fetched and compiled at once: each takes its bytes and several times as much to compile.
pub const MODULES_AT_ONCE: usize = 2;
/// How long a start waits for the modules of plugins; those of a store that hangs are installed behind it.
pub const MODULES_WAIT_MAX: Duration = Duration::from_secs(20);
/// Pause before a plugin's module that could not be fetched or installed is tried again: at first.
pub const MODULE_RETRY_MIN: Duration = Duration::from_secs(1);
/// The same after many times.
pub const MODULE_RETRY_MAX: Duration = Duration::from_mins(5);
/// Codes of failures that are counted apart for each stream; further ones are counted together.
pub const FAILURE_CODES_MAX: usize = 64;
/// Bytes of one read from the journal.
pub const READ_BYTES: usize = 2 << 20;
/// Objects of one pipeline that may be under way at once.
pub const UPLOADS_PER_PIPELINE_MAX: usize = 4;
/// Objects under way at once over all pipelines whose store answers: most are small and in memory already.
pub const UPLOADS_MAX: usize = 64;
/// Attempts under way at once over all pipelines whose last attempt failed.
pub const RETRIES_MAX: usize = 16;
/// How long an attempt counts among those under way: a store that hangs keeps others waiting no longer than this.
pub const UPLOAD_TURN_MAX: Duration = Duration::from_secs(10);
/// How often it is said again that a stream's objects cannot be put, while that lasts.
pub const OUTAGE_REMINDER: Duration = Duration::from_mins(5);
/// First pause after a failed attempt at an object; it doubles up to [`RETRY_PAUSE_MAX`].
pub const RETRY_PAUSE_MIN: Duration = Duration::from_millis(200);
/// Bytes of an object's key: the bound of S3.
pub const KEY_BYTES_MAX: usize = 1_024;
/// Characters of an evaluated prefix: the bound of Firehose.
pub const PREFIX_MAX: usize = 512;
/// Characters of a prefix as it is written, expressions included: the bound of Firehose.
pub const PREFIX_TEXT_MAX: usize = 1_024;
/// Bytes of an evaluated prefix: a key less the time that is appended and the longest name (64 characters of stream,
/// version, time, UUID, 128 characters of extension).
pub const PREFIX_BYTES_MAX: usize = 720;
/// Characters of a file extension: the bound of Firehose.
pub const FILE_EXTENSION_MAX: usize = 128;
/// Tags of one object: the bound of S3, as are the two below.
pub const OBJECT_TAGS_MAX: usize = 10;
/// Characters of an object tag's key.
pub const OBJECT_TAG_KEY_MAX: usize = 128;
/// Characters of an object tag's value.
pub const OBJECT_TAG_VALUE_MAX: usize = 256;
/// Bytes of one name in a path of a local directory.
pub const PATH_NAME_BYTES_MAX: usize = 255;
/// Directories of a local destination that are remembered as durable (or as swept of what a crash left); beyond it
/// all are forgotten, which costs a few syncs.
pub const DIRECTORIES_REMEMBERED_MAX: usize = 4_096;
/// Bytes of an object in a directory with which they are written.
pub const LOCAL_WRITE_BYTES: u64 = 256 << 10;
/// Longest pause between two attempts at one object.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_mins(1);

// ---- the command line ----

/// Bytes of a status document that `standpipe status` takes: 5,000 streams at some 1 KiB each, with room.
pub const STATUS_BYTES_MAX: usize = 32 << 20;
/// Bytes that `standpipe put` asks of its input at once.
pub const PUT_READ_BYTES: usize = 256 << 10;
/// Calls that `standpipe put` may have under way at once: each holds up to 4 MiB and its base64.
pub const PUT_CALLS_IN_FLIGHT_MAX: i64 = 64;

/// Bytes of sample records that `standpipe transform test` takes.
pub const TRANSFORM_INPUT_BYTES_MAX: u64 = 64 << 20;
/// Sample records that it also runs alone, to say what each costs.
pub const TRANSFORM_MEASURED_MAX: usize = 1_000;
/// Bytes of one line that `tail` reads: the largest record with its key, escaped.
pub const TAIL_LINE_BYTES_MAX: usize = 32 << 20;

// ---- plugins ----

/// Bytes of a plugin's module: an interpreter with its library takes about 20 MB.
pub const PLUGIN_MODULE_BYTES_MAX: usize = 64 << 20;
/// Instances of all plugins at once, kept ones included. Each reserves 4 GiB of addresses for each of its memories.
pub const PLUGIN_INSTANCES_MAX: u32 = 64;
/// Core instances within one instance of a component: an interpreted Python plugin has more than 32.
pub const PLUGIN_CORE_INSTANCES_MAX: u32 = 96;
/// Linear memories of one instance: one, and one for an adapter.
pub const PLUGIN_MEMORIES_MAX: u32 = 2;
/// Tables of one instance: the adapters between the parts of an interpreted plugin have one each.
pub const PLUGIN_TABLES_MAX: u32 = 48;
/// Elements of one table of functions: CPython has 12,000.
pub const PLUGIN_TABLE_ELEMENTS_MAX: usize = 100_000;
/// Bytes of linear memory that the configuration may allow to an instance.
pub const PLUGIN_MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Bytes of stack of a plugin: a quarter of what threads have.
pub const PLUGIN_STACK_BYTES_MAX: usize = 512 << 10;
/// Resources (streams, pollables) that one instance may hold: beyond it the plugin traps.
pub const PLUGIN_RESOURCES_MAX: usize = 10_000;
/// Bytes of linear memory that idle instances of one plugin for one delivery stream may hold: one interpreted instance,
/// or one of Rust for every core.
pub const PLUGIN_KEPT_BYTES_MAX: usize = 64 << 20;
/// Bytes of linear memory that stay with a place in the pool after its instance has ended, so that the next one need not
/// fault them in: what a plugin in Rust touches with a batch of 500 records. All places together hold 128 MiB at most.
pub const PLUGIN_RESIDENT_BYTES: usize = 2 << 20;
/// Bytes of output that are free, beside what the ratio grants.
pub const PLUGIN_OUTPUT_BYTES_FREE: u64 = 64 << 10;
/// Bytes of the output of all batches that are asked for at once, partition keys included: a chunk, many times over.
pub const PLUGIN_OUTPUT_BYTES_MAX: u64 = 256 << 20;
/// Partition keys of one outcome: what dynamic partitioning of Firehose allows.
pub const PLUGIN_KEYS_MAX: usize = 50;
/// Bytes of the name of a partition key.
pub const PLUGIN_KEY_NAME_BYTES_MAX: usize = 128;
/// Bytes of what a plugin says for a person: a line of the log, a failed record's message.
pub const PLUGIN_MESSAGE_BYTES_MAX: usize = 1 << 10;
/// Lines that one plugin may write into the log within a second.
pub const PLUGIN_LOG_LINES_MAX: u32 = 20;
/// Counters of one plugin's own.
pub const PLUGIN_COUNTERS_MAX: usize = 64;
/// Bytes of the name of such a counter.
pub const PLUGIN_COUNTER_NAME_BYTES_MAX: usize = 64;
/// Bytes of randomness that a plugin may ask for at once.
pub const PLUGIN_RANDOM_BYTES_MAX: u64 = 64 << 10;
/// What finding the guilty records of one batch may cost, as a multiple of the fuel that the batch itself may burn: two
/// records that loop for ever are found among thousands. Beyond it whole parts of the batch fail.
pub const PLUGIN_SEARCH_FUEL_FACTOR: u64 = 24;
/// Into how many parts a batch that failed is cut. What fails costs more than what does not, and of 500 records eight
/// parts find one by four failures, halves by ten.
pub const PLUGIN_SEARCH_PARTS: usize = 8;
/// Fuel that a batch is given first, beside what its records bring: where it is not enough the search tells whether the
/// batch needs more or one of its records takes all there is.
pub const PLUGIN_FIRST_FUEL: u64 = 1_000_000;
/// Fuel that each byte brings at first: twice what Rust and C need to mask JSON lines.
pub const PLUGIN_FIRST_BYTE_FUEL: u64 = 250;
/// An instance with so many bytes of memory after its `init` holds the runtime of a language.
pub const PLUGIN_RUNTIME_BYTES: u64 = 4 << 20;
/// What each byte brings at first to such a one: half more than Python needs.
pub const PLUGIN_RUNTIME_FIRST_BYTE_FUEL: u64 = 1_400;
/// Memory that an instance may have at first, beside twice what it had after its `init`.
pub const PLUGIN_FIRST_MEMORY: u64 = 1 << 20;
/// What each byte brings at first: it is copied in, taken apart, and copied out from a buffer that doubles.
pub const PLUGIN_FIRST_BYTE_MEMORY: u64 = 16;
/// Memory that a fresh instance has beside that for a whole batch, where instances are kept: what it may fetch once and for all.
pub const PLUGIN_ONCE_MEMORY: u64 = 6 << 20;

// ---- the ledger ----

/// Bytes after which the ledger starts a new file with the live state at its head.
pub const LEDGER_FILE_BYTES: u64 = 16 << 20;
/// Bytes of the ledger's files that are kept as history, the current one included: 64 full ones.
pub const LEDGER_BYTES_KEPT_MAX: u64 = 64 * LEDGER_FILE_BYTES;
/// Files of the ledger that are kept: a start makes one however small the last one is, so more than 64.
pub const LEDGER_FILES_KEPT_MAX: usize = 1_024;
/// Bytes of one line of the ledger: two keys, their JSON escapes, a generous target, and [`PLAN_SPANS_MAX`] spans of at
/// most 74 bytes each.
pub const LEDGER_LINE_BYTES_MAX: usize = 1 << 20;
/// Shards whose records one object may hold; a buffer of so many is full.
pub const PLAN_SPANS_MAX: usize = 10_000;
/// Calls waiting for the ledger's writer; further ones wait for room. A plan is about a kilobyte.
pub const LEDGER_CALLS_QUEUED_MAX: usize = 1_024;
/// Calls that share one sync.
pub const LEDGER_GROUP_MAX: usize = 256;

// ---- the configuration file ----

/// Bytes of a configuration file, and of a file that it names: more than 5,000 streams with every key need.
pub const CONFIG_BYTES_MAX: u64 = 16 << 20;
/// Bytes of a buffer: the bounds of Firehose are 1 MiB and this one; the file may go lower, for demonstrations.
pub const BUFFER_BYTES_MAX: u64 = 128 << 20;
/// The least that the file may say.
pub const BUFFER_BYTES_MIN: u64 = 1 << 10;
/// How long a buffer may wait: the bound of Firehose.
pub const BUFFER_INTERVAL_MAX: Duration = Duration::from_mins(15);
/// The least disk budget: a record of the largest size must fit.
pub const DISK_BYTES_MIN: u64 = 1 << 20;
/// The longest retention of a delivery stream that can be asked for: ten years; without one records never expire.
pub const DELIVERY_RETENTION_MAX: Duration = Duration::from_hours(3_652 * 24);
/// The shortest pause between two polls of a shard elsewhere: Kinesis takes five reads a second of each shard.
pub const POLL_MIN: Duration = Duration::from_millis(200);
/// The longest: well below the five minutes for which an iterator is good.
pub const POLL_MAX: Duration = Duration::from_mins(1);
/// The usual one.
pub const POLL_DEFAULT: Duration = Duration::from_secs(1);
/// The longest grace that SIGTERM may give.
pub const GRACE_MAX: Duration = Duration::from_hours(1);

// ---- what the configuration says of plugins and functions ----

/// Characters of a plugin's name: that of a Lambda function.
pub const PLUGIN_NAME_MAX: usize = 64;
/// Plugins and functions of one file: far more than anybody writes.
pub const PLUGINS_MAX: usize = 1_000;
/// Steps of one delivery stream: AWS has 5.
pub const PROCESS_STEPS_MAX: usize = 16;
/// Configuration values of one plugin.
pub const PLUGIN_VALUES_MAX: usize = 64;
/// Bytes of the name of one.
pub const PLUGIN_VALUE_NAME_BYTES_MAX: usize = 128;
/// Bytes of one.
pub const PLUGIN_VALUE_BYTES_MAX: usize = 4 << 10;
/// Bytes of all of one plugin with their names. Every plan of a stream holds them.
pub const PLUGIN_VALUES_BYTES_MAX: usize = 64 << 10;
/// Memory of one instance of a plugin: the least is what the smallest components need.
pub const PLUGIN_MEMORY_MIN: u64 = 1 << 20;
/// The usual at the start, and the most of what is usual for a batch: JavaScript and Python components were seen with 34 MB.
pub const PLUGIN_MEMORY_DEFAULT: u64 = 64 << 20;
/// The usual for a batch, beside what the next two bring: the kernel takes the better part of a millisecond to give a MiB,
/// which is what a record costs that takes all there is.
pub const PLUGIN_BATCH_MEMORY_DEFAULT: u64 = 20 << 20;
/// So many times the memory of an instance after its `init`: a language's runtime has all of [`PLUGIN_MEMORY_DEFAULT`].
pub const PLUGIN_STARTED_MEMORY_DEFAULT: u64 = 4;
/// For each byte of output that a batch may bring: a buffer that doubles, and copies.
pub const PLUGIN_OUTPUT_MEMORY_DEFAULT: u64 = 4;
/// Fuel for a start and a batch: the least, some milliseconds' worth.
pub const PLUGIN_FUEL_MIN: u64 = 1_000_000;
/// The usual for a start, and for a batch in a language's runtime: a loop without end is over in about a tenth of a second.
pub const PLUGIN_FUEL_DEFAULT: u64 = 100_000_000;
/// The usual for a batch of others, in which there must be room for what a fresh instance does once: tables, patterns.
pub const PLUGIN_COMPILED_FUEL_DEFAULT: u64 = 50_000_000;
/// The most: some minutes.
pub const PLUGIN_FUEL_MAX: u64 = 1_000_000_000_000;
/// Fuel for each byte, the usual: to mask JSON lines Rust and C burn some 120, JavaScript 730, Python 900. A loop
/// without end is over in seconds.
pub const PLUGIN_BYTE_FUEL_DEFAULT: u64 = 10_000;
/// The most.
pub const PLUGIN_BYTE_FUEL_MAX: u64 = 1_000_000;
/// Bytes of output for each of input, the usual: compressed logs grow to thirty times their size.
pub const PLUGIN_OUTPUT_RATIO_DEFAULT: u32 = 32;
/// The most: what `deflate` can make of a byte.
pub const PLUGIN_OUTPUT_RATIO_MAX: u32 = 1_000;
/// Records in one batch, the usual: a fresh instance for so many costs 14 % (measured).
pub const PLUGIN_BATCH_RECORDS_DEFAULT: u32 = 500;
/// The most.
pub const PLUGIN_BATCH_RECORDS_MAX: u32 = 10_000;
/// Bytes of records in one batch of a plugin: the least.
pub const PLUGIN_BATCH_BYTES_MIN: u64 = 1 << 10;
/// The usual: a chunk of the encoders.
pub const PLUGIN_BATCH_BYTES_DEFAULT: u64 = 1 << 20;
/// The most.
pub const PLUGIN_BATCH_BYTES_MAX: u64 = 16 << 20;
/// How long one answer of a function may take, at the least.
pub const FUNCTION_TIME_MIN: Duration = Duration::from_secs(1);
/// The most, and the usual: Firehose's, so that a function which works there works here.
pub const FUNCTION_TIME_MAX: Duration = Duration::from_mins(5);
/// How often a call of a function is repeated: Firehose's default.
pub const FUNCTION_RETRIES_DEFAULT: u32 = 3;
/// The most, Firehose's too.
pub const FUNCTION_RETRIES_MAX: u32 = 300;
/// Bytes of records in one call of a function before base64: the bounds of Firehose are 0.2 and 3 MB.
pub const FUNCTION_BATCH_BYTES_MIN: u64 = 200_000;
/// Firehose's default.
pub const FUNCTION_BATCH_BYTES_DEFAULT: u64 = 1 << 20;
/// See [`FUNCTION_BATCH_BYTES_MIN`].
pub const FUNCTION_BATCH_BYTES_MAX: u64 = 3 << 20;
/// Bytes of the event and of the answer of one invocation: Lambda's 6 MB, a little less than it allows.
pub const FUNCTION_BODY_BYTES_MAX: usize = 6_000_000;
/// Records in one call: with tiny ones that is about what fits.
pub const FUNCTION_BATCH_RECORDS_MAX: usize = 10_000;
/// Bytes that a function may make of the rows of one run: it is kept whole until it is delivered.
pub const FUNCTION_OUTPUT_BYTES_MAX: usize = 256 << 20;
/// How long a connection to a function may take.
pub const FUNCTION_CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// First pause after a call that failed; it doubles.
pub const FUNCTION_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest.
pub const FUNCTION_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Characters that are kept of what a function says of its failure.
pub const FUNCTION_DETAIL_CHARS_MAX: usize = 500;
/// Bytes of a value: no object's key can hold a longer one.
pub const FUNCTION_KEY_VALUE_BYTES_MAX: usize = KEY_BYTES_MAX;
/// Bytes of the metadata of one answered record.
pub const FUNCTION_METADATA_BYTES_MAX: usize = 64 << 10;
/// Characters of a function's URL.
pub const FUNCTION_URL_MAX: usize = 2_048;

const _: () = assert!(RECORD_BYTES_MAX <= BATCH_BYTES_MAX);
const _: () = assert!((RECORD_BYTES_MAX as u64) < DISK_BYTES_MIN);
const _: () = assert!(BATCH_BYTES_MAX / 3 * 4 < API_BODY_BYTES_MAX);
const _: () = assert!(API_BODY_BYTES_MAX <= BODY_BYTES_IN_FLIGHT_MAX);
const _: () = assert!(HEAD_BYTES_MAX <= READ_BUFFER_BYTES_MAX);
const _: () = assert!(INGEST_BODY_BYTES_MAX <= INGEST_RECORDS_BYTES_MAX);
const _: () = assert!(INGEST_RECORDS_BYTES_MAX <= APPEND_BYTES_QUEUED_MAX);
const _: () = assert!((INGEST_RECORDS_BYTES_MAX as u64) < SEGMENT_BYTES);
// Offsets in a segment are 32 bits wide; the last group may go past its size.
const _: () = assert!(SEGMENT_BYTES + ((GROUP_BYTES_MAX + 2 * APPEND_BYTES_QUEUED_MAX) as u64) < u32::MAX as u64);
// S3 takes at most 10,000 parts; the largest buffer (128 MiB) times the worst growth of an encoder stays far below.
const _: () = assert!(S3_PART_BYTES >= 5 << 20);
// Each of the objects under way needs room for one part, or one would wait for the end of another.
const _: () = assert!(S3_PARTS_MAX >= UPLOADS_PER_PIPELINE_MAX);
// Whatever a target takes, the spans of a plan fit into its line.
const _: () = assert!(PLAN_SPANS_MAX * 74 + (256 << 10) <= LEDGER_LINE_BYTES_MAX);
