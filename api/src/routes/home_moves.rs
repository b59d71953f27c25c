//! Route that moves the home of an environment to one of its replicas.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use freehold_tenancy::db::lifecycle::MoveHomeResult;
use freehold_tenancy::{EnvironmentName, Region, TenantId, db};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::environments;
use crate::app::App;
use crate::audit::{record_change, record_id};
use crate::auth::Caller;
use crate::extract::{JsonFields, PathParam};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// Notice in the answer to each move.
const NOTICE: &str = "No data is moved: the new home has the data that the software of the environment keeps there. \
                      The old home stays as a replica.";

/// Request to move the home of an environment. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHome {
    /// Replica region that becomes the home.
    #[schema(example = "eu-west-1")]
    pub region: String,
}

/// Move of the home of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HomeMove {
    /// Home region at the time of the request.
    #[schema(example = "eu-central-1")]
    pub from: String,
    /// Region that becomes the home.
    #[schema(example = "eu-west-1")]
    pub to: String,
    /// Id of the operation that moves the home; `null` if the region is the home already.
    #[schema(required = true, example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub operation_id: Option<String>,
    /// Notice for people: no data is moved.
    pub notice: String,
}

/// Move the home of an environment to a replica
///
/// The replica becomes the home, and the old home stays as a replica. The front door asks the new home first; without
/// a front door, the `url` of the environment changes. The environment stays `ready`. The move also works while the
/// old home is down: its region is then `unreachable`, and what could not be changed there is a finding until a repair
/// has done it. **No data is moved.** While a move is open, another request for the same region returns the same
/// operation.
#[utoipa::path(
    post,
    path = "/v1/tenants/{id}/environments/{name}/move-home",
    operation_id = "moveHome",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("name" = String, Path, description = "Name of the environment", example = "production"),
    ),
    request_body = NewHome,
    responses(
        (status = 200, description = "The region is the home already; nothing was started", body = HomeMove),
        (status = 202, description = "The operation is started", body = HomeMove, headers(
            ("Location" = String, description = "Path of the operation"),
            ("Retry-After" = u32, description = "Seconds after which to poll"),
        )),
        (
            status = 409,
            description = "Another operation on the environment is open (`operation_in_progress`, with its \
                `operation_id`), the environment is not ready (`environment_not_ready`), or its replica is not \
                (`replica_not_ready`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn move_home(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    PathParam(name): PathParam<EnvironmentName, 1>,
    JsonFields(mut fields): JsonFields,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::tenant_not_found)?;
    let name = name.ok_or_else(environments::not_found)?;
    let region: Option<Region> = fields.required_with_code("region", "unknown_region");
    let region = fields.finish(region)?;
    match db::lifecycle::move_home(&app.pool, id, &name, region, &caller.requester(), app.clock.now()).await? {
        MoveHomeResult::Started { operation, from } | MoveHomeResult::AlreadyOpen { operation, from } => {
            record_id(operation);
            record_change("home_region", from, region);
            app.work_notifier.notify();
            let location = HeaderValue::from_str(&format!("/v1/operations/{operation}"));
            let headers = [
                (header::LOCATION, location.map_err(|_| ApiError::internal())?),
                (header::RETRY_AFTER, HeaderValue::from_static("5")),
            ];
            Ok((StatusCode::ACCEPTED, headers, answer(from, region, Some(operation.to_string()))).into_response())
        }
        MoveHomeResult::IsHome => Ok(answer(region, region, None).into_response()),
        MoveHomeResult::Busy { operation, kind } => Err(ApiError::operation_in_progress(operation, kind)),
        MoveHomeResult::NotReady(state) => Err(ApiError::new(
            Code::EnvironmentNotReady,
            format!("The environment is {state}; only the home of a ready environment can move."),
        )),
        MoveHomeResult::NotAReplica => {
            let message = format!("{region} must be a replica region of the environment");
            Err(ApiError::invalid_field("region", "not_a_replica", message))
        }
        MoveHomeResult::ReplicaNotReady(state) => Err(ApiError::new(
            Code::ReplicaNotReady,
            format!("The replica in {region} is {state}; only a ready replica can become the home."),
        )),
        MoveHomeResult::NotFound => Err(environments::missing(&app, id).await?),
    }
}

fn answer(from: Region, to: Region, operation_id: Option<String>) -> Json<HomeMove> {
    Json(HomeMove { from: from.to_string(), to: to.to_string(), operation_id, notice: NOTICE.to_owned() })
}
