//! Records in and out: PutRecord, PutRecords, GetShardIterator, GetRecords.

pub mod encode;
mod get;
mod iterator;
mod put;
mod records;

use super::Wire;
use crate::api::access::Gate;
use crate::api::server::{Received, Response};
use crate::api::{ApiError, Context, RequestFacts};
use crate::error::{Error, Kind};
use crate::stream::data::shard_name;

pub(super) use get::{check_end, report_missed};
pub(super) use iterator::{Position, shard_of, start_of};

/// Runs one of them.
///
/// # Errors
/// `SerializationException` and `ValidationException` for the body; `AccessDeniedException`; what the operations say.
pub async fn call(
    context: &Context,
    gate: &Gate<'_>,
    operation: &str,
    wire: Wire,
    body: Received,
    facts: &RequestFacts,
) -> Result<Response, ApiError> {
    match operation {
        "PutRecord" => put::call(context, gate, records::Shape::Record, wire, body, facts).await,
        "PutRecords" => put::call(context, gate, records::Shape::Records, wire, body, facts).await,
        "GetShardIterator" => iterator::call(context, gate, wire, body).await,
        "GetRecords" => get::call(context, gate, wire, body).await,
        _ => Err(ApiError::unknown_operation("This operation is none of those that bring or take records.")),
    }
}

/// The answer to an error of the data plane: what is too much, or finds no room, is the shard's throughput.
pub(super) fn told(error: Error) -> ApiError {
    match error.kind() {
        Kind::Throttled | Kind::Unavailable => ApiError {
            cause: Some(error.to_string()),
            ..ApiError::provisioned_throughput_exceeded("Rate exceeded for the stream.")
        },
        _ => super::told(error),
    }
}

/// What AWS says of a shard that has no throughput left.
pub(super) fn rate_exceeded(context: &Context, stream: &str, shard: u32) -> String {
    let (shard, account) = (shard_name(shard), &context.account.id);
    format!("Rate exceeded for shard {shard} in stream {stream} under account {account}.")
}

/// What a call says that would have succeeded.
pub(super) fn dry_run() -> ApiError {
    ApiError::dry_run_operation("Request would have succeeded, but DryRun flag is set.")
}
