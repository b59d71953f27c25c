//! How the API itself is doing.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use freehold_tenancy::db;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// How the API is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`
    #[schema(example = "ok")]
    pub status: String,
}

fn ok() -> Json<Health> {
    Json(Health { status: "ok".to_owned() })
}

/// Whether the process runs
#[utoipa::path(
    get, path = "/livez", operation_id = "livez", tag = "service",
    responses((status = 200, description = "It runs", body = Health)),
)]
pub(crate) async fn livez() -> Json<Health> {
    ok()
}

/// Whether requests can be served
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz", tag = "service",
    responses(
        (status = 200, description = "The database can be reached and is up to date", body = Health),
        (status = 503, description = "It cannot (`database_unavailable`), or is not (`database_not_migrated`)", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Json<Health>, ApiError> {
    if db::is_migrated(&app.pool).await? {
        return Ok(ok());
    }
    Err(ApiError::new(Code::DatabaseNotMigrated, "The database is not up to date; run `freehold migrate`.")
        .retry_after(5))
}

/// Measurements for Prometheus
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "service",
    responses((status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    match db::operations::counts(&app.pool).await {
        Ok(counts) => app.metrics.operations(&counts),
        // How requests fare is worth knowing all the more.
        Err(error) => tracing::warn!(%error, "operations cannot be counted"),
    }
    match db::fleet_holds::in_force(&app.pool).await {
        Ok(holds) => app.metrics.holds(&holds),
        Err(error) => tracing::warn!(%error, "holds cannot be read"),
    }
    match db::findings::counts(&app.pool).await {
        Ok(counts) => app.metrics.findings(&counts),
        Err(error) => tracing::warn!(%error, "findings cannot be counted"),
    }
    match db::webhooks::endpoints::counts(&app.pool).await {
        Ok(counts) => app.metrics.webhooks(&counts),
        Err(error) => tracing::warn!(%error, "webhook endpoints cannot be counted"),
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render())
}
