//! Route that streams the events of an operation (server-sent events).

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use freehold_tenancy::{Clock, OperationId, db, event};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::schema::tenant_view::OPERATION_EVENT;
use crate::app::App;
use crate::auth::{Caller, TenantScope};
use crate::extract::PathParam;
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use crate::stream_limiter::StreamPermit;
use crate::tenant_view::TenantViewApplied;
use crate::watcher::{OperationFollower, OperationNews};

/// Interval between keep-alive comments, which prevent proxies from closing an idle connection.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Maximum number of events per database query.
const BATCH_SIZE: i64 = 200;

/// Event of an operation: the `data` of a server-sent event, whose fields `id` and `event` contain `seq` and `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationEvent {
    /// Id of the operation.
    #[schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub operation_id: String,
    /// Sequence number within the operation: 1, 2, 3, …
    #[schema(example = 4)]
    pub seq: i64,
    /// Type of the event.
    #[schema(example = "step.succeeded")]
    pub r#type: String,
    /// Name of the step; omitted if the event does not concern a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "place-account", nullable = false)]
    pub step: Option<String>,
    /// Additional fields, which depend on the type: `waits_for`, `error`, `reason`, `code`, `message`, …
    #[serde(flatten)]
    pub more: Map<String, Value>,
    /// Time of the event.
    pub occurred_at: DateTime<Utc>,
}

impl From<event::Event> for OperationEvent {
    fn from(event: event::Event) -> Self {
        let mut more = match event.data {
            Value::Object(more) => more,
            _ => Map::new(),
        };
        let step = more.shift_remove("step").and_then(|step| step.as_str().map(ToOwned::to_owned));
        Self {
            operation_id: event.operation_id.to_string(),
            seq: event.seq,
            r#type: event.event_type.to_string(),
            step,
            more,
            occurred_at: event.occurred_at,
        }
    }
}

/// Follow the events of an operation
///
/// Server-sent events: first all past events, then new ones as they occur, and `event: end` after the last event of a
/// finished operation. The stream also ends when the token expires, and after an hour by default. Resume an interrupted
/// stream with `Last-Event-ID`.
#[utoipa::path(
    get,
    path = "/v1/operations/{id}/events",
    operation_id = "followOperation",
    tag = "operations",
    params(
        ("id" = String, Path, description = "Operation id", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c"),
        ("Last-Event-ID" = Option<i64>, Header, description = "`seq` of the last received event", example = 4),
    ),
    responses(
        (
            status = 200,
            description = "Stream of events, each with `id`, `event` and this object as `data`",
            body = OperationEvent, content_type = "text/event-stream"
        ),
        (
            status = 400,
            description = "`Last-Event-ID` is not the id of an event",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn follow_operation(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<OperationId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::operation_not_found)?;
    let last_sent_seq = last_event_id(&headers)?;
    let permit = app.streams.acquire(&caller)?;
    let follower = app.watcher.follow_operation(id);
    let operation = db::operations::get(&app.pool, id).await?.ok_or_else(ApiError::operation_not_found)?;

    let stream_end = {
        let token_lifetime = (caller.expires_at - Clock::real().now()).to_std().unwrap_or_default();
        let lifetime = token_lifetime.min(app.config.api.limits.max_stream_duration());
        let shutdown = app.shutdown.clone();
        async move {
            tokio::select! {
                () = tokio::time::sleep(lifetime) => {}
                () = shutdown.cancelled() => {}
            }
        }
    };
    let is_restricted = matches!(caller.tenant_scope, TenantScope::Tenant(_));
    let stream = OperationEventStream {
        app,
        id,
        last_sent_seq,
        is_restricted,
        finished: operation.finished_at.is_some(),
        must_read: true,
        end_sent: false,
        follower,
        _permit: permit,
    };
    let events =
        stream::unfold(stream, OperationEventStream::next).map(stream::iter).flatten().take_until(Box::pin(stream_end));
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_INTERVAL));
    Ok((Extension(TenantViewApplied), stream).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<i64, ApiError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(0) };
    value.to_str().ok().and_then(|value| value.parse().ok()).filter(|seq| *seq >= 0).ok_or_else(|| {
        ApiError::new(Code::InvalidLastEventId, "Last-Event-ID must be the id of an event of this operation.")
    })
}

/// State of an open event stream.
#[expect(clippy::struct_excessive_bools, reason = "the flags are independent")]
struct OperationEventStream {
    app: App,
    id: OperationId,
    /// Sequence number of the latest sent event.
    last_sent_seq: i64,
    /// True if the caller sees only the fields of the tenant view.
    is_restricted: bool,
    /// True if the operation is known to have finished. From then on, no new events are written.
    finished: bool,
    /// True if events may exist that the watcher does not deliver, because they are older or were missed.
    must_read: bool,
    /// True after `event: end` was sent.
    end_sent: bool,
    follower: OperationFollower,
    _permit: StreamPermit,
}

impl OperationEventStream {
    /// Returns the next events as soon as there are any, or `None` at the end of the stream.
    async fn next(mut self) -> Option<(Vec<Result<Event, Infallible>>, Self)> {
        if self.end_sent {
            return None;
        }
        loop {
            if self.must_read {
                let events = match db::events::after(&self.app.pool, self.id, self.last_sent_seq, BATCH_SIZE).await {
                    Ok(events) => events,
                    Err(error) => {
                        // The client can resume the stream with `Last-Event-ID`.
                        tracing::warn!(%error, "cannot read the events of an operation; the stream ends");
                        return None;
                    }
                };
                self.must_read = i64::try_from(events.len()).is_ok_and(|count| count == BATCH_SIZE);
                self.last_sent_seq = events.last().map_or(self.last_sent_seq, |latest| latest.seq);
                if !self.must_read {
                    self.follower.start_after(self.last_sent_seq);
                }
                if !events.is_empty() {
                    return Some((self.to_stream_items(events), self));
                }
            }
            if self.finished {
                self.end_sent = true;
                return Some((vec![Ok(Event::default().event("end").data("{}"))], self));
            }
            match self.follower.next().await {
                OperationNews::Events(news) => {
                    self.finished = news.finished;
                    let new: Vec<_> =
                        news.events.iter().filter(|event| event.seq > self.last_sent_seq).cloned().collect();
                    let Some((first, latest)) = new.first().zip(new.last()) else { continue };
                    if first.seq > self.last_sent_seq + 1 {
                        self.must_read = true;
                        continue;
                    }
                    self.last_sent_seq = latest.seq;
                    return Some((self.to_stream_items(new), self));
                }
                OperationNews::Missed => self.must_read = true,
                OperationNews::Ended => (self.finished, self.must_read) = (true, true),
            }
        }
    }

    fn to_stream_items(&self, events: Vec<event::Event>) -> Vec<Result<Event, Infallible>> {
        events.into_iter().filter_map(|event| to_sse(event, self.is_restricted)).map(Ok).collect()
    }
}

fn to_sse(event: event::Event, is_restricted: bool) -> Option<Event> {
    let event = OperationEvent::from(event);
    let sse = Event::default().id(event.seq.to_string()).event(&event.r#type);
    if is_restricted {
        return sse.json_data(OPERATION_EVENT.restrict(serde_json::to_value(&event).ok()?)).ok();
    }
    sse.json_data(&event).ok()
}
