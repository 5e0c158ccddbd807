//! Conversion into Parquet or ORC, as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::at::{Amount, At};
use super::super::{OrcCompression, ParquetCompression, ParquetVersion, Statistics};
use super::Credentials;

/// What records, which are JSON, are converted into: parquet or orc, and the schema.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Format {
    /// Apache Parquet, with its options.
    pub(in crate::config) parquet: Option<At<Parquet>>,
    /// Apache ORC, with its options. It has no arrays, maps, structs and decimals.
    pub(in crate::config) orc: Option<At<Orc>>,
    /// The schema of the table: one of columns, file, glue and infer.
    #[schemars(required)]
    pub(in crate::config) schema: Option<At<Schema>>,
    /// How records are read. Default: openx with its defaults.
    pub(in crate::config) json: Option<At<Json>>,
}

/// Where the schema of a table comes from: one of these.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TableSchema")]
pub(in crate::config) struct Schema {
    /// Types by the names of columns, in order, as Hive and AWS Glue spell them: id = "bigint", tags = "array<string>".
    pub(in crate::config) columns: Option<BTreeMap<At<String>, At<String>>>,
    /// A file, relative to this one: a JSON schema, an Avro schema (.avsc), or a CREATE TABLE statement.
    pub(in crate::config) file: Option<At<String>>,
    /// A table of AWS Glue.
    pub(in crate::config) glue: Option<At<Glue>>,
    /// Made from the rows of each object: infer = {}.
    pub(in crate::config) infer: Option<At<Infer>>,
}

/// A table of AWS Glue.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GlueTable")]
pub(in crate::config) struct Glue {
    /// Name of the database.
    #[schemars(required)]
    pub(in crate::config) database: Option<At<String>>,
    /// Name of the table.
    #[schemars(required)]
    pub(in crate::config) table: Option<At<String>>,
    /// Region of the catalog; the AWS chain's without.
    pub(in crate::config) region: Option<At<String>>,
    /// Id of the catalog. Default: that of the account.
    pub(in crate::config) catalog: Option<At<String>>,
    /// Version of the table. Default: the latest one, which is followed.
    pub(in crate::config) version: Option<At<String>>,
    /// URL of a service that is not AWS's.
    pub(in crate::config) endpoint: Option<At<String>>,
    /// Static credentials; the AWS chain without.
    pub(in crate::config) credentials: Option<At<Credentials>>,
    /// Profile of the AWS chain.
    pub(in crate::config) profile: Option<At<String>>,
}

/// How a schema is made from rows.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Inference")]
pub(in crate::config) struct Infer {
    /// What is done where values of one column have nothing in common: "text" makes it a column of JSON texts. Default: text.
    pub(in crate::config) conflicts: Option<At<Conflicts>>,
}

/// What is done where values of one column have nothing in common. What fits the first one alone would have to be known before
/// the object is in which it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-later" = ["fail"]))]
pub(in crate::config) enum Conflicts {
    Text,
}

/// How records are read: as one of Firehose's two deserializers does.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Json {
    /// As OpenXJsonSerDe does.
    pub(in crate::config) openx: Option<At<Openx>>,
    /// As Hive's JsonSerDe does.
    pub(in crate::config) hive: Option<At<Hive>>,
}

/// Options of OpenXJsonSerDe.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Openx {
    /// Whether keys are taken for their lower case. Default: true.
    pub(in crate::config) case_insensitive: Option<At<bool>>,
    /// Whether dots in keys are taken for underscores. Default: false.
    pub(in crate::config) dots_to_underscores: Option<At<bool>>,
    /// Keys by the names of columns that are called otherwise: ts = "timestamp".
    #[serde(default)]
    pub(in crate::config) keys: BTreeMap<At<String>, At<String>>,
}

/// Options of Hive's JsonSerDe.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Hive {
    /// Patterns of times as Joda-Time has them, or "millis"; "yyyy-MM-dd HH:mm:ss" with a fraction is always read.
    #[serde(default)]
    pub(in crate::config) timestamp_formats: Vec<At<String>>,
}

/// Options of Parquet.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Parquet {
    /// Bytes of a row group as it is written, about: 1 MiB to 1 GiB. Default: 256 MiB.
    pub(in crate::config) row_group_size: Option<At<Amount>>,
    /// Rows of a row group, at most: 1000 to 100000000. Default: 1048576.
    pub(in crate::config) row_group_rows: Option<At<u64>>,
    /// Bytes of a page before compression, about: 64 KiB to 256 MiB. Default: 1 MiB.
    pub(in crate::config) page_size: Option<At<Amount>>,
    /// Compression of pages. Default: snappy.
    pub(in crate::config) compression: Option<At<ParquetCompression>>,
    /// How hard to compress: gzip 0 to 9, zstd 1 to 22. Default: 6, and 3 for zstd.
    pub(in crate::config) compression_level: Option<At<u64>>,
    /// Whether values that repeat are written once. Default: true.
    pub(in crate::config) dictionary: Option<At<bool>>,
    /// Least and greatest values: of row groups, or of pages too. Default: page.
    pub(in crate::config) statistics: Option<At<Statistics>>,
    /// Columns with bloom filters; fields of structs as "user.id".
    #[serde(default)]
    pub(in crate::config) bloom_filters: Vec<At<String>>,
    /// How often a bloom filter may be wrong: above 0 and below 1. Default: 0.05.
    pub(in crate::config) bloom_filter_error: Option<At<f64>>,
    /// Version of pages and encodings. Default: v1.
    pub(in crate::config) version: Option<At<ParquetVersion>>,
}

/// Options of ORC.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-later" = ["row_index_stride", "bloom_filters", "bloom_filter_error", "dictionary"]))]
pub(in crate::config) struct Orc {
    /// Bytes of a stripe before compression, about: 1 MiB to 1 GiB. Default: 64 MiB.
    pub(in crate::config) stripe_size: Option<At<Amount>>,
    /// Compression of streams. Default: snappy.
    pub(in crate::config) compression: Option<At<OrcCompression>>,
}
