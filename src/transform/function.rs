//! Functions behind HTTP: whoever speaks Lambda's invoke API (Lambda itself, the runtime interface emulator, a server of
//! one's own) and Firehose's transformation contract.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Origins, Outcome, Rows};
use crate::clock::Clock;
use crate::error::Result;

/// Where a function is and how patient we are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// The invoke URL: `http://host:9000/2015-03-31/functions/function/invocations`.
    pub url: String,
    /// The ARN that error output names.
    pub arn: String,
    /// How long one answer may take: at most 5 min.
    pub timeout: Duration,
    /// How often a call is repeated: 0 to 300.
    pub retries: u32,
    /// Bytes of records in one call before base64: 0.2 to 3 MB.
    pub batch_bytes: u32,
}

/// What every call of a function says about the delivery stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// `deliveryStreamArn`.
    pub delivery_stream_arn: String,
    /// `region`.
    pub region: String,
    /// `sourceKinesisStreamArn`, if it reads one.
    pub source_arn: Option<String>,
}

/// A function, ready to be called. Cheap to clone.
#[derive(Clone)]
pub struct Function {
    // http
}

impl Function {
    /// A function. The credentials of the AWS chain are not used: nothing is signed.
    pub fn new(settings: Settings, caller: Caller, clock: Clock) -> Result<Self> {
        todo!()
    }

    /// What the function makes of `rows`, called in batches, in order. Retries are done when this returns: whatever then is
    /// not answered for is in `failed` with Firehose's codes. An error is a fault of ours.
    pub async fn run(&self, rows: &Rows, origins: &Origins) -> Result<Outcome> {
        todo!()
    }
}
