//! Residency proof of an environment: the signed document of a worker, its refresh, and the public keys.

mod page;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use freehold_tenancy::db::lifecycle::{ProofRequestResult, open_residency_proof};
use freehold_tenancy::db::residency_proofs::{LatestProof, LatestResult, latest};
use freehold_tenancy::residency_proof::{self, PublicKey};
use freehold_tenancy::{EnvironmentName, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::account_mappings::format::negotiate_media_type;
use super::environments;
use super::operations::load::accepted_response;
use super::schema::operation::Operation;
use crate::app::App;
use crate::auth::Caller;
use crate::extract::PathParam;
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use crate::tenant_view::TenantViewApplied;

const HTML: &str = "text/html";

const JOSE: &str = "application/jose";

/// Policy of the page, which contains no scripts and loads nothing.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Residency proof of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResidencyProof {
    /// Tenant of the environment.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: String,
    /// Id of the environment.
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub environment_id: String,
    /// Operation whose worker has made the observations.
    #[schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub operation_id: String,
    /// Time at which the observations started.
    pub observed_at: DateTime<Utc>,
    /// Whether everything that was observed keeps the environment within its residency. The document contains the
    /// reasons if not.
    #[schema(example = true)]
    pub conforms: bool,
    /// Id of the key that has signed the proof, as in `GET /v1/residency-proof-keys`.
    #[schema(example = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")]
    pub key_id: String,
    /// The signed document, decoded; docs/residency-proof.md describes its fields.
    #[schema(value_type = Object)]
    pub document: Value,
    /// The signed document as a compact JWS (RFC 7515, EdDSA). Only this form can be verified.
    #[schema(example = "eyJhbGciOiJFZERTQSJ9.eyJ2ZXJzaW9uIjoxfQ.c2lnbmF0dXJl")]
    pub jws: String,
}

/// Public keys that verify residency proofs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResidencyProofKeys {
    /// Keys as JWKs (RFC 8037), those of current signing keys first. Empty if no key is configured.
    #[schema(value_type = Vec<Object>)]
    pub keys: Vec<Value>,
}

/// Get the residency proof of an environment
///
/// The proof is the signed document in which a worker has recorded where the environment can run and where it runs:
/// the policies up to the root of the organisation, the stacks with their regions, and an attempt to use another
/// region. With `Accept: text/html` the response is a page for auditors, with `Accept: application/jose` the compact
/// JWS alone. A proof describes the time `observed_at`; `POST` refreshes it.
#[utoipa::path(
    get,
    path = "/v1/tenants/{id}/environments/{name}/residency-proof",
    operation_id = "getResidencyProof",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("name" = String, Path, description = "Name of the environment", example = "production"),
    ),
    responses(
        (status = 200, description = "Latest residency proof", content(
            (ResidencyProof = "application/json"),
            (String = "text/html"),
            (String = "application/jose"),
        )),
        (
            status = 404,
            description = "The tenant or the environment does not exist, or no proof was written yet \
                (`residency_proof_not_found`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 406,
            description = "`Accept` allows neither JSON, HTML nor JOSE",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 409,
            description = "This installation has no key for residency proofs (`residency_proofs_not_configured`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn get_residency_proof(
    State(app): State<App>,
    headers: HeaderMap,
    PathParam(id): PathParam<TenantId>,
    PathParam(name): PathParam<EnvironmentName, 1>,
) -> Result<Response, ApiError> {
    let media_type = negotiate_media_type(&headers, &["application/json", HTML, JOSE])?;
    let id = id.ok_or_else(ApiError::tenant_not_found)?;
    let name = name.ok_or_else(environments::not_found)?;
    check_configured(&app)?;
    let latest = match latest(&app.pool, id, &name).await? {
        LatestResult::Found(latest) => latest,
        LatestResult::NoProof => {
            return Err(ApiError::new(
                Code::ResidencyProofNotFound,
                "No residency proof of the environment was written yet. Send a POST request to this path, and read the \
                 proof when its operation has succeeded.",
            ));
        }
        LatestResult::NoEnvironment => return Err(environments::missing(&app, id).await?),
    };
    match media_type {
        HTML => respond_with_page(&latest),
        JOSE => Ok(respond_with_text(JOSE, latest.proof.jws)),
        _ => {
            let document = residency_proof::payload(&latest.proof.jws).ok_or_else(ApiError::internal)?;
            Ok(Json(ResidencyProof {
                tenant_id: id.to_string(),
                environment_id: latest.environment.to_string(),
                operation_id: latest.operation.to_string(),
                observed_at: latest.proof.observed_at,
                conforms: latest.proof.conforms,
                key_id: latest.proof.key_id,
                document,
                jws: latest.proof.jws,
            })
            .into_response())
        }
    }
}

/// Refresh the residency proof of an environment
///
/// Starts an operation of the kind `prove_residency`, which only reads in AWS; the environment stays `ready`. The
/// operation succeeds even if the environment does not conform: the proof then says why. It ends as `failed`, with the
/// cause in `failure`, if the observations or the signature were not possible; the earlier proof stays. While a refresh
/// is open, another request returns the same operation.
#[utoipa::path(
    post,
    path = "/v1/tenants/{id}/environments/{name}/residency-proof",
    operation_id = "refreshResidencyProof",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("name" = String, Path, description = "Name of the environment", example = "production"),
    ),
    responses(
        (status = 202, description = "The operation is started", body = Operation, headers(
            ("Location" = String, description = "Path of the operation"),
            ("Retry-After" = u32, description = "Seconds after which to poll"),
        )),
        (
            status = 409,
            description = "This installation has no key for residency proofs (`residency_proofs_not_configured`), \
                another operation on the environment is open (`operation_in_progress`), or the environment is not \
                ready (`environment_not_ready`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn refresh_residency_proof(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    PathParam(name): PathParam<EnvironmentName, 1>,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::tenant_not_found)?;
    let name = name.ok_or_else(environments::not_found)?;
    check_configured(&app)?;
    let (by, now) = (caller.requester(), app.clock.now());
    match open_residency_proof(&app.pool, id, &name, &by, now).await? {
        ProofRequestResult::Started(operation) | ProofRequestResult::AlreadyOpen(operation) => {
            app.work_notifier.notify();
            accepted_response(&app, operation).await
        }
        ProofRequestResult::Busy { operation, kind } => Err(ApiError::operation_in_progress(operation, kind)),
        ProofRequestResult::NotReady(state) => Err(ApiError::new(
            Code::EnvironmentNotReady,
            format!("The environment is {state}; only the residency of a ready environment can be proved."),
        )),
        ProofRequestResult::NotFound => Err(environments::missing(&app, id).await?),
    }
}

/// List the public keys of residency proofs
///
/// The keys as a JWK set. The route needs no token: an auditor who verifies a proof needs a key, and the keys are not
/// secret. Compare the key with one from another source.
#[utoipa::path(
    get,
    path = "/v1/residency-proof-keys",
    operation_id = "listResidencyProofKeys",
    tag = "tenants",
    responses((status = 200, description = "Public keys", body = ResidencyProofKeys)),
)]
pub(crate) async fn list_residency_proof_keys(State(app): State<App>) -> Json<ResidencyProofKeys> {
    // The configuration was validated when the process started.
    let keys = app.config.proof.all_public_keys().unwrap_or_default();
    Json(ResidencyProofKeys { keys: keys.iter().map(PublicKey::jwk).collect() })
}

fn check_configured(app: &App) -> Result<(), ApiError> {
    if app.config.proof.is_configured() {
        return Ok(());
    }
    Err(ApiError::new(
        Code::ResidencyProofsNotConfigured,
        "This installation has no key for residency proofs. An operator must set FREEHOLD_PROOF__SIGNING_KEY for the \
         workers (openssl rand -base64 32), and add the public key that `freehold proof public-key` prints to \
         public_keys in the section [proof] of the configuration.",
    ))
}

fn respond_with_page(latest: &LatestProof) -> Result<Response, ApiError> {
    let document = residency_proof::payload(&latest.proof.jws).and_then(|value| serde_json::from_value(value).ok());
    let document = document.ok_or_else(ApiError::internal)?;
    let page = page::render(&document, &latest.proof);
    let mut response = respond_with_text("text/html; charset=utf-8", page);
    let policy = HeaderValue::from_static(PAGE_POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// Responds with a text that a token of one tenant sees whole, because the proof is made for the tenant.
fn respond_with_text(media_type: &'static str, text: String) -> Response {
    let mut response = ([(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], text).into_response();
    response.extensions_mut().insert(TenantViewApplied);
    response
}
