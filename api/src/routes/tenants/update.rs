//! Changing what is known of a tenant.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use freehold_tenancy::tenant::{Labels, TenantChange, TenantState};
use freehold_tenancy::{Config, TenantId, db, tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::etag::{etag_of, with_etag};
use super::signup;
use crate::app::App;
use crate::etag::{IfMatch, precondition_failed};
use crate::extract::{Fields, JsonFields, PathParam};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use crate::routes::schema::tenant::Tenant;

/// What of a tenant is to be another, as a JSON merge patch (RFC 7396): what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantPatch {
    /// What the customer calls itself. Its AWS accounts keep their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Example GmbH", min_length = 1, max_length = 120, nullable = false)]
    pub company_name: Option<String>,
    /// The commercial plan, as configured. What access it brings with it is granted by the next comparison with AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "standard", nullable = false)]
    pub tier: Option<String>,
    /// The id that the SaaS itself gives the customer; `null` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "customer-4711", min_length = 1, max_length = 128)]
    pub external_id: Option<String>,
    /// Labels to set, and with `null` those to take away; the others stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!({ "team": "north", "pilot": null }), nullable = false)]
    pub labels: Option<BTreeMap<String, Option<String>>>,
}

/// Change what is known of a tenant
///
/// A JSON merge patch, made only if the tenant is still what it was when you got its ETag.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{id}",
    operation_id = "updateTenant",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "The tenant", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("If-Match" = String, Header, description = "The ETag of the tenant as you have seen it, or `*` for however it is"),
    ),
    request_body = TenantPatch,
    responses(
        (status = 200, description = "The tenant as it is now", body = Tenant, headers(
            ("ETag" = String, description = "What `If-Match` of the next change has to say"),
        )),
        (status = 409, description = "A live tenant has the `external_id` (`external_id_taken`), or this one is gone (`tenant_offboarded`)", body = Problem, content_type = MEDIA_TYPE),
        (status = 412, description = "It has changed since (`precondition_failed`); nothing was done", body = Problem, content_type = MEDIA_TYPE),
        (status = 428, description = "`If-Match` is missing (`precondition_required`)", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn update_tenant(
    State(app): State<App>,
    PathParam(id): PathParam<TenantId>,
    if_match: IfMatch,
    JsonFields(fields): JsonFields,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::no_tenant)?;
    let mut tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::no_tenant)?;
    if_match.check(&etag_of(tenant.clone())?)?;
    if tenant.state() == TenantState::Offboarded {
        return Err(ApiError::new(Code::TenantOffboarded, "The tenant is gone, and stays as it was."));
    }
    let changed = read(fields, &app.config, &tenant)?.apply(&mut tenant);
    if changed.is_empty() {
        return with_etag(&tenant.into());
    }
    if !db::tenants::update(&app.pool, &tenant, &changed, app.clock.now()).await? {
        return Err(precondition_failed());
    }
    // It is in the feed.
    app.work_notifier.notify();
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::no_tenant)?;
    with_etag(&tenant.into())
}

pub(crate) fn read(mut fields: Fields, config: &Config, tenant: &tenant::Tenant) -> Result<TenantChange, ApiError> {
    for name in ["company_name", "tier", "labels"] {
        if fields.take_null(name) {
            fields.error(name, "missing", "this cannot be taken away");
        }
    }
    let external_id =
        if fields.take_null("external_id") { Some(None) } else { fields.optional("external_id").map(Some) };
    let change = TenantChange {
        company_name: fields.optional("company_name"),
        tier: if fields.names("tier") { signup::tier(&mut fields, config) } else { None },
        external_id,
        labels: fields.names("labels").then(|| labels(&mut fields, &tenant.labels)),
    };
    fields.finish(Some(change))
}

/// The labels there are, with those that were given and without those that were taken away.
fn labels(fields: &mut Fields, before: &Labels) -> Labels {
    let mut labels = before.clone();
    for name in fields.take_null_keys("labels") {
        labels.remove(&name);
    }
    labels.extend(fields.texts("labels").unwrap_or_default());
    signup::check_labels(fields, &labels);
    labels
}
