//! Route that updates a tenant.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use freehold_tenancy::db::lifecycle::{ChangeAdminResult, TierRequestResult};
use freehold_tenancy::tenant::{Labels, TenantChange, TenantState};
use freehold_tenancy::{Config, OperationId, TenantId, Tier, db, tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::etag::{compute_etag, response_with_etag};
use super::signup;
use crate::app::App;
use crate::audit::{record_approval_state, record_change, record_hidden_change};
use crate::auth::Caller;
use crate::etag::{IfMatch, precondition_failed};
use crate::extract::{Fields, JsonFields, PathParam};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use crate::routes::maintenance_windows::{MaintenanceWindow, parse_maintenance_windows};
use crate::routes::schema::approval::ApprovalDetails;
use crate::routes::schema::tenant::Tenant;

/// Changes of a tenant, as a JSON merge patch (RFC 7396): omitted fields stay unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantPatch {
    /// Name of the company. The names of the AWS accounts do not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Example GmbH", min_length = 1, max_length = 120, nullable = false)]
    pub company_name: Option<String>,
    /// E-mail address of the tenant's administrator. If the tenant has a group in IAM Identity Center, an operation
    /// adds the user of the new address to the group and removes the user of the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "admin@example.com", max_length = 254, nullable = false)]
    pub admin_email: Option<String>,
    /// Commercial plan, as named in the configuration. The next reconcile run grants the access that comes
    /// with the new plan. A plan with `approval = "required"` needs the approval of a second person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "standard", nullable = false)]
    pub tier: Option<String>,
    /// Id of the tenant in the systems of the SaaS; `null` removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "customer-4711", min_length = 1, max_length = 128)]
    pub external_id: Option<String>,
    /// Labels to set; a label with the value `null` is removed. Other labels stay unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!({ "team": "north", "pilot": null }), nullable = false)]
    pub labels: Option<BTreeMap<String, Option<String>>>,
    /// All weekly times in which updates of the tenant's environments may start, at most 20. The list replaces the
    /// present one; `[]` allows updates at any time. An update that has started in a window may end after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 20, nullable = false)]
    pub maintenance_windows: Option<Vec<MaintenanceWindow>>,
}

/// Update a tenant
///
/// The body is a JSON merge patch. It is applied only if the tenant still has the ETag in `If-Match`. A change to a
/// tier that requires approval is not applied at once: the response is `202` with an approval, and the change is
/// applied when another person approves it. Such a request must not change other fields.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{id}",
    operation_id = "updateTenant",
    tag = "tenants",
    params(
        ("id" = String, Path, description = "Tenant id", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        (
            "If-Match" = String, Header,
            description = "ETag from your last read of the tenant, or `*` to skip the check"
        ),
    ),
    request_body = TenantPatch,
    responses(
        (status = 200, description = "Updated tenant", body = Tenant, headers(
            ("ETag" = String, description = "Value for `If-Match` of the next change"),
        )),
        (
            status = 202,
            description = "Nothing is changed yet: the change of the tier waits for the approval of a second person",
            body = ApprovalDetails, headers(("Location" = String, description = "Path of the approval")),
        ),
        (
            status = 409,
            description = "Another active tenant already has this `external_id` (`external_id_taken`), the tenant is \
                offboarded (`tenant_offboarded`), `admin_email` cannot change while an upgrade of the baseline is in \
                progress (`operation_in_progress`), or another change of the tier waits for approval \
                (`approval_pending`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 412,
            description = "The tenant has changed since you read the ETag (`precondition_failed`); nothing was changed",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 428,
            description = "`If-Match` is missing (`precondition_required`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn update_tenant(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(id): PathParam<TenantId>,
    if_match: IfMatch,
    JsonFields(fields): JsonFields,
) -> Result<Response, ApiError> {
    let id = id.ok_or_else(ApiError::tenant_not_found)?;
    let mut tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::tenant_not_found)?;
    if_match.check(&compute_etag(tenant.clone(), &app.config)?)?;
    if tenant.state() == TenantState::Offboarded {
        return Err(ApiError::new(Code::TenantOffboarded, "The tenant is offboarded and can no longer be changed."));
    }
    let former = tenant.clone();
    let changed = parse_patch(fields, &app.config, &tenant)?.apply(&mut tenant);
    if changed.is_empty() {
        return response_with_etag(tenant, &app.config);
    }
    let now = app.clock.now();
    if changed.contains(&"tier") && app.config.requires_approval(&tenant.tier) {
        return request_tier(&app, &caller, &former, &tenant.tier).await;
    }
    let former_admin = former.admin_email.clone();
    let is_written = match former_admin.filter(|former| tenant.admin_email.as_ref() != Some(former)) {
        Some(former) => {
            let tier = app.config.tier(&tenant.tier);
            let has_group = tier.is_some_and(|tier| tier.tenant_group_permission_set.is_some());
            let by = caller.requester();
            let result = db::lifecycle::change_admin(&app.pool, &tenant, &changed, &former, has_group, &by, now);
            match result.await? {
                ChangeAdminResult::Written => true,
                ChangeAdminResult::Outdated => false,
                ChangeAdminResult::UpgradeInProgress(id) => return Err(upgrade_in_progress(id)),
            }
        }
        None if changed.contains(&"tier") => {
            db::lifecycle::change_tier(&app.pool, &tenant, &changed, &caller.requester(), now).await?
        }
        None => db::tenants::update(&app.pool, &tenant, &changed, now).await?,
    };
    if !is_written {
        return Err(precondition_failed());
    }
    record_changes(&former, &tenant);
    // The change adds a feed event, which may have to be delivered to webhook endpoints, and may open an operation.
    app.work_notifier.notify();
    let tenant = db::tenants::get(&app.pool, id).await?.ok_or_else(ApiError::tenant_not_found)?;
    response_with_etag(tenant, &app.config)
}

fn record_changes(before: &tenant::Tenant, after: &tenant::Tenant) {
    record_change("company_name", before.company_name.as_str(), after.company_name.as_str());
    record_change("tier", before.tier.as_str(), after.tier.as_str());
    let external_id = |tenant: &tenant::Tenant| tenant.external_id.as_ref().map(ToString::to_string);
    record_change("external_id", external_id(before), external_id(after));
    record_change("labels", &before.labels, &after.labels);
    record_change("maintenance_windows", &before.maintenance_windows, &after.maintenance_windows);
    if before.admin_email != after.admin_email {
        record_hidden_change("admin_email");
    }
}

/// Requests the change to a tier that requires approval. The change is applied when another person approves it.
async fn request_tier(app: &App, caller: &Caller, tenant: &tenant::Tenant, tier: &Tier) -> Result<Response, ApiError> {
    let (by, now) = (caller.requester(), app.clock.now());
    let (id, is_new) = match db::lifecycle::request_tier(&app.pool, tenant, tier, &by, now).await? {
        TierRequestResult::Pending { id, is_new } => (id, is_new),
        TierRequestResult::Outdated => return Err(precondition_failed()),
        TierRequestResult::OtherPending(id) => {
            let detail = format!("The change to another tier waits for approval ({id}); approve or reject it first.");
            return Err(ApiError::new(Code::ApprovalPending, detail));
        }
    };
    let approval = db::approvals::get(&app.pool, id).await?.ok_or_else(ApiError::internal)?;
    if is_new {
        app.work_notifier.notify();
        record_approval_state(id, None, approval.state, approval.action, &approval.request);
    }
    let location = HeaderValue::from_str(&format!("/v1/approvals/{id}")).map_err(|_| ApiError::internal())?;
    let body = Json(ApprovalDetails::from(approval));
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], body).into_response())
}

fn upgrade_in_progress(id: OperationId) -> ApiError {
    let detail = format!(
        "The operation {id} (upgrade_baseline) is in progress, which cannot change the administrator. Repeat the \
         request when the operation has ended."
    );
    ApiError::new(Code::OperationInProgress, detail).with_operation(id)
}

pub(crate) fn parse_patch(
    mut fields: Fields,
    config: &Config,
    tenant: &tenant::Tenant,
) -> Result<TenantChange, ApiError> {
    for name in ["company_name", "admin_email", "tier", "labels"] {
        if fields.take_null(name) {
            fields.error(name, "missing", "this field cannot be removed");
        }
    }
    let external_id =
        if fields.take_null("external_id") { Some(None) } else { fields.optional("external_id").map(Some) };
    let tier = if fields.has_value("tier") { signup::parse_tier(&mut fields, config) } else { None };
    let admin_email = fields.optional("admin_email");
    if let Some(email) = admin_email.as_ref().or(tenant.admin_email.as_ref())
        && let Some(violation) = signup::user_violation(config, tier.as_ref().unwrap_or(&tenant.tier), email)
    {
        if admin_email.is_some() {
            fields.error("admin_email", "invalid", violation);
        } else if tier.is_some() {
            fields.error("tier", "invalid", format!("must be another tier: admin_email {violation}"));
        }
    }
    let change = TenantChange {
        company_name: fields.optional("company_name"),
        admin_email,
        tier,
        external_id,
        labels: fields.has_value("labels").then(|| patch_labels(&mut fields, &tenant.labels)),
        maintenance_windows: parse_maintenance_windows(&mut fields),
    };
    if let Some(tier) = change.tier.clone().filter(|tier| *tier != tenant.tier && config.requires_approval(tier))
        && change.clone().apply(&mut tenant.clone()).len() > 1
    {
        let message = format!("must be changed alone, because a second person must approve the tier `{tier}`");
        fields.error("tier", "needs_approval", message);
    }
    fields.finish(Some(change))
}

/// Returns the labels after the patch is applied to the current labels.
fn patch_labels(fields: &mut Fields, before: &Labels) -> Labels {
    let mut labels = before.clone();
    for name in fields.take_null_keys("labels") {
        labels.remove(&name);
    }
    labels.extend(fields.string_map("labels").unwrap_or_default());
    signup::check_labels(fields, &labels);
    labels
}
