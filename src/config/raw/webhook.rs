//! Who is told of objects.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::at::{At, Lapse};
use super::Secret;

/// A receiver of one message for each object, at least once.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Webhook {
    /// Where messages are posted.
    #[schemars(required)]
    pub(in crate::config) url: Option<At<String>>,
    /// Headers that are sent too, such as Authorization: at most 16 of 4096 bytes.
    #[serde(default)]
    pub(in crate::config) headers: BTreeMap<At<String>, At<Secret>>,
    /// What messages are signed with, as Standard Webhooks says: 24 to 64 bytes in base64, "whsec_" before it or not. Default: they are
    /// not signed.
    pub(in crate::config) secret: Option<At<Secret>>,
    /// How long an answer may take: 1s to 60s. Default: 10s.
    pub(in crate::config) timeout: Option<At<Lapse>>,
}
