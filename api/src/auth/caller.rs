//! The caller of a request.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use freehold_tenancy::operation::Requester;

use super::tenant_scope::TenantScope;

/// Caller of a request, as its token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// `iss`
    pub(crate) issuer: String,
    /// `sub`
    pub(crate) subject: String,
    /// `client_id` or `azp`, or else the subject.
    pub(crate) client: String,
    /// `scope` or `scp`, and the scopes of its roles. Scopes that Freehold does not know are kept.
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) tenant_scope: TenantScope,
    /// `exp`
    pub(crate) expires_at: DateTime<Utc>,
}

impl Caller {
    /// Returns the key of the caller's rate limit and of its idempotency keys: the client, or client and tenant,
    /// because the users of one tenant must not affect those of another.
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
