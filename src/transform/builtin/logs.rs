//! CloudWatch Logs: a record is one document of a subscription, `{"messageType", …, "logEvents": [{"id", "timestamp",
//! "message"}]}`. It becomes one row: its messages, each with a line feed. A control message, with which CloudWatch tries
//! whether it can deliver, becomes a row without a byte, as on AWS.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Failure, failure};

const CODE: &str = "CloudWatchLogProcessing.ParseError";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(borrow)]
    message_type: Cow<'a, str>,
    #[serde(borrow, default)]
    log_events: Vec<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// Appends the messages of a document.
pub(super) fn messages(record: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
    let document: Document<'_> = serde_json::from_slice(record)
        .map_err(|error| failure(CODE, format!("the record is not a document of CloudWatch Logs: {error}")))?;
    match &*document.message_type {
        "CONTROL_MESSAGE" => Ok(()),
        "DATA_MESSAGE" => {
            for event in &document.log_events {
                out.extend_from_slice(event.message.as_bytes());
                out.push(b'\n');
            }
            Ok(())
        }
        other => {
            let shown: String = other.chars().take(100).collect();
            Err(failure(CODE, format!("messageType is neither DATA_MESSAGE nor CONTROL_MESSAGE but {shown:?}")))
        }
    }
}
