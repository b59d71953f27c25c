//! Routes of the support bundle: its download, and the list of its contents.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use freehold_tenancy::support_bundle::BundleConfig;
use freehold_tenancy::{OperationId, db};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use crate::app::App;
use crate::extract::PathParam;
use crate::problem::{ApiError, Code};
use crate::support_bundle::{BundleContents, write_archive};

/// `Retry-After` value of a refused download, in seconds.
const RETRY_AFTER_SECONDS: u32 = 5;

const ZIP: &str = "application/zip";

/// ZIP archive of a support bundle.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes the body only")]
pub(crate) struct BundleArchive(Vec<u8>);

/// Download the support bundle of an operation
///
/// A ZIP archive for a support ticket. Its page `index.html` explains what happened. The archive contains ids, states,
/// times, codes, AWS account ids and ids of AWS requests, but no names of customers or people, e-mail addresses,
/// network addresses, secrets or texts of AWS. `GET /v1/operations/{id}/bundle/contents` lists the files and the
/// omitted data. Each download is on the audit trail. A process creates one bundle at a time.
#[utoipa::path(
    get,
    path = "/v1/operations/{id}/bundle",
    operation_id = "getSupportBundle",
    tag = "operations",
    params(("id" = String, Path, description = "Operation id", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")),
    responses(
        (
            status = 200, description = "Support bundle", content((inline(BundleArchive) = "application/zip")),
            headers(("Content-Disposition" = String, description = "File name of the archive"))
        ),
    ),
)]
pub(crate) async fn get_support_bundle(
    State(app): State<App>,
    PathParam(id): PathParam<OperationId>,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::operation_not_found)?;
    let _permit = acquire_permit(&app)?;
    let now = app.clock.now();
    if let Err(error) = db::audit::advance(&app.pool, now).await {
        tracing::warn!(%error, "cannot chain the audit trail before a support bundle of {id} is read");
    }
    // An audited request runs in a task of its own, so that no disconnect of the client interrupts the reading.
    let bundle = db::support_bundles::read(&app.pool, id).await?.ok_or_else(ApiError::operation_not_found)?;
    let config = BundleConfig::from(&*app.config);
    let archive = tokio::task::spawn_blocking(move || write_archive(&bundle, &config, now)).await;
    let archive = archive.map_err(std::io::Error::other).flatten().map_err(|error| {
        tracing::error!(%error, "the support bundle of {id} cannot be written");
        ApiError::internal()
    })?;
    let disposition = format!("attachment; filename=\"{id}.zip\"");
    let headers = [(header::CONTENT_TYPE, ZIP.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, archive).into_response())
}

/// Returns the permit for one support bundle. Fails while the process creates another.
fn acquire_permit(app: &App) -> Result<OwnedSemaphorePermit, ApiError> {
    Arc::clone(&app.support_bundles).try_acquire_owned().map_err(|_| {
        app.metrics.count_refusal("support_bundles");
        let detail = format!(
            "The server is creating another support bundle, and creates one at a time; retry in \
             {RETRY_AFTER_SECONDS} s."
        );
        ApiError::new(Code::SupportBundleInProgress, detail).retry_after(RETRY_AFTER_SECONDS)
    })
}

/// List the contents of the support bundle of an operation
///
/// The files in the archive, and the data that is left out, with the reasons.
#[utoipa::path(
    get,
    path = "/v1/operations/{id}/bundle/contents",
    operation_id = "getSupportBundleContents",
    tag = "operations",
    params(("id" = String, Path, description = "Operation id", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")),
    responses((status = 200, description = "Contents of the support bundle", body = BundleContents)),
)]
pub(crate) async fn get_support_bundle_contents(
    State(app): State<App>,
    PathParam(id): PathParam<OperationId>,
) -> Result<Json<BundleContents>, ApiError> {
    let id = id.ok_or_else(ApiError::operation_not_found)?;
    db::operations::tenant_of(&app.pool, id).await?.ok_or_else(ApiError::operation_not_found)?;
    Ok(Json(BundleContents::of(id)))
}
