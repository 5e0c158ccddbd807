//! UpdateDestination: merges what is given into what is there.
//!
//! A member that is not given keeps its value; one that is given replaces it whole, `BufferingHints` too. Exceptions:
//! `ProcessingConfiguration` without `Enabled` keeps that one, and without `Processors` loses them, and so does
//! `DynamicPartitioningConfiguration`, which nobody can enable or disable after the stream was made;
//! `DataFormatConversionConfiguration` merges member by member; `S3BackupUpdate` merges as an update of its own. A backup
//! that an S3 destination has cannot be disabled.

use serde_json::{Map, Value, json};

use crate::api::{ApiError, Context};
use crate::error::Kind;

use super::destination::{DESTINATION, complete};
use super::endpoint::{self, ENDPOINT, ENDPOINT_UPDATE};
use super::{Input, changed_meanwhile, checks, describe::DESTINATION_ID, find_changeable, glue, object};

/// The developer guide has the rule; nobody has told us AWS's words.
const PARTITIONED_AT_CREATION: &str =
    "Dynamic Partitioning can only be enabled when a Firehose is created, and cannot be disabled afterwards";

/// AWS's words, as users report them.
const BACKUP_STAYS: &str = "Disabling S3 backup is not currently supported.";

pub(super) async fn update(context: &Context, mut input: Input) -> Result<Value, ApiError> {
    let name = input.name().to_owned();
    let entry = find_changeable(context, &name)?;
    let asked = input.text("CurrentDeliveryStreamVersionId").unwrap_or_default().to_owned();
    if asked != entry.version.to_string() {
        return Err(outdated(&name, entry.version, &asked));
    }
    let id = input.text("DestinationId").unwrap_or_default().to_owned();
    if id != DESTINATION_ID {
        return Err(ApiError::invalid_argument(format!("Destination Id {id} not found")));
    }
    let (member, given) = take_update(&mut input.0)?;
    let mut api = entry.api.as_deref().cloned().unwrap_or_default();
    let Some(Value::Object(destination)) = api.get_mut(member) else {
        return Err(ApiError::invalid_argument(format!(
            "Destination Id {id} of {name} is no {}: its type cannot be changed",
            member.trim_end_matches("DestinationConfiguration")
        )));
    };
    if member == ENDPOINT {
        endpoint::merge(destination, given);
        endpoint::complete(destination);
    } else {
        let (partitioned, backed_up) = (is_partitioned(destination), is_backed_up(destination));
        merge(destination, given);
        if is_partitioned(destination) != partitioned {
            return Err(ApiError::invalid_argument(PARTITIONED_AT_CREATION));
        }
        complete(destination);
        if backed_up && !is_backed_up(destination) {
            return Err(ApiError::invalid_argument(BACKUP_STAYS));
        }
    }
    glue::check(context, &name, &api, Some(&entry.stream)).await?;
    match context.catalog.update(&name, entry.version, api).await {
        Ok(_) => Ok(json!({})),
        Err(error) if error.kind() == Kind::Conflict => Err(match find_changeable(context, &name) {
            Ok(now) => outdated(&name, now.version, &asked),
            Err(now) => now,
        }),
        Err(error) if error.kind() == Kind::NotFound => Err(changed_meanwhile(context, &name, error)),
        Err(error) => Err(error.into()),
    }
}

fn outdated(name: &str, current: u64, asked: &str) -> ApiError {
    ApiError::concurrent_modification(format!(
        "Cannot update firehose: {name} since the current version id: {current} and specified version id: {asked} do \
         not match"
    ))
}

/// The update, and the member of the destination that it is of.
fn take_update(input: &mut Map<String, Value>) -> Result<(&'static str, Map<String, Value>), ApiError> {
    let name = checks::one_destination(input, "DestinationUpdate")?;
    let member = if name == ENDPOINT_UPDATE { ENDPOINT } else { DESTINATION };
    if member == DESTINATION && name != "S3DestinationUpdate" && name != "ExtendedS3DestinationUpdate" {
        return Err(checks::unsupported(&name));
    }
    Ok((member, object(input.remove(&name).unwrap_or_default())))
}

pub(super) fn merge(into: &mut Map<String, Value>, update: Map<String, Value>) {
    for (name, mut given) in update {
        match name.as_str() {
            "S3BackupUpdate" => {
                let mut backup = object(into.remove("S3BackupConfiguration").unwrap_or_default());
                merge(&mut backup, object(given));
                into.insert("S3BackupConfiguration".into(), backup.into());
            }
            "DataFormatConversionConfiguration" => merge_deep(into.entry(name).or_insert(Value::Null), given),
            "ProcessingConfiguration" | "DynamicPartitioningConfiguration" => {
                inherit_enabled(&mut given, into.get(&name));
                into.insert(name, given);
            }
            _ => {
                into.insert(name, given);
            }
        }
    }
}

fn is_partitioned(destination: &Map<String, Value>) -> bool {
    let enabled = destination.get("DynamicPartitioningConfiguration").and_then(|on| on.get("Enabled"));
    enabled == Some(&Value::Bool(true))
}

fn is_backed_up(destination: &Map<String, Value>) -> bool {
    destination.get("S3BackupMode").is_some_and(|mode| mode == "Enabled")
}

fn inherit_enabled(given: &mut Value, before: Option<&Value>) {
    let before = before.and_then(|before| before.get("Enabled"));
    if let (Some(given), Some(before)) = (given.as_object_mut(), before) {
        given.entry("Enabled").or_insert_with(|| before.clone());
    }
}

/// Objects member by member, all else replaced.
fn merge_deep(into: &mut Value, given: Value) {
    match (into, given) {
        (Value::Object(into), Value::Object(given)) => {
            for (name, value) in given {
                merge_deep(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, given) => *into = given,
    }
}
