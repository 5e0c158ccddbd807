//! What an endpoint answers, read as something hostile.
//!
//! An answer has `Content-Type: application/json`, a `Content-Length`, no `Content-Encoding`, at most 1 MiB, and a body
//! `{"requestId":"that of the request","timestamp":ms,"errorMessage":"at most 8192 characters"}` with nothing else in it; the
//! message may be missing. Whatever is not so counts as a 500. Status 200 alone is success; 413 says that no repetition helps; all
//! others are worth another attempt.

use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::response::Parts;
use serde::Deserialize;

use crate::limits::{ENDPOINT_ANSWER_BYTES_MAX, ENDPOINT_MESSAGE_CHARS_MAX};

/// Characters that are kept of what an endpoint says.
const DETAIL_CHARS_MAX: usize = 1_000;

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Firehose's code.
    pub code: &'static str,
    /// What error output says.
    pub message: String,
    /// Whether another attempt cannot help.
    pub permanent: bool,
}

impl Refusal {
    fn new(code: &'static str, message: &str, detail: &str) -> Self {
        let message = if detail.is_empty() { message.to_owned() } else { format!("{message} {}", shown(detail)) };
        Refusal { code, message, permanent: false }
    }

    /// There was no answer in time.
    pub fn timeout() -> Self {
        Refusal::new("HttpEndpoint.RequestTimeout", "The request timed out before a response was received.", "")
    }

    /// A record that fits into no request.
    pub fn unsendable(bytes: usize) -> Self {
        let message = format!("The record needs a request of {bytes} bytes, more than the protocol allows.");
        Refusal { permanent: true, ..Refusal::new("HttpEndpoint.DestinationException", &message, "") }
    }

    pub(super) fn too_large() -> Self {
        Refusal::new("HttpEndpoint.ResponseTooLarge", "The response received from the endpoint is too large.", "")
    }

    pub(super) fn unreachable(detail: &str) -> Self {
        Refusal::new("HttpEndpoint.ConnectionFailed", "Unable to connect to the destination endpoint.", detail)
    }

    pub(super) fn reset(detail: &str) -> Self {
        Refusal::new("HttpEndpoint.ConnectionReset", "Unable to maintain connection with the endpoint.", detail)
    }

    pub(super) fn handshake(detail: &str) -> Self {
        Refusal::new(
            "HttpEndpoint.SSLHandshakeFailure",
            "Unable to complete an SSL handshake with the endpoint.",
            detail,
        )
    }

    fn invalid(status: StatusCode, detail: &str) -> Self {
        let detail = format!("(status {}: {detail})", status.as_u16());
        let message = "The response received from the endpoint is invalid.";
        Refusal::new("HttpEndpoint.InvalidResponseFromDestination", message, &detail)
    }
}

/// The body of an answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(rename = "requestId")]
    request_id: String,
    #[expect(dead_code, reason = "that it is a number is all that is asked of it")]
    timestamp: serde_json::Number,
    #[serde(rename = "errorMessage", default)]
    error_message: Option<String>,
}

/// What an answer to the request `id` means.
pub(super) fn judge(head: &Parts, body: &[u8], id: &str) -> Result<(), Refusal> {
    let invalid = |why: &str| Err(Refusal::invalid(head.status, why));
    let header = |name| head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let media = header(CONTENT_TYPE).unwrap_or_default();
    if !media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return invalid("the Content-Type is not application/json");
    }
    match header(CONTENT_LENGTH).map(|len| len.parse::<usize>()) {
        Some(Ok(len)) if len > ENDPOINT_ANSWER_BYTES_MAX => return Err(Refusal::too_large()),
        Some(Ok(_)) => {}
        _ => return invalid("there is no Content-Length"),
    }
    if head.headers.contains_key(CONTENT_ENCODING) {
        return invalid("it has a Content-Encoding");
    }
    // An array would be taken for the members of the document in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return invalid("the body is not a JSON object");
    }
    let answer: Answer = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(error) => return invalid(&error.to_string()),
    };
    if answer.request_id != id {
        return invalid("the requestId is not that of the request");
    }
    let message = answer.error_message.unwrap_or_default();
    if message.chars().count() > ENDPOINT_MESSAGE_CHARS_MAX {
        return invalid("the errorMessage is too long");
    }
    if head.status == StatusCode::OK {
        return Ok(());
    }
    let said = format!("(status {}) {}", head.status.as_u16(), String::from_utf8_lossy(body));
    let text = "Received the following response from the endpoint destination.";
    let refusal = Refusal::new("HttpEndpoint.DestinationException", text, &said);
    Err(Refusal { permanent: head.status == StatusCode::PAYLOAD_TOO_LARGE, ..refusal })
}

/// What comes from outside, short and on one line.
fn shown(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(status: u16, headers: &[(&'static str, &str)]) -> Parts {
        let mut answer = http::Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        answer.body(()).unwrap().into_parts().0
    }

    const JSON: (&str, &str) = ("content-type", "application/json");
    const LEN: (&str, &str) = ("content-length", "10");

    fn code(status: u16, headers: &[(&'static str, &str)], body: &str) -> &'static str {
        judge(&head(status, headers), body.as_bytes(), "id-1").err().map_or("", |refusal| refusal.code)
    }

    #[test]
    fn every_malformed_answer_is_found_whatever_its_status() {
        let good = r#"{"requestId":"id-1","timestamp":1578090903599}"#;
        let long = format!(r#"{{"requestId":"id-1","timestamp":1,"errorMessage":"{}"}}"#, "x".repeat(8_193));
        let bodies = [
            "",
            "null",
            "[]",
            "{}",
            "x",
            r#"["id-1",1]"#,
            r#""id-1""#,
            r#"{"requestId":"id-2","timestamp":1}"#,
            r#"{"requestId":1,"timestamp":1}"#,
            r#"{"requestId":"id-1"}"#,
            r#"{"timestamp":1}"#,
            r#"{"requestId":"id-1","timestamp":"1578090903599"}"#,
            r#"{"requestId":"id-1","timestamp":null}"#,
            r#"{"requestId":"id-1","timestamp":1,"more":1}"#,
            r#"{"requestId":"id-1","timestamp":1,"errorMessage":5}"#,
            r#"{"requestId":"id-1","requestId":"id-1","timestamp":1}"#,
            r#"{"requestId":"id-1","timestamp":1} x"#,
            &long,
        ];
        for status in [200, 413, 503] {
            for body in bodies {
                assert_eq!(code(status, &[JSON, LEN], body), "HttpEndpoint.InvalidResponseFromDestination", "{body}");
            }
            let heads: [&[(&'static str, &str)]; 5] = [
                &[LEN],
                &[JSON],
                &[JSON, ("content-length", "x")],
                &[("content-type", "text/html"), LEN],
                &[JSON, LEN, ("content-encoding", "gzip")],
            ];
            for head in heads {
                assert_eq!(code(status, head, good), "HttpEndpoint.InvalidResponseFromDestination", "{head:?}");
            }
            let large = [JSON, ("content-length", "1048577")];
            assert_eq!(code(status, &large, good), "HttpEndpoint.ResponseTooLarge");
        }
    }

    #[test]
    fn status_200_alone_is_success_and_413_is_final() {
        let with = |message: &str| format!(r#"{{"requestId":"id-1","timestamp":1.5e12,"errorMessage":{message}}}"#);
        for message in ["null", "\"\"", "\"why\""] {
            assert_eq!(code(200, &[("content-type", "Application/JSON; charset=utf-8"), LEN], &with(message)), "");
        }
        for status in [201, 202, 204, 301, 302, 307, 400, 401, 404, 413, 429, 500, 503] {
            let refusal =
                judge(&head(status, &[JSON, LEN]), with("\"no\nroom\"").replace('\n', " ").as_bytes(), "id-1");
            let refusal = refusal.unwrap_err();
            assert_eq!((refusal.code, refusal.permanent), ("HttpEndpoint.DestinationException", status == 413));
            assert!(refusal.message.contains("no room"), "{}", refusal.message);
        }
    }

    proptest! {
        #[test]
        fn no_body_is_worth_a_panic_or_a_long_message(body in proptest::collection::vec(any::<u8>(), 0..3_000)) {
            let refusal = judge(&head(200, &[JSON, LEN]), &body, "id-1").unwrap_err();
            prop_assert!(refusal.message.chars().count() < DETAIL_CHARS_MAX + 200);
        }
    }
}
