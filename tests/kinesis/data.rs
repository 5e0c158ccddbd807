//! Records in and out, over HTTP/1.1 and HTTP/2 and in both encodings.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::time::Duration;

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::Message;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use standpipe::api::kinesis::{Bounds, Document, Wire};
use tokio::net::TcpStream;

use crate::harness::{ACCOUNT, BOTH, Call, START_MS, Service, arn, open};

fn base64(text: &str) -> String {
    base64_simd::STANDARD.encode_to_string(text)
}

fn record(data: &str, key: &str) -> Value {
    json!({"Data": base64(data), "PartitionKey": key})
}

async fn put(service: &Service, wire: Wire, stream: &str, data: &[&str]) -> Vec<Value> {
    let records: Vec<Value> = data.iter().map(|data| record(data, "k")).collect();
    let answer = service.ok(wire, "PutRecords", json!({"StreamName": stream, "Records": records})).await;
    assert_eq!(answer["FailedRecordCount"], 0);
    answer["Records"].as_array().unwrap().clone()
}

async fn iterator(service: &Service, wire: Wire, mut more: Value) -> String {
    more["StreamName"] = "s".into();
    if more.get("ShardId").is_none() {
        more["ShardId"] = "0".into();
    }
    service.ok(wire, "GetShardIterator", more).await["ShardIterator"].as_str().unwrap().to_owned()
}

async fn get(service: &Service, wire: Wire, iterator: &str, limit: Option<u32>) -> Value {
    service.ok(wire, "GetRecords", json!({"ShardIterator": iterator, "Limit": limit})).await
}

fn texts(page: &Value) -> Vec<String> {
    let decode = |record: &Value| base64_simd::STANDARD.decode_to_vec(record["Data"].as_str().unwrap()).unwrap();
    page["Records"].as_array().unwrap().iter().map(|record| String::from_utf8(decode(record)).unwrap()).collect()
}

#[tokio::test]
async fn what_is_put_is_read_in_order_in_either_encoding() {
    for wire in BOTH {
        let service = open().await;
        service.create("s", 1).await;
        let stored = put(&service, wire, "s", &["a", "", "c"]).await;
        let one = service
            .ok(wire, "PutRecord", json!({"StreamARN": arn("s"), "Data": base64("d"), "PartitionKey": "\"é"}))
            .await;
        assert_eq!(one["ShardId"], "shardId-000000000000");
        assert_eq!(one.get("EncryptionType"), None);
        let at = iterator(&service, wire, json!({"ShardIteratorType": "TRIM_HORIZON"})).await;
        let page = get(&service, wire, &format!("\"{at}\""), Some(2)).await;
        assert_eq!(texts(&page), ["a", ""]);
        let first = &page["Records"][0];
        assert_eq!(first["SequenceNumber"], stored[0]["SequenceNumber"]);
        assert_eq!(first["PartitionKey"], "k");
        let arrived = first["ApproximateArrivalTimestamp"].as_f64().unwrap();
        assert!(arrived >= (START_MS / 1000) as f64, "{arrived}");
        assert_eq!(first.as_object().unwrap().len(), 4);
        assert_eq!(page.get("ChildShards"), None);
        let page = get(&service, wire, page["NextShardIterator"].as_str().unwrap(), None).await;
        assert_eq!((texts(&page), &page["MillisBehindLatest"]), (vec!["c".to_owned(), "d".to_owned()], &json!(0)));
        assert_eq!(page["Records"][1]["PartitionKey"], "\"é");
        assert_eq!(page["Records"][1]["SequenceNumber"], one["SequenceNumber"]);
        let page = get(&service, wire, page["NextShardIterator"].as_str().unwrap(), None).await;
        assert!(texts(&page).is_empty() && page["NextShardIterator"].is_string());
    }
}

#[tokio::test]
async fn iterators_begin_where_they_say() {
    let service = open().await;
    service.create("s", 1).await;
    let stored = put(&service, Wire::Json, "s", &["a", "b", "c"]).await;
    let second = &stored[1]["SequenceNumber"];
    let table = [
        (json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": second}), vec!["b", "c"]),
        (json!({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": second}), vec!["c"]),
        (json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "0"}), vec!["a", "b", "c"]),
        (json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": START_MS as f64 / 1000.0}), vec!["a", "b", "c"]),
        (json!({"ShardIteratorType": "LATEST"}), vec![]),
    ];
    for (begin, expected) in table {
        for wire in BOTH {
            let at = iterator(&service, wire, begin.clone()).await;
            assert_eq!(texts(&get(&service, wire, &at, None).await), expected, "{begin}");
        }
    }
}

#[tokio::test]
async fn iterators_that_cannot_be_are_refused_in_words() {
    let service = open().await;
    service.create("s", 2).await;
    let stored = put(&service, Wire::Json, "s", &["a"]).await;
    let (number, shard) = (&stored[0]["SequenceNumber"], stored[0]["ShardId"].as_str().unwrap());
    let other = if shard.ends_with('0') { "shardId-000000000001" } else { "shardId-000000000000" };
    let at = "AT_SEQUENCE_NUMBER";
    let table = [
        (json!({"ShardIteratorType": at}), "InvalidArgumentException", "Request specified AT_SEQUENCE_NUMBER and no"),
        (
            json!({"ShardIteratorType": "LATEST", "StartingSequenceNumber": number}),
            "InvalidArgumentException",
            "LATEST and also a",
        ),
        (json!({"ShardIteratorType": "AT_TIMESTAMP"}), "InvalidArgumentException", "has no timestamp parameter"),
        (
            json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 4_000_000_000u64}),
            "InvalidArgumentException",
            "cannot be greater than",
        ),
        (
            json!({"ShardIteratorType": at, "StartingSequenceNumber": "17"}),
            "InvalidArgumentException",
            "17 used in GetShardIterator",
        ),
        (
            json!({"ShardIteratorType": at, "StartingSequenceNumber": number, "ShardId": other}),
            "InvalidArgumentException",
            "It encodes shardId-",
        ),
        (
            json!({"ShardIteratorType": "LATEST", "ShardId": "shardId-7"}),
            "ResourceNotFoundException",
            "shardId-000000000007 in stream s",
        ),
        (json!({"ShardIteratorType": "LATEST", "ShardId": "x"}), "ResourceNotFoundException", "Could not find shard x"),
        (json!({"ShardIteratorType": "LATEST", "DryRun": true}), "DryRunOperationException", ""),
    ];
    for (mut body, code, part) in table {
        body["StreamName"] = "s".into();
        if body.get("ShardId").is_none() {
            body["ShardId"] = shard.into();
        }
        let (found, message) = service.refused(Wire::Json, "GetShardIterator", body.clone()).await;
        assert!(found == code && message.contains(part), "{body}: {found} {message}");
    }
    let (code, message) = service.refused(Wire::Cbor, "GetRecords", json!({"ShardIterator": "AAAA"})).await;
    assert_eq!((&*code, &*message), ("InvalidArgumentException", "Invalid ShardIterator."));
    let latest = iterator(&service, Wire::Json, json!({"ShardIteratorType": "LATEST"})).await;
    let foreign = json!({"ShardIterator": latest, "StreamARN": arn("t")});
    assert_eq!(service.refused(Wire::Json, "GetRecords", foreign).await.0, "InvalidArgumentException");
    service.advance(Duration::from_secs(301)).await;
    let (code, message) = service.refused(Wire::Json, "GetRecords", json!({"ShardIterator": latest})).await;
    assert_eq!(code, "ExpiredIteratorException");
    assert!(
        message.starts_with("Iterator expired. The iterator was created at time Fri Jan 02 00:00:00 UTC 2026"),
        "{message}"
    );
}

#[tokio::test]
async fn puts_that_cannot_be_are_refused_whole() {
    let service = open().await;
    service.create("s", 1).await;
    let table = [
        (
            json!([{"Data": ""}]),
            "ValidationException",
            "Value null at 'records.1.member.partitionKey' failed to satisfy constraint: Member must not be null",
        ),
        (
            json!([{"Data": "", "PartitionKey": "k", "ExplicitHashKey": "340282366920938463463374607431768211456"}]),
            "InvalidArgumentException",
            "must be in the range",
        ),
        (
            json!([record("a", "k"), {"Data": base64(&"x".repeat((1 << 20) + 1)), "PartitionKey": "k"}]),
            "InvalidArgumentException",
            "",
        ),
        (json!([]), "ValidationException", "'records'"),
    ];
    for (records, code, part) in table {
        for wire in BOTH {
            let body = json!({"StreamName": "s", "Records": records});
            let (found, message) = service.refused(wire, "PutRecords", body).await;
            assert!(found == code && message.contains(part), "{found} {message}");
        }
    }
    let future = "49999999999999999999999999999999999999999999999999999999";
    let body = json!({"StreamName": "s", "Data": "", "PartitionKey": "k", "SequenceNumberForOrdering": future});
    assert!(service.refused(Wire::Json, "PutRecord", body).await.1.starts_with("ExclusiveMinimumSequenceNumber 4999"));
    let body = json!({"StreamName": "none", "Records": [record("a", "k")]});
    let (code, message) = service.refused(Wire::Json, "PutRecords", body).await;
    assert_eq!(
        (&*code, message),
        ("ResourceNotFoundException", format!("Stream none under account {ACCOUNT} not found."))
    );
    let body = json!({"StreamName": "s", "Records": [record("a", "k")], "DryRun": true});
    assert_eq!(service.refused(Wire::Json, "PutRecords", body).await.0, "DryRunOperationException");
    let at = iterator(&service, Wire::Json, json!({"ShardIteratorType": "TRIM_HORIZON"})).await;
    assert!(texts(&get(&service, Wire::Json, &at, None).await).is_empty());
}

#[tokio::test]
async fn the_end_of_a_shard_has_children_and_no_iterator() {
    let service = open().await;
    service.create("s", 1).await;
    put(&service, Wire::Json, "s", &["a"]).await;
    let split = json!({"StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "1000"});
    service.ok(Wire::Json, "SplitShard", split).await;
    for wire in BOTH {
        let at = iterator(&service, wire, json!({"ShardIteratorType": "TRIM_HORIZON"})).await;
        let page = get(&service, wire, &at, None).await;
        assert_eq!(texts(&page), ["a"]);
        assert_eq!(page["NextShardIterator"], Value::Null);
        let children = page["ChildShards"].as_array().unwrap();
        assert_eq!(children.len(), 2);
        assert_eq!(children[0]["ParentShards"], json!(["shardId-000000000000"]));
        assert_eq!(children[0]["HashKeyRange"]["EndingHashKey"], "999");
    }
}

/// An answer over HTTP/2 or HTTP/1.1 that is read piece by piece.
async fn stream_of(service: &Service, call: Call, h2: bool) -> http::Response<Incoming> {
    let io = TokioIo::new(TcpStream::connect(service.address).await.unwrap());
    let mut request = http::Request::builder().method("POST").uri(format!("http://{}/", service.address));
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    if h2 {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request.body(Full::new(Bytes::from(call.body))).unwrap()).await.unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let request = request.header("host", service.address.to_string());
        sender.send_request(request.body(Full::new(Bytes::from(call.body))).unwrap()).await.unwrap()
    }
}

/// The messages of an event stream, one by one.
pub(crate) struct Messages {
    body: Incoming,
    buffer: BytesMut,
    decoder: MessageFrameDecoder,
    wire: Wire,
}

impl Messages {
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let DecodedFrame::Complete(message) = self.decoder.decode_frame(&mut self.buffer).unwrap() {
                return Some(self.read(&message));
            }
            let frame = self.body.frame().await?.expect("the answer does not break off");
            self.buffer.extend_from_slice(&frame.into_data().unwrap());
        }
    }

    fn read(&self, message: &Message) -> (String, Value) {
        let header = |name: &str| {
            let header = message.headers().iter().find(|header| header.name().as_str() == name);
            header.map(|header| header.value().as_string().unwrap().as_str().to_owned())
        };
        assert_eq!(header(":content-type").as_deref(), Some(self.wire.content_type()));
        let name = header(":event-type").or_else(|| header(":exception-type")).unwrap();
        let document = Document::read(self.wire, message.payload(), Bounds::default()).unwrap();
        let json = match self.wire {
            Wire::Json => serde_json::from_slice(message.payload()).unwrap(),
            Wire::Cbor => crate::harness::value(&document),
        };
        (name, json)
    }

    /// The next event with records or children in it.
    async fn event(&mut self) -> Value {
        loop {
            let (name, event) = self.next().await.expect("the answer goes on");
            assert_eq!(name, "SubscribeToShardEvent", "{event}");
            if event["Records"] != json!([]) || event.get("ChildShards").is_some() {
                return event;
            }
            assert!(event["ContinuationSequenceNumber"].is_string());
        }
    }
}

pub(crate) async fn consumer(service: &Service) -> String {
    consumer_of(service, "s", "c").await
}

async fn consumer_of(service: &Service, stream: &str, name: &str) -> String {
    let body = json!({"StreamARN": arn(stream), "ConsumerName": name});
    let answer = service.ok(Wire::Json, "RegisterStreamConsumer", body).await;
    answer["Consumer"]["ConsumerARN"].as_str().unwrap().to_owned()
}

pub(crate) async fn subscribe(service: &Service, wire: Wire, h2: bool, consumer: &str, begin: Value) -> Messages {
    let body = json!({"ConsumerARN": consumer, "ShardId": "shardId-000000000000", "StartingPosition": begin});
    let answer = stream_of(service, Call::kinesis(wire, "SubscribeToShard", &body), h2).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/vnd.amazon.eventstream");
    let mut messages =
        Messages { body: answer.into_body(), buffer: BytesMut::new(), decoder: MessageFrameDecoder::new(), wire };
    let first = messages.next().await.unwrap();
    assert_eq!(first, ("initial-response".to_owned(), json!({})));
    messages
}

#[tokio::test]
async fn a_subscription_pushes_records_and_ends_with_its_shard() {
    for (wire, h2) in [(Wire::Json, false), (Wire::Json, true), (Wire::Cbor, true), (Wire::Cbor, false)] {
        let service = open().await;
        service.create("s", 1).await;
        let consumer = consumer(&service).await;
        put(&service, wire, "s", &["a", "b"]).await;
        let mut events = subscribe(&service, wire, h2, &consumer, json!({"Type": "TRIM_HORIZON"})).await;
        let event = events.event().await;
        assert_eq!(texts(&event), ["a", "b"]);
        assert_eq!(event["ContinuationSequenceNumber"], event["Records"][1]["SequenceNumber"]);
        put(&service, wire, "s", &["c"]).await;
        assert_eq!(texts(&events.event().await), ["c"]);
        let split = json!({"StreamName": "s", "ShardToSplit": "0", "NewStartingHashKey": "1000"});
        service.ok(Wire::Json, "SplitShard", split).await;
        let last = events.event().await;
        assert_eq!(last["ChildShards"].as_array().unwrap().len(), 2);
        assert_eq!(last.get("ContinuationSequenceNumber"), None);
        assert_eq!(events.next().await, None);
    }
}

#[tokio::test]
async fn a_subscription_is_taken_over_after_five_seconds() {
    let service = open().await;
    service.create("s", 1).await;
    let consumer = consumer(&service).await;
    let begin = json!({"Type": "LATEST"});
    let mut old = subscribe(&service, Wire::Json, true, &consumer, begin.clone()).await;
    let body = json!({"ConsumerARN": consumer, "ShardId": "0", "StartingPosition": begin});
    assert_eq!(service.refused(Wire::Json, "SubscribeToShard", body).await.0, "ResourceInUseException");
    service.advance(Duration::from_secs(6)).await;
    let mut new = subscribe(&service, Wire::Json, false, &consumer, begin).await;
    let mut last = None;
    while let Some(message) = old.next().await {
        last = Some(message);
    }
    assert_eq!(last.unwrap().0, "ResourceInUseException");
    put(&service, Wire::Json, "s", &["a"]).await;
    assert_eq!(texts(&new.event().await), ["a"]);
}

#[tokio::test]
async fn a_subscriber_hears_something_and_its_time_is_bounded() {
    let service = open().await;
    service.create("s", 1).await;
    let consumer = consumer(&service).await;
    let mut events = subscribe(&service, Wire::Json, true, &consumer, json!({"Type": "LATEST"})).await;
    let (_, first) = events.next().await.unwrap();
    assert_eq!((first["Records"].clone(), first["MillisBehindLatest"].clone()), (json!([]), json!(0)));
    service.advance(Duration::from_secs(5)).await;
    let (name, second) = events.next().await.unwrap();
    assert_eq!((&*name, second["Records"].clone()), ("SubscribeToShardEvent", json!([])));
    service.advance(Duration::from_mins(5)).await;
    while let Some((name, _)) = events.next().await {
        assert_eq!(name, "SubscribeToShardEvent");
    }
}

#[tokio::test]
async fn a_subscription_ends_cleanly_when_the_service_stops() {
    for h2 in [false, true] {
        let service = open().await;
        service.create("s", 1).await;
        let consumer = consumer(&service).await;
        let mut events = subscribe(&service, Wire::Json, h2, &consumer, json!({"Type": "LATEST"})).await;
        service.stop.cancel();
        while let Some((name, _)) = events.next().await {
            assert_eq!(name, "SubscribeToShardEvent");
        }
        drop(events);
        assert_eq!(service.ended.await.unwrap().cut, 0);
    }
}

#[tokio::test]
async fn slow_subscribers_hold_no_more_than_their_room_and_hold_up_no_small_records() {
    let wire = Wire::Cbor;
    let service = open().await;
    for name in ["s", "small"] {
        service.create(name, 1).await;
    }
    service.ok(wire, "UpdateMaxRecordSize", json!({"StreamARN": arn("s"), "MaxRecordSizeInKiB": 10_240})).await;
    let large = record(&"x".repeat(9 << 20), "k");
    for _ in 0..4 {
        let mut put = large.clone();
        put["StreamName"] = "s".into();
        service.ok(wire, "PutRecord", put).await;
    }
    let begin = json!({"Type": "TRIM_HORIZON"});
    let mut slow = Vec::new();
    for number in 0..5 {
        let consumer = consumer_of(&service, "s", &format!("slow-{number}")).await;
        slow.push(subscribe(&service, wire, false, &consumer, begin.clone()).await);
    }
    // It takes a moment until they hold all.
    let mut waiting = None;
    for number in 0..10 {
        let consumer = consumer_of(&service, "s", &format!("next-{number}")).await;
        let mut next = subscribe(&service, wire, false, &consumer, begin.clone()).await;
        if service.clock.within(Duration::from_secs(2), next.next()).await.is_none() {
            waiting = Some(next);
            break;
        }
    }
    let mut waiting = waiting.expect("memory is held for as many as like");
    let consumer = consumer_of(&service, "small", "c").await;
    let mut small = subscribe(&service, wire, true, &consumer, json!({"Type": "LATEST"})).await;
    put(&service, wire, "small", &["a"]).await;
    assert_eq!(texts(&small.event().await), ["a"]);
    drop(slow);
    assert_eq!(texts(&waiting.event().await)[0].len(), 9 << 20);
}
