//! One batch of records to an acknowledgement for each of them.

use std::time::Duration;

use aws_sdk_firehose::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use bytes::Bytes;

use super::super::client::PAUSE_MAX;
use crate::clock::Clock;
use crate::error::{Error, Result, causes};
use crate::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, PUT_RECORDS_BYTES_MAX, PUT_RECORDS_MAX};

/// The pause before the first repetition; it doubles from there.
const PAUSE_MIN: Duration = Duration::from_millis(100);

const _: () = assert!(BATCH_RECORDS_MAX == PUT_RECORDS_MAX);

/// A record and, for a data stream, its partition key.
#[derive(Clone)]
pub(in crate::cli) struct Item {
    pub(in crate::cli) data: Bytes,
    pub(in crate::cli) key: String,
}

impl Item {
    fn bytes(&self) -> usize {
        self.data.len() + self.key.len()
    }
}

impl From<Bytes> for Item {
    fn from(data: Bytes) -> Self {
        Item { data, key: String::new() }
    }
}

/// Records that go in one call.
pub(in crate::cli) struct Batch {
    records: Vec<Item>,
    bytes: usize,
    bytes_max: usize,
}

/// For a delivery stream.
impl Default for Batch {
    fn default() -> Self {
        Batch { records: Vec::new(), bytes: 0, bytes_max: BATCH_BYTES_MAX }
    }
}

impl Batch {
    /// For a data stream.
    pub(in crate::cli) fn with_keys() -> Self {
        Batch { bytes_max: PUT_RECORDS_BYTES_MAX, ..Batch::default() }
    }

    /// What is in it, which leaves it empty.
    pub(in crate::cli) fn take(&mut self) -> Self {
        let empty = Batch { records: Vec::new(), bytes: 0, bytes_max: self.bytes_max };
        std::mem::replace(self, empty)
    }

    /// Whether `record` still fits into the call.
    pub(in crate::cli) fn has_room(&self, record: &Item) -> bool {
        self.records.len() < BATCH_RECORDS_MAX && self.bytes + record.bytes() <= self.bytes_max
    }

    /// Adds a record, for which there must be room.
    pub(in crate::cli) fn push(&mut self, record: Item) {
        assert!(self.has_room(&record), "a call has 500 records and 4 MiB (10 MiB for data streams) at most");
        self.bytes += record.bytes();
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

/// The API that takes the records.
#[derive(Clone)]
pub(in crate::cli) enum Door {
    /// A delivery stream's.
    Firehose(aws_sdk_firehose::Client),
    /// A data stream's.
    Kinesis(aws_sdk_kinesis::Client),
}

/// For each record of a call nothing, or why it was refused.
type Answers = Vec<Option<String>>;

/// Sends batches to one stream.
#[derive(Clone)]
pub(in crate::cli) struct Sender {
    door: Door,
    stream: String,
    clock: Clock,
    attempts: u32,
}

impl Sender {
    /// A sender to `stream`, which sends a refused record at most `attempts` times.
    pub(in crate::cli) fn new(door: Door, stream: &str, clock: Clock, attempts: u32) -> Self {
        Sender { door, stream: stream.to_owned(), clock, attempts }
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
            let (refused, reason) = split(records, answers, sent)?;
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

    async fn call(&self, records: &[Item]) -> Result<Answers> {
        match &self.door {
            Door::Firehose(client) => self.put_record_batch(client, records).await,
            Door::Kinesis(client) => self.put_records(client, records).await,
        }
    }

    async fn put_record_batch(&self, client: &aws_sdk_firehose::Client, records: &[Item]) -> Result<Answers> {
        let entries = records.iter().map(|record| {
            let data = Blob::new(record.data.as_ref());
            Record::builder().data(data).build().expect("a record with data is complete")
        });
        let call = client.put_record_batch().delivery_stream_name(&self.stream);
        let answer = call.set_records(Some(entries.collect())).send().await;
        let answer = answer.map_err(|error| Error::unavailable(explain(&self.stream, "Firehose", &error)))?;
        let answers = answer.request_responses.iter();
        Ok(answers.map(|one| refusal(one.error_code(), one.error_message())).collect())
    }

    async fn put_records(&self, client: &aws_sdk_kinesis::Client, records: &[Item]) -> Result<Answers> {
        let entries = records.iter().map(|record| {
            let entry = PutRecordsRequestEntry::builder().data(Blob::new(record.data.as_ref()));
            entry.partition_key(&record.key).build().expect("a record with data and key is complete")
        });
        let call = client.put_records().stream_name(&self.stream);
        let answer = call.set_records(Some(entries.collect())).send().await;
        let answer = answer.map_err(|error| Error::unavailable(explain(&self.stream, "Kinesis", &error)))?;
        let answers = answer.records.iter();
        Ok(answers.map(|one| refusal(one.error_code(), one.error_message())).collect())
    }

    /// Up to half of `pause`, so that many senders do not come back together.
    fn jitter(&self, pause: Duration) -> Duration {
        Duration::from_millis(self.clock.random() % (pause.as_millis() as u64 / 2 + 1))
    }
}

fn refusal(code: Option<&str>, message: Option<&str>) -> Option<String> {
    code.map(|code| format!("{code}: {}", message.unwrap_or("no message")))
}

/// Counts what was acknowledged; what was not comes back in its order, with the last reason given.
fn split(records: Vec<Item>, answers: Answers, sent: &mut Sent) -> Result<(Vec<Item>, String)> {
    if records.len() != answers.len() {
        let (asked, answered) = (records.len(), answers.len());
        return Err(Error::invalid(format!("{asked} records were sent and {answered} were answered for")));
    }
    let mut refused = Vec::new();
    let mut reason = String::new();
    for (record, answer) in records.into_iter().zip(answers) {
        if let Some(why) = answer {
            reason = why;
            refused.push(record);
        } else {
            sent.records += 1;
            sent.bytes += record.data.len() as u64;
        }
    }
    Ok((refused, reason))
}

/// The service's own words where it answered; what stood in the way where it did not.
fn explain<E>(stream: &str, api: &str, error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match error.as_service_error().and_then(|error| Some((error.code()?.to_owned(), error.message()?.to_owned()))) {
        Some((code, message)) => format!("{stream}: {code}: {message}"),
        None => format!("{stream}: no answer of a {api} from the endpoint: {}", causes(error)),
    }
}
