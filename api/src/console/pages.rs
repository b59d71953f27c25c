//! Pages of the console.

pub(super) mod actions;
pub(super) mod approvals;
pub(super) mod attention;
pub(super) mod findings;
pub(super) mod operation;
pub(super) mod overview;
pub(super) mod rollouts;
pub(super) mod search;
pub(super) mod tenant;
pub(super) mod tenants;

use url::form_urlencoded::byte_serialize;

use super::session::Visitor;
use crate::problem::ApiError;
use crate::routes::schema::tenant::Tenant;
use crate::scope::Scope;

/// Returns the company name of a tenant, or the id if the person may not read tenants.
async fn tenant_name(visitor: &Visitor, id: &str) -> Result<String, ApiError> {
    if !visitor.has_scope(Scope::TenantsRead) {
        return Ok(id.to_owned());
    }
    let tenant: Tenant = visitor.api.get(&format!("/v1/tenants/{}", encode(id))).await?;
    Ok(tenant.company_name)
}

/// Returns a text as a part of a path or as a value of a query.
fn encode(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}
