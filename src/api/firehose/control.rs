//! The operations that make, change, show and remove delivery streams.
//!
//! Each call takes the same way: `schema` checks the shape of the request (`ValidationException`), the operation
//! checks what it means (`InvalidArgumentException`), the catalog makes the change durable. What we do not have is
//! refused by name; nothing is accepted and ignored. Streams of the configuration file are shown, never changed.
//!
//! Where we differ from AWS: changes take effect at once, so the states CREATING, ENABLING and DISABLING are skipped;
//! a Lambda function is the
//! plugin or the function of the configuration file with its name, in whatever account the ARN says, and its qualifier
//! means nothing; the one key of `AWS_OWNED_CMK` is the configuration's `encryption_key`; `RoleARN`s are kept and shown, not used,
//! also where AWS Glue is asked for a schema, which is done with the service's own credentials;
//! objects get no canned ACL (Firehose sets `bucket-owner-full-control`), because other stores refuse ACLs.

mod checks;
mod conversion;
mod create;
mod describe;
mod destination;
mod encryption;
mod endpoint;
mod glue;
mod processors;
mod schema;
mod source;
mod tags;
mod update;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::api::{ApiError, Context, RequestFacts};
use crate::catalog::{Entry, Origin, Status};

pub use destination::from_api;

/// Runs the control operation `operation` (as in `X-Amz-Target`, without its prefix) on a body of JSON 1.1.
///
/// The caller is authenticated, and allowed to do this to the stream that the body's `DeliveryStreamName` names
/// (`ListDeliveryStreams`: to everything). An unknown operation is `UnknownOperationException`.
pub async fn call(context: &Context, operation: &str, body: &[u8], _request: &RequestFacts) -> Result<Value, ApiError> {
    let input = || schema::read(operation, body).map(Input);
    match operation {
        "CreateDeliveryStream" => create::create(context, input()?).await,
        "DeleteDeliveryStream" => delete(context, &input()?).await,
        "DescribeDeliveryStream" => describe::describe(context, &input()?),
        "ListDeliveryStreams" => Ok(describe::list(context, &input()?)),
        "UpdateDestination" => update::update(context, input()?).await,
        "TagDeliveryStream" => tags::tag(context, &input()?).await,
        "UntagDeliveryStream" => tags::untag(context, &input()?).await,
        "ListTagsForDeliveryStream" => tags::list(context, &input()?),
        "StartDeliveryStreamEncryption" => encryption::start(context, &input()?).await,
        "StopDeliveryStreamEncryption" => encryption::stop(context, &input()?).await,
        _ => Err(ApiError::unknown_operation(format!("Unknown operation {operation}"))),
    }
}

/// A request that `schema` has let through: every member has the type that the model says.
struct Input(Map<String, Value>);

impl Input {
    fn name(&self) -> &str {
        self.text("DeliveryStreamName").expect("the model requires the name")
    }

    fn text(&self, member: &str) -> Option<&str> {
        self.0.get(member)?.as_str()
    }

    fn flag(&self, member: &str) -> bool {
        self.0.get(member) == Some(&Value::Bool(true))
    }

    fn limit(&self, default: usize) -> usize {
        let given = self.0.get("Limit").and_then(Value::as_u64);
        given.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(default)
    }
}

/// The members of what the model says is a structure.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// The stream that a request names.
fn find(context: &Context, name: &str) -> Result<Arc<Entry>, ApiError> {
    context.catalog.get(name).ok_or_else(|| not_found(context, name))
}

/// The stream that a request wants to change.
fn find_changeable(context: &Context, name: &str) -> Result<Arc<Entry>, ApiError> {
    let entry = find(context, name)?;
    match (entry.origin, entry.status) {
        (_, Status::Deleting) => Err(being_deleted(context, name)),
        (Origin::File, Status::Active) => Err(belongs_to_file(name)),
        (Origin::Api, Status::Active) => Ok(entry),
    }
}

fn not_found(context: &Context, name: &str) -> ApiError {
    ApiError::resource_not_found(format!("Firehose {name} under account {} not found.", context.account.id))
}

fn being_deleted(context: &Context, name: &str) -> ApiError {
    ApiError::resource_in_use(format!("Firehose {name} under accountId {} is being deleted", context.account.id))
}

fn belongs_to_file(name: &str) -> ApiError {
    ApiError::invalid_argument(format!(
        "delivery stream {name} belongs to the configuration file: change it there and restart the service"
    ))
}

/// What a failed change means when its stream was changeable a moment ago.
fn changed_meanwhile(context: &Context, name: &str, error: crate::error::Error) -> ApiError {
    match find_changeable(context, name) {
        Err(now) => now,
        Ok(_) => error.into(),
    }
}

/// DeleteDeliveryStream: what is buffered is discarded, as AWS does. Deleting again is no error.
async fn delete(context: &Context, input: &Input) -> Result<Value, ApiError> {
    let name = input.name();
    let entry = find(context, name)?;
    if entry.origin == Origin::File && entry.status == Status::Active {
        return Err(belongs_to_file(name));
    }
    match context.catalog.delete(name, input.flag("AllowForceDelete")).await {
        Ok(_) => Ok(json!({})),
        Err(error) => Err(changed_meanwhile(context, name, error)),
    }
}
