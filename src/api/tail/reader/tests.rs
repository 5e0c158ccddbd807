//! A delivery stream's own records and those of a data stream, read from a journal in memory.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::*;
use crate::api::server::Answer;
use crate::disk::sim::SimDisk;
use crate::journal::Append;
use crate::journal::memory::MemoryJournal;
use crate::record::{Keys, StreamId};
use crate::stream::data::{Distribution, Mode, NewDataStream, Placed, Put, Reshard, Settings};

const START_MS: u64 = 1_000_000;

struct Bench {
    clock: Clock,
    stream: Stream,
    stopping: CancellationToken,
}

impl Bench {
    fn new() -> Self {
        let clock = Clock::simulated(1, START_MS);
        let stream = Stream::new(Arc::new(MemoryJournal::new(clock.clone())), StreamId(5));
        Bench { clock, stream, stopping: CancellationToken::new() }
    }

    async fn put(&self, records: &[&str]) {
        let records = Records::from_slices(self.clock.now_ms(), records);
        self.stream.append(Append::of(records)).await.unwrap();
    }

    async fn read(&self, query: &str) -> Answer {
        let reader = Reader::own(self.stream.clone(), Query::parse(query).unwrap()).await.unwrap();
        let (feed, answer) = Answer::feed();
        let (clock, stopping) = (self.clock.clone(), self.stopping.clone());
        tokio::spawn(async move { reader.feed(feed, &Hold::alone(1 << 20), &clock, &stopping).await });
        answer
    }

    /// The records of an answer that ends by itself: position and data.
    async fn all(&self, query: &str) -> Vec<(u64, String)> {
        let text = self.read(query).await.collect().await.unwrap().to_bytes();
        let line = |line: &[u8]| {
            let line: Value = serde_json::from_slice(line).unwrap();
            (line["position"].as_u64().unwrap(), line["data"].as_str().unwrap().to_owned())
        };
        text.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()).map(line).collect()
    }
}

async fn piece(answer: &mut Answer) -> String {
    let frame = answer.frame().await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

fn numbered(from: u64, texts: &[&str]) -> Vec<(u64, String)> {
    (from..).zip(texts.iter().map(|text| (*text).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_there_is_read_to_its_end() {
    let bench = Bench::new();
    assert_eq!(bench.all("from=horizon&follow=false").await, []);
    bench.put(&["a", "b"]).await;
    bench.clock.sleep(Duration::from_secs(1)).await;
    bench.put(&["c", "d"]).await;
    assert_eq!(bench.all("from=horizon&follow=false").await, numbered(0, &["a", "b", "c", "d"]));
    assert_eq!(bench.all("from=latest&follow=false").await, []);
    assert_eq!(bench.all("from=1970-01-01T00:16:41Z&follow=false").await, numbered(2, &["c", "d"]));
    assert_eq!(bench.all("from=horizon&limit=3").await, numbered(0, &["a", "b", "c"]));
}

#[tokio::test(start_paused = true)]
async fn what_comes_is_followed_until_the_service_stops() {
    let bench = Bench::new();
    bench.put(&["old"]).await;
    let mut answer = bench.read("").await;
    tokio::task::yield_now().await;
    bench.put(&["new"]).await;
    let expected = json!({ "shard": "shardId-000000000000", "position": 1, "arrived": START_MS, "data": "new" });
    assert_eq!(serde_json::from_str::<Value>(&piece(&mut answer).await).unwrap(), expected);
    // Paused time goes on when all wait: the next piece is the sign of life.
    assert_eq!(piece(&mut answer).await, "\n");
    bench.put(&["newer"]).await;
    assert!(piece(&mut answer).await.contains("\"position\":2"));
    bench.stopping.cancel();
    assert!(answer.frame().await.is_none(), "it ends as it should");
}

#[tokio::test(start_paused = true)]
async fn many_records_come_in_pieces() {
    let bench = Bench::new();
    let long = "x".repeat(1_000);
    for _ in 0..10 {
        bench.put(&[long.as_str(); 100]).await;
    }
    assert_eq!(bench.all("from=horizon&follow=false").await.len(), 1_000);
    let mut answer = bench.read("from=horizon&follow=false").await;
    assert!(piece(&mut answer).await.len() < 2 * TAIL_PIECE_BYTES);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_ends_the_reading() {
    let bench = Bench::new();
    let reader = Reader::own(bench.stream.clone(), Query::parse("").unwrap()).await.unwrap();
    let (feed, answer) = Answer::feed();
    let reading = tokio::spawn({
        let (clock, stopping) = (bench.clock.clone(), bench.stopping.clone());
        async move { reader.feed(feed, &Hold::alone(1 << 20), &clock, &stopping).await }
    });
    drop(answer);
    reading.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_large_pieces_takes_no_more_room_than_there_is() {
    let bench = Bench::new();
    bench.put(&["x".repeat(300 << 10).as_str()]).await;
    let hold = Hold::alone(400 << 10);
    let read = async || {
        let reader = Reader::own(bench.stream.clone(), Query::parse("from=horizon").unwrap()).await.unwrap();
        let (feed, answer) = Answer::feed();
        let (hold, clock, stopping) = (hold.another(), bench.clock.clone(), bench.stopping.clone());
        tokio::spawn(async move { reader.feed(feed, &hold, &clock, &stopping).await });
        answer
    };
    let mut slow = read().await;
    piece(&mut slow).await;
    let mut other = read().await;
    assert!(bench.clock.within(Duration::from_secs(1), piece(&mut other)).await.is_none());
    drop(slow);
    assert!(!piece(&mut other).await.is_empty());
}

const SPLIT_AT: u128 = 1 << 127;

/// A data stream `clicks` of one shard.
async fn clicks(clock: &Clock) -> DataStreams {
    let journal = Arc::new(MemoryJournal::new(clock.clone()));
    let settings = Settings {
        account_id: "000000000000".into(),
        region: "us-east-1".into(),
        shards_max: 50,
        state_delay: Duration::ZERO,
        can_encrypt: false,
    };
    let file = Vec::new();
    let streams = DataStreams::open(Arc::new(SimDisk::new(1)), journal, clock.clone(), settings, file).await.unwrap();
    streams.create(new_stream()).await.unwrap();
    streams
}

fn new_stream() -> NewDataStream {
    NewDataStream {
        name: "clicks".into(),
        mode: Mode::Provisioned,
        shards: Some(1),
        record_bytes_max: 1 << 20,
        distribution: Distribution::default(),
        warm_mibps: None,
        tags: Vec::new(),
    }
}

/// Puts one record with a hash key, which is its partition key too.
async fn put_key(streams: &DataStreams, clock: &Clock, hash: u128, data: &str) {
    let key = hash.to_string();
    let keys = Keys { ends: vec![key.len() as u32], data: key.into_bytes().into() };
    let records = Records { keys: Some(keys), ..Records::from_slices(clock.now_ms(), &[data]) };
    let put = Put { records, hashes: vec![hash], call: None };
    let placed = streams.get("clicks").unwrap().put(put).await.unwrap();
    assert!(matches!(placed[..], [Placed::Stored { .. }]));
}

async fn split(streams: &DataStreams) {
    let reshard = Reshard::Split { shard: "shardId-000000000000".into(), new_start: SPLIT_AT };
    streams.reshard("clicks", reshard).await.unwrap();
}

/// Shard, key and data of each line of a piece.
fn seen(text: &str) -> Vec<(String, String, String)> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["sequence"].as_str().unwrap().len(), 56);
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("shard").split_off(19), text("key"), text("data"))
    };
    text.lines().filter(|text| !text.is_empty()).map(line).collect()
}

fn row(shard: u32, hash: u128, data: &str) -> (String, String, String) {
    (shard.to_string(), hash.to_string(), data.to_owned())
}

async fn read_data(streams: &DataStreams, clock: &Clock, query: &str) -> Answer {
    let reader = Reader::data(streams, "clicks", Query::parse(query).unwrap()).await.unwrap();
    let (feed, answer) = Answer::feed();
    let clock = clock.clone();
    tokio::spawn(async move { reader.feed(feed, &Hold::alone(1 << 20), &clock, &CancellationToken::new()).await });
    answer
}

#[tokio::test(start_paused = true)]
async fn parents_are_read_before_their_children() {
    let clock = Clock::simulated(1, START_MS);
    let streams = clicks(&clock).await;
    put_key(&streams, &clock, 1, "a").await;
    put_key(&streams, &clock, SPLIT_AT, "b").await;
    split(&streams).await;
    put_key(&streams, &clock, SPLIT_AT, "d").await;
    put_key(&streams, &clock, 1, "c").await;
    let all = [row(0, 1, "a"), row(0, SPLIT_AT, "b"), row(1, 1, "c"), row(2, SPLIT_AT, "d")];
    for query in ["from=horizon&follow=false", "from=horizon&limit=4"] {
        let text = read_data(&streams, &clock, query).await.collect().await.unwrap().to_bytes();
        assert_eq!(seen(std::str::from_utf8(&text).unwrap()), all, "{query}");
    }
    let latest = read_data(&streams, &clock, "from=latest&follow=false").await;
    assert!(latest.collect().await.unwrap().to_bytes().is_empty());
    let error = Reader::data(&streams, "clics", Query::parse("").unwrap()).await.err().unwrap();
    assert_eq!(error.kind(), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_split_is_followed() {
    let clock = Clock::simulated(1, START_MS);
    let streams = clicks(&clock).await;
    put_key(&streams, &clock, 1, "old").await;
    let mut answer = read_data(&streams, &clock, "").await;
    tokio::task::yield_now().await;
    put_key(&streams, &clock, 1, "a").await;
    assert_eq!(seen(&piece(&mut answer).await), [row(0, 1, "a")]);
    split(&streams).await;
    put_key(&streams, &clock, SPLIT_AT, "b").await;
    assert_eq!(seen(&piece(&mut answer).await), [row(2, SPLIT_AT, "b")]);
    put_key(&streams, &clock, 1, "c").await;
    assert_eq!(seen(&piece(&mut answer).await), [row(1, 1, "c")]);
    streams.delete("clicks", true).await.unwrap();
    while let Some(frame) = answer.frame().await {
        assert_eq!(frame.unwrap().into_data().unwrap(), "\n", "with the stream the answer ends as it should");
    }
}

/// A reader of `clicks` that has read all there is.
async fn idle(streams: &DataStreams, query: &str, feed: &Feed, hold: &Hold) -> Reader {
    let mut reader = Reader::data(streams, "clicks", Query::parse(query).unwrap()).await.unwrap();
    while reader.round(feed, hold).await.unwrap() == Round::More {}
    reader
}

#[tokio::test(start_paused = true)]
async fn only_what_has_grown_is_read_again() {
    let clock = Clock::simulated(1, START_MS);
    let streams = clicks(&clock).await;
    streams.reshard("clicks", Reshard::Uniform { target: 2 }).await.unwrap();
    let (feed, mut answer) = Answer::feed();
    let hold = Hold::alone(1 << 20);
    let mut reader = idle(&streams, "from=horizon", &feed, &hold).await;
    assert_eq!((reader.due(), reader.waits.len()), (vec![], 2));

    let other = NewDataStream { name: "other".into(), ..new_stream() };
    streams.create(other).await.unwrap();
    assert!(reader.pause(&feed, &clock).await.unwrap());
    assert_eq!(reader.round(&feed, &hold).await.unwrap(), Round::Quiet, "another stream's change is none of ours");

    put_key(&streams, &clock, SPLIT_AT, "a").await;
    assert!(reader.pause(&feed, &clock).await.unwrap());
    assert_eq!(reader.due(), [2]);
    assert_eq!(reader.round(&feed, &hold).await.unwrap(), Round::More);
    assert_eq!(seen(&piece(&mut answer).await), [row(2, SPLIT_AT, "a")]);
    assert_eq!(reader.round(&feed, &hold).await.unwrap(), Round::More);
    assert_eq!((reader.due(), reader.waits.len()), (vec![], 2));
}

/// A slow reader, and shards that outlive their retention meanwhile: one that it knew, and two that it never saw.
#[tokio::test(start_paused = true)]
async fn a_shard_that_is_forgotten_is_over_alone_and_what_was_missed_of_it_is_said() {
    let clock = Clock::simulated(1, START_MS);
    let streams = clicks(&clock).await;
    let (feed, mut answer) = Answer::feed();
    let hold = Hold::alone(1 << 20);
    let mut reader = idle(&streams, "from=horizon", &feed, &hold).await;
    put_key(&streams, &clock, 1, "a").await;
    put_key(&streams, &clock, 1, "b").await;
    split(&streams).await;
    for hash in [1, SPLIT_AT] {
        put_key(&streams, &clock, hash, "c").await;
    }
    let merge = Reshard::Merge { shard: "1".into(), adjacent: "2".into() };
    streams.reshard("clicks", merge).await.unwrap();
    streams.settled();
    clock.sleep(Duration::from_hours(30)).await;
    let shards: Vec<_> = streams.get("clicks").unwrap().definition().unwrap().shards.iter().map(|s| s.index).collect();
    assert_eq!(shards, [3], "the others are forgotten");
    put_key(&streams, &clock, 1, "d").await;

    // As if it had looked at the definition before they were: the read, or the wait, hears of it first.
    reader.ready.insert(0);
    assert!(reader.read(0).await.unwrap().is_empty());
    let reading = tokio::spawn(async move { reader.feed(feed, &hold, &clock, &CancellationToken::new()).await });
    let missed = piece(&mut answer).await;
    let lines: Vec<Value> = missed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let missed: Vec<_> = lines.iter().map(|line| line["missed"].as_u64().unwrap()).collect();
    assert_eq!(missed, [2, 1, 1]);
    assert_eq!(seen(&piece(&mut answer).await), [row(3, 1, "d")]);
    drop(answer);
    reading.await.unwrap();
}
