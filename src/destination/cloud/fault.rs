//! What a store's answer means to an operator: our error names the place, the store's own code, and what to do.
//!
//! The library keeps status and body of an answer in a type that nobody outside can name, so both are read from its words:
//! `… status code: 404 Not Found: <?xml …><Error><Code>ContainerNotFound</Code><Message>…`.

use crate::error::{Error, Kind, causes};

/// Characters of a store's message that we repeat: it may be anybody's.
const MESSAGE_CHARS_MAX: usize = 300;

/// A call that failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fault {
    /// The HTTP status, if there was an answer.
    status: Option<u16>,
    /// The store's code; empty if there was none.
    code: String,
    /// The store's message, or what went wrong on the way.
    message: String,
}

impl Fault {
    /// Reads what the library says.
    pub(super) fn of(error: &object_store::Error) -> Self {
        match error {
            object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
                let fault = Fault::read(&causes(error));
                Fault { status: fault.status.or(Some(412)), ..fault }
            }
            _ => Fault::read(&causes(error)),
        }
    }

    fn read(said: &str) -> Self {
        let status = said.split("status code: ").nth(1).and_then(|rest| rest.get(..3)?.parse().ok());
        let code = element(said, "Code").unwrap_or_default();
        let message = match (element(said, "Message"), status) {
            (Some(message), _) => message,
            // The body is no document of the store's: a proxy's page, or nothing.
            (None, Some(_)) => String::new(),
            (None, None) => cleaned(said.rsplit(" - ").next().unwrap_or(said)),
        };
        Fault { status, code, message }
    }

    /// Whether this may be the answer to our condition that the object is there. That of Azure has other reasons too.
    pub(super) fn may_exist(&self) -> bool {
        matches!(self.status, Some(409 | 412))
    }

    /// The error of `action` (an action and its object) in `place`.
    pub(super) fn into_error(self, action: &str, place: &str) -> Error {
        let kind = match (self.code.as_str(), self.status) {
            // What is sure: no object of ours is there. Any other 404 may be a proxy's.
            ("NoSuchBucket" | "ContainerNotFound", _) => Kind::NotFound,
            ("ServerBusy" | "SlowDown", _) | (_, Some(429)) => Kind::Throttled,
            _ => Kind::Unavailable,
        };
        let answer = match (self.status, self.code.as_str()) {
            (Some(status), "") => format!("status {status}"),
            (Some(status), code) => format!("{code} ({status})"),
            (None, _) => String::new(),
        };
        let answer = [answer.as_str(), &self.message].into_iter().filter(|part| !part.is_empty());
        let mut text = format!("{action} failed: {}", answer.collect::<Vec<_>>().join(", "));
        if let Some(remedy) = self.remedy(place) {
            text.push_str("; ");
            text.push_str(&remedy);
        }
        Error::new(kind, text)
    }

    /// What an operator should do; nothing where waiting helps.
    fn remedy(&self, place: &str) -> Option<String> {
        Some(match (self.code.as_str(), self.status?) {
            ("NoSuchBucket" | "ContainerNotFound", _) => format!("create {place}, or correct the configuration"),
            ("AuthenticationFailed", _) | (_, 401) => "check the credentials, and this machine's clock".to_owned(),
            (_, 403) if place.starts_with("gs:") => format!(
                "allow storage.objects.create and storage.objects.get on {place} (the role Storage Object User has both)"
            ),
            (_, 403) => format!("give the role Storage Blob Data Contributor, or a key that may write, on {place}"),
            (_, 404) => format!("check that {place} exists at the endpoint"),
            _ => return None,
        })
    }
}

/// What stands between the tags of an XML element, made fit for one line.
fn element(text: &str, name: &str) -> Option<String> {
    let from = text.split_once(&format!("<{name}>"))?.1;
    Some(cleaned(from.split_once('<').map_or(from, |(inside, _)| inside)))
}

/// `text` from a store, made fit for one line.
fn cleaned(text: &str) -> String {
    let clean = text.trim().chars().map(|char| if char.is_control() { ' ' } else { char });
    clean.take(MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Error performing PUT http://h/c/k in 1ms - Server returned non-2xx status code: ";

    #[test]
    fn errors_name_the_code_and_the_remedy() {
        let body = |code: &str| format!("<?xml?><Error><Code>{code}</Code><Message>Their\nwords</Message></Error>");
        let cases = [
            (format!("{SAID}404 Not Found: {}", body("ContainerNotFound")), Kind::NotFound, "create az://a/c"),
            (
                format!("{SAID}404 Not Found: {}", body("NoSuchBucket")),
                Kind::NotFound,
                "NoSuchBucket (404), Their words",
            ),
            (format!("{SAID}404 Not Found: <html>"), Kind::Unavailable, "status 404; check that az://a/c exists"),
            (
                format!("{SAID}403 Forbidden: {}", body("AuthorizationFailure")),
                Kind::Unavailable,
                "Blob Data Contributor",
            ),
            (
                format!("{SAID}403 Forbidden: {}", body("AuthenticationFailed")),
                Kind::Unavailable,
                "check the credentials",
            ),
            (format!("{SAID}503 Busy: {}", body("ServerBusy")), Kind::Throttled, "ServerBusy (503)"),
            (
                "Error performing PUT http://h/c/k in 1ms - HTTP error: refused".to_owned(),
                Kind::Unavailable,
                "HTTP error: refused",
            ),
        ];
        for (said, kind, expected) in cases {
            let error = Fault::read(&said).into_error("put of az://a/c/k", "az://a/c");
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.message().contains(expected) && !error.message().contains('\n'), "{error}");
        }
        assert!(Fault::read(&format!("{SAID}409 Conflict: {}", body("BlobAlreadyExists"))).may_exist());
        assert!(!Fault::read(&format!("{SAID}404 Not Found: 412")).may_exist());
    }
}
