//! The Kinesis Data Streams API, version 2013-12-02: records in [`data`], everything that changes or shows streams in
//! [`control`], one push of records after the other in [`subscribe`].

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
        _ => control::call(context, gate, operation, wire, body, facts).await,
    }
}
