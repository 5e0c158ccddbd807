//! `standpipe replay`: delivers a part of what was delivered again, to another prefix or another stream.

use std::process::ExitCode;

use clap::Args;

use super::delivered::resend::InDoubt;
use super::delivered::{ConfigArgs, EndpointArgs, House, Moment, exit, time};
use super::setup;
use super::terminal::{columns, count, harmless, say, size};
use crate::catalog::Entry;
use crate::error::{Error, Kind, Result};
use crate::ledger::Plan;
use crate::ledger::local::read_history;

use super::verify::audit::{Account, Audit, State};
use super::verify::objects::{Content, Expected, expected};

mod copy;
mod guard;
mod send;

/// The command line of `replay`.
#[derive(Args)]
#[command(
    after_help = "The source are the delivered objects themselves, chosen by the ledger's history. An object is the unit: all of it is
delivered again if any of its records may be meant, that is if a record of it may have arrived between --from and --to, or
stands at such a position. --dry-run shows which are chosen, with their times and positions.

--prefix P copies each object, byte for byte, to P and its key, in the same store. Any format will do. An object that is
there is not copied again, so that a repeated or interrupted command ends what it began. P may not be a prefix into which a
stream delivers.

--into STREAM puts the rows of the objects into another delivery stream, as new records, each once, as \"errors redrive\" does:
what was sent is written down beside the error output (.standpipe-sent/), within the same bounds. --run NAME sends them once more under another name.
Rows are lines, so this takes objects whose stream puts a line feed between records (delimiter = \"always\" or
\"if-missing\"), and no format of columns. An object that has not as many lines as the ledger counts rows is not sent, for
its records cannot be told apart, unless --lines says that lines will do.

What it cannot do: choose single records by their time; reach beyond the ledger's history (about 1 GiB); bring back what an
object does not hold any more (what a transform removed, what failed: see \"standpipe errors\"). While a data stream still
holds its records (its retention), a new delivery stream that starts at a time reads the originals instead:
  source = { data_stream = \"clicks\", start = \"2026-01-02T03:04:05Z\" }

Examples:
  standpipe replay web-logs --from 2026-01-02T00:00:00Z --to 2026-01-03T00:00:00Z --prefix again/ --dry-run
  standpipe replay web-logs --from 24h --prefix again/
  standpipe replay web-logs --from 24h --to 12h --into web-logs-fixed
  standpipe replay web-logs --from 1000000 --to 2000000 --into test

Exit codes:
  0  all that was chosen is delivered again, now or before
  1  not all of it; standard error says what and why
  2  the command line is wrong"
)]
pub struct ReplayArgs {
    /// The delivery stream whose objects are delivered again
    stream: String,
    /// From when or from which position on: 2026-01-02T03:04:05Z, 24h (ago), or a number
    #[arg(long, value_name = "WHERE", value_parser = Bound::parse)]
    from: Bound,
    /// Up to when or before which position; to the end without
    #[arg(long, value_name = "WHERE", value_parser = Bound::parse)]
    to: Option<Bound>,
    /// The shard that positions are of
    #[arg(long, value_name = "N", default_value_t = 0)]
    shard: u32,
    /// Copy the objects to this beginning of their keys
    #[arg(long, value_name = "PREFIX", required_unless_present = "into")]
    prefix: Option<String>,
    /// Put their rows into this delivery stream
    #[arg(long, value_name = "STREAM", conflicts_with = "prefix")]
    into: Option<String>,
    /// Take lines for rows, whatever the ledger counts
    #[arg(long, requires = "into")]
    lines: bool,
    /// Send rows without their line feed, for a stream that puts a delimiter between records itself
    #[arg(long, requires = "into")]
    strip: bool,
    /// A name for this replay: under another one the same rows are sent again
    #[arg(long, value_name = "NAME", requires = "into")]
    run: Option<String>,
    /// What to do with records of which nobody knows whether they were stored
    #[arg(long, value_name = "WHAT", requires = "into")]
    in_doubt: Option<InDoubt>,
    /// Deliver nothing, show what is chosen
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: ConfigArgs,
    #[command(flatten)]
    service: EndpointArgs,
}

/// Where a range begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Time(Moment),
    Position(u64),
}

impl Bound {
    fn parse(text: &str) -> Result<Bound> {
        match text.parse() {
            Ok(position) => Ok(Bound::Position(position)),
            Err(_) => Moment::parse(text).map(Bound::Time),
        }
    }
}

/// What is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    /// What arrived in these milliseconds since 1970.
    Times(u64, u64),
    /// These positions of the shard of this number.
    Positions(u32, u64, u64),
}

/// An object that is delivered again.
struct Chosen {
    plan: Plan,
    object: Expected,
}

/// Delivers again.
pub fn run(args: &ReplayArgs) -> ExitCode {
    setup::block_on(true, async {
        match House::open(&args.place).await {
            Ok(house) => exit(replay(args, &house).await),
            Err(code) => code,
        }
    })
}

async fn replay(args: &ReplayArgs, house: &House) -> Result<bool> {
    let entry = house.entry(&args.stream)?;
    let range = range(args, house)?;
    let (account, begins_ms) = account(house, &entry)?;
    within_history(&account, begins_ms, range)?;
    let chosen = choose(&account, &entry, range)?;
    match (&args.prefix, &args.into) {
        (Some(prefix), _) => guard::prefix(house, &entry.stream, prefix, &chosen)?,
        (None, Some(into)) => guard::stream(house, &entry.stream, into)?,
        (None, None) => return Err(Error::invalid("say --prefix or --into")),
    }
    if args.dry_run || chosen.is_empty() {
        show(&chosen);
        return Ok(true);
    }
    match (&args.prefix, &args.into) {
        (Some(prefix), _) => copy::copy(house, &entry, prefix, &chosen).await,
        (None, into) => send::send(args, house, &entry, (into.as_deref().unwrap_or_default(), &chosen)).await,
    }
}

fn range(args: &ReplayArgs, house: &House) -> Result<Range> {
    let range = match (args.from, args.to) {
        (Bound::Time(from), None) => Range::Times(from.ms(&house.clock), u64::MAX),
        (Bound::Time(from), Some(Bound::Time(to))) => Range::Times(from.ms(&house.clock), to.ms(&house.clock)),
        (Bound::Position(from), None) => Range::Positions(args.shard, from, u64::MAX),
        (Bound::Position(from), Some(Bound::Position(to))) => Range::Positions(args.shard, from, to),
        _ => return Err(Error::invalid("--from and --to are both times, or both positions")),
    };
    match range {
        Range::Times(from, to) | Range::Positions(_, from, to) if from >= to => {
            Err(Error::invalid("nothing is between --from and --to"))
        }
        range => Ok(range),
    }
}

/// What the history says of the stream, and where it begins if something was before.
fn account(house: &House, entry: &Entry) -> Result<(Account, Option<u64>)> {
    let (disk, _) = house.known()?;
    let mut audit = Audit::default();
    read_history(&**disk)?.for_each(|recorded| audit.take(recorded));
    if let Some(damage) = audit.damage.first() {
        return Err(Error::corrupt(format!(
            "the ledger's history is damaged, so that not all of what is meant may be known: {damage}"
        )));
    }
    let account = audit.accounts.remove(&entry.id).unwrap_or_default();
    let begins_ms = account.before.and(audit.begins_ms);
    Ok((account, begins_ms))
}

/// Refuses a range that begins before what is known.
fn within_history(account: &Account, begins_ms: Option<u64>, range: Range) -> Result<()> {
    let Some(begins_ms) = begins_ms else { return Ok(()) };
    let known = match range {
        Range::Times(from, _) => from >= begins_ms,
        Range::Positions(shard, from, _) => {
            let mut spans = account.plans.iter().flat_map(|planned| &planned.plan.spans);
            spans.find(|span| span.shard.index == shard).is_some_and(|first| first.start <= from)
        }
    };
    if known {
        return Ok(());
    }
    let begins = time(begins_ms);
    Err(Error::new(
        Kind::NotFound,
        format!(
            "the ledger's history begins at {begins}: which objects hold what was before is not known any more; say a later --from"
        ),
    ))
}

/// The objects of committed plans that may hold what is meant, in their order.
fn choose(account: &Account, entry: &Entry, range: Range) -> Result<Vec<Chosen>> {
    let mut chosen = Vec::new();
    for planned in account.plans.iter().filter(|planned| is_meant(&planned.plan, range)) {
        let State::Done(tally) = planned.state else { continue };
        let objects = expected(planned, &tally, &entry.stream.destination.store)?;
        let rows = objects.into_iter().filter(|object| matches!(object.content, Content::Rows { .. }));
        chosen.extend(rows.map(|object| Chosen { plan: planned.plan.clone(), object }));
    }
    Ok(chosen)
}

fn is_meant(plan: &Plan, range: Range) -> bool {
    match range {
        // The oldest record arrived at the one, and all of them before the other.
        Range::Times(from, to) => plan.object_ms < to && plan.planned_ms >= from,
        Range::Positions(shard, from, to) => {
            plan.spans.iter().any(|span| span.shard.index == shard && span.start < to && span.end > from)
        }
    }
}

impl Chosen {
    fn rows(&self) -> u64 {
        match self.object.content {
            Content::Rows { rows, .. } => rows,
            Content::Failures(_) => 0,
        }
    }
}

fn show(chosen: &[Chosen]) {
    if chosen.is_empty() {
        return say("no object holds what is meant");
    }
    let mut table = vec![["OLDEST RECORD", "PLANNED", "POSITIONS", "ROWS", "BYTES", "KEY"].map(str::to_owned).to_vec()];
    for one in chosen {
        let spans = one.plan.spans.iter().map(|span| format!("{}:{}..{}", span.shard.index, span.start, span.end));
        table.push(vec![
            time(one.plan.object_ms),
            time(one.plan.planned_ms),
            spans.collect::<Vec<_>>().join(" "),
            count(one.rows()),
            size(one.object.bytes.unwrap_or(0)),
            harmless(&one.object.key),
        ]);
    }
    say(columns(&table).trim_end());
    let rows = chosen.iter().map(Chosen::rows).sum();
    say(format_args!("\n{} rows in {} objects", count(rows), count(chosen.len() as u64)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ShardId, Span, StreamId};

    #[test]
    fn an_object_is_chosen_if_any_of_its_records_may_be_meant() {
        let stream = StreamId(1);
        let span = |index, start, end| Span { shard: ShardId { stream, index }, start, end };
        let plan = Plan {
            stream,
            spans: vec![span(0, 10, 20), span(3, 0, 5)],
            planned_ms: 2_000,
            object_ms: 1_000,
            version: 1,
            key: "k".into(),
            error_key: "e".into(),
            error_keys: std::collections::BTreeMap::new(),
            target: serde_json::Value::Null,
            share: None,
        };
        for (range, expected) in [
            (Range::Times(0, 1_000), false),
            (Range::Times(0, 1_001), true),
            (Range::Times(2_000, 3_000), true),
            (Range::Times(2_001, 3_000), false),
            (Range::Positions(0, 0, 10), false),
            (Range::Positions(0, 19, 20), true),
            (Range::Positions(0, 20, 99), false),
            (Range::Positions(3, 4, 99), true),
            (Range::Positions(1, 0, 99), false),
        ] {
            assert_eq!(is_meant(&plan, range), expected, "{range:?}");
        }
    }

    #[test]
    fn bounds_are_times_or_positions() {
        assert_eq!(Bound::parse("17").unwrap(), Bound::Position(17));
        assert_eq!(Bound::parse("17s").unwrap(), Bound::Time(Moment::Ago(17_000)));
        assert_eq!(Bound::parse("1970-01-01T00:00:00Z").unwrap(), Bound::Time(Moment::At(0)));
        assert!(Bound::parse("-1").is_err());
    }
}
