//! HTTP endpoints that take what Firehose sends them.
//!
//! A request is a POST to the URL as it stands, over HTTP/1.1, redirects not followed:
//!
//! | header | value |
//! |---|---|
//! | `X-Amz-Firehose-Protocol-Version` | `1.0` |
//! | `X-Amz-Firehose-Request-Id` | a GUID, the same in all attempts |
//! | `X-Amz-Firehose-Source-Arn` | the delivery stream's ARN |
//! | `X-Amz-Firehose-Access-Key` | the key, if there is one |
//! | `X-Amz-Firehose-Common-Attributes` | `{"commonAttributes":{"name":"value"}}`, if there are any |
//! | `Content-Type`, `Content-Length` | `application/json`, set |
//! | `Content-Encoding` | `gzip`, or absent |
//!
//! and a body `{"requestId":"…","timestamp":ms,"records":[{"data":"base64"}]}`. What an answer must be, is in [`answer`].
//! (Source: Amazon Data Firehose developer guide, "Understand HTTP endpoint delivery request and response specifications".)

mod answer;
mod request;
#[cfg(test)]
pub(crate) mod tests;

use std::error::Error as StdError;

use bytes::Bytes;
use http::Request;
use http::response::Parts;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

pub use self::answer::Refusal;
pub use self::request::{RequestBody, Sending, body_bytes};
use crate::error::{Error, Result, causes};
use crate::limits::{ENDPOINT_ANSWER_BYTES_MAX, ENDPOINT_CONNECT_TIME_MAX};

/// Sends requests to endpoints. Cheap to clone.
#[derive(Clone)]
pub struct EndpointClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl EndpointClient {
    /// A client that trusts the system's certificates; without `tls` it reads none, and takes `http://` only.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn new(tls: bool) -> Result<Self> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let config = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::unavailable("TLS is not available").because(error))?;
        let config = if tls {
            config
                .with_native_roots()
                .map_err(|error| Error::unavailable("the system's certificates cannot be read").because(error))?
                .with_no_client_auth()
        } else {
            config.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        };
        Ok(EndpointClient::with_tls(config))
    }

    /// A client with certificates of one's own.
    pub fn with_tls(config: ClientConfig) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(ENDPOINT_CONNECT_TIME_MAX));
        connector.set_nodelay(true);
        let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            // As Firehose writes them: not every endpoint takes names of headers for what they are.
            .http1_title_case_headers(true)
            .build(builder.wrap_connector(connector));
        EndpointClient(client)
    }

    /// Sends one request, once, and reads the answer; how long that may take is the caller's to say.
    pub async fn post(&self, sending: &Sending<'_>, body: &RequestBody) -> Result<(), Refusal> {
        let request = sending.request(body).map_err(|error| Refusal::unreachable(error.message()))?;
        let (head, body_of_answer) = self.send(request).await?;
        let bytes = read(body_of_answer, ENDPOINT_ANSWER_BYTES_MAX).await?;
        answer::judge(&head, &bytes, body.id())
    }

    /// Sends a request of any kind, once, and follows no redirect. The body of the answer is not read yet, see [`read`].
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<(Parts, Incoming), Refusal> {
        match self.0.request(request).await {
            Ok(answer) => Ok(answer.into_parts()),
            Err(error) => Err(unanswered(&error, error.is_connect())),
        }
    }
}

/// The whole body of an answer, of at most `bytes_max`. Once it is read its connection can be used again.
pub async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, Refusal> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::too_large()),
        Err(error) => Err(Refusal::reset(&causes(&*error))),
    }
}

/// Why there was no answer.
fn unanswered(error: &(dyn StdError + 'static), on_connecting: bool) -> Refusal {
    let why = causes(error);
    if is_of_tls(error) {
        Refusal::handshake(&why)
    } else if on_connecting {
        Refusal::unreachable(&why)
    } else {
        Refusal::reset(&why)
    }
}

/// Whether TLS failed: somewhere below is an error of its own.
fn is_of_tls(error: &(dyn StdError + 'static)) -> bool {
    // What an I/O error was made of is not among its sources.
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || inner.is_some_and(|inner| is_of_tls(inner)) || error.source().is_some_and(is_of_tls)
}
