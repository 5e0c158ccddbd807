//! What records are converted into: Parquet or ORC, with which schema, and how their JSON is read. Names, ranges and defaults
//! are those of Firehose's DataFormatConversionConfiguration; where the writers can do more, so can these.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::time_pattern::TimePattern;
use super::{AwsCredentials, Column, ColumnType, TableSchema};
use crate::error::{Error, Result};
use crate::limits::{
    BLOOM_FILTERS_MAX, KEY_NAMES_MAX, PAGE_BYTES_DEFAULT, PAGE_BYTES_MAX, PAGE_BYTES_MIN, ROW_GROUP_BYTES_DEFAULT,
    ROW_GROUP_BYTES_MAX, ROW_GROUP_BYTES_MIN, ROW_GROUP_ROWS_DEFAULT, ROW_GROUP_ROWS_MAX, ROW_GROUP_ROWS_MIN,
    STRIPE_BYTES_DEFAULT, STRIPE_BYTES_MAX, STRIPE_BYTES_MIN, TIME_PATTERNS_MAX,
};

/// Conversion as it is configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversion {
    /// What is written.
    pub format: Format,
    /// Where the schema comes from.
    pub schema: SchemaFrom,
    /// How records are read.
    pub json: Json,
}

/// Conversion with its schema at hand: all that the rows and bytes of an object depend on, so it is what a plan pins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Columnar {
    /// What is written.
    pub format: Format,
    /// The schema.
    pub schema: Schema,
    /// How records are read.
    #[serde(default)]
    pub json: Json,
}

/// A file format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Apache Parquet.
    Parquet(Parquet),
    /// Apache ORC. Structs, arrays, maps and decimals cannot be written, nor row indexes, statistics and bloom filters.
    Orc(Orc),
}

/// Where a schema comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaFrom {
    /// It is known.
    Table(TableSchema),
    /// A table of AWS Glue.
    Glue(Box<GlueTable>),
    /// The rows of each object.
    Infer(Inference),
}

/// A schema at hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schema {
    /// Columns of a table.
    Table(TableSchema),
    /// Found in the rows of each object.
    Infer(Inference),
}

/// A table of AWS Glue. Secrets are not serialized.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct GlueTable {
    /// The database's name.
    pub database: String,
    /// The table's name.
    pub table: String,
    /// Region; the AWS chain's without.
    pub region: Option<String>,
    /// Id of the catalog; that of the account without.
    pub catalog: Option<String>,
    /// Version of the table; without, the latest one is followed.
    pub version: Option<String>,
    /// Another endpoint than AWS's.
    pub endpoint: Option<String>,
    /// Static credentials; the AWS chain without.
    #[serde(skip)]
    pub credentials: Option<AwsCredentials>,
    /// Profile of the AWS chain.
    pub profile: Option<String>,
}

/// How a schema is made from rows: every column may be null; integers and fractions together are doubles; objects have the
/// fields of all; what is null or empty everywhere is text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inference {
    /// What is done where values of one column have nothing in common.
    #[serde(default)]
    pub conflicts: Conflicts,
}

/// What is done where values of one column have nothing in common, as a number and an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conflicts {
    /// The column is text: JSON, but texts as they are.
    #[default]
    Text,
}

/// How the JSON of records is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Json {
    /// As OpenXJsonSerDe does.
    Openx {
        /// Whether keys are taken for their lower case.
        case_insensitive: bool,
        /// Whether dots in keys are taken for underscores.
        dots_to_underscores: bool,
        /// Keys of columns that are not called as their key, by column.
        #[serde(default)]
        keys: BTreeMap<String, String>,
    },
    /// As Hive's JsonSerDe does: numbers in texts are none, and objects in text columns do not fit.
    Hive {
        /// Patterns of times, or `millis`.
        #[serde(default)]
        timestamp_formats: Vec<String>,
    },
}

/// OpenX with its defaults.
impl Default for Json {
    fn default() -> Self {
        Json::Openx { case_insensitive: true, dots_to_underscores: false, keys: BTreeMap::new() }
    }
}

/// Options of Parquet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parquet {
    /// Bytes of a row group as it is written, about: 1 MiB to 1 GiB (BlockSizeBytes; the API's least is 64 MiB).
    pub row_group_bytes: u64,
    /// Rows of a row group, at most.
    pub row_group_rows: u64,
    /// Bytes of a page before compression, about: 64 KiB to 256 MiB.
    pub page_bytes: u64,
    /// Of pages.
    pub compression: ParquetCompression,
    /// How hard gzip (0 to 9) or zstd (1 to 22) try; their defaults without.
    pub level: Option<u8>,
    /// Whether values that repeat are written once.
    pub dictionary: bool,
    /// Least and greatest values.
    pub statistics: Statistics,
    /// Columns that have bloom filters; fields by their path, as `user.id`.
    pub bloom_filters: Vec<String>,
    /// How often a bloom filter may be wrong: above 0 and below 1.
    pub bloom_filter_fpp: f64,
    /// Version of the pages.
    pub version: ParquetVersion,
}

/// Compression of Parquet's pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ParquetCompression {
    None,
    Gzip,
    #[default]
    Snappy,
    Zstd,
}

/// Statistics in a Parquet file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Statistics {
    /// None.
    None,
    /// Of each column of a row group.
    RowGroup,
    /// Of each page, too.
    #[default]
    Page,
}

/// Version of Parquet's pages and encodings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ParquetVersion {
    #[default]
    V1,
    V2,
}

/// Options of ORC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orc {
    /// Bytes of a stripe before compression, about: 1 MiB to 1 GiB (StripeSizeBytes; the API's least is 8 MiB).
    pub stripe_bytes: u64,
    /// Of streams.
    pub compression: OrcCompression,
}

/// Compression of ORC's streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum OrcCompression {
    None,
    Zlib,
    #[default]
    Snappy,
    Zstd,
}

/// Firehose's defaults; dictionaries and statistics on, as every reader wants them.
impl Default for Parquet {
    fn default() -> Self {
        Parquet {
            row_group_bytes: ROW_GROUP_BYTES_DEFAULT,
            row_group_rows: ROW_GROUP_ROWS_DEFAULT,
            page_bytes: PAGE_BYTES_DEFAULT,
            compression: ParquetCompression::default(),
            level: None,
            dictionary: true,
            statistics: Statistics::default(),
            bloom_filters: Vec::new(),
            bloom_filter_fpp: 0.05,
            version: ParquetVersion::default(),
        }
    }
}

/// Firehose's defaults.
impl Default for Orc {
    fn default() -> Self {
        Orc { stripe_bytes: STRIPE_BYTES_DEFAULT, compression: OrcCompression::default() }
    }
}

impl Conversion {
    /// With its schema at hand; `glue` is what AWS Glue says of the table, which is needed if the schema comes from there.
    pub fn resolved(&self, glue: Option<TableSchema>) -> Result<Columnar> {
        let schema = match (&self.schema, glue) {
            (SchemaFrom::Table(table), _) => Schema::Table(table.clone()),
            (SchemaFrom::Glue(_), Some(table)) => Schema::Table(table),
            (SchemaFrom::Infer(inference), _) => Schema::Infer(*inference),
            (SchemaFrom::Glue(glue), None) => {
                let GlueTable { database, table, .. } = &**glue;
                return Err(Error::unavailable(format!(
                    "the schema of the Glue table {database}.{table} is not known"
                )));
            }
        };
        let columnar = Columnar { format: self.format.clone(), schema, json: self.json.clone() };
        columnar.check()?;
        Ok(columnar)
    }

    /// Whether all parts are in their bounds and fit together, as far as the schema is known.
    pub fn check(&self) -> Result<()> {
        self.format.check()?;
        self.json.check()?;
        match &self.schema {
            SchemaFrom::Table(table) => fits(&self.format, &self.json, table),
            SchemaFrom::Glue(_) => Ok(()),
            // What is made of rows must hold all of them.
            SchemaFrom::Infer(_) if matches!(self.json, Json::Hive { .. }) => {
                Err(Error::invalid("a schema is inferred with json.openx alone: hive reads no objects as text"))
            }
            SchemaFrom::Infer(_) => match &self.format {
                Format::Parquet(parquet) if !parquet.bloom_filters.is_empty() => {
                    Err(Error::invalid("bloom_filters need a schema that names their columns, not an inferred one"))
                }
                _ => Ok(()),
            },
        }
    }
}

impl Columnar {
    /// Whether all parts are in their bounds and fit together.
    pub fn check(&self) -> Result<()> {
        self.format.check()?;
        self.json.check()?;
        match &self.schema {
            Schema::Table(table) => fits(&self.format, &self.json, table),
            Schema::Infer(_) => Ok(()),
        }
    }

    /// The same, with `table` in the place of the schema.
    pub fn check_with(&self, table: &TableSchema) -> Result<()> {
        self.format.check()?;
        self.json.check()?;
        fits(&self.format, &self.json, table)
    }
}

impl Format {
    /// What objects of it are called: `.parquet` or `.orc`.
    pub fn extension(&self) -> &'static str {
        match self {
            Format::Parquet(_) => ".parquet",
            Format::Orc(_) => ".orc",
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Format::Parquet(parquet) => parquet.check(),
            Format::Orc(orc) => within("the stripe size", orc.stripe_bytes, STRIPE_BYTES_MIN, STRIPE_BYTES_MAX),
        }
    }
}

impl Parquet {
    fn check(&self) -> Result<()> {
        within("the row group size", self.row_group_bytes, ROW_GROUP_BYTES_MIN, ROW_GROUP_BYTES_MAX)?;
        within("the rows of a row group", self.row_group_rows, ROW_GROUP_ROWS_MIN, ROW_GROUP_ROWS_MAX)?;
        within("the page size", self.page_bytes, PAGE_BYTES_MIN, PAGE_BYTES_MAX)?;
        let levels = match self.compression {
            ParquetCompression::Gzip => 0..=9,
            ParquetCompression::Zstd => 1..=22,
            ParquetCompression::None | ParquetCompression::Snappy if self.level.is_some() => {
                return Err(Error::invalid("a compression level has a meaning with gzip and zstd alone"));
            }
            _ => 0..=u8::MAX,
        };
        if let Some(level) = self.level.filter(|level| !levels.contains(level)) {
            let (least, most) = levels.into_inner();
            return Err(Error::invalid(format!("the compression level must be {least} to {most}, not {level}")));
        }
        let fpp = self.bloom_filter_fpp;
        if !(fpp > 0.0 && fpp < 1.0) {
            return Err(Error::invalid(format!(
                "the error rate of bloom filters must be above 0 and below 1, not {fpp}"
            )));
        }
        if self.bloom_filters.len() > BLOOM_FILTERS_MAX {
            return Err(Error::invalid(format!("at most {BLOOM_FILTERS_MAX} columns can have bloom filters")));
        }
        Ok(())
    }
}

fn within(what: &str, value: u64, least: u64, most: u64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(format!("{what} must be {least} to {most}, not {value}")))
}

impl Json {
    /// Whether its options are in their bounds.
    pub fn check(&self) -> Result<()> {
        match self {
            Json::Openx { keys, .. } if keys.len() > KEY_NAMES_MAX => {
                Err(Error::invalid(format!("at most {KEY_NAMES_MAX} columns can have keys of another name")))
            }
            Json::Openx { .. } => Ok(()),
            Json::Hive { timestamp_formats } if timestamp_formats.len() > TIME_PATTERNS_MAX => {
                Err(Error::invalid(format!("there may be {TIME_PATTERNS_MAX} timestamp formats")))
            }
            Json::Hive { timestamp_formats } => {
                let mut patterns = timestamp_formats.iter().filter(|format| *format != "millis");
                patterns.try_for_each(|pattern| TimePattern::parse(pattern).map(drop))
            }
        }
    }

    /// The key under which the value of a column stands, in the form in which keys are compared.
    pub fn key_of(&self, column: &str) -> String {
        match self {
            Json::Openx { keys, .. } => self.plain(keys.get(column).map_or(column, String::as_str)).into_owned(),
            Json::Hive { .. } => column.to_lowercase(),
        }
    }

    /// A record's key in the form in which keys are compared.
    pub fn plain<'k>(&self, key: &'k str) -> Cow<'k, str> {
        let (lower, without_dots) = match *self {
            Json::Openx { case_insensitive, dots_to_underscores, .. } => (case_insensitive, dots_to_underscores),
            Json::Hive { .. } => (true, false),
        };
        // Most keys are what they become.
        let is_lower = |key: &str| key.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
        let key = if lower && !is_lower(key) { Cow::Owned(key.to_lowercase()) } else { Cow::Borrowed(key) };
        if without_dots && key.contains('.') { Cow::Owned(key.replace('.', "_")) } else { key }
    }
}

/// Whether `format` can hold `table`, and each of its columns has a key of its own.
fn fits(format: &Format, json: &Json, table: &TableSchema) -> Result<()> {
    own_keys(json, table.columns())?;
    match format {
        Format::Parquet(parquet) => {
            for path in &parquet.bloom_filters {
                if !has_path(table.columns(), path) {
                    return Err(Error::invalid(format!("the table has no column {path:?} for a bloom filter")));
                }
            }
            Ok(())
        }
        Format::Orc(_) => table.columns().iter().try_for_each(orc_can_write),
    }
}

fn own_keys(json: &Json, columns: &[Column]) -> Result<()> {
    let mut keys = HashSet::new();
    for Column { name, kind } in columns {
        let key = json.key_of(name);
        if let Some(taken) = keys.replace(key) {
            return Err(Error::invalid(format!("column {name:?} and another one both stand for the key {taken:?}")));
        }
        fields_of(kind, &mut |fields| own_keys(json, fields))?;
    }
    Ok(())
}

/// Calls `each` with the fields of the structs in a type.
fn fields_of(kind: &ColumnType, each: &mut impl FnMut(&[Column]) -> Result<()>) -> Result<()> {
    match kind {
        ColumnType::Struct(fields) => each(fields),
        ColumnType::Array(item) => fields_of(item, each),
        ColumnType::Map(_, value) => fields_of(value, each),
        _ => Ok(()),
    }
}

fn has_path(columns: &[Column], path: &str) -> bool {
    columns.iter().any(|column| match (&column.kind, path.strip_prefix(&column.name)) {
        (ColumnType::Struct(fields), Some(rest)) => rest.strip_prefix('.').is_some_and(|rest| has_path(fields, rest)),
        (ColumnType::Array(_) | ColumnType::Map(..), _) | (_, None) => false,
        (_, Some(rest)) => rest.is_empty(),
    })
}

/// The ORC writer has no nested types and no decimals.
fn orc_can_write(Column { name, kind }: &Column) -> Result<()> {
    match kind {
        ColumnType::Array(_) | ColumnType::Map(..) | ColumnType::Struct(_) | ColumnType::Decimal { .. } => {
            Err(Error::invalid(format!(
                "column {name:?} is {kind}, which cannot be written as ORC: of types, ORC objects have no array, map, struct \
                 and decimal here; Parquet has them all"
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
