//! Where a stream's records come from, in the API's words: direct puts, or a data stream of this service.
//!
//! A stream of Amazon Kinesis itself has no place in a request, because nothing in it says with whose credentials it
//! would be read: it is the configuration file's. Reading begins with what is put after the delivery stream was made,
//! as AWS does.

use serde_json::{Map, Value, json};

use crate::api::{ApiError, Context};
use crate::catalog::Entry;
use crate::config::names::{DataStreamArn, data_stream_arn};
use crate::config::{Source, StartAt};
use crate::error::{Error, Result};
use crate::stream::data::Status;

use super::checks;
use super::describe::{role, seconds};

/// The hint about the source of a stream of direct puts.
const DIRECT: &str = "DirectPutSourceConfiguration";
/// The data stream that is read.
const KINESIS: &str = "KinesisStreamSourceConfiguration";
/// The members about the source that the catalog keeps.
pub(super) const MEMBERS: [&str; 2] = [DIRECT, KINESIS];

/// The kind of a stream whose records come from a data stream.
const FROM_KINESIS: &str = "KinesisStreamAsSource";
/// That of one whose producers put them.
const DIRECT_PUT: &str = "DirectPut";

/// Whether the members about the source fit together.
pub(super) fn check(input: &Map<String, Value>) -> std::result::Result<(), ApiError> {
    let kind = input.get("DeliveryStreamType").and_then(Value::as_str).unwrap_or(DIRECT_PUT);
    let required = match kind {
        FROM_KINESIS => {
            Some((KINESIS, "KinesisSourceStreamConfig is mandatory for KinesisStreamAsSource stream type."))
        }
        "MSKAsSource" => {
            Some(("MSKSourceConfiguration", "MSKSourceConfig is mandatory for MSK as Source stream type."))
        }
        _ => None,
    };
    if let Some((member, message)) = required
        && !input.contains_key(member)
    {
        return Err(ApiError::invalid_argument(message));
    }
    let encrypted = input.contains_key("DeliveryStreamEncryptionConfigurationInput");
    if encrypted && matches!(kind, FROM_KINESIS | "MSKAsSource") {
        return Err(ApiError::invalid_argument(
            "Server side encryption from firehose is only allowed for direct put delivery streams and database as a \
             source delivery streams",
        ));
    }
    if kind != DIRECT_PUT && kind != FROM_KINESIS {
        return Err(checks::unsupported(&format!("DeliveryStreamType {kind}")));
    }
    let later = ["MSKSourceConfiguration", "DatabaseSourceConfiguration"];
    if let Some(member) = later.into_iter().find(|member| input.contains_key(*member)) {
        return Err(checks::unsupported(member));
    }
    let (foreign, needed) = if kind == DIRECT_PUT { (KINESIS, FROM_KINESIS) } else { (DIRECT, DIRECT_PUT) };
    if input.contains_key(foreign) {
        return Err(ApiError::invalid_argument(format!("{foreign} needs DeliveryStreamType {needed}, not {kind}")));
    }
    Ok(())
}

/// Whether the data stream that a request names, if it names one, is there to be read.
pub(super) fn find(context: &Context, input: &Map<String, Value>) -> std::result::Result<(), ApiError> {
    let Some(written) = input.get(KINESIS) else {
        return Ok(());
    };
    let arn = arn_of(written)?;
    let DataStreamArn { region, account, name } = parts(arn)?;
    let ours = &context.account;
    if (region, account) != (&*ours.region, &*ours.id) {
        return Err(ApiError::invalid_argument(format!(
            "KinesisStreamARN {arn} is not of this service, whose region is {} and whose account is {}: a stream of \
             Amazon Kinesis is read by a delivery stream of the configuration file, source = {{ kinesis = {{ stream = \
             \"{arn}\" }} }}",
            ours.region, ours.id
        )));
    }
    let definition = context.data_streams.get(name).and_then(|stream| stream.definition());
    let now_ms = context.clock.now_ms();
    match definition {
        Ok(definition) if definition.status(now_ms) != Status::Deleting => Ok(()),
        _ => Err(ApiError::invalid_argument(format!(
            "KinesisStreamARN {arn}: stream {name} under account {account} not found."
        ))),
    }
}

/// What a stored stream reads.
///
/// # Errors
/// `Invalid` for an ARN that is none of a data stream.
pub(super) fn of_api(api: &Value) -> Result<Source> {
    let Some(written) = api.get(KINESIS) else {
        return Ok(Source::Direct);
    };
    let name = parts(arn_of(written)?)?.name.to_owned();
    Ok(Source::DataStream { name, start: StartAt::Latest })
}

fn arn_of(written: &Value) -> Result<&str> {
    let arn = written.get("KinesisStreamARN").and_then(Value::as_str);
    arn.ok_or_else(|| Error::invalid(format!("{KINESIS} has no KinesisStreamARN")))
}

fn parts(arn: &str) -> Result<DataStreamArn<'_>> {
    data_stream_arn(arn)
        .ok_or_else(|| Error::invalid(format!("KinesisStreamARN {arn} is not the ARN of a data stream")))
}

/// The stream's type.
pub(super) fn kind(source: &Source) -> &'static str {
    match source {
        Source::Direct => DIRECT_PUT,
        Source::DataStream { .. } | Source::Kinesis(_) => FROM_KINESIS,
    }
}

/// The member `Source`; a stream of direct puts has it only if a hint was given.
pub(super) fn describe(context: &Context, entry: &Entry) -> Option<Value> {
    let given = |member: &str| entry.api.as_ref().and_then(|api| api.get(member));
    let account = &context.account;
    let arn = match &entry.stream.source {
        Source::Direct => return given(DIRECT).map(|hint| json!({ "DirectPutSourceDescription": hint })),
        Source::DataStream { name, .. } => account.data_stream_arn(name),
        Source::Kinesis(from) if data_stream_arn(&from.stream).is_some() => from.stream.clone(),
        // Whose it is depends on the credentials; clients expect an ARN all the same.
        Source::Kinesis(from) => {
            let region = from.region.as_deref().unwrap_or(&account.region);
            format!("arn:aws:kinesis:{region}:{}:stream/{}", account.id, from.stream)
        }
    };
    let role = given(KINESIS).and_then(|given| given.get("RoleARN")).cloned().unwrap_or_else(|| role(context).into());
    let mut shown = json!({ "KinesisStreamARN": arn, "RoleARN": role });
    match entry.stream.source.start() {
        Some(StartAt::Latest) => shown["DeliveryStartTimestamp"] = seconds(entry.created_ms),
        Some(StartAt::Time(ms)) => shown["DeliveryStartTimestamp"] = seconds(ms),
        Some(StartAt::Horizon) | None => {}
    }
    Some(json!({ "KinesisStreamSourceDescription": shown }))
}
