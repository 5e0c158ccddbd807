//! Long answers: they come through, they end when the service stops or are cut, and who does not read them is.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use standpipe::api::server::{Answer, Bounds, Ended, Feed, Handler, Request, Response, Server};
use standpipe::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Hands out the feed of each answer; `/large` is answered with 64 MiB that hold a permit.
#[derive(Clone)]
struct Long {
    feeds: mpsc::UnboundedSender<Feed>,
    room: Arc<Semaphore>,
}

impl Handler for Long {
    async fn handle(&self, request: Request) -> Response {
        if request.head.uri.path() == "/large" {
            let room = self.room.clone().acquire_owned().await.unwrap();
            let piece = Bytes::from(vec![b'x'; 1 << 20]);
            return Response::new(Answer::pieces(vec![piece; 64]).holding(room));
        }
        let (feed, answer) = Answer::feed();
        self.feeds.send(feed).unwrap();
        Response::new(answer)
    }
}

struct Running {
    address: std::net::SocketAddr,
    feeds: mpsc::UnboundedReceiver<Feed>,
    room: Arc<Semaphore>,
    stop: CancellationToken,
    ended: JoinHandle<Ended>,
}

async fn run(grace: Duration) -> Running {
    let (answer_stall, answer_time) = (Duration::from_millis(300), Duration::from_secs(1));
    run_within(grace, Bounds { answer_stall, answer_time, ..Bounds::default() }).await
}

async fn run_within(grace: Duration, bounds: Bounds) -> Running {
    let (sender, feeds) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(1));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let handler = Long { feeds: sender, room: room.clone() };
    let server = Server::new(Clock::real()).with_bounds(bounds);
    let ended = tokio::spawn(server.serve(listener, handler, stop.clone(), grace));
    Running { address, feeds, room, stop, ended }
}

async fn ask(running: &Running, h2: bool) -> Incoming {
    let io = TokioIo::new(TcpStream::connect(running.address).await.unwrap());
    let request = http::Request::get(format!("http://{}/", running.address)).header("host", "x");
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    if h2 {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap().into_body()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap().into_body()
    }
}

#[tokio::test]
async fn a_long_answer_outlasts_stalls_and_stop_and_ends_as_it_should() {
    for h2 in [false, true] {
        let mut running = run(Duration::from_mins(1)).await;
        let body = ask(&running, h2).await;
        let reader = tokio::spawn(body.collect());
        let feed = running.feeds.recv().await.unwrap();
        feed.place().await.unwrap().send("abc");
        running.stop.cancel();
        // Longer than a client may pause: here it is the service that has nothing to send.
        Clock::real().sleep(Duration::from_millis(500)).await;
        feed.place().await.unwrap().send("def");
        feed.end().await;
        assert_eq!(reader.await.unwrap().unwrap().to_bytes(), "abcdef");
        assert_eq!(running.ended.await.unwrap(), Ended { cut: 0 });
    }
}

#[tokio::test]
async fn a_feed_that_is_dropped_breaks_its_answer_off() {
    for h2 in [false, true] {
        let mut running = run(Duration::from_mins(1)).await;
        let body = ask(&running, h2).await;
        let feed = running.feeds.recv().await.unwrap();
        feed.place().await.unwrap().send("abc");
        drop(feed);
        assert!(body.collect().await.is_err(), "it looks complete");
    }
}

#[tokio::test]
async fn after_the_grace_a_long_answer_is_cut() {
    for h2 in [false, true] {
        let mut running = run(Duration::from_millis(100)).await;
        let body = ask(&running, h2).await;
        let feed = running.feeds.recv().await.unwrap();
        running.stop.cancel();
        assert!(running.ended.await.unwrap().cut > 0);
        assert!(body.collect().await.is_err());
        feed.gone().await;
    }
}

#[tokio::test]
async fn who_does_not_read_an_answer_is_cut_and_gives_its_room_back() {
    let running = run(Duration::from_mins(1)).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    silent.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    silent.readable().await.unwrap();
    assert_eq!(running.room.available_permits(), 0);
    drop(running.room.acquire().await.unwrap());
    drop(silent);
}

#[tokio::test]
async fn who_reads_an_answer_drop_by_drop_is_cut_and_gives_its_room_back() {
    let bounds = Bounds { answer_time: Duration::from_secs(1), ..Bounds::default() };
    let running = run_within(Duration::from_mins(1), bounds).await;
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    slow.readable().await.unwrap();
    assert_eq!(running.room.available_permits(), 0);
    let reading = tokio::spawn(async move {
        // Never a pause that is too long: all of it would take a minute and more.
        let mut buffer = vec![0; 100 << 10];
        while slow.read_exact(&mut buffer).await.is_ok() {
            Clock::real().sleep(Duration::from_millis(100)).await;
        }
    });
    let room = Clock::real().within(Duration::from_secs(20), running.room.acquire()).await;
    assert!(room.is_some(), "the room is held for as long as the client likes");
    reading.abort();
}

#[tokio::test]
async fn over_http_2_little_counts_as_sent_that_was_not_read() {
    const ANSWERS: usize = 60;
    const PIECE: usize = 32 << 10;
    let mut running = run_within(Duration::from_mins(1), Bounds::default()).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let (mut from, mut to) = socket.connect(running.address).await.unwrap().into_split();
    let (client, wire) = tokio::io::duplex(64 << 10);
    let (mut asked, mut answered) = tokio::io::split(wire);
    let (reads, over) = (CancellationToken::new(), CancellationToken::new());
    let (reading, ending, _over) = (reads.clone(), over.clone(), over.drop_guard());
    tokio::spawn(async move { tokio::io::copy(&mut asked, &mut to).await });
    tokio::spawn(async move {
        let _ = reading.run_until_cancelled(tokio::io::copy(&mut from, &mut answered)).await;
        ending.cancelled().await;
    });
    // It says that it would take in whatever comes, and then reads nothing.
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1 << 30).initial_connection_window_size(1 << 30);
    let (mut sender, connection) = builder.handshake(TokioIo::new(client)).await.unwrap();
    tokio::spawn(connection);
    let (mut answers, mut feeds) = (Vec::new(), Vec::new());
    for _ in 0..ANSWERS {
        let request = http::Request::get(format!("http://{}/", running.address)).body(Empty::<Bytes>::new()).unwrap();
        answers.push(sender.send_request(request).await.unwrap());
        feeds.push(running.feeds.recv().await.unwrap());
    }
    reads.cancel();
    let mut taken = 0;
    for feed in &feeds {
        while let Some(Some(place)) = Clock::real().within(Duration::from_millis(50), feed.place()).await {
            place.send(vec![0; PIECE]);
            taken += PIECE;
        }
    }
    // Of each answer 64 KiB that wait to be sent and three pieces, and what the system takes in for the connection.
    assert!(taken <= ANSWERS * ((64 << 10) + 3 * PIECE) + (8 << 20), "{taken} bytes");
}
