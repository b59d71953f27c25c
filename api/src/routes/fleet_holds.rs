//! Route that lists fleet holds. A fleet hold pauses AWS calls that AWS would refuse for every tenant.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use freehold_tenancy::{db, fleet_hold};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::ApiError;

/// Fleet hold: a pause of AWS calls for the whole fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetHold {
    /// Quota whose AWS calls are paused, or `all` for a fleet hold on all work.
    #[schema(example = "account-creations")]
    pub quota: String,
    /// Reason of the fleet hold: a stable, machine-readable code.
    #[schema(example = "account_quota_reached")]
    pub code: String,
    /// Human-readable description of the cause and of the necessary action.
    #[schema(example = "The organisation has reached its AWS account quota. Request an increase from AWS; \
            Freehold retries automatically.")]
    pub message: String,
    /// Start of the fleet hold.
    pub since: DateTime<Utc>,
    /// Time at which one operation retries the AWS call as a probe, or a worker checks its AWS credentials. A success
    /// ends the fleet hold.
    pub probe_at: DateTime<Utc>,
    /// Id of the operation that is running the probe; `null` if no probe is running.
    #[schema(required = true, example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub probing_operation_id: Option<String>,
    /// Number of operations that wait for the end of the fleet hold.
    #[schema(example = 12)]
    pub waiting: i64,
}

impl From<fleet_hold::FleetHold> for FleetHold {
    fn from(hold: fleet_hold::FleetHold) -> Self {
        Self {
            code: hold.kind.to_string(),
            message: hold.message(),
            quota: hold.quota,
            since: hold.started_at,
            probe_at: hold.probe_at,
            probing_operation_id: hold.probing_operation.map(|id| id.to_string()),
            waiting: hold.waiting,
        }
    }
}

/// Active fleet holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetHoldList {
    /// Active fleet holds; usually empty.
    pub holds: Vec<FleetHold>,
}

/// List the active fleet holds
#[utoipa::path(
    get, path = "/v1/fleet-holds", operation_id = "listFleetHolds", tag = "operations",
    responses((status = 200, description = "Active fleet holds", body = FleetHoldList)),
)]
pub(crate) async fn list_fleet_holds(State(app): State<App>) -> Result<Json<FleetHoldList>, ApiError> {
    let holds = db::fleet_holds::list_active(&app.pool).await?;
    Ok(Json(FleetHoldList { holds: holds.into_iter().map(FleetHold::from).collect() }))
}
