//! One connection: its requests, and the clock that closes it when nothing is asked on it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::activity::Activity;
use super::{Body, Bounds, Handler, Hold, Request, Response, Shared};
use crate::api::{ApiError, wire};
use crate::limits;

/// How long a connection that was told to end may take for it when nothing is under way on it.
const FAREWELL: Duration = Duration::from_secs(5);

/// Serves one client to the end.
pub(super) async fn run<H: Handler>(
    shared: &Arc<Shared<H>>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
) {
    let Some(tls) = tls else { return requests(shared, stream, peer).await };
    let handshake = shared.clock.within(limits::TLS_HANDSHAKE_TIME_MAX, tls.accept(stream));
    match shared.stop.run_until_cancelled(handshake).await.flatten() {
        Some(Ok(stream)) => requests(shared, stream, peer).await,
        Some(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        None => {}
    }
}

async fn requests<H: Handler, I>(shared: &Arc<Shared<H>>, io: I, peer: SocketAddr)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new(shared.clock.clone()));
    let service = service_fn(|request| {
        let (shared, activity) = (shared.clone(), activity.clone());
        async move {
            let busy = activity.begin();
            let response = answer(&shared, request, peer).await;
            Ok::<_, Infallible>(response.map(|answer| answer.under_way(busy)))
        }
    });
    let builder = builder(&shared.bounds);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let Bounds { head_time, answer_stall, answer_time, .. } = shared.bounds;
    let mut look_at = shared.clock.instant() + head_time.min(answer_stall).min(answer_time);
    let mut ending = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = shared.cut.cancelled() => return,
            () = shared.stop.cancelled(), if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
                look_at = shared.clock.instant() + FAREWELL;
            }
            () = shared.pressure.notified(), if !ending => {
                if activity.idle_for().is_some_and(|idle| idle >= limits::IDLE_UNDER_PRESSURE) {
                    return;
                }
            }
            () = shared.clock.sleep_until(look_at) => {
                let idle = activity.idle_for();
                let (stalled, held) = (activity.stalled_for(), activity.held_for());
                if ending && idle.is_some() || stalled >= answer_stall || held >= answer_time {
                    return;
                }
                let left = head_time.saturating_sub(idle.unwrap_or_default());
                if left.is_zero() {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                let left = left.min(answer_stall.saturating_sub(stalled)).min(answer_time.saturating_sub(held));
                look_at = shared.clock.instant() + if ending { FAREWELL } else { left };
            }
        }
    }
}

fn builder(bounds: &Bounds) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_time)
        .max_buf_size(limits::READ_BUFFER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::H2_STREAMS_MAX)
        .max_pending_accept_reset_streams(limits::H2_RESETS_MAX)
        .max_local_error_reset_streams(limits::H2_RESETS_MAX)
        .max_send_buf_size(limits::H2_SEND_BYTES_MAX)
        .max_header_list_size(limits::HEAD_BYTES_MAX as u32)
        .initial_stream_window_size(limits::H2_WINDOW_BYTES)
        .initial_connection_window_size(limits::H2_WINDOW_BYTES);
    builder
}

async fn answer<H: Handler>(shared: &Arc<Shared<H>>, request: http::Request<Incoming>, peer: SocketAddr) -> Response {
    let request_id = shared.clock.uuid();
    let (head, body) = request.into_parts();
    let mut response = if head_bytes(&head) > limits::HEAD_BYTES_MAX {
        let limit = limits::HEAD_BYTES_MAX;
        wire::text(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, format!("a head may have {limit} bytes\n"))
    } else {
        let body = Body::new(body, &head.headers, shared.clock.clone(), shared.bounds, Hold::of(shared));
        let arrived_ms = shared.clock.now_ms();
        handle(shared, Request { head, body, peer, arrived_ms, request_id: request_id.clone() }).await
    };
    if let Ok(value) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert("x-amzn-requestid", value);
    }
    response
}

/// Runs the handler in a task of its own: it outlives the client, and its panic stays its own.
async fn handle<H: Handler>(shared: &Arc<Shared<H>>, request: Request) -> Response {
    let request_id = request.request_id.clone();
    let task = shared.tasks.spawn({
        let shared = shared.clone();
        async move { shared.cut.run_until_cancelled(shared.handler.handle(request)).await }
    });
    match task.await {
        Ok(Some(response)) => response,
        Ok(None) => wire::aws_error(&ApiError::service_unavailable("The service is shutting down.")),
        Err(error) => {
            tracing::error!(%request_id, %error, "a request failed by a fault of ours");
            wire::aws_error(&ApiError::internal_failure("The request failed for an internal reason."))
        }
    }
}

fn head_bytes(head: &http::request::Parts) -> usize {
    let headers = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let uri = head.uri.path_and_query().map_or(0, |uri| uri.as_str().len());
    headers.sum::<usize>() + uri
}
