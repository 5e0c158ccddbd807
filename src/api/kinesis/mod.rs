//! The Kinesis Data Streams API, version 2013-12-02: records in [`data`], everything that changes or shows streams in
//! [`control`], one push of records after the other in [`subscribe`].
//!
//! Each call takes the same way: [`schema`] reads and checks its body, [`address`] says whom it means and asks the
//! caller's policy, the operation does the rest by what [`stream::data`](crate::stream::data) lets it.

pub mod address;
pub mod control;
pub mod data;
mod document;
pub mod schema;
pub mod subscribe;
pub mod wire;

pub use document::{Bounds, Document};
pub use wire::{Wire, answer, empty};

use super::access::Gate;
use super::server::{Received, Response};
use super::{ApiError, Context, RequestFacts};
use crate::error::{Error, Kind};
use crate::stream::data::Validation;

/// How `X-Amz-Target` names this API.
pub const TARGET: &str = "Kinesis_20131202";

/// Runs one operation for an authenticated caller, if its policy allows it.
pub async fn call(
    context: &Context,
    gate: &Gate<'_>,
    operation: &str,
    wire: Wire,
    body: Received,
    facts: &RequestFacts,
) -> Result<Response, ApiError> {
    match operation {
        "PutRecord" | "PutRecords" | "GetShardIterator" | "GetRecords" => {
            data::call(context, gate, operation, wire, body, facts).await
        }
        "SubscribeToShard" => subscribe::call(context, gate, wire, body, facts).await,
        _ => control::call(context, gate, operation, wire, body).await,
    }
}

/// The answer to an error of a data stream: the table is that of [`Definition`](crate::stream::data::Definition)'s
/// changes.
pub fn told(error: Error) -> ApiError {
    let message = error.message().to_owned();
    let cause = error.to_string();
    let mut api = match error.kind() {
        Kind::Invalid if Validation::is_behind(&error) => ApiError::validation(message),
        Kind::Throttled => ApiError::limit_exceeded(message),
        _ => return error.into(),
    };
    api.cause = Some(cause);
    api
}
