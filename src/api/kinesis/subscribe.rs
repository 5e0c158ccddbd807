//! SubscribeToShard: records pushed as events over one long answer.

use super::Wire;
use crate::api::access::Gate;
use crate::api::server::{Received, Response};
use crate::api::{ApiError, Context, RequestFacts};

/// Runs it.
pub async fn call(
    context: &Context,
    gate: &Gate<'_>,
    wire: Wire,
    body: Received,
    facts: &RequestFacts,
) -> Result<Response, ApiError> {
    let _ = (context, gate, wire, body, facts);
    todo!()
}
