//! Where the service's own log lines go: standard error, as JSON or as text, without payloads.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The environment variable that holds the filter.
pub(super) const FILTER_VARIABLE: &str = "STANDPIPE_LOG";

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// One JSON object per line
    Json,
    /// For people
    Text,
}

/// Starts logging; the error says what is wrong with the filter.
///
/// Below `info` only our own lines are shown, whatever the filter says: the AWS SDK and hyper show headers and bodies
/// there, and no payload and no credential may get into a log line.
pub(super) fn start(format: LogFormat) -> Result<(), String> {
    let filter = filter(std::env::var(FILTER_VARIABLE).ok().as_deref())?;
    let lines = tracing_subscriber::registry().with(filter).with(filter_fn(|line| shown(line.target(), *line.level())));
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match format {
        LogFormat::Json => lines.with(layer.json().flatten_event(true).with_current_span(false)).init(),
        LogFormat::Text => lines.with(layer.with_ansi(io::stderr().is_terminal())).init(),
    }
    Ok(())
}

fn shown(target: &str, level: Level) -> bool {
    level <= Level::INFO || target == "standpipe" || target.starts_with("standpipe::")
}

fn filter(text: Option<&str>) -> Result<EnvFilter, String> {
    let text = text.filter(|text| !text.trim().is_empty()).unwrap_or("info");
    EnvFilter::try_new(text).map_err(|error| format!("{FILTER_VARIABLE}={text:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_taken_or_refused_by_name() {
        assert_eq!(filter(None).unwrap().to_string(), "info");
        assert_eq!(filter(Some(" ")).unwrap().to_string(), "info");
        assert_eq!(filter(Some("standpipe=debug")).unwrap().to_string(), "standpipe=debug");
        assert!(filter(Some("standpipe=loud")).unwrap_err().contains("STANDPIPE_LOG=\"standpipe=loud\""));
    }

    #[test]
    fn what_others_say_below_info_is_never_shown() {
        for (target, level, expected) in [
            ("standpipe::api", Level::TRACE, true),
            ("standpipe", Level::DEBUG, true),
            ("standpipe_other", Level::DEBUG, false),
            ("aws_smithy_runtime::client", Level::TRACE, false),
            ("hyper", Level::DEBUG, false),
            ("hyper", Level::INFO, true),
            ("rustls", Level::WARN, true),
        ] {
            assert_eq!(shown(target, level), expected, "{target} {level}");
        }
    }
}
