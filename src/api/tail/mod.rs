//! Reading over plain HTTP: the records of a stream, one JSON object a line, for people and scripts.
//!
//! ```text
//! GET /v1/streams/NAME/records         what of a delivery stream is still in the journal
//! GET /v1/data-streams/NAME/records    what of a data stream is within its retention
//!     ?from=latest|horizon|TIME        where to begin; TIME as in RFC 3339. Default: latest
//!     &follow=true|false               whether to go on with what comes. Default: true
//!     &limit=N                         end after so many records. Default: none
//! Authorization: a SigV4 signature for the service "firehose" or "kinesis"
//!
//! 200 Content-Type: application/x-ndjson
//!     {"shard": "shardId-000000000000", "position": 7, "arrived": 1767323045000, "data": "…"}
//!     {"shard": "shardId-000000000001", "sequence": "4967…", "arrived": …, "key": "…", "data_base64": "…"}
//!     {"shard": "shardId-000000000000", "missed": 12}
//! 4xx, 5xx {"error": "…", "message": "…"}
//! ```
//!
//! `position` is that of delivery streams, `sequence` that of data streams; `arrived` is in milliseconds since 1970.
//! What is not UTF-8, or has control characters other than tab, line feed and carriage return, comes in base64
//! (`data_base64`, `key_base64`). `missed` counts records that were gone before they were read. An empty line says
//! that the service is there, and nothing new. Within a shard the order is kept; what a shard holds comes after all
//! of the shards that it came from. Reading takes the permission `firehose:GetRecords` or `kinesis:GetRecords` on the
//! stream; bearer tokens are for putting, and do not read.

mod line;
mod query;
mod reader;

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::access::Gate;
use super::server::{Answer, Hold, Response};
use super::sigv4::Rules;
use super::{ApiError, Context};
use crate::config::Source;
use crate::limits::TAILS_MAX;
use query::Query;
use reader::Reader;

/// The signatures that reading takes.
pub const RULES: Rules = Rules { services: &["firehose", "kinesis"], signed_if_sent: &[] };

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A delivery stream of this name.
    DeliveryStream(&'a str),
    /// A data stream of this name.
    DataStream(&'a str),
}

impl<'a> Target<'a> {
    /// The stream that `path` asks to read.
    pub fn of(path: &'a str) -> Option<Self> {
        let path = path.strip_prefix("/v1/")?.strip_suffix("/records")?;
        let (kind, name) = path.split_once('/').filter(|(_, name)| !name.contains('/'))?;
        match kind {
            "streams" => Some(Target::DeliveryStream(name)),
            "data-streams" => Some(Target::DataStream(name)),
            _ => None,
        }
    }
}

/// Room for readers; each holds about two pieces of an answer.
pub fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(TAILS_MAX))
}

/// What one reader takes from others.
pub struct Room {
    /// Its place among them.
    pub place: OwnedSemaphorePermit,
    /// Where its large pieces have their room from.
    pub pieces: Hold,
}

/// A place among the readers.
///
/// # Errors
/// `ThrottlingException` when there is none.
pub fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    places.clone().try_acquire_owned().map_err(|_| {
        ApiError::throttling(format!(
            "there are {TAILS_MAX} readers of this kind already, which is all that there may be"
        ))
    })
}

/// Begins to read; the answer comes piece by piece, until its client goes, there is nothing more to come, or the
/// service stops.
///
/// # Errors
/// `AccessDeniedException`, `ResourceNotFoundException`, `InvalidArgumentException` that names the parameter.
pub async fn call(
    context: &Context,
    gate: &Gate<'_>,
    target: Target<'_>,
    query: &str,
    Room { place, pieces }: Room,
) -> Result<Response, ApiError> {
    let account = &context.account;
    match target {
        Target::DeliveryStream(name) => gate.check("firehose:GetRecords", &account.delivery_stream_arn(name))?,
        Target::DataStream(name) => gate.check("kinesis:GetRecords", &account.data_stream_arn(name))?,
    }
    let query = Query::parse(query)?;
    let reader = match target {
        Target::DeliveryStream(name) => delivery_stream(context, name, query).await?,
        Target::DataStream(name) => Reader::data(&context.data_streams, name, query).await?,
    };
    let (feed, answer) = Answer::feed();
    let (clock, stopping) = (context.clock.clone(), context.stopping.clone());
    tokio::spawn(async move { reader.feed(feed, &pieces, &clock, &stopping).await });
    let mut response = Response::new(answer.holding(place));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

async fn delivery_stream(context: &Context, name: &str, query: Query) -> Result<Reader, ApiError> {
    let entry = context.catalog.get(name).ok_or_else(|| {
        ApiError::resource_not_found(format!("Firehose {name} under account {} not found.", context.account.id))
    })?;
    if let Source::DataStream { name: from, .. } = &entry.stream.source {
        return Err(ApiError::invalid_argument(format!(
            "delivery stream {name} keeps no records of its own: it reads the data stream {from}, which is at \
             /v1/data-streams/{from}/records"
        )));
    }
    Ok(Reader::own(context.streams.get(entry.id), query).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_paths_lead_in() {
        assert_eq!(Target::of("/v1/streams/web/records"), Some(Target::DeliveryStream("web")));
        assert_eq!(Target::of("/v1/data-streams/web/records"), Some(Target::DataStream("web")));
        for path in ["/v1/streams/a/b/records", "/v1/streams/records", "/v1/x/a/records", "/v2/streams/a/records", "/"]
        {
            assert_eq!(Target::of(path), None, "{path}");
        }
    }
}
