//! What the keys of a stream's objects look like: which objects of a store are its own, and which of those are error output.

use std::fmt::Write as _;

use chrono::{NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use regex::Regex;

use crate::config::DeliveryStream;

/// What Firehose appends to an error prefix that is the default one.
const DEFAULT_ERRORS: &str = "!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd/HH}/";
/// The place of an error type in a key.
const TYPE: &str = "[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*-failed";

/// What the name of an object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Named {
    /// Its timestamp, milliseconds since 1970: when its oldest record arrived, to the second.
    pub(in crate::cli) object_ms: u64,
    /// The random part, by which it is its plan's.
    pub(in crate::cli) nonce: String,
}

/// The names of one stream's objects: what follows the last slash of their keys.
pub(in crate::cli) struct Names {
    shape: Regex,
    time_zone: Tz,
}

impl Names {
    /// Those of `stream`.
    pub(in crate::cli) fn of(stream: &DeliveryStream) -> Names {
        Names {
            shape: regex(&format!("(?:^|/|{END}){}$", name(&stream.name))),
            time_zone: stream.destination.time_zone,
        }
    }

    /// What a key says, if it is one of ours.
    pub(in crate::cli) fn read(&self, key: &str) -> Option<Named> {
        let found = self.shape.captures(key)?;
        let at = NaiveDateTime::parse_from_str(&found["time"], "%Y-%m-%d-%H-%M-%S").ok()?;
        let at = self.time_zone.from_local_datetime(&at).earliest()?.timestamp_millis();
        Some(Named { object_ms: u64::try_from(at).ok()?, nonce: found["nonce"].to_owned() })
    }
}

/// A prefix need not end with a slash: then the name follows what it ends with.
const END: &str = "[^/]*";

fn name(stream: &str) -> String {
    let stream = regex::escape(stream);
    format!(
        r"{stream}-(?<version>\d{{1,20}})-(?<time>\d{{4}}(?:-\d\d){{5}})-(?<nonce>[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})(?:-\d{{1,6}})?(?<extension>\.[^/]*)?"
    )
}

/// The keys of one stream's error output.
pub(in crate::cli) struct ErrorKeys {
    /// What all of them begin with.
    pub(in crate::cli) head: String,
    shape: Regex,
    names: Names,
}

impl ErrorKeys {
    /// Those of `stream`, under the prefix that it has now.
    pub(in crate::cli) fn of(stream: &DeliveryStream) -> ErrorKeys {
        let destination = &stream.destination;
        let text = match destination.error_prefix.text() {
            "" => format!("{}{DEFAULT_ERRORS}", destination.prefix.text()),
            text => text.to_owned(),
        };
        let head = text.split("!{").next().unwrap_or_default().to_owned();
        let shape = regex(&format!("^{}{}$", pattern(&text), name(&stream.name)));
        ErrorKeys { head, shape, names: Names::of(stream) }
    }

    /// What a key says and its error type (empty where the prefix does not have it), if it is error output.
    pub(in crate::cli) fn read(&self, key: &str) -> Option<(Named, String)> {
        let found = self.shape.captures(key)?;
        let kind = found.name("type").map_or("", |kind| kind.as_str()).to_owned();
        self.names.read(key).map(|named| (named, kind))
    }
}

/// A pattern for what `prefix` may become.
fn pattern(prefix: &str) -> String {
    let (mut out, mut rest, mut typed) = (String::new(), prefix, false);
    while let Some((literal, tail)) = rest.split_once("!{") {
        let (expression, tail) = tail.split_once('}').unwrap_or((tail, ""));
        out.push_str(&regex::escape(literal));
        match expression {
            "firehose:error-output-type" if !typed => {
                // Writing to a String cannot fail.
                let _ = write!(out, "(?<type>{TYPE})");
                typed = true;
            }
            "firehose:error-output-type" => out.push_str(TYPE),
            _ => out.push_str(".*?"),
        }
        rest = tail;
    }
    out + &regex::escape(rest)
}

fn regex(pattern: &str) -> Regex {
    // A prefix has at most a kibibyte, far below the limit of a compiled pattern.
    Regex::new(&format!("(?s){pattern}")).expect("literals are escaped, and the rest is ours")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Destination, check_partitioned};

    const NONCE: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    fn stream(prefix: &str, errors: &str) -> DeliveryStream {
        let (prefix, error_prefix) = check_partitioned(Some(prefix), Some(errors)).unwrap();
        let destination = Destination { prefix, error_prefix, ..Destination::local("/lake") };
        DeliveryStream::new("web.logs", destination)
    }

    #[test]
    fn names_of_this_stream_alone_are_known() {
        let mut of = stream("web/", "");
        let name = format!("web.logs-12-2026-01-02-03-04-05-{NONCE}");
        let read = |of: &DeliveryStream, key: &str| Names::of(of).read(key).map(|named| named.object_ms);
        let at = Some(1_767_323_045_000);
        for key in [format!("web/2026/{name}.gz"), name.clone(), format!("p-{name}.json.gz"), format!("é\n/{name}")] {
            assert_eq!(read(&of, &key), at, "{key}");
        }
        for key in [
            format!("web/{name}/x"),
            name.replace("web.logs", "webxlogs"),
            name.replace("-12-", "--"),
            name.replace("2026-01", "2026-13"),
            name.replace("0f8f", "0F8F"),
            format!("{name}x"),
            String::new(),
        ] {
            assert_eq!(read(&of, &key), None, "{key}");
        }
        of.destination.time_zone = chrono_tz::Europe::Berlin;
        assert_eq!(read(&of, &name), at.map(|ms| ms - 3_600_000));
    }

    #[test]
    fn error_output_is_told_from_what_was_delivered() {
        let name = format!("web.logs-1-2026-01-02-03-04-05-{NONCE}");
        for (prefix, errors, key, kind) in [
            ("web/", "", "web/processing-failed/2026/01/02/03/", Some("processing-failed")),
            ("web/", "", "web/2026/01/02/03/", None),
            ("web/", "errors/", "errors/", Some("")),
            ("web/", "errors/", "errors/2026/", None),
            (
                "web/!{timestamp:yyyy}/",
                "e(1)/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}/",
                "e(1)/format-conversion-failed/2026/01/02/",
                Some("format-conversion-failed"),
            ),
            (
                "",
                "!{firehose:error-output-type}-!{firehose:random-string}/",
                "http-endpoint-failed-aB1/",
                Some("http-endpoint-failed"),
            ),
            ("", "!{firehose:error-output-type}-!{firehose:random-string}/", "fine-aB1/", None),
        ] {
            let of = ErrorKeys::of(&stream(prefix, errors));
            let found = of.read(&format!("{key}{name}")).map(|(_, kind)| kind);
            assert_eq!(found.as_deref(), kind, "{key} under {errors:?}");
            assert!(kind.is_none() || key.starts_with(&of.head), "{key} begins with {:?}", of.head);
        }
    }
}
