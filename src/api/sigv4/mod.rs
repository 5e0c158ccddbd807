//! AWS Signature Version 4, from the side that verifies. Pure: no I/O, no clock.
//!
//! What is refused, always: a request without signature, credentials in the query (presigned URLs), payloads that
//! the signature does not cover (`UNSIGNED-PAYLOAD`, the streaming modes), another algorithm, another region or
//! service than ours, a time too far from ours, and any header that decides what we do and is not signed.
//!
//! Which headers must be signed follows from what unmodified SDKs sign. All sign `host` (JavaScript 3 over HTTP/2:
//! `:authority` in its place), `x-amz-date` and `x-amz-target`, and `x-amz-security-token` where there is one. `content-type` is signed by botocore, Rust, Go and
//! JavaScript 3 but on the list of unsignable headers of JavaScript 2 (`lib/signers/v4.js`); the Firehose API takes
//! one format only, and no bytes are a valid call in both formats of the Kinesis API, so there it decides nothing and may
//! be unsigned. Where it does decide, the caller of this module names it in [`Rules::signed_if_sent`].
//!
//! Messages are AWS's own as far as they are known; clients show them to people who search for them.

mod canonical;
mod scope;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::{constant_time, digest, hmac};
use http::HeaderMap;

use super::ApiError;
use crate::config::Secret;
pub use scope::{Claim, Rules};

/// What of a request a signature covers.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// As on the wire, percent-encoded.
    pub path: &'a str,
    /// As on the wire, without the question mark.
    pub query: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// Of the URI, where HTTP/2 puts what HTTP/1 calls `host`.
    pub authority: Option<&'a str>,
}

/// One key that may sign.
#[derive(Debug)]
pub struct Key {
    /// `AKID…`: no secret.
    pub id: Arc<str>,
    /// The secret access key.
    pub secret: Secret<String>,
    /// The session token that must come with it, if it is a temporary key.
    pub session_token: Option<Secret<String>>,
}

/// Knows the keys, and verifies.
pub struct Verifier {
    keys: Vec<Key>,
    index: HashMap<Arc<str>, usize>,
    region: Arc<str>,
    /// Signing keys by (key, day, service): deriving one costs four HMACs. What may stand in it is bounded by the
    /// skew that is allowed: two days at most, times the keys and services that we have.
    derived: RwLock<HashMap<DerivedFor, Arc<hmac::Key>>>,
}

type DerivedFor = (usize, [u8; 8], &'static str);

/// Signing keys kept per access key before all are derived again: two days, two services, and as many to spare.
const DERIVED_PER_KEY_MAX: usize = 8;

impl Verifier {
    /// A verifier for these keys and signatures scoped to `region`.
    pub fn new(keys: Vec<Key>, region: Arc<str>) -> Self {
        let index = keys.iter().enumerate().map(|(number, key)| (key.id.clone(), number)).collect();
        Verifier { keys, index, region, derived: RwLock::default() }
    }

    /// Reads what the request claims to be signed with, and refuses what can be refused before its body is there.
    pub fn claim<'a>(&self, request: &Request<'a>, rules: &Rules, now_ms: u64) -> Result<Claim<'a>, ApiError> {
        let claim = Claim::parse(request, rules)?;
        claim.check(request, rules, &self.region, now_ms)?;
        Ok(claim)
    }

    /// Whether there is a key of that name, so that keeping the body may be worth it.
    pub fn knows(&self, claim: &Claim<'_>) -> bool {
        self.index.contains_key(claim.key_id)
    }

    /// Compares the claimed signature with the one that we calculate over the request and the digest of its body as
    /// it was really read; the number of the key that signed it.
    ///
    /// An unknown key costs the same work as a wrong signature.
    pub fn verify(&self, claim: &Claim<'_>, request: &Request<'_>, body_sha256: &[u8; 32]) -> Result<usize, ApiError> {
        let known = self.index.get(claim.key_id).copied();
        let body_hex = hex(body_sha256);
        let stated = canonical::single(request, "x-amz-content-sha256")?;
        let body_matches = stated.is_none_or(|stated| stated.eq_ignore_ascii_case(body_hex.as_bytes()));
        let canonical = canonical::request(request, claim.signed_headers, &body_hex)?;
        let to_sign = claim.string_to_sign(&canonical);
        let key = self.signing_key(known.unwrap_or(self.keys.len()), claim);
        let ours = hmac::sign(&key, to_sign.as_bytes());
        let signature_matches = constant_time::verify_slices_are_equal(ours.as_ref(), &claim.signature).is_ok();
        let Some(number) = known else {
            return Err(ApiError::unrecognized_client("The security token included in the request is invalid."));
        };
        if !signature_matches || !body_matches {
            return Err(ApiError::invalid_signature(
                "The request signature we calculated does not match the signature you provided. Check your AWS \
                 Secret Access Key and signing method. Consult the service documentation for details.",
            ));
        }
        check_session_token(&self.keys[number], request)?;
        Ok(number)
    }

    fn signing_key(&self, number: usize, claim: &Claim<'_>) -> Arc<hmac::Key> {
        let name = (number, claim.day, claim.service());
        if let Some(key) = self.derived.read().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return key.clone();
        }
        // Nobody's secret: what is signed with it is refused whatever comes out.
        let secret = self.keys.get(number).map_or("no such key", |key| key.secret.reveal());
        let key = Arc::new(derive(secret, &claim.day, &self.region, claim.service()));
        let mut derived = self.derived.write().unwrap_or_else(PoisonError::into_inner);
        if derived.len() >= DERIVED_PER_KEY_MAX * (self.keys.len() + 1) {
            derived.clear();
        }
        derived.insert(name, key.clone());
        key
    }
}

fn check_session_token(key: &Key, request: &Request<'_>) -> Result<(), ApiError> {
    let sent = canonical::single(request, "x-amz-security-token")?;
    let matches = match (&key.session_token, sent) {
        (None, None) => true,
        (Some(token), Some(sent)) => same(token.reveal().as_bytes(), sent),
        _ => false,
    };
    if matches {
        Ok(())
    } else {
        Err(ApiError::unrecognized_client("The security token included in the request is invalid."))
    }
}

/// Whether two secrets are the same, in a time that tells nothing about where they differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    let digest = |bytes| digest::digest(&digest::SHA256, bytes);
    constant_time::verify_slices_are_equal(digest(a).as_ref(), digest(b).as_ref()).is_ok()
}

/// `HMAC(HMAC(HMAC(HMAC("AWS4" + secret, day), region), service), "aws4_request")`, ready to sign with.
fn derive(secret: &str, day: &[u8], region: &str, service: &str) -> hmac::Key {
    let mut first = zeroize::Zeroizing::new(Vec::with_capacity(4 + secret.len()));
    first.extend_from_slice(b"AWS4");
    first.extend_from_slice(secret.as_bytes());
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, &first);
    for part in [day, region.as_bytes(), service.as_bytes(), b"aws4_request"] {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part).as_ref());
    }
    key
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| DIGITS[digit as usize] as char).collect()
}
