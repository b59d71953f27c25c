//! Rules of a route that the pipeline applies before and after its handler; `router.rs` declares them.

use crate::scope::Scope;

/// Rules of one protected route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoutePolicy {
    /// Scope that the token must have.
    pub(crate) scope: Scope,
    pub(crate) resource: ResourceScope,
    pub(crate) idempotency: IdempotencyMode,
    pub(crate) audit: AuditMode,
}

/// Resource that a route is about; it decides which tokens may call the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResourceScope {
    /// More than one tenant, or a decision that only the operator may take.
    Fleet,
    /// The tenant whose id is in the path.
    Tenant,
    /// The operation whose id is in the path. It belongs to one tenant.
    Operation,
    /// A list that the route filters by the tenant scope of the caller.
    List,
}

/// Place where the idempotency key of a POST and the response to it are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdempotencyMode {
    /// The pipeline reserves the key, if there is one, and stores the response afterwards.
    ByMiddleware,
    /// The pipeline reserves the key, if there is one. The handler stores the response in its transaction, without the
    /// secret that only the first response contains.
    ResponseInTransaction,
    /// The handler requires a key and stores both in its transaction.
    InTransaction,
}

/// Place where the audit entry of a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuditMode {
    /// The pipeline opens an entry before the handler runs and completes it with the outcome.
    ByMiddleware,
    /// The statement of the handler writes the entry of a new success, for fewer round trips. The pipeline records
    /// refusals, failures and replayed responses.
    InStatement,
}

/// Returns the policy of most routes: the pipeline takes care of idempotency keys and audit entries.
pub(crate) const fn policy(scope: Scope, resource: ResourceScope) -> RoutePolicy {
    RoutePolicy { scope, resource, idempotency: IdempotencyMode::ByMiddleware, audit: AuditMode::ByMiddleware }
}

impl RoutePolicy {
    pub(crate) const fn idempotency(self, idempotency: IdempotencyMode) -> Self {
        Self { idempotency, ..self }
    }

    pub(crate) const fn audit(self, audit: AuditMode) -> Self {
        Self { audit, ..self }
    }
}
