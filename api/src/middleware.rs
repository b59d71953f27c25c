//! Outermost middleware. It assigns the request id, enforces the timeout, writes the log line and the metrics, and
//! turns all errors into problem responses. Tokens and bodies are never logged.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use freehold_tenancy::{OperationId, TenantId, trace};
use futures::FutureExt;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::metrics::Metrics;
use crate::problem::{ApiError, Code, MEDIA_TYPE, error_page, is_page_path};

pub(crate) const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Request id, which is stored in the request extensions.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Request header with the trace context of the caller (W3C Trace Context).
const TRACEPARENT_HEADER: HeaderName = HeaderName::from_static("traceparent");

/// Timeout until a response starts. The body of a response, such as an event stream, has no time limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum length of a request id, in characters.
const MAX_REQUEST_ID_CHARS: usize = 128;

pub(crate) async fn request_middleware(State(metrics): State<Metrics>, mut request: Request, next: Next) -> Response {
    let request_id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(request_id.clone()));
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!(
        "request",
        method,
        route,
        request_id,
        tenant = Empty,
        operation = Empty,
        http.response.status_code = Empty,
        otel.kind = Empty,
        otel.name = Empty,
    );
    let caller = request.headers().get(TRACEPARENT_HEADER).and_then(|value| value.to_str().ok());
    trace::init_span(&span, "server", &format!("{method} {route}"), caller);
    record_ids(&span, request.uri().path());
    let is_console = is_page_path(request.uri().path());

    let started = Instant::now();
    let response = AssertUnwindSafe(next.run(request)).catch_unwind();
    let result = tokio::time::timeout(REQUEST_TIMEOUT, response).instrument(span.clone()).await;
    let duration = started.elapsed();
    let _entered = span.enter();
    let response = match result {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => {
            tracing::error!("a route panicked");
            ApiError::internal().into_response()
        }
        Err(_elapsed) => ApiError::new(
            Code::Timeout,
            format!("The response was not ready after {} seconds; it is safe to retry.", REQUEST_TIMEOUT.as_secs()),
        )
        .into_response(),
    };
    let mut response = into_problem_response(response, &request_id, is_console);
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID_HEADER, value);
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

    let status = response.status().as_u16();
    trace::record_field(&span, "http.response.status_code", status);
    // The id of a new resource is in the `Location` header.
    if let Some(location) = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok()) {
        record_ids(&span, location);
    }
    metrics.record_request(method, &route, status, duration);
    tracing::info!(status, took_ms = duration.as_millis(), "request finished");
    response
}

/// Records the tenant id and the operation id in a path as fields of the request span, so that log lines can be
/// filtered by them.
fn record_ids(span: &Span, path: &str) {
    for segment in path.split(['/', '?', ':']) {
        if segment.parse::<TenantId>().is_ok() {
            span.record("tenant", segment);
        } else if segment.parse::<OperationId>().is_ok() {
            span.record("operation", segment);
        }
    }
}

/// Turns an error response into a problem response, or into a page for people, and keeps its headers.
fn into_problem_response(mut response: Response, request_id: &str, is_console: bool) -> Response {
    let refusal = match response.extensions_mut().remove::<ApiError>() {
        Some(refusal) => refusal,
        None if response.status().is_client_error() || response.status().is_server_error() => {
            ApiError::from_status(response.status())
        }
        None => return response,
    };
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    let media_type = if is_console { "text/html; charset=utf-8" } else { MEDIA_TYPE };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    let body = if is_console { error_page(&refusal, request_id) } else { refusal.body(request_id) };
    *response.body_mut() = body.into();
    response
}

/// Returns the request id that the caller sent, or a new id if it is missing or contains characters that are unsafe in
/// logs.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID_HEADER)
        .and_then(|id| id.to_str().ok())
        .filter(|id| (1..=MAX_REQUEST_ID_CHARS).contains(&id.len()))
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)))
        .map_or_else(|| Uuid::now_v7().simple().to_string(), ToOwned::to_owned)
}

/// Returns the HTTP method as a metric label. Callers can send any method name, so all unknown methods get the label
/// that OpenTelemetry defines for them.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    async fn get_problem(path: &str) -> (StatusCode, HeaderMap, Value) {
        let router = Router::new()
            .route("/panics", get(|| async { panic!("on purpose") as &'static str }))
            .route("/sleeps", get(std::future::pending::<&'static str>))
            .route("/refuses", get(|| async { StatusCode::IM_A_TEAPOT }))
            .layer(from_fn_with_state(Metrics::new(), request_middleware));
        let request = Request::get(path).header(REQUEST_ID_HEADER, "ours-1").body(Body::empty()).unwrap();
        let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn every_failure_becomes_a_problem_with_the_request_id() {
        for (path, status, code) in [
            ("/panics", 500, "internal_error"),
            ("/sleeps", 504, "timeout"),
            ("/refuses", 400, "bad_request"),
            ("/elsewhere", 404, "route_not_found"),
        ] {
            let (actual_status, headers, problem) = get_problem(path).await;
            assert_eq!((actual_status.as_u16(), problem["code"].as_str()), (status, Some(code)), "{path}");
            assert_eq!(headers[header::CONTENT_TYPE], MEDIA_TYPE);
            assert_eq!(headers[REQUEST_ID_HEADER], "ours-1");
            assert_eq!(problem["request_id"], "ours-1");
        }
    }
}
