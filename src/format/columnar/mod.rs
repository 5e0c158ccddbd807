//! Record format conversion: JSON records become rows of a table, and tables Parquet or ORC objects.
//!
//! A [`Converter`] reads records straight into columns. A record that does not fit fails alone, with a reason, and leaves nothing
//! behind. A [`Writer`] makes bytes of batches as row groups (stripes) fill. What both make is a function of the records, in
//! order, and of the [`Columnar`] settings that a plan pins: not of how the records were cut into batches, nor of any clock. A record that
//! would make too many values fails, too: a few bytes may make one in each of thousands of columns.
//! Where the table is found in the rows, a record fails that might make too many in the widest of all tables: whether it fits is known
//! before its object's table is, and depends on the record alone.
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

mod carry;
mod column;
mod fault;
mod glue;
mod infer;
mod object;
mod orc;
mod parquet;
mod read;
mod rules;
mod table;
mod weight;
mod widest;
mod writer;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};

pub use fault::{MALFORMED_DATA, Misfit, PARSE_ERROR};
pub use glue::glue_table;
pub use infer::Inferrer;
pub use writer::Writer;

use crate::config::{Column, Columnar, Schema, TableSchema};
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
    settings: Arc<Columnar>,
    /// The table that was found in rows, if the settings have none.
    found: Option<TableSchema>,
    /// Whether its last column takes what has no other.
    has_rest: bool,
    rules: Rules,
    schema: SchemaRef,
}

impl Shared {
    fn table(&self) -> Table<'_> {
        let table = Table::new(columns_of(&self.settings, self.found.as_ref()), &self.rules);
        if self.has_rest { table.with_rest() } else { table }
    }
}

fn columns_of<'a>(settings: &'a Columnar, found: Option<&'a TableSchema>) -> &'a [Column] {
    match (found, &settings.schema) {
        (Some(table), _) | (None, Schema::Table(table)) => table.columns(),
        (None, Schema::Infer(_)) => &[],
    }
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
    /// If settings do not fit together, or their schema is to be inferred: that needs the rows, and [`Converter::inferred`].
    pub fn new(settings: &Columnar) -> Result<Self> {
        Converter::sharing(&Arc::new(settings.clone()))
    }

    /// The same, which shares the settings.
    pub fn sharing(settings: &Arc<Columnar>) -> Result<Self> {
        settings.check()?;
        match &settings.schema {
            Schema::Table(_) => Converter::of(settings, None, false),
            Schema::Infer(_) => Err(Error::invalid("the schema must be inferred before records are converted")),
        }
    }

    /// A converter into the table that `inferrer` found, in the place of the schema that `settings` have. Rows that were
    /// [checked](Converter::check) under any such table fit it if it saw them.
    pub fn inferred(settings: &Arc<Columnar>, inferrer: &Inferrer) -> Result<Self> {
        let table = inferrer.table()?;
        settings.check_with(&table)?;
        Converter::of(settings, Some(table), inferrer.rest().is_some())
    }

    fn of(settings: &Arc<Columnar>, found: Option<TableSchema>, has_rest: bool) -> Result<Self> {
        let rules = Rules::new(settings)?;
        // Hive's timestamps have no zone, which is what readers of ORC expect; Parquet's are moments.
        let zone = if rules.orc { None } else { Some("UTC") };
        let columns = columns_of(settings, found.as_ref());
        let fields: Vec<_> = columns.iter().map(|one| column::field(&one.name, &one.kind, zone)).collect();
        let schema = Arc::new(ArrowSchema::new(fields));
        Ok(Converter { shared: Arc::new(Shared { settings: settings.clone(), found, has_rest, rules, schema }) })
    }

    /// Makes rows of `records`, in order. A fault is one of ours, not of the records.
    pub fn convert<'r>(&self, records: impl IntoIterator<Item = &'r [u8]>) -> Result<Converted> {
        let (mut batches, mut rows) = (Vec::new(), 0);
        let misfits = self.convert_each(records, |batch| {
            rows += batch.num_rows();
            batches.push(batch);
            Ok(true)
        })?;
        Ok(Converted { batches, rows, misfits })
    }

    /// The same, where each batch is given to `take` as soon as it is full: no more than one is in memory. It says whether to go on. Gives
    /// back the misfits.
    pub fn convert_each<'r>(
        &self,
        records: impl IntoIterator<Item = &'r [u8]>,
        mut take: impl FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<Vec<(usize, Misfit)>> {
        let mut misfits = Vec::new();
        let (mut table, mut reader) = self.start();
        for (number, record) in records.into_iter().enumerate() {
            if let Err(misfit) = table.record(&mut reader, record) {
                misfits.push((number, misfit));
            }
            if table.bytes() >= CONVERT_BATCH_BYTES_MAX {
                let full = std::mem::replace(&mut table, self.shared.table());
                if !take(full.finish(&self.shared.schema)?)? {
                    return Ok(misfits);
                }
            }
        }
        if table.rows() > 0 {
            take(table.finish(&self.shared.schema)?)?;
        }
        Ok(misfits)
    }

    /// The numbers of those of `records` that do not fit, in order, and why: the same that [`Converter::convert`] would say. Where the
    /// table was found in rows, also those that might not fit a wider one.
    pub fn check<'r>(&self, records: impl IntoIterator<Item = &'r [u8]>) -> Vec<(usize, Misfit)> {
        let (mut table, mut reader) = self.start();
        let mut misfits = Vec::new();
        for (number, record) in records.into_iter().enumerate() {
            let read = table.record(&mut reader, record);
            let read = if self.shared.found.is_some() { read.and_then(|()| widest::check(record)) } else { read };
            if let Err(misfit) = read {
                misfits.push((number, misfit));
            }
            table.clear();
        }
        misfits
    }

    /// Appends batches to `out`, to be [written](Writer::push_kept) later.
    pub fn keep(&self, batches: &[RecordBatch], out: &mut Vec<u8>) -> Result<()> {
        carry::write(&self.shared.schema, batches, out)
    }

    /// A writer of one object of converted rows.
    pub fn writer(&self) -> Result<Writer> {
        Writer::new(&self.shared.settings.format, &self.shared.schema)
    }

    /// The extension of objects: `.parquet` or `.orc`.
    pub fn extension(&self) -> &'static str {
        self.shared.settings.format.extension()
    }

    /// The schema of batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.shared.schema
    }

    fn start(&self) -> (Table<'_>, Reader<'_>) {
        (self.shared.table(), Reader::new(&self.shared.rules, self.shared.found.is_some()))
    }
}

#[cfg(test)]
mod tests;
