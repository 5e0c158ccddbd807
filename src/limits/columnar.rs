//! Bounds of record format conversion: schemas, what is decoded at once, and what the writers take.

/// Types within each other in a column's type: more than any schema that we know of has.
pub const TYPE_DEPTH_MAX: usize = 32;
/// Types of a whole table, nested ones included: each costs some hundred bytes for every batch that is made.
pub const TABLE_TYPES_MAX: usize = 10_000;
/// Bytes of the name of a column or a field: Glue's bound.
pub const COLUMN_NAME_BYTES_MAX: usize = 255;
/// Characters of one type: Glue's bound.
pub const TYPE_TEXT_MAX: usize = 131_072;
/// Bytes of a file that a schema is read from.
pub const SCHEMA_FILE_BYTES_MAX: u64 = 4 << 20;
/// Characters that a `varchar` may say (Hive).
pub const VARCHAR_MAX: u32 = 65_535;
/// Characters that a `char` may say (Hive).
pub const CHAR_MAX: u32 = 255;
/// Digits of a decimal (Hive, and what 128 bits hold).
pub const DECIMAL_PRECISION_MAX: u8 = 38;

/// Values within each other in a record that is converted: as many as one 128-bit word has bits to remember what is open.
pub const CONVERT_DEPTH_MAX: usize = 128;
/// Bytes of records, and of the values that they make ([`CONVERT_VALUE_BYTES`] each), with which a batch of columns ends: offsets in a column
/// are 32 bits wide, and it bounds memory. With the record that reaches it, it is a sixth of what offsets can say.
pub const CONVERT_BATCH_BYTES_MAX: usize = 64 << 20;
/// What a value of a column costs beside its text, about: the value or its end, and whether it is there.
pub const CONVERT_VALUE_BYTES: usize = 8;
/// Values of columns that one record may make for each of its bytes. A key that is not there makes one, so that `{}` in a list of objects makes as
/// many as they have fields.
pub const CONVERT_VALUES_PER_BYTE: usize = 16;
/// So many it may make however short it is: a row of the widest table a hundred times.
pub const CONVERT_VALUES_MIN: usize = 1 << 20;
/// So many it may make however long it is: 150 MB, as many as the largest record can write down.
pub const CONVERT_VALUES_MAX: usize = 16 << 20;
/// Keys of an object whose places are remembered, so that they are not looked up again in the next row.
pub const KEY_SHAPE_MAX: usize = 512;
/// Bytes of such a key.
pub const KEY_SHAPE_BYTES_MAX: usize = 128;
/// Characters of a value that the reason of a failure shows.
pub const MISFIT_VALUE_CHARS_MAX: usize = 64;
/// Patterns of times that a stream may list, and characters of one.
pub const TIME_PATTERNS_MAX: usize = 32;
/// Characters of one of them.
pub const TIME_PATTERN_CHARS_MAX: usize = 256;
/// Names of columns with keys of their own.
pub const KEY_NAMES_MAX: usize = 1_000;

/// Columns and fields that may be inferred from the rows of an object.
pub const INFER_TYPES_MAX: usize = 2_000;
/// How deep objects and lists are told apart when a schema is inferred; what is deeper is text.
pub const INFER_DEPTH_MAX: usize = 16;

/// Rows that a writer is given at once: always so many, so that bytes do not depend on how rows came. Pages and row groups end between them, so
/// this and [`WRITE_BYTES`] are part of what plans mean.
pub const WRITE_ROWS: usize = 8_192;
/// Or as few as have so many bytes in their columns: rows of 4 KiB come 8,192 at once.
pub const WRITE_BYTES: usize = 32 << 20;
/// Bytes of a row group: Firehose's default (BlockSizeBytes).
pub const ROW_GROUP_BYTES_DEFAULT: u64 = 256 << 20;
/// The least; Firehose's API says 64 MiB.
pub const ROW_GROUP_BYTES_MIN: u64 = 1 << 20;
/// The most: row groups are kept in memory.
pub const ROW_GROUP_BYTES_MAX: u64 = 1 << 30;
/// Rows of a row group.
pub const ROW_GROUP_ROWS_DEFAULT: u64 = 1 << 20;
/// The least.
pub const ROW_GROUP_ROWS_MIN: u64 = 1_000;
/// The most.
pub const ROW_GROUP_ROWS_MAX: u64 = 100_000_000;
/// Bytes of a page: Firehose's default (PageSizeBytes).
pub const PAGE_BYTES_DEFAULT: u64 = 1 << 20;
/// Firehose's least.
pub const PAGE_BYTES_MIN: u64 = 64 << 10;
/// The most: headers of pages have 32 bits.
pub const PAGE_BYTES_MAX: u64 = 256 << 20;
/// Columns with bloom filters: each may take a megabyte in every row group.
pub const BLOOM_FILTERS_MAX: usize = 64;
/// Bytes of a stripe: Firehose's default (StripeSizeBytes).
pub const STRIPE_BYTES_DEFAULT: u64 = 64 << 20;
/// The least; Firehose's API says 8 MiB.
pub const STRIPE_BYTES_MIN: u64 = 1 << 20;
/// The most: stripes are kept in memory.
pub const STRIPE_BYTES_MAX: u64 = 1 << 30;
/// How long AWS Glue may take to answer.
pub const GLUE_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(30);
/// Characters of a name of AWS Glue (Firehose: SchemaConfiguration).
pub const GLUE_NAME_MAX: usize = 1_024;
/// How often AWS Glue is asked for the latest version of a table, while something happens.
pub const GLUE_ASKED_EVERY: std::time::Duration = std::time::Duration::from_mins(5);
