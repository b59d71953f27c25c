//! Token issuer: its keys, and the claims from which the caller is read.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use chrono::{DateTime, Utc};
use freehold_tenancy::config::{ClaimPath, TokenIssuer};
use jsonwebtoken::{DecodingKey, Header, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::caller::Caller;
use super::keys::{Keys, KeysError};
use super::refusal::{TokenError, invalid_token};
use super::roles::{Roles, ScopeTable};
use super::scope_claim::ScopeClaim;
use super::tenant_scope::TenantScope;
use super::token_cache::LEEWAY_SECONDS;
use super::token_format;
use crate::scope::Scope;

/// Number of tokens without the configured roles claim after which the missing claim is logged.
const TOKENS_WITHOUT_ROLES: u32 = 20;

/// Maximum length of the subject and the client of a token, in bytes.
const MAX_CLAIM_BYTES: usize = 256;

/// Issuer whose tokens the API accepts.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) keys: Keys,
    config: TokenIssuer,
    /// Scopes of Freehold by the names that the issuer uses; empty if the names are the same or have a prefix.
    scopes: ScopeTable,
    roles: Roles,
    roles_claim_monitor: RolesClaimMonitor,
}

/// Claims of a token.
#[derive(Deserialize)]
pub(super) struct Claims {
    pub(super) exp: f64,
    #[serde(flatten)]
    all: Map<String, Value>,
}

/// Claims of an ID token beside those that the library checks.
#[derive(Deserialize)]
struct IdToken {
    nonce: Option<String>,
}

impl Issuer {
    /// Creates an issuer from its configuration; `field` is the prefix of its fields in messages.
    pub(super) fn new(field: &str, config: TokenIssuer, scopes: ScopeTable, roles: Roles) -> Result<Self, KeysError> {
        if config.issuer.is_empty() {
            return Err(KeysError::NoIssuer);
        }
        let keys = Keys::new(field, &config.jwks)?;
        Ok(Self { keys, config, scopes, roles, roles_claim_monitor: RolesClaimMonitor::default() })
    }

    /// Returns the claim `iss` of the issuer's tokens.
    pub(super) fn name(&self) -> &str {
        &self.config.issuer
    }

    /// Verifies the signature and the claims of a token of this issuer.
    pub(super) fn decode(&self, token: &str, header: &Header, key: &DecodingKey) -> Result<Claims, TokenError> {
        let config = &self.config;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&config.issuer]);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        let has_standard_audience = config.audience_claim == ClaimPath::new("aud");
        if has_standard_audience {
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            validation.set_audience(&config.audience.0);
        } else {
            validation.set_required_spec_claims(&["exp", "iss"]);
            validation.validate_aud = false;
        }
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation).map_err(invalid_token)?.claims;
        token_format::check_claims(&claims.all, jsonwebtoken::get_current_timestamp())?;
        if !has_standard_audience && !self.is_for_audience(&claims.all) {
            return Err(TokenError::Invalid("wrong audience"));
        }
        let has_value = |(name, value): (&String, &String)| claims.all.get(name).and_then(Value::as_str) == Some(value);
        if !config.required_claims.iter().all(has_value) {
            return Err(TokenError::Invalid("a required claim is missing or has another value"));
        }
        Ok(claims)
    }

    /// Verifies an ID token of this issuer for a client, and returns its nonce.
    pub(super) fn id_token_nonce(
        &self,
        token: &str,
        header: &Header,
        key: &DecodingKey,
        client_id: &str,
    ) -> Result<Option<String>, TokenError> {
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_audience(&[client_id]);
        validation.leeway = LEEWAY_SECONDS;
        let claims = jsonwebtoken::decode::<IdToken>(token, key, &validation).map_err(invalid_token)?.claims;
        Ok(claims.nonce)
    }

    fn is_for_audience(&self, claims: &Map<String, Value>) -> bool {
        let is_accepted =
            |value: &Value| value.as_str().is_some_and(|one| self.config.audience.0.iter().any(|a| a == one));
        match self.config.audience_claim.find(claims) {
            Some(Value::Array(values)) => values.iter().any(is_accepted),
            Some(value) => is_accepted(value),
            None => false,
        }
    }

    /// Returns the caller that the verified claims describe.
    pub(super) fn caller(&self, claims: &Claims) -> Result<Caller, TokenError> {
        let Claims { exp, all } = claims;
        let config = &self.config;
        let Some(subject) = text(all, &config.subject_claim)? else {
            let (issuer, claim) = (&config.issuer, &config.subject_claim);
            tracing::warn!(%issuer, %claim, "a token of issuer {issuer} was refused: it has no claim {claim}");
            return Err(TokenError::Invalid("the claim that identifies the caller is missing"));
        };
        let client = match &config.client_claim {
            Some(claim) => text(all, claim)?,
            None => match text(all, &ClaimPath::new("client_id"))? {
                Some(client) => Some(client),
                None => text(all, &ClaimPath::new("azp"))?,
            },
        };
        let mut scopes = self.scopes(all)?;
        scopes.extend(self.scopes_of_roles(all));
        let has_fleet = scopes.contains(Scope::Fleet.as_str());
        let tenant_scope = TenantScope::from_claim(config.tenant_claim.find(all), has_fleet);
        #[expect(clippy::cast_possible_truncation, reason = "an out-of-range time becomes the latest time")]
        let expires_at = DateTime::from_timestamp(*exp as i64, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
        Ok(Caller {
            issuer: config.issuer.clone(),
            client: client.unwrap_or_else(|| subject.clone()),
            subject,
            scopes,
            tenant_scope: tenant_scope.map_err(TokenError::TenantScope)?,
            expires_at,
        })
    }

    /// Returns the scopes in the claims of a token, with the names of Freehold.
    fn scopes(&self, claims: &Map<String, Value>) -> Result<BTreeSet<String>, TokenError> {
        let values = match &self.config.scopes_claim {
            Some(claim) => [claim.find(claims), None],
            None => [claims.get("scope"), claims.get("scp")],
        };
        let mut scopes = BTreeSet::new();
        for value in values.into_iter().flatten().filter(|value| !value.is_null()) {
            let named = ScopeClaim::deserialize(value).map_err(|_| TokenError::Invalid("the claims are invalid"))?;
            scopes.extend(named.into_set());
        }
        if !self.scopes.is_empty() {
            let known = scopes.iter().filter_map(|name| self.scopes.get(name)).flatten();
            return Ok(known.map(ToString::to_string).collect());
        }
        Ok(scopes.iter().filter_map(|name| name.strip_prefix(&self.config.scope_prefix)).map(str::to_owned).collect())
    }

    /// Returns the scopes that the caller's roles grant. Logs once if no token has had the claim for roles.
    fn scopes_of_roles(&self, claims: &Map<String, Value>) -> BTreeSet<String> {
        let Some(claim) = self.config.roles_claim.as_ref().filter(|_| !self.roles.is_empty()) else {
            return BTreeSet::new();
        };
        let roles = claim.find(claims);
        if self.roles_claim_monitor.is_missing_for_the_first_time(roles.is_some()) {
            let issuer = &self.config.issuer;
            tracing::warn!(
                %issuer, %claim,
                "the first {TOKENS_WITHOUT_ROLES} tokens of issuer {issuer} have no claim {claim}, so roles grant no \
                 scopes; check roles_claim"
            );
        }
        roles.map(|roles| self.roles.scopes(roles)).unwrap_or_default()
    }

    /// Returns whether the token header `typ` matches the configured type, ignoring case and a prefix `application/`
    /// (RFC 9068).
    pub(super) fn accepts_type(&self, given: Option<&str>) -> bool {
        let given = given.unwrap_or_default().to_ascii_lowercase();
        let given = given.strip_prefix("application/").unwrap_or(&given);
        self.config.token_type.is_empty() || self.config.token_type.eq_ignore_ascii_case(given)
    }
}

/// Returns the text of a claim, or `None` if the token lacks the claim.
///
/// Fails if the value is not a text or cannot be stored and shown.
fn text(claims: &Map<String, Value>, claim: &ClaimPath) -> Result<Option<String>, TokenError> {
    match claim.find(claims) {
        None | Some(Value::Null) => Ok(None),
        // PostgreSQL cannot store NUL characters, and the values are shown to people.
        Some(Value::String(text))
            if (1..=MAX_CLAIM_BYTES).contains(&text.len()) && !text.chars().any(char::is_control) =>
        {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(TokenError::Invalid("the claims are invalid")),
    }
}

/// Counter of the tokens without the claim for roles, until the first token with the claim.
#[derive(Debug, Default)]
struct RolesClaimMonitor {
    was_present: AtomicBool,
    tokens: AtomicU32,
}

impl RolesClaimMonitor {
    /// Counts a token. Returns true once: for the last of the first tokens, if none of them has the claim.
    fn is_missing_for_the_first_time(&self, is_present: bool) -> bool {
        if is_present {
            self.was_present.store(true, Ordering::Relaxed);
        }
        let is_last = self.tokens.load(Ordering::Relaxed) < TOKENS_WITHOUT_ROLES
            && self.tokens.fetch_add(1, Ordering::Relaxed) + 1 == TOKENS_WITHOUT_ROLES;
        is_last && !self.was_present.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_roles_claim_is_reported_once() {
        let count = |with_claim: u32| {
            let monitor = RolesClaimMonitor::default();
            let reports = (0..100).filter(|token| monitor.is_missing_for_the_first_time(*token == with_claim));
            reports.collect::<Vec<_>>()
        };
        assert_eq!(count(100), [TOKENS_WITHOUT_ROLES - 1]);
        assert_eq!(count(50), [TOKENS_WITHOUT_ROLES - 1], "a later token has the claim");
        assert_eq!(count(3), [0; 0]);
    }
}
