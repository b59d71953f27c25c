//! Tenant scope: the tenants that a token may access.

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
    /// All tenants.
    Fleet,
    /// One tenant. To such a caller, other tenants appear not to exist.
    Tenant(TenantId),
}

/// Reason why a token has no tenant scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TenantScopeError {
    /// The token has neither the scope `fleet` nor the claim.
    Missing,
    /// The claim is not the id of a tenant.
    Malformed,
}

impl TenantScope {
    /// Reads the tenant scope of a token. The claim limits it to one tenant, even with the scope `fleet`.
    pub(super) fn read(tenant: Option<&Value>, has_fleet: bool) -> Result<Self, TenantScopeError> {
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

    /// Returns the tenant filter of a list, from the tenant that the caller `requested`.
    ///
    /// Fails if that is another tenant than the caller's own.
    pub(crate) fn filter(self, requested: Option<TenantId>) -> Result<Option<TenantId>, ApiError> {
        match (self, requested) {
            (Self::Fleet, requested) => Ok(requested),
            (Self::Tenant(own), Some(other)) if own != other => Err(ApiError::no_tenant()),
            (Self::Tenant(own), _) => Ok(Some(own)),
        }
    }

    /// Checks the access to the resource of a route. A resource of another tenant appears not to exist.
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
            ResourceScope::Tenant => match id::<TenantId>(parts).await {
                Some(requested) if requested == own => Ok(()),
                _ => Err(ApiError::no_tenant()),
            },
            ResourceScope::Operation => {
                let id = id::<OperationId>(parts).await.ok_or_else(ApiError::no_operation)?;
                let tenant = db::operations::tenant_of(pool, id).await?;
                if tenant == Some(own) { Ok(()) } else { Err(ApiError::no_operation()) }
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

async fn id<T: std::str::FromStr>(parts: &mut Parts) -> Option<T> {
    let Path(values) = Path::<Vec<(String, String)>>::from_request_parts(parts, &()).await.ok()?;
    values.into_iter().next()?.1.parse().ok()
}
