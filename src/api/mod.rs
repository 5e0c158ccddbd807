//! The edge: what comes in over the wire, checked, authenticated and authorised before anything acts on it.
//!
//! Every call takes one way: read within limits, signature, policy, operation. There is no second door.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use aws_lc_rs::digest;
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::{GlueTable, TableSchema};
use crate::error::Result;
use crate::record::{CallId, StreamId};
use crate::stream::Streams;
use crate::stream::data::DataStreams;
use crate::telemetry::metrics::Metrics;

pub mod access;
pub mod edge;
pub mod error;
pub mod firehose;
pub mod ingest;
pub mod kinesis;
pub mod policy;
mod scan;
pub mod server;
pub mod sigv4;
pub mod tail;
pub mod wire;

pub use error::ApiError;

/// What every operation works with.
#[derive(Clone)]
pub struct Context {
    /// The streams that should exist.
    pub catalog: Catalog,
    /// Where puts go.
    pub streams: Streams,
    /// The data streams.
    pub data_streams: DataStreams,
    /// Cancelled when the service begins to stop: answers without an end of their own end then.
    pub stopping: CancellationToken,
    /// Whose streams they are.
    pub account: Account,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Time and randomness.
    pub clock: Clock,
    /// Asks AWS Glue for the schemas of new streams; none: nobody is asked before they are needed.
    pub glue: Option<AskGlue>,
}

/// Asks AWS Glue for a table: `NotFound` where there is none, `Invalid` where we may not ask, else `Unavailable`.
pub type AskGlue = Arc<dyn Fn(GlueTable) -> Pin<Box<dyn Future<Output = Result<TableSchema>> + Send>> + Send + Sync>;

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

    /// The ARN of the data stream called `name`.
    pub fn data_stream_arn(&self, name: &str) -> String {
        format!("arn:aws:kinesis:{}:{}:stream/{name}", self.region, self.id)
    }
}

/// What is known about one authenticated and authorised request besides its body.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    /// `x-amzn-RequestId` of the answer.
    pub request_id: String,
    /// The access key that signed it; `None` where nothing had to be signed.
    pub access_key_id: Option<Arc<str>>,
    /// Where it came from.
    pub peer: IpAddr,
    /// When its head arrived, milliseconds since 1970.
    pub arrived_ms: u64,
    /// The client's own name for the call, the same in each retry of it: `amz-sdk-invocation-id`.
    pub invocation_id: Option<String>,
    /// Digest of the body as it was read.
    pub body_sha256: [u8; 32],
}

impl RequestFacts {
    /// The name by which a retry of this call to `stream` is known, if the client gave the call a name.
    pub fn call_id(&self, stream: StreamId) -> Option<CallId> {
        let invocation_id = self.invocation_id.as_deref()?;
        let access_key_id = self.access_key_id.as_deref().unwrap_or("");
        let mut digest = digest::Context::new(&digest::SHA256);
        for text in [access_key_id, invocation_id] {
            // With its length before each text no two different pairs look the same.
            digest.update(&(text.len() as u64).to_be_bytes());
            digest.update(text.as_bytes());
        }
        digest.update(&stream.0.to_be_bytes());
        digest.update(&self.body_sha256);
        let mut id = [0; 16];
        id.copy_from_slice(&digest.finish().as_ref()[..16]);
        Some(CallId(id))
    }
}
