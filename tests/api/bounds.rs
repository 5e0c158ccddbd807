//! What a client cannot do to the service: hold it up, fill it up, or take it down.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use standpipe::api::server::{Bounds, Handler, Request, Response, Server};
use standpipe::api::wire;
use standpipe::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::harness::{Call, key, open, put_record, raw, read, start};

fn hasty() -> Bounds {
    Bounds {
        head_time: Duration::from_millis(300),
        body_time: Duration::from_millis(600),
        body_stall: Duration::from_millis(300),
        ..Bounds::default()
    }
}

#[tokio::test]
async fn who_dawdles_is_cut_off() {
    let service = start(Vec::new(), &[], hasty()).await;
    for beginning in ["", "P", "POST / HTTP/1.1\r\nhost: x\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(service.address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!String::from_utf8_lossy(&rest).contains(" 200 "), "{beginning:?}");
    }
    let call = put_record("web", "x");
    let head = call.head(&service) + "content-length: 50\r\n\r\n";
    let answer = raw(&service, head.as_bytes(), b"{\"Deli").await;
    assert_eq!(answer.error(), (408, "RequestTimeoutException".to_owned()));
    let mut drip = TcpStream::connect(service.address).await.unwrap();
    drip.write_all(head.as_bytes()).await.unwrap();
    let (mut from, mut to) = drip.into_split();
    let dripping = tokio::spawn(async move {
        while to.write_all(b" ").await.is_ok() {
            Clock::real().sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = Vec::new();
    let _ = from.read_to_end(&mut answer).await;
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 408"));
    dripping.abort();
    assert_eq!(call.send(&service).await.status, 200);
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused_before_they_are_kept() {
    let service = open().await;
    let call = put_record("web", "x");
    let announced = call.head(&service) + "content-length: 99999999999\r\nexpect: 100-continue\r\n\r\n";
    let answer = raw(&service, announced.as_bytes(), b"").await;
    assert_eq!(answer.error(), (413, "RequestEntityTooLargeException".to_owned()));
    let sent = call.head(&service) + "content-length: 7000000\r\nconnection: close\r\n\r\n";
    let answer = raw(&service, sent.as_bytes(), &vec![b' '; 7_000_000]).await;
    assert_eq!(answer.error(), (413, "RequestEntityTooLargeException".to_owned()));
    assert!(answer.json()["message"].as_str().unwrap().contains("6291456 bytes"));
    let batch = Call::aws("PutRecordBatch", vec![b' '; 7_000_000]).send(&service).await;
    assert_eq!(batch.error(), (413, "InvalidArgumentException".to_owned()));
    assert_eq!(batch.json()["message"], "Records size exceeds 4 MB limit");
    let chunked = call.head(&service) + "transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    let answer = raw(&service, chunked.as_bytes(), &[chunk.repeat(8), b"0\r\n\r\n".to_vec()].concat()).await;
    assert_eq!(answer.error(), (413, "RequestEntityTooLargeException".to_owned()));
    assert!(service.shelf.records().is_empty());
}

#[tokio::test]
async fn a_body_that_is_cut_short_stores_nothing() {
    let service = open().await;
    let call = Call::ingest("web", "text/plain", "whole\nhal");
    for framing in ["content-length: 20\r\n\r\nwhole\nhal", "transfer-encoding: chunked\r\n\r\n9\r\nwhole\nhal\r\n"] {
        let mut stream = TcpStream::connect(service.address).await.unwrap();
        stream.write_all((call.head(&service) + framing).as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!String::from_utf8_lossy(&rest).contains(" 200 "));
    }
    assert_eq!(call.send(&service).await.status, 200);
    assert_eq!(service.shelf.texts(), ["whole", "hal"]);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let service = open().await;
    let mut call = put_record("web", "x");
    for number in 0..60 {
        call = call.with(&format!("x-{number}"), &"y".repeat(700));
    }
    assert_eq!(call.send(&service).await.status, 431);
}

#[tokio::test]
async fn all_bodies_together_are_bounded() {
    let service = start(Vec::new(), &[], Bounds { body_bytes: 1_000, ..Bounds::default() }).await;
    let call = Call::ingest("web", "text/plain", "z".repeat(900));
    service.shelf.slow.store(true, Ordering::SeqCst);
    let (first, second) = tokio::join!(call.send(&service), async {
        service.shelf.waiting.notified().await;
        let refused = call.send(&service).await;
        service.shelf.slow.store(false, Ordering::SeqCst);
        service.shelf.go.notify_one();
        refused
    });
    assert_eq!((first.status, second.status), (200, 503));
    assert_eq!(call.send(&service).await.status, 200, "what was held is free again");
}

#[tokio::test]
async fn idle_connections_make_room_for_honest_clients() {
    let service = start(Vec::new(), &[], Bounds { connections: 4, ..Bounds::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(TcpStream::connect(service.address).await.unwrap());
    }
    assert_eq!(put_record("web", "x").send(&service).await.status, 200);
}

#[tokio::test]
async fn what_was_begun_is_finished_at_the_end() {
    let service = open().await;
    service.shelf.slow.store(true, Ordering::SeqCst);
    let call = put_record("web", "last");
    let (answer, ()) = tokio::join!(call.send(&service), async {
        service.shelf.waiting.notified().await;
        service.stop.cancel();
        while TcpStream::connect(service.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        service.shelf.go.notify_one();
    });
    assert_eq!(answer.status, 200);
    assert_eq!(service.ended.await.unwrap().cut, 0);
    assert_eq!(service.shelf.texts(), ["last"]);
}

#[tokio::test]
async fn a_client_that_goes_away_is_still_counted() {
    let service = open().await;
    service.shelf.slow.store(true, Ordering::SeqCst);
    let call = put_record("web", "gone");
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let head = call.head(&service) + &format!("content-length: {}\r\n\r\n", call.body.len());
    stream.write_all(&[head.as_bytes(), &call.body].concat()).await.unwrap();
    service.shelf.waiting.notified().await;
    drop(stream);
    service.stop.cancel();
    service.shelf.go.notify_one();
    service.ended.await.unwrap();
    assert_eq!(service.shelf.texts(), ["gone"]);
    assert_eq!(service.metrics.stream("web").incoming_records.get(), 1);
}

#[tokio::test]
async fn strangers_hear_why_but_are_not_kept() {
    let bounds = Bounds { body_bytes: 1_000, ..Bounds::default() };
    let service = start(vec![key("AKID", None)], &[], bounds).await;
    let large = Call::ingest("web", "text/plain", "z".repeat(100_000));
    assert_eq!(large.clone().send(&service).await.status, 401);
    assert_eq!(large.clone().signed(&service, "NOBODY").send(&service).await.status, 401);
    assert_eq!(large.signed(&service, "AKID").send(&service).await.status, 503);
}

/// Panics where it is asked to.
#[derive(Clone)]
struct Fragile;

impl Handler for Fragile {
    async fn handle(&self, request: Request) -> Response {
        assert!(request.head.uri.path() != "/boom", "asked for");
        wire::text(http::StatusCode::OK, "fine")
    }
}

#[tokio::test]
async fn a_panic_costs_one_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving =
        tokio::spawn(Server::new(Clock::real()).serve(listener, Fragile, stop.clone(), Duration::from_secs(5)));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /boom HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let answer = read(&mut stream).await;
    assert_eq!(answer.status, 500);
    let rest = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(rest.contains("InternalFailure") && rest.ends_with("fine"), "{rest}");
    stop.cancel();
    assert_eq!(serving.await.unwrap().cut, 0);
}

#[tokio::test]
async fn http_2_without_tls_is_spoken() {
    let service = start(vec![key("AKID", None)], &[], Bounds::default()).await;
    let stream = TcpStream::connect(service.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for round in 0..3 {
        let call = put_record("web", &format!("h2-{round}")).signed(&service, "AKID");
        let mut request = http::Request::post(format!("http://{}/", service.address));
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let response =
            sender.send_request(request.body(Full::new(bytes::Bytes::from(call.body))).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200, "{:?}", response.into_body().collect().await);
    }
    assert_eq!(service.shelf.texts(), ["h2-0", "h2-1", "h2-2"]);
}
