//! Plain HTTP ingest, for everything that speaks HTTP and no AWS protocol.
//!
//! ```text
//! POST /v1/streams/NAME/records
//! Authorization: Bearer TOKEN              or a SigV4 signature for the service "firehose"
//! Content-Type: application/x-ndjson       or text/plain, or none: each line is a record, without its line feed;
//!                                          empty lines are no records
//!               application/json           a JSON array: of a string its text is the record, of anything else its
//!                                          JSON without blanks
//! Content-Encoding: gzip | zstd            optional
//! Idempotency-Key: ANYTHING                optional: the same key, stream and body within ten minutes is stored once
//!
//! 200 {"records": 3, "request_id": "…"}    all of them are durable
//! 4xx, 5xx {"error": "…", "message": "…", "request_id": …}    none of them is
//! ```
//!
//! Statuses: 400 a body that cannot be read, 401 who are you, 403 you may not, 404 no such stream, 405, 408 too slow,
//! 413 too large, 415 a type or coding that is not one of these, 503 with `Retry-After` when there is no room.
//! What is asked for is the permission `firehose:PutRecordBatch` on the stream.

mod coding;
mod split;

use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use serde_json::json;

use super::access::Gate;
use super::firehose::put;
use super::server::{Received, Response};
use super::sigv4::Rules;
use super::{ApiError, Context, RequestFacts, wire};
use crate::record::Records;
use coding::Coding;
use split::Form;

/// The signatures that plain ingest takes: what the body means depends on these headers.
pub const RULES: Rules =
    Rules { services: &["firehose"], signed_if_sent: &["content-type", "content-encoding", CALL_NAME] };

/// The header by which a client names its call, so that a retry of it is known.
pub const CALL_NAME: &str = "idempotency-key";

/// The stream that `path` asks to put into.
pub fn stream_name(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/streams/")?.strip_suffix("/records").filter(|name| !name.contains('/'))
}

/// Stores the records of one request; the body of the answer.
///
/// # Errors
/// Those of the module; none of the records is stored.
pub async fn put(
    context: &Context,
    gate: &Gate<'_>,
    name: &str,
    headers: &HeaderMap,
    body: Received,
    facts: &RequestFacts,
) -> Result<Vec<u8>, ApiError> {
    let known = name.len() <= crate::limits::STREAM_NAME_MAX;
    let name = if known { name } else { "" };
    gate.check("firehose:PutRecordBatch", &context.account.delivery_stream_arn(name))?;
    let form = Form::of(single(headers, &CONTENT_TYPE)?)?;
    let coding = Coding::of(single(headers, &CONTENT_ENCODING)?)?;
    let entry = put::active(context, name)?;
    let Received { bytes, mut hold, .. } = body;
    let bytes = coding.decode(bytes, &mut hold).await?;
    let records = form.split(&bytes)?;
    drop(bytes);
    let count = records.ends.len();
    let records = Records::new(context.clock.now_ms(), records.ends, records.data.into());
    put::store(context, &entry, records, facts).await?;
    drop(hold);
    Ok(json!({"records": count, "request_id": facts.request_id}).to_string().into_bytes())
}

fn single<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Result<Option<&'h str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(unsupported(format!("the header {name} is sent more than once")));
    }
    first.map(|value| value.to_str().map_err(|_| unsupported(format!("the header {name} is not text")))).transpose()
}

/// A content type or coding that is not one of ours.
fn unsupported(message: String) -> ApiError {
    ApiError::unsupported_media_type(message)
}

/// The answer to a request that failed.
pub fn refusal(error: &ApiError) -> Response {
    let (status, name) = match error.code {
        "SerializationException" | "ValidationException" | "InvalidArgumentException" => (400, "bad_request"),
        "MissingAuthenticationTokenException"
        | "IncompleteSignatureException"
        | "InvalidSignatureException"
        | "UnrecognizedClientException"
        | "ExpiredTokenException" => (401, "unauthorized"),
        "AccessDeniedException" => (403, "forbidden"),
        "ResourceNotFoundException" => (404, "stream_not_found"),
        "RequestTimeoutException" => (408, "too_slow"),
        "RequestEntityTooLargeException" => (413, "too_large"),
        "UnsupportedMediaTypeException" => (415, "unsupported_media_type"),
        "ThrottlingException" => (429, "too_many_requests"),
        "ServiceUnavailableException" => (503, "unavailable"),
        _ => (500, "internal"),
    };
    let status = StatusCode::from_u16(status).expect("every status of the table is one");
    let mut response = failure(status, name, &error.message);
    match status {
        StatusCode::UNAUTHORIZED => {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}

/// The answer where only other methods are known.
pub fn wrong_method(method: &Method) -> Response {
    let shown: String = method.as_str().chars().take(16).collect();
    let mut response =
        failure(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", &format!("use POST or GET, not {shown}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, GET"));
    response
}

/// The answer where there is nothing.
pub fn no_such_path() -> Response {
    failure(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is nothing here: POST / is the Firehose API, POST /v1/streams/NAME/records takes plain \
         records, GET /v1/streams/NAME/records and /v1/data-streams/NAME/records show them",
    )
}

fn failure(status: StatusCode, name: &str, message: &str) -> Response {
    wire::json(status, json!({"error": name, "message": message}).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_path_leads_in() {
        assert_eq!(stream_name("/v1/streams/web/records"), Some("web"));
        assert_eq!(stream_name("/v1/streams//records"), Some(""));
        for path in
            ["/v1/streams/a/b/records", "/v1/streams/a/records/", "/v1/streams/records", "/v2/streams/a/records"]
        {
            assert_eq!(stream_name(path), None, "{path}");
        }
    }

    #[test]
    fn errors_have_their_status() {
        let table = [
            (ApiError::serialization("x"), 400),
            (ApiError::missing_authentication_token("x"), 401),
            (ApiError::access_denied("x"), 403),
            (ApiError::resource_not_found("x"), 404),
            (ApiError::request_timeout("x"), 408),
            (ApiError::request_too_large("x"), 413),
            (ApiError::unsupported_media_type("x"), 415),
            (ApiError::service_unavailable("x"), 503),
            (ApiError::internal_failure("x"), 500),
        ];
        for (error, status) in table {
            let response = refusal(&error);
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503);
            assert_eq!(response.headers().contains_key(WWW_AUTHENTICATE), status == 401);
        }
    }
}
