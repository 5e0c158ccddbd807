//! Who may call, and what: keys with their policies, and the tokens of plain ingest.
//!
//! One verdict for every call. Without any key the service listens on loopback only (the configuration sees to
//! that), and everybody who reaches it may do everything; but for web pages, see [`page`].

mod page;

use std::sync::Arc;

use super::policy::{Decision, Policy};
use super::sigv4::{self, Claim, Key, Request, Rules, Verifier};
use super::{Account, ApiError};
use crate::config::{AccessKey, Secret};
use crate::error::{Error, Result};

/// The keys and tokens that are known.
pub struct Access {
    verifier: Verifier,
    /// By the verifier's number of the key.
    policies: Vec<(Arc<str>, Option<Policy>)>,
    tokens: Vec<Secret<String>>,
    account: Account,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody has to say who they are.
    Anybody,
    /// The key of this number.
    Key(usize),
    /// A bearer of one of the ingest tokens.
    Token,
}

/// One caller at the door: every operation asks here before it acts.
#[derive(Clone, Copy)]
pub struct Gate<'a> {
    /// Who is known.
    pub access: &'a Access,
    /// Who calls.
    pub caller: Caller,
}

impl Gate<'_> {
    /// Whether the caller may do `action` to `resource`.
    ///
    /// # Errors
    /// `AccessDeniedException`.
    pub fn check(&self, action: &str, resource: &str) -> std::result::Result<(), ApiError> {
        self.access.authorise(self.caller, action, resource)
    }
}

/// What a request says about its caller before its body is there.
pub enum Credentials<'a> {
    /// Nobody has to say.
    None,
    /// A signature, to be verified with the body.
    Signed(Claim<'a>),
    /// A token that is known.
    Token,
}

impl Access {
    /// Keys, policies and tokens as the configuration has them.
    ///
    /// # Errors
    /// `Invalid`: a policy document that is not understood, with the key's id; a key id that stands twice.
    pub fn new(keys: &[AccessKey], tokens: &[Secret<String>], account: &Account) -> Result<Self> {
        let mut policies: Vec<(Arc<str>, Option<Policy>)> = Vec::with_capacity(keys.len());
        for key in keys {
            if policies.iter().any(|(id, _)| **id == *key.id) {
                return Err(Error::invalid(format!("access key {:?} is configured twice", key.id)));
            }
            let policy =
                key.policy.as_deref().map(Policy::parse).transpose().map_err(|error| {
                    Error::new(error.kind(), format!("access key {:?}: {}", key.id, error.message()))
                })?;
            policies.push((key.id.as_str().into(), policy));
        }
        let keys = keys.iter().zip(&policies).map(|(key, (id, _))| Key {
            id: id.clone(),
            secret: key.secret.clone(),
            session_token: key.session_token.clone(),
        });
        let verifier = Verifier::new(keys.collect(), account.region.clone());
        Ok(Access { verifier, policies, tokens: tokens.to_vec(), account: account.clone() })
    }

    /// Whether everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.policies.is_empty()
    }

    /// What an AWS call says about its caller; refuses what can be refused without the body.
    pub fn aws<'a>(&self, request: &Request<'a>, rules: &Rules, now_ms: u64) -> Result<Credentials<'a>, ApiError> {
        if !self.is_open() {
            return self.verifier.claim(request, rules, now_ms).map(Credentials::Signed);
        }
        page::refuse(request, "an access key")?;
        Ok(Credentials::None)
    }

    /// The same for plain ingest, where a bearer token does as well. With tokens configured one is needed even if
    /// there are no keys.
    pub fn ingest<'a>(&self, request: &Request<'a>, rules: &Rules, now_ms: u64) -> Result<Credentials<'a>, ApiError> {
        if self.is_open() && self.tokens.is_empty() {
            page::refuse(request, "a token")?;
            return Ok(Credentials::None);
        }
        let mut values = request.headers.get_all(http::header::AUTHORIZATION).iter();
        let bearer = values.next().map(http::HeaderValue::as_bytes).and_then(bearer_token);
        match bearer {
            Some(token) if values.next().is_none() && self.has_token(token) => Ok(Credentials::Token),
            Some(_) => Err(ApiError::unrecognized_client("the bearer token is not known")),
            None => self.verifier.claim(request, rules, now_ms).map(Credentials::Signed),
        }
    }

    /// The same for reading over plain HTTP: with a signature alone, because tokens are for putting.
    pub fn tail<'a>(&self, request: &Request<'a>, rules: &Rules, now_ms: u64) -> Result<Credentials<'a>, ApiError> {
        if self.is_open() {
            page::refuse_reading(request)?;
        }
        self.aws(request, rules, now_ms)
    }

    /// Whether the caller may be somebody: if not, the body need not be kept.
    pub fn may_be_known(&self, credentials: &Credentials<'_>) -> bool {
        match credentials {
            Credentials::Signed(claim) => self.verifier.knows(claim),
            Credentials::None | Credentials::Token => true,
        }
    }

    /// Who calls, now that the digest of the body is there.
    pub fn verify(
        &self,
        credentials: &Credentials<'_>,
        request: &Request<'_>,
        body_sha256: &[u8; 32],
    ) -> Result<Caller, ApiError> {
        match credentials {
            Credentials::None => Ok(Caller::Anybody),
            Credentials::Token => Ok(Caller::Token),
            Credentials::Signed(claim) => self.verifier.verify(claim, request, body_sha256).map(Caller::Key),
        }
    }

    /// The caller's access key id.
    pub fn key_id(&self, caller: Caller) -> Option<Arc<str>> {
        match caller {
            Caller::Key(number) => self.policies.get(number).map(|(id, _)| id.clone()),
            Caller::Anybody | Caller::Token => None,
        }
    }

    /// Whether `caller` may do `action` (`firehose:PutRecord`) to `resource`; an ingest token may put, nothing else.
    pub fn authorise(&self, caller: Caller, action: &str, resource: &str) -> Result<(), ApiError> {
        let decision = match caller {
            Caller::Anybody if self.is_open() => Decision::Allow,
            Caller::Token if action == "firehose:PutRecordBatch" => Decision::Allow,
            // Without keys and with tokens, plain ingest alone is guarded; it knows its callers as bearers.
            Caller::Anybody | Caller::Token => Decision::ImplicitDeny,
            Caller::Key(number) => match self.policies.get(number) {
                Some((_, Some(policy))) => policy.decide(action, resource),
                Some((_, None)) => Decision::Allow,
                None => Decision::ImplicitDeny,
            },
        };
        let why = match decision {
            Decision::Allow => return Ok(()),
            Decision::ImplicitDeny => format!("because no identity-based policy allows the {action} action"),
            Decision::ExplicitDeny => "with an explicit deny in an identity-based policy".to_owned(),
        };
        let user = match self.key_id(caller) {
            Some(id) => format!("arn:aws:iam::{}:user/{id}", self.account.id),
            None => "anonymous".to_owned(),
        };
        Err(ApiError::access_denied(format!(
            "User: {user} is not authorized to perform: {action} on resource: {resource} {why}"
        )))
    }

    /// Compares with every token, so that the time tells neither which one it was nor how near it came.
    fn has_token(&self, token: &[u8]) -> bool {
        let matches = self.tokens.iter().map(|known| sigv4::same(known.reveal().as_bytes(), token));
        matches.fold(false, |any, this| any | this)
    }
}

/// What follows `Bearer `, the scheme in any case.
fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account { id: "000000000000".into(), region: "us-east-1".into() }
    }

    fn key(id: &str, policy: Option<&str>) -> AccessKey {
        AccessKey {
            id: id.into(),
            secret: Secret::new("s".into()),
            session_token: None,
            policy: policy.map(str::to_owned),
        }
    }

    #[test]
    fn a_token_may_put_and_nothing_else() {
        let access = Access::new(&[key("A", None)], &[Secret::new("t".into())], &account()).unwrap();
        assert!(access.authorise(Caller::Token, "firehose:PutRecordBatch", "arn:x").is_ok());
        assert!(access.authorise(Caller::Token, "firehose:DeleteDeliveryStream", "arn:x").is_err());
        assert!(access.authorise(Caller::Anybody, "firehose:PutRecordBatch", "arn:x").is_err());
        assert!(access.authorise(Caller::Key(7), "firehose:PutRecordBatch", "arn:x").is_err());
        assert!(access.authorise(Caller::Key(0), "firehose:DeleteDeliveryStream", "arn:x").is_ok());
    }

    #[test]
    fn a_denial_says_who_what_and_on_what() {
        let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
        let access = Access::new(&[key("A", Some(policy))], &[], &account()).unwrap();
        let error = access.authorise(Caller::Key(0), "firehose:PutRecord", "arn:x").unwrap_err();
        assert_eq!(error.code, "AccessDeniedException");
        assert_eq!(
            error.message,
            "User: arn:aws:iam::000000000000:user/A is not authorized to perform: firehose:PutRecord on resource: \
             arn:x because no identity-based policy allows the firehose:PutRecord action"
        );
    }

    #[test]
    fn faults_of_the_configuration_name_the_key() {
        let twice = Access::new(&[key("A", None), key("A", None)], &[], &account());
        assert!(twice.err().unwrap().to_string().contains("\"A\" is configured twice"));
        let broken = Access::new(&[key("B", Some("{}"))], &[], &account());
        assert!(broken.err().unwrap().to_string().contains("access key \"B\": policy document"));
    }

    #[test]
    fn bearer_tokens_are_found_in_any_case() {
        assert_eq!(bearer_token(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer_token(b"bearer  abc "), Some(&b"abc"[..]));
        assert_eq!(bearer_token(b"Basic abc"), None);
        assert_eq!(bearer_token(b"Bearer"), None);
    }
}
