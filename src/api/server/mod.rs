//! The listener: HTTP/1.1 and HTTP/2 on one port, with or without TLS, and a bound on everything a client may hold.
//!
//! - Connections: a fixed number; when all are taken, those on which nothing is going on make room for new ones.
//! - Time: for the TLS handshake, for a request's head, for its body, for a pause within the body, for idling.
//! - Bytes: of a head, of the bodies of all requests together (beyond it `503`), of large answers, of HTTP/2 windows.
//! - Reading: a client that does not read on in an answer, or takes too long for one that takes room from others, loses
//!   its connection.
//!
//! Each request runs in its own task. A client that goes away does not cut short what its request had begun (a put
//! that is being stored is also counted), and one that panics is answered with `InternalFailure` and costs nobody
//! else anything.

mod activity;
mod answer;
mod body;
mod connection;
mod room;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use answer::{Answer, BrokenOff, Feed, Place};
pub use body::{Body, BodyError, Hold, Received};
pub use room::AnswerRoom;
use room::AnswerRooms;

use crate::clock::Clock;
use crate::limits;

/// A request as a handler sees it.
pub struct Request {
    /// Method, URI, headers.
    pub head: http::request::Parts,
    /// The body, not yet read.
    pub body: Body,
    /// Who sent it.
    pub peer: SocketAddr,
    /// When its head was complete, milliseconds since 1970.
    pub arrived_ms: u64,
    /// Stands in the answer as `x-amzn-RequestId`.
    pub request_id: String,
}

/// An answer.
pub type Response = http::Response<Answer>;

/// What answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one.
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send;
}

/// The bounds of one listener; [`Default`] takes them from [`limits`].
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once.
    pub connections: usize,
    /// Time for a request's head, and how long a connection may idle.
    pub head_time: Duration,
    /// Time for a request's body.
    pub body_time: Duration,
    /// Longest pause within a body.
    pub body_stall: Duration,
    /// Bytes of bodies held at once.
    pub body_bytes: usize,
    /// Bytes of large answers held at once, and half of that for one stream.
    pub answer_bytes: usize,
    /// Longest pause of a client in reading an answer.
    pub answer_stall: Duration,
    /// Longest time for reading what takes room from others.
    pub answer_time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            connections: limits::CONNECTIONS_MAX,
            head_time: limits::HEAD_TIME_MAX,
            body_time: limits::BODY_TIME_MAX,
            body_stall: limits::BODY_STALL_MAX,
            body_bytes: limits::BODY_BYTES_IN_FLIGHT_MAX,
            answer_bytes: limits::GET_RECORDS_BYTES_IN_FLIGHT_MAX,
            answer_stall: limits::ANSWER_STALL_MAX,
            answer_time: limits::ANSWER_TIME_MAX,
        }
    }
}

/// A listener's settings.
pub struct Server {
    clock: Clock,
    bounds: Bounds,
    tls: Option<TlsAcceptor>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Connections and requests that had to be cut because the grace period was over.
    pub cut: usize,
}

/// What all connections of one listener share.
struct Shared<H> {
    handler: H,
    clock: Clock,
    bounds: Bounds,
    /// Bytes of request bodies that may still be taken in.
    body_bytes: Arc<Semaphore>,
    /// Bytes of large answers that may still be made.
    answer_rooms: Arc<AnswerRooms>,
    /// Bytes of large pieces of long answers that may still be made.
    push_bytes: Arc<Semaphore>,
    /// Told when a client waits for a connection to become free.
    pressure: Notify,
    /// Stop taking requests, finish those under way.
    stop: CancellationToken,
    /// Stop at once.
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// A server without TLS and with the usual bounds.
    pub fn new(clock: Clock) -> Self {
        Server { clock, bounds: Bounds::default(), tls: None }
    }

    /// With TLS; see [`tls::acceptor`].
    #[must_use]
    pub fn with_tls(mut self, acceptor: TlsAcceptor) -> Self {
        self.tls = Some(acceptor);
        self
    }

    /// With other bounds.
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Serves until `stop` is cancelled; then takes no more connections, finishes requests for at most `grace`, and
    /// returns.
    pub async fn serve<H: Handler>(
        self,
        listener: TcpListener,
        handler: H,
        stop: CancellationToken,
        grace: Duration,
    ) -> Ended {
        let shared = Arc::new(Shared {
            handler,
            clock: self.clock,
            bounds: self.bounds,
            body_bytes: Arc::new(Semaphore::new(self.bounds.body_bytes)),
            answer_rooms: Arc::new(AnswerRooms::new(self.bounds.answer_bytes)),
            push_bytes: Arc::new(Semaphore::new(limits::PUSH_BYTES_IN_FLIGHT_MAX)),
            pressure: Notify::new(),
            stop,
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let places = Arc::new(Semaphore::new(self.bounds.connections));
        while let Some((stream, peer, place)) = next(&shared, &listener, &places).await {
            let (shared, tls) = (shared.clone(), self.tls.clone());
            shared.tasks.clone().spawn(async move {
                connection::run(&shared, stream, peer, tls).await;
                drop(place);
            });
        }
        drop(listener);
        shared.finish(grace).await
    }
}

impl<H> Shared<H> {
    async fn finish(&self, grace: Duration) -> Ended {
        self.tasks.close();
        if self.clock.within(grace, self.tasks.wait()).await.is_some() {
            return Ended { cut: 0 };
        }
        let cut = self.tasks.len();
        self.cut.cancel();
        self.tasks.wait().await;
        Ended { cut }
    }
}

/// The next client and its place among the connections; `None` when the server is to stop.
async fn next<H>(
    shared: &Shared<H>,
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    shared
        .stop
        .run_until_cancelled(async {
            let place = place(shared, places).await;
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        // What is sent is complete: waiting for more to send would only delay it.
                        let _ = stream.set_nodelay(true);
                        return (stream, peer, place);
                    }
                    // Out of file descriptors, mostly: the connections that are there go on, and free some in time.
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        shared.clock.sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        })
        .await
}

async fn place<H>(shared: &Shared<H>, places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    const CLOSED: &str = "the semaphore of connections is never closed";
    if let Ok(place) = places.clone().try_acquire_owned() {
        return place;
    }
    loop {
        shared.pressure.notify_waiters();
        let wait = places.clone().acquire_owned();
        if let Some(place) = shared.clock.within(limits::IDLE_UNDER_PRESSURE, wait).await {
            return place.expect(CLOSED);
        }
    }
}
