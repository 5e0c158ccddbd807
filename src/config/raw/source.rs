//! Where a delivery stream's records come from, as it is written: `"direct"`, or a table that names a stream.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::super::at::{At, Lapse, TextOr};
use super::Credentials;

/// The word or the table; the shape of the file sees to it that the word is `direct`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct Source(pub(in crate::config) TextOr<SourceFrom>);

impl JsonSchema for Source {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Source".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<SourceFrom>();
        json_schema!({ "anyOf": [{ "type": "string", "enum": ["direct"], "x-later": ["kafka"] }, table] })
    }
}

/// A stream to read: one of this service, or one elsewhere.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-later" = ["kafka"]))]
pub(in crate::config) struct SourceFrom {
    /// Name of a data stream of this file.
    pub(in crate::config) data_stream: Option<At<String>>,
    /// Where reading that begins: "horizon", "latest" or a time such as "2026-01-02T03:04:05Z". Default: horizon.
    pub(in crate::config) start: Option<At<Start>>,
    /// A stream of Amazon Kinesis, or of what speaks its protocol, which is copied into the journal.
    pub(in crate::config) kinesis: Option<At<Kinesis>>,
}

/// A stream of Amazon Kinesis.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KinesisSource")]
pub(in crate::config) struct Kinesis {
    /// Its name or its ARN.
    #[schemars(required)]
    pub(in crate::config) stream: Option<At<String>>,
    /// Its region; that of the ARN or of the AWS chain without.
    pub(in crate::config) region: Option<At<String>>,
    /// URL of an endpoint that is not AWS's.
    pub(in crate::config) endpoint: Option<At<String>>,
    /// Static credentials; the AWS chain without.
    pub(in crate::config) credentials: Option<At<Credentials>>,
    /// Profile of the AWS chain.
    pub(in crate::config) profile: Option<At<String>>,
    /// Where reading begins: "horizon", "latest" or a time such as "2026-01-02T03:04:05Z". Default: horizon.
    pub(in crate::config) start: Option<At<Start>>,
    /// Name of the consumer to register and read by (enhanced fan-out). Default: none, the shards are polled.
    pub(in crate::config) consumer: Option<At<String>>,
    /// Pause between two polls of a shard that has nothing new: 200ms to 60s. Default: 1s.
    pub(in crate::config) poll: Option<At<Lapse>>,
}

/// Where reading begins, as written.
#[derive(Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct Start(pub(in crate::config) String);

impl JsonSchema for Start {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Start".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["2026-01-02T03:04:05Z"] })
    }
}
