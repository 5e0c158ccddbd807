//! What a store's answer means to an operator: our error names the bucket, the store's own code, and what to do.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::probe::Headers;
use crate::error::{Error, Kind};

/// Characters of a store's message that we repeat: it may be anybody's.
const MESSAGE_CHARS_MAX: usize = 300;

/// A call that failed.
#[derive(Debug, Default)]
pub(super) struct Fault {
    /// The HTTP status, if there was an answer.
    pub(super) status: Option<u16>,
    /// S3's code; empty if there was none.
    pub(super) code: String,
    /// The store's message, or what went wrong on the way.
    message: String,
    /// The bucket's region, where the answer names it.
    region: Option<String>,
}

impl Fault {
    /// Reads what the SDK says.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let answer = error.raw_response();
        let status = answer.map(|answer| answer.status().as_u16());
        let region = answer.and_then(|answer| answer.headers().get("x-amz-bucket-region")).map(cleaned);
        let code = error.code().map(cleaned).unwrap_or_default();
        let message = match error {
            SdkError::TimeoutError(_) => "no answer within the time limit".to_owned(),
            SdkError::ServiceError(_) => error.message().map(cleaned).unwrap_or_default(),
            _ => cleaned(&DisplayErrorContext(error).to_string()),
        };
        Fault { status, code, message, region }
    }

    /// Whether this is the answer to our condition that the object is there.
    pub(super) fn says_exists(&self, sent: Headers) -> bool {
        self.status == Some(412) && sent.condition
    }

    /// Whether another write of the same key was under way; it may have failed since.
    pub(super) fn is_conflict(&self) -> bool {
        self.status == Some(409) && self.code == "ConditionalRequestConflict"
    }

    /// Whether other credentials may help, so that they should be read again.
    pub(super) fn blames_credentials(&self) -> bool {
        matches!(self.status, Some(401 | 403)) || self.code.contains("Token") || self.message.contains("redential")
    }

    /// Whether the store may have refused a header that it does not know.
    pub(super) fn refuses_header(&self) -> bool {
        let vague = ["NotImplemented", "InvalidArgument", "InvalidRequest", "BadRequest", "UnsupportedArgument"];
        self.status == Some(501) || self.status == Some(400) && vague.contains(&self.code.as_str())
    }

    /// The error of `action` (an action and its object) on `bucket`.
    pub(super) fn into_error(self, action: &str, bucket: &str) -> Error {
        let slow = matches!(self.status, Some(429)) || matches!(self.code.as_str(), "SlowDown" | "TooManyRequests");
        let kind = match self.code.as_str() {
            // What is sure: no object of ours is there.
            "NoSuchBucket" => Kind::NotFound,
            _ if slow => Kind::Throttled,
            _ => Kind::Unavailable,
        };
        let answer = match (self.status, self.code.as_str()) {
            (Some(status), "") => format!("status {status}"),
            (Some(status), code) => format!("{code} ({status})"),
            (None, _) => String::new(),
        };
        let answer = [answer.as_str(), &self.message].into_iter().filter(|part| !part.is_empty());
        let mut text = format!("{action} failed: {}", answer.collect::<Vec<_>>().join(", "));
        if let Some(remedy) = self.remedy(bucket) {
            text.push_str("; ");
            text.push_str(&remedy);
        }
        Error::new(kind, text)
    }

    /// What an operator should do; nothing where waiting helps.
    fn remedy(&self, bucket: &str) -> Option<String> {
        let remedy = match self.code.as_str() {
            "NoSuchBucket" => format!("create bucket {bucket:?}, or correct the configuration"),
            "ExpiredToken" | "TokenRefreshRequired" | "InvalidToken" | "ExpiredTokenException" => {
                "renew the credentials".to_owned()
            }
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "NotSignedUp" => {
                "check the access key and its secret".to_owned()
            }
            "RequestTimeTooSkewed" => "set this machine's clock".to_owned(),
            "AccessControlListNotSupported" => format!("bucket {bucket:?} has ACLs disabled: remove `acl`"),
            code if code.starts_with("KMS") => "check the KMS key and allow kms:GenerateDataKey on it".to_owned(),
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException" => self.right_region(bucket),
            _ => match self.status? {
                301 | 307 => self.right_region(bucket),
                401 | 403 => format!("allow s3:PutObject and s3:AbortMultipartUpload on arn:aws:s3:::{bucket}/*"),
                404 => format!("check that bucket {bucket:?} exists at the endpoint"),
                _ => return None,
            },
        };
        Some(remedy)
    }

    fn right_region(&self, bucket: &str) -> String {
        match &self.region {
            Some(region) => format!("bucket {bucket:?} is in region {region}: set `region` to it"),
            None => format!("bucket {bucket:?} is in another region: correct `region`"),
        }
    }
}

/// `text` from a store, made fit for one line.
fn cleaned(text: &str) -> String {
    let clean = text.chars().map(|char| if char.is_control() { ' ' } else { char });
    clean.take(MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, code: &str) -> Fault {
        Fault { status: Some(status), code: code.to_owned(), message: "Their words".to_owned(), region: None }
    }

    #[test]
    fn errors_name_the_code_and_the_remedy() {
        let cases = [
            (403, "AccessDenied", "AccessDenied (403), Their words; allow s3:PutObject"),
            (400, "ExpiredToken", "ExpiredToken (400), Their words; renew the credentials"),
            (404, "NoSuchBucket", "NoSuchBucket (404), Their words; create bucket \"logs\""),
            (400, "KMS.DisabledException", "; check the KMS key"),
            (500, "InternalError", "put of s3://logs/k failed: InternalError (500), Their words"),
            (409, "ConditionalRequestConflict", "ConditionalRequestConflict (409), Their words"),
            (502, "", "failed: status 502, Their words"),
        ];
        for (status, code, expected) in cases {
            let error = fault(status, code).into_error("put of s3://logs/k", "logs");
            assert!(error.message().contains(expected), "{error}");
            let kind = if code == "NoSuchBucket" { Kind::NotFound } else { Kind::Unavailable };
            assert_eq!(error.kind(), kind, "{code} is held and tried again");
        }
        assert_eq!(fault(503, "SlowDown").into_error("put", "logs").kind(), Kind::Throttled);
    }

    #[test]
    fn a_wrong_region_names_the_right_one() {
        let fault = Fault { region: Some("eu-central-1".to_owned()), ..fault(301, "PermanentRedirect") };
        assert!(fault.into_error("put", "logs").message().contains("is in region eu-central-1"));
    }

    #[test]
    fn a_hostile_message_is_cut_and_stays_on_its_line() {
        let text = cleaned(&"a\n\u{1b}".repeat(1_000));
        assert_eq!(text.chars().count(), MESSAGE_CHARS_MAX);
        assert!(!text.contains(char::is_control));
    }
}
