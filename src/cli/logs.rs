//! The log settings of a command line.

use clap::ValueEnum;

use crate::clock::Clock;
use crate::error::Result;
use crate::telemetry::logs;

/// The environment variable that holds the filter.
const FILTER_VARIABLE: &str = "STANDPIPE_LOG";

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// One JSON object per line
    Json,
    /// For people
    Text,
}

/// Starts logging; the error says what is wrong with the filter.
pub(super) fn start(format: LogFormat) -> Result<()> {
    let format = match format {
        LogFormat::Json => logs::LogFormat::Json,
        LogFormat::Text => logs::LogFormat::Text,
    };
    logs::start(format, &std::env::var(FILTER_VARIABLE).unwrap_or_default(), Clock::real())
}
