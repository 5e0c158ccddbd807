//! What a reader asks for, from the query of its URL.

use crate::config::StartAt;
use crate::config::units::start_at;
use crate::error::{Error, Result};

/// Where to begin, and when to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) from: StartAt,
    pub(super) follow: bool,
    /// Records; no end without.
    pub(super) limit: Option<u64>,
}

impl Query {
    /// Reads a query, as on the wire.
    ///
    /// # Errors
    /// `Invalid` that names the parameter, also for one that is not known or stands twice.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut query = Query { from: StartAt::Latest, follow: true, limit: None };
        let mut seen = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&name) {
                return Err(Error::invalid(format!("{} stands twice", short(name))));
            }
            let value = unescape(value).ok_or_else(|| Error::invalid(format!("{}: cannot be read", short(name))))?;
            match name {
                "from" => query.from = start_at(&value).map_err(|error| named("from", &error))?,
                "follow" => query.follow = flag(&value)?,
                "limit" => query.limit = Some(limit(&value)?),
                _ => {
                    let name = short(name);
                    return Err(Error::invalid(format!(
                        "unknown parameter {name:?}: known are from, follow and limit"
                    )));
                }
            }
            seen.push(name);
        }
        Ok(query)
    }
}

fn named(name: &str, error: &Error) -> Error {
    Error::invalid(format!("{name}: {}", error.message()))
}

fn flag(text: &str) -> Result<bool> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::invalid(format!("follow: {:?} is neither true nor false", short(text)))),
    }
}

fn limit(text: &str) -> Result<u64> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| Error::invalid(format!("limit: {:?} is not a number from 1 on", short(text))))
}

/// As much of a client's text as an answer repeats.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Percent escapes undone. A `+` stays one, as time zones have it.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let ([high, low], tail) = tail.split_first_chunk()?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_have_defaults_and_escapes() {
        let usual = Query { from: StartAt::Latest, follow: true, limit: None };
        let time = Query { from: StartAt::Time(1_767_323_045_000), ..usual };
        for (text, expected) in [
            ("", usual),
            ("from=latest&follow=true", usual),
            ("&follow=false&", Query { follow: false, ..usual }),
            ("from=horizon&limit=7", Query { from: StartAt::Horizon, limit: Some(7), ..usual }),
            ("from=2026-01-02T03%3A04%3a05Z", time),
            ("from=2026-01-02T04:04:05+01:00", time),
        ] {
            assert_eq!(Query::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, message) in [
            ("from=newest", "from: \"newest\" is no place to begin"),
            ("from=%zz", "from: cannot be read"),
            ("from=%f", "from: cannot be read"),
            ("from=%ff", "from: cannot be read"),
            ("follow=1", "follow: \"1\" is neither true nor false"),
            ("limit=0", "limit: \"0\" is not a number from 1 on"),
            ("limit=-1", "limit: \"-1\" is not a number from 1 on"),
            ("limit=99999999999999999999", "limit: \"99999999999999999999\" is not a number from 1 on"),
            ("shard=1", "unknown parameter \"shard\": known are from, follow and limit"),
            ("limit=1&limit=2", "limit stands twice"),
        ] {
            let error = Query::parse(text).unwrap_err();
            assert!(error.message().starts_with(message), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_answers_are_short(text in any::<String>()) {
            if let Err(error) = Query::parse(&text) {
                prop_assert!(error.message().len() < 1_000);
            }
        }
    }
}
