//! The operations that make, change, show and remove delivery streams.

use serde_json::Value;

use crate::api::{ApiError, Context, RequestFacts};

/// Runs the control operation `operation` (as in `X-Amz-Target`, without its prefix) on a body of JSON 1.1.
///
/// The caller is authenticated, and allowed to do this to the stream that the body's `DeliveryStreamName` names
/// (`ListDeliveryStreams`: to everything). An unknown operation is `UnknownOperationException`.
pub async fn call(
    _context: &Context,
    operation: &str,
    _body: &[u8],
    _request: &RequestFacts,
) -> Result<Value, ApiError> {
    Err(ApiError::unknown_operation(format!("Unknown operation {operation}")))
}
