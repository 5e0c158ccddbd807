//! Data streams as their users see them: whole services on real ports and directories, spoken to by the AWS SDK.
#![allow(clippy::unwrap_used, reason = "it is a test")]

mod aggregates;
mod delivery;
mod import;
mod retention;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Shard, ShardIteratorType};
use standpipe::app::App;
use standpipe::clock::Clock;
use standpipe::config::Config;

const GRACE: Duration = Duration::from_secs(20);

/// A data directory and a lake that survive restarts of the service.
struct House {
    data: tempfile::TempDir,
    lake: tempfile::TempDir,
}

/// A running service and a client of it.
struct Running {
    app: App,
    client: Client,
}

impl House {
    fn new() -> Self {
        House { data: tempfile::tempdir().unwrap(), lake: tempfile::tempdir().unwrap() }
    }

    /// Starts a service with these tables; `LAKE` in the text is the lake.
    async fn start(&self, tables: &str) -> Running {
        let text = format!(
            "data_dir = \"{}\"\n[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
             [buckets]\ntype = \"local\"\npath = \"LAKE\"\n{tables}",
            self.data.path().display()
        )
        .replace("LAKE", self.lake.path().to_str().unwrap());
        let config = Config::parse(&text, "test.toml", Path::new("/"), &|_| None).unwrap_or_else(|e| panic!("{e}"));
        let app = App::start(config, Clock::real()).await.unwrap();
        let client = client(&format!("http://{}", app.firehose_addr()));
        Running { app, client }
    }

    /// The lines of each object under `folder`.
    fn objects(&self, folder: &str) -> BTreeMap<String, Vec<String>> {
        let mut objects = BTreeMap::new();
        let mut folders = vec![self.lake.path().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    let text = String::from_utf8(std::fs::read(entry.path()).unwrap()).unwrap();
                    objects.insert(entry.path().display().to_string(), text.lines().map(str::to_owned).collect());
                }
            }
        }
        objects
    }

    /// How often each line is under `folder`.
    fn delivered(&self, folder: &str) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        for line in self.objects(folder).into_values().flatten() {
            *found.entry(line).or_default() += 1;
        }
        found
    }

    /// Waits until `count` different lines are under `folder`; fails loudly after a while.
    async fn until_delivered(&self, folder: &str, count: usize) {
        for _ in 0..1_200 {
            if self.delivered(folder).len() >= count {
                return;
            }
            Clock::real().sleep(Duration::from_millis(25)).await;
        }
        panic!("{} of {count} lines are there", self.delivered(folder).len());
    }
}

impl Running {
    fn endpoint(&self) -> String {
        format!("http://{}", self.app.firehose_addr())
    }

    /// Stops, which delivers what is there.
    async fn stop(self) {
        let report = self.app.stop(GRACE).await.unwrap();
        assert!(report.left.is_empty(), "{report}");
    }

    /// Stops at once, whatever is not delivered.
    async fn break_off(self) {
        self.app.stop(Duration::ZERO).await.unwrap();
    }

    /// Puts `key number` lines, `count` for each of `keys` keys, from `first` on.
    async fn put(&self, stream: &str, keys: usize, first: usize, count: usize) -> Vec<String> {
        let mut sent = Vec::new();
        for number in first..first + count {
            let lines: Vec<String> = (0..keys).map(|key| format!("key-{key} {number}")).collect();
            let entries = lines.iter().map(|line| {
                let key = line.split(' ').next().unwrap();
                PutRecordsRequestEntry::builder()
                    .data(Blob::new(format!("{line}\n")))
                    .partition_key(key)
                    .build()
                    .unwrap()
            });
            let put = self.client.put_records().stream_name(stream).set_records(Some(entries.collect()));
            let answer = put.send().await.unwrap();
            assert_eq!(answer.failed_record_count(), Some(0));
            sent.extend(lines);
        }
        sent
    }

    async fn shards(&self, stream: &str) -> Vec<Shard> {
        self.client.list_shards().stream_name(stream).send().await.unwrap().shards.unwrap()
    }

    /// The open shards, by range.
    async fn open_shards(&self, stream: &str) -> Vec<Shard> {
        let mut open = self.shards(stream).await;
        open.retain(|shard| shard.sequence_number_range().unwrap().ending_sequence_number().is_none());
        open.sort_by_key(|shard| range(shard).0);
        open
    }

    async fn split(&self, stream: &str, shard: &Shard) {
        let (start, end) = range(shard);
        let middle = (start + (end - start) / 2).to_string();
        let call = self.client.split_shard().stream_name(stream).shard_to_split(shard.shard_id());
        call.new_starting_hash_key(middle).send().await.unwrap();
    }

    async fn merge(&self, stream: &str, lower: &Shard, upper: &Shard) {
        let call = self.client.merge_shards().stream_name(stream).shard_to_merge(lower.shard_id());
        call.adjacent_shard_to_merge(upper.shard_id()).send().await.unwrap();
    }

    async fn iterator(&self, stream: &str, shard: &str, kind: ShardIteratorType) -> String {
        let call = self.client.get_shard_iterator().stream_name(stream).shard_id(shard).shard_iterator_type(kind);
        call.send().await.unwrap().shard_iterator.unwrap()
    }
}

fn range(shard: &Shard) -> (u128, u128) {
    let range = shard.hash_key_range().unwrap();
    (range.starting_hash_key().parse().unwrap(), range.ending_hash_key().parse().unwrap())
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

/// A delivery stream that reads a data stream into `LAKE/<name>/`.
fn delivery(name: &str, source: &str, buffer: &str) -> String {
    format!(
        "[delivery_stream.{name}]\nsource = {source}\nbuffer = {{ {buffer} }}\n\
         [delivery_stream.{name}.destination]\ntype = \"local\"\npath = \"LAKE\"\nprefix = \"{name}/\"\n"
    )
}

/// Each line was sent and is there exactly once.
fn is_whole(found: &BTreeMap<String, usize>, sent: &[String]) {
    let twice: Vec<_> = found.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
    let missing: Vec<_> = sent.iter().filter(|line| !found.contains_key(*line)).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    assert_eq!(found.len(), sent.len(), "there is something that was not sent");
}

/// In each object the numbers of each key rise.
fn is_in_order(objects: &BTreeMap<String, Vec<String>>) {
    for (name, lines) in objects {
        let mut last: HashMap<&str, usize> = HashMap::new();
        for line in lines {
            let (key, number) = line.split_once(' ').unwrap();
            let number = number.parse().unwrap();
            let before = last.insert(key, number);
            assert!(before.is_none_or(|before| before < number), "{name}: {key} {number} after {before:?}");
        }
    }
}
