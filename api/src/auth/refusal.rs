//! Reasons why an access token is refused.

use jsonwebtoken::errors::ErrorKind;

use super::keys::KeysError;
use super::tenant_scope::TenantScopeError;

/// Reason why an access token is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("Send one header `Authorization: Bearer …` with a token.")]
    Missing,
    #[error("The token has expired; get a new one.")]
    Expired,
    #[error("The token is invalid: {0}.")]
    Invalid(&'static str),
    #[error("the issuer's keys are unavailable: {0}")]
    KeysUnavailable(KeysError),
    #[error("the token has no valid tenant scope")]
    TenantScope(TenantScopeError),
}

pub(super) fn invalid_token(error: jsonwebtoken::errors::Error) -> TokenError {
    TokenError::Invalid(match error.kind() {
        ErrorKind::ExpiredSignature => return TokenError::Expired,
        ErrorKind::ImmatureSignature => "not valid yet",
        ErrorKind::InvalidIssuer => "wrong issuer",
        ErrorKind::InvalidAudience => "wrong audience",
        ErrorKind::InvalidSignature => "wrong signature",
        ErrorKind::MissingRequiredClaim(_) => "one of iss, aud, exp is missing",
        _ => "the claims are invalid",
    })
}
