//! Checking a token. The token itself is never logged, nor is any part of it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use freehold_tenancy::config::Api;
use jsonwebtoken::Validation;
use jsonwebtoken::errors::ErrorKind;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::caller::Caller;
use super::keys::{ALGORITHMS, Keys, KeysError};
use super::roles::Roles;
use super::scope_claim::ScopeClaim;
use super::tenant_scope::{TenantScope, TenantScopeError};
use super::token_cache::{CachedToken, LEEWAY, TokenCache};
use crate::scope::Scope;

/// Why a token is not accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    #[error("Send `Authorization: Bearer …` with a token, once.")]
    Missing,
    #[error("The token has expired; get a new one.")]
    Expired,
    #[error("The token is not accepted: {0}.")]
    Invalid(&'static str),
    #[error("the issuer's keys cannot be had: {0}")]
    NoKeys(KeysError),
    #[error("the token does not say whom it may see")]
    TenantScope(TenantScopeError),
}

/// Which tokens are believed: those of one issuer, for one audience, signed by one of its keys.
#[derive(Debug)]
pub(crate) struct Tokens {
    keys: Keys,
    issuer: String,
    audience: String,
    token_type: String,
    tenant_claim: String,
    roles: Roles,
    verified: TokenCache,
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
    /// All others; which of them are of interest is configured.
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Tokens {
    /// The tokens that `[api]` describes.
    ///
    /// Fails where it names no issuer or no usable place of its keys.
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
            verified: TokenCache::default(),
        })
    }

    pub(super) async fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        let digest = TokenCache::digest(token);
        if let Some(verdict) = self.verified.find(&digest)
            // Asking for the key is what notices that the issuer has another.
            && let Ok(Some(key)) = self.keys.find(verdict.key_id.as_deref(), verdict.algorithm).await
            && verdict.is_valid(key.since)
        {
            return Ok(verdict.caller.clone());
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid("it is not a JWT"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(TokenError::Invalid("its algorithm is not one of RS256, PS256, ES256, EdDSA"));
        }
        if !self.is_of_our_type(header.typ.as_deref()) {
            return Err(TokenError::Invalid("its header has another typ than that of an access token"));
        }
        let key = self.keys.find(header.kid.as_deref(), header.alg).await.map_err(TokenError::NoKeys)?;
        let key = key.ok_or(TokenError::Invalid("the issuer has no such key"))?;

        let mut validation = Validation::new(header.alg);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation).map_err(reason)?.claims;
        let expires = claims.exp;
        let caller = self.caller(claims)?;
        let verdict = CachedToken { caller, key_id: header.kid, algorithm: header.alg, since: key.since, expires };
        Ok(self.verified.insert(digest, verdict))
    }

    fn caller(&self, claims: Claims) -> Result<Caller, TokenError> {
        let client = claims.client_id.or(claims.azp).unwrap_or_else(|| claims.sub.clone());
        // They are kept in the database, which takes no NUL, and shown to people.
        if [&claims.sub, &client].iter().any(|text| text.is_empty() || text.chars().any(char::is_control)) {
            return Err(TokenError::Invalid("its claims do not fit"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "a time beyond what fits is cut to the latest that does")]
        let expires_at = DateTime::from_timestamp(claims.exp as i64, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let mut scopes: BTreeSet<String> =
            [claims.scope, claims.scp].into_iter().flatten().flat_map(ScopeClaim::into_set).collect();
        scopes.extend(self.roles.scopes(&claims.others));
        let has_fleet = scopes.contains(Scope::Fleet.as_str());
        let tenant_scope = TenantScope::read(claims.others.get(&self.tenant_claim), has_fleet);
        let tenant_scope = tenant_scope.map_err(TokenError::TenantScope)?;
        Ok(Caller { issuer: claims.iss, subject: claims.sub, client, scopes, tenant_scope, expires_at })
    }

    /// RFC 9068: `at+jwt`, in any case, with or without `application/`.
    fn is_of_our_type(&self, given: Option<&str>) -> bool {
        let given = given.unwrap_or_default().to_ascii_lowercase();
        let given = given.strip_prefix("application/").unwrap_or(&given);
        self.token_type.is_empty() || self.token_type.eq_ignore_ascii_case(given)
    }
}

fn reason(error: jsonwebtoken::errors::Error) -> TokenError {
    TokenError::Invalid(match error.kind() {
        ErrorKind::ExpiredSignature => return TokenError::Expired,
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidIssuer => "it comes from another issuer",
        ErrorKind::InvalidAudience => "it is meant for another audience",
        ErrorKind::InvalidSignature => "its signature does not fit",
        ErrorKind::MissingRequiredClaim(_) => "it lacks one of iss, sub, aud, exp",
        _ => "its claims do not fit",
    })
}
