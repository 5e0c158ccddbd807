//! `standpipe errors ls`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::record::{Failures, UNREADABLE};
use super::{Object, Objects};
use crate::cli::delivered::keys::ErrorKeys;
use crate::cli::delivered::{ConfigArgs, House, exit, sent, time};
use crate::cli::setup;
use crate::cli::terminal::{columns, complain, count, harmless, say, size};
use crate::destination::Destination;
use crate::error::Result;

/// The command line of `errors ls`.
#[derive(Args)]
#[command(after_help = "Columns:
  TIME      when the object's oldest record arrived
  TYPE      the error type in the key, where the error prefix has it
  RECORDS   records in the object
  REDRIVEN  how many of those were sent again
  CODES     why they failed

To count them each object is read; --fast only lists.

Examples:
  standpipe errors ls web-logs
  standpipe errors ls web-logs --type processing-failed --since 24h
  standpipe errors ls web-logs --json | jq -r 'select(.codes[\"Lambda.FunctionError\"]) | .key'

Exit codes:
  0  it is shown, also when there is nothing
  1  the store cannot be read, or an object holds lines that cannot; standard error says which
  2  the command line is wrong")]
pub(super) struct LsArgs {
    /// The delivery stream
    stream: String,
    #[command(flatten)]
    objects: Objects,
    /// Only list the objects, without reading them
    #[arg(long)]
    fast: bool,
    /// Print a JSON object for each object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: ConfigArgs,
}

/// What was found in an object.
#[derive(Default)]
struct Counted {
    records: u64,
    redriven: u64,
    codes: BTreeMap<String, u64>,
}

/// Lists them.
pub(super) fn run(args: &LsArgs) -> ExitCode {
    setup::block_on(true, async {
        match House::open(&args.place).await {
            Ok(house) => exit(list(args, &house).await),
            Err(code) => code,
        }
    })
}

async fn list(args: &LsArgs, house: &House) -> Result<bool> {
    let stream = house.stream(&args.stream)?;
    let keys = ErrorKeys::of(&stream);
    let store = house.look(&stream.destination.store).await?;
    let objects = args.objects.find(house, &keys, &*store).await?;
    let root = sent::root(&keys.head);
    let has_markers = !args.fast && are_there(&*store, &root).await?;
    let heads = if args.fast {
        vec!["TIME", "TYPE", "BYTES", "KEY"]
    } else {
        vec!["TIME", "TYPE", "RECORDS", "REDRIVEN", "CODES", "KEY"]
    };
    let mut table = vec![heads.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    let (mut total, mut is_whole) = (Counted::default(), true);
    for object in &objects {
        let counted = if args.fast {
            None
        } else {
            let root = has_markers.then_some(root.as_str());
            let (counted, fault) = read(&*store, root, object).await?;
            if let Some(fault) = fault {
                complain(harmless(&fault));
                is_whole = false;
            }
            total.add(&counted);
            Some(counted)
        };
        if args.json {
            say(document(object, counted.as_ref()));
        } else {
            table.push(row(object, counted.as_ref()));
        }
    }
    if !args.json {
        print(&table, &total, objects.len());
    }
    Ok(is_whole)
}

/// Whether anything was ever sent again.
async fn are_there(store: &dyn Destination, root: &str) -> Result<bool> {
    Ok(!store.list(root, None).await?.objects.is_empty())
}

/// Reads one object; what of it cannot be read is told beside.
async fn read(store: &dyn Destination, root: Option<&str>, object: &Object) -> Result<(Counted, Option<String>)> {
    let mut counted = Counted::default();
    let mut fault = None;
    match Failures::open(store, &object.key).await {
        Err(error) => fault = Some(error.to_string()),
        Ok(mut failures) => loop {
            match failures.next().await {
                Ok(None) => break,
                Ok(Some(failed)) => failed.into_iter().for_each(|failed| counted.count(failed.code)),
                Err(error) => {
                    fault = Some(error.to_string());
                    break;
                }
            }
        },
    }
    if let Some(unreadable) = counted.codes.get(UNREADABLE) {
        fault = Some(format!("{}: {unreadable} of its lines cannot be read", object.key));
    }
    if let Some(root) = root {
        counted.redriven = sent::count(store, root, &object.key).await?.len();
    }
    Ok((counted, fault))
}

impl Counted {
    fn count(&mut self, code: String) {
        self.records += 1;
        *self.codes.entry(code).or_default() += 1;
    }

    fn add(&mut self, other: &Counted) {
        self.records += other.records;
        self.redriven += other.redriven;
        for (code, records) in &other.codes {
            *self.codes.entry(code.clone()).or_default() += records;
        }
    }
}

fn document(object: &Object, counted: Option<&Counted>) -> serde_json::Value {
    let mut document = json!({
        "key": object.key,
        "type": object.kind,
        "time": time(object.oldest_ms),
        "bytes": object.bytes,
    });
    if let Some(Counted { records, redriven, codes }) = counted {
        document["records"] = json!(records);
        document["redriven"] = json!(redriven);
        document["codes"] = json!(codes);
    }
    document
}

fn row(object: &Object, counted: Option<&Counted>) -> Vec<String> {
    let kind = if object.kind.is_empty() { "-".to_owned() } else { object.kind.clone() };
    let mut row = vec![time(object.oldest_ms), kind];
    match counted {
        None => row.push(size(object.bytes)),
        Some(Counted { records, redriven, codes }) => {
            let codes: Vec<_> =
                codes.iter().map(|(code, records)| format!("{}:{}", harmless(code), count(*records))).collect();
            row.extend([count(*records), count(*redriven), codes.join(" ")]);
        }
    }
    row.push(harmless(&object.key));
    row
}

fn print(table: &[Vec<String>], total: &Counted, objects: usize) {
    if objects == 0 {
        return say("no error output");
    }
    say(columns(table).trim_end());
    if total.records > 0 {
        let codes: Vec<_> =
            total.codes.iter().map(|(code, records)| format!("{} {}", count(*records), harmless(code))).collect();
        say(format_args!(
            "\n{} records in {} objects, {} sent again: {}",
            count(total.records),
            count(objects as u64),
            count(total.redriven),
            codes.join(", ")
        ));
    }
}
