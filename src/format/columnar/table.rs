//! The rows of a batch under construction, record by record.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;

use super::fault::{Fault, Misfit, parse_error};
use super::object::Object;
use super::read::Reader;
use super::rules::Rules;
use crate::config::Column;
use crate::error::{Error, Kind, Result};
use crate::json::{Broken, Scan};
use crate::limits::CONVERT_VALUE_BYTES;

pub(super) struct Table<'t> {
    columns: Object<'t>,
    rows: usize,
    /// About so many bytes are in the columns.
    bytes: usize,
}

impl<'t> Table<'t> {
    pub(super) fn new(columns: &'t [Column], rules: &Rules) -> Self {
        Table { columns: Object::new(columns, rules), rows: 0, bytes: 0 }
    }

    /// The same, whose last column takes what has no other.
    pub(super) fn with_rest(mut self) -> Self {
        self.columns = self.columns.with_rest();
        self
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of the records, and of the values that they made.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the rows of a record, or nothing.
    pub(super) fn record(&mut self, reader: &mut Reader<'_>, record: &[u8]) -> Result<(), Misfit> {
        if let Err(error) = std::str::from_utf8(record) {
            return Err(parse_error(record, Broken { at: error.valid_up_to(), what: "no UTF-8" }));
        }
        let before = self.rows;
        reader.begin(record.len());
        self.documents(reader, &mut Scan::new(record)).map_err(|fault| {
            self.truncate(before);
            fault.misfit(record)
        })?;
        self.bytes += record.len() + reader.values() * CONVERT_VALUE_BYTES;
        Ok(())
    }

    fn documents(&mut self, reader: &mut Reader<'_>, scan: &mut Scan<'_>) -> Result<(), Fault> {
        let before = self.rows;
        loop {
            match scan.peek() {
                0 if self.rows > before => return Ok(()),
                0 => return Err(scan.broken("expected an object").into()),
                b'{' => self.columns.read(reader, scan, self.rows, 0)?,
                _ => return Err(Fault::unfit(scan.at, "is not an object, as a record must be, or several")),
            }
            self.rows += 1;
        }
    }

    /// Takes all rows back; what was learned of keys is kept.
    pub(super) fn clear(&mut self) {
        self.truncate(0);
        self.bytes = 0;
    }

    fn truncate(&mut self, rows: usize) {
        self.columns.truncate(rows);
        self.rows = rows;
    }

    pub(super) fn finish(self, schema: &SchemaRef) -> Result<RecordBatch> {
        let rows = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let columns = self.columns.finish(schema.fields());
        let batch = columns.and_then(|columns| RecordBatch::try_new_with_options(schema.clone(), columns, &rows));
        batch.map_err(|error| Error::new(Kind::Internal, "columns do not make a batch").because(error))
    }
}
