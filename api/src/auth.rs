//! Who asks, and whether they may: bearer tokens (RFC 6750) that are JWTs (RFC 9068), checked against the issuer's keys.

mod keys;
mod rate_limit;
mod roles;
mod tenant_scope;
mod token;
mod token_cache;

use std::collections::BTreeSet;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use freehold_tenancy::operation::Requester;

pub use keys::KeysError;
pub(crate) use rate_limit::RateLimiter;
pub(crate) use roles::Roles;
pub use roles::UnknownScope;
pub(crate) use tenant_scope::{ResourceScope, TenantScope};
pub(crate) use token::Tokens;

use crate::app::App;
use crate::audit;
use crate::extract::QueryFields;
use crate::problem::{ApiError, Code};
use crate::scope::Scope;
use rate_limit::RateLimitStatus;
use token::TokenError;

/// Who asks, as the token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// `iss`
    pub(crate) issuer: String,
    /// `sub`
    pub(crate) subject: String,
    /// `client_id` or `azp`, or else the subject.
    pub(crate) client: String,
    /// `scope` or `scp`, and what its roles stand for; scopes that Freehold does not know are kept.
    pub(crate) scopes: BTreeSet<String>,
    /// Whom it may see.
    pub(crate) sight: TenantScope,
    /// `exp`
    pub(crate) expires_at: DateTime<Utc>,
}

impl Caller {
    /// Who has a share, and keys, of its own: a client, or one tenant's users of it, who have nothing to do with another's.
    pub(crate) fn client_key(&self) -> String {
        match self.sight {
            TenantScope::Fleet => self.client.clone(),
            TenantScope::Tenant(tenant) => format!("{} {tenant}", self.client),
        }
    }

    pub(crate) fn requester(&self) -> Requester {
        Requester { issuer: self.issuer.clone(), subject: self.subject.clone() }
    }
}

/// What a route needs of a caller.
#[derive(Debug, Clone)]
pub(crate) struct RoutePolicy {
    /// The scope that a token must have.
    pub(crate) scope: Scope,
    /// What the route is about.
    pub(crate) reach: ResourceScope,
    /// What the route does, as OpenAPI and the audit trail call it.
    pub(crate) action: String,
    /// Whether anything may stand behind the question mark.
    pub(crate) query: bool,
}

/// Lets a request pass whose token has the scope and may see what the route is about; the route finds the [`Caller`] among
/// the request's extensions. What may change something goes on record.
pub(crate) async fn authorize_request(needs: &RoutePolicy, app: &App, request: Request, next: Next) -> Response {
    let mut response = match authenticate_and_rate_limit(app, request.headers()).await {
        Ok((caller, share)) => {
            let mut response = authorize_and_run(needs, app, caller, request, next).await;
            if let Some(share) = share {
                share.write_headers(response.headers_mut());
            }
            response
        }
        Err(refusal) => refusal.into_response(),
    };
    // What is behind a token is nobody else's.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Who asks, and what is left of what that client may ask for.
async fn authenticate_and_rate_limit(
    app: &App,
    headers: &HeaderMap,
) -> Result<(Caller, Option<RateLimitStatus>), ApiError> {
    let caller = authenticate(&app.tokens, headers).await.map_err(refused)?;
    let share = app.pace.check(&caller)?;
    Ok((caller, share))
}

async fn authorize_and_run(needs: &RoutePolicy, app: &App, caller: Caller, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let may = authorize(needs, app, &caller, &mut parts).await;
    let mut request = Request::from_parts(parts, body);
    match may {
        Ok(()) => {
            request.extensions_mut().insert(caller.clone());
            audit::run_audited(app, &needs.action, &caller, request, next).await
        }
        Err(refusal) => audit::record_refusal(app, &needs.action, &caller, request, refusal.into_response()).await,
    }
}

async fn authorize(needs: &RoutePolicy, app: &App, caller: &Caller, parts: &mut Parts) -> Result<(), ApiError> {
    if !caller.scopes.contains(needs.scope.as_str()) {
        return Err(insufficient_scope(needs.scope));
    }
    caller.sight.authorize(needs.reach, parts, &app.pool).await?;
    if !needs.query && !parts.method.is_safe() {
        // Whoever asks for it with `dry_run`, say, where there is no such thing, does not mean it.
        let QueryFields(query) = QueryFields::from_request_parts(parts, &()).await?;
        query.finish(Some(()))?;
    }
    Ok(())
}

async fn authenticate(tokens: &Tokens, headers: &HeaderMap) -> Result<Caller, TokenError> {
    tokens.verify(bearer(headers).ok_or(TokenError::Missing)?).await
}

/// The token, if there is one and not several.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

fn insufficient_scope(scope: Scope) -> ApiError {
    ApiError::new(Code::InsufficientScope, format!("The token lacks the scope {scope}."))
        .with_header(header::WWW_AUTHENTICATE, &tenant_scope::challenge(scope))
}

fn refused(error: TokenError) -> ApiError {
    let (code, challenge) = match &error {
        TokenError::Missing => (Code::TokenMissing, "Bearer".to_owned()),
        TokenError::Expired => {
            (Code::TokenExpired, r#"Bearer error="invalid_token", error_description="expired""#.to_owned())
        }
        TokenError::Invalid(why) => {
            (Code::TokenInvalid, format!(r#"Bearer error="invalid_token", error_description="{why}""#))
        }
        TokenError::TenantScopeError(blind) => return ApiError::from(*blind),
        TokenError::NoKeys(why) => {
            tracing::error!(error = %why, "tokens cannot be checked");
            return ApiError::new(Code::SigningKeysUnavailable, "Tokens cannot be checked at the moment.")
                .retry_after(30);
        }
    };
    ApiError::new(code, error.to_string()).with_header(header::WWW_AUTHENTICATE, &challenge)
}
