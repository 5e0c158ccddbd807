//! `standpipe tail`: the records of a stream on standard output, as they come.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use super::setup;
use super::terminal::{complain, harmless};
use crate::clock::Clock;
use crate::config::StartAt;
use crate::config::units::start_at;
use crate::error::{Error, Kind, Result};

mod connection;
mod lines;
mod shown;
#[cfg(test)]
mod tests;

use connection::{Answer, Connection};
use shown::Shown;

/// The pause before the first attempt to connect again; it doubles from there.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The command line of `tail`.
#[derive(Args)]
#[command(
    after_help = "Of a delivery stream it shows what is still in the journal, of a data stream what is within its retention.

As text, each record is a line: the record's bytes, and a line feed if it ends without one. As JSON, each line is an
object with shard, position or sequence, arrived (milliseconds since 1970), key, and data or data_base64.

When the connection breaks it is made again, and goes on where it was. Ctrl-C ends it.

Reading takes the permission firehose:GetRecords, or kinesis:GetRecords with --data-stream.

Examples:
  standpipe tail web-logs
  standpipe tail clicks --data-stream --from horizon --limit 10
  standpipe tail clicks --data-stream --from 2026-01-02T03:04:05Z --format json | jq .key
  standpipe tail clicks --data-stream --from horizon --no-follow > clicks.ndjson

Exit codes:
  0  it was interrupted, the limit was reached, or (with --no-follow) all was shown
  1  the stream cannot be read; standard error says why
  2  the command line is wrong"
)]
pub struct TailArgs {
    /// The delivery stream, or with --data-stream the data stream
    stream: String,
    /// NAME is that of a data stream
    #[arg(long)]
    data_stream: bool,
    /// Where to begin: latest, horizon (the oldest record there is), or a time such as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "WHERE", default_value = "latest", value_parser = parse_start)]
    from: StartAt,
    /// End after so many records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// End with the last record that is there, instead of waiting for more
    #[arg(long)]
    no_follow: bool,
    /// How records are shown
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// The service
    #[arg(long, value_name = "URL", env = "STANDPIPE_ENDPOINT", default_value = "http://127.0.0.1:4573")]
    endpoint: String,
    /// The region that requests are signed for
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    region: String,
}

/// How records are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The bytes of each, on a line of their own
    Text,
    /// A JSON object for each
    Json,
}

/// Shows records until an interrupt.
pub fn run(args: &TailArgs) -> ExitCode {
    setup::block_on(false, async {
        let clock = Clock::real();
        let out = Shown::new(io::stdout(), args.format, io::stdout().is_terminal(), args.limit);
        tokio::select! {
            code = tail(args, &clock, out) => code,
            () = interrupted() => ExitCode::SUCCESS,
        }
    })
}

async fn interrupted() {
    match signal(SignalKind::interrupt()) {
        Ok(mut signals) => drop(signals.recv().await),
        Err(_) => std::future::pending().await,
    }
}

async fn tail(args: &TailArgs, clock: &Clock, mut out: Shown<impl io::Write>) -> ExitCode {
    match follow(args, clock, &mut out).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(harmless(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

/// Connects and shows, again and again, until there is an end.
///
/// # Errors
/// What will not be better the next time; at the first attempt anything.
async fn follow(args: &TailArgs, clock: &Clock, out: &mut Shown<impl io::Write>) -> Result<()> {
    let connection = Connection::new(args, clock).await?;
    // Where to go on while nothing has been shown.
    let mut from = args.from;
    let mut connected = false;
    let mut pause = PAUSE_MIN;
    loop {
        let outcome = match connection.open(out.resume().unwrap_or(from), !args.no_follow).await {
            Ok(mut answer) => {
                if std::mem::replace(&mut connected, true) {
                    complain("connected again");
                }
                if let (StartAt::Latest, Some(began_ms)) = (from, answer.began_ms()) {
                    from = StartAt::Time(began_ms);
                }
                pause = PAUSE_MIN;
                show(&mut answer, out).await
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(true) => return Ok(()),
            Ok(false) if args.no_follow => return Ok(()),
            Ok(false) => complain("the service ended the answer; connecting again"),
            Err(error) if error.kind() == Kind::Unavailable && connected => {
                complain(format_args!("{}; connecting again", harmless(&error.to_string())));
            }
            Err(error) => return Err(error),
        }
        clock.sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Shows what one answer brings; whether that was all that is wanted.
async fn show(answer: &mut Answer<'_>, out: &mut Shown<impl io::Write>) -> Result<bool> {
    while let Some(line) = answer.line().await? {
        if !out.line(&line)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn parse_start(text: &str) -> Result<StartAt, Error> {
    start_at(text)
}
