//! Whom a request means: a stream by name, by ARN or by both, a consumer by its ARN or by its stream and name.
//!
//! Whoever asks is allowed first ([`Gate`]), then told whether it is there. ARNs of other accounts and regions are of
//! nothing that is here.

use super::Document;
use crate::api::access::Gate;
use crate::api::{Account, ApiError, Context};
use crate::limits;

/// A stream, or a consumer of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The stream with this name.
    Stream(String),
    /// A consumer.
    Consumer {
        /// Its stream's name.
        stream: String,
        /// `name:seconds`, the end of its ARN.
        which: String,
    },
}

impl Resource {
    /// What an ARN means.
    ///
    /// # Errors
    /// `ResourceNotFoundException` for what is not of this account and region, or neither stream nor consumer.
    pub fn of_arn(account: &Account, arn: &str) -> Result<Self, ApiError> {
        let known = arn.strip_prefix(&account.data_stream_arn("")).and_then(|path| match path.split_once('/') {
            None => Some(Resource::Stream(path.to_owned())),
            Some((stream, consumer)) => {
                let which = consumer.strip_prefix("consumer/").filter(|which| is_whole(which))?;
                Some(Resource::Consumer { stream: stream.to_owned(), which: which.to_owned() })
            }
        });
        known.ok_or_else(|| {
            let owner = arn.split(':').nth(4).unwrap_or("");
            let shown: String = arn.chars().take(limits::DATA_NAME_MAX).collect();
            ApiError::resource_not_found(format!("Resource {shown} under account {owner} not found."))
        })
    }

    /// Its ARN.
    pub fn arn(&self, account: &Account) -> String {
        match self {
            Resource::Stream(name) => account.data_stream_arn(name),
            Resource::Consumer { stream, which } => {
                format!("{}/consumer/{which}", account.data_stream_arn(stream))
            }
        }
    }
}

/// Whether the end of a consumer's ARN is `name:seconds`. A name alone would mean the consumer, too, and policies speak of
/// `…/consumer/name:*`: a denial would not be found.
fn is_whole(which: &str) -> bool {
    let parts = which.split_once(':').filter(|(name, _)| !name.is_empty() && !name.contains('/'));
    parts.is_some_and(|(_, seconds)| !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The stream that `StreamName` and `StreamARN` name.
///
/// # Errors
/// `InvalidArgumentException` when there is neither, or they mean two streams; `ResourceNotFoundException` for an ARN
/// that is none of a stream of ours.
pub fn stream_named(account: &Account, input: &Document) -> Result<String, ApiError> {
    let by_arn = input.text("StreamARN").map(|arn| match Resource::of_arn(account, arn)? {
        Resource::Stream(name) => Ok(name),
        Resource::Consumer { .. } => Err(ApiError::resource_not_found(format!("Stream {arn} not found."))),
    });
    match (input.text("StreamName"), by_arn.transpose()?) {
        (Some(name), Some(by_arn)) if name != by_arn => Err(ApiError::invalid_argument(format!(
            "StreamName {name} and StreamARN do not match: the ARN is that of stream {by_arn}."
        ))),
        (_, Some(name)) => Ok(name),
        (Some(name), None) => Ok(name.to_owned()),
        (None, None) => Err(ApiError::invalid_argument("Either StreamName or StreamARN should be provided.")),
    }
}

/// The stream that a request names, once the caller's policy allows `operation` on it. Whether it is there is for the
/// caller to see.
///
/// # Errors
/// Those of [`stream_named`]; `AccessDeniedException`.
pub fn stream(context: &Context, gate: &Gate<'_>, operation: &str, input: &Document) -> Result<String, ApiError> {
    let name = stream_named(&context.account, input)?;
    gate.check(&action(operation), &context.account.data_stream_arn(&name))?;
    Ok(name)
}

/// The consumer that `ConsumerARN`, or `StreamARN` with `ConsumerName`, names, once the caller's policy allows
/// `operation` on it: its stream, and `name:seconds` or its name alone.
///
/// # Errors
/// `InvalidArgumentException`, `ResourceNotFoundException`, `AccessDeniedException`.
pub fn consumer(
    context: &Context,
    gate: &Gate<'_>,
    operation: &str,
    input: &Document,
) -> Result<(String, String), ApiError> {
    let account = &context.account;
    let by_arn = input.text("ConsumerARN").map(|arn| match Resource::of_arn(account, arn)? {
        Resource::Consumer { stream, which } => Ok((stream, which)),
        Resource::Stream(_) => Err(ApiError::resource_not_found(format!("Consumer {arn} not found."))),
    });
    let by_name = match (input.text("StreamARN"), input.text("ConsumerName")) {
        (Some(_), Some(name)) => {
            let stream = stream_named(account, input)?;
            let which = with_seconds(context, &stream, name);
            Some((stream, which))
        }
        _ => None,
    };
    let (stream, which) = match (by_arn.transpose()?, by_name) {
        (Some(by_arn), Some(by_name)) if by_arn != by_name => {
            return Err(ApiError::invalid_argument(
                "ConsumerARN, StreamARN and ConsumerName mean different consumers.",
            ));
        }
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => {
            return Err(ApiError::invalid_argument(
                "Either ConsumerARN, or StreamARN and ConsumerName should be provided.",
            ));
        }
    };
    let resource = Resource::Consumer { stream: stream.clone(), which: which.clone() };
    gate.check(&action(operation), &resource.arn(account))?;
    if let Some(name) = which.strip_suffix(NOBODY) {
        context.data_streams.get(&stream).map_err(super::told)?;
        let account = &account.id;
        return Err(ApiError::resource_not_found(format!("Consumer {name}, account {account} not found.")));
    }
    Ok((stream, which))
}

/// Ends what stands for a consumer that is not there: nobody registered one in 1970.
const NOBODY: &str = ":0";

/// `name:seconds`; for a consumer that is not there `name:0`, so that a policy on `…/consumer/name:*` speaks of it too.
fn with_seconds(context: &Context, stream: &str, name: &str) -> String {
    let snapshot = context.data_streams.snapshot();
    let mut consumers = snapshot.get(stream).into_iter().flat_map(|definition| &definition.consumers);
    match consumers.find(|consumer| consumer.name == name) {
        Some(consumer) => format!("{name}:{}", consumer.created_ms / 1000),
        None => format!("{name}{NOBODY}"),
    }
}

/// `kinesis:DescribeStream`.
pub fn action(operation: &str) -> String {
    format!("kinesis:{operation}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account { id: "000000000000".into(), region: "us-east-1".into() }
    }

    fn named(name: Option<&str>, arn: Option<&str>) -> Document {
        Document::empty().with_some("StreamName", name).with_some("StreamARN", arn)
    }

    #[test]
    fn name_and_arn_mean_one_stream() {
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
        let table = [
            (Some("s"), None, Ok("s")),
            (None, Some(arn), Ok("s")),
            (Some("s"), Some(arn), Ok("s")),
            (Some("t"), Some(arn), Err("InvalidArgumentException")),
            (None, None, Err("InvalidArgumentException")),
            (None, Some("arn:aws:kinesis:us-east-1:111111111111:stream/s"), Err("ResourceNotFoundException")),
            (None, Some("arn:aws:kinesis:eu-west-1:000000000000:stream/s"), Err("ResourceNotFoundException")),
            (None, Some("arn:aws-cn:kinesis:us-east-1:000000000000:stream/s"), Err("ResourceNotFoundException")),
            (
                None,
                Some("arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1"),
                Err("ResourceNotFoundException"),
            ),
            (Some("s"), Some("arn:aws:kinesis:eu-west-1:000000000000:stream/s"), Err("ResourceNotFoundException")),
        ];
        for (name, arn, expected) in table {
            let found = stream_named(&account(), &named(name, arn));
            let found = found.as_deref().map_err(|error| error.code);
            assert_eq!(found, expected, "{name:?} {arn:?}");
        }
    }

    #[test]
    fn an_arn_is_read_and_written_back() {
        let table = [
            ("s", Some(Resource::Stream("s".into()))),
            ("s/consumer/c:17", Some(Resource::Consumer { stream: "s".into(), which: "c:17".into() })),
            ("s/consumer/c:17/x", None),
            ("s/consumer/c", None),
            ("s/consumer/c:", None),
            ("s/consumer/:17", None),
            ("s/consumer/c:17:17", None),
            ("s/channel/c", None),
        ];
        for (path, expected) in table {
            let arn = account().data_stream_arn(path);
            let found = Resource::of_arn(&account(), &arn);
            assert_eq!(found.as_ref().ok(), expected.as_ref(), "{arn}");
            assert!(found.is_err() || found.unwrap().arn(&account()) == arn);
        }
    }
}
