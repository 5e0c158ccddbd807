//! `standpipe put`: the lines of a file or of standard input as records, by the AWS SDK.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use tokio::io::AsyncRead;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::{self, Endpoint};
use super::setup;
use super::terminal::{Progress, complain, count, harmless, say, size};
use crate::clock::{Clock, Instant};
use crate::config::units;
use crate::error::{Error, Result};
use crate::limits::{DATA_RECORD_BYTES_DEFAULT, DATA_RECORD_BYTES_MAX, PUT_CALLS_IN_FLIGHT_MAX, RECORD_BYTES_MAX};

mod keys;
mod lines;
mod sender;
#[cfg(test)]
mod tests;

use keys::Keys;
use lines::{Line, Lines};
use sender::Item;
pub(super) use sender::{Batch, Door, Sender, Sent};

/// The command line of `put`.
#[derive(Args)]
#[command(
    after_help = "A record is a line with its line feed, so that the objects hold the file's bytes. --strip sends it without, for
streams that put a delimiter between records themselves.

A line of more than 1,024,000 bytes (for a data stream of more than 1 MiB with its key, unless --max-record-size says
more) cannot be a record: it is named with its number and size, everything else is sent, and the exit code is 1. So is
a line that has no key by --key.

Records that the service refuses for want of room are sent again, only those. With one call in flight (the default)
the order of the lines is kept, but for such repetitions within one call. An interrupt (Ctrl-C) sends what has been
read, and ends; a second one ends at once.

Examples:
  standpipe put web-logs access.log
  tail -F access.log | standpipe put web-logs
  zcat old.gz | standpipe put web-logs --in-flight 4
  standpipe put clicks --data-stream --key user clicks.ndjson
  standpipe put web-logs access.log --endpoint https://firehose.eu-west-1.amazonaws.com --region eu-west-1

Exit codes:
  0  every line was acknowledged
  1  not every line; standard error says which and why
  2  the command line is wrong"
)]
pub struct PutArgs {
    /// The delivery stream, or with --data-stream the data stream
    stream: String,
    /// The file, or `-` for standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// The stream is a data stream
    #[arg(long)]
    data_stream: bool,
    /// Partition keys: the member of this name of each line, which must be a JSON object, or `random`
    #[arg(long, value_name = "FIELD|random", default_value = "random", requires = "data_stream")]
    key: Keys,
    /// The most that the data stream takes as one record with its key: 1 MiB to 10 MiB
    #[arg(long, value_name = "SIZE", default_value = "1 MiB", requires = "data_stream", value_parser = parse_record_size)]
    max_record_size: usize,
    /// The service
    #[arg(long, value_name = "URL", env = "STANDPIPE_ENDPOINT", default_value = "http://127.0.0.1:4573")]
    endpoint: String,
    /// The region that requests are signed for
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    region: String,
    /// Calls under way at once; with more than one the order of records is not kept
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=PUT_CALLS_IN_FLIGHT_MAX))]
    in_flight: u16,
    /// How long a line may wait for others to share its call: 200ms, 2s
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = parse_time)]
    linger: Duration,
    /// How often a call, and a record that is refused, is tried
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// Send lines without their line feed (and without a carriage return before it)
    #[arg(long)]
    strip: bool,
}

/// Sends the lines.
pub fn run(args: &PutArgs) -> ExitCode {
    setup::block_on(true, put(args))
}

async fn put(args: &PutArgs) -> ExitCode {
    let clock = Clock::real();
    if args.file == Path::new("-") {
        return put_from(args, clock, tokio::io::stdin(), None).await;
    }
    let opened = match tokio::fs::File::open(&args.file).await {
        Ok(file) => file.metadata().await.map(|facts| (file, facts)),
        Err(error) => Err(error),
    };
    match opened {
        Ok((file, facts)) => put_from(args, clock, file, facts.is_file().then_some(facts.len())).await,
        Err(error) => {
            complain(format_args!("{}: {error}", args.file.display()));
            ExitCode::FAILURE
        }
    }
}

async fn put_from(args: &PutArgs, clock: Clock, input: impl AsyncRead + Unpin, total: Option<u64>) -> ExitCode {
    let endpoint = Endpoint { url: &args.endpoint, region: &args.region, attempts: args.attempts };
    let (door, attempts) = if args.data_stream {
        let (client, attempts) = client::kinesis(&endpoint).await;
        (Door::Kinesis(client), attempts)
    } else {
        let (client, attempts) = client::firehose(&endpoint).await;
        (Door::Firehose(client), attempts)
    };
    let sender = Sender::new(door, &args.stream, clock.clone(), args.attempts);
    let bytes_max = if args.data_stream { args.max_record_size } else { RECORD_BYTES_MAX };
    let mut transfer = Transfer {
        lines: Lines::new(input, bytes_max + if args.strip { b"\r\n".len() } else { 0 }),
        keys: args.data_stream.then(|| args.key.clone()),
        bytes_max,
        flow: Flow::new(sender, args.in_flight.into()),
        progress: Progress::new(&clock, total),
        started: clock.instant(),
        clock,
        linger: args.linger,
        strip: args.strip,
        refused_lines: 0,
    };
    let interrupt = CancellationToken::new();
    tokio::spawn(watch_interrupts(interrupt.clone()));
    let outcome = transfer.run(&interrupt).await;
    transfer.progress.done();
    transfer.report(&outcome, &attempts)
}

/// The first interrupt ends the input; the second one ends the process, whatever is under way.
async fn watch_interrupts(interrupt: CancellationToken) {
    let Ok(mut signals) = signal(SignalKind::interrupt()) else { return };
    signals.recv().await;
    interrupt.cancel();
    signals.recv().await;
    complain("interrupted; what was under way may or may not have been stored");
    std::process::exit(1);
}

/// One input on its way.
struct Transfer<R> {
    lines: Lines<R>,
    flow: Flow,
    progress: Progress,
    started: Instant,
    clock: Clock,
    linger: Duration,
    strip: bool,
    /// For a data stream.
    keys: Option<Keys>,
    /// Of a record with its key.
    bytes_max: usize,
    refused_lines: u64,
}

impl<R: AsyncRead + Unpin> Transfer<R> {
    /// Until the input ends, an interrupt comes or a batch cannot be sent; then what is under way is waited for.
    async fn run(&mut self, interrupt: &CancellationToken) -> Result<()> {
        let outcome = self.pump(interrupt).await;
        let rest = self.flow.finish().await;
        outcome.and(rest)
    }

    async fn pump(&mut self, interrupt: &CancellationToken) -> Result<()> {
        let mut batch = if self.keys.is_some() { Batch::with_keys() } else { Batch::default() };
        let mut flush_at = self.started;
        loop {
            let line = tokio::select! {
                line = self.lines.next() => line.map_err(|error| Error::unavailable("the input cannot be read").because(error))?,
                () = self.clock.sleep_until(flush_at), if !batch.is_empty() => {
                    self.flow.push(batch.take()).await?;
                    self.show();
                    continue;
                }
                () = interrupt.cancelled() => Line::End,
            };
            if line == Line::End {
                break;
            }
            let Some(record) = self.record(line) else { continue };
            if !batch.has_room(&record) {
                self.flow.push(batch.take()).await?;
                self.show();
            }
            if batch.is_empty() {
                flush_at = self.clock.instant() + self.linger;
            }
            batch.push(record);
        }
        self.flow.push(batch).await
    }

    /// The record that a line is; none for a line that cannot be one, which is said.
    fn record(&mut self, line: Line) -> Option<Item> {
        let (number, fault) = match line {
            Line::TooLong { number, bytes } => (number, self.too_long(bytes)),
            Line::Whole(line) => match self.item(if self.strip { strip(&line) } else { line }) {
                Ok(item) => return Some(item),
                Err(fault) => (self.lines.number(), fault),
            },
            Line::End => return None,
        };
        self.refused_lines += 1;
        complain(format_args!("line {number} {fault}"));
        None
    }

    fn item(&self, data: Bytes) -> Result<Item, String> {
        let key = match &self.keys {
            Some(keys) => keys.of(&data, &self.clock).map_err(|fault| format!("was not sent: {fault}"))?,
            None => String::new(),
        };
        let bytes = data.len() + key.len();
        if bytes > self.bytes_max { Err(self.too_long(bytes as u64)) } else { Ok(Item { data, key }) }
    }

    fn too_long(&self, bytes: u64) -> String {
        let with_key = if self.keys.is_some() { " with its key" } else { "" };
        let limit = count(self.bytes_max as u64);
        format!("has {} bytes{with_key} and was not sent: a record has at most {limit}", count(bytes))
    }

    fn show(&mut self) {
        let sent = self.flow.sent;
        let millis = (self.started.elapsed().as_millis() as u64).max(1);
        self.progress.at(sent.bytes, || {
            let rate = size(sent.bytes * 1_000 / millis);
            format!("{} records, {}, {rate}/s", count(sent.records), size(sent.bytes))
        });
    }

    /// The summary, and the exit code.
    fn report(&self, outcome: &Result<()>, attempts: &AtomicU64) -> ExitCode {
        let sent = self.flow.sent;
        // An attempt that is not the first one of its call is a retry; a call for refused records is one as well.
        let retries = attempts.load(Ordering::Relaxed).saturating_sub(self.flow.batches);
        say(format_args!(
            "{} records, {} bytes, {:.1} s, {retries} retries",
            count(sent.records),
            count(sent.bytes),
            self.started.elapsed().as_secs_f64()
        ));
        if let Err(error) = outcome {
            complain(harmless(&error.to_string()));
            let read = self.lines.number();
            complain(format_args!(
                "stopped after reading {} lines; {} were acknowledged",
                count(read),
                count(sent.records)
            ));
        }
        if self.refused_lines > 0 {
            complain(format_args!("not sent: {} of the lines, as said above", count(self.refused_lines)));
        }
        if outcome.is_ok() && self.refused_lines == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Batches under way, at most so many at once.
struct Flow {
    sender: Sender,
    under_way: JoinSet<(Sent, Result<()>)>,
    in_flight: usize,
    sent: Sent,
    batches: u64,
}

impl Flow {
    fn new(sender: Sender, in_flight: usize) -> Self {
        Flow { sender, under_way: JoinSet::new(), in_flight, sent: Sent::default(), batches: 0 }
    }

    /// Sends a batch once there is room for it; an error is that of an earlier one.
    async fn push(&mut self, batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        while self.under_way.len() >= self.in_flight {
            self.one().await?;
        }
        self.batches += 1;
        let sender = self.sender.clone();
        self.under_way.spawn(async move {
            let mut sent = Sent::default();
            let outcome = sender.send(batch, &mut sent).await;
            (sent, outcome)
        });
        Ok(())
    }

    /// Waits for all that is under way; an error is the first one's.
    async fn finish(&mut self) -> Result<()> {
        let mut first = Ok(());
        while !self.under_way.is_empty() {
            let outcome = self.one().await;
            first = first.and(outcome);
        }
        first
    }

    async fn one(&mut self) -> Result<()> {
        match self.under_way.join_next().await {
            None => Ok(()),
            Some(Ok((sent, outcome))) => {
                self.sent.records += sent.records;
                self.sent.bytes += sent.bytes;
                self.sent.repeats += sent.repeats;
                outcome
            }
            Some(Err(error)) => Err(Error::new(crate::error::Kind::Internal, "a call ended abnormally").because(error)),
        }
    }
}

fn strip(line: &Bytes) -> Bytes {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    line.slice(..text.strip_suffix(b"\r").unwrap_or(text).len())
}

fn parse_record_size(text: &str) -> Result<usize, String> {
    let bytes = units::size(text).map_err(|error| error.message().to_owned())?;
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if (DATA_RECORD_BYTES_DEFAULT..=DATA_RECORD_BYTES_MAX).contains(&bytes) {
        return Ok(bytes);
    }
    Err("it must lie between 1 MiB and 10 MiB".to_owned())
}

/// `200ms`, `2s`, `0.5s`; a bare number is in milliseconds.
fn parse_time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "ms"),
    };
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        _ => return Err(format!("unit {unit:?} is neither ms nor s")),
    };
    let number: f64 = number.trim().parse().map_err(|_| format!("{number:?} is not a number"))?;
    let seconds = number * scale;
    if !(0.0..=3_600.0).contains(&seconds) {
        return Err("it must lie between 0 and 3600s".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}
