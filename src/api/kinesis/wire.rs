//! The two encodings of the API: AWS JSON 1.1 and AWS CBOR 1.1. An answer has the encoding of its request.

use http::header::{CONTENT_TYPE, HeaderMap};
use http::{HeaderName, HeaderValue, StatusCode};

use super::Document;
use crate::api::ApiError;
use crate::api::server::Response;
use crate::api::wire;

/// How one call is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// `application/x-amz-json-1.1`: blobs are base64, timestamps are seconds with a fraction.
    Json,
    /// `application/x-amz-cbor-1.1`: blobs are byte strings, timestamps are tag 1 with whole milliseconds.
    Cbor,
}

impl Wire {
    /// The encoding that a request says it has, if it is one of ours; parameters (`; charset=utf-8`) change nothing.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut stated = headers.get_all(CONTENT_TYPE).iter();
        let one = stated.next().filter(|_| stated.next().is_none())?.to_str().ok()?;
        let essence = one.split(';').next().unwrap_or("").trim();
        [Wire::Json, Wire::Cbor].into_iter().find(|wire| essence.eq_ignore_ascii_case(wire.content_type()))
    }

    /// What stands in `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Wire::Json => "application/x-amz-json-1.1",
            Wire::Cbor => "application/x-amz-cbor-1.1",
        }
    }
}

/// The answer to a call that succeeded and has something to say.
pub fn answer(wire: Wire, document: &Document) -> Response {
    wire::response(StatusCode::OK, wire.content_type(), document.write(wire))
}

/// The same, written already.
pub fn bytes(wire: Wire, body: Vec<u8>) -> Response {
    wire::response(StatusCode::OK, wire.content_type(), body)
}

/// The answer to one that has nothing to say: no byte at all.
pub fn empty(wire: Wire) -> Response {
    wire::response(StatusCode::OK, wire.content_type(), Vec::new())
}

/// The answer to one that failed: `{"__type", "message"}`, where SerializationException alone writes `Message`.
pub fn refusal(wire: Wire, error: &ApiError) -> Response {
    let name = if error.code == "SerializationException" { "Message" } else { "message" };
    let body = Document::map([("__type", error.code.into()), (name, error.message.as_ref().into())]);
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = wire::response(status, wire.content_type(), body.write(wire));
    let code = HeaderValue::from_static(error.code);
    response.headers_mut().insert(HeaderName::from_static("x-amzn-errortype"), code);
    response
}

/// The answer to a body of a type that is neither of ours, as AWS gives it. `application/json` is refused like any other:
/// some clients send it unasked, and a browser would for a stranger's page if it could be had for less.
pub fn foreign(headers: &HeaderMap) -> Response {
    let stated = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = stated.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json") {
        let body = r#"{"Output":{"__type":"com.amazon.coral.service#SerializationException"},"Version":"1.0"}"#;
        return wire::json(StatusCode::BAD_REQUEST, body);
    }
    let mut response = wire::text(StatusCode::NOT_FOUND, "<UnknownOperationException/>\n");
    response.headers_mut().remove(CONTENT_TYPE);
    response
}
