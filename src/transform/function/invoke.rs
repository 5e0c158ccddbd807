//! One call of Lambda's invoke API: a POST of the event, answered with what the function returned, or with
//! `X-Amz-Function-Error` and what it said of its failure.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;

use super::super::Failure;
use crate::config::endpoint::shown_url;
use crate::error::{Error, Result, causes};
use crate::limits::{FUNCTION_BODY_BYTES_MAX, FUNCTION_CONNECT_TIME_MAX, FUNCTION_DETAIL_CHARS_MAX};

/// What Lambda says of an answer that is larger than it allows.
const TOO_LARGE: &str = "Function.ResponseSizeTooLarge";

/// A client of one function.
pub(super) struct Invoker {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
}

/// What came of a call.
pub(super) enum Invoked {
    /// What the function returned.
    Answer(Bytes),
    /// The event or the answer is larger than an invocation takes.
    TooLarge,
    /// It failed.
    Fault(Fault),
}

/// Why a batch is not answered for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Firehose's code.
    pub(super) code: &'static str,
    /// What error output says.
    pub(super) message: Cow<'static, str>,
    /// What the log says beside it.
    pub(super) detail: String,
}

impl Fault {
    /// The function failed.
    pub(super) fn function(detail: impl Into<String>) -> Self {
        Fault {
            code: "Lambda.FunctionError",
            message: "The Lambda function was successfully invoked but it returned an error result.".into(),
            detail: detail.into(),
        }
    }

    /// The function was not reached, or whoever is there does not run it.
    fn refused(code: &'static str, detail: String) -> Self {
        Fault { code, message: format!("The Lambda function could not be invoked: {detail}").into(), detail }
    }

    /// As error output has it.
    pub(super) fn failure(self, attempts: u32) -> Failure {
        Failure { code: self.code.into(), message: self.message.into_owned(), attempts, by: None }
    }
}

impl Invoker {
    pub(super) fn new(url: &str) -> Result<Self> {
        let uri: Uri =
            url.parse().map_err(|error| Error::invalid(format!("{:?} is no URL", shown_url(url))).because(error))?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::unavailable("TLS is not available").because(error))?;
        // To read the system's certificates takes a while; without TLS nobody asks for them.
        let tls = if uri.scheme_str() == Some("https") {
            tls.with_native_roots()
                .map_err(|error| Error::unavailable("the system's certificates cannot be read").because(error))?
                .with_no_client_auth()
        } else {
            tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        };
        Ok(Invoker::with_tls(uri, tls))
    }

    /// With certificates of one's own.
    pub(super) fn with_tls(uri: Uri, tls: ClientConfig) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(FUNCTION_CONNECT_TIME_MAX));
        connector.set_nodelay(true);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(connector);
        Invoker { client: Client::builder(TokioExecutor::new()).build(connector), uri }
    }

    /// One call; an answer of more than `bytes_max` bytes is not read.
    pub(super) async fn invoke(&self, event: Bytes, bytes_max: usize) -> Invoked {
        let mut request = Request::post(self.uri.clone());
        if let Some(headers) = request.headers_mut() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert("x-amz-invocation-type", HeaderValue::from_static("RequestResponse"));
        }
        let request = match request.body(Full::new(event)) {
            Ok(request) => request,
            Err(error) => return refused(&error),
        };
        let (head, body) = match self.client.request(request).await {
            Ok(answer) => answer.into_parts(),
            Err(error) => return refused(&error),
        };
        let failed = head.headers.get("x-amz-function-error");
        let body = match read(body, bytes_max).await {
            Ok(body) => body,
            Err(invoked) => return invoked,
        };
        match (head.status, failed) {
            (StatusCode::PAYLOAD_TOO_LARGE, _) => Invoked::TooLarge,
            (status, _) if !status.is_success() => Invoked::Fault(by_status(status, &body)),
            (_, Some(kind)) => function_error(&String::from_utf8_lossy(kind.as_bytes()), &body),
            // The runtime interface emulator does not always say so in a header.
            (_, None) if is_error(&body) => function_error("unhandled", &body),
            (_, None) => Invoked::Answer(body),
        }
    }
}

/// The whole body, or what else is to be said.
async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, Invoked> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Invoked::TooLarge),
        Err(error) => Err(refused(&*error)),
    }
}

fn refused(error: &(dyn std::error::Error + 'static)) -> Invoked {
    Invoked::Fault(Fault::refused("Lambda.FunctionError", shown(&causes(error))))
}

fn by_status(status: StatusCode, body: &[u8]) -> Fault {
    let code = match status.as_u16() {
        401 | 403 => "Lambda.InvokeAccessDenied",
        404 => "Lambda.ResourceNotFound",
        429 => "Lambda.InvokeLimitExceeded",
        _ => "Lambda.FunctionError",
    };
    Fault::refused(code, format!("status {}: {}", status.as_u16(), shown(&String::from_utf8_lossy(body))))
}

/// How a function says that it failed.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    #[serde(rename = "errorType")]
    kind: Option<String>,
    #[serde(rename = "errorMessage")]
    message: Option<String>,
    records: Option<serde::de::IgnoredAny>,
}

fn function_error(kind: &str, body: &[u8]) -> Invoked {
    let said: Said = serde_json::from_slice(body).unwrap_or_default();
    if said.kind.as_deref() == Some(TOO_LARGE) {
        return Invoked::TooLarge;
    }
    let message = said.message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let detail = format!("{kind}: {}: {message}", said.kind.unwrap_or_default());
    Invoked::Fault(Fault::function(shown(&detail)))
}

/// Whether an answer is a function's failure and not what it made of records. Such answers are short.
fn is_error(body: &[u8]) -> bool {
    let short = body.len() <= FUNCTION_BODY_BYTES_MAX && body.trim_ascii_start().starts_with(b"{\"error");
    let said: Said = if short { serde_json::from_slice(body).unwrap_or_default() } else { Said::default() };
    said.kind.is_some() && said.message.is_some() && said.records.is_none()
}

/// What comes from outside, short and on one line.
fn shown(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(FUNCTION_DETAIL_CHARS_MAX).collect()
}
