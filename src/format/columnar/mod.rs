//! Record format conversion: JSON records become rows of a table, and tables Parquet or ORC objects.
//!
//! A [`Converter`] reads records straight into columns. A record that does not fit fails alone, with a reason, and leaves nothing
//! behind. A [`Writer`] makes bytes of batches as row groups (stripes) fill. What both make is a function of the records, in
//! order, and of the [`Columnar`] settings that a plan pins: not of how the records were cut into batches, nor of any clock.
//!
//! **How values are read.** As the deserializer does of which [`Json`](crate::config::Json) has the options:
//! - Keys of no column are passed over, columns without a key are null, and of several values under one key the last one holds;
//!   each of them must fit. A record may be several JSON documents, each of which is a row; then all must fit.
//! - Whole numbers may be written as `1.0` or `1e3`, and must be in the range of their type. Numbers beyond a double, and texts
//!   longer than their `varchar`, do not fit. Decimals are rounded half up to their scale.
//! - OpenX reads numbers and truth values in texts, and a text column takes any value: objects as the JSON that they are. Hive
//!   takes numbers and truth values for text, too, but no objects.
//! - Binary is base64. Dates are `yyyy-MM-dd`. Keys of maps follow the rules of keys: they are in lower case, if all are.
//! - Times are kept to the microsecond and lie in the years 1 to 9999. OpenX takes `yyyy-MM-ddTHH:mm:ss[.S]Z` (ours: an offset in the
//!   place of `Z`), `yyyy-MM-dd HH:mm:ss[.S]`, and numbers, also in texts: seconds, or milliseconds from a million million on. Hive
//!   takes its formats in order and then `yyyy-MM-dd HH:mm:ss[.S]`.
//!
//! **What ORC lacks here.** The writer (crate `orc-rust`) has no arrays, maps, structs and decimals: such columns are refused with the
//! settings. It writes no row indexes, column statistics, bloom filters and dictionaries, so that readers cannot skip rows. Times
//! between the last second before 1970 and 1970 cannot be written (ORC-763) and do not fit.

mod column;
mod fault;
mod glue;
mod infer;
mod object;
mod orc;
mod parquet;
mod read;
mod rules;
mod scan;
mod table;
mod writer;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};

pub use fault::{MALFORMED_DATA, Misfit, PARSE_ERROR};
pub use glue::glue_table;
pub use infer::Inferrer;
pub use writer::Writer;

use crate::config::{Columnar, Format, Schema, TableSchema};
use crate::error::{Error, Result};
use crate::limits::CONVERT_BATCH_BYTES_MAX;
use read::Reader;
use rules::Rules;
use table::Table;

/// Converts records. Cloning shares it; it may be used by several threads at once.
#[derive(Clone)]
pub struct Converter {
    shared: Arc<Shared>,
}

struct Shared {
    format: Format,
    table: TableSchema,
    rules: Rules,
    schema: SchemaRef,
}

/// What became of some records.
#[derive(Debug)]
pub struct Converted {
    /// The rows of all records that fit, in order.
    pub batches: Vec<RecordBatch>,
    /// How many rows that are: a record may be several.
    pub rows: usize,
    /// The numbers of those that do not fit, in order, and why.
    pub misfits: Vec<(usize, Misfit)>,
}

impl Converter {
    /// A converter into the table that `settings` name.
    ///
    /// # Errors
    /// If settings do not fit together, or their schema is to be inferred: that needs the rows, and [`Converter::into_table`].
    pub fn new(settings: &Columnar) -> Result<Self> {
        match &settings.schema {
            Schema::Table(table) => Converter::into_table(settings, table.clone()),
            Schema::Infer(_) => Err(Error::invalid("the schema must be inferred before records are converted")),
        }
    }

    /// A converter into `table`, in the place of the schema that `settings` have.
    pub fn into_table(settings: &Columnar, table: TableSchema) -> Result<Self> {
        let settings = Columnar { schema: Schema::Table(table.clone()), ..settings.clone() };
        settings.check()?;
        let rules = Rules::new(&settings)?;
        // Hive's timestamps have no zone, which is what readers of ORC expect; Parquet's are moments.
        let zone = if rules.orc { None } else { Some("UTC") };
        let fields: Vec<_> = table.columns().iter().map(|one| column::field(&one.name, &one.kind, zone)).collect();
        let schema = Arc::new(ArrowSchema::new(fields));
        Ok(Converter { shared: Arc::new(Shared { format: settings.format, table, rules, schema }) })
    }

    /// Makes rows of `records`, in order. A fault is one of ours, not of the records.
    pub fn convert<'r>(&self, records: impl IntoIterator<Item = &'r [u8]>) -> Result<Converted> {
        let mut converted = Converted { batches: Vec::new(), rows: 0, misfits: Vec::new() };
        let (mut table, mut reader) = self.start();
        let mut bytes = 0;
        for (number, record) in records.into_iter().enumerate() {
            if bytes + record.len() > CONVERT_BATCH_BYTES_MAX && bytes > 0 {
                let full = std::mem::replace(&mut table, Table::new(&self.shared.table, &self.shared.rules));
                self.batch(full, &mut converted)?;
                bytes = 0;
            }
            bytes += record.len();
            if let Err(misfit) = table.record(&mut reader, record) {
                converted.misfits.push((number, misfit));
            }
        }
        self.batch(table, &mut converted)?;
        Ok(converted)
    }

    /// The numbers of those of `records` that do not fit, in order, and why: the same that [`Converter::convert`] would say.
    pub fn check<'r>(&self, records: impl IntoIterator<Item = &'r [u8]>) -> Vec<(usize, Misfit)> {
        let (mut table, mut reader) = self.start();
        let mut misfits = Vec::new();
        for (number, record) in records.into_iter().enumerate() {
            if let Err(misfit) = table.record(&mut reader, record) {
                misfits.push((number, misfit));
            }
            table.clear();
        }
        misfits
    }

    /// A writer of one object of converted rows.
    pub fn writer(&self) -> Result<Writer> {
        Writer::new(&self.shared.format, &self.shared.schema)
    }

    /// The extension of objects: `.parquet` or `.orc`.
    pub fn extension(&self) -> &'static str {
        self.shared.format.extension()
    }

    /// The schema of batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.shared.schema
    }

    fn start(&self) -> (Table<'_>, Reader<'_>) {
        (Table::new(&self.shared.table, &self.shared.rules), Reader::new(&self.shared.rules))
    }

    fn batch(&self, table: Table<'_>, converted: &mut Converted) -> Result<()> {
        if table.rows() > 0 {
            converted.rows += table.rows();
            converted.batches.push(table.finish(&self.shared.schema)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
