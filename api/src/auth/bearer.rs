//! Parsing of the `Authorization` header, and the `WWW-Authenticate` challenges of refused requests (RFC 6750).

use axum::http::{HeaderMap, header};

use super::caller::Caller;
use super::refusal::TokenError;
use super::tenant_scope::challenge;
use super::token::TokenVerifier;
use crate::problem::{ApiError, Code};
use crate::scope::Scope;

/// Verifies the bearer token of a request and returns the caller.
pub(crate) async fn authenticate(token_verifier: &TokenVerifier, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let token = bearer(headers).ok_or(TokenError::Missing)?;
    Ok(token_verifier.verify(token).await?)
}

/// Returns the bearer token if there is exactly one `Authorization` header and its scheme is `Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

pub(crate) fn insufficient_scope(scope: Scope) -> ApiError {
    ApiError::new(Code::InsufficientScope, format!("The token lacks the scope {scope}."))
        .with_header(header::WWW_AUTHENTICATE, &challenge(scope))
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        let (code, challenge) = match &error {
            TokenError::Missing => (Code::TokenMissing, "Bearer".to_owned()),
            TokenError::Expired => {
                (Code::TokenExpired, r#"Bearer error="invalid_token", error_description="expired""#.to_owned())
            }
            TokenError::Invalid(reason) => {
                (Code::TokenInvalid, format!(r#"Bearer error="invalid_token", error_description="{reason}""#))
            }
            TokenError::TenantScope(error) => return Self::from(*error),
            TokenError::KeysUnavailable(cause) => {
                tracing::error!(error = %cause, "cannot verify tokens: the signing keys are unavailable");
                return Self::new(
                    Code::SigningKeysUnavailable,
                    "Tokens cannot be verified at the moment; retry later.",
                )
                .retry_after(30);
            }
        };
        Self::new(code, error.to_string()).with_header(header::WWW_AUTHENTICATE, &challenge)
    }
}
