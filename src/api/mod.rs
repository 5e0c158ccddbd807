//! The edge: what comes in over the wire, checked, authenticated and authorised before anything acts on it.
//!
//! Every call takes one way: read within limits, signature, policy, operation. There is no second door.

use std::net::IpAddr;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::record::CallId;
use crate::stream::Streams;
use crate::telemetry::metrics::Metrics;

pub mod error;
pub mod firehose;

pub use error::ApiError;

/// What every operation works with.
#[derive(Clone)]
pub struct Context {
    /// The streams that should exist.
    pub catalog: Catalog,
    /// Where puts go.
    pub streams: Streams,
    /// Whose streams they are.
    pub account: Account,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Time and randomness.
    pub clock: Clock,
}

/// Whose streams they are: what stands in ARNs and in the scope of signatures.
#[derive(Clone, Debug)]
pub struct Account {
    /// Twelve digits.
    pub id: Arc<str>,
    /// As AWS names them.
    pub region: Arc<str>,
}

impl Account {
    /// The ARN of the delivery stream called `name`.
    pub fn delivery_stream_arn(&self, name: &str) -> String {
        format!("arn:aws:firehose:{}:{}:deliverystream/{name}", self.region, self.id)
    }
}

/// What is known about one authenticated and authorised request besides its body.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    /// `x-amzn-RequestId` of the answer.
    pub request_id: String,
    /// The access key that signed it; `None` where no keys are configured.
    pub access_key_id: Option<Arc<str>>,
    /// Where it came from.
    pub peer: IpAddr,
    /// When its head arrived, milliseconds since 1970.
    pub arrived_ms: u64,
    /// The name of the SDK call, by which a retry is known, if the client gave one.
    pub call: Option<CallDigest>,
}

/// The digest by which retries of one SDK call are known, before the stream is added to it.
#[derive(Clone, Debug)]
pub struct CallDigest(pub(crate) [u8; 32]);

impl CallDigest {
    /// The call's name for one stream.
    pub fn for_stream(&self, stream: crate::record::StreamId) -> CallId {
        let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        digest.update(&self.0);
        digest.update(&stream.0.to_be_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&digest.finish().as_ref()[..16]);
        CallId(id)
    }
}
