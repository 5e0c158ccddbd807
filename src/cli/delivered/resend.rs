//! Sends rows of an object into a delivery stream, each once: see [`sent`](super::sent) for how that is remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_firehose::Client;
use aws_sdk_firehose::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;

use super::sent::{Claim, Numbers, Sent, digest_of};
use crate::cli::client::{self, Endpoint};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result, causes};
use crate::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, RESEND_AGE_MAX, RESEND_TIME_MAX};

/// Attempts of the SDK at one call.
const ATTEMPTS: u32 = 5;
/// The pause before a call that failed for a while is made again.
const PAUSE: Duration = Duration::from_secs(1);

/// What to do about rows of which nobody knows any more whether they were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum InDoubt {
    /// Send them: they may then be there twice
    Send,
    /// Take them for sent: they may then be missing
    Skip,
}

/// Sends rows into one stream.
pub(in crate::cli) struct Resender {
    client: Client,
    attempts: Arc<AtomicU64>,
    clock: Clock,
    into: String,
    in_doubt: Option<InDoubt>,
}

/// A row that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Item {
    /// Its number in its object.
    pub(in crate::cli) number: u64,
    /// The record.
    pub(in crate::cli) record: Bytes,
}

/// Rows that go in one call.
#[derive(Default)]
pub(in crate::cli) struct Batch {
    items: Vec<Item>,
    bytes: usize,
}

impl Batch {
    /// Whether one of so many bytes finds room.
    pub(in crate::cli) fn has_room(&self, bytes: usize) -> bool {
        self.items.len() < BATCH_RECORDS_MAX && self.bytes + bytes <= BATCH_BYTES_MAX
    }

    /// Adds a row, for which there must be room.
    pub(in crate::cli) fn push(&mut self, item: Item) {
        self.bytes += item.record.len();
        self.items.push(item);
    }

    /// How many there are.
    pub(in crate::cli) fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn sha256(&self) -> String {
        digest_of(self.items.iter().map(|item| &item.record[..]))
    }
}

/// What an interrupted command left.
pub(in crate::cli) enum Left {
    /// Nothing, or what is settled by now.
    Nothing,
    /// These rows are to be sent under the claim's name, first of all.
    Rows(Numbers),
}

impl Resender {
    /// To the stream `into`.
    pub(in crate::cli) async fn new(
        (url, region): (&str, &str),
        into: &str,
        clock: &Clock,
        in_doubt: Option<InDoubt>,
    ) -> Resender {
        let (client, attempts) = client::firehose(&Endpoint { url, region, attempts: ATTEMPTS }).await;
        Resender { client, attempts, clock: clock.clone(), into: into.to_owned(), in_doubt }
    }

    /// Looks at what an earlier command left of an object.
    ///
    /// # Errors
    /// `Conflict` when nobody knows whether rows were stored, and it was not said what to do.
    pub(in crate::cli) async fn take_up(&self, sent: &mut Sent<'_>) -> Result<Left> {
        let Some((claim, at_ms)) = sent.doubt.clone() else { return Ok(Left::Nothing) };
        let mut rows = Numbers::default();
        claim.rows.iter().for_each(|(first, last)| rows.add(*first, *last));
        let age = Duration::from_millis(self.clock.now_ms().saturating_sub(at_ms));
        if age <= RESEND_AGE_MAX {
            return Ok(Left::Rows(rows));
        }
        match self.in_doubt {
            Some(in_doubt) => sent.settle(in_doubt == InDoubt::Send, &self.clock).await.map(|()| Left::Nothing),
            None => Err(Error::new(
                Kind::Conflict,
                format!(
                    "an earlier command was interrupted {} s ago while it sent {} records (lines {}), and the service does not \
                     remember any more whether it has them: look into stream {}, then say --in-doubt send or --in-doubt skip",
                    age.as_secs(),
                    rows.len(),
                    shown(&rows),
                    self.into
                ),
            )),
        }
    }

    /// Sends the rows of a claim that an interrupted command left once more, under its name.
    ///
    /// # Errors
    /// `Conflict` when they are not the same bytes.
    pub(in crate::cli) async fn finish(&self, sent: &mut Sent<'_>, batch: Batch) -> Result<()> {
        let Some((claim, _)) = sent.doubt.clone() else { return Ok(()) };
        if batch.sha256() != claim.sha256 {
            let rows: Numbers = batch.items.iter().map(|item| item.number).collect();
            return Err(Error::new(
                Kind::Conflict,
                format!(
                    "a command that was interrupted a moment ago, or still runs, sends other bytes for lines {}: repeat it as it \
                     was, or wait for {} min and say --in-doubt",
                    shown(&rows),
                    RESEND_AGE_MAX.as_secs() / 60
                ),
            ));
        }
        self.call(sent, &claim, &batch).await?;
        sent.settle(false, &self.clock).await
    }

    /// Claims the rows of a batch and sends them. That it was acknowledged is written down with the next claim, or by
    /// [`Sent::settle`].
    pub(in crate::cli) async fn send(&self, sent: &mut Sent<'_>, batch: &Batch) -> Result<()> {
        let numbers: Numbers = batch.items.iter().map(|item| item.number).collect();
        let claim = Claim { call: self.clock.uuid(), rows: numbers.runs(), sha256: batch.sha256() };
        sent.claim(claim.clone(), &self.clock).await?;
        self.call(sent, &claim, batch).await
    }

    /// Makes the call until it is acknowledged, refused for good, or its time is over.
    async fn call(&self, sent: &mut Sent<'_>, claim: &Claim, batch: &Batch) -> Result<()> {
        let began = self.clock.instant();
        for attempt in 1.. {
            let before = self.attempts.load(Ordering::Relaxed);
            let left = RESEND_TIME_MAX.saturating_sub(began.elapsed());
            let error = match self.clock.within(left, self.put(&claim.call, batch)).await {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) => error,
                None => Error::unavailable(format!("no answer for {} s", RESEND_TIME_MAX.as_secs())),
            };
            let alone = self.attempts.load(Ordering::Relaxed) == before + 1;
            // Nothing that came before it can have got through.
            if error.kind() == Kind::Invalid && alone && attempt == 1 {
                sent.settle(true, &self.clock).await?;
                return Err(error);
            }
            if error.kind() == Kind::Invalid || began.elapsed() + PAUSE >= RESEND_TIME_MAX {
                return Err(error);
            }
            self.clock.sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn put(&self, call: &str, batch: &Batch) -> Result<()> {
        let records = batch.items.iter().map(|item| {
            let data = Blob::new(item.record.as_ref());
            Record::builder().data(data).build().expect("a record with data is complete")
        });
        let put = self.client.put_record_batch().delivery_stream_name(&self.into).set_records(Some(records.collect()));
        match put.customize().interceptor(Named(call.to_owned())).send().await {
            Ok(answer) if answer.failed_put_count() == 0 => Ok(()),
            Ok(answer) => Err(Error::unavailable(format!(
                "{} of {} records were refused one by one, which a Standpipe does not: send into one",
                answer.failed_put_count(),
                batch.items.len()
            ))),
            Err(error) => Err(explain(&self.into, &error)),
        }
    }
}

/// `Invalid` for what the service understood and will never take; nothing of it is stored.
fn explain<E, R>(into: &str, error: &SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    const FINAL: [&str; 8] = [
        "ResourceNotFoundException",
        "InvalidArgumentException",
        "ValidationException",
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "SerializationException",
        "MissingAuthenticationTokenException",
    ];
    let said = match (error.code(), error.message()) {
        (Some(code), message) => format!("{code}: {}", message.unwrap_or("no message")),
        (None, _) => causes(error),
    };
    let is_final = error.code().is_some_and(|code| FINAL.contains(&code));
    let kind = if is_final { Kind::Invalid } else { Kind::Unavailable };
    Error::new(kind, format!("records cannot be put into {into}: {said}"))
}

/// Rows for a person.
fn shown(rows: &Numbers) -> String {
    const RUNS_MAX: usize = 5;
    let runs = rows.runs();
    let one = |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let mut text = runs.iter().take(RUNS_MAX).map(one).collect::<Vec<_>>().join(", ");
    if runs.len() > RUNS_MAX {
        text.push_str(", …");
    }
    text
}

/// Gives a call the name by which the service knows it again.
#[derive(Debug)]
struct Named(String);

#[dyn_dispatch_hint]
impl Intercept for Named {
    fn name(&self) -> &'static str {
        "Named"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // In the place of the SDK's own.
        context.request_mut().headers_mut().insert("amz-sdk-invocation-id", self.0.clone());
        Ok(())
    }
}
