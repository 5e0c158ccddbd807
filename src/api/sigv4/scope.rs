//! What a request claims to be signed with: the `Authorization` header and the time, taken apart and checked
//! against what we accept.

use std::time::Duration;

use aws_lc_rs::digest;
use chrono::{DateTime, NaiveDateTime, Utc};

use super::{Request, canonical, hex};
use crate::api::ApiError;
use crate::limits;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";

/// What this part of the service accepts.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Services that a signature may be scoped to.
    pub services: &'static [&'static str],
    /// Headers that must be signed if they are sent, besides those that always must be.
    pub signed_if_sent: &'static [&'static str],
}

/// An `Authorization` header with the time that belongs to it.
#[derive(Debug)]
pub struct Claim<'a> {
    /// Whose key.
    pub key_id: &'a str,
    pub(super) day: [u8; 8],
    pub(super) region: &'a str,
    /// `None`: not one that is accepted here.
    service: Option<&'static str>,
    pub(super) signed_headers: &'a str,
    pub(super) signature: [u8; 32],
    pub(super) time: &'a str,
    scope: &'a str,
    stated_service: &'a str,
    terminator: &'a str,
}

impl<'a> Claim<'a> {
    pub(super) fn parse(request: &Request<'a>, rules: &Rules) -> Result<Self, ApiError> {
        let Some(value) = canonical::single(request, "authorization")? else {
            return Err(if canonical::has_query_credentials(request.query) {
                incomplete("credentials in the query (presigned URLs) are not accepted, send an Authorization header")
            } else {
                ApiError::missing_authentication_token("Missing Authentication Token")
            });
        };
        if canonical::has_query_credentials(request.query) {
            return Err(incomplete("credentials stand both in the Authorization header and in the query"));
        }
        let value = std::str::from_utf8(value).map_err(|_| incomplete("the Authorization header is not text"))?;
        let parameters = value
            .strip_prefix(ALGORITHM)
            .filter(|rest| rest.starts_with(' '))
            .ok_or_else(|| incomplete("the Authorization header must begin with AWS4-HMAC-SHA256"))?;
        let parameters = Parameters::parse(parameters)?;
        let time = canonical::single(request, "x-amz-date")?
            .and_then(|time| std::str::from_utf8(time).ok())
            .ok_or_else(|| incomplete("Authorization header requires existence of an 'X-Amz-Date' header."))?;
        parameters.claim(time, rules)
    }

    pub(super) fn check(
        &self,
        request: &Request<'_>,
        rules: &Rules,
        region: &str,
        now_ms: u64,
    ) -> Result<(), ApiError> {
        check_payload(request)?;
        self.check_signed_headers(request, rules)?;
        if self.terminator != TERMINATOR {
            return Err(invalid(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'.",
                shown(self.terminator)
            )));
        }
        if self.region != region {
            return Err(invalid(format!(
                "Credential should be scoped to a valid region: '{region}', not '{}'.",
                shown(self.region)
            )));
        }
        if self.service.is_none() {
            return Err(invalid(format!(
                "Credential should be scoped to correct service: '{}', not '{}'.",
                rules.services.join("' or '"),
                shown(self.stated_service)
            )));
        }
        self.check_time(now_ms)
    }

    /// Of a claim that was checked.
    pub(super) fn service(&self) -> &'static str {
        self.service.unwrap_or("")
    }

    pub(super) fn string_to_sign(&self, canonical: &[u8]) -> String {
        let digest = hex(digest::digest(&digest::SHA256, canonical).as_ref());
        [ALGORITHM, self.time, self.scope, &digest].join("\n")
    }

    fn check_signed_headers(&self, request: &Request<'_>, rules: &Rules) -> Result<(), ApiError> {
        const ALWAYS: [&str; 2] = ["host", "x-amz-date"];
        const IF_SENT: [&str; 2] = ["x-amz-target", "x-amz-security-token"];
        let named = |name: &str| self.signed_headers.split(';').any(|signed| signed == name);
        let signed = |name: &str| named(name) || name == "host" && named(canonical::AUTHORITY);
        let sent = |name: &&&str| request.headers.contains_key(**name);
        let missing =
            ALWAYS.iter().chain(IF_SENT.iter().chain(rules.signed_if_sent).filter(sent)).find(|name| !signed(name));
        match missing {
            None => Ok(()),
            Some(name) => Err(invalid(format!("the header '{name}' must be a signed header in the AWS Signature"))),
        }
    }

    fn check_time(&self, now_ms: u64) -> Result<(), ApiError> {
        let signed_ms = NaiveDateTime::parse_from_str(self.time, "%Y%m%dT%H%M%SZ")
            .ok()
            .filter(|_| self.time.len() == 16)
            .and_then(|time| u64::try_from(time.and_utc().timestamp_millis()).ok())
            .ok_or_else(|| {
                incomplete(&format!("Date must be in ISO-8601 'basic format'. Got '{}'.", shown(self.time)))
            })?;
        if self.time.as_bytes()[..8] != self.day {
            return Err(invalid(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != \
                 '{}', from '{}'.",
                String::from_utf8_lossy(&self.day),
                &self.time[..8],
                self.time
            )));
        }
        let skew = u64::try_from(limits::CLOCK_SKEW_MAX.as_millis()).unwrap_or(u64::MAX);
        let minutes = Duration::from_millis(skew).as_secs() / 60;
        let (early, late) = (now_ms.saturating_sub(skew), now_ms.saturating_add(skew));
        if signed_ms < early {
            return Err(invalid(format!(
                "Signature expired: {} is now earlier than {} ({} - {minutes} min.)",
                self.time,
                basic(early),
                basic(now_ms)
            )));
        }
        if signed_ms > late {
            return Err(invalid(format!(
                "Signature not yet current: {} is still later than {} ({} + {minutes} min.)",
                self.time,
                basic(late),
                basic(now_ms)
            )));
        }
        Ok(())
    }
}

/// The payload must be stated by its digest, if at all.
fn check_payload(request: &Request<'_>) -> Result<(), ApiError> {
    let Some(stated) = canonical::single(request, "x-amz-content-sha256")? else { return Ok(()) };
    if stated.len() == 64 && stated.iter().all(u8::is_ascii_hexdigit) {
        return Ok(());
    }
    Err(invalid(format!(
        "x-amz-content-sha256 must be the SHA-256 of the body in 64 hexadecimal digits, not '{}': payloads that \
         the signature does not cover are not accepted",
        shown(&String::from_utf8_lossy(stated))
    )))
}

struct Parameters<'a> {
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Parameters<'a> {
    /// `Credential=…, SignedHeaders=…, Signature=…`, in any order, each once; the blanks are optional.
    fn parse(text: &'a str) -> Result<Self, ApiError> {
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in text.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or_else(|| {
                incomplete("the Authorization header is not a list of 'name=value' separated by commas")
            })?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                other => {
                    return Err(incomplete(&format!("unknown parameter '{}' in Authorization", shown(other))));
                }
            };
            if slot.replace(value).is_some() {
                return Err(incomplete(&format!("parameter '{name}' stands twice in Authorization")));
            }
        }
        let missing = |name: &str| incomplete(&format!("Authorization header requires '{name}' parameter."));
        Ok(Parameters {
            credential: credential.ok_or_else(|| missing("Credential"))?,
            signed_headers: signed_headers.ok_or_else(|| missing("SignedHeaders"))?,
            signature: signature.ok_or_else(|| missing("Signature"))?,
        })
    }

    fn claim(&self, time: &'a str, rules: &Rules) -> Result<Claim<'a>, ApiError> {
        let malformed = || incomplete("Credential must have the form key-id/yyyymmdd/region/service/aws4_request");
        let (key_id, scope) = match self.credential.rmatch_indices('/').nth(3) {
            Some((at, _)) if at > 0 => (&self.credential[..at], &self.credential[at + 1..]),
            _ => return Err(malformed()),
        };
        let [day, region, stated_service, terminator] =
            scope.split('/').collect::<Vec<_>>().try_into().map_err(|_| malformed())?;
        let day = <[u8; 8]>::try_from(day.as_bytes()).map_err(|_| malformed())?;
        let signature = unhex(self.signature)
            .ok_or_else(|| invalid("Signature must be 64 lower-case hexadecimal digits".to_owned()))?;
        let service = rules.services.iter().find(|known| **known == stated_service).copied();
        Ok(Claim {
            key_id,
            day,
            region,
            service,
            signed_headers: self.signed_headers,
            signature,
            time,
            scope,
            stated_service,
            terminator,
        })
    }
}

fn incomplete(message: &str) -> ApiError {
    ApiError::incomplete_signature(message.to_owned())
}

fn invalid(message: String) -> ApiError {
    ApiError::invalid_signature(message)
}

/// At most so much of what a client sent as a message should repeat.
fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 64;
    text.chars().take(CHARS_MAX).collect()
}

/// `20150830T123600Z`.
pub(super) fn basic(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(DateTime::<Utc>::from_timestamp_millis).unwrap_or_default();
    time.format("%Y%m%dT%H%M%SZ").to_string()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text = <&[u8; 64]>::try_from(text.as_bytes()).ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
