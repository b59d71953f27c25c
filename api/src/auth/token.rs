//! Verification of access tokens. No part of a token is ever logged.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use freehold_tenancy::config::Api;
use jsonwebtoken::Validation;
use jsonwebtoken::errors::ErrorKind;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::caller::Caller;
use super::keys::{ACCEPTED_ALGORITHMS, Keys, KeysError};
use super::roles::Roles;
use super::scope_claim::ScopeClaim;
use super::tenant_scope::{TenantScope, TenantScopeError};
use super::token_cache::{CachedToken, LEEWAY_SECONDS, TokenCache};
use crate::scope::Scope;

/// Reason why an access token is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
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

/// Verifier of access tokens, which must have the configured issuer and audience.
#[derive(Debug)]
pub(crate) struct TokenVerifier {
    keys: Keys,
    issuer: String,
    audience: String,
    token_type: String,
    tenant_claim: String,
    roles: Roles,
    cache: TokenCache,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    exp: f64,
    client_id: Option<String>,
    azp: Option<String>,
    scope: Option<ScopeClaim>,
    scp: Option<ScopeClaim>,
    /// All other claims, including the claims for tenant and roles, whose names are configurable.
    #[serde(flatten)]
    additional: Map<String, Value>,
}

impl TokenVerifier {
    /// Creates the verifier from the `[api]` configuration. Fails if the issuer or a valid key source is missing.
    pub(crate) fn new(api: &Api, roles: Roles) -> Result<Self, KeysError> {
        if api.issuer.is_empty() {
            return Err(KeysError::NoIssuer);
        }
        Ok(Self {
            keys: Keys::new(&api.jwks)?,
            issuer: api.issuer.clone(),
            audience: api.audience.clone(),
            token_type: api.token_type.clone(),
            tenant_claim: api.tenant_claim.clone(),
            roles,
            cache: TokenCache::default(),
        })
    }

    /// Reads the signing keys until they are available.
    pub(crate) async fn read_keys(&self) {
        self.keys.read_until_available().await;
    }

    /// Returns the reason why no token can be verified, or `None` if the signing keys are available.
    pub(crate) async fn keys_problem(&self) -> Option<String> {
        self.keys.check_first_read().await.err().map(|error| error.to_string())
    }

    pub(super) async fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        let digest = TokenCache::digest(token);
        if let Some(cached) = self.cache.find(&digest)
            // The key lookup also refreshes an outdated key set.
            && let Ok(Some(key)) = self.keys.find(cached.key_id.as_deref(), cached.algorithm).await
            && cached.is_valid(key.keys_read_at)
        {
            return Ok(cached.caller.clone());
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid("not a JWT"))?;
        if !ACCEPTED_ALGORITHMS.contains(&header.alg) {
            return Err(TokenError::Invalid("the algorithm must be RS256, PS256, ES256 or EdDSA"));
        }
        if !self.has_expected_type(header.typ.as_deref()) {
            return Err(TokenError::Invalid("the header parameter typ is not the token type that this API accepts"));
        }
        let key = self.keys.find(header.kid.as_deref(), header.alg).await.map_err(TokenError::KeysUnavailable)?;
        let key = key.ok_or(TokenError::Invalid("the issuer has no key with this kid"))?;

        let mut validation = Validation::new(header.alg);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation).map_err(invalid_token)?.claims;
        let expires = claims.exp;
        let caller = self.caller(claims)?;
        let cached =
            CachedToken { caller, key_id: header.kid, algorithm: header.alg, keys_read_at: key.keys_read_at, expires };
        Ok(self.cache.insert(digest, cached))
    }

    fn caller(&self, claims: Claims) -> Result<Caller, TokenError> {
        let client = claims.client_id.or(claims.azp).unwrap_or_else(|| claims.sub.clone());
        // PostgreSQL cannot store NUL characters, and the values are shown to people.
        if [&claims.sub, &client].iter().any(|text| text.is_empty() || text.chars().any(char::is_control)) {
            return Err(TokenError::Invalid("the claims are invalid"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "an out-of-range time becomes the latest time")]
        let expires_at = DateTime::from_timestamp(claims.exp as i64, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let mut scopes: BTreeSet<String> =
            [claims.scope, claims.scp].into_iter().flatten().flat_map(ScopeClaim::into_set).collect();
        scopes.extend(self.roles.scopes(&claims.additional));
        let has_fleet = scopes.contains(Scope::Fleet.as_str());
        let tenant_scope = TenantScope::from_claim(claims.additional.get(&self.tenant_claim), has_fleet);
        let tenant_scope = tenant_scope.map_err(TokenError::TenantScope)?;
        Ok(Caller { issuer: claims.iss, subject: claims.sub, client, scopes, tenant_scope, expires_at })
    }

    /// Returns whether the token header `typ` matches the configured type, ignoring case and a prefix `application/`
    /// (RFC 9068).
    fn has_expected_type(&self, given: Option<&str>) -> bool {
        let given = given.unwrap_or_default().to_ascii_lowercase();
        let given = given.strip_prefix("application/").unwrap_or(&given);
        self.token_type.is_empty() || self.token_type.eq_ignore_ascii_case(given)
    }
}

fn invalid_token(error: jsonwebtoken::errors::Error) -> TokenError {
    TokenError::Invalid(match error.kind() {
        ErrorKind::ExpiredSignature => return TokenError::Expired,
        ErrorKind::ImmatureSignature => "not valid yet",
        ErrorKind::InvalidIssuer => "wrong issuer",
        ErrorKind::InvalidAudience => "wrong audience",
        ErrorKind::InvalidSignature => "wrong signature",
        ErrorKind::MissingRequiredClaim(_) => "one of iss, sub, aud, exp is missing",
        _ => "the claims are invalid",
    })
}
