//! `standpipe demo`: the whole thing in half a minute, on an empty machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;

use super::client::{self, Endpoint};
use super::generate::weblog::WebLog;
use super::put::{Batch, Door, Sender, Sent};
use super::terminal::{Progress, complain, count, say, size};
use super::{setup, status};
use crate::app::App;
use crate::clock::Clock;
use crate::error::{Error, Result};

mod lake;
mod place;
mod verdict;

use place::Place;
use verdict::Expected;

const STREAM: &str = "web-logs";
/// Fast enough for an object every other second or so, slow enough to look at.
const RECORDS_PER_SECOND: u64 = 2_000;
/// Records of one call: ten calls a second.
const RECORDS_PER_CALL: u64 = RECORDS_PER_SECOND / 10;
/// How long the last buffer may take: its 5 s interval, and what a busy machine adds.
const DELIVERY_TIME_MAX: Duration = Duration::from_mins(1);
/// How long the service may take to stop once everything is delivered.
const GRACE: Duration = Duration::from_secs(10);
/// Objects that are listed one by one.
const OBJECTS_SHOWN_MAX: usize = 12;

/// The command line of `demo`.
#[derive(Args)]
#[command(
    after_help = "It writes a configuration, starts a service on free loopback ports, sends it web logs through its own Firehose
API by the AWS SDK, shows the objects that come out, and checks that every record is in them exactly once.

Examples:
  standpipe demo
  standpipe demo --dir demo --seconds 20

Exit codes:
  0  every record that was sent is there exactly once
  1  it did not come to that; standard error says why
  2  the command line is wrong"
)]
pub struct DemoArgs {
    /// The folder to work in, new or empty; it is kept. Without, a temporary one
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How long to send
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Keep the temporary folder
    #[arg(long)]
    keep: bool,
}

/// Runs the demonstration.
pub fn run(args: &DemoArgs) -> ExitCode {
    let place = match Place::make(args.dir.as_deref(), args.keep, &Clock::real()) {
        Ok(place) => place,
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    setup::block_on(true, async {
        let outcome = tokio::select! {
            outcome = demonstrate(&place, args.seconds) => outcome,
            _ = tokio::signal::ctrl_c() => Err(Error::closed("interrupted")),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(error);
                ExitCode::FAILURE
            }
        }
    })
}

async fn demonstrate(place: &Place, seconds: u64) -> Result<()> {
    let clock = Clock::real();
    say(format_args!("standpipe {} · demonstration in {}\n", env!("CARGO_PKG_VERSION"), place.root().display()));
    say("1. A configuration, standpipe.toml:\n");
    place.config_text().lines().for_each(|line| say(format_args!("     {line}")));
    let app = start(place, &clock).await?;
    let (api, admin) = (format!("http://{}", app.firehose_addr()), format!("http://{}", app.admin_addr()));
    say(format_args!("\n2. The service runs. Firehose API: {api}   status and metrics: {admin}"));

    let (expected, took) = send(&clock, &api, seconds).await?;
    say(format_args!(
        "3. Sent {} web log records ({}) in {:.1} s by PutRecordBatch; each answer came after the fsync.",
        count(expected.records()),
        size(expected.bytes()),
        took.as_secs_f64()
    ));
    wait_for_delivery(&clock, &admin, expected.records()).await?;
    let report = app.stop(GRACE).await?;
    say(format_args!("4. The service stopped; {report}:\n"));
    let objects = show(&place.lake())?;

    let verdict = verdict::judge(&expected, &objects)?;
    say(format_args!("\n5. Decompressed and counted: {verdict}"));
    if let Some(line) = &verdict.sample {
        say(format_args!("   The first record of the first object:\n     {}", line.trim_end()));
    }
    if !verdict.right() {
        return Err(Error::corrupt("the objects do not hold what was sent"));
    }
    next_steps(place, objects.first().map(|object| object.path.as_path()));
    Ok(())
}

/// The service of the folder's own configuration file, on free ports in place of the file's.
async fn start(place: &Place, clock: &Clock) -> Result<App> {
    let mut config = setup::load(&place.config_path())
        .map_err(|_| Error::invalid("the demonstration's own configuration is wrong"))?;
    config.server.listen.set_port(0);
    config.server.admin_listen.set_port(0);
    App::start(config, clock.clone()).await
}

/// Sends web logs for `seconds`; what must arrive, and how long it took.
async fn send(clock: &Clock, api: &str, seconds: u64) -> Result<(Expected, Duration)> {
    let endpoint = Endpoint { url: api, region: "us-east-1", attempts: 10 };
    let (client, _) = client::firehose(&endpoint).await;
    let sender = Sender::new(Door::Firehose(client), STREAM, clock.clone(), endpoint.attempts);
    let mut log = WebLog::new(clock.random(), clock.now_ms());
    let mut expected = Expected::default();
    let total = seconds * RECORDS_PER_SECOND;
    let started = clock.instant();
    let mut progress = Progress::new(clock, Some(total));
    while expected.records() < total {
        let mut batch = Batch::default();
        for _ in 0..RECORDS_PER_CALL {
            let line = Bytes::from(log.line());
            expected.add(&line);
            batch.push(line.into());
        }
        sender.send(batch, &mut Sent::default()).await?;
        let sent = expected.records();
        progress.at(sent, || format!("sent {} records, {}", count(sent), size(expected.bytes())));
        clock.sleep_until(started + Duration::from_millis(sent * 1_000 / RECORDS_PER_SECOND)).await;
    }
    progress.done();
    Ok((expected, started.elapsed()))
}

/// Until the service says that nothing waits any more.
async fn wait_for_delivery(clock: &Clock, admin: &str, records: u64) -> Result<()> {
    let mut progress = Progress::new(clock, Some(records));
    let deadline = clock.instant() + DELIVERY_TIME_MAX;
    loop {
        let status = status::fetch(clock, admin).await?;
        let stream = status.streams.into_iter().find(|stream| stream.name == STREAM).unwrap_or_default();
        if stream.accepted >= records && stream.backlog_records == 0 {
            progress.done();
            return Ok(());
        }
        if clock.instant() >= deadline {
            let error = stream.last_error.map(|error| format!(": {error}")).unwrap_or_default();
            let (done, limit) = (count(stream.delivered), DELIVERY_TIME_MAX.as_secs());
            return Err(Error::unavailable(format!(
                "only {done} of {} records delivered within {limit} s{error}",
                count(records)
            )));
        }
        progress.at(stream.delivered, || {
            format!("delivered {} records; the last buffer waits for its 5 s", count(stream.delivered))
        });
        clock.sleep(Duration::from_millis(100)).await;
    }
}

/// Prints the tree of objects; the objects with their records.
fn show(lake: &Path) -> Result<Vec<lake::Object>> {
    let objects = lake::read(lake)?;
    let mut folder = None;
    for object in objects.iter().take(OBJECTS_SHOWN_MAX) {
        let path = object.path.strip_prefix(lake).unwrap_or(&object.path);
        if folder != path.parent() {
            folder = path.parent();
            say(format_args!("     lake/{}/", folder.unwrap_or(Path::new("")).display()));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let records = count(object.lines.len() as u64);
        say(format_args!("       {name}  {:>9}  {records:>6} records", size(object.stored_bytes)));
    }
    if objects.len() > OBJECTS_SHOWN_MAX {
        say(format_args!("       … and {} more", objects.len() - OBJECTS_SHOWN_MAX));
    }
    let stored = objects.iter().map(|object| object.stored_bytes).sum();
    let bytes: u64 = objects.iter().flat_map(|object| &object.lines).map(|line| line.len() as u64).sum();
    say(format_args!("     {} objects, {} of records in {} of gzip", objects.len(), size(bytes), size(stored)));
    Ok(objects)
}

fn next_steps(place: &Place, object: Option<&Path>) {
    let root = place.root().display();
    say("\nWhat to try next:\n");
    // As it was called: it may not be where the shell looks.
    let program = std::env::args().next().unwrap_or_else(|| "standpipe".to_owned());
    let (root, object) = if place.stays() {
        (root.to_string(), object.map(|object| object.display().to_string()))
    } else {
        say(format_args!(
            "  {program} demo --dir demo    # the same in a folder that stays; this one is being removed"
        ));
        ("demo".to_owned(), None)
    };
    let object = object.unwrap_or_else(|| format!("{root}/lake/web/*/*/*/*/*.gz"));
    say(format_args!("  {program} serve --config {root}/standpipe.toml --log-format text"));
    say(format_args!("  echo '{{\"hello\":\"world\"}}' | {program} put web-logs"));
    say(format_args!("  {program} status"));
    say(
        "  AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any aws firehose put-record --endpoint-url http://127.0.0.1:4573 \\",
    );
    say(
        "      --region us-east-1 --delivery-stream-name web-logs --cli-binary-format raw-in-base64-out --record 'Data=hello'",
    );
    say(format_args!("  zcat {object} | head"));
}

/// Reads a whole file; the error names it.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::unavailable(format!("{} cannot be read", path.display())).because(error))
}
