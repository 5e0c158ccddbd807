//! Data streams in the status: a table, who reads them, and their shards if asked for.

use std::fmt::Write as _;

use super::table::align;
use crate::cli::terminal::{age, count, harmless, size};
use crate::telemetry::status::{DataStreamStatus, ReaderStatus, ShardStatus};

const HEADS: [&str; 8] = ["DATA STREAM", "STATE", "MODE", "SHARDS", "RECORDS", "ON DISK", "RETENTION", "OLDEST"];
const READER_HEADS: [&str; 5] = ["READER", "KIND", "DATA STREAM", "BEHIND", "OLDEST"];
const SHARD_HEADS: [&str; 6] = ["DATA STREAM", "SHARD", "STATE", "RECORDS", "ON DISK", "OLDEST"];

/// The tables, one after the other; nothing where there is no data stream.
pub(super) fn render(streams: &[DataStreamStatus], with_shards: bool) -> String {
    let mut text = String::new();
    if streams.is_empty() {
        return text;
    }
    let rows = std::iter::once(HEADS.map(str::to_owned)).chain(streams.iter().map(row)).collect::<Vec<_>>();
    _ = write!(text, "\n{}", align(&rows, 3));
    let readers: Vec<_> = streams.iter().flat_map(readers).collect();
    if !readers.is_empty() {
        let rows = std::iter::once(READER_HEADS.map(str::to_owned)).chain(readers).collect::<Vec<_>>();
        _ = write!(text, "\n{}", align(&rows, 3));
    }
    if with_shards {
        let shards = streams.iter().flat_map(|stream| stream.shards.iter().map(|shard| shard_row(stream, shard)));
        let rows = std::iter::once(SHARD_HEADS.map(str::to_owned)).chain(shards).collect::<Vec<_>>();
        _ = write!(text, "\n{}", align(&rows, 3));
    }
    text
}

fn row(stream: &DataStreamStatus) -> [String; HEADS.len()] {
    [
        harmless(&stream.name),
        harmless(&stream.status),
        harmless(&stream.mode),
        format!("{}/{}", count(stream.open_shards), count(stream.shards.len() as u64)),
        count(stream.records),
        size(stream.bytes),
        age(stream.retention_seconds as f64),
        maybe(stream.oldest_seconds),
    ]
}

/// The delivery streams that read it, and its registered consumers.
fn readers(stream: &DataStreamStatus) -> impl Iterator<Item = [String; READER_HEADS.len()]> {
    let name = harmless(&stream.name);
    let delivery = |reader: &ReaderStatus| {
        let behind = format!("{} records", count(reader.behind));
        [harmless(&reader.name), "delivery stream".to_owned(), name.clone(), behind, maybe(reader.oldest_seconds)]
    };
    let mut rows: Vec<_> = stream.readers.iter().map(delivery).collect();
    rows.extend(stream.consumers.iter().map(|consumer| {
        let shards = format!("reads {} of {} shards", consumer.subscriptions, stream.open_shards);
        [harmless(&consumer.name), "consumer".to_owned(), name.clone(), shards, "-".to_owned()]
    }));
    rows.into_iter()
}

fn shard_row(stream: &DataStreamStatus, shard: &ShardStatus) -> [String; SHARD_HEADS.len()] {
    [
        harmless(&stream.name),
        harmless(&shard.name),
        if shard.open { "open" } else { "closed" }.to_owned(),
        count(shard.records),
        size(shard.bytes),
        maybe(shard.oldest_seconds),
    ]
}

fn maybe(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::status::ConsumerStatus;

    fn clicks() -> DataStreamStatus {
        let shard = |name: &str, open, records, oldest_seconds| ShardStatus {
            name: name.into(),
            open,
            records,
            bytes: 2_048,
            oldest_seconds,
        };
        DataStreamStatus {
            name: "clicks".into(),
            status: "ACTIVE".into(),
            origin: "file".into(),
            mode: "ON_DEMAND".into(),
            open_shards: 1,
            records: 12_345,
            bytes: 4_096,
            retention_seconds: 604_800,
            oldest_seconds: Some(3_600.0),
            expired: 0,
            consumers: vec![ConsumerStatus { name: "fan\x1b".into(), subscriptions: 1 }],
            readers: vec![ReaderStatus { name: "archive".into(), behind: 1_000, oldest_seconds: Some(4.2) }],
            shards: vec![shard("shard-0", false, 12_345, Some(3_600.0)), shard("shard-1", true, 0, None)],
        }
    }

    #[test]
    fn streams_readers_and_shards_have_tables() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let streams = "
DATA STREAM  STATE   MODE       SHARDS  RECORDS   ON DISK  RETENTION  OLDEST
clicks       ACTIVE  ON_DEMAND     1/2   12,345  4.00 KiB        7 d  60 min

READER  KIND             DATA STREAM  BEHIND                 OLDEST
archive delivery stream  clicks       1,000 records          4.2 s
fan\u{fffd}    consumer  clicks       reads 1 of 1 shards    -
";
        let shown = render(&[clicks()], false);
        assert_eq!(words(&shown), words(streams), "\n{shown}");
        let shards = "
DATA STREAM  SHARD    STATE   RECORDS   ON DISK  OLDEST
clicks       shard-0  closed   12,345  2.00 KiB  60 min
clicks       shard-1  open          0  2.00 KiB  -
";
        assert_eq!(words(&render(&[clicks()], true)), words(&format!("{streams}{shards}")));
        assert_eq!(render(&[], true), "");
    }
}
