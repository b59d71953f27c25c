//! The events of an operation as they happen (server-sent events).

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use chrono::{DateTime, Utc};
use freehold_tenancy::{Clock, OperationId, db, event};
use futures::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::extract::PathParam;
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// How often the database is asked what is new.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often something is sent although nothing happens, so that nobody on the way takes the connection for dead.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// How many events are read at once.
const AT_ONCE: i64 = 200;

/// What an event says: the `data` of a server-sent event, whose `id` is the `seq` and whose `event` is the `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationEvent {
    /// The operation.
    #[schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub operation_id: String,
    /// 1, 2, 3, … within the operation.
    #[schema(example = 4)]
    pub seq: i64,
    /// What happened.
    #[schema(example = "step.succeeded")]
    pub r#type: String,
    /// The step that it happened to, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "place-account", nullable = false)]
    pub step: Option<String>,
    /// More of it, by type: `waits_for`, `error`, `code`, `message`, `aws_account_id`, …
    #[serde(flatten)]
    pub more: Map<String, Value>,
    /// When.
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

/// Follow an operation
///
/// Server-sent events: first those that have happened, then those that happen, until `event: end` after the last of an
/// operation that has ended. The stream also ends when the token expires. Go on where it broke off with
/// `Last-Event-ID`.
#[utoipa::path(
    get,
    path = "/v1/operations/{id}/events",
    operation_id = "followOperation",
    tag = "operations",
    params(
        ("id" = String, Path, description = "The operation", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c"),
        ("Last-Event-ID" = Option<i64>, Header, description = "The `seq` of the last event that arrived", example = 4),
    ),
    responses(
        (status = 200, description = "Its events, each with `id`, `event` and, in `data`, this", body = OperationEvent, content_type = "text/event-stream"),
        (status = 400, description = "`Last-Event-ID` is not the id of an event", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn follow_operation(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<OperationId>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let id = id.ok_or_else(ApiError::no_operation)?;
    let seen = last_event_id(&headers)?;
    let operation = db::operations::get(&app.pool, id).await?.ok_or_else(ApiError::no_operation)?;

    let over = {
        let token_lives = (caller.expires_at - Clock::real().now()).to_std().unwrap_or_default();
        let shutdown = app.shutdown.clone();
        async move {
            tokio::select! {
                () = tokio::time::sleep(token_lives) => {}
                () = shutdown.cancelled() => {}
            }
        }
    };
    let following = OperationEventStream { app, id, seen, ended: operation.finished_at.is_some(), over: false };
    let events =
        stream::unfold(following, OperationEventStream::next).map(stream::iter).flatten().take_until(Box::pin(over));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_EVERY)))
}

fn last_event_id(headers: &HeaderMap) -> Result<i64, ApiError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(0) };
    value.to_str().ok().and_then(|value| value.parse().ok()).filter(|seq| *seq >= 0).ok_or_else(|| {
        ApiError::new(Code::InvalidLastEventId, "Last-Event-ID must be the id of an event of this operation.")
    })
}

/// Somebody who follows an operation.
struct OperationEventStream {
    app: App,
    id: OperationId,
    /// The `seq` of the latest event that was sent.
    seen: i64,
    /// Whether the operation had ended when it was last looked at; whatever happened to it is written by then.
    ended: bool,
    /// Whether the end was sent.
    over: bool,
}

impl OperationEventStream {
    /// What is new, as soon as something is.
    async fn next(mut self) -> Option<(Vec<Result<Event, Infallible>>, Self)> {
        if self.over {
            return None;
        }
        loop {
            let news = match db::events::after(&self.app.pool, self.id, self.seen, AT_ONCE).await {
                Ok(news) => news,
                Err(error) => {
                    // The caller comes again with Last-Event-ID.
                    tracing::warn!(%error, "the events of an operation cannot be read");
                    return None;
                }
            };
            if let Some(latest) = news.last() {
                self.seen = latest.seq;
                self.ended = self.ended || self.has_ended().await;
                return Some((news.into_iter().filter_map(told).map(Ok).collect(), self));
            }
            if self.ended {
                self.over = true;
                return Some((vec![Ok(Event::default().event("end").data("{}"))], self));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn has_ended(&self) -> bool {
        let operation = db::operations::get(&self.app.pool, self.id).await;
        operation.is_ok_and(|operation| operation.is_none_or(|operation| operation.finished_at.is_some()))
    }
}

fn told(event: event::Event) -> Option<Event> {
    let event = OperationEvent::from(event);
    let told = Event::default().id(event.seq.to_string()).event(&event.r#type);
    told.json_data(&event).ok()
}
