//! Scopes of access tokens.

use std::fmt;
use std::str::FromStr;

/// Scope of an access token, listed in the claim `scope` or `scp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Access to every tenant. A token without this scope can access only the tenant in its tenant claim.
    Fleet,
    /// Read tenants and their environments.
    TenantsRead,
    /// Create and change tenants and environments.
    TenantsWrite,
    /// Offboard and restore tenants and environments; set legal holds.
    TenantsDelete,
    /// Suspend and resume tenants.
    TenantsSuspend,
    /// Lift legal holds, together with `tenants:delete`.
    LegalHoldsLift,
    /// Read operations, their steps and events, approvals, fleet holds, the state of account creation, and findings.
    OperationsRead,
    /// Retry and cancel operations; request actions that need approval.
    OperationsWrite,
    /// Approve or reject the requests of another person.
    OperationsApprove,
    /// Read releases.
    ReleasesRead,
    /// Register releases, and preview them in environments.
    ReleasesWrite,
    /// Approve the releases of another person.
    ReleasesApprove,
    /// Read rollouts and the change freeze.
    RolloutsRead,
    /// Create and change rollouts; set and end the change freeze.
    RolloutsWrite,
    /// Approve or reject waves of the rollouts of another person.
    RolloutsApprove,
    /// Read account mappings.
    AccountMappingsRead,
    /// Read the feed of events.
    EventsRead,
    /// Read the audit trail.
    AuditRead,
    /// Read the access review.
    AccessRead,
    /// Read webhook endpoints and deliveries.
    WebhooksRead,
    /// Create, change and delete webhook endpoints; replay deliveries.
    WebhooksWrite,
}

impl Scope {
    pub const ALL: [Self; 21] = [
        Self::Fleet,
        Self::TenantsRead,
        Self::TenantsWrite,
        Self::TenantsDelete,
        Self::TenantsSuspend,
        Self::LegalHoldsLift,
        Self::OperationsRead,
        Self::OperationsWrite,
        Self::OperationsApprove,
        Self::ReleasesRead,
        Self::ReleasesWrite,
        Self::ReleasesApprove,
        Self::RolloutsRead,
        Self::RolloutsWrite,
        Self::RolloutsApprove,
        Self::AccountMappingsRead,
        Self::EventsRead,
        Self::AuditRead,
        Self::AccessRead,
        Self::WebhooksRead,
        Self::WebhooksWrite,
    ];

    /// Returns the name of the scope in tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::TenantsRead => "tenants:read",
            Self::TenantsWrite => "tenants:write",
            Self::TenantsDelete => "tenants:delete",
            Self::TenantsSuspend => "tenants:suspend",
            Self::LegalHoldsLift => "legal-holds:lift",
            Self::OperationsRead => "operations:read",
            Self::OperationsWrite => "operations:write",
            Self::OperationsApprove => "operations:approve",
            Self::ReleasesRead => "releases:read",
            Self::ReleasesWrite => "releases:write",
            Self::ReleasesApprove => "releases:approve",
            Self::RolloutsRead => "rollouts:read",
            Self::RolloutsWrite => "rollouts:write",
            Self::RolloutsApprove => "rollouts:approve",
            Self::AccountMappingsRead => "account-mappings:read",
            Self::EventsRead => "events:read",
            Self::AuditRead => "audit:read",
            Self::AccessRead => "access:read",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|scope| scope.as_str()).collect();
            format!("unknown scope `{text}`; must be one of {}", known.join(", "))
        })
    }
}
