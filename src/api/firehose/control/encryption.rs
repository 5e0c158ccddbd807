//! StartDeliveryStreamEncryption and StopDeliveryStreamEncryption: whether the stream's journal frames are encrypted.
//!
//! There is one key, the configuration's `encryption_key`, and to the API it is the one that AWS owns.

use serde_json::{Value, json};

use crate::api::firehose::put;
use crate::api::{ApiError, Context};

use super::{Input, changed_meanwhile, find_changeable};

const OURS: &str = "AWS_OWNED_CMK";

/// Checks a DeliveryStreamEncryptionConfigurationInput.
pub(super) fn check(wanted: &Value) -> Result<(), ApiError> {
    let key_type = wanted.get("KeyType").and_then(Value::as_str).unwrap_or(OURS);
    let has_key = wanted.get("KeyARN").is_some();
    match (key_type, has_key) {
        (OURS, false) => Ok(()),
        (OURS, true) => Err(ApiError::invalid_argument("KeyARN cannot be specified when KeyType is AWS_OWNED_CMK")),
        (_, false) => {
            Err(ApiError::invalid_argument("KeyARN has to be specified when KeyType is CUSTOMER_MANAGED_CMK"))
        }
        (_, true) => Err(ApiError::invalid_argument(
            "KeyType CUSTOMER_MANAGED_CMK is not supported yet by Standpipe: use AWS_OWNED_CMK, which is the \
             encryption_key of its configuration",
        )),
    }
}

/// What Describe shows.
pub(super) fn describe(encrypted: bool) -> Value {
    if encrypted { json!({ "KeyType": OURS, "Status": "ENABLED" }) } else { json!({ "Status": "DISABLED" }) }
}

/// Without a configuration AWS takes its own key.
pub(super) async fn start(context: &Context, input: &Input) -> Result<Value, ApiError> {
    if let Some(wanted) = input.0.get("DeliveryStreamEncryptionConfigurationInput") {
        check(wanted)?;
    }
    set(context, input.name(), true).await
}

pub(super) async fn stop(context: &Context, input: &Input) -> Result<Value, ApiError> {
    set(context, input.name(), false).await
}

async fn set(context: &Context, name: &str, encrypted: bool) -> Result<Value, ApiError> {
    put::check_source(&find_changeable(context, name)?.stream)?;
    match context.catalog.set_encryption(name, encrypted).await {
        Ok(_) => Ok(json!({})),
        Err(error) => Err(changed_meanwhile(context, name, error)),
    }
}
