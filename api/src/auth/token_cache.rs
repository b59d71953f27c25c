//! Cache of verified tokens, so that the signature of a token is verified only once.
//!
//! The cache key is the digest of the token; the token itself is not stored. An entry is valid until the token expires
//! or its issuer's keys are read again, because the new key set may not contain the key of the token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jsonwebtoken::Algorithm;
use sha2::{Digest, Sha256};

use super::caller::Caller;

/// Accepted difference between the clocks of this server and the issuer, in seconds.
pub(super) const LEEWAY_SECONDS: u64 = 30;

/// Maximum number of cached tokens.
const MAX_CACHED_TOKENS: usize = 4096;

/// SHA-256 digest of a token.
type TokenDigest = [u8; 32];

/// Cache of verified tokens; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenCache(Arc<Mutex<HashMap<TokenDigest, Arc<CachedToken>>>>);

/// Verified token in the cache.
#[derive(Clone, Debug)]
pub(super) struct CachedToken {
    pub(super) caller: Caller,
    /// Key id from the token header (`kid`).
    pub(super) key_id: Option<String>,
    /// Signature algorithm from the token header (`alg`).
    pub(super) algorithm: Algorithm,
    /// Time at which the key set that verified the token was read.
    pub(super) keys_read_at: Instant,
    /// Expiry time of the token (claim `exp`), in seconds since 1970.
    pub(super) expires: f64,
}

impl CachedToken {
    /// Returns whether the token has not expired and was verified with the key set that was read at `keys_read_at`.
    pub(super) fn is_valid(&self, keys_read_at: Instant) -> bool {
        self.keys_read_at == keys_read_at && !self.has_expired()
    }

    /// Returns whether the token has expired, by the same rule as the `jsonwebtoken` crate.
    fn has_expired(&self) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
        let earliest = jsonwebtoken::get_current_timestamp().saturating_sub(LEEWAY_SECONDS) as f64;
        self.expires < earliest
    }
}

impl TokenCache {
    pub(super) fn digest(token: &str) -> TokenDigest {
        Sha256::digest(token).into()
    }

    /// Returns the cache entry of a token. The entry may be outdated.
    pub(super) fn find(&self, digest: &TokenDigest) -> Option<Arc<CachedToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// Stores a verified token in the cache and returns the caller.
    pub(super) fn insert(&self, digest: TokenDigest, token: CachedToken) -> Caller {
        let caller = token.caller.clone();
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.len() >= MAX_CACHED_TOKENS {
            let has_other_keys = |other: &CachedToken| {
                other.caller.issuer == token.caller.issuer && other.keys_read_at != token.keys_read_at
            };
            cached.retain(|_, other| !other.has_expired() && !has_other_keys(other));
        }
        if cached.len() >= MAX_CACHED_TOKENS {
            cached.clear();
        }
        cached.insert(digest, Arc::new(token));
        caller
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use chrono::DateTime;

    use super::*;
    use crate::auth::tenant_scope::TenantScope;

    fn cached_token(keys_read_at: Instant, expires_in: i32) -> CachedToken {
        let caller = Caller {
            issuer: "https://issuer.example.com".to_owned(),
            subject: "ann".to_owned(),
            client: "tests".to_owned(),
            scopes: BTreeSet::new(),
            tenant_scope: TenantScope::Fleet,
            expires_at: DateTime::UNIX_EPOCH,
        };
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
        let expires = jsonwebtoken::get_current_timestamp() as f64 + f64::from(expires_in);
        CachedToken { caller, key_id: None, algorithm: Algorithm::ES256, keys_read_at, expires }
    }

    #[test]
    fn a_cached_token_is_valid_until_it_expires_or_the_keys_change() {
        let read_at = Instant::now();
        assert!(cached_token(read_at, 1).is_valid(read_at));
        assert!(cached_token(read_at, -20).is_valid(read_at), "the issuer's clock may be off");
        assert!(!cached_token(read_at, -40).is_valid(read_at));
        assert!(!cached_token(read_at, 1).is_valid(read_at + Duration::from_secs(1)));
    }

    #[test]
    fn the_number_of_cached_tokens_is_limited() {
        let (cache, read_at) = (TokenCache::default(), Instant::now());
        for number in 0..2 * MAX_CACHED_TOKENS {
            cache.insert(TokenCache::digest(&number.to_string()), cached_token(read_at, 60));
        }
        assert!(cache.0.lock().unwrap().len() <= MAX_CACHED_TOKENS);
        assert!(cache.find(&TokenCache::digest(&(2 * MAX_CACHED_TOKENS - 1).to_string())).is_some());
    }
}
