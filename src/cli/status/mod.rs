//! `standpipe status`: what runs, what waits, what failed.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::terminal::{complain, say};
use super::{http, setup};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::telemetry::status::Status;

mod data;
mod history;
mod table;

/// The command line of `status`.
#[derive(Args)]
#[command(after_help = "Columns:
  BACKLOG    acknowledged records that are not delivered yet, and what their journal takes on disk
  FRESHNESS  age of the oldest of them
  FAILED     records in the error output
  LAST OBJECT  the last one of delivered records; error output is none
  LOST       records given up: expired, discarded with their stream, or damaged on disk
  SHARDS     of data streams: those that take records, and all that can be read
  (backup)   the backup of the stream above: the same records once more, in no sum
  BEHIND     records of a data stream that a delivery stream has not delivered

Examples:
  standpipe status
  standpipe status --json | jq '.streams[] | {name, backlog_records}'
  standpipe status --shards
  standpipe status --ledger --data-dir /var/lib/standpipe

Exit codes:
  0  it is shown
  1  the service does not answer, or the ledger cannot be read
  2  the command line is wrong")]
pub struct StatusArgs {
    /// The service's admin listener
    #[arg(long, value_name = "URL", env = "STANDPIPE_ADMIN", default_value = "http://127.0.0.1:4574")]
    admin: String,
    /// Print the document as the service gives it
    #[arg(long)]
    json: bool,
    /// Show the shards of data streams too
    #[arg(long, conflicts_with = "json")]
    shards: bool,
    /// Print the delivery ledger's entries from disk instead; the service need not run
    #[arg(long, requires = "data_dir")]
    ledger: bool,
    /// The service's data directory, for --ledger
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Shows the status.
pub fn run(args: &StatusArgs) -> ExitCode {
    let shown = match &args.data_dir {
        Some(data_dir) if args.ledger => history::show(data_dir, args.json),
        _ => return setup::block_on(false, show(args)),
    };
    exit(shown)
}

/// The status of the service whose admin listener is at `admin` (`http://host:port`).
pub async fn fetch(clock: &Clock, admin: &str) -> Result<Status> {
    let bytes = http::get(clock, admin, "/v1/status").await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::invalid(format!("{admin} does not answer as a Standpipe does")).because(error))
}

async fn show(args: &StatusArgs) -> ExitCode {
    let clock = Clock::real();
    if args.json {
        return exit(http::get(&clock, &args.admin, "/v1/status").await.map(|bytes| {
            say(String::from_utf8_lossy(&bytes).trim_end());
        }));
    }
    exit(fetch(&clock, &args.admin).await.map(|status| say(table::render(&status, args.shards, clock.now_ms()))))
}

fn exit(shown: Result<()>) -> ExitCode {
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}
