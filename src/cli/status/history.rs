//! The delivery ledger, read from disk: what was planned and what was committed.

use std::fmt::Write as _;
use std::path::Path;

use chrono::{DateTime, SecondsFormat};
use serde_json::json;

use crate::cli::terminal::{complain, count, harmless, say, size};
use crate::disk::RealDisk;
use crate::error::{Error, Result};
use crate::ledger::local::{Entry, Recorded, read_history};
use crate::ledger::{Plan, PlanId, Tally};
use crate::record::ShardId;

/// Prints the entries of the ledger in `data_dir`, a line for each; as JSON objects if asked so. Damage is told on
/// standard error in its place, and is an error at the end.
pub(super) fn show(data_dir: &Path, as_json: bool) -> Result<()> {
    let cannot = |error: std::io::Error| {
        Error::unavailable(format!("--data-dir {} cannot be read", data_dir.display())).because(error)
    };
    // Opening would make it.
    std::fs::metadata(data_dir.join("ledger")).map_err(cannot)?;
    let disk = RealDisk::open(data_dir).map_err(cannot)?;
    let mut damaged = 0_u64;
    for recorded in read_history(&disk)? {
        match recorded {
            Ok(recorded) if as_json => {
                say(json!({"file": recorded.file, "line": recorded.line, "entry": recorded.entry}));
            }
            Ok(recorded) => say(line(&recorded)),
            Err(error) => {
                damaged += 1;
                complain(error);
            }
        }
    }
    if damaged == 0 { Ok(()) } else { Err(Error::corrupt(format!("{damaged} parts of the ledger are damaged"))) }
}

/// One entry for a person.
fn line(recorded: &Recorded) -> String {
    match &recorded.entry {
        Entry::Plan { id, plan } => planned("PLAN  ", *id, plan),
        Entry::Replan { old, id, plan } => format!("{}  in place of #{old}", planned("REPLAN", *id, plan)),
        Entry::Commit { id, stream, ms, tally } => {
            format!("{}  COMMIT  #{id}  {stream}  {}", time(*ms), sums(tally))
        }
        Entry::Start { stream, shard, position, ms } => {
            format!("{}  START   {stream}  {}  {position}..", time(*ms), place(*shard))
        }
        Entry::Skip { stream, shard, end, ms, tally } => {
            format!("{}  SKIP    {stream}  {}  ..{end}  {}", time(*ms), place(*shard), sums(tally))
        }
        Entry::Advance { stream, to, ms, tally } => {
            let places: Vec<_> =
                to.iter().map(|(shard, position)| format!("{}  ..{position}", place(*shard))).collect();
            format!("{}  ADVANCE {stream}  {}  {}", time(*ms), places.join("  "), sums(tally))
        }
        Entry::Retire { stream, shard, ms } => format!("{}  RETIRE  {stream}  {}", time(*ms), place(*shard)),
        Entry::Remove { stream, ms } => format!("{}  REMOVE  {stream}", time(*ms)),
        Entry::Stream { stream, total, .. } => format!("{:24}  BEFORE  {stream}  {}", "", sums(total)),
        Entry::Shard { stream, shard, began, committed } => {
            format!("{:24}  BEFORE  {stream}  {}  {began}..{committed}", "", place(*shard))
        }
        Entry::Open { id, plan } => {
            format!("{:24}  OPEN    #{id}  {}  {}  {}", "", plan.stream, spans(plan), harmless(&plan.key))
        }
        Entry::Header { .. } | Entry::Begin { .. } | Entry::End { .. } | Entry::Lane { .. } | Entry::Routing { .. } => {
            format!("{:24}  {} line {}", "", recorded.file, recorded.line)
        }
    }
}

fn planned(what: &str, id: PlanId, plan: &Plan) -> String {
    let (at, stream, key) = (time(plan.planned_ms), plan.stream, harmless(&plan.key));
    format!("{at}  {what}  #{id}  {stream}  {}  {key}", spans(plan))
}

/// Where a plan's records stand: each of its shards with its positions.
fn spans(plan: &Plan) -> String {
    let spans: Vec<String> =
        plan.spans.iter().map(|span| format!("{} {}..{}", place(span.shard), span.start, span.end)).collect();
    spans.join(", ")
}

fn place(shard: ShardId) -> String {
    format!("{}/{}", shard.stream, shard.index)
}

/// The counts that are not zero.
fn sums(tally: &Tally) -> String {
    let mut text = String::new();
    let records = [
        ("delivered", tally.delivered),
        ("unpacked", tally.unpacked),
        ("failed", tally.failed),
        ("unpacked failed", tally.unpacked_failed),
        ("dropped", tally.dropped),
        ("expired", tally.expired),
        ("discarded", tally.discarded),
        ("damaged", tally.damaged),
        ("objects", tally.objects),
    ];
    for (name, number) in records.into_iter().filter(|(_, number)| *number > 0) {
        _ = write!(text, "{name} {} ", count(number));
    }
    if tally.objects > 0 {
        _ = write!(text, "({} from {})", size(tally.object_bytes), size(tally.delivered_bytes));
    }
    text.trim_end().to_owned()
}

fn time(ms: u64) -> String {
    let at = i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::StreamId;

    fn recorded(entry: Entry) -> Recorded {
        Recorded { file: "0001".into(), line: 3, entry }
    }

    #[test]
    fn entries_read_as_what_happened() {
        let tally =
            Tally { delivered: 1_500, delivered_bytes: 4_096, objects: 1, object_bytes: 1_024, ..Tally::default() };
        let commit = Entry::Commit { id: 7, stream: StreamId(0xab), ms: 1_700_000_000_123, tally };
        assert_eq!(
            line(&recorded(commit)),
            "2023-11-14T22:13:20.123Z  COMMIT  #7  00000000000000ab  delivered 1,500 objects 1 (1.00 KiB from 4.00 KiB)"
        );
        let remove = Entry::Remove { stream: StreamId(1), ms: 0 };
        assert_eq!(line(&recorded(remove)), "1970-01-01T00:00:00.000Z  REMOVE  0000000000000001");
    }

    #[test]
    fn a_directory_without_a_ledger_is_named_and_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let error = show(&dir.path().join("nothing"), false).unwrap_err();
        assert!(error.to_string().contains("nothing cannot be read"), "{error}");
        assert!(!dir.path().join("nothing").exists());
    }
}
