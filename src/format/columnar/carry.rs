//! Batches as bytes, until their object is made: a stream of Arrow's IPC format.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::error::{Error, Kind, Result};

/// Appends batches of `schema` to `out`.
pub(super) fn write(schema: &SchemaRef, batches: &[RecordBatch], out: &mut Vec<u8>) -> Result<()> {
    let written = StreamWriter::try_new(out, schema).and_then(|mut writer| {
        batches.iter().try_for_each(|batch| writer.write(batch))?;
        writer.finish()
    });
    written.map_err(|error| fault(error, "batches cannot be kept"))
}

/// The batches, one after the other.
pub(super) fn read(bytes: &[u8]) -> Result<impl Iterator<Item = Result<RecordBatch>>> {
    let unread = |error| fault(error, "batches that were kept cannot be read");
    let reader = StreamReader::try_new(bytes, None).map_err(unread)?;
    Ok(reader.map(move |batch| batch.map_err(unread)))
}

fn fault(error: ArrowError, what: &str) -> Error {
    Error::new(Kind::Internal, what.to_owned()).because(error)
}
