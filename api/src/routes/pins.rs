//! Routes that pin an environment to its release, and end the pin.

use axum::extract::State;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use freehold_tenancy::db::environment_pins::PinResult;
use freehold_tenancy::environment_pin::EnvironmentPin;
use freehold_tenancy::{EnvironmentId, EnvironmentName, TenantId, db};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::environments;
use super::legal_hold::Reason;
use super::schema::tenant::Environment;
use crate::app::App;
use crate::audit::record_change;
use crate::auth::Caller;
use crate::extract::{Fields, JsonFields, PathParam};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// Request to pin an environment to its release. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PinRequest {
    /// Reason, as a sentence of 1 to 500 characters.
    #[schema(example = "The customer tests the release until March.", min_length = 1, max_length = 500)]
    pub reason: String,
    /// End of the pin, in the future; without it, the pin lasts until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "2030-03-01T00:00:00Z")]
    pub until: Option<DateTime<Utc>>,
}

/// Pin an environment to its release
///
/// No update starts in the environment until the pin ends. An update that has started is not stopped. The pin does not
/// hold up repairs, changes of regions, or upgrades of the baseline. Another request replaces the pin. An
/// offboarding ends it.
#[utoipa::path(
    put,
    path = "/v1/tenants/{id}/environments/{name}/pin",
    operation_id = "pinEnvironment",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("name" = String, Path, description = "Name of the environment", example = "production"),
    ),
    request_body = PinRequest,
    responses(
        (status = 200, description = "The environment is pinned", body = Environment),
        (
            status = 409,
            description = "The environment is offboarded (`environment_not_ready`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn pin_environment(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    PathParam(name): PathParam<EnvironmentName, 1>,
    JsonFields(mut fields): JsonFields,
) -> Result<Json<Environment>, ApiError> {
    let (id, name) = (id.ok_or_else(ApiError::tenant_not_found)?, name.ok_or_else(environments::not_found)?);
    let now = app.clock.now();
    let reason: Option<Reason> = fields.required("reason");
    let until = parse_until(&mut fields, now);
    let Reason(reason) = fields.finish(reason)?;
    let environment = find(&app, id, &name).await?;
    let pin = EnvironmentPin { reason, until, pinned_by: caller.requester(), pinned_at: now };
    match db::environment_pins::pin(&app.pool, id, environment, &pin).await? {
        PinResult::Pinned { before } => record_change("pin", before.as_ref().map(recorded), recorded(&pin)),
        PinResult::Offboarded => {
            let detail = "The environment is offboarded; it has no release that it could keep.";
            return Err(ApiError::new(Code::EnvironmentNotReady, detail));
        }
    }
    // The request may have written a feed event, which has to be delivered to webhook endpoints.
    app.work_notifier.notify();
    load(&app, id, &name).await
}

/// End the pin of an environment
///
/// Also succeeds if the environment is not pinned.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{id}/environments/{name}/pin",
    operation_id = "unpinEnvironment",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("name" = String, Path, description = "Name of the environment", example = "production"),
    ),
    responses((status = 200, description = "The environment is not pinned", body = Environment)),
)]
pub(crate) async fn unpin_environment(
    State(app): State<App>,
    PathParam(id): PathParam<TenantId>,
    PathParam(name): PathParam<EnvironmentName, 1>,
) -> Result<Json<Environment>, ApiError> {
    let (id, name) = (id.ok_or_else(ApiError::tenant_not_found)?, name.ok_or_else(environments::not_found)?);
    let environment = find(&app, id, &name).await?;
    if let Some(before) = db::environment_pins::unpin(&app.pool, id, environment, app.clock.now()).await? {
        record_change("pin", recorded(&before), Value::Null);
        app.work_notifier.notify();
    }
    load(&app, id, &name).await
}

/// Parses the optional field `until`, which must be in the future.
pub(super) fn parse_until(fields: &mut Fields, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let until: Option<DateTime<Utc>> = fields.optional("until");
    if until.is_some_and(|until| until <= now) {
        fields.error("until", "invalid", "must be in the future");
    }
    until
}

fn recorded(pin: &EnvironmentPin) -> Value {
    json!({ "reason": pin.reason, "until": pin.until })
}

async fn find(app: &App, id: TenantId, name: &EnvironmentName) -> Result<EnvironmentId, ApiError> {
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::tenant_not_found)?;
    Ok(environments::update::find(&tenant, name)?.id)
}

async fn load(app: &App, id: TenantId, name: &EnvironmentName) -> Result<Json<Environment>, ApiError> {
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::tenant_not_found)?;
    Ok(Json(Environment::of(environments::update::find(&tenant, name)?, &app.config)))
}
