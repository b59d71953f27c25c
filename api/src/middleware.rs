//! What every request passes on its way in and every answer on its way out: a request id, a time limit, one line in the
//! log, a measurement, and problems in place of bare errors. Neither tokens nor bodies are logged.

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
use crate::problem::{ApiError, Code, MEDIA_TYPE};

/// Names a request in the log and in problems.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, among its extensions.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Names the span of whoever calls (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How long a route may take until its answer begins; the events of an operation then take as long as they take.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// How long a request id that a caller brings may be.
const LONGEST_REQUEST_ID: usize = 128;

pub(crate) async fn request_middleware(State(metrics): State<Metrics>, mut request: Request, next: Next) -> Response {
    let request_id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(request_id.clone()));
    let method = known_method(request.method());
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
    let caller = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
    trace::begin(&span, "server", &format!("{method} {route}"), caller);
    record_ids(&span, request.uri().path());

    let begun = Instant::now();
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    let answered = tokio::time::timeout(TIME_LIMIT, answer).instrument(span.clone()).await;
    let took = begun.elapsed();
    let _entered = span.enter();
    let response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => {
            tracing::error!("a route panicked");
            ApiError::internal().into_response()
        }
        Err(_elapsed) => ApiError::new(
            Code::Timeout,
            format!("The answer was not ready after {} seconds; it is safe to ask again.", TIME_LIMIT.as_secs()),
        )
        .into_response(),
    };
    let mut response = into_problem_response(response, &request_id);
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

    let status = response.status().as_u16();
    trace::note(&span, "http.response.status_code", status);
    // What has just come into being is where the answer says.
    if let Some(place) = response.headers().get(header::LOCATION).and_then(|place| place.to_str().ok()) {
        record_ids(&span, place);
    }
    metrics.request(method, &route, status, took);
    tracing::info!(status, took_ms = took.as_millis(), "answered");
    response
}

/// Says of a request which tenant and which operation it is about, so that its lines in the log are found by them.
fn record_ids(span: &Span, path: &str) {
    for segment in path.split(['/', '?', ':']) {
        if segment.parse::<TenantId>().is_ok() {
            span.record("tenant", segment);
        } else if segment.parse::<OperationId>().is_ok() {
            span.record("operation", segment);
        }
    }
}

/// Every error leaves as a problem, whoever made it; its headers stay.
fn into_problem_response(mut response: Response, request_id: &str) -> Response {
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
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    *response.body_mut() = refusal.body(request_id).into();
    response
}

/// The id that the caller brings, if it is fit for a log, or else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| (1..=LONGEST_REQUEST_ID).contains(&id.len()))
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)))
        .map_or_else(|| Uuid::now_v7().simple().to_string(), ToOwned::to_owned)
}

/// Callers can invent methods without end; measurements have one name for all of those (OpenTelemetry's).
fn known_method(method: &Method) -> &'static str {
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

    async fn ask(path: &str) -> (StatusCode, HeaderMap, Value) {
        let router = Router::new()
            .route("/panics", get(|| async { panic!("on purpose") as &'static str }))
            .route("/sleeps", get(std::future::pending::<&'static str>))
            .route("/refuses", get(|| async { StatusCode::IM_A_TEAPOT }))
            .layer(from_fn_with_state(Metrics::new(), request_middleware));
        let request = Request::get(path).header(REQUEST_ID, "ours-1").body(Body::empty()).unwrap();
        let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_goes_wrong_leaves_as_a_problem_with_the_request_id() {
        for (path, status, code) in [
            ("/panics", 500, "internal_error"),
            ("/sleeps", 504, "timeout"),
            ("/refuses", 400, "bad_request"),
            ("/elsewhere", 404, "route_not_found"),
        ] {
            let (answered, headers, problem) = ask(path).await;
            assert_eq!((answered.as_u16(), problem["code"].as_str()), (status, Some(code)), "{path}");
            assert_eq!(headers[header::CONTENT_TYPE], MEDIA_TYPE);
            assert_eq!(headers[REQUEST_ID], "ours-1");
            assert_eq!(problem["request_id"], "ours-1");
        }
    }
}
