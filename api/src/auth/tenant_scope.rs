//! Tenant scope, which determines the tenants that a token can access.

use axum::extract::{FromRequestParts, Path};
use axum::http::header;
use axum::http::request::Parts;
use freehold_tenancy::db::{self, PgPool};
use freehold_tenancy::{OperationId, TenantId};
use serde_json::Value;

use crate::problem::{ApiError, Code};
use crate::route_policy::ResourceScope;
use crate::scope::Scope;

/// Tenants that a caller may access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TenantScope {
    /// Access to all tenants.
    Fleet,
    /// Access to one tenant. Requests for other tenants get the same 404 response as for unknown tenants.
    Tenant(TenantId),
}

/// Reason why the tenant scope of a token cannot be determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TenantScopeError {
    /// The token has neither the scope `fleet` nor a tenant claim.
    Missing,
    /// The tenant claim is not a valid tenant id.
    Malformed,
}

impl TenantScope {
    /// Determines the tenant scope of a token. A tenant claim limits the token to one tenant, even with the scope
    /// `fleet`.
    pub(super) fn from_claim(tenant: Option<&Value>, has_fleet: bool) -> Result<Self, TenantScopeError> {
        match tenant {
            None if has_fleet => Ok(Self::Fleet),
            None => Err(TenantScopeError::Missing),
            Some(tenant) => tenant
                .as_str()
                .and_then(|tenant| tenant.parse().ok())
                .map(Self::Tenant)
                .ok_or(TenantScopeError::Malformed),
        }
    }

    /// Returns the tenant by which a list must be filtered; `requested` is the tenant filter in the query.
    ///
    /// Fails if a caller with access to one tenant requests another tenant.
    pub(crate) fn filter(self, requested: Option<TenantId>) -> Result<Option<TenantId>, ApiError> {
        match (self, requested) {
            (Self::Fleet, requested) => Ok(requested),
            (Self::Tenant(own), Some(other)) if own != other => Err(ApiError::tenant_not_found()),
            (Self::Tenant(own), _) => Ok(Some(own)),
        }
    }

    /// Checks that the caller can access the resource of a route. Resources of other tenants are reported as not found.
    pub(crate) async fn authorize(
        self,
        resource: ResourceScope,
        parts: &mut Parts,
        pool: &PgPool,
    ) -> Result<(), ApiError> {
        let Self::Tenant(own) = self else { return Ok(()) };
        match resource {
            ResourceScope::List => Ok(()),
            ResourceScope::Fleet => Err(ApiError::new(
                Code::InsufficientScope,
                "This route needs the scope `fleet` and a token without a tenant claim.",
            )
            .with_header(header::WWW_AUTHENTICATE, &challenge(Scope::Fleet))),
            ResourceScope::Tenant => match parse_path_id::<TenantId>(parts).await {
                Some(requested) if requested == own => Ok(()),
                _ => Err(ApiError::tenant_not_found()),
            },
            ResourceScope::Operation => {
                let id = parse_path_id::<OperationId>(parts).await.ok_or_else(ApiError::operation_not_found)?;
                let tenant = db::operations::tenant_of(pool, id).await?;
                if tenant == Some(own) { Ok(()) } else { Err(ApiError::operation_not_found()) }
            }
        }
    }
}

impl From<TenantScopeError> for ApiError {
    fn from(error: TenantScopeError) -> Self {
        match error {
            TenantScopeError::Missing => {
                Self::new(Code::InsufficientScope, "The token has neither the scope `fleet` nor a tenant claim.")
                    .with_header(header::WWW_AUTHENTICATE, &challenge(Scope::Fleet))
            }
            TenantScopeError::Malformed => Self::new(
                Code::TenantClaimInvalid,
                "The tenant claim of the token must be a tenant id such as ten_01k2m8v3x9e7rt4s5q6w7y8z9b.",
            ),
        }
    }
}

/// Returns the `WWW-Authenticate` challenge for a missing scope (RFC 6750).
pub(super) fn challenge(scope: Scope) -> String {
    format!(r#"Bearer error="insufficient_scope", scope="{scope}""#)
}

async fn parse_path_id<T: std::str::FromStr>(parts: &mut Parts) -> Option<T> {
    let Path(values) = Path::<Vec<(String, String)>>::from_request_parts(parts, &()).await.ok()?;
    values.into_iter().next()?.1.parse().ok()
}
