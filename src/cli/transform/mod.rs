//! `standpipe transform`: plugins in the hands of those who write them.

use std::process::ExitCode;

use clap::{Args, Subcommand};

mod fate;
mod new;
mod sample;
mod show;
mod test;
#[cfg(test)]
mod tests;

/// The command line of `transform`.
#[derive(Args)]
#[command(after_help = "Examples:
  standpipe transform new drop-debug --lang rust
  standpipe transform test plugin.wasm --input sample.ndjson --config drop=debug
  standpipe transform test mask --config-file standpipe.toml --input sample.ndjson --format json

Exit codes:
  0  it did what was asked
  1  it did not; standard error says why
  2  the command line is wrong")]
pub struct TransformArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a plugin or a function on sample records and show what becomes of each
    Test(test::TestArgs),
    /// Write a starting point for a plugin of one's own
    New(new::NewArgs),
}

/// Runs the command.
pub fn run(args: &TransformArgs) -> ExitCode {
    match &args.command {
        Command::Test(args) => test::run(args),
        Command::New(args) => new::run(args),
    }
}
