//! One batch of records to an acknowledgement for each of them.

use std::time::Duration;

use aws_sdk_firehose::Client;
use aws_sdk_firehose::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::{PutRecordBatchResponseEntry, Record};
use bytes::Bytes;

use super::super::client::PAUSE_MAX;
use crate::clock::Clock;
use crate::error::{Error, Result, causes};
use crate::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};

/// The pause before the first repetition; it doubles from there.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// Records that go in one call.
#[derive(Default)]
pub(in crate::cli) struct Batch {
    records: Vec<Bytes>,
    bytes: usize,
}

impl Batch {
    /// Whether `record` still fits into the call.
    pub(in crate::cli) fn has_room(&self, record: &Bytes) -> bool {
        self.records.len() < BATCH_RECORDS_MAX && self.bytes + record.len() <= BATCH_BYTES_MAX
    }

    /// Adds a record, for which there must be room.
    pub(in crate::cli) fn push(&mut self, record: Bytes) {
        assert!(self.has_room(&record), "a call has 500 records and 4 MiB at most");
        self.bytes += record.len();
        self.records.push(record);
    }

    /// Whether there are none.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// What a batch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Sent {
    /// Records acknowledged.
    pub(in crate::cli) records: u64,
    /// Bytes of those.
    pub(in crate::cli) bytes: u64,
    /// Calls made for records that an earlier call of this batch had refused.
    pub(in crate::cli) repeats: u64,
}

/// Sends batches to one stream.
#[derive(Clone)]
pub(in crate::cli) struct Sender {
    client: Client,
    stream: String,
    clock: Clock,
    attempts: u32,
}

impl Sender {
    /// A sender to `stream`, which sends a refused record at most `attempts` times.
    pub(in crate::cli) fn new(client: Client, stream: &str, clock: Clock, attempts: u32) -> Self {
        Sender { client, stream: stream.to_owned(), clock, attempts }
    }

    /// Sends a batch until every record of it is acknowledged.
    ///
    /// A call that fails as a whole is repeated by the SDK, under the same invocation id, so that a service which
    /// had stored it knows it again. Records that an answered call refused are sent again by themselves, in their
    /// order. `sent` says what was acknowledged, on an error too.
    pub(in crate::cli) async fn send(&self, batch: Batch, sent: &mut Sent) -> Result<()> {
        let mut records = batch.records;
        let mut pause = PAUSE_MIN;
        for attempt in 1.. {
            let answers = self.call(&records).await?;
            let (refused, reason) = split(records, &answers, sent)?;
            if refused.is_empty() {
                break;
            }
            if attempt >= self.attempts {
                let count = refused.len();
                return Err(Error::unavailable(format!("{count} records were refused {attempt} times: {reason}")));
            }
            self.clock.sleep(pause + self.jitter(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
            sent.repeats += 1;
            records = refused;
        }
        Ok(())
    }

    async fn call(&self, records: &[Bytes]) -> Result<Vec<PutRecordBatchResponseEntry>> {
        let entries = records.iter().map(|record| {
            let data = Blob::new(record.as_ref());
            Record::builder().data(data).build().expect("a record with data is complete")
        });
        let call = self.client.put_record_batch().delivery_stream_name(&self.stream);
        match call.set_records(Some(entries.collect())).send().await {
            Ok(answer) => Ok(answer.request_responses),
            Err(error) => Err(Error::unavailable(explain(&self.stream, &error))),
        }
    }

    /// Up to half of `pause`, so that many senders do not come back together.
    fn jitter(&self, pause: Duration) -> Duration {
        Duration::from_millis(self.clock.random() % (pause.as_millis() as u64 / 2 + 1))
    }
}

/// Counts what was acknowledged; what was not comes back in its order, with the last reason given.
fn split(
    records: Vec<Bytes>,
    answers: &[PutRecordBatchResponseEntry],
    sent: &mut Sent,
) -> Result<(Vec<Bytes>, String)> {
    if records.len() != answers.len() {
        let (asked, answered) = (records.len(), answers.len());
        return Err(Error::invalid(format!("{asked} records were sent and {answered} were answered for")));
    }
    let mut refused = Vec::new();
    let mut reason = String::new();
    for (record, answer) in records.into_iter().zip(answers) {
        if let Some(code) = answer.error_code() {
            reason = format!("{code}: {}", answer.error_message().unwrap_or("no message"));
            refused.push(record);
        } else {
            sent.records += 1;
            sent.bytes += record.len() as u64;
        }
    }
    Ok((refused, reason))
}

/// The service's own words where it answered; what stood in the way where it did not.
fn explain<E>(stream: &str, error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match error.as_service_error().and_then(|error| Some((error.code()?.to_owned(), error.message()?.to_owned()))) {
        Some((code, message)) => format!("{stream}: {code}: {message}"),
        None => format!("{stream}: no answer of a Firehose from the endpoint: {}", causes(error)),
    }
}
