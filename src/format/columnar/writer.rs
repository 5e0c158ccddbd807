//! One object of a columnar format. What is given is cut anew into batches, by rows and by bytes, so that the object depends on the rows alone and a
//! batch is never larger than memory allows.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use super::carry;
use super::orc::OrcWriter;
use super::parquet::ParquetWriter;
use super::weight;
use crate::config::Format;
use crate::error::{Error, Kind, Result};
use crate::limits::{WRITE_BYTES, WRITE_ROWS};

/// Writes one object. It holds a row group (a stripe), never the object.
pub struct Writer {
    schema: SchemaRef,
    /// Rows that do not fill a batch yet.
    pending: Vec<RecordBatch>,
    rows: usize,
    /// The bytes that they have in their columns.
    bytes: usize,
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
        Ok(Writer { schema: schema.clone(), pending: Vec::new(), rows: 0, bytes: 0, file })
    }

    /// Adds rows; the bytes of the object that are ready, after those that were given back before. After an error the writer is
    /// of no more use.
    pub fn push(&mut self, batch: RecordBatch) -> Result<Vec<Bytes>> {
        let (mut rest, mut ready) = (batch, Vec::new());
        while let Some(rows) = self.filling(&rest) {
            self.pending.push(rest.slice(0, rows));
            rest = rest.slice(rows, rest.num_rows() - rows);
            let whole = self.take_pending()?;
            ready.extend(self.file.write(&whole)?);
        }
        if rest.num_rows() > 0 {
            self.rows += rest.num_rows();
            self.bytes += weight::of_rows(&rest, &(0..rest.num_rows()));
            self.pending.push(rest);
        }
        Ok(ready)
    }

    /// Adds the rows of batches that were [kept](super::Converter::keep).
    pub fn push_kept(&mut self, kept: &[u8]) -> Result<Vec<Bytes>> {
        let mut ready = Vec::new();
        for batch in carry::read(kept)? {
            ready.extend(self.push(batch?)?);
        }
        Ok(ready)
    }

    /// With how many rows of `batch` those that are pending fill one that is written, if they do.
    fn filling(&self, batch: &RecordBatch) -> Option<usize> {
        let rows = WRITE_ROWS - self.rows;
        let by_rows = (batch.num_rows() >= rows).then_some(rows);
        let first = batch.slice(0, batch.num_rows().min(rows));
        weight::reaching(&first, WRITE_BYTES - self.bytes).or(by_rows)
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

    /// Bytes of the rows that do not fill a batch yet.
    #[cfg(test)]
    pub(super) fn pending_bytes(&self) -> usize {
        self.bytes
    }

    fn take_pending(&mut self) -> Result<RecordBatch> {
        (self.rows, self.bytes) = (0, 0);
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
