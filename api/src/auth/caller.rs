//! Authenticated caller of an API request.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use freehold_tenancy::Config;
use freehold_tenancy::db::account_limit::AccountLimit;
use freehold_tenancy::operation::{Initiator, Requester};
use serde_json::json;

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

/// Extension of a request that the console makes for a person who is signed in. The person's requests to the console
/// are limited instead.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn(pub(crate) Caller);

impl Caller {
    /// Returns the key that identifies the client for rate limits and idempotency keys. The key of a tenant token also
    /// contains the tenant, because users of one tenant must not affect users of another.
    ///
    /// No two clients have the same key: a key that starts with `[` is a JSON list, of the client or of the client and
    /// the tenant; any other key is the client.
    pub(crate) fn client_key(&self) -> String {
        match self.tenant_scope {
            TenantScope::Fleet if self.client.starts_with('[') => json!([self.client]).to_string(),
            TenantScope::Fleet => self.client.clone(),
            TenantScope::Tenant(tenant) => json!([self.client, tenant.to_string()]).to_string(),
        }
    }

    /// Returns the initiator of an operation that the caller starts.
    pub(crate) fn initiator(&self) -> Initiator {
        match self.tenant_scope {
            TenantScope::Fleet => Initiator::Operator,
            TenantScope::Tenant(_) => Initiator::Tenant,
        }
    }

    /// Returns the daily limit of accounts that applies to the caller; `None` if it is unlimited.
    pub(crate) fn account_limit(&self, config: &Config) -> Option<AccountLimit<'_>> {
        let tenant = match self.tenant_scope {
            TenantScope::Fleet => None,
            TenantScope::Tenant(tenant) => Some(tenant),
        };
        let maximum = config.api.daily_account_limit()?;
        Some(AccountLimit { issuer: &self.issuer, client: &self.client, tenant, maximum })
    }

    pub(crate) fn requester(&self) -> Requester {
        Requester { issuer: self.issuer.clone(), subject: self.subject.clone() }
    }
}

#[cfg(test)]
mod tests {
    use freehold_tenancy::TenantId;

    use super::*;

    fn key(client: &str, tenant: Option<TenantId>) -> String {
        let tenant_scope = tenant.map_or(TenantScope::Fleet, TenantScope::Tenant);
        let client = client.to_owned();
        let (issuer, subject, scopes) = ("https://issuer.example.com".to_owned(), "ann".to_owned(), BTreeSet::new());
        Caller { issuer, subject, client, scopes, tenant_scope, expires_at: DateTime::UNIX_EPOCH }.client_key()
    }

    #[test]
    fn two_clients_never_have_the_same_key() {
        let (one, other) = (TenantId::new(DateTime::UNIX_EPOCH), TenantId::new(DateTime::UNIX_EPOCH));
        let mut names = vec!["a".to_owned(), String::new()];
        for round in 0..3 {
            let last = names.clone();
            names.extend(last.iter().flat_map(|name| {
                [format!("{name} {one}"), format!("{name}\",\"{one}"), key(name, Some(one)), key(name, None)]
            }));
            names.sort_unstable();
            names.dedup();
            assert!(names.len() > 2 << round);
        }
        let scopes = [None, Some(one), Some(other)];
        let keys: BTreeSet<_> = names.iter().flat_map(|name| scopes.map(|scope| key(name, scope))).collect();
        assert_eq!(keys.len(), 3 * names.len());
        assert_eq!(key("billing", None), "billing", "the stored keys of earlier versions stay valid");
    }
}
