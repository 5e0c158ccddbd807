//! The AWS JSON protocol, 1.1 and 1.0: which operation a request names, and what answers look like.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{HeaderName, HeaderValue, StatusCode};

use super::ApiError;
use super::server::{Answer, Response};

/// The content type of every answer of the AWS APIs.
const JSON_1_1: &str = "application/x-amz-json-1.1";

/// The operation that `X-Amz-Target` names, if it is one of the API called `prefix` (`Firehose_20150804`).
pub fn operation<'a>(headers: &'a HeaderMap, prefix: &str) -> Option<&'a str> {
    target(headers).and_then(|(api, operation)| (api == prefix).then_some(operation))
}

/// The API and the operation that `X-Amz-Target` names.
pub fn target(headers: &HeaderMap) -> Option<(&str, &str)> {
    headers.get("x-amz-target")?.to_str().ok()?.split_once('.')
}

/// Whether the body is in our protocol.
///
/// # Errors
/// `SerializationException` for any other content type: some of them a browser would send for a stranger's page
/// without asking first.
pub fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let stated = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = stated.split(';').next().unwrap_or("").trim();
    let known = [JSON_1_1, "application/x-amz-json-1.0"];
    if known.iter().any(|known| essence.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let stated: String = stated.chars().take(64).collect();
    Err(ApiError::serialization(format!("Content-Type must be {JSON_1_1}, not {stated:?}")))
}

/// The answer to a call that succeeded.
pub fn aws_ok(body: Vec<u8>) -> Response {
    response(StatusCode::OK, JSON_1_1, body)
}

/// The answer to one that failed.
pub fn aws_error(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = response(status, JSON_1_1, error.body());
    response.headers_mut().insert(HeaderName::from_static("x-amzn-errortype"), HeaderValue::from_static(error.code));
    response
}

/// An answer for a person.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Response {
    response(status, "text/plain; charset=utf-8", body)
}

/// An answer of plain JSON.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Response {
    response(status, "application/json", body)
}

/// An answer without a body, and so without a type of it.
pub fn bare(status: StatusCode) -> Response {
    let mut response = response(status, JSON_1_1, Vec::new());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

/// An answer of these bytes.
pub fn response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Answer::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
