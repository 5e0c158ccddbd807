//! TagDeliveryStream, UntagDeliveryStream and ListTagsForDeliveryStream.

use serde_json::{Map, Value, json};

use crate::api::{ApiError, Context};
use crate::error::{Error, Kind};
use crate::limits::TAGS_MAX;

use super::{Input, changed_meanwhile, find, find_changeable};

/// The tags of a request; of a key that is given twice the last value stands.
pub(super) fn of(input: &Map<String, Value>) -> Vec<(String, Option<String>)> {
    let mut tags: Vec<(String, Option<String>)> = Vec::new();
    for tag in input.get("Tags").and_then(Value::as_array).into_iter().flatten() {
        let text = |member: &str| tag.get(member).and_then(Value::as_str).map(str::to_owned);
        let (key, value) = (text("Key").unwrap_or_default(), text("Value"));
        match tags.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => tags.push((key, value)),
        }
    }
    tags
}

pub(super) async fn tag(context: &Context, input: &Input) -> Result<Value, ApiError> {
    let name = input.name();
    find_changeable(context, name)?;
    match context.catalog.set_tags(name, of(&input.0)).await {
        Ok(_) => Ok(json!({})),
        Err(error) => Err(refused(context, name, error)),
    }
}

pub(super) async fn untag(context: &Context, input: &Input) -> Result<Value, ApiError> {
    let name = input.name();
    find_changeable(context, name)?;
    let keys = input.0.get("TagKeys").and_then(Value::as_array).into_iter().flatten();
    let keys = keys.filter_map(Value::as_str).map(str::to_owned).collect();
    match context.catalog.untag(name, keys).await {
        Ok(_) => Ok(json!({})),
        Err(error) => Err(refused(context, name, error)),
    }
}

/// One page of tags in the order in which they were set; a cursor that names none begins at the first.
pub(super) fn list(context: &Context, input: &Input) -> Result<Value, ApiError> {
    let entry = find(context, input.name())?;
    let after = input.text("ExclusiveStartTagKey");
    let start = after.and_then(|after| entry.tags.iter().position(|(key, _)| key == after)).map_or(0, |at| at + 1);
    let rest = &entry.tags[start..];
    let page = &rest[..rest.len().min(input.limit(TAGS_MAX))];
    let shown: Vec<Value> = page
        .iter()
        .map(|(key, value)| match value {
            Some(value) => json!({ "Key": key, "Value": value }),
            None => json!({ "Key": key }),
        })
        .collect();
    Ok(json!({ "Tags": shown, "HasMoreTags": rest.len() > page.len() }))
}

fn refused(context: &Context, name: &str, error: Error) -> ApiError {
    match error.kind() {
        Kind::Throttled => {
            ApiError::limit_exceeded(format!("A delivery stream can have at most {TAGS_MAX} tags: {error}"))
        }
        _ => changed_meanwhile(context, name, error),
    }
}
