//! A delivery stream's own records, read from a journal in memory.

use std::sync::Arc;

use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::*;
use crate::api::server::Answer;
use crate::journal::Append;
use crate::journal::memory::MemoryJournal;
use crate::record::StreamId;

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
        tokio::spawn(async move { reader.feed(feed, &clock, &stopping).await });
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
    bench.clock.sleep(std::time::Duration::from_secs(1)).await;
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
        async move { reader.feed(feed, &clock, &stopping).await }
    });
    drop(answer);
    reading.await.unwrap();
}
