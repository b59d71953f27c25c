//! Routes that create, list and return tenants.

pub(super) mod account_limit;
mod dry_run;
pub(super) mod etag;
pub(crate) mod signup;
pub(crate) mod update;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use freehold_tenancy::audit::AuditEntry;
use freehold_tenancy::db::idempotency::StoredResponse;
use freehold_tenancy::db::signup::SignupResult;
use freehold_tenancy::db::tenants::TenantFilter;
use freehold_tenancy::{TenantId, db};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) use dry_run::template_file_name;
pub use dry_run::{Collision, EnvironmentPreview, SignupPreview};
pub use signup::Signup;
pub use update::TenantPatch;

use super::region_rules::RegionRules;
use super::schema::enums::TenantState;
use super::schema::tenant::Tenant;
use crate::app::App;
use crate::auth::Caller;
use crate::extract::{JsonFields, PathParam, QueryFields, SearchText};
use crate::idempotency::{self, Key};
use crate::pagination::Page;
use crate::problem::{ApiError, MEDIA_TYPE, Problem};

/// Page of tenants, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantPage {
    /// Tenants of this page.
    pub tenants: Vec<Tenant>,
    /// Token of the next page; `null` on the last page.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// Create a tenant with its environments
///
/// Returns 202 immediately; the AWS accounts are created in the background. A repeated request with the same
/// `Idempotency-Key` and body returns the first response. With `dry_run=true`, nothing is created; the key is optional.
#[utoipa::path(
    post,
    path = "/v1/tenants",
    operation_id = "createTenant",
    tag = "tenants",
    params(
        (
            "dry_run" = Option<bool>, Query,
            description = "Validate the signup and return a preview, without creating anything",
            example = false
        ),
        ("Idempotency-Key" = Option<String>, Header,
        description = "Idempotency key, to make retries safe: 1 to 255 visible ASCII characters, with or without \
            quotes, for example a UUID. It is stored for seven days, separately for each token issuer, client and \
            route. Required unless `dry_run` is `true`.",
        example = "7f3a0f1e-4c1c-4a51-9e0b-0d5d3b1f6b57"),
    ),
    request_body = Signup,
    responses(
        (status = 200, description = "Preview of the signup, with `dry_run`", body = SignupPreview),
        (status = 202, description = "Accepted; one operation per environment is started", body = Tenant, headers(
            ("Location" = String, description = "Path of the tenant"),
            ("Retry-After" = u32, description = "Seconds after which to poll"),
            ("Idempotency-Replayed" = bool, description = "`true` if the response to an earlier request is repeated"),
        )),
        (
            status = 409,
            description = "The same request is still running (`idempotency_key_in_flight`; retry), or an active tenant \
                already has this `external_id` (`external_id_taken`)",
            body = Problem, content_type = MEDIA_TYPE, headers(
            ("Retry-After" = u32, description = "Seconds after which to retry; only with `idempotency_key_in_flight`"),
        )),
    ),
)]
pub(crate) async fn create_tenant(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(mut entry): Extension<AuditEntry>,
    QueryFields(mut query): QueryFields,
    key: Result<Key, ApiError>,
    JsonFields(fields): JsonFields,
) -> Result<Response, ApiError> {
    let dry_run = query.optional("dry_run").unwrap_or(false);
    query.finish(Some(()))?;
    if dry_run {
        let tenant = signup::parse_signup(fields, RegionRules::of(&app), app.clock.now())?;
        return Ok(Json(dry_run::dry_run(&app, &caller, &tenant).await?).into_response());
    }
    let key = key?.into_stored_key(&caller, signup::IDEMPOTENCY_ROUTE);
    let request_hash = idempotency::hash(fields.values());
    let tenant = match signup::parse_signup(fields, RegionRules::of(&app), app.clock.now()) {
        Ok(tenant) => tenant,
        Err(refusal) => return idempotency::replay_or_refuse(&app.pool, &key, request_hash, refusal).await,
    };
    let location = format!("/v1/tenants/{}", tenant.id);
    let body = serde_json::to_string(&Tenant::of(tenant.clone(), &app.config)).map_err(|_| ApiError::internal())?;
    let response = StoredResponse { status: 202, location, body };

    let requested_by = &caller.requester();
    let (key, tenant_id) = (&key, tenant.id);
    entry.ids.push(tenant_id.to_string());
    for environment in &tenant.environments {
        entry.ids.extend([environment.id.to_string(), environment.operation_id.to_string()]);
    }
    let signup = db::signup::Signup {
        key,
        request_hash,
        tenant: &tenant,
        requested_by,
        answer: &response,
        limit: caller.account_limit(&app.config),
        approval_required: app.config.requires_approval(&tenant.tier),
        entry: &entry,
    };
    match db::signup::sign_up(&app.pool, &signup).await? {
        SignupResult::Created => {
            app.work_notifier.notify();
            tracing::info!(%tenant_id, "tenant {tenant_id} was created");
            Ok(idempotency::accepted_response(response))
        }
        SignupResult::DuplicateKey(key) => {
            Ok(idempotency::mark_as_replayed(idempotency::accepted_response(idempotency::stored_response(key)?)))
        }
        SignupResult::DailyLimitReached(reached) => Err(account_limit::refuse(&app, reached)),
    }
}

/// List tenants, newest first
#[utoipa::path(
    get,
    path = "/v1/tenants",
    operation_id = "listTenants",
    tag = "tenants",
    params(
        (
            "page_size" = Option<i64>, Query,
            description = "Page size [default: 50]",
            minimum = 1, maximum = 200, example = 50
        ),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the previous page"),
        ("state" = Option<TenantState>, Query, description = "Only tenants in this state"),
        (
            "attention" = Option<bool>, Query,
            description = "`true`: only tenants with an environment that is degraded or needs attention; `false`: only \
                the other tenants",
            example = true
        ),
        (
            "home_region" = Option<String>, Query,
            description = "Only tenants with an environment in this home region",
            example = "eu-central-1"
        ),
        (
            "region" = Option<String>, Query,
            description = "Only tenants with an environment in this region, as its home or as a replica; offboarded \
                environments do not count",
            example = "eu-west-1"
        ),
        ("tier" = Option<String>, Query, description = "Only tenants with this commercial plan", example = "standard"),
        (
            "external_id" = Option<String>, Query,
            description = "Only the tenant with this id in the systems of the SaaS",
            example = "customer-4711"
        ),
        (
            "q" = Option<String>, Query,
            description = "Only tenants whose company name, external id, administrator e-mail address or AWS account id \
                contains this text; case-insensitive, according to the locale of the database",
            example = "exam"
        ),
    ),
    responses((status = 200, description = "Page of tenants", body = TenantPage)),
)]
pub(crate) async fn list_tenants(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<TenantPage>, ApiError> {
    let page = Page::from_query("tenants", &mut query)?;
    let filter = TenantFilter {
        id: caller.tenant_scope.filter(None)?,
        state: query.optional("state"),
        attention: query.optional("attention"),
        home_region: query.optional("home_region"),
        region: query.optional("region"),
        tier: query.optional("tier"),
        external_id: query.optional::<freehold_tenancy::ExternalId>("external_id").map(String::from),
        q: query.optional("q").map(|SearchText::<128>(text)| text),
    };
    let filter = query.finish(Some(filter))?;
    let mut tenants = db::tenants::list(&app.pool, &filter, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut tenants, |tenant| tenant.id.as_uuid());
    let tenants = tenants.into_iter().map(|tenant| Tenant::of(tenant, &app.config)).collect();
    Ok(Json(TenantPage { tenants, next_page_token }))
}

/// Get a tenant
#[utoipa::path(
    get,
    path = "/v1/tenants/{id}",
    operation_id = "getTenant",
    tag = "tenants",
    params(("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")),
    responses((status = 200, description = "Tenant with its environments", body = Tenant, headers(
        ("ETag" = String, description = "Value for `If-Match` of a change"),
    ))),
)]
pub(crate) async fn get_tenant(
    State(app): State<App>,
    PathParam(id): PathParam<TenantId>,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::tenant_not_found)?;
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::tenant_not_found)?;
    etag::response_with_etag(tenant, &app.config)
}
