//! Routes that list and replay the deliveries of a webhook endpoint.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use freehold_tenancy::db::webhooks::deliveries::{DELIVERY_RETENTION, DeliveryFilter};
use freehold_tenancy::{WebhookDeliveryId, WebhookEndpointId, db, webhook};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{load_endpoint, not_found};
use crate::app::App;
use crate::extract::{Instant, JsonFields, PathParam, QueryFields};
use crate::pagination::Page;
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use crate::routes::schema::enums::WebhookDeliveryState;

/// Delivery: one event for one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookDelivery {
    /// Id of the delivery, sent as `webhook-id` with each attempt.
    #[schema(example = "whd_01k2m8v3x9e7rt4s5q6w7y8z9g")]
    pub id: String,
    /// Feed position of the event; 0 for a test event, which is not in the feed.
    #[schema(example = 4711)]
    pub position: i64,
    /// Type of the event; `null` once the feed no longer contains it.
    #[schema(required = true, example = "environment.ready")]
    pub r#type: Option<String>,
    /// State of the delivery.
    #[schema(value_type = WebhookDeliveryState, example = "delivered")]
    pub state: String,
    /// Number of attempts.
    #[schema(example = 1)]
    pub attempt_count: i32,
    /// Time of the next attempt, not before the receiver's `Retry-After`; `null` if none is planned or the endpoint is
    /// disabled.
    #[schema(required = true)]
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Time at which the delivery was created.
    pub created_at: DateTime<Utc>,
    /// Latest attempts, newest first, at most 100; omitted in lists of deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub attempts: Option<Vec<WebhookAttempt>>,
}

/// Attempt: one HTTP request of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookAttempt {
    /// Number of the attempt within the delivery: 1, 2, 3, …
    #[schema(example = 1)]
    pub number: i32,
    /// Start of the attempt.
    pub started_at: DateTime<Utc>,
    /// Duration in milliseconds.
    #[schema(example = 182)]
    pub duration_ms: i32,
    /// HTTP status of the response; `null` without a response. The rest of the response is not stored.
    #[schema(required = true, example = 503)]
    pub response_status: Option<u16>,
    /// Cause of the failure: `status`, `timeout`, `unreachable`, `connection_closed`, `unresolvable`, `refused` or
    /// `not_deliverable`; `null` after a success. More causes may be added.
    #[schema(required = true, example = "status")]
    pub error: Option<String>,
    /// Human-readable description of the result.
    #[schema(example = "The receiver answered 503, not 2xx.")]
    pub message: String,
    /// Planned time of the next attempt; `null` if none was planned.
    #[schema(required = true)]
    pub next_attempt_at: Option<DateTime<Utc>>,
}

impl From<webhook::Delivery> for WebhookDelivery {
    fn from(delivery: webhook::Delivery) -> Self {
        Self {
            id: delivery.id.to_string(),
            position: delivery.position,
            r#type: delivery.event_type,
            state: delivery.state.to_string(),
            attempt_count: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at,
            created_at: delivery.created_at,
            attempts: None,
        }
    }
}

impl From<webhook::Attempt> for WebhookAttempt {
    fn from(attempt: webhook::Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: attempt.started_at,
            duration_ms: attempt.duration_ms,
            response_status: attempt.response_status,
            error: attempt.error.map(|error| error.to_string()),
            message: attempt.message,
            next_attempt_at: attempt.next_attempt_at,
        }
    }
}

/// Page of deliveries, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookDeliveryPage {
    /// Deliveries of this page.
    pub webhook_deliveries: Vec<WebhookDelivery>,
    /// Token of the next page; `null` on the last page.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// Selection of events to replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Time from which events are replayed, at most 30 days ago.
    pub since: DateTime<Utc>,
}

/// Result of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayResult {
    /// Number of replayed events.
    #[schema(example = 42)]
    pub events: usize,
}

/// List the deliveries of an endpoint, newest first
///
/// Deliveries and their attempts are kept for 30 days.
#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints/{id}/deliveries",
    operation_id = "listWebhookDeliveries",
    tag = "webhooks",
    params(
        ("id" = String, Path, description = "Endpoint id", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f"),
        (
            "page_size" = Option<i64>, Query,
            description = "Page size [default: 50]",
            minimum = 1, maximum = 200, example = 50
        ),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the previous page"),
        (
            "state" = Option<WebhookDeliveryState>, Query,
            description = "Only deliveries in this state",
            example = "failed"
        ),
    ),
    responses((status = 200, description = "Page of deliveries", body = WebhookDeliveryPage)),
)]
pub(crate) async fn list_webhook_deliveries(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<WebhookDeliveryPage>, ApiError> {
    let endpoint_id = load_endpoint(&app, id).await?.id;
    let page = Page::from_query(&format!("webhook-deliveries {endpoint_id}"), &mut query)?;
    let filter = DeliveryFilter { endpoint_id, id: None, state: query.optional("state") };
    let filter = query.finish(Some(filter))?;
    let mut deliveries = db::webhooks::deliveries::list(&app.pool, &filter, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut deliveries, |delivery| delivery.id.as_uuid());
    let webhook_deliveries = deliveries.into_iter().map(WebhookDelivery::from).collect();
    Ok(Json(WebhookDeliveryPage { webhook_deliveries, next_page_token }))
}

/// Get a delivery with its attempts
#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints/{id}/deliveries/{delivery_id}",
    operation_id = "getWebhookDelivery",
    tag = "webhooks",
    params(
        ("id" = String, Path, description = "Endpoint id", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f"),
        ("delivery_id" = String, Path, description = "Delivery id", example = "whd_01k2m8v3x9e7rt4s5q6w7y8z9g"),
    ),
    responses((status = 200, description = "Delivery with its attempts", body = WebhookDelivery)),
)]
pub(crate) async fn get_webhook_delivery(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
    PathParam(delivery): PathParam<WebhookDeliveryId, 1>,
) -> Result<Json<WebhookDelivery>, ApiError> {
    Ok(Json(load_with_attempts(&app, id, delivery).await?))
}

async fn load_with_attempts(
    app: &App,
    id: Option<WebhookEndpointId>,
    delivery: Option<WebhookDeliveryId>,
) -> Result<WebhookDelivery, ApiError> {
    let filter = DeliveryFilter {
        endpoint_id: id.ok_or_else(not_found)?,
        id: Some(delivery.ok_or_else(not_found)?),
        state: None,
    };
    let found = db::webhooks::deliveries::list(&app.pool, &filter, None, 1).await?.pop().ok_or_else(not_found)?;
    let attempts = db::webhooks::attempts::of(&app.pool, found.id).await?;
    let attempts = attempts.into_iter().map(WebhookAttempt::from).collect();
    Ok(WebhookDelivery { attempts: Some(attempts), ..found.into() })
}

/// Send a test event
///
/// An event of type `webhook.test` is sent to this endpoint only, signed and retried like any other, also if the
/// endpoint receives only some event types. It is not in the feed. The delivery shows the response of the receiver.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/test",
    operation_id = "testWebhookEndpoint",
    tag = "webhooks",
    params(("id" = String, Path, description = "Endpoint id", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f")),
    responses(
        (status = 202, description = "The test event is queued", body = WebhookDelivery),
        (
            status = 409,
            description = "The endpoint is disabled (`webhook_disabled`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn test_webhook_endpoint(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
) -> Result<(StatusCode, Json<WebhookDelivery>), ApiError> {
    let endpoint_id = require_enabled(&app, id).await?;
    let created = db::webhooks::deliveries::create_test(&app.pool, endpoint_id, app.clock.now()).await?;
    // The endpoint was deleted or disabled meanwhile.
    let delivery = created.ok_or_else(not_found)?;
    app.work_notifier.notify();
    Ok((StatusCode::ACCEPTED, Json(load_with_attempts(&app, id, Some(delivery)).await?)))
}

/// Replay a delivery
///
/// The event is sent again with the same `webhook-id` and a new retry schedule, as soon as the endpoint is enabled and
/// not paused. A delivery that is being sent now is left unchanged.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/deliveries/{delivery_id}/replay",
    operation_id = "replayWebhookDelivery",
    tag = "webhooks",
    params(
        ("id" = String, Path, description = "Endpoint id", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f"),
        ("delivery_id" = String, Path, description = "Delivery id", example = "whd_01k2m8v3x9e7rt4s5q6w7y8z9g"),
    ),
    responses(
        (status = 202, description = "The replay is queued", body = WebhookDelivery),
        (
            status = 409,
            description = "The endpoint is disabled (`webhook_disabled`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn replay_webhook_delivery(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
    PathParam(delivery): PathParam<WebhookDeliveryId, 1>,
) -> Result<(StatusCode, Json<WebhookDelivery>), ApiError> {
    require_enabled(&app, id).await?;
    load_with_attempts(&app, id, delivery).await?;
    db::webhooks::deliveries::replay(&app.pool, delivery.ok_or_else(not_found)?, app.clock.now()).await?;
    app.work_notifier.notify();
    Ok((StatusCode::ACCEPTED, Json(load_with_attempts(&app, id, delivery).await?)))
}

/// Replay all events since a time
///
/// Replays, in order, all events of the types that the endpoint receives. This includes events that occurred before the
/// endpoint was created or while it was disabled. Events that were sent before keep their `webhook-id`.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/replay",
    operation_id = "replayWebhookEvents",
    tag = "webhooks",
    params(("id" = String, Path, description = "Endpoint id", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f")),
    request_body = ReplayRequest,
    responses(
        (status = 202, description = "The replays are queued", body = ReplayResult),
        (
            status = 409,
            description = "The endpoint is disabled (`webhook_disabled`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn replay_webhook_events(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
    JsonFields(mut fields): JsonFields,
) -> Result<(StatusCode, Json<ReplayResult>), ApiError> {
    let endpoint_id = require_enabled(&app, id).await?;
    let now = app.clock.now();
    let since = fields.required("since").map(|Instant(since)| since);
    if since.is_some_and(|since| since < now - DELIVERY_RETENTION) {
        fields.error("since", "too_long_ago", "must be at most 30 days ago; read older events from the event feed");
    }
    let since = fields.finish(since)?;
    super::super::events::advance(&app).await?;
    let events = db::webhooks::deliveries::replay_since(&app.pool, endpoint_id, since, now).await?;
    app.work_notifier.notify();
    Ok((StatusCode::ACCEPTED, Json(ReplayResult { events })))
}

async fn require_enabled(app: &App, id: Option<WebhookEndpointId>) -> Result<WebhookEndpointId, ApiError> {
    let endpoint = load_endpoint(app, id).await?;
    match endpoint.disabled {
        None => Ok(endpoint.id),
        Some(_) => Err(ApiError::new(Code::WebhookDisabled, "The endpoint is disabled; enable it first.")),
    }
}
