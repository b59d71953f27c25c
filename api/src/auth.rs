//! Who asks, and whether they may: bearer tokens (RFC 6750) that are JWTs (RFC 9068), checked against the issuer's keys.

mod keys;
mod pace;
mod roles;
mod sight;
mod token;
mod verified;

use std::collections::BTreeSet;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use freehold_tenancy::operation::Requester;

pub use keys::KeysError;
pub(crate) use pace::Pace;
pub(crate) use roles::Roles;
pub use roles::UnknownScope;
pub(crate) use sight::{Reach, Sight};
pub(crate) use token::Tokens;

use crate::app::App;
use crate::audit;
use crate::extract::Asked;
use crate::problem::{Code, Refusal};
use crate::scope::Scope;
use pace::Share;
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
    pub(crate) sight: Sight,
    /// `exp`
    pub(crate) expires_at: DateTime<Utc>,
}

impl Caller {
    /// Who has a share, and keys, of its own: a client, or one tenant's users of it, who have nothing to do with another's.
    pub(crate) fn party(&self) -> String {
        match self.sight {
            Sight::Fleet => self.client.clone(),
            Sight::Tenant(tenant) => format!("{} {tenant}", self.client),
        }
    }

    pub(crate) fn requester(&self) -> Requester {
        Requester { issuer: self.issuer.clone(), subject: self.subject.clone() }
    }
}

/// What a route needs of a caller.
#[derive(Debug, Clone)]
pub(crate) struct Needs {
    /// The scope that a token must have.
    pub(crate) scope: Scope,
    /// What the route is about.
    pub(crate) reach: Reach,
    /// What the route does, as OpenAPI and the audit trail call it.
    pub(crate) action: String,
    /// Whether anything may stand behind the question mark.
    pub(crate) query: bool,
}

/// Lets a request pass whose token has the scope and may see what the route is about; the route finds the [`Caller`] among
/// the request's extensions. What may change something goes on record.
pub(crate) async fn admit(needs: &Needs, app: &App, request: Request, next: Next) -> Response {
    let mut response = match known(app, request.headers()).await {
        Ok((caller, share)) => {
            let mut response = passed(needs, app, caller, request, next).await;
            if let Some(share) = share {
                share.tell(response.headers_mut());
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
async fn known(app: &App, headers: &HeaderMap) -> Result<(Caller, Option<Share>), Refusal> {
    let caller = authenticate(&app.tokens, headers).await.map_err(refused)?;
    let share = app.pace.count(&caller)?;
    Ok((caller, share))
}

async fn passed(needs: &Needs, app: &App, caller: Caller, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let may = may(needs, app, &caller, &mut parts).await;
    let mut request = Request::from_parts(parts, body);
    match may {
        Ok(()) => {
            request.extensions_mut().insert(caller.clone());
            audit::recorded(app, &needs.action, &caller, request, next).await
        }
        Err(refusal) => audit::refused(app, &needs.action, &caller, request, refusal.into_response()).await,
    }
}

async fn may(needs: &Needs, app: &App, caller: &Caller, parts: &mut Parts) -> Result<(), Refusal> {
    if !caller.scopes.contains(needs.scope.as_str()) {
        return Err(lacks(needs.scope));
    }
    caller.sight.reaches(needs.reach, parts, &app.pool).await?;
    if !needs.query && !parts.method.is_safe() {
        // Whoever asks for it with `dry_run`, say, where there is no such thing, does not mean it.
        let Asked(query) = Asked::from_request_parts(parts, &()).await?;
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

fn lacks(scope: Scope) -> Refusal {
    Refusal::new(Code::InsufficientScope, format!("The token lacks the scope {scope}."))
        .with_header(header::WWW_AUTHENTICATE, &sight::challenge(scope))
}

fn refused(error: TokenError) -> Refusal {
    let (code, challenge) = match &error {
        TokenError::Missing => (Code::TokenMissing, "Bearer".to_owned()),
        TokenError::Expired => {
            (Code::TokenExpired, r#"Bearer error="invalid_token", error_description="expired""#.to_owned())
        }
        TokenError::Invalid(why) => {
            (Code::TokenInvalid, format!(r#"Bearer error="invalid_token", error_description="{why}""#))
        }
        TokenError::Blind(blind) => return Refusal::from(*blind),
        TokenError::NoKeys(why) => {
            tracing::error!(error = %why, "tokens cannot be checked");
            return Refusal::new(Code::TokenKeysUnavailable, "Tokens cannot be checked at the moment.").retry_after(30);
        }
    };
    Refusal::new(code, error.to_string()).with_header(header::WWW_AUTHENTICATE, &challenge)
}
