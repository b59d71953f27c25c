//! Tokens that were verified: who sends the same one again is known by it, without its signature being checked anew.
//!
//! A token is known by its digest and not kept. It is known until it expires, and only as long as the issuer's keys were not
//! read anew since: whether they still have its key is found out by checking it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jsonwebtoken::Algorithm;
use sha2::{Digest, Sha256};

use super::caller::Caller;

/// Tolerated difference between our clock and the issuer's, in seconds.
pub(super) const LEEWAY: u64 = 30;

/// How many are known at most.
const MOST: usize = 4096;

/// SHA-256 of a token.
type Digested = [u8; 32];

/// What is known of tokens that were verified; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenCache(Arc<Mutex<HashMap<Digested, Arc<CachedToken>>>>);

/// What a token turned out to say.
#[derive(Clone, Debug)]
pub(super) struct CachedToken {
    pub(super) caller: Caller,
    /// `kid`
    pub(super) key_id: Option<String>,
    /// `alg`
    pub(super) algorithm: Algorithm,
    /// When the keys were read that it was checked with.
    pub(super) since: Instant,
    /// `exp`
    pub(super) expires: f64,
}

impl CachedToken {
    /// Whether it is still what checking the token would come to; `since` is when the keys were read that there are.
    pub(super) fn is_valid(&self, since: Instant) -> bool {
        self.since == since && !self.has_expired()
    }

    /// As jsonwebtoken has it.
    fn has_expired(&self) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
        let earliest = jsonwebtoken::get_current_timestamp().saturating_sub(LEEWAY) as f64;
        self.expires < earliest
    }
}

impl TokenCache {
    pub(super) fn digest(token: &str) -> Digested {
        Sha256::digest(token).into()
    }

    /// What is known of a token, which may no longer hold.
    pub(super) fn find(&self, digest: &Digested) -> Option<Arc<CachedToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// Keeps what a token has turned out to say, and answers whose it is.
    pub(super) fn insert(&self, digest: Digested, verdict: CachedToken) -> Caller {
        let caller = verdict.caller.clone();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, known| known.is_valid(verdict.since));
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(digest, Arc::new(verdict));
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

    fn verdict(since: Instant, expires_in: i32) -> CachedToken {
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
        CachedToken { caller, key_id: None, algorithm: Algorithm::ES256, since, expires }
    }

    #[test]
    fn a_token_is_known_until_it_expires_or_the_keys_are_read_anew() {
        let read = Instant::now();
        assert!(verdict(read, 1).is_valid(read));
        assert!(verdict(read, -20).is_valid(read), "the issuer's clock may be off");
        assert!(!verdict(read, -40).is_valid(read));
        assert!(!verdict(read, 1).is_valid(read + Duration::from_secs(1)));
    }

    #[test]
    fn tokens_without_end_do_not_fill_the_memory() {
        let (verified, read) = (TokenCache::default(), Instant::now());
        for number in 0..2 * MOST {
            verified.insert(TokenCache::digest(&number.to_string()), verdict(read, 60));
        }
        assert!(verified.0.lock().unwrap().len() <= MOST);
        assert!(verified.find(&TokenCache::digest(&(2 * MOST - 1).to_string())).is_some());
    }
}
