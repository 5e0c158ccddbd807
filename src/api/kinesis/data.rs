//! Records in and out: PutRecord, PutRecords, GetShardIterator, GetRecords.

use super::Wire;
use crate::api::access::Gate;
use crate::api::server::{Received, Response};
use crate::api::{ApiError, Context, RequestFacts};

/// Runs one of them.
pub async fn call(
    context: &Context,
    gate: &Gate<'_>,
    operation: &str,
    wire: Wire,
    body: Received,
    facts: &RequestFacts,
) -> Result<Response, ApiError> {
    let _ = (context, gate, operation, wire, body, facts);
    todo!()
}
