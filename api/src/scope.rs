//! What a token may allow.

use std::fmt;
use std::str::FromStr;

/// A scope, as tokens name it in `scope` or `scp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// See every tenant. A token without it is for the one tenant that it names.
    Fleet,
    /// See tenants and their environments.
    TenantsRead,
    /// Sign tenants up.
    TenantsWrite,
    /// Let tenants and their environments go, and bring them back; put legal holds on them.
    TenantsDelete,
    /// See operations, their steps and their events, and what was found amiss in AWS.
    OperationsRead,
    /// Have an operation tried again or canceled, and ask for what another person has to approve.
    OperationsWrite,
    /// Approve or reject what another person has asked for.
    OperationsApprove,
    /// See which AWS account belongs to which tenant.
    AccountMappingsRead,
    /// Follow the feed of what happens to tenants.
    EventsRead,
    /// Read the audit trail.
    AuditRead,
    /// See webhook endpoints, and what was sent to them.
    WebhooksRead,
    /// Make, change and delete webhook endpoints, and have events sent again.
    WebhooksWrite,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 12] = [
        Self::Fleet,
        Self::TenantsRead,
        Self::TenantsWrite,
        Self::TenantsDelete,
        Self::OperationsRead,
        Self::OperationsWrite,
        Self::OperationsApprove,
        Self::AccountMappingsRead,
        Self::EventsRead,
        Self::AuditRead,
        Self::WebhooksRead,
        Self::WebhooksWrite,
    ];

    /// The scope as tokens name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::TenantsRead => "tenants:read",
            Self::TenantsWrite => "tenants:write",
            Self::TenantsDelete => "tenants:delete",
            Self::OperationsRead => "operations:read",
            Self::OperationsWrite => "operations:write",
            Self::OperationsApprove => "operations:approve",
            Self::AccountMappingsRead => "account-mappings:read",
            Self::EventsRead => "events:read",
            Self::AuditRead => "audit:read",
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
            format!("there is no scope `{text}`; this is one of {}", known.join(", "))
        })
    }
}
