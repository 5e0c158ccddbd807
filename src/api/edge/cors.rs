//! What a browser must hear before a page may call the Kinesis API, as AWS says it.
//!
//! It is said only where callers have keys. A page that knows a key is allowed by the key, whoever serves the page. Without
//! keys the service trusts whoever reaches its loopback, and any page that somebody looks at on that machine reaches
//! it: the one thing that keeps such a page out is that the browser asks first, and hears no.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN,
};
use http::{Method, StatusCode};

use crate::api::server::Response;
use crate::api::wire;

/// Whether the request comes from a web page.
pub(super) fn of_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
}

/// Whether a browser asks if a page may call.
pub(super) fn asks(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && of_page(headers)
}

/// That it may.
pub(super) fn granted(asked: &HeaderMap) -> Response {
    let mut response = wire::bare(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("172800"));
    for (request, answer) in [
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
    ] {
        if let Some(value) = asked.get(request) {
            headers.insert(answer, value.clone());
        }
    }
    response
}

/// Lets the page read the answer.
pub(super) fn expose(response: &mut Response) {
    const EXPOSED: &str = "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date";
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}
