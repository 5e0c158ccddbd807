//! Conversion into Parquet or ORC: one format, one schema, options in their ranges, and all that must fit together.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::at::At;
use super::super::load::read_up_to;
use super::super::time_pattern::TimePattern;
use super::super::{
    Conflicts, Conversion, Format, GlueTable, Inference, Json, Orc, Parquet, SchemaFrom, TableSchema, names, raw,
};
use super::Checker;
use crate::error::Error;
use crate::limits::{
    PAGE_BYTES_MAX, PAGE_BYTES_MIN, ROW_GROUP_BYTES_MAX, ROW_GROUP_BYTES_MIN, ROW_GROUP_ROWS_MAX, ROW_GROUP_ROWS_MIN,
    SCHEMA_FILE_BYTES_MAX, STRIPE_BYTES_MAX, STRIPE_BYTES_MIN,
};

impl Checker<'_> {
    pub(super) fn conversion(&mut self, At { value: raw, span }: At<raw::Format>) -> Option<Conversion> {
        let before = self.findings.len();
        let format = match (raw.parquet, raw.orc) {
            (Some(parquet), None) => Some(Format::Parquet(self.parquet(parquet.value))),
            (None, Some(orc)) => Some(Format::Orc(self.orc(orc.value))),
            (Some(_), Some(orc)) => {
                self.findings.add(orc.span, "parquet and orc exclude one another");
                None
            }
            (None, None) => {
                if !self.findings.refused_in(&span) {
                    self.findings.add(span.clone(), "the format says neither \"parquet\" nor \"orc\"");
                }
                None
            }
        };
        let json = raw.json.map_or_else(|| Some(Json::default()), |json| self.json(json));
        let schema = self.schema(raw.schema?);
        let conversion = Conversion { format: format?, schema: schema?, json: json? };
        // What is wrong already has been said at its place.
        if self.findings.len() == before {
            self.accept("format", &span, conversion.check())?;
        }
        Some(conversion)
    }

    fn schema(&mut self, At { value: raw, span }: At<raw::TableSchema>) -> Option<SchemaFrom> {
        let written = [raw.columns.is_some(), raw.file.is_some(), raw.glue.is_some(), raw.infer.is_some()];
        if written.iter().filter(|there| **there).count() != 1 {
            if !self.findings.refused_in(&span) {
                self.findings.add(span, "a schema is one of \"columns\", \"file\", \"glue\" and \"infer\"");
            }
            return None;
        }
        if let Some(columns) = raw.columns {
            return self.columns(columns, &span).map(SchemaFrom::Table);
        }
        if let Some(file) = raw.file {
            return self.schema_file(&file).map(SchemaFrom::Table);
        }
        if let Some(glue) = raw.glue {
            return self.glue(glue.value).map(|table| SchemaFrom::Glue(Box::new(table)));
        }
        let conflicts = match raw.infer?.value.conflicts.map(|conflicts| conflicts.value) {
            None | Some(raw::Conflicts::Text) => Conflicts::Text,
        };
        Some(SchemaFrom::Infer(Inference { conflicts }))
    }

    /// Columns in the order of the file; each wrong type is named at its place.
    fn columns(&mut self, columns: BTreeMap<At<String>, At<String>>, place: &Range<usize>) -> Option<TableSchema> {
        let mut columns: Vec<_> = columns.into_iter().collect();
        columns.sort_by_key(|(name, _)| name.span.start);
        let mut sound = true;
        for (name, kind) in &columns {
            let one = TableSchema::of_texts([(name.value.as_str(), kind.value.as_str())]);
            sound &= self.accept("columns", &kind.span, one).is_some();
        }
        if !sound {
            return None;
        }
        let texts = columns.iter().map(|(name, kind)| (name.value.as_str(), kind.value.as_str()));
        self.accept("columns", place, TableSchema::of_texts(texts))
    }

    fn schema_file(&mut self, path: &At<String>) -> Option<TableSchema> {
        let file = self.path("file", path)?;
        let shown = file.display();
        let read = read_up_to(&file, SCHEMA_FILE_BYTES_MAX)
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8")));
        let schema = match read {
            Ok(text) => TableSchema::from_file(&path.value, &text)
                .map_err(|error| Error::invalid(format!("{shown}: {}", error.message()))),
            Err(fault) => Err(Error::invalid(fault)),
        };
        self.accept("file", &path.span, schema)
    }

    fn glue(&mut self, raw: raw::Glue) -> Option<GlueTable> {
        self.one_identity(raw.credentials.as_ref(), raw.profile.as_ref());
        let mut name = |key, text| self.checked(key, text, names::glue_name);
        let (database, table) = (name("database", raw.database), name("table", raw.table));
        let (catalog, version) = (name("catalog", raw.catalog), name("version", raw.version));
        let endpoint = self.checked("endpoint", raw.endpoint, names::endpoint);
        Some(GlueTable {
            database: database?,
            table: table?,
            region: self.checked("region", raw.region, names::region),
            catalog,
            version: version.filter(|version| version != "LATEST"),
            endpoint: endpoint.map(|url| url.trim_end_matches('/').to_owned()),
            credentials: raw.credentials.and_then(|credentials| self.credentials(&credentials.value)),
            profile: raw.profile.map(|profile| profile.value),
        })
    }

    fn json(&mut self, At { value: raw, span }: At<raw::Json>) -> Option<Json> {
        match (raw.openx, raw.hive) {
            (Some(openx), None) => Some(openx_of(openx.value)),
            (None, Some(hive)) => Some(self.hive(hive.value)),
            (Some(_), Some(hive)) => {
                self.findings.add(hive.span, "openx and hive exclude one another");
                None
            }
            (None, None) => {
                if !self.findings.refused_in(&span) {
                    self.findings.add(span, "json says neither \"openx\" nor \"hive\"");
                }
                None
            }
        }
    }

    fn hive(&mut self, raw: raw::Hive) -> Json {
        for format in raw.timestamp_formats.iter().filter(|format| format.value != "millis") {
            self.accept("timestamp_formats", &format.span, TimePattern::parse(&format.value));
        }
        Json::Hive { timestamp_formats: raw.timestamp_formats.into_iter().map(|format| format.value).collect() }
    }

    fn parquet(&mut self, raw: raw::Parquet) -> Parquet {
        let usual = Parquet::default();
        let size = self.bytes("row_group_size", raw.row_group_size, ROW_GROUP_BYTES_MIN..=ROW_GROUP_BYTES_MAX);
        let rows = self.number("row_group_rows", raw.row_group_rows, ROW_GROUP_ROWS_MIN..=ROW_GROUP_ROWS_MAX);
        let page = self.bytes("page_size", raw.page_size, PAGE_BYTES_MIN..=PAGE_BYTES_MAX);
        let level = self.number("compression_level", raw.compression_level, 0..=22);
        Parquet {
            row_group_bytes: size.unwrap_or(usual.row_group_bytes),
            row_group_rows: rows.unwrap_or(usual.row_group_rows),
            page_bytes: page.unwrap_or(usual.page_bytes),
            compression: raw.compression.map_or(usual.compression, |compression| compression.value),
            level: level.map(|level| level as u8),
            dictionary: raw.dictionary.map_or(usual.dictionary, |dictionary| dictionary.value),
            statistics: raw.statistics.map_or(usual.statistics, |statistics| statistics.value),
            bloom_filters: raw.bloom_filters.into_iter().map(|column| column.value).collect(),
            bloom_filter_fpp: raw.bloom_filter_error.map_or(usual.bloom_filter_fpp, |error| error.value),
            version: raw.version.map_or(usual.version, |version| version.value),
        }
    }

    fn orc(&mut self, raw: raw::Orc) -> Orc {
        let usual = Orc::default();
        let stripe = self.bytes("stripe_size", raw.stripe_size, STRIPE_BYTES_MIN..=STRIPE_BYTES_MAX);
        Orc {
            stripe_bytes: stripe.unwrap_or(usual.stripe_bytes),
            compression: raw.compression.map_or(usual.compression, |compression| compression.value),
        }
    }
}

fn openx_of(raw: raw::Openx) -> Json {
    Json::Openx {
        case_insensitive: raw.case_insensitive.is_none_or(|yes| yes.value),
        dots_to_underscores: raw.dots_to_underscores.is_some_and(|yes| yes.value),
        keys: raw.keys.into_iter().map(|(column, key)| (column.value, key.value)).collect(),
    }
}
