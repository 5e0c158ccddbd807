//! The Firehose API, version 2015-08-04: puts in [`put`], everything that changes or shows streams in [`control`].

pub mod control;
pub mod put;
mod records;

use serde::Deserialize;

use super::access::Gate;
use super::server::Received;
use super::{ApiError, Context, RequestFacts};
use crate::config::names::data_stream_arn;
use crate::limits::DATA_NAME_MAX;

/// How `X-Amz-Target` names this API.
pub const TARGET: &str = "Firehose_20150804";

const CONTROL: [&str; 10] = [
    "CreateDeliveryStream",
    "DeleteDeliveryStream",
    "DescribeDeliveryStream",
    "ListDeliveryStreams",
    "ListTagsForDeliveryStream",
    "StartDeliveryStreamEncryption",
    "StopDeliveryStreamEncryption",
    "TagDeliveryStream",
    "UntagDeliveryStream",
    "UpdateDestination",
];

/// Runs one operation for an authenticated caller, if its policy allows it; the body of the answer.
pub async fn call(
    context: &Context,
    gate: &Gate<'_>,
    operation: &str,
    body: Received,
    facts: &RequestFacts,
) -> Result<Vec<u8>, ApiError> {
    match operation {
        "PutRecord" => put::call(context, gate, put::Operation::Record, body, facts).await,
        "PutRecordBatch" => put::call(context, gate, put::Operation::Batch, body, facts).await,
        _ if CONTROL.contains(&operation) => {
            gate.check(&format!("firehose:{operation}"), &resource(context, operation, &body.bytes)?)?;
            if operation == "CreateDeliveryStream"
                && let Some(source) = source(context, &body.bytes)?
            {
                gate.check("kinesis:GetRecords", &source)?;
            }
            let answer = control::call(context, operation, &body.bytes, facts).await?;
            serde_json::to_vec(&answer)
                .map_err(|_| ApiError::internal_failure("The request failed for an internal reason."))
        }
        _ => {
            let shown: String = operation.chars().take(64).collect();
            Err(ApiError::unknown_operation(format!("Unknown operation {TARGET}.{shown}")))
        }
    }
}

/// What a control operation is about: the stream that its body names.
///
/// A name that stands twice is refused, so that no other than the one that was checked is acted on. A call without a
/// name is about no stream that any policy could mean but `*` ones, and is refused later for that.
fn resource(context: &Context, operation: &str, body: &[u8]) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "DeliveryStreamName")]
        name: Option<String>,
    }

    let named: Named = serde_json::from_slice(body).map_err(|error| serialization(&error))?;
    if operation == "ListDeliveryStreams" {
        return Ok("*".to_owned());
    }
    let name = named.name.unwrap_or_default();
    // Longer ones break the model's constraint, and need not be repeated in a message.
    let name: String = name.chars().take(crate::limits::STREAM_NAME_MAX + 1).collect();
    Ok(context.account.delivery_stream_arn(&name))
}

/// The data stream that a new delivery stream would read: whoever may not read it must not have it delivered either. At AWS
/// this is for the role, which here gives nobody any right. An ARN that is none is refused later, as one of another
/// account is.
fn source(context: &Context, body: &[u8]) -> Result<Option<String>, ApiError> {
    #[derive(Deserialize)]
    struct Reading {
        #[serde(rename = "KinesisStreamSourceConfiguration")]
        source: Option<Source>,
    }

    #[derive(Deserialize)]
    struct Source {
        #[serde(rename = "KinesisStreamARN")]
        arn: Option<String>,
    }

    let reading: Reading = serde_json::from_slice(body).map_err(|error| serialization(&error))?;
    let arn = reading.source.and_then(|source| source.arn);
    let name = arn.as_deref().and_then(data_stream_arn).map(|arn| arn.name.chars().take(DATA_NAME_MAX + 1).collect());
    Ok(name.map(|name: String| context.account.data_stream_arn(&name)))
}

/// What a body that cannot be read is answered with; the reader's message may repeat what the client sent, so it is
/// cut.
fn serialization(error: &serde_json::Error) -> ApiError {
    const CHARS_MAX: usize = 200;
    ApiError::serialization(error.to_string().chars().take(CHARS_MAX).collect::<String>())
}
