//! `standpipe errors show`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::Objects;
use super::record::{Failed, Failures};
use crate::cli::delivered::keys::ErrorKeys;
use crate::cli::delivered::{ConfigArgs, House, exit, time};
use crate::cli::setup;
use crate::cli::terminal::{complain, harmless, say};
use crate::error::{Error, Kind, Result};

/// How much of a record is shown unless all of it is asked for.
const TEXT_BYTES: usize = 2_000;
const HEX_BYTES: usize = 256;

/// The command line of `errors show`.
#[derive(Args)]
#[command(
    after_help = "Every member of a record's document is shown. The record itself is shown as text where it is UTF-8, else as hexadecimal
bytes, cut where it is long. --raw prints the record's bytes and nothing else: this is what to mend in a file, for
\"errors redrive --with FILE\". --json prints the documents as they are, with line and key.

Examples:
  standpipe errors show web-logs
  standpipe errors show web-logs --code RequireJson.ParseError --limit 3
  standpipe errors show web-logs errors/processing-failed/2026/11/21/web-logs-1-… --line 3 --raw > record.json
  standpipe errors show web-logs --limit 1000000 --json | jq -r .errorMessage | sort | uniq -c

Exit codes:
  0  they are shown
  1  there are none, or an object cannot be read; standard error says which
  2  the command line is wrong"
)]
pub(super) struct ShowArgs {
    /// The delivery stream
    stream: String,
    /// Objects of its error output; all of them without
    keys: Vec<String>,
    /// Only records that failed with this code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only this line of each object, from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    line: Option<u64>,
    /// End after so many records
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Print the bytes of the records and nothing else
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print a JSON object for each record
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    objects: Objects,
    #[command(flatten)]
    place: ConfigArgs,
}

/// Shows them.
pub(super) fn run(args: &ShowArgs) -> ExitCode {
    setup::block_on(true, async {
        match House::open(&args.place).await {
            Ok(house) => exit(show(args, &house).await),
            Err(code) => code,
        }
    })
}

async fn show(args: &ShowArgs, house: &House) -> Result<bool> {
    let stream = house.stream(&args.stream)?;
    let keys = ErrorKeys::of(&stream);
    let store = house.look(&stream.destination.store).await?;
    let objects = args.objects.choose(house, &keys, &*store, &args.keys).await?;
    let (mut shown, mut is_whole) = (0, true);
    for object in &objects {
        if shown == args.limit {
            complain(format_args!("the first {shown} are shown; --limit shows more"));
            break;
        }
        let mut failures = Failures::open(&*store, &object.key).await?;
        loop {
            let group = match failures.next().await {
                Ok(Some(group)) => group,
                Ok(None) => break,
                Err(error) => {
                    complain(harmless(&error.to_string()));
                    is_whole = false;
                    break;
                }
            };
            let passed = args.line.is_some_and(|line| group.first().is_some_and(|first| first.line > line));
            if shown == args.limit || passed {
                break;
            }
            for failed in group.iter().filter(|failed| args.wants(failed)).take((args.limit - shown) as usize) {
                print(args, &object.key, failed)?;
                shown += 1;
            }
        }
    }
    if shown == 0 {
        return Err(Error::new(Kind::NotFound, "no such record is in the error output"));
    }
    Ok(is_whole)
}

impl ShowArgs {
    fn wants(&self, failed: &Failed) -> bool {
        self.line.is_none_or(|line| line == failed.line) && self.code.as_ref().is_none_or(|code| *code == failed.code)
    }
}

fn print(args: &ShowArgs, key: &str, failed: &Failed) -> Result<()> {
    if args.json {
        say(document(key, failed));
    } else if args.raw {
        let raw = failed.raw.as_ref().map_err(|why| Error::corrupt(format!("{key} line {}: {why}", failed.line)))?;
        // A reader that went away (`| head`) is no fault of ours.
        let _ = std::io::stdout().lock().write_all(raw);
    } else {
        say(text(key, failed));
    }
    Ok(())
}

fn document(key: &str, failed: &Failed) -> Value {
    let mut document = json!({"key": key, "line": failed.line});
    if let Err(why) = &failed.raw {
        document["fault"] = json!(why);
    }
    for (name, value) in &failed.members {
        document[name] = value.clone();
    }
    document
}

/// A record for a person.
fn text(key: &str, failed: &Failed) -> String {
    let mut text = format!("{} line {}\n", harmless(key), failed.line);
    let width = failed.members.keys().map(|name| name.chars().count()).max().unwrap_or(0).min(40);
    for (name, value) in failed.members.iter().filter(|(name, _)| *name != "rawData") {
        let shown = match value {
            Value::String(text) => harmless(text),
            value if name.ends_with("Timestamp") => format!("{value}{}", when(value)),
            value => harmless(&value.to_string()),
        };
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "  {:<width$}  {shown}", harmless(name));
    }
    match &failed.raw {
        Ok(raw) => text.push_str(&record(raw)),
        Err(why) => _ = writeln!(text, "  {}", harmless(why)),
    }
    text
}

/// A time in milliseconds, also in words.
fn when(value: &Value) -> String {
    let ms = value.as_u64().filter(|ms| *ms < 1 << 48);
    ms.map_or_else(String::new, |ms| format!(" ({})", time(ms)))
}

fn record(raw: &[u8]) -> String {
    let mut text = String::new();
    let is_cut = |max: usize| if raw.len() > max { format!(", the first {max} of them") } else { String::new() };
    let readable = std::str::from_utf8(raw).ok().filter(|text| !text.contains('\0'));
    if let Some(readable) = readable {
        let _ = writeln!(text, "  record: {} bytes of text{}", raw.len(), is_cut(TEXT_BYTES));
        for line in readable[..readable.floor_char_boundary(TEXT_BYTES)].lines() {
            let _ = writeln!(text, "    {}", harmless(line));
        }
        return text;
    }
    let _ = writeln!(text, "  record: {} bytes that are no text{}", raw.len(), is_cut(HEX_BYTES));
    for (at, bytes) in (0..).step_by(16).zip(raw[..raw.len().min(HEX_BYTES)].chunks(16)) {
        let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let plain: String =
            bytes.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' }).collect();
        let _ = writeln!(text, "    {at:06x}  {:<47}  {plain}", hex.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cli::delivered::rows::Row;

    fn failed(raw: &[u8]) -> Failed {
        let raw = base64_simd::STANDARD.encode_to_string(raw);
        let line = format!(
            "{{\"rawData\":\"{raw}\",\"errorCode\":\"A.B\",\"errorMessage\":\"no\\u001b[2J\",\"arrivalTimestamp\":1700000000123,\
             \"dataCatalogTable\":{{\"region\":\"x\"}}}}"
        );
        Failed::read(&Row { number: 3, bytes: Some(Bytes::from(line)) })
    }

    #[test]
    fn text_is_shown_as_text_and_all_members_with_it() {
        let expected = "errors/k line 3
  errorCode         A.B
  errorMessage      no\u{fffd}[2J
  arrivalTimestamp  1700000000123 (2023-11-14T22:13:20Z)
  dataCatalogTable  {\"region\":\"x\"}
  record: 9 bytes of text
    {\"a\":\u{fffd}
    é
";
        assert_eq!(text("errors/k", &failed("{\"a\":\u{7}\né".as_bytes())), expected);
        let document = document("errors/k", &failed(b"x"));
        assert_eq!(
            (&document["line"], &document["rawData"], &document["errorCode"]),
            (&json!(3), &json!("eA=="), &json!("A.B"))
        );
    }

    #[test]
    fn what_is_no_text_is_shown_as_bytes_and_cut() {
        let shown = record(b"\x1f\x8b\x08\0abc");
        assert_eq!(
            shown,
            format!("  record: 7 bytes that are no text\n    000000  {:<47}  ....abc\n", "1f 8b 08 00 61 62 63")
        );
        let long = record(&[0xff; 10_000]);
        assert!(long.lines().count() == 17 && long.contains("the first 256 of them"), "{long}");
        let long = record("é".repeat(10_000).as_bytes());
        assert!(long.len() < 2_200, "{}", long.len());
    }
}
