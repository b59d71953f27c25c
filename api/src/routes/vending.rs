//! Routes that pause and resume the creation of AWS accounts, and show its limits.

use axum::extract::State;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use freehold_tenancy::db;
use freehold_tenancy::quota::Quota;
use freehold_tenancy::vending::{VendingStatus, VendingStop};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::legal_hold::Reason;
use crate::app::App;
use crate::audit::record_change;
use crate::auth::Caller;
use crate::extract::JsonFields;
use crate::problem::ApiError;

/// State of vending, the creation of AWS accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Vending {
    /// Pause by an operator; `null` if vending is not paused.
    #[schema(required = true)]
    pub pause: Option<VendingPause>,
    /// Reason why no account is created now: `vending_paused`, `account_ceiling_reached` or
    /// `daily_account_ceiling_reached`; `null` if accounts are created.
    #[schema(required = true, example = "vending_paused")]
    pub stopped_by: Option<String>,
    /// Human-readable description of the reason and of the necessary action; `null` if accounts are created.
    #[schema(required = true)]
    pub message: Option<String>,
    /// Number of accounts that exist or are being created.
    #[schema(example = 214)]
    pub accounts: i64,
    /// Maximum number of accounts (`quotas.max_accounts`); `null` if it is unlimited.
    #[schema(required = true, example = 1000)]
    pub max_accounts: Option<u32>,
    /// Number of accounts whose creation started in the last 24 hours.
    #[schema(example = 12)]
    pub accounts_last_day: i64,
    /// Maximum number of accounts in 24 hours (`quotas.max_accounts_per_day`); `null` if it is unlimited.
    #[schema(required = true, example = 50)]
    pub max_accounts_per_day: Option<u32>,
    /// Time at which the daily maximum allows another account; `null` unless it is reached.
    #[schema(required = true)]
    pub next_account_at: Option<DateTime<Utc>>,
    /// Number of operations that wait for an account.
    #[schema(example = 3)]
    pub waiting: i64,
}

/// Pause of vending by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VendingPause {
    /// Reason that the operator gave.
    #[schema(example = "The budget for November is spent.")]
    pub reason: String,
    /// Subject of the token that paused vending.
    #[schema(example = "ann")]
    pub paused_by: String,
    /// Start of the pause.
    pub paused_at: DateTime<Utc>,
}

/// Request to pause vending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// Reason, as a sentence of 1 to 500 characters. Waiting operations show the reason.
    #[schema(example = "The budget for November is spent.", min_length = 1, max_length = 500)]
    pub reason: String,
}

/// Show whether AWS accounts are created
#[utoipa::path(
    get, path = "/v1/vending", operation_id = "getVending", tag = "operations",
    responses((status = 200, description = "State of vending", body = Vending)),
)]
pub(crate) async fn get_vending(State(app): State<App>) -> Result<Json<Vending>, ApiError> {
    load(&app).await
}

/// Pause the creation of AWS accounts
///
/// Signups are still accepted and wait in the queue. Accounts whose creation AWS has accepted are completed. If vending
/// is paused already, only the reason changes.
#[utoipa::path(
    put, path = "/v1/vending/pause", operation_id = "pauseVending", tag = "operations",
    request_body = PauseRequest,
    responses((status = 200, description = "Vending is paused", body = Vending)),
)]
pub(crate) async fn pause_vending(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    JsonFields(mut fields): JsonFields,
) -> Result<Json<Vending>, ApiError> {
    let reason: Option<Reason> = fields.required("reason");
    let Reason(reason) = fields.finish(reason)?;
    let before = db::vending::pause(&app.pool, &reason, &caller.requester(), app.clock.now()).await?;
    record_change("vending_pause", before, reason);
    load(&app).await
}

/// Resume the creation of AWS accounts
///
/// Also succeeds if vending is not paused. Waiting operations continue in the order of their signups.
#[utoipa::path(
    delete, path = "/v1/vending/pause", operation_id = "resumeVending", tag = "operations",
    responses((status = 200, description = "Vending is not paused", body = Vending)),
)]
pub(crate) async fn resume_vending(State(app): State<App>) -> Result<Json<Vending>, ApiError> {
    if let Some(reason) = db::vending::resume(&app.pool).await? {
        record_change("vending_pause", Some(reason), None::<String>);
        let limit = app.config.quotas.account_creations;
        let (pool, quota) = (&app.pool, Quota::AccountCreations);
        db::fleet_holds::wake_in_order(pool, quota, limit, db::fleet_holds::WAKE_SPACING, app.clock.now()).await?;
        app.work_notifier.notify();
    }
    load(&app).await
}

async fn load(app: &App) -> Result<Json<Vending>, ApiError> {
    let ceilings = app.config.quotas.account_ceilings();
    let status = db::vending::status(&app.pool, ceilings, app.clock.now()).await?;
    let VendingStatus { pause, stop, accounts, accounts_last_day, waiting } = status;
    let next_account_at = match &stop {
        Some(VendingStop::DailyCeilingReached { until, .. }) => Some(*until),
        _ => None,
    };
    Ok(Json(Vending {
        pause: pause.map(|pause| VendingPause {
            reason: pause.reason,
            paused_by: pause.paused_by.subject,
            paused_at: pause.paused_at,
        }),
        stopped_by: stop.as_ref().map(|stop| stop.code().to_string()),
        message: stop.as_ref().map(VendingStop::message),
        accounts,
        max_accounts: ceilings.total.map(Into::into),
        accounts_last_day,
        max_accounts_per_day: ceilings.per_day.map(Into::into),
        next_account_at,
        waiting,
    }))
}
