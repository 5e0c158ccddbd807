//! `standpipe verify`: proves the store against the delivery ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::delivered::{ConfigArgs, House, Moment, exit, time};
use super::terminal::{Progress, columns, count, harmless, say, size};
use super::{setup, status};
use crate::catalog::Entry;
use crate::error::{Error, Result};
use crate::ledger::Tally;
use crate::ledger::local::read_history;
use crate::record::StreamId;
use crate::telemetry::status::{StreamStatus, backup_name, each};

pub(super) mod audit;
pub(super) mod deep;
pub(super) mod objects;

use audit::{Account, Audit};
use objects::{Case, Found};

/// The command line of `verify`.
#[derive(Args)]
#[command(
    after_help = "It reads the ledger in the data directory, and lists the objects in the store with the credentials of the configuration
file; the service may run meanwhile. What is proven:

  ledger    the plans of each shard follow each other without hole or overlap (those of partitions above their watermark),
            what is committed was planned, and each record is counted once
  objects   each object of a committed plan is there, with as many bytes as were written
  foreign   no object with the stream's name is under its prefixes that is in no plan, and none is there twice
  sum       accepted = delivered + failed + dropped + expired + discarded + damaged + backlog, by the running service
  (backup)  of a stream with a backup the same of the backup, whose plans and objects are its own: NAME (backup)
  --deep    each object can be read to its end and decompressed (its checksums match), and holds as many bytes of records
            (for error output: as many records) as the ledger says; not for formats of columns, of which sizes alone are proven

What cannot be proven is said: the ledger keeps about 1 GiB of history, and what is older is only a sum; objects that a
lifecycle rule removed are missing, unless --since passes over their plans.

Examples:
  standpipe verify web-logs
  standpipe verify --all --json | jq '.streams[] | select(.ok | not)'
  standpipe verify --all --deep --since 24h

Exit codes:
  0  everything that can be proven is proven
  1  something is wrong, or could not be looked at; it is said what
  2  the command line is wrong"
)]
pub struct VerifyArgs {
    /// The delivery stream
    #[arg(required_unless_present = "all")]
    stream: Option<String>,
    /// All delivery streams
    #[arg(long, conflicts_with = "stream")]
    all: bool,
    /// Read every object to its end
    #[arg(long)]
    deep: bool,
    /// Only hold plans made then or later against the store: 2026-01-02T03:04:05Z, or how long ago: 24h
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    since: Option<Moment>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    /// The running service's admin listener; that of the configuration file without
    #[arg(long, value_name = "URL", env = "STANDPIPE_ADMIN")]
    admin: Option<String>,
    #[command(flatten)]
    place: ConfigArgs,
}

/// What was found out about one stream.
#[derive(Debug, Serialize)]
struct Report {
    stream: String,
    ok: bool,
    plans: u64,
    open_plans: u64,
    objects: u64,
    bytes: u64,
    objects_read: Option<u64>,
    /// Since the stream was made.
    total: Tally,
    backlog: Option<u64>,
    /// Where the history begins, if it does not begin with the stream.
    history_since_ms: Option<u64>,
    faults: Vec<String>,
    notes: Vec<String>,
}

/// The whole document.
#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    streams: &'a [Report],
    ledger_faults: &'a [String],
}

/// Verifies.
pub fn run(args: &VerifyArgs) -> ExitCode {
    setup::block_on(true, async {
        match House::open(&args.place).await {
            Ok(house) => exit(verify(args, &house).await),
            Err(code) => code,
        }
    })
}

async fn verify(args: &VerifyArgs, house: &House) -> Result<bool> {
    let (disk, entries) = house.known()?;
    let chosen: Vec<_> = match &args.stream {
        Some(name) => vec![house.entry(name)?],
        None => entries.values().cloned().collect(),
    };
    let chosen: Vec<Subject> = chosen.iter().flat_map(|entry| subjects(entry)).collect();
    // Before the ledger is read, so that all of it was planned by then.
    let mut found = BTreeMap::new();
    for subject in &chosen {
        let looked = objects::find(house, &subject.entry).await.map_err(|error| of(subject, &error));
        found.insert(subject.entry.id, looked);
    }
    let mut audit = Audit::default();
    read_history(&**disk)?.for_each(|recorded| audit.take(recorded));
    let now = now(args, house).await;
    let kin: Vec<_> = chosen.iter().map(|subject| audit.keys(subject.kin)).collect();
    let mut reports = Vec::new();
    for (subject, kin) in chosen.iter().zip(kin) {
        let found = found.remove(&subject.entry.id).unwrap_or_else(|| Ok(Found::new()));
        reports.push(report(args, house, (subject, kin), (found, &mut audit, &now)).await);
    }
    let ok = audit.damage.is_empty() && reports.iter().all(|report| report.ok);
    if args.json {
        let document = Document { ok, streams: &reports, ledger_faults: &audit.damage };
        say(serde_json::to_string_pretty(&document).expect("a report is plain data"));
    } else {
        print(&reports, &audit.damage);
    }
    Ok(ok)
}

/// What is verified: a stream, or its backup.
struct Subject {
    name: String,
    /// The backup's is that of a stream alone, as the ledger knows it.
    entry: Entry,
    /// Whose objects have the same names, and may be under its prefixes: of a stream its backup, and the other way round.
    kin: StreamId,
}

/// A stream, and its backup if it has one.
fn subjects(entry: &Entry) -> Vec<Subject> {
    let (id, backup) = (entry.id, entry.id.backup());
    let mut all = vec![Subject { name: entry.stream.name.clone(), entry: entry.clone(), kin: backup }];
    all.extend(entry.stream.of_backup().map(|stream| Subject {
        name: backup_name(&entry.stream.name),
        entry: Entry { id: backup, stream: stream.into(), ..entry.clone() },
        kin: id,
    }));
    all
}

fn of(subject: &Subject, error: &Error) -> Error {
    Error::new(error.kind(), format!("the objects of {} cannot be looked at: {error}", subject.name))
}

/// What the running service says of its streams, or why it does not.
async fn now(args: &VerifyArgs, house: &House) -> Result<Vec<StreamStatus>> {
    let own = format!("http://{}", house.config.server.admin_listen);
    let admin = args.admin.as_deref().unwrap_or(&own);
    status::fetch(&house.clock, admin).await.map(|status| each(&status.streams).cloned().collect())
}

type Known<'a> = (Result<Found>, &'a mut Audit, &'a Result<Vec<StreamStatus>>);

async fn report(
    args: &VerifyArgs,
    house: &House,
    (subject, kin): (&Subject, BTreeSet<String>),
    (found, audit, now): Known<'_>,
) -> Report {
    let entry = &subject.entry;
    let begins_ms = audit.begins_ms;
    let damaged = !audit.damage.is_empty();
    let mut account = audit.accounts.remove(&entry.id).unwrap_or_default();
    account.close();
    let history_since_ms = account.before.and(begins_ms);
    let mut report = Report {
        stream: subject.name.clone(),
        ok: false,
        plans: account.plans.len() as u64,
        open_plans: account.open_plans() as u64,
        objects: 0,
        bytes: 0,
        objects_read: None,
        total: account.total,
        backlog: None,
        history_since_ms,
        faults: std::mem::take(&mut account.faults),
        notes: Vec::new(),
    };
    if let (Some(before), Some(since)) = (account.before, history_since_ms) {
        report.notes.push(format!(
            "the ledger's history begins at {}: what was delivered before ({} records, {} objects) is known as a sum alone",
            time(since),
            before.delivered,
            before.objects
        ));
    }
    let case = found.map(|found| Case {
        entry,
        plans: &account.plans,
        found,
        kin,
        begins_ms: history_since_ms,
        unsure: damaged || account.is_unsure(),
        since_ms: args.since.map_or(0, |since| since.ms(&house.clock)),
    });
    if let Err(error) = look(args, house, case, &mut report).await {
        report.faults.push(error.to_string());
    }
    sum(&account, now, &mut report);
    if report.open_plans > 0 {
        report.notes.push(format!("{} plans are not carried out yet", report.open_plans));
    }
    report.ok = report.faults.is_empty();
    report
}

async fn look(args: &VerifyArgs, house: &House, case: Result<Case<'_>>, report: &mut Report) -> Result<()> {
    let verdict = objects::compare(house, case?).await?;
    report.objects = verdict.good.len() as u64;
    report.bytes = verdict.bytes;
    report.faults.extend(verdict.faults);
    report.notes.extend(verdict.notes);
    if args.deep {
        let mut progress = Progress::new(&house.clock, Some(verdict.good.len() as u64));
        let read = deep::read_all(house, &verdict.good, &mut progress).await;
        progress.done();
        let (read, faults) = read?;
        report.objects_read = Some(read);
        report.faults.extend(faults);
        if read < report.objects {
            let left = report.objects - read;
            report.notes.push(format!("{left} objects are in a format of columns: their sizes alone are proven"));
        }
    }
    Ok(())
}

/// Holds the sums of the ledger against those of the service, which is a little ahead.
fn sum(account: &Account, now: &Result<Vec<StreamStatus>>, report: &mut Report) {
    let status = match now {
        Ok(streams) => streams.iter().find(|status| status.name == report.stream),
        Err(error) => {
            report.notes.push(format!("the backlog is not known: {error}"));
            return;
        }
    };
    let Some(status) = status else {
        report.notes.push("the backlog is not known: the service that answers has no such stream".to_owned());
        return;
    };
    report.backlog = Some(status.backlog_records);
    if status.unaccounted() != 0 {
        report.faults.push(format!("sum: {} records of those accepted are not accounted for", status.unaccounted()));
    }
    let total = &account.total;
    let sums = [
        ("delivered", status.delivered, total.delivered),
        ("failed", status.failed, total.failed),
        ("dropped", status.dropped, total.dropped),
        ("expired", status.expired, total.expired),
        ("discarded", status.discarded, total.discarded),
        ("damaged", status.damaged, total.damaged),
        ("objects", status.objects, total.objects),
    ];
    for (what, said, counted) in sums.into_iter().filter(|(_, said, counted)| said < counted && !account.is_unsure()) {
        report.faults.push(format!("sum: the service says {what} {said}, its ledger {counted}"));
    }
}

fn print(reports: &[Report], damage: &[String]) {
    let heads = ["STREAM", "VERDICT", "PLANS", "OBJECTS", "BYTES", "DELIVERED", "FAILED", "DROPPED", "LOST", "BACKLOG"];
    let mut table = vec![heads.map(str::to_owned).to_vec()];
    for report in reports {
        let total = &report.total;
        let verdict = if report.ok && damage.is_empty() {
            "ok".to_owned()
        } else {
            format!("{} FAULTS", report.faults.len() + damage.len())
        };
        table.push(vec![
            harmless(&report.stream),
            verdict,
            count(report.plans),
            count(report.objects),
            size(report.bytes),
            count(total.delivered),
            count(total.failed),
            count(total.dropped),
            count(total.expired + total.discarded + total.damaged),
            report.backlog.map_or_else(|| "?".to_owned(), count),
        ]);
    }
    say(columns(&table).trim_end());
    for fault in damage {
        say(format_args!("\nledger: {}", harmless(fault)));
    }
    for report in reports {
        told(&report.stream, "FAULT", &report.faults);
        told(&report.stream, "note", &report.notes);
    }
}

/// The first of them; the document has them all.
fn told(stream: &str, what: &str, lines: &[String]) {
    const SHOWN_MAX: usize = 50;
    for line in lines.iter().take(SHOWN_MAX) {
        say(format_args!("\n{} {what}: {}", harmless(stream), harmless(line)));
    }
    if lines.len() > SHOWN_MAX {
        say(format_args!("\n{} {what}: {} more; --json has them all", harmless(stream), lines.len() - SHOWN_MAX));
    }
}
