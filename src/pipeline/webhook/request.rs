//! One message as a request, and what an answer to it means.
//!
//! A POST of JSON, with the headers of Standard Webhooks (<https://www.standardwebhooks.com>), so that its libraries can check
//! it: `webhook-id`, the same in all repeats; `webhook-timestamp`, seconds since 1970 of this attempt; and, where there is a secret,
//! `webhook-signature`: `v1,` and the base64 of the HMAC-SHA256 of `<id>.<timestamp>.<body>`.

use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use chrono::DateTime;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::response::Parts;
use http::{HeaderMap, Request};
use http_body_util::Full;

use super::outbox::Message;
use crate::config::Webhook;
use crate::error::{Error, Result};
use crate::limits::WEBHOOK_RETRY_AFTER_MAX;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The receiver has it.
    Taken,
    /// It wants it under no circumstances.
    Refused(String),
    /// Another attempt may help, after this time at the least.
    Again(String, Duration),
}

/// The request for an attempt at `now_ms`.
///
/// # Errors
/// [`Invalid`](crate::error::Kind::Invalid) for what cannot be sent.
pub(super) fn request(webhook: &Webhook, message: &Message, now_ms: u64) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::post(&webhook.url);
    if let Some(headers) = request.headers_mut() {
        fill(headers, webhook, message, now_ms / 1_000)?;
    }
    // The URL is not shown: its path is a secret often enough.
    request
        .body(Full::new(message.body.clone()))
        .map_err(|error| Error::invalid("no request can be made for the webhook's url").because(error))
}

fn fill(headers: &mut HeaderMap, webhook: &Webhook, message: &Message, seconds: u64) -> Result<()> {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static("standpipe"));
    for (name, secret) in &webhook.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|error| Error::invalid("a webhook's header has no name that can be sent").because(error))?;
        let mut value = value(secret.reveal())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers.insert("webhook-id", value(&message.id)?);
    headers.insert("webhook-timestamp", seconds.into());
    if let Some(secret) = &webhook.secret {
        headers.insert("webhook-signature", value(&signature(secret.reveal(), message, seconds))?);
    }
    Ok(())
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|error| Error::invalid("a webhook's header cannot be sent").because(error))
}

fn signature(secret: &[u8], message: &Message, seconds: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signed = [format!("{}.{seconds}.", message.id).as_bytes(), &message.body].concat();
    format!("v1,{}", base64_simd::STANDARD.encode_to_string(hmac::sign(&key, &signed)))
}

/// What the head of an answer means. Redirects are not followed: a message is signed for one receiver.
pub(super) fn judge(head: &Parts, now_ms: u64) -> Verdict {
    let status = head.status.as_u16();
    let said = format!("the receiver answered {status}");
    match status {
        200..=299 => Verdict::Taken,
        408 | 409 | 425 | 429 => Verdict::Again(said, retry_after(&head.headers, now_ms)),
        400..=499 => Verdict::Refused(said),
        _ => Verdict::Again(said, retry_after(&head.headers, now_ms)),
    }
}

/// What `Retry-After` asks for: seconds, or a date. Nothing where it cannot be understood, and never more than an hour.
fn retry_after(headers: &HeaderMap, now_ms: u64) -> Duration {
    let text = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => DateTime::parse_from_rfc2822(text).map_or(Duration::ZERO, |date| {
            let ms = u64::try_from(date.timestamp_millis()).unwrap_or(0);
            Duration::from_millis(ms.saturating_sub(now_ms))
        }),
    };
    asked.min(WEBHOOK_RETRY_AFTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::config::webhook::signing_secret;

    const NOW_MS: u64 = 1_614_265_330_000;

    fn message() -> Message {
        Message { id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(), body: "{\"test\": 2432232314}".into() }
    }

    #[test]
    fn a_signature_is_that_of_the_example_of_standard_webhooks() {
        for text in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            let webhook = Webhook { secret: Some(signing_secret(text).unwrap()), ..Webhook::new("https://h/x?y=1") };
            let request = request(&webhook, &message(), NOW_MS).unwrap();
            let headers = request.headers();
            assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
            assert_eq!(headers["webhook-id"], message().id);
            assert_eq!(headers["webhook-timestamp"], "1614265330");
            assert_eq!(request.uri(), "https://h/x?y=1");
        }
    }

    #[test]
    fn headers_of_the_configuration_go_with_it_and_are_hidden() {
        let headers = vec![("authorization".to_owned(), Secret::new("Bearer hush".to_owned()))];
        let request = request(&Webhook { headers, ..Webhook::new("http://h") }, &message(), NOW_MS).unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer hush");
        assert!(request.headers()["authorization"].is_sensitive());
        assert_eq!(request.headers()["content-type"], "application/json");
        assert!(!request.headers().contains_key("webhook-signature"));
    }

    fn verdict(status: u16, after: &str) -> Verdict {
        let answer = http::Response::builder().status(status).header("retry-after", after).body(()).unwrap();
        judge(&answer.into_parts().0, NOW_MS)
    }

    #[test]
    fn each_status_is_taken_final_or_worth_another_attempt() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(verdict(status, "9"), Verdict::Taken, "{status}");
        }
        for status in [400, 401, 403, 404, 410, 413, 422, 451] {
            assert_eq!(verdict(status, "9"), Verdict::Refused(format!("the receiver answered {status}")));
        }
        for status in [300, 301, 302, 307, 308, 408, 409, 425, 429, 500, 502, 503, 504, 599, 999] {
            let expected = Verdict::Again(format!("the receiver answered {status}"), Duration::from_secs(9));
            assert_eq!(verdict(status, "9"), expected);
        }
    }

    #[test]
    fn a_receiver_says_when_to_come_again_within_an_hour() {
        for (text, seconds) in [
            ("", 0),
            ("0", 0),
            (" 120 ", 120),
            ("3601", 3_600),
            ("18446744073709551615", 3_600),
            ("99999999999999999999", 0),
            ("-1", 0),
            ("1.5", 0),
            ("soon", 0),
            ("Thu, 25 Feb 2021 15:03:10 GMT", 60),
            ("Thu, 25 Feb 2021 15:02:09 GMT", 0),
            ("Fri, 25 Feb 2022 15:02:10 GMT", 3_600),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ] {
            let Verdict::Again(_, after) = verdict(503, text) else { panic!("{text}") };
            assert_eq!(after, Duration::from_secs(seconds), "{text:?}");
        }
    }
}
