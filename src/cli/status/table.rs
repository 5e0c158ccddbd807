//! The status as a table for a terminal.

use std::fmt::Write as _;

use super::data;
use crate::cli::terminal::{age, count, harmless, size};
use crate::telemetry::status::{JournalStatus, Status, StreamStatus, WebhookStatus, each};

const HEADS: [&str; 9] =
    ["STREAM", "STATE", "ACCEPTED", "DELIVERED", "FAILED", "LOST", "BACKLOG", "FRESHNESS", "LAST OBJECT"];
const SOURCE_HEADS: [&str; 6] = ["STREAM", "COPIES FROM", "SHARDS", "COPIED", "BEHIND", "GAPS"];
/// Columns before this one hold text.
const TEXT_COLUMNS: usize = 2;

/// The service in a line, its streams in tables, then what went wrong. `now_ms` is the reader's time.
pub(super) fn render(status: &Status, with_shards: bool, now_ms: u64) -> String {
    let service = &status.service;
    let discarded = match service.discarded_records {
        0 => String::new(),
        records => format!(" · {} records given up with streams or backups that are gone", count(records)),
    };
    let mut text = format!(
        "standpipe {} · up {} · {} · {} {}{discarded}\n",
        harmless(&service.version),
        age(service.uptime_seconds as f64),
        journal(&service.journal),
        status.streams.len(),
        if status.streams.len() == 1 { "stream" } else { "streams" },
    );
    if !status.streams.is_empty() {
        let mut rows = vec![HEADS.map(str::to_owned)];
        rows.extend(each(&status.streams).map(|stream| row(stream, now_ms)));
        text.push('\n');
        text.push_str(&align(&rows, TEXT_COLUMNS));
    }
    text.push_str(&sources(&status.streams));
    text.push_str(&data::render(&status.data_streams, with_shards));
    for stream in each(&status.streams) {
        if let Some(error) = &stream.last_error {
            _ = write!(
                text,
                "\n{}: last error{}: {}",
                harmless(&stream.name),
                ago(stream.last_error_ms, now_ms),
                harmless(error)
            );
        }
        if let Some(webhook) = &stream.webhook {
            text.push_str(&told(&stream.name, webhook, now_ms));
        }
    }
    text.trim_end().to_owned()
}

/// What is wrong with the telling of objects; nothing where nothing is.
fn told(stream: &str, webhook: &WebhookStatus, now_ms: u64) -> String {
    let Some(error) = &webhook.last_error else { return String::new() };
    format!(
        "\n{}: webhook, {} waiting, {} dropped, last error{}: {}",
        harmless(stream),
        count(webhook.waiting),
        count(webhook.dropped),
        ago(webhook.last_error_ms, now_ms),
        harmless(error)
    )
}

/// What is copied from elsewhere; nothing where nothing is.
fn sources(streams: &[StreamStatus]) -> String {
    let row = |stream: &StreamStatus| {
        let from = stream.source.as_ref()?;
        let behind = from.behind_seconds.map_or_else(|| "-".to_owned(), age);
        let (shards, copied, gaps) = (count(from.shards), count(from.copied), count(from.gaps));
        Some([harmless(&stream.name), harmless(&from.stream), shards, copied, behind, gaps])
    };
    let rows: Vec<_> = streams.iter().filter_map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{}", align(&[vec![SOURCE_HEADS.map(str::to_owned)], rows].concat(), TEXT_COLUMNS))
}

fn journal(journal: &JournalStatus) -> String {
    let text = format!("journal {} of {}", size(journal.bytes), size(journal.limit_bytes));
    if journal.healthy {
        return text;
    }
    let reason = journal.reason.as_deref().map_or_else(|| "no reason given".to_owned(), harmless);
    format!("{text}, TAKES NO RECORDS: {reason}")
}

/// Records that are neither in an object nor in the error output nor waiting, and that no transform dropped.
fn lost(stream: &StreamStatus) -> u64 {
    stream.expired + stream.discarded + stream.damaged
}

fn row(stream: &StreamStatus, now_ms: u64) -> [String; HEADS.len()] {
    let state = match stream.status.as_str() {
        "ACTIVE" | "" => harmless(&stream.state),
        status => harmless(&format!("{status} {}", stream.state)),
    };
    let backlog = match stream.backlog_records {
        0 => "0".to_owned(),
        records => format!("{} ({})", count(records), size(stream.backlog_bytes)),
    };
    let last = stream
        .last_object
        .as_deref()
        .map_or_else(|| "-".to_owned(), |key| format!("{}{}", harmless(key), ago(stream.last_object_ms, now_ms)));
    [
        harmless(&stream.name),
        state,
        count(stream.accepted),
        count(stream.delivered),
        count(stream.failed),
        count(lost(stream)),
        backlog,
        stream.freshness_seconds.map_or_else(|| "-".to_owned(), age),
        last,
    ]
}

/// ` (5 s ago)`, or nothing if the time is not known.
fn ago(then_ms: Option<u64>, now_ms: u64) -> String {
    then_ms.map_or_else(String::new, |then| format!(" ({} ago)", age(now_ms.saturating_sub(then) as f64 / 1_000.0)))
}

/// The rows as lines: columns before `text_columns` stand left, the others right, but for the last.
pub(super) fn align<const N: usize>(rows: &[[String; N]], text_columns: usize) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            _ = match column {
                _ if column + 1 == N => write!(line, "{cell}"),
                _ if column < text_columns => write!(line, "{cell:<width$}  "),
                _ => write!(line, "{cell:>width$}  "),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::status::{ServiceStatus, SourceStatus, backup_name};

    const NOW_MS: u64 = 1_700_000_100_000;

    fn status() -> Status {
        let web = StreamStatus {
            name: "web-logs".into(),
            status: "ACTIVE".into(),
            accepted: 12_000,
            delivered: 10_000,
            failed: 3,
            damaged: 2,
            backlog_records: 1_995,
            backlog_bytes: 650_000,
            freshness_seconds: Some(4.2),
            last_object: Some("web/2026/a.gz".into()),
            last_object_ms: Some(NOW_MS - 5_000),
            last_error: Some("no\x1b bucket".into()),
            last_error_ms: Some(NOW_MS - 60_000),
            state: "failing".into(),
            ..StreamStatus::default()
        };
        let idle = StreamStatus {
            name: "idle".into(),
            status: "DELETING".into(),
            state: "delivering".into(),
            ..StreamStatus::default()
        };
        let journal = JournalStatus { bytes: 2_048, limit_bytes: 1 << 20, healthy: true, reason: None };
        let service =
            ServiceStatus { version: "0.1.0".into(), uptime_seconds: 75, journal, ..ServiceStatus::default() };
        Status { service, streams: vec![web, idle], data_streams: Vec::new() }
    }

    #[test]
    fn the_table_says_what_runs_and_what_went_wrong() {
        let expected = "\
standpipe 0.1.0 · up 75 s · journal 2.00 KiB of 1.00 MiB · 2 streams

STREAM    STATE              ACCEPTED  DELIVERED  FAILED  LOST            BACKLOG  FRESHNESS  LAST OBJECT
web-logs  failing             12,000     10,000       3     2  1,995 (635 KiB)      4.2 s  web/2026/a.gz (5.0 s ago)
idle      DELETING delivering         0          0       0     0                0          -  -

web-logs: last error (60 s ago): no\u{fffd} bucket";
        let shown = render(&status(), false, NOW_MS);
        // Widths follow from the content; compare words, then that columns line up.
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&shown), words(expected), "\n{shown}");
        let lines: Vec<_> = shown.lines().skip(2).take(3).collect();
        let column = lines[0].find("LAST OBJECT").unwrap();
        assert!(lines[1][column..].starts_with("web/2026/a.gz") && lines[2][column..].starts_with('-'), "\n{shown}");
    }

    #[test]
    fn a_backup_is_a_row_behind_its_stream_and_no_stream() {
        let mut status = status();
        let backup = StreamStatus { delivered: 4_321, last_error: Some("no room".into()), ..status.streams[0].clone() };
        status.streams[0].backup = Some(Box::new(StreamStatus { name: backup_name("web-logs"), ..backup }));
        status.service.discarded_records = 40;
        let shown = render(&status, false, NOW_MS);
        assert!(shown.contains("· 2 streams · 40 records given up"), "\n{shown}");
        let lines: Vec<_> = shown.lines().skip(2).take(4).collect();
        assert!(lines[2].starts_with("web-logs (backup)  failing") && lines[2].contains("4,321"), "\n{shown}");
        assert!(lines[3].starts_with("idle") && shown.contains("web-logs (backup): last error"), "\n{shown}");
    }

    #[test]
    fn a_journal_that_takes_nothing_is_said_loudly() {
        let mut status = status();
        status.service.journal.healthy = false;
        status.service.journal.reason = Some("disk is full".into());
        assert!(render(&status, false, NOW_MS).contains("TAKES NO RECORDS: disk is full"));
    }

    #[test]
    fn what_is_copied_from_elsewhere_is_shown() {
        let mut status = status();
        status.streams.truncate(1);
        assert!(!render(&status, false, NOW_MS).contains("COPIES FROM"));
        status.streams[0].source = Some(SourceStatus {
            stream: "arn:x\x1b".into(),
            shards: 4,
            copied: 1_234,
            behind_seconds: Some(2.5),
            gaps: 1,
        });
        let shown = render(&status, false, NOW_MS);
        let line = shown.lines().find(|line| line.contains("arn:x")).unwrap();
        let cells: Vec<_> = line.split_whitespace().collect();
        assert_eq!(cells, ["web-logs", "arn:x\u{fffd}", "4", "1,234", "2.5", "s", "1"], "\n{shown}");
    }

    #[test]
    fn a_receiver_that_takes_nothing_is_said() {
        let mut status = status();
        status.streams.remove(0);
        status.streams[0].webhook = Some(WebhookStatus { waiting: 12, ..WebhookStatus::default() });
        assert!(!render(&status, false, NOW_MS).contains("webhook"));
        status.streams[0].webhook = Some(WebhookStatus {
            waiting: 1_200,
            dropped: 3,
            last_error: Some("answered\x1b 503".into()),
            last_error_ms: Some(NOW_MS - 60_000),
            ..WebhookStatus::default()
        });
        let line = "idle: webhook, 1,200 waiting, 3 dropped, last error (60 s ago): answered\u{fffd} 503";
        assert!(render(&status, false, NOW_MS).ends_with(line));
    }

    #[test]
    fn no_stream_is_a_line() {
        let status = Status::default();
        assert_eq!(render(&status, false, NOW_MS).lines().count(), 1);
    }
}
