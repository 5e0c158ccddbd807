//! A webhook of a delivery stream, and what its headers and its secret may be.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::Secret;
use super::endpoint::shown_url;
use crate::error::{Error, Result};
use crate::limits::{
    WEBHOOK_HEADER_BYTES_MAX, WEBHOOK_HEADERS_MAX, WEBHOOK_SECRET_BYTES_MAX, WEBHOOK_SECRET_BYTES_MIN,
    WEBHOOK_TIME_DEFAULT,
};

/// Who is told of each object of a delivery stream.
#[derive(Clone, PartialEq)]
pub struct Webhook {
    /// Where messages are posted.
    pub url: String,
    /// Headers that are sent too, by names in lower case.
    pub headers: Vec<(String, Secret<String>)>,
    /// What messages are signed with.
    pub secret: Option<Secret<Vec<u8>>>,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Webhook { url, headers, secret, timeout } = self;
        f.debug_struct("Webhook")
            .field("url", &shown_url(url))
            .field("headers", headers)
            .field("secret", secret)
            .field("timeout", timeout)
            .finish()
    }
}

impl Webhook {
    /// A webhook with every default.
    pub fn new(url: impl Into<String>) -> Self {
        Webhook { url: url.into(), headers: Vec::new(), secret: None, timeout: WEBHOOK_TIME_DEFAULT }
    }
}

/// Headers that say how a message is sent, or are ours.
const RESERVED: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// The name of a header, in lower case: one that may be sent, and that none of `before` is.
pub fn header_name(name: &str, before: &[(String, Secret<String>)]) -> Result<String> {
    let lower = name.to_ascii_lowercase();
    let fault = |why: &str| Err(Error::invalid(format!("header {name:?} {why}")));
    if http::HeaderName::from_bytes(lower.as_bytes()).is_err() {
        return fault("is not a header's name");
    }
    if RESERVED.contains(&lower.as_str()) {
        return fault("says how the message is sent, and is set by the service");
    }
    if before.iter().any(|(known, _)| *known == lower) {
        return fault("is there twice");
    }
    if before.len() >= WEBHOOK_HEADERS_MAX {
        return fault(&format!("is one too many: there may be {WEBHOOK_HEADERS_MAX}"));
    }
    Ok(lower)
}

/// The value of a header; it is not shown, for it is a secret as a rule.
pub fn header_value(value: &str) -> Result<()> {
    if value.len() > WEBHOOK_HEADER_BYTES_MAX {
        return Err(Error::invalid(format!("has {} bytes, more than {WEBHOOK_HEADER_BYTES_MAX}", value.len())));
    }
    if http::HeaderValue::from_str(value).is_err() {
        return Err(Error::invalid("has a character that cannot stand in a header"));
    }
    Ok(())
}

/// The bytes of a secret: 24 to 64 in base64, `whsec_` before it or not.
pub fn signing_secret(text: &str) -> Result<Secret<Vec<u8>>> {
    let base64 = text.strip_prefix("whsec_").unwrap_or(text);
    let bytes = base64_simd::STANDARD.decode_to_vec(base64).map(Zeroizing::new);
    let (least, most) = (WEBHOOK_SECRET_BYTES_MIN, WEBHOOK_SECRET_BYTES_MAX);
    match bytes {
        Ok(bytes) if (least..=most).contains(&bytes.len()) => Ok(Secret::new(bytes.to_vec())),
        Ok(bytes) => Err(Error::invalid(format!(
            "must be {least} to {most} bytes in base64, with \"whsec_\" before it or not: these are {}",
            bytes.len()
        ))),
        Err(_) => Err(Error::invalid(format!(
            "must be {least} to {most} bytes in base64, with \"whsec_\" before it or not: this is not base64"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_not_shown() {
        let headers = vec![("x-key".to_owned(), Secret::new("hush-header".to_owned()))];
        let secret = Some(Secret::new(b"hush-secret".to_vec()));
        let webhook = Webhook { headers, secret, ..Webhook::new("https://u:hush@h/told?token=hush") };
        let shown = format!("{webhook:?}");
        assert!(shown.contains("\"https://***@h/told?***\"") && shown.contains("x-key"), "{shown}");
        assert!(!shown.contains("hush") && !shown.contains("104, 117, 115, 104"), "{shown}");
    }
}
