//! `standpipe errors redrive`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;

use super::edit::Edit;
use super::record::{Failed, Failures};
use super::{Object, Objects};
use crate::cli::delivered::keys::ErrorKeys;
use crate::cli::delivered::resend::{Batch, InDoubt, Item, Left, Resender};
use crate::cli::delivered::sent::{self, Numbers, Sent};
use crate::cli::delivered::{ConfigArgs, EndpointArgs, House, exit};
use crate::cli::setup;
use crate::cli::terminal::{Progress, complain, count, harmless, say};
use crate::config::Source;
use crate::destination::Destination;
use crate::error::{Error, Kind, Result};
use crate::limits::RECORD_BYTES_MAX;

/// The command line of `errors redrive`.
#[derive(Args)]
#[command(
    after_help = "The original records (rawData) are put into the stream again, as new records. What was sent is written down in the
store, beside the error output (.standpipe-sent/), before and after each call, so that each record is sent once, however
often the command is repeated or interrupted, and whoever repeats it. A call whose answer was lost is made again under its
name, by which the service knows it, for six minutes; after that nobody can know, and the command asks
for --in-doubt. That holds for a Standpipe; Amazon's service stores a repeated call twice. It holds while all its streams
together take less than 900 calls a second: the service knows its last 500,000 calls. Where more came since a call whose
answer was lost, records may be stored twice: look into the stream before you repeat the command.

A record can be mended on its way. --with FILE sends the file in the place of the one record that is chosen. --edit COMMAND
runs the command by sh for each record: it gets the record on standard input, its code in STANDPIPE_ERROR_CODE,
and prints the mended one; with another exit code than 0 the record is left out. A mended record ends as the original
did: with a line feed or without. What fails once more is in the error output once more, in a new object.

A stream that takes its records from a data stream cannot be put into: name another one with --into.

Examples:
  standpipe errors redrive web-logs --dry-run
  standpipe errors redrive web-logs --code Lambda.FunctionError --since 24h
  standpipe errors redrive web-logs KEY --line 3 --with record.json
  standpipe errors redrive web-logs --code RequireJson.ParseError --edit 'sed s/NaN/null/g'
  standpipe errors redrive web-logs --edit 'jq -c .' --into web-logs-mended

Exit codes:
  0  all that was chosen is sent, now or before
  1  not all of it; standard error says what and why
  2  the command line is wrong"
)]
pub(super) struct RedriveArgs {
    /// The delivery stream whose error output it is
    stream: String,
    /// Objects of its error output; all of them without
    keys: Vec<String>,
    /// Only records that failed with this code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only this line of each object, from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    line: Option<u64>,
    /// Put them into this delivery stream instead
    #[arg(long, value_name = "STREAM")]
    into: Option<String>,
    /// Send what is in this file in the place of the one record
    #[arg(long, value_name = "FILE", requires = "line", conflicts_with = "edit")]
    with: Option<PathBuf>,
    /// Have a shell command mend each record
    #[arg(long, value_name = "COMMAND")]
    edit: Option<String>,
    /// What to do with records of which nobody knows whether they were stored
    #[arg(long, value_name = "WHAT")]
    in_doubt: Option<InDoubt>,
    /// Send nothing, say what would be sent
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    objects: Objects,
    #[command(flatten)]
    place: ConfigArgs,
    #[command(flatten)]
    service: EndpointArgs,
}

/// Sends them.
pub(super) fn run(args: &RedriveArgs) -> ExitCode {
    setup::block_on(true, async {
        match House::open(&args.place).await {
            Ok(house) => exit(redrive(args, &house).await),
            Err(code) => code,
        }
    })
}

async fn redrive(args: &RedriveArgs, house: &House) -> Result<bool> {
    let stream = house.stream(&args.stream)?;
    let into = args.into.as_deref().unwrap_or(&args.stream);
    if args.into.is_none() && stream.source != Source::Direct {
        return Err(Error::invalid(format!(
            "stream {into} takes its records from another one and cannot be put into: name one that can with --into"
        )));
    }
    crate::config::names::stream_name(into)?;
    let keys = ErrorKeys::of(&stream);
    let store = house.look(&stream.destination.store).await?;
    let objects = args.objects.choose(house, &keys, &*store, &args.keys).await?;
    let edit = args.edit(objects.len())?;
    let (endpoint, region) = args.service.of(&house.config);
    let service = (endpoint.as_str(), region.as_str());
    let resender = Resender::new(service, into, &house.clock, args.in_doubt).await;
    let mut run = Run {
        args,
        house,
        store: &*store,
        root: sent::root(&keys.head),
        into,
        edit,
        resender,
        progress: Progress::new(&house.clock, None),
        sum: Sum::default(),
        taken_up: Numbers::default(),
    };
    let outcome = run.all(&objects).await;
    run.progress.done();
    run.report(objects.len());
    outcome.map(|()| run.sum.failed == 0)
}

impl RedriveArgs {
    fn edit(&self, objects: usize) -> Result<Edit> {
        if let Some(path) = &self.with {
            if objects != 1 {
                return Err(Error::invalid(format!(
                    "--with is for one record: name the KEY of its object, {objects} are chosen"
                )));
            }
            let read = std::fs::read(path);
            let bytes =
                read.map_err(|error| Error::unavailable(format!("{} cannot be read", path.display())).because(error))?;
            return Ok(Edit::Replace(bytes.into()));
        }
        Ok(self.edit.clone().map_or(Edit::None, Edit::Command))
    }

    fn wants(&self, failed: &Failed) -> bool {
        self.line.is_none_or(|line| line == failed.line) && self.code.as_ref().is_none_or(|code| *code == failed.code)
    }
}

/// What was done, in records.
#[derive(Default)]
struct Sum {
    sent: u64,
    before: u64,
    left_out: u64,
    /// Those that could not be sent.
    failed: u64,
}

/// One command at work.
struct Run<'a> {
    args: &'a RedriveArgs,
    house: &'a House,
    store: &'a dyn Destination,
    root: String,
    into: &'a str,
    edit: Edit,
    resender: Resender,
    progress: Progress,
    sum: Sum,
    /// Lines of the object at hand that an interrupted command began to send.
    taken_up: Numbers,
}

impl Run<'_> {
    async fn all(&mut self, objects: &[Object]) -> Result<()> {
        for (at, object) in objects.iter().enumerate() {
            let mut sent = Sent::load(self.store, &self.root, &object.key, self.into).await?;
            if !self.args.dry_run {
                self.take_up(object, &mut sent).await?;
            }
            self.object(object, &mut sent).await?;
            let sum = &self.sum;
            self.progress
                .at(at as u64, || format!("{} records sent, {at} of {} objects", count(sum.sent), objects.len()));
        }
        Ok(())
    }

    /// Ends what an interrupted command began.
    async fn take_up(&mut self, object: &Object, sent: &mut Sent<'_>) -> Result<()> {
        self.taken_up = Numbers::default();
        let Left::Rows(rows) = self.resender.take_up(sent).await? else { return Ok(()) };
        let mut batch = Batch::default();
        let mut failures = Failures::open(self.store, &object.key).await?;
        while let Some(group) = failures.next().await? {
            for failed in group.into_iter().filter(|failed| rows.holds(failed.line)) {
                if let Some(item) = self.mended(object, failed).await?
                    && batch.has_room(item.record.len())
                {
                    batch.push(item);
                }
            }
        }
        self.resender.finish(sent, batch).await?;
        self.sum.sent += rows.len();
        self.taken_up = rows;
        Ok(())
    }

    /// Sends what was chosen of one object and was not sent before.
    async fn object(&mut self, object: &Object, sent: &mut Sent<'_>) -> Result<()> {
        let mut failures = Failures::open(self.store, &object.key).await?;
        let before = sent.rows.clone();
        let mut batch = Batch::default();
        let outcome = async {
            while let Some(group) = failures.next().await? {
                for failed in group {
                    self.one(object, failed, (sent, &before), &mut batch).await?;
                }
            }
            self.flush(&mut batch, sent).await
        };
        let outcome = outcome.await;
        if !self.args.dry_run && outcome.is_ok() {
            sent.settle(false, &self.house.clock).await?;
        }
        match outcome {
            // The rest of the objects can be sent all the same.
            Err(error) if error.kind() == Kind::Corrupt => {
                complain(harmless(&error.to_string()));
                self.sum.failed += 1;
                self.flush(&mut batch, sent).await?;
                if self.args.dry_run { Ok(()) } else { sent.settle(false, &self.house.clock).await }
            }
            outcome => outcome,
        }
    }

    async fn one(
        &mut self,
        object: &Object,
        failed: Failed,
        (sent, before): (&mut Sent<'_>, &Numbers),
        batch: &mut Batch,
    ) -> Result<()> {
        if !self.args.wants(&failed) {
            return Ok(());
        }
        if before.holds(failed.line) {
            self.sum.before += u64::from(!self.taken_up.holds(failed.line));
            return Ok(());
        }
        let Some(item) = self.mended(object, failed).await? else { return Ok(()) };
        if !batch.has_room(item.record.len()) {
            self.flush(batch, sent).await?;
        }
        batch.push(item);
        Ok(())
    }

    /// The record as it is to be sent, if it can be.
    async fn mended(&mut self, object: &Object, failed: Failed) -> Result<Option<Item>> {
        let mut cannot = |why: &str| {
            self.sum.failed += 1;
            complain(format_args!("{} line {} cannot be sent: {why}", harmless(&object.key), failed.line));
            Ok(None)
        };
        let raw = match failed.raw {
            Ok(raw) => Bytes::from(raw),
            Err(why) => return cannot(&harmless(&why)),
        };
        match self.edit.apply(raw, &failed.code).await? {
            None => {
                self.sum.left_out += 1;
                Ok(None)
            }
            Some(record) if record.len() > RECORD_BYTES_MAX => cannot(&format!(
                "it has {} bytes, a record put into a delivery stream at most {RECORD_BYTES_MAX}",
                record.len()
            )),
            Some(record) => Ok(Some(Item { number: failed.line, record })),
        }
    }

    async fn flush(&mut self, batch: &mut Batch, sent: &mut Sent<'_>) -> Result<()> {
        let batch = std::mem::take(batch);
        if batch.is_empty() {
            return Ok(());
        }
        if !self.args.dry_run {
            self.resender.send(sent, &batch).await?;
        }
        self.sum.sent += batch.len() as u64;
        Ok(())
    }

    fn report(&self, objects: usize) {
        let Sum { sent, before, left_out, failed } = self.sum;
        let verb = if self.args.dry_run { "would be sent" } else { "sent" };
        let mut text =
            format!("{} records {verb} into {} from {} objects", count(sent), self.into, count(objects as u64));
        for (number, what) in [(before, "sent before"), (left_out, "left out"), (failed, "that cannot be sent")] {
            if number > 0 {
                // Writing to a String cannot fail.
                let _ = write!(text, ", {} {what}", count(number));
            }
        }
        say(text);
    }
}
