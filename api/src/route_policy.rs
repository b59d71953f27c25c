//! Policy of a route, which the pipeline applies before and after the route handler. `router.rs` declares the policies.

use axum::http::StatusCode;

use crate::routes::schema::view::TenantView;
use crate::scope::Scope;

/// Properties of a protected route that the stages need.
#[derive(Debug, Clone)]
pub(crate) struct ProtectedRoute {
    pub(crate) policy: RoutePolicy,
    /// `operationId` in OpenAPI; it is also the action in the audit trail.
    pub(crate) action: String,
    /// Names of the query parameters that the route declares.
    pub(crate) query_parameters: Vec<String>,
    /// Views of the successful responses for a token of one tenant, by status. Such a token sees no field of a response
    /// without a view.
    pub(crate) tenant_views: Vec<(StatusCode, &'static TenantView)>,
}

/// Access, idempotency and audit rules of one protected route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoutePolicy {
    /// Scope that the token must have.
    pub(crate) scope: Scope,
    /// Further scope that the token must have.
    pub(crate) further_scope: Option<Scope>,
    pub(crate) resource: ResourceScope,
    pub(crate) idempotency: IdempotencyMode,
    pub(crate) audit: AuditMode,
    /// Whether requests with a safe method are audited, too.
    pub(crate) audits_reads: bool,
}

/// Kind of resource that a route accesses. It determines which tokens may call the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResourceScope {
    /// Resources of several tenants, or an action that is reserved for the operator.
    Fleet,
    /// Tenant whose id is in the path.
    Tenant,
    /// Operation whose id is in the path. An operation belongs to one tenant.
    Operation,
    /// List that the route filters by the tenant scope of the caller.
    List,
}

/// Component that stores the idempotency key and the response of a POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdempotencyMode {
    /// The pipeline reserves the idempotency key, if the request has one, and stores the response afterwards.
    ByMiddleware,
    /// The pipeline reserves the idempotency key, if the request has one. The handler stores the response in its
    /// transaction, without the secret that only the first response contains.
    ResponseInTransaction,
    /// The handler requires an idempotency key and stores the key and the response in its transaction.
    InTransaction,
}

/// Component that writes the audit entry of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuditMode {
    /// The pipeline opens an audit entry before the handler runs and completes the entry with the outcome.
    ByMiddleware,
    /// The SQL statement of the handler also writes the audit entry of a successful request, which saves a round trip.
    /// The pipeline writes the entries of refused, failed and replayed requests.
    InStatement,
}

/// Returns the default policy, with which the pipeline handles idempotency keys and audit entries.
pub(crate) const fn policy(scope: Scope, resource: ResourceScope) -> RoutePolicy {
    RoutePolicy {
        scope,
        further_scope: None,
        resource,
        idempotency: IdempotencyMode::ByMiddleware,
        audit: AuditMode::ByMiddleware,
        audits_reads: false,
    }
}

impl RoutePolicy {
    pub(crate) const fn and(self, scope: Scope) -> Self {
        Self { further_scope: Some(scope), ..self }
    }

    pub(crate) const fn idempotency(self, idempotency: IdempotencyMode) -> Self {
        Self { idempotency, ..self }
    }

    pub(crate) const fn audit(self, audit: AuditMode) -> Self {
        Self { audit, ..self }
    }

    /// Audits GET requests, for a download that leaves the installation.
    pub(crate) const fn audit_reads(self) -> Self {
        Self { audits_reads: true, ..self }
    }
}
