//! IAM policy documents: which actions a key may do to which resources. Pure.
//!
//! What is understood: `Version`, `Id`, and statements of `Sid`, `Effect`, `Action` or `NotAction`, `Resource` or
//! `NotResource`, each one string or a list, with `*` and `?` in them. Everything else (`Condition`, `Principal`, a
//! misspelt word) is refused when the document is read: a restriction that is silently ignored would be a hole.
//!
//! The rule is IAM's: a matching `Deny` wins, else a matching `Allow` allows, else it is denied. Actions are compared
//! without regard to case, resources with it. IAM's other wildcard rule holds too: `*` also crosses `:` and `/`.

use serde::Deserialize;

use crate::error::{Error, Result};

/// A policy document, understood.
#[derive(Clone, Debug)]
pub struct Policy(Vec<Statement>);

/// What a policy says to one action on one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it and none denies it.
    Allow,
    /// No statement speaks of it.
    ImplicitDeny,
    /// A statement denies it.
    ExplicitDeny,
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::error::Kind::Invalid) that names the element, for anything not listed in the module.
    pub fn parse(json: &str) -> Result<Self> {
        let document: Document =
            serde_json::from_str(json).map_err(|error| Error::invalid(format!("policy document: {error}")))?;
        if !["2012-10-17", "2008-10-17"].contains(&&*document.version) {
            return Err(Error::invalid(format!(
                "policy document: Version {:?} is neither \"2012-10-17\" nor \"2008-10-17\"",
                document.version
            )));
        }
        let statements = document.statement.into_vec().into_iter().enumerate();
        statements.map(|(index, raw)| raw.check(index + 1)).collect::<Result<_>>().map(Policy)
    }

    /// Whether it allows `action` (`firehose:PutRecord`) on `resource` (an ARN, or `*` for what has none).
    pub fn decide(&self, action: &str, resource: &str) -> Decision {
        let mut decision = Decision::ImplicitDeny;
        for statement in self.0.iter().filter(|statement| statement.matches(action, resource)) {
            match statement.effect {
                Effect::Deny => return Decision::ExplicitDeny,
                Effect::Allow => decision = Decision::Allow,
            }
        }
        decision
    }
}

#[derive(Clone, Debug)]
struct Statement {
    effect: Effect,
    actions: Patterns,
    resources: Patterns,
}

impl Statement {
    fn matches(&self, action: &str, resource: &str) -> bool {
        self.actions.cover(action, u8::to_ascii_lowercase) && self.resources.cover(resource, |byte| *byte)
    }
}

#[derive(Clone, Debug)]
struct Patterns {
    /// Whether it covers what matches none of them.
    inverted: bool,
    any_of: Vec<String>,
}

impl Patterns {
    fn cover(&self, text: &str, fold: fn(&u8) -> u8) -> bool {
        self.any_of.iter().any(|pattern| like(pattern.as_bytes(), text.as_bytes(), fold)) != self.inverted
    }
}

/// Whether `text` has the form of `pattern`: `*` stands for anything, `?` for one byte. Linear in their product.
fn like(pattern: &[u8], text: &[u8], fold: fn(&u8) -> u8) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star stood, and how much of the text it has eaten so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(expected) if *expected == b'?' || fold(expected) == fold(&text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, eaten)) => {
                    star = Some((at, eaten + 1));
                    p = at + 1;
                    t = eaten + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "Version")]
    version: String,
    #[serde(rename = "Id")]
    _id: Option<String>,
    #[serde(rename = "Statement")]
    statement: OneOrMany<RawStatement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RawStatement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    not_resource: Option<OneOrMany<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

impl RawStatement {
    fn check(self, number: usize) -> Result<Statement> {
        let actions = either(number, "Action", self.action, self.not_action)?;
        let resources = either(number, "Resource", self.resource, self.not_resource)?;
        for action in actions.any_of.iter().filter(|action| *action != "*") {
            if !action.split_once(':').is_some_and(|(service, name)| !service.is_empty() && !name.is_empty()) {
                return Err(fault(number, &format!("Action {action:?} is neither \"*\" nor of the form service:Name")));
            }
        }
        for resource in resources.any_of.iter().filter(|resource| !resource.starts_with('*')) {
            if !resource.starts_with("arn:") {
                return Err(fault(number, &format!("Resource {resource:?} is neither \"*\" nor an ARN")));
            }
            if resource.contains("${") {
                return Err(fault(number, &format!("Resource {resource:?}: policy variables are not supported")));
            }
        }
        Ok(Statement { effect: self.effect, actions, resources })
    }
}

fn either(
    number: usize,
    name: &str,
    these: Option<OneOrMany<String>>,
    all_but: Option<OneOrMany<String>>,
) -> Result<Patterns> {
    let (inverted, any_of) = match (these, all_but) {
        (Some(these), None) => (false, these.into_vec()),
        (None, Some(all_but)) => (true, all_but.into_vec()),
        _ => return Err(fault(number, &format!("exactly one of {name} and Not{name} must be given"))),
    };
    if any_of.is_empty() || any_of.iter().any(String::is_empty) {
        return Err(fault(number, &format!("{name} must not be empty")));
    }
    Ok(Patterns { inverted, any_of })
}

fn fault(number: usize, what: &str) -> Error {
    Error::invalid(format!("policy document: statement {number}: {what}"))
}

/// A thing, or a list of them, as IAM lets one write either.
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

/// By hand, because an untagged enum would hide which word was unknown.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("one, or a list")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Self::Value, E> {
                T::deserialize(serde::de::value::StrDeserializer::new(text)).map(OneOrMany::One)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> std::result::Result<Self::Value, A::Error> {
                T::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(OneOrMany::One)
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> std::result::Result<Self::Value, A::Error> {
                Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(list)).map(OneOrMany::Many)
            }
        }

        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOGS: &str = "arn:aws:firehose:us-east-1:000000000000:deliverystream/web-logs";

    fn policy(statements: &str) -> Result<Policy> {
        Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#))
    }

    #[test]
    fn deny_wins_allow_allows_and_silence_denies() {
        use Decision::{Allow, ExplicitDeny, ImplicitDeny};
        let put =
            r#"{"Effect":"Allow","Action":["firehose:Put*"],"Resource":"arn:aws:firehose:*:*:deliverystream/web-*"}"#;
        let never = r#"{"Effect":"Deny","Action":"firehose:PutRecordBatch","Resource":"*"}"#;
        let table = [
            (put.to_owned(), "firehose:PutRecord", LOGS, Allow),
            (put.to_owned(), "FIREHOSE:putrecord", LOGS, Allow),
            (put.to_owned(), "firehose:DeleteDeliveryStream", LOGS, ImplicitDeny),
            (put.to_owned(), "kinesis:PutRecord", LOGS, ImplicitDeny),
            (put.to_owned(), "firehose:PutRecord", "arn:aws:firehose:r:1:deliverystream/WEB-x", ImplicitDeny),
            (put.to_owned(), "firehose:PutRecord", "*", ImplicitDeny),
            (format!("[{put},{never}]"), "firehose:PutRecordBatch", LOGS, ExplicitDeny),
            (format!("[{never},{put}]"), "firehose:PutRecordBatch", LOGS, ExplicitDeny),
            (format!("[{never},{put}]"), "firehose:PutRecord", LOGS, Allow),
            ("[]".to_owned(), "firehose:PutRecord", LOGS, ImplicitDeny),
            (
                r#"{"Effect":"Allow","NotAction":"firehose:Delete*","Resource":"*"}"#.to_owned(),
                "firehose:DeleteDeliveryStream",
                LOGS,
                ImplicitDeny,
            ),
            (
                r#"{"Effect":"Allow","NotAction":"firehose:Delete*","NotResource":"arn:*/secret"}"#.to_owned(),
                "firehose:PutRecord",
                LOGS,
                Allow,
            ),
            (
                r#"{"Effect":"Allow","Action":"*","NotResource":"arn:*/web-log?"}"#.to_owned(),
                "firehose:PutRecord",
                LOGS,
                ImplicitDeny,
            ),
        ];
        for (statements, action, resource, expected) in table {
            assert_eq!(policy(&statements).unwrap().decide(action, resource), expected, "{statements} {action}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let table = [
            (r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{}}"#, "unknown field `Condition`"),
            (r#"{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}"#, "unknown field `Principal`"),
            (r#"[{"Effect":"Allow","Actions":"*","Resource":"*"}]"#, "unknown field `Actions`"),
            (r#"{"Effect":"allow","Action":"*","Resource":"*"}"#, "unknown variant `allow`"),
            (r#"{"Effect":"Allow","Resource":"*"}"#, "statement 1: exactly one of Action and NotAction"),
            (r#"{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}"#, "exactly one of Action"),
            (r#"{"Effect":"Allow","Action":"*"}"#, "exactly one of Resource and NotResource"),
            (r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#, "Action must not be empty"),
            (r#"{"Effect":"Allow","Action":"PutRecord","Resource":"*"}"#, "of the form service:Name"),
            (r#"{"Effect":"Allow","Action":"*","Resource":"web-logs"}"#, "nor an ARN"),
            (r#"{"Effect":"Allow","Action":"*","Resource":"arn:${aws:username}"}"#, "policy variables"),
            (r#"{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}"#, "duplicate field `Effect`"),
            (r#"{"Effect":"Allow","Action":7,"Resource":"*"}"#, "one, or a list"),
        ];
        for (statements, part) in table {
            let message = policy(statements).expect_err(statements).to_string();
            assert!(message.contains(part), "{statements}: {message}");
        }
        assert!(Policy::parse(r#"{"Version":"2020-01-01","Statement":[]}"#).is_err());
        assert!(Policy::parse(r#"{"Statement":[]}"#).unwrap_err().to_string().contains("Version"));
        assert!(Policy::parse("{").is_err());
    }

    /// The definition of the two wildcards, word by word.
    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some(b'*'), _) => slow(&pattern[1..], text) || !text.is_empty() && slow(pattern, &text[1..]),
            (Some(b'?'), Some(_)) => slow(&pattern[1..], &text[1..]),
            (Some(a), Some(b)) if a == b => slow(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn wildcards_match_what_their_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(like(pattern.as_bytes(), text.as_bytes(), |byte| *byte), slow(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
