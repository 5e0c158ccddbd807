//! Functions behind HTTP: whoever speaks Lambda's invoke API (Lambda itself, the runtime interface emulator, a server of
//! one's own) and Firehose's transformation contract.
//!
//! Rows go out in batches, in order, each small enough that request and answer stay under the 6 MB of an invocation; one
//! whose answer does not is asked for again in halves. A call that fails is repeated with the same record ids and another
//! invocation id. What then is not answered for goes to the error output with Firehose's codes:
//!
//! | what happened | code | whose |
//! |---|---|---|
//! | the function says `ProcessingFailed` | `Lambda.ProcessingFailedStatus` | the record |
//! | a record id is not answered, or there is no `records` at all | `Lambda.MissingRecordId` | the record |
//! | a record id is answered twice | `Lambda.DuplicatedRecordId` | the record |
//! | `Ok` without data, partition keys that are none | `Lambda.InvalidReturnFormat` | the record |
//! | another result, data that is not base64, other types | `Lambda.FunctionError` | the whole batch |
//! | an error of the function, no answer in time, too large an answer to one record | `Lambda.FunctionError`, after retries | the whole batch |
//! | an answer that is not JSON | `Lambda.JsonProcessingException`, after retries | the whole batch |
//! | status 401 or 403, 404, 429 | `Lambda.InvokeAccessDenied`, `Lambda.ResourceNotFound`, `Lambda.InvokeLimitExceeded`, after retries | the whole batch |

mod answer;
mod gather;
mod invoke;
mod request;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Origins, Outcome, Rows};
use crate::clock::Clock;
use crate::error::Result;
use crate::limits::{FUNCTION_PAUSE_MAX, FUNCTION_PAUSE_MIN};
use crate::telemetry::metrics::FunctionMetrics;

use answer::Verdict;
use gather::Gathered;
use invoke::{Fault, Invoked, Invoker};
use request::{Batch, Writer};

/// Where a function is and how patient we are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// The invoke URL: `http://host:9000/2015-03-31/functions/function/invocations`.
    pub url: String,
    /// The ARN that error output names.
    pub arn: String,
    /// How long one answer may take: at most 5 min.
    pub timeout: Duration,
    /// How often a call is repeated: 0 to 300.
    pub retries: u32,
    /// Bytes of records in one call before base64: 0.2 to 3 MB.
    pub batch_bytes: u32,
}

/// What every call of a function says about the delivery stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// `deliveryStreamArn`.
    pub delivery_stream_arn: String,
    /// `region`.
    pub region: String,
    /// `sourceKinesisStreamArn`, if it reads one.
    pub source_arn: Option<String>,
}

/// A function, ready to be called. Cheap to clone.
#[derive(Clone)]
pub struct Function(Arc<Inner>);

struct Inner {
    settings: Settings,
    caller: Caller,
    clock: Clock,
    metrics: Arc<FunctionMetrics>,
    invoker: Invoker,
    /// The first pause after a failed call; it doubles.
    pause: Duration,
}

impl Function {
    /// A function whose calls are counted in `metrics`. The credentials of the AWS chain are not used: nothing is signed. For `https` the system's certificates
    /// are read.
    ///
    /// # Errors
    /// `Invalid` for a URL that is none; `Unavailable` when the certificates cannot be read.
    pub fn new(settings: Settings, caller: Caller, clock: Clock, metrics: Arc<FunctionMetrics>) -> Result<Self> {
        Function::with_pause(settings, caller, clock, metrics, FUNCTION_PAUSE_MIN)
    }

    fn with_pause(
        settings: Settings,
        caller: Caller,
        clock: Clock,
        metrics: Arc<FunctionMetrics>,
        pause: Duration,
    ) -> Result<Self> {
        let invoker = Invoker::new(&settings.url)?;
        Ok(Function(Arc::new(Inner { settings, caller, clock, metrics, invoker, pause })))
    }

    /// What the function makes of `rows`, called in batches, in order. Retries are done when this returns: whatever then is
    /// not answered for is in `failed` with Firehose's codes. An error is a fault of ours.
    pub async fn run(&self, rows: &Rows, origins: &Origins) -> Result<Outcome> {
        let Inner { settings, caller, .. } = &*self.0;
        let writer = Writer::new(rows, origins, caller, settings.batch_bytes as usize);
        let mut gathered = Gathered::new(rows, settings);
        // What is still to be answered for, the next last: halves of batches stand before the rest.
        let mut waiting: Vec<Range<usize>> = Vec::new();
        waiting.extend((!rows.is_empty()).then_some(0..rows.len()));
        while let Some(range) = waiting.pop() {
            let batch = writer.batch(range.clone());
            if batch.rows.end < range.end {
                waiting.push(batch.rows.end..range.end);
            }
            if let Some(verdicts) = self.answer(&batch).await {
                gathered.push(verdicts);
            } else {
                let middle = batch.rows.start + batch.rows.len() / 2;
                waiting.push(middle..batch.rows.end);
                waiting.push(batch.rows.start..middle);
            }
        }
        gathered.outcome()
    }

    /// What becomes of each row of a batch; nothing if the answer is too large and the batch can be halved.
    async fn answer(&self, batch: &Batch) -> Option<Vec<Verdict>> {
        let Inner { settings, clock, metrics, .. } = &*self.0;
        let mut pause = self.0.pause;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let began = clock.instant();
            let answer = self.attempt(batch).await;
            metrics.called(attempt, clock.instant() - began);
            let fault = match answer {
                Ok(body) => match answer::judge(&batch.ids, &body, attempt) {
                    Ok(verdicts) => {
                        metrics.answered();
                        return Some(verdicts);
                    }
                    Err(fault) => fault,
                },
                Err(Trouble::TooLarge) if batch.rows.len() > 1 => return None,
                Err(Trouble::TooLarge) => Fault::function("the answer to a single record is too large"),
                Err(Trouble::Fault(fault)) => fault,
            };
            let again = attempt <= settings.retries;
            let Fault { code, detail, .. } = &fault;
            metrics.failed(code, detail, clock.now_ms());
            tracing::warn!(function = settings.name, attempt, again, code, detail, "a call of the function failed");
            if !again {
                return Some(vec![Verdict::Failed(fault.failure(attempt)); batch.rows.len()]);
            }
            clock.sleep(pause).await;
            pause = (pause * 2).min(FUNCTION_PAUSE_MAX);
        }
    }

    /// One call: the body of its answer.
    async fn attempt(&self, batch: &Batch) -> Result<bytes::Bytes, Trouble> {
        let Inner { settings, clock, invoker, .. } = &*self.0;
        let call = invoker.invoke(batch.body(&clock.uuid()), batch.answer_bytes_max());
        match clock.within(settings.timeout, call).await {
            Some(Invoked::Answer(body)) => Ok(body),
            Some(Invoked::TooLarge) => Err(Trouble::TooLarge),
            Some(Invoked::Fault(fault)) => Err(Trouble::Fault(fault)),
            None => {
                let detail = format!("no answer within {} s", settings.timeout.as_secs_f64());
                Err(Trouble::Fault(Fault::function(detail)))
            }
        }
    }
}

/// Why a call has no answer.
enum Trouble {
    /// More than an invocation may bring.
    TooLarge,
    /// Another time it may have one.
    Fault(Fault),
}
