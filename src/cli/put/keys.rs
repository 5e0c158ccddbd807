//! Partition keys of a data stream's records.

use std::convert::Infallible;
use std::str::FromStr;

use serde_json::Value;

use crate::clock::Clock;
use crate::limits::PARTITION_KEY_CHARS_MAX;

/// Where they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// Nowhere: each record has its own, so that they spread over all shards.
    Random,
    /// From the member of this name of the JSON object that each line is.
    Field(String),
}

impl FromStr for Keys {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "random" { Keys::Random } else { Keys::Field(text.to_owned()) })
    }
}

impl Keys {
    /// The key of a record; the error says why it has none.
    pub(super) fn of(&self, record: &[u8], clock: &Clock) -> Result<String, String> {
        let name = match self {
            Keys::Random => return Ok(format!("{:016x}", clock.random())),
            Keys::Field(name) => name,
        };
        let value: Value = serde_json::from_slice(record).map_err(|_| "it is not JSON".to_owned())?;
        let key = match value.get(name) {
            None => return Err(format!("it has no member {name:?} for a key")),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let chars = key.chars().count();
        if (1..=PARTITION_KEY_CHARS_MAX).contains(&chars) {
            return Ok(key);
        }
        Err(format!("its member {name:?} has {chars} characters: a key has 1 to {PARTITION_KEY_CHARS_MAX}"))
    }
}
