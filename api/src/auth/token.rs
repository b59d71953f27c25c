//! Verification of access tokens. No part of a token is ever logged.

use freehold_tenancy::config::Api;
use futures::future::join_all;
use jsonwebtoken::Header;
use serde::Deserialize;

use super::caller::Caller;
use super::issuer::Issuer;
use super::keys::{ACCEPTED_ALGORITHMS, KeysError, VerificationKey};
use super::refusal::TokenError;
use super::roles::{Roles, UnknownScope, scope_table};
use super::token_cache::{CachedToken, TokenCache};
use super::token_format;

/// Error in the configuration of the token issuers.
#[derive(Debug, thiserror::Error)]
pub enum IssuersError {
    /// An issuer or its key source is invalid.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A role, or the scope table of an issuer, contains an unknown scope.
    #[error(transparent)]
    Scopes(#[from] UnknownScope),
}

/// Verifier of access tokens, which must come from one of the configured issuers.
#[derive(Debug)]
pub(crate) struct TokenVerifier {
    issuers: Vec<Issuer>,
    cache: TokenCache,
}

/// Claim that selects the issuer, read before the signature is verified.
#[derive(Deserialize)]
struct UnverifiedIssuer {
    iss: String,
}

impl TokenVerifier {
    /// Creates the verifier from the `[api]` configuration. Fails if there is no issuer, or an issuer without a valid
    /// key source.
    pub(crate) fn new(api: &Api) -> Result<Self, IssuersError> {
        let roles = Roles::from_config(api)?;
        let mut issuers = Vec::new();
        for (field, config) in api.token_issuers() {
            let scopes = scope_table(&field, &config)?;
            issuers.push(Issuer::new(&field, config, scopes, roles.clone())?);
        }
        if issuers.is_empty() {
            return Err(KeysError::NoIssuer.into());
        }
        Ok(Self { issuers, cache: TokenCache::default() })
    }

    fn issuer(&self, name: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.name() == name)
    }

    /// Reads the signing keys of all issuers until they are available.
    pub(crate) async fn read_keys(&self) {
        join_all(self.issuers.iter().map(|issuer| issuer.keys.read_until_available())).await;
    }

    /// Returns the reasons why no token can be verified, or `None` if the signing keys of at least one issuer are
    /// available: an unreachable issuer must not stop the callers of the others.
    pub(crate) async fn keys_problem(&self) -> Option<String> {
        let checks = self.issuers.iter().map(|issuer| issuer.keys.check_first_read());
        let problems = join_all(checks).await.into_iter().filter_map(Result::err);
        let problems: Vec<_> = problems.map(|error| error.to_string()).collect();
        (problems.len() == self.issuers.len()).then(|| problems.join("; "))
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        let digest = TokenCache::digest(token);
        if let Some(cached) = self.cache.find(&digest)
            && let Some(issuer) = self.issuer(&cached.caller.issuer)
            // The key lookup also refreshes an outdated key set.
            && let Ok(Some(key)) = issuer.keys.find(cached.key_id.as_deref(), cached.algorithm).await
            && cached.is_valid(key.keys_read_at)
        {
            return Ok(cached.caller.clone());
        }
        let header = checked_header(token)?;
        // Only the keys of the issuer that the token names can verify the token.
        let named = jsonwebtoken::dangerous::insecure_decode_claims::<UnverifiedIssuer>(token).ok();
        let issuer = named.and_then(|named| self.issuer(&named.iss)).ok_or(TokenError::Invalid("wrong issuer"))?;
        if !issuer.accepts_type(header.typ.as_deref()) {
            return Err(TokenError::Invalid("the header parameter typ is not the token type that this API accepts"));
        }
        let key = key_of(issuer, &header).await?;
        let claims = issuer.decode(token, &header, &key.decoding)?;
        let caller = issuer.caller(&claims)?;
        let expires = claims.exp;
        let cached =
            CachedToken { caller, key_id: header.kid, algorithm: header.alg, keys_read_at: key.keys_read_at, expires };
        Ok(self.cache.insert(digest, cached))
    }

    /// Verifies an ID token that `issuer` has made for the client `client_id` (OpenID Connect Core 1.0, section
    /// 3.1.3.7). Returns its nonce.
    pub(crate) async fn id_token_nonce(
        &self,
        token: &str,
        issuer: &str,
        client_id: &str,
    ) -> Result<Option<String>, TokenError> {
        let header = checked_header(token)?;
        let issuer = self.issuer(issuer).ok_or(TokenError::Invalid("wrong issuer"))?;
        let key = key_of(issuer, &header).await?;
        issuer.id_token_nonce(token, &header, &key.decoding, client_id)
    }
}

/// Returns the header of a token whose form and algorithm are accepted.
fn checked_header(token: &str) -> Result<Header, TokenError> {
    token_format::check(token)?;
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid("not a JWT"))?;
    if ACCEPTED_ALGORITHMS.contains(&header.alg) {
        return Ok(header);
    }
    Err(TokenError::Invalid("the algorithm must be RS256, PS256, ES256 or EdDSA"))
}

/// Returns the key of `issuer` that the header of a token names.
async fn key_of(issuer: &Issuer, header: &Header) -> Result<VerificationKey, TokenError> {
    let key = issuer.keys.find(header.kid.as_deref(), header.alg).await.map_err(TokenError::KeysUnavailable)?;
    key.ok_or(TokenError::Invalid("the issuer has no key with this kid"))
}
