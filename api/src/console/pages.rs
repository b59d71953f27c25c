//! Pages of the console.

pub(super) mod accounts;
pub(super) mod actions;
pub(super) mod approvals;
pub(super) mod attention;
pub(super) mod audit;
pub(super) mod events;
pub(super) mod findings;
pub(super) mod operation;
pub(super) mod overview;
pub(super) mod quotas;
pub(super) mod rollouts;
pub(super) mod search;
pub(super) mod sign_up;
pub(super) mod tenant;
pub(super) mod tenant_actions;
pub(super) mod tenants;
pub(super) mod webhook_actions;
pub(super) mod webhooks;

use std::collections::BTreeMap;

use freehold_tenancy::unicode::comparable;
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

/// Company names of the tenants on a page, each read once.
#[derive(Default)]
struct TenantNames(BTreeMap<String, String>);

impl TenantNames {
    /// Returns the company name of a tenant, or the id if the person may not read the tenant.
    async fn of(&mut self, visitor: &Visitor, id: &str) -> String {
        if let Some(name) = self.0.get(id) {
            return name.clone();
        }
        let name = tenant_name(visitor, id).await.unwrap_or_else(|_| id.to_owned());
        self.0.insert(id.to_owned(), name.clone());
        name
    }
}

/// Returns names and values as the end of a query, each pair after `&`, without empty values.
fn more_query(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().filter(|(_, value)| !value.trim().is_empty());
    pairs.fold(String::new(), |query, (name, value)| format!("{query}&{name}={}", encode(value.trim())))
}

/// Returns whether a person has typed a text. Browsers show several spaces as one.
fn is_same_text(typed: &str, text: &str) -> bool {
    comparable(typed).split_whitespace().eq(comparable(text).split_whitespace())
}

/// Returns a text as a part of a path or as a value of a query.
fn encode(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}
