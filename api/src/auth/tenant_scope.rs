//! Whom a caller may see: the whole fleet, or the one tenant that the token names.

use axum::extract::{FromRequestParts, Path};
use axum::http::header;
use axum::http::request::Parts;
use freehold_tenancy::db::{self, PgPool};
use freehold_tenancy::{OperationId, TenantId};
use serde_json::Value;

use crate::problem::{ApiError, Code};
use crate::route_policy::ResourceScope;
use crate::scope::Scope;

/// Whom a caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TenantScope {
    /// Every tenant.
    Fleet,
    /// One tenant; for such a caller the others do not exist.
    Tenant(TenantId),
}

/// Why a caller sees nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TenantScopeError {
    /// The token has neither the scope nor the claim.
    Missing,
    /// The claim does not name a tenant.
    Malformed,
}

impl TenantScope {
    /// What a token says of it. A token that names a tenant is for that tenant, whatever its scopes.
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

    /// The tenant that a list is narrowed to, where `asked` is what the caller wants to see of it.
    pub(crate) fn filter(self, asked: Option<TenantId>) -> Result<Option<TenantId>, ApiError> {
        match (self, asked) {
            (Self::Fleet, asked) => Ok(asked),
            (Self::Tenant(own), Some(other)) if own != other => Err(ApiError::no_tenant()),
            (Self::Tenant(own), _) => Ok(Some(own)),
        }
    }

    /// Lets a caller pass to what a route is about, or answers as if it were not there.
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
                "This is for those who see every tenant: it needs the scope fleet, and a token that is not for one tenant.",
            )
            .with_header(header::WWW_AUTHENTICATE, &challenge(Scope::Fleet))),
            ResourceScope::Tenant => match id::<TenantId>(parts).await {
                Some(asked) if asked == own => Ok(()),
                _ => Err(ApiError::no_tenant()),
            },
            ResourceScope::Operation => {
                let id = id::<OperationId>(parts).await.ok_or_else(ApiError::no_operation)?;
                let whose = db::operations::tenant_of(pool, id).await?;
                if whose == Some(own) { Ok(()) } else { Err(ApiError::no_operation()) }
            }
        }
    }
}

impl From<TenantScopeError> for ApiError {
    fn from(blind: TenantScopeError) -> Self {
        match blind {
            TenantScopeError::Missing => Self::new(
                Code::InsufficientScope,
                "The token does not say whom it may see: it needs the scope fleet, or a claim that names one tenant.",
            )
            .with_header(header::WWW_AUTHENTICATE, &challenge(Scope::Fleet)),
            TenantScopeError::Malformed => Self::new(
                Code::TenantClaimInvalid,
                "The claim of the token that names a tenant is not the id of one, such as ten_01k2m8v3x9e7rt4s5q6w7y8z9b.",
            ),
        }
    }
}

/// What a token lacks (RFC 6750).
pub(super) fn challenge(scope: Scope) -> String {
    format!(r#"Bearer error="insufficient_scope", scope="{scope}""#)
}

/// The first id in the path.
async fn id<T: std::str::FromStr>(parts: &mut Parts) -> Option<T> {
    let Path(values) = Path::<Vec<(String, String)>>::from_request_parts(parts, &()).await.ok()?;
    values.into_iter().next()?.1.parse().ok()
}
