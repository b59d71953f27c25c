//! Deliveries: what was sent to an endpoint, what came of each attempt, and sending it again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use freehold_tenancy::db::webhooks::deliveries::{DeliveryFilter, KEPT_FOR};
use freehold_tenancy::{WebhookDeliveryId, WebhookEndpointId, db, webhook};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{named, not_found};
use crate::app::App;
use crate::extract::{JsonFields, PathParam, QueryFields};
use crate::pagination::Page;
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use crate::routes::schema::enums::WebhookDeliveryState;

/// One event for one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookDelivery {
    /// Its id: the `webhook-id` of each attempt.
    #[schema(example = "whd_01k2m8v3x9e7rt4s5q6w7y8z9g")]
    pub id: String,
    /// The position of the event in the feed.
    #[schema(example = 4711)]
    pub position: i64,
    /// What happened; `null` where the feed does not keep it any more.
    #[schema(required = true, example = "environment.ready")]
    pub r#type: Option<String>,
    /// Where it stands.
    #[schema(value_type = WebhookDeliveryState, example = "delivered")]
    pub state: String,
    /// How often it was tried.
    #[schema(example = 1)]
    pub attempt_count: i32,
    /// When it is tried next, which is after what the receiver has asked for; `null` where it is not, or the endpoint is disabled.
    #[schema(required = true)]
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it was made of the event.
    pub created_at: DateTime<Utc>,
    /// What came of each attempt, the latest first, at most a hundred; only where one delivery was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub attempts: Option<Vec<WebhookAttempt>>,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookAttempt {
    /// 1, 2, 3, … within the delivery.
    #[schema(example = 1)]
    pub number: i32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    #[schema(example = 182)]
    pub duration_ms: i32,
    /// What the receiver answered; `null` where it did not. Nothing else of its answer is kept.
    #[schema(required = true, example = 503)]
    pub response_status: Option<u16>,
    /// Why it failed: `status`, `timeout`, `unreachable`, `connection_closed`, `unresolvable`, `refused` or `not_deliverable`; `null` where
    /// it succeeded. Others may be added.
    #[schema(required = true, example = "status")]
    pub error: Option<String>,
    /// What came of it, in plain words, for people.
    #[schema(example = "The receiver answered 503, not 2xx.")]
    pub message: String,
    /// When it was to be tried again; `null` where it was not.
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

/// A page of deliveries, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookDeliveryPage {
    /// The deliveries.
    pub webhook_deliveries: Vec<WebhookDelivery>,
    /// Leads to the next page; `null` on the last.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// Which events are to be sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Those that happened at this time or later; at most 30 days ago.
    pub since: DateTime<Utc>,
}

/// What is sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayResult {
    /// How many events.
    #[schema(example = 42)]
    pub events: usize,
}

/// What was sent to an endpoint, newest first
///
/// Deliveries and their attempts are kept for 30 days.
#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints/{id}/deliveries",
    operation_id = "listWebhookDeliveries",
    tag = "webhooks",
    params(
        ("id" = String, Path, description = "The endpoint", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f"),
        ("page_size" = Option<i64>, Query, description = "How many at most; 50 if left out", minimum = 1, maximum = 200, example = 50),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
        ("state" = Option<WebhookDeliveryState>, Query, description = "Where they stand", example = "failed"),
    ),
    responses((status = 200, description = "A page of deliveries", body = WebhookDeliveryPage)),
)]
pub(crate) async fn list_webhook_deliveries(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<WebhookDeliveryPage>, ApiError> {
    let endpoint_id = named(&app, id).await?.id;
    let page = Page::read(&format!("webhook-deliveries {endpoint_id}"), &mut query)?;
    let filter = DeliveryFilter { endpoint_id, id: None, state: query.optional("state") };
    let filter = query.finish(Some(filter))?;
    let mut deliveries = db::webhooks::deliveries::list(&app.pool, &filter, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut deliveries, |delivery| delivery.id.as_uuid());
    let webhook_deliveries = deliveries.into_iter().map(WebhookDelivery::from).collect();
    Ok(Json(WebhookDeliveryPage { webhook_deliveries, next_page_token }))
}

/// One delivery, with what came of each attempt
#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints/{id}/deliveries/{delivery_id}",
    operation_id = "getWebhookDelivery",
    tag = "webhooks",
    params(
        ("id" = String, Path, description = "The endpoint", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f"),
        ("delivery_id" = String, Path, description = "The delivery", example = "whd_01k2m8v3x9e7rt4s5q6w7y8z9g"),
    ),
    responses((status = 200, description = "The delivery", body = WebhookDelivery)),
)]
pub(crate) async fn get_webhook_delivery(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
    PathParam(delivery): PathParam<WebhookDeliveryId, 1>,
) -> Result<Json<WebhookDelivery>, ApiError> {
    Ok(Json(with_attempts(&app, id, delivery).await?))
}

async fn with_attempts(
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

/// Send one event again
///
/// At once, or when the receiver wants to be asked again, or the endpoint is enabled; under the same `webhook-id`, and if that fails as often and as far apart as at first. One that is being sent at this
/// moment is left to that.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/deliveries/{delivery_id}/replay",
    operation_id = "replayWebhookDelivery",
    tag = "webhooks",
    params(
        ("id" = String, Path, description = "The endpoint", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f"),
        ("delivery_id" = String, Path, description = "The delivery", example = "whd_01k2m8v3x9e7rt4s5q6w7y8z9g"),
    ),
    responses(
        (status = 202, description = "It is sent", body = WebhookDelivery),
        (status = 409, description = "The endpoint is disabled (`webhook_disabled`)", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn replay_webhook_delivery(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
    PathParam(delivery): PathParam<WebhookDeliveryId, 1>,
) -> Result<(StatusCode, Json<WebhookDelivery>), ApiError> {
    enabled(&app, id).await?;
    with_attempts(&app, id, delivery).await?;
    db::webhooks::deliveries::replay(&app.pool, delivery.ok_or_else(not_found)?, app.clock.now()).await?;
    app.work_notifier.notify();
    Ok((StatusCode::ACCEPTED, Json(with_attempts(&app, id, delivery).await?)))
}

/// Send again what has happened since
///
/// Everything of the types that the endpoint wants, in its order, also what happened before it was made or while it was
/// disabled. What was sent before keeps its `webhook-id`.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/replay",
    operation_id = "replayWebhookEvents",
    tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint", example = "whe_01k2m8v3x9e7rt4s5q6w7y8z9f")),
    request_body = ReplayRequest,
    responses(
        (status = 202, description = "They are sent", body = ReplayResult),
        (status = 409, description = "The endpoint is disabled (`webhook_disabled`)", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn replay_webhook_events(
    State(app): State<App>,
    PathParam(id): PathParam<WebhookEndpointId>,
    JsonFields(mut fields): JsonFields,
) -> Result<(StatusCode, Json<ReplayResult>), ApiError> {
    let endpoint_id = enabled(&app, id).await?;
    let now = app.clock.now();
    let since: Option<DateTime<Utc>> = fields.required("since");
    if since.is_some_and(|since| since < now - KEPT_FOR) {
        fields.error("since", "too_long_ago", "this is at most 30 days ago; GET /v1/events has what was before");
    }
    let since = fields.finish(since)?;
    super::super::events::advance(&app).await?;
    let events = db::webhooks::deliveries::replay_since(&app.pool, endpoint_id, since, now).await?;
    app.work_notifier.notify();
    Ok((StatusCode::ACCEPTED, Json(ReplayResult { events })))
}

async fn enabled(app: &App, id: Option<WebhookEndpointId>) -> Result<WebhookEndpointId, ApiError> {
    let endpoint = named(app, id).await?;
    match endpoint.disabled {
        None => Ok(endpoint.id),
        Some(_) => Err(ApiError::new(Code::WebhookDisabled, "The endpoint is disabled; enable it first.")),
    }
}
