//! `standpipe errors`: the error output of a delivery stream: look, explain, send again.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::delivered::keys::ErrorKeys;
use super::delivered::{House, Moment, list_all};
use crate::destination::Destination;
use crate::error::{Error, Kind, Result};

mod edit;
mod ls;
mod record;
mod redrive;
mod show;

/// The command line of `errors`.
#[derive(Args)]
#[command(
    after_help = "A record that cannot be processed is no record that is lost: it is in an object under the stream's error prefix, as it
came, with the reason. These commands read the configuration file and the store itself, with the file's credentials; the
service need not run, but for redrive.

One malformed record among a million:
  standpipe errors ls web-logs                               which objects, how many records, why
  standpipe errors show web-logs --code RequireJson.ParseError
  standpipe errors show web-logs KEY --line 3 --raw > record.json
  $EDITOR record.json
  standpipe errors redrive web-logs KEY --line 3 --with record.json

Examples:
  standpipe errors ls web-logs --since 2h
  standpipe errors redrive web-logs --code Lambda.FunctionError --dry-run
  standpipe errors redrive web-logs --code RequireJson.ParseError --edit 'sed s/NaN/null/g'

Exit codes:
  0  it did what was asked
  1  it did not, or not of everything; standard error says why
  2  the command line is wrong"
)]
pub struct ErrorsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the objects of the error output, with their records and the codes of their failures
    Ls(ls::LsArgs),
    /// Show records of the error output: why they failed, and what they are
    Show(show::ShowArgs),
    /// Put the original records, mended if need be, into the stream again, each once
    Redrive(redrive::RedriveArgs),
}

/// Runs the command.
pub fn run(args: &ErrorsArgs) -> ExitCode {
    match &args.command {
        Command::Ls(args) => ls::run(args),
        Command::Show(args) => show::run(args),
        Command::Redrive(args) => redrive::run(args),
    }
}

/// Which objects of a stream's error output are meant.
#[derive(Args)]
struct Objects {
    /// Only those of this error type, such as processing-failed
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only objects whose oldest record arrived then or later: 2026-01-02T03:04:05Z, or how long ago: 2h
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    since: Option<Moment>,
    /// Only those before
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    until: Option<Moment>,
}

/// One object of the error output.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Object {
    key: String,
    bytes: u64,
    /// Empty where the prefix does not have it.
    kind: String,
    /// When its oldest record arrived, to the second.
    oldest_ms: u64,
}

impl Objects {
    /// Those that are there, oldest first.
    async fn find(&self, house: &House, keys: &ErrorKeys, store: &dyn Destination) -> Result<Vec<Object>> {
        let since = self.since.map_or(0, |since| since.ms(&house.clock));
        let until = self.until.map_or(u64::MAX, |until| until.ms(&house.clock));
        let mut found = Vec::new();
        list_all(store, &keys.head, |listed| {
            let Some((named, kind)) = keys.read(&listed.key) else { return Ok(()) };
            let is_wanted = self.kind.as_ref().is_none_or(|wanted| *wanted == kind);
            if is_wanted && (since..until).contains(&named.object_ms) {
                found.push(Object { key: listed.key, bytes: listed.bytes, kind, oldest_ms: named.object_ms });
            }
            Ok(())
        })
        .await?;
        found.sort_by(|one, next| (one.oldest_ms, &one.key).cmp(&(next.oldest_ms, &next.key)));
        Ok(found)
    }

    /// The objects under `wanted`, or, where none is named, all that are meant.
    ///
    /// # Errors
    /// `NotFound` for a key under which nothing is; `Invalid` for one that is not the stream's error output.
    async fn choose(
        &self,
        house: &House,
        keys: &ErrorKeys,
        store: &dyn Destination,
        wanted: &[String],
    ) -> Result<Vec<Object>> {
        if wanted.is_empty() {
            return self.find(house, keys, store).await;
        }
        let mut chosen: Vec<Object> = Vec::new();
        for key in wanted {
            if chosen.iter().any(|object| object.key == *key) {
                continue;
            }
            let Some((named, kind)) = keys.read(key) else {
                let head = &keys.head;
                return Err(Error::invalid(format!(
                    "{key:?} is no error output of this stream: that begins with {head:?} and ends with the stream's name, a time and a UUID"
                )));
            };
            let bytes = store.find(key).await?;
            let bytes = bytes.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no object {key:?}")))?;
            chosen.push(Object { key: key.clone(), bytes, kind, oldest_ms: named.object_ms });
        }
        Ok(chosen)
    }
}
