//! What every request passes on its way in and every answer on its way out: a request id, a time limit, one line in the
//! log, a measurement, and problems in place of bare errors. Neither tokens nor bodies are logged.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tracing::Instrument;
use uuid::Uuid;

use crate::app::App;
use crate::problem::{Code, Refusal};

/// Names a request in the log and in problems.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a route may take until its answer begins; the events of an operation then take as long as they take.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// How long a request id that a caller brings may be.
const LONGEST_REQUEST_ID: usize = 128;

pub(crate) async fn pass(State(app): State<App>, request: Request, next: Next) -> Response {
    let request_id = request_id(request.headers());
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", method, route, request_id);

    let begun = Instant::now();
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    let answered = tokio::time::timeout(TIME_LIMIT, answer).instrument(span.clone()).await;
    let took = begun.elapsed();
    let _entered = span.enter();
    let response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => {
            tracing::error!("a route panicked");
            Refusal::internal().into_response()
        }
        Err(_elapsed) => Refusal::new(
            Code::Timeout,
            format!("The answer was not ready after {} seconds; it is safe to ask again.", TIME_LIMIT.as_secs()),
        )
        .into_response(),
    };
    let mut response = as_problem(response, &request_id);
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

    let status = response.status().as_u16();
    app.metrics.request(method, &route, status, took);
    tracing::info!(status, took_ms = took.as_millis(), "answered");
    response
}

/// Every error leaves as a problem, whoever made it.
fn as_problem(mut response: Response, request_id: &str) -> Response {
    let status = response.status();
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        return refusal.render(request_id);
    }
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let allow = response.headers_mut().remove(header::ALLOW);
    let mut problem = Refusal::from_status(status).render(request_id);
    if let Some(allow) = allow {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    problem
}

/// The id that the caller brings, if it is fit for a log, or else a new one.
fn request_id(headers: &HeaderMap) -> String {
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
