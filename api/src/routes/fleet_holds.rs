//! Holds: work that waits for the whole fleet, because AWS would refuse it whoever asked.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use freehold_tenancy::{db, fleet_hold};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::ApiError;

/// Work that waits for the whole fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetHold {
    /// What is not asked of AWS meanwhile.
    #[schema(example = "account-creations")]
    pub quota: String,
    /// Why; stable, for programs.
    #[schema(example = "account_quota_reached")]
    pub code: String,
    /// What has happened and what to do, for people.
    #[schema(
        example = "The organisation has reached its AWS account quota. Request an increase from AWS; Freehold retries automatically."
    )]
    pub message: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When one operation asks AWS again; if that goes well, the hold is over.
    pub probe_at: DateTime<Utc>,
    /// The operation that is asking right now.
    #[schema(required = true, example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub probing_operation_id: Option<String>,
    /// How many operations wait.
    #[schema(example = 12)]
    pub waiting: i64,
}

impl From<fleet_hold::FleetHold> for FleetHold {
    fn from(hold: fleet_hold::FleetHold) -> Self {
        Self {
            quota: hold.quota,
            code: hold.kind.to_string(),
            message: hold.kind.message().to_owned(),
            since: hold.started_at,
            probe_at: hold.probe_at,
            probing_operation_id: hold.probing_operation.map(|id| id.to_string()),
            waiting: hold.waiting,
        }
    }
}

/// The holds that are in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetHoldList {
    /// None, as a rule.
    pub holds: Vec<FleetHold>,
}

/// What waits for the whole fleet, and why
#[utoipa::path(
    get, path = "/v1/fleet-holds", operation_id = "listFleetHolds", tag = "operations",
    responses((status = 200, description = "The holds that are in force", body = FleetHoldList)),
)]
pub(crate) async fn list_fleet_holds(State(app): State<App>) -> Result<Json<FleetHoldList>, ApiError> {
    let holds = db::fleet_holds::in_force(&app.pool).await?;
    Ok(Json(FleetHoldList { holds: holds.into_iter().map(FleetHold::from).collect() }))
}
