//! How records are sent to an HTTP endpoint.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::at::{At, Lapse};
use super::Secret;

/// Requests to an HTTP endpoint.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Endpoint {
    /// Sent as X-Amz-Firehose-Access-Key.
    pub(in super::super) access_key: Option<At<Secret>>,
    /// Whether bodies are compressed. Default: false.
    pub(in super::super) gzip: Option<At<bool>>,
    /// Sent as X-Amz-Firehose-Common-Attributes, at most 50.
    #[serde(default)]
    pub(in super::super) attributes: BTreeMap<At<String>, At<String>>,
    /// How long a request is tried again, not counting the time that answers take: 0s to 2h. Default: 300s.
    pub(in super::super) retry: Option<At<Lapse>>,
}
