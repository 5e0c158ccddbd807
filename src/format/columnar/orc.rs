//! ORC objects. The crate's writer cannot be sent from thread to thread, so each lives on one of its own and is called there.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use arrow::array::{Array as _, ArrayRef, RecordBatch, make_array};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;
use orc_rust::ArrowWriterBuilder;
use orc_rust::arrow_writer::ArrowWriter;
use orc_rust::compression::CompressionType;
use orc_rust::error::OrcError;

use crate::config::{Orc, OrcCompression};
use crate::error::{Error, Kind, Result};

pub(super) struct OrcWriter {
    /// One call at a time.
    calls: SyncSender<RecordBatch>,
    answers: Receiver<Result<Vec<u8>>>,
    stripe_bytes: usize,
}

impl OrcWriter {
    pub(super) fn new(options: &Orc, schema: &SchemaRef) -> Result<Self> {
        let (calls, called) = sync_channel(1);
        let (answer, answers) = sync_channel(1);
        let (schema, owned) = (schema.clone(), options.clone());
        std::thread::Builder::new()
            .name("orc-writer".to_owned())
            .spawn(move || serve(&owned, &schema, &called, &answer))
            .map_err(|error| Error::unavailable("no thread for the ORC writer").because(error))?;
        Ok(OrcWriter { calls, answers, stripe_bytes: options.stripe_bytes as usize })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<Option<Bytes>> {
        let batch = without_empty_nulls(batch).map_err(|error| fault().because(error))?;
        self.calls.send(batch).map_err(|_| fault())?;
        self.answer()
    }

    /// Ends the object: the thread does so when there is nobody left to call it.
    pub(super) fn finish(self) -> Result<Option<Bytes>> {
        let OrcWriter { calls, answers, .. } = self;
        drop(calls);
        bytes_of(answers.recv().map_err(|_| fault())?)
    }

    /// Not known while it works elsewhere: a stripe before compression and after.
    pub(super) fn held(&self) -> usize {
        2 * self.stripe_bytes
    }

    fn answer(&self) -> Result<Option<Bytes>> {
        bytes_of(self.answers.recv().map_err(|_| fault())?)
    }
}

fn bytes_of(answer: Result<Vec<u8>>) -> Result<Option<Bytes>> {
    answer.map(|bytes| (!bytes.is_empty()).then(|| bytes.into()))
}

/// Answers each batch with the bytes that are ready, and the end of calls with the last ones.
fn serve(options: &Orc, schema: &SchemaRef, calls: &Receiver<RecordBatch>, answers: &SyncSender<Result<Vec<u8>>>) {
    let out = Out::default();
    let mut writer = match writer(options, schema, out.clone()) {
        Ok(writer) => writer,
        Err(error) => return drop(answers.send(Err(fault().because(error)))),
    };
    for batch in calls {
        let written = writer.write(&batch);
        let answer = written.map(|()| out.take()).map_err(|error| fault().because(error));
        let failed = answer.is_err();
        if answers.send(answer).is_err() || failed {
            return;
        }
    }
    let closed = writer.close().map(|()| out.take()).map_err(|error| fault().because(error));
    // Nobody may be waiting any more.
    let _ = answers.send(closed);
}

fn writer(options: &Orc, schema: &SchemaRef, out: Out) -> Result<ArrowWriter<Out>, OrcError> {
    let builder = ArrowWriterBuilder::new(out, schema.clone()).with_stripe_byte_size(options.stripe_bytes as usize);
    match options.compression {
        OrcCompression::None => builder,
        OrcCompression::Zlib => builder.with_compression(CompressionType::Zlib),
        OrcCompression::Snappy => builder.with_compression(CompressionType::Snappy),
        OrcCompression::Zstd => builder.with_compression(CompressionType::Zstd),
    }
    .try_build()
}

/// A column that could have nulls but has none is written otherwise than one that cannot; which of them it is depends on how
/// rows came.
fn without_empty_nulls(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(|column| {
        if column.nulls().is_none() || column.null_count() > 0 {
            return Ok(column.clone());
        }
        column.to_data().into_builder().nulls(None).build().map(|data| -> ArrayRef { make_array(data) })
    });
    RecordBatch::try_new(batch.schema(), columns.collect::<Result<_, ArrowError>>()?)
}

fn fault() -> Error {
    Error::new(Kind::Internal, "the ORC writer failed")
}

/// Where the writer writes, on its thread.
#[derive(Clone, Default)]
struct Out(Rc<RefCell<Vec<u8>>>);

impl Out {
    fn take(&self) -> Vec<u8> {
        self.0.take()
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
