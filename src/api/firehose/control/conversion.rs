//! DataFormatConversionConfiguration: into what records are converted, as the API says it.
//!
//! The model has checked names, types and ranges. What has no meaning for our writers is taken, shown by Describe and has no effect:
//! `MaxPaddingBytes`, `EnablePadding` and `PaddingTolerance` (blocks of HDFS), and of ORC `RowIndexStride`, the bloom filters,
//! `DictionaryKeyThreshold` and `FormatVersion`. Blocks that are larger than ours may be are as large as those.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::{
    Conversion, Format, GlueTable, Json, Orc, OrcCompression, Parquet, ParquetCompression, ParquetVersion, SchemaFrom,
};
use crate::error::{Error, Result};
use crate::limits::{PAGE_BYTES_MAX, ROW_GROUP_BYTES_MAX, STRIPE_BYTES_MAX};

/// The configuration as it is given.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DataFormatConversion {
    enabled: Option<bool>,
    schema_configuration: Option<SchemaConfiguration>,
    input_format_configuration: Option<InputFormat>,
    output_format_configuration: Option<OutputFormat>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SchemaConfiguration {
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
    catalog_id: Option<String>,
    database_name: Option<String>,
    table_name: Option<String>,
    region: Option<String>,
    version_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InputFormat {
    deserializer: Option<Deserializer>,
}

#[derive(Debug, Deserialize)]
struct Deserializer {
    #[serde(rename = "OpenXJsonSerDe")]
    openx: Option<OpenX>,
    #[serde(rename = "HiveJsonSerDe")]
    hive: Option<Hive>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OpenX {
    convert_dots_in_json_keys_to_underscores: Option<bool>,
    case_insensitive: Option<bool>,
    #[serde(default)]
    column_to_json_key_mappings: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Hive {
    #[serde(default)]
    timestamp_formats: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OutputFormat {
    serializer: Option<Serializer>,
}

#[derive(Debug, Deserialize)]
struct Serializer {
    #[serde(rename = "ParquetSerDe")]
    parquet: Option<ParquetSerDe>,
    #[serde(rename = "OrcSerDe")]
    orc: Option<OrcSerDe>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ParquetSerDe {
    block_size_bytes: Option<u64>,
    page_size_bytes: Option<u64>,
    compression: Option<String>,
    enable_dictionary_compression: Option<bool>,
    writer_version: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OrcSerDe {
    stripe_size_bytes: Option<u64>,
    compression: Option<String>,
}

impl DataFormatConversion {
    /// Whether it is enabled, as it is where nothing is said.
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled != Some(false)
    }

    /// What it means, in the order in which AWS finds fault.
    pub(super) fn checked(&self) -> Result<Conversion> {
        let input = self.input_format_configuration.as_ref().and_then(|input| input.deserializer.as_ref());
        let output = self.output_format_configuration.as_ref().and_then(|output| output.serializer.as_ref());
        let (json, format) = (json(input)?, format(output)?);
        let schema = self.schema_configuration.as_ref().ok_or_else(|| missing("SchemaConfiguration"))?;
        let conversion = Conversion { format, schema: SchemaFrom::Glue(Box::new(schema.table()?)), json };
        conversion.check()?;
        Ok(conversion)
    }
}

impl SchemaConfiguration {
    fn table(&self) -> Result<GlueTable> {
        let needed = |value: &Option<String>, name| value.clone().ok_or_else(|| missing(name));
        let table = GlueTable {
            database: needed(&self.database_name, "SchemaConfiguration.DatabaseName")?,
            table: needed(&self.table_name, "SchemaConfiguration.TableName")?,
            region: self.region.clone(),
            catalog: self.catalog_id.clone(),
            version: self.version_id.clone().filter(|version| version != "LATEST"),
            ..GlueTable::default()
        };
        needed(&self.role_arn, "SchemaConfiguration.RoleARN")?;
        Ok(table)
    }
}

fn missing(what: &str) -> Error {
    Error::invalid(format!("{what} must not be null"))
}

fn more_than_one(what: &str) -> Error {
    Error::invalid(format!("More than one {what} specified. Only one may be chosen."))
}

fn json(given: Option<&Deserializer>) -> Result<Json> {
    match given.map(|given| (&given.openx, &given.hive)) {
        None | Some((None, None)) => Err(missing("Deserializer")),
        Some((Some(_), Some(_))) => Err(more_than_one("deserializer")),
        Some((Some(openx), None)) => Ok(Json::Openx {
            case_insensitive: openx.case_insensitive.unwrap_or(true),
            dots_to_underscores: openx.convert_dots_in_json_keys_to_underscores.unwrap_or(false),
            keys: openx.column_to_json_key_mappings.clone(),
        }),
        Some((None, Some(hive))) => {
            let json = Json::Hive { timestamp_formats: hive.timestamp_formats.clone() };
            json.check().map_err(|error| {
                let formats = hive.timestamp_formats.join(",");
                let message = "One or more SerDe options are invalid for org.apache.hcatalog.data.JsonSerDe";
                Error::invalid(format!("{message}: [Key: timestamp.formats Value: {formats}]")).because(error)
            })?;
            Ok(json)
        }
    }
}

fn format(given: Option<&Serializer>) -> Result<Format> {
    match given.map(|given| (&given.parquet, &given.orc)) {
        None | Some((None, None)) => Err(missing("Serializer")),
        Some((Some(_), Some(_))) => Err(more_than_one("serializer")),
        Some((Some(parquet), None)) => {
            let plain = Parquet::default();
            Ok(Format::Parquet(Parquet {
                row_group_bytes: parquet.block_size_bytes.unwrap_or(plain.row_group_bytes).min(ROW_GROUP_BYTES_MAX),
                page_bytes: parquet.page_size_bytes.unwrap_or(plain.page_bytes).min(PAGE_BYTES_MAX),
                compression: match parquet.compression.as_deref() {
                    Some("UNCOMPRESSED") => ParquetCompression::None,
                    Some("GZIP") => ParquetCompression::Gzip,
                    _ => ParquetCompression::Snappy,
                },
                dictionary: parquet.enable_dictionary_compression.unwrap_or(plain.dictionary),
                version: match parquet.writer_version.as_deref() {
                    Some("V2") => ParquetVersion::V2,
                    _ => ParquetVersion::V1,
                },
                ..plain
            }))
        }
        Some((None, Some(orc))) => {
            let plain = Orc::default();
            Ok(Format::Orc(Orc {
                stripe_bytes: orc.stripe_size_bytes.unwrap_or(plain.stripe_bytes).min(STRIPE_BYTES_MAX),
                compression: match orc.compression.as_deref() {
                    Some("NONE") => OrcCompression::None,
                    Some("ZLIB") => OrcCompression::Zlib,
                    _ => OrcCompression::Snappy,
                },
            }))
        }
    }
}
