//! Routes that set, show and end the change freeze, a time in which no update starts in any environment.

use axum::extract::State;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use freehold_tenancy::{change_freeze, db};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::legal_hold::Reason;
use super::pins::parse_until;
use crate::app::App;
use crate::audit::record_change;
use crate::auth::Caller;
use crate::extract::JsonFields;
use crate::problem::ApiError;

/// Change freeze: a time in which no update starts in any environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeFreeze {
    /// Whether a change freeze is in force.
    pub in_force: bool,
    /// Reason of the freeze; `null` if none is in force.
    #[schema(required = true, example = "The shop season.")]
    pub reason: Option<String>,
    /// End of the freeze; `null` if it lasts until it is deleted, or if none is in force.
    #[schema(required = true)]
    pub until: Option<DateTime<Utc>>,
    /// Subject of the token that set the freeze; `null` if none is in force.
    #[schema(required = true, example = "ann")]
    pub set_by: Option<String>,
    /// Time at which the freeze was set; `null` if none is in force.
    #[schema(required = true)]
    pub set_at: Option<DateTime<Utc>>,
}

impl From<Option<change_freeze::ChangeFreeze>> for ChangeFreeze {
    fn from(freeze: Option<change_freeze::ChangeFreeze>) -> Self {
        match freeze {
            Some(freeze) => Self {
                in_force: true,
                reason: Some(freeze.reason),
                until: freeze.until,
                set_by: Some(freeze.set_by.subject),
                set_at: Some(freeze.set_at),
            },
            None => Self { in_force: false, reason: None, until: None, set_by: None, set_at: None },
        }
    }
}

/// Request to set a change freeze. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeRequest {
    /// Reason, as a sentence of 1 to 500 characters.
    #[schema(example = "The shop season.", min_length = 1, max_length = 500)]
    pub reason: String,
    /// End of the freeze, in the future; without it, the freeze lasts until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "2030-01-02T00:00:00Z")]
    pub until: Option<DateTime<Utc>>,
}

/// Show the change freeze
#[utoipa::path(
    get, path = "/v1/change-freeze", operation_id = "getChangeFreeze", tag = "rollouts",
    responses((status = 200, description = "Change freeze, or `in_force: false`", body = ChangeFreeze)),
)]
pub(crate) async fn get_change_freeze(State(app): State<App>) -> Result<Json<ChangeFreeze>, ApiError> {
    load(&app).await
}

/// Set a change freeze
///
/// No update starts in any environment, and no rollout starts anything, until the freeze ends. Updates that have
/// started continue, and so do onboarding, repairs, changes of regions and upgrades of the baseline. Another request
/// replaces the freeze.
#[utoipa::path(
    put, path = "/v1/change-freeze", operation_id = "setChangeFreeze", tag = "rollouts",
    request_body = FreezeRequest,
    responses((status = 200, description = "The change freeze is set", body = ChangeFreeze)),
)]
pub(crate) async fn set_change_freeze(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    JsonFields(mut fields): JsonFields,
) -> Result<Json<ChangeFreeze>, ApiError> {
    let now = app.clock.now();
    let reason: Option<Reason> = fields.required("reason");
    let until = parse_until(&mut fields, now);
    let Reason(reason) = fields.finish(reason)?;
    let freeze = change_freeze::ChangeFreeze { reason, until, set_by: caller.requester(), set_at: now };
    let before = db::change_freeze::set(&app.pool, &freeze).await?;
    record_change("change_freeze", before.as_ref().map(recorded), recorded(&freeze));
    // The request may have written a feed event, which has to be delivered to webhook endpoints.
    app.work_notifier.notify();
    load(&app).await
}

/// End the change freeze
///
/// Also succeeds if no change freeze is in force. Rollouts continue.
#[utoipa::path(
    delete, path = "/v1/change-freeze", operation_id = "endChangeFreeze", tag = "rollouts",
    responses((status = 200, description = "No change freeze is in force", body = ChangeFreeze)),
)]
pub(crate) async fn end_change_freeze(State(app): State<App>) -> Result<Json<ChangeFreeze>, ApiError> {
    let now = app.clock.now();
    if let Some(before) = db::change_freeze::end(&app.pool, now).await? {
        db::rollouts::wake(&app.pool, now).await?;
        record_change("change_freeze", recorded(&before), Value::Null);
        app.work_notifier.notify();
    }
    load(&app).await
}

fn recorded(freeze: &change_freeze::ChangeFreeze) -> Value {
    json!({ "reason": freeze.reason, "until": freeze.until })
}

async fn load(app: &App) -> Result<Json<ChangeFreeze>, ApiError> {
    Ok(Json(db::change_freeze::find(&app.pool, app.clock.now()).await?.into()))
}
