//! One file per command.
//!
//! Every command answers with an exit code: 0 it did what was asked, 1 it did not, 2 the command line is wrong.
//! What a program may read goes to standard output, everything else to standard error.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub mod check;
pub mod demo;
pub mod errors;
pub mod generate;
pub mod put;
pub mod replay;
pub mod serve;
pub mod status;
pub mod tail;
pub mod transform;
pub mod verify;

mod client;
mod delivered;
mod http;
mod logs;
mod notify;
mod probe;
mod setup;
mod terminal;

const ABOUT: &str = "The self-hosted Firehose.

Producers keep their AWS SDK and change one endpoint. Their records land in your bucket or your directory: batched, \
compressed, each one exactly once.";

const AFTER: &str = "Examples:
  standpipe demo                                see it work: half a minute, nothing to set up
  standpipe check --config standpipe.toml       is the file right?
  standpipe serve --config standpipe.toml       run the service
  standpipe put web-logs access.log             send a file's lines as records
  standpipe tail web-logs                       see records as they come
  standpipe status                              what runs, what waits, what failed
  standpipe errors ls web-logs                  which records failed, and why
  standpipe verify --all                        is everything where the ledger says?

Exit codes:
  0  it did what was asked
  1  it failed; standard error says why
  2  the command line is wrong";

#[derive(Parser)]
#[command(name = "standpipe", version, long_about = ABOUT, about = "The self-hosted Firehose", after_help = AFTER)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the whole thing in half a minute, on an empty machine
    Demo(demo::DemoArgs),
    /// Run the service
    Serve(serve::ServeArgs),
    /// Say whether a configuration file is right
    Check(CheckArgs),
    /// Show what runs: streams, backlog, freshness, last object, last error
    Status(status::StatusArgs),
    /// Send the lines of a file or of standard input as records
    Put(put::PutArgs),
    /// Show the records of a stream as they come
    Tail(tail::TailArgs),
    /// Look at records that failed, and send them again
    Errors(errors::ErrorsArgs),
    /// Prove the store against the delivery ledger
    Verify(verify::VerifyArgs),
    /// Deliver a time or position range again, to another prefix or stream
    Replay(replay::ReplayArgs),
    /// Write and try plugins that transform records
    Transform(transform::TransformArgs),
}

#[derive(Args)]
#[command(after_help = "Examples:
  standpipe check --config standpipe.toml
  standpipe check --config standpipe.toml --probe
  standpipe check --schema > standpipe.schema.json

Exit codes:
  0  the file is right (and, with --probe, every destination can be written)
  1  it is not; each fault is shown with its line
  2  the command line is wrong")]
struct CheckArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "STANDPIPE_CONFIG", default_value = "standpipe.toml")]
    config: PathBuf,
    /// Print the file's JSON schema instead, for editors
    #[arg(long, conflicts_with = "probe")]
    schema: bool,
    /// Then try each destination for real: write, and see what the store is like
    #[arg(long)]
    probe: bool,
}

/// Reads the command line, does what it says, and answers with the exit code.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check_and_probe(&args),
        Command::Status(args) => status::run(&args),
        Command::Put(args) => put::run(&args),
        Command::Tail(args) => tail::run(&args),
        Command::Errors(args) => errors::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Transform(args) => transform::run(&args),
    }
}

fn check_and_probe(args: &CheckArgs) -> ExitCode {
    let checked = check::run(&args.config, args.schema);
    if args.probe && checked == ExitCode::SUCCESS { probe::run(&args.config) } else { checked }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_explains_itself() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        command.build();
        for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
            let help = sub.render_long_help().to_string();
            for part in ["Examples:", "Exit codes:"] {
                assert!(help.contains(part), "{} --help has no {part}", sub.get_name());
            }
            for argument in sub.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}: no help", sub.get_name(), argument.get_id());
            }
        }
    }
}
