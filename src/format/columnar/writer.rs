//! One object of a columnar format. What is given is cut anew into batches of the same size, so that bytes depend on the rows alone.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use super::orc::OrcWriter;
use super::parquet::ParquetWriter;
use crate::config::Format;
use crate::error::{Error, Kind, Result};
use crate::limits::WRITE_ROWS;

/// Writes one object. It holds a row group (a stripe), never the object.
pub struct Writer {
    schema: SchemaRef,
    /// Rows that do not fill a batch yet.
    pending: Vec<RecordBatch>,
    rows: usize,
    file: File,
}

enum File {
    Parquet(Box<ParquetWriter>),
    Orc(OrcWriter),
}

impl Writer {
    pub(super) fn new(format: &Format, schema: &SchemaRef) -> Result<Self> {
        let file = match format {
            Format::Parquet(options) => File::Parquet(Box::new(ParquetWriter::new(options, schema)?)),
            Format::Orc(options) => File::Orc(OrcWriter::new(options, schema)?),
        };
        Ok(Writer { schema: schema.clone(), pending: Vec::new(), rows: 0, file })
    }

    /// Adds rows; the bytes of the object that are ready, after those that were given back before. After an error the writer is
    /// of no more use.
    pub fn push(&mut self, batch: RecordBatch) -> Result<Vec<Bytes>> {
        self.rows += batch.num_rows();
        self.pending.push(batch);
        let mut ready = Vec::new();
        if self.rows < WRITE_ROWS {
            return Ok(ready);
        }
        let all = self.take_pending()?;
        let whole = all.num_rows() / WRITE_ROWS * WRITE_ROWS;
        for start in (0..whole).step_by(WRITE_ROWS) {
            ready.extend(self.file.write(&all.slice(start, WRITE_ROWS))?);
        }
        self.rows = all.num_rows() - whole;
        if self.rows > 0 {
            self.pending.push(all.slice(whole, self.rows));
        }
        Ok(ready)
    }

    /// The rest of the object. Without any rows it is an object of none.
    pub fn finish(mut self) -> Result<Vec<Bytes>> {
        let mut ready = Vec::new();
        if self.rows > 0 {
            let rest = self.take_pending()?;
            ready.extend(self.file.write(&rest)?);
        }
        ready.extend(match self.file {
            File::Parquet(parquet) => parquet.finish()?,
            File::Orc(orc) => orc.finish()?,
        });
        Ok(ready)
    }

    /// Bytes that the writer holds, about.
    pub fn held(&self) -> usize {
        let pending: usize = self.pending.iter().map(RecordBatch::get_array_memory_size).sum();
        pending
            + match &self.file {
                File::Parquet(parquet) => parquet.held(),
                File::Orc(orc) => orc.held(),
            }
    }

    fn take_pending(&mut self) -> Result<RecordBatch> {
        let pending = std::mem::take(&mut self.pending);
        if let [only] = pending.as_slice() {
            return Ok(only.clone());
        }
        concat_batches(&self.schema, &pending)
            .map_err(|error| Error::new(Kind::Internal, "batches cannot be joined").because(error))
    }
}

impl File {
    fn write(&mut self, batch: &RecordBatch) -> Result<Option<Bytes>> {
        match self {
            File::Parquet(parquet) => parquet.write(batch),
            File::Orc(orc) => orc.write(batch),
        }
    }
}
