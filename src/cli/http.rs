//! One GET of a JSON document from the admin listener.

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::limits::STATUS_BYTES_MAX;

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// The body of `<base><path>`, if it is answered with 200.
pub(super) async fn get(clock: &Clock, base: &str, path: &str) -> Result<Bytes> {
    let address = format!("{}{path}", base.trim_end_matches('/'));
    let uri: Uri =
        address.parse().map_err(|error| Error::invalid(format!("{address:?} is no address")).because(error))?;
    if uri.scheme_str() != Some("http") {
        return Err(Error::invalid(format!("{address:?} does not begin with http://")));
    }
    match clock.within(ANSWER_TIME_MAX, fetch(uri)).await {
        Some(answer) => answer.map_err(|error| Error::unavailable(format!("no status from {address}")).because(error)),
        None => Err(Error::unavailable(format!("no answer from {address} within {} s", ANSWER_TIME_MAX.as_secs()))),
    }
}

async fn fetch(uri: Uri) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.get(uri).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), STATUS_BYTES_MAX).collect().await?.to_bytes();
    if status.is_success() { Ok(body) } else { Err(format!("it answered {status}").into()) }
}
