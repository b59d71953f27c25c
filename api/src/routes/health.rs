//! Routes for health checks and Prometheus metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use freehold_tenancy::db::{self, DbError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::docs;
use crate::app::App;
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// Health of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    pub status: String,
    /// Reason why no AWS account is created now, such as `vending_paused`; only in `/readyz`, and omitted if accounts
    /// are created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "vending_paused")]
    pub vending_stopped_by: Option<String>,
}

fn ok_response(vending_stopped_by: Option<String>) -> Json<Health> {
    Json(Health { status: "ok".to_owned(), vending_stopped_by })
}

/// Check that the process runs
#[utoipa::path(
    get, path = "/livez", operation_id = "livez", tag = "service",
    responses((status = 200, description = "The process runs", body = Health)),
)]
pub(crate) async fn livez() -> Json<Health> {
    ok_response(None)
}

/// Check that requests can be served
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz", tag = "service",
    responses(
        (
            status = 200,
            description = "The database accepts writes, its schema is up to date, and the signing keys are available",
            body = Health
        ),
        (
            status = 503,
            description = "The database is unavailable or read-only (`database_unavailable`), its schema is not up to \
                date (`database_not_migrated`), or the keys that verify tokens have never been read \
                (`signing_keys_unavailable`). The detail contains the reason.",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Json<Health>, ApiError> {
    let is_migrated = db::is_ready(&app.pool).await.map_err(database_problem)?;
    if !is_migrated {
        let detail = "The database schema is not up to date; run `freehold migrate`.";
        return Err(ApiError::new(Code::DatabaseNotMigrated, detail).retry_after(5));
    }
    if let Some(reason) = app.token_verifier.keys_problem().await {
        let detail = format!("No token can be verified: {reason}.");
        return Err(ApiError::new(Code::SigningKeysUnavailable, detail).retry_after(5));
    }
    let ceilings = app.config.quotas.account_ceilings();
    let status = db::vending::status(&app.pool, ceilings, app.clock.now()).await?;
    Ok(ok_response(status.stop.map(|stop| stop.code().to_string())))
}

/// Returns the problem of a database that is not ready, with the reason, which other routes do not show to callers.
fn database_problem(error: DbError) -> ApiError {
    if !error.is_outage() {
        return error.into();
    }
    tracing::error!(%error, "the database is unavailable");
    ApiError::new(Code::DatabaseUnavailable, format!("The database is unavailable: {error}.")).retry_after(5)
}

/// Refuses a request on a connection above the ceiling.
pub(crate) async fn refuse_connection() -> Response {
    let detail = "The server has its maximum of open connections; retry in 5 s, and reuse connections.";
    let mut response = ApiError::new(Code::TooManyConnections, detail).retry_after(5).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Get the Prometheus metrics
///
/// The listener of the API serves them only with `api.metrics_on_public_listener`. By default, they are served on the
/// address `api.metrics_listen`, which has no other route.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "service",
    responses(
        (
            status = 200,
            description = "Metrics in the text format of Prometheus",
            body = String, content_type = "text/plain"
        ),
        (
            status = 404,
            description = "This listener does not serve the metrics (`route_not_found`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn metrics(app: State<App>) -> Result<impl IntoResponse, ApiError> {
    if app.config.api.metrics_on_public_listener { Ok(all_metrics(app).await) } else { Err(docs::not_found().await) }
}

/// Returns the metrics without checking the listener.
pub(crate) async fn all_metrics(State(app): State<App>) -> impl IntoResponse {
    match db::operations::counts(&app.pool).await {
        Ok(counts) => app.metrics.record_operations(&counts),
        // The request metrics are returned even if the database is unavailable.
        Err(error) => tracing::warn!(%error, "cannot count operations for the metrics"),
    }
    match db::fleet_holds::list_active(&app.pool).await {
        Ok(holds) => app.metrics.record_fleet_holds(&holds),
        Err(error) => tracing::warn!(%error, "cannot read fleet holds for the metrics"),
    }
    match db::vending::status(&app.pool, app.config.quotas.account_ceilings(), app.clock.now()).await {
        Ok(status) => app.metrics.record_vending(&status),
        Err(error) => tracing::warn!(%error, "cannot read the state of vending for the metrics"),
    }
    match db::findings::counts(&app.pool).await {
        Ok(counts) => app.metrics.record_findings(&counts),
        Err(error) => tracing::warn!(%error, "cannot count findings for the metrics"),
    }
    match db::webhooks::endpoints::counts(&app.pool).await {
        Ok(counts) => app.metrics.record_webhook_endpoints(&counts),
        Err(error) => tracing::warn!(%error, "cannot count webhook endpoints for the metrics"),
    }
    match db::audit::status(&app.pool).await {
        Ok(status) => app.metrics.record_audit(&status, app.clock.now()),
        Err(error) => tracing::warn!(%error, "cannot read the state of the audit trail for the metrics"),
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render())
}
