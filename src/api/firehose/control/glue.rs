//! The schema of a conversion is asked for before its stream is made or changed: a table that is not there would be found missing
//! with the first object, and the stream would stand still.

use serde_json::Value;

use crate::api::{ApiError, Context};
use crate::config::{Conversion, DeliveryStream, SchemaFrom};
use crate::error::{Error, Kind};

/// Refuses a stream whose schema AWS Glue does not give, or gives with columns that its format cannot hold. Of a change, `before` is
/// the stream as it is: what it converts already is not asked for again.
pub(super) async fn check(
    context: &Context,
    name: &str,
    api: &Value,
    before: Option<&DeliveryStream>,
) -> Result<(), ApiError> {
    let Some(ask) = &context.glue else { return Ok(()) };
    let wanted = context.catalog.check(name, api)?;
    let Some(conversion) = conversion(&wanted) else { return Ok(()) };
    if before.and_then(self::conversion) == Some(conversion) {
        return Ok(());
    }
    let SchemaFrom::Glue(table) = &conversion.schema else { return Ok(()) };
    let columns = ask((**table).clone()).await.map_err(|error| refusal(&error))?;
    conversion.resolved(Some(columns))?;
    Ok(())
}

fn conversion(stream: &DeliveryStream) -> Option<&Conversion> {
    stream.destination.conversion.as_deref()
}

/// AWS refuses such a stream with an InvalidArgumentException, whose words nobody has told us.
fn refusal(error: &Error) -> ApiError {
    let said = error.message();
    match error.kind() {
        Kind::NotFound => {
            ApiError::invalid_argument(format!("SchemaConfiguration names a schema that is not there: {said}"))
        }
        Kind::Invalid => ApiError::invalid_argument(format!("SchemaConfiguration cannot be used: {said}")),
        _ => ApiError::service_unavailable(format!("SchemaConfiguration cannot be checked, try again: {said}")),
    }
}
