//! The admin listener: health, metrics and status, for operators and their tools. It shows no record's bytes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use http_body_util::Full;

use crate::telemetry::metrics::Metrics;
use crate::telemetry::status::Status;

/// What the console asks the service; the app fills it in.
#[derive(Clone)]
pub struct Handles {
    /// How everything stands.
    pub status: Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Status> + Send>> + Send + Sync>,
    /// Whether puts can be taken; the text says why not.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// What was counted.
    pub metrics: Arc<Metrics>,
}

/// Answers one request of the admin listener.
pub async fn answer(handles: &Handles, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n");
    }
    match path {
        "/live" => text(StatusCode::OK, "live\n"),
        "/ready" => match (handles.ready)() {
            Ok(()) => text(StatusCode::OK, "ready\n"),
            Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        },
        "/metrics" => match handles.metrics.render(&(handles.status)().await) {
            Ok(body) => respond(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("metrics cannot be rendered: {error}\n")),
        },
        "/v1/status" => match serde_json::to_vec(&(handles.status)().await) {
            Ok(body) => respond(StatusCode::OK, "application/json", body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("the status cannot be written: {error}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, "here are /live, /ready, /metrics and /v1/status\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body)
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
