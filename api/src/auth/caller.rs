//! Authenticated caller of an API request.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use freehold_tenancy::operation::Requester;

use super::tenant_scope::TenantScope;

/// Caller of an API request, read from the claims of the access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Issuer of the token (claim `iss`).
    pub(crate) issuer: String,
    /// Person or program, from the claim `sub` or the configured `subject_claim`. Unique within the issuer.
    pub(crate) subject: String,
    /// Client id from the claim `client_id`, `azp` or the configured `client_claim`; the subject if the claim is
    /// missing.
    pub(crate) client: String,
    /// Scopes of the token and of the caller's roles, with the names of Freehold. Unknown scopes may be included.
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) tenant_scope: TenantScope,
    /// Expiry time of the token (claim `exp`).
    pub(crate) expires_at: DateTime<Utc>,
}

impl Caller {
    /// Returns the key that identifies the client for rate limits and idempotency keys. The key of a tenant token also
    /// contains the tenant, because users of one tenant must not affect users of another.
    pub(crate) fn client_key(&self) -> String {
        match self.tenant_scope {
            TenantScope::Fleet => self.client.clone(),
            TenantScope::Tenant(tenant) => format!("{} {tenant}", self.client),
        }
    }

    pub(crate) fn requester(&self) -> Requester {
        Requester { issuer: self.issuer.clone(), subject: self.subject.clone() }
    }
}
