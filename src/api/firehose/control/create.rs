//! CreateDeliveryStream.

use serde_json::{Map, Value, json};

use crate::api::{ApiError, Context};
use crate::catalog::NewStream;
use crate::error::Kind;
use crate::limits::STREAMS_MAX;

use super::destination::{DESTINATION, complete};
use super::endpoint::{self, ENDPOINT};
use super::{Input, checks, encryption, glue, object, source, tags};

const PLAIN: &str = "S3DestinationConfiguration";

pub(super) async fn create(context: &Context, mut input: Input) -> Result<Value, ApiError> {
    let name = input.name().to_owned();
    source::check(&input.0)?;
    let (member, destination) = take_destination(&mut input.0)?;
    let encrypted = match input.0.get("DeliveryStreamEncryptionConfigurationInput") {
        Some(wanted) => encryption::check(wanted).map(|()| true)?,
        None => false,
    };
    source::find(context, &input.0)?;
    let mut api = Map::new();
    for member in source::MEMBERS {
        if let Some(source) = input.0.remove(member) {
            api.insert(member.into(), source);
        }
    }
    api.insert(member.into(), destination);
    let api = Value::Object(api);
    // A name that is taken is said to be taken.
    if context.catalog.get(&name).is_none() {
        glue::check(context, &name, &api, None).await?;
    }
    let new = NewStream { name: name.clone(), api, encrypted, tags: tags::of(&input.0) };
    match context.catalog.create(new).await {
        Ok(_) => Ok(json!({ "DeliveryStreamARN": context.account.delivery_stream_arn(&name) })),
        Err(error) => Err(match error.kind() {
            Kind::Conflict => ApiError::resource_in_use(format!(
                "Firehose {name} under accountId {} already exists",
                context.account.id
            )),
            Kind::Throttled => ApiError::limit_exceeded(format!(
                "You have already consumed your firehose quota of {STREAMS_MAX} hoses."
            )),
            _ => error.into(),
        }),
    }
}

/// The one destination and its member: one in S3 in the extended form. With what AWS fills in.
fn take_destination(input: &mut Map<String, Value>) -> Result<(&'static str, Value), ApiError> {
    let name = checks::one_destination(input, "DestinationConfiguration")?;
    if name == ENDPOINT {
        let mut destination = object(input.remove(&name).unwrap_or_default());
        endpoint::complete(&mut destination);
        return Ok((ENDPOINT, Value::Object(destination)));
    }
    if name != PLAIN && name != DESTINATION {
        return Err(checks::unsupported(&name));
    }
    let mut destination = object(input.remove(&name).unwrap_or_default());
    complete(&mut destination);
    Ok((DESTINATION, Value::Object(destination)))
}
