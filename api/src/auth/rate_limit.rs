//! How many requests a caller may make, so that one that runs wild takes nobody else's share.
//!
//! Each process counts for itself: with several behind a load balancer, a caller may make as many at each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::caller::Caller;
use crate::problem::{ApiError, Code};

/// What the limit is (draft-ietf-httpapi-ratelimit-headers).
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is left of it.
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// In how long a caller that has made all of its requests may make as many again.
const WINDOW: Duration = Duration::from_mins(1);

/// From so many callers on, those are forgotten that have not asked for anything lately.
const MANY: usize = 10_000;

/// Who has asked how much; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RateLimiter {
    per_minute: u32,
    /// When each caller, by issuer and party, will have everything again.
    whole_at: Arc<Mutex<HashMap<(String, String), Instant>>>,
}

/// What is left to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimitStatus {
    per_minute: u32,
    left: u32,
    /// When there is more.
    more_in: Duration,
}

impl RateLimiter {
    /// So many requests a minute; none is refused if that is 0.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute, whole_at: Arc::default() }
    }

    /// Counts a request of `caller`; refuses it where it is one too many.
    pub(crate) fn check(&self, caller: &Caller) -> Result<Option<RateLimitStatus>, ApiError> {
        if self.per_minute == 0 {
            return Ok(None);
        }
        let key = (caller.issuer.clone(), caller.client_key());
        match self.take(key, Instant::now()) {
            Ok(share) => Ok(Some(share)),
            Err(share) => {
                let seconds = whole_seconds(share.more_in);
                let detail = format!(
                    "This client makes more than {} requests a minute; send this one again in {seconds} s.",
                    self.per_minute
                );
                let refusal = ApiError::new(Code::TooManyRequests, detail).retry_after(seconds);
                Err(share
                    .headers()
                    .into_iter()
                    .fold(refusal, |refusal, (name, value)| refusal.with_header(name, &value)))
            }
        }
    }

    /// The generic cell rate algorithm: what has been asked for is due back one by one, over the window.
    fn take(&self, caller: (String, String), now: Instant) -> Result<RateLimitStatus, RateLimitStatus> {
        let each = WINDOW / self.per_minute;
        let mut callers = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MANY {
            callers.retain(|_, whole_at| *whole_at > now);
        }
        let whole_at = callers.entry(caller).or_insert(now);
        let owed = whole_at.saturating_duration_since(now) + each;
        let share = |owed: Duration, more_in| {
            let left = (WINDOW.saturating_sub(owed).as_secs_f64() / each.as_secs_f64() + 1e-6).floor();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at most what there is a minute"
            )]
            let left = left as u32;
            RateLimitStatus { per_minute: self.per_minute, left, more_in }
        };
        if owed > WINDOW {
            return Err(share(owed, owed.saturating_sub(WINDOW)));
        }
        *whole_at = now + owed;
        Ok(share(owed, each))
    }
}

impl RateLimitStatus {
    /// The headers that say so.
    pub(crate) fn write_headers(self, headers: &mut HeaderMap) {
        for (name, value) in self.headers() {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }

    fn headers(self) -> [(HeaderName, String); 2] {
        let policy = format!(r#""requests";q={};w={}"#, self.per_minute, WINDOW.as_secs());
        let left = format!(r#""requests";r={};t={}"#, self.left, whole_seconds(self.more_in));
        [(POLICY, policy), (LEFT, left)]
    }
}

fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> (String, String) {
        ("https://issuer.example.com".to_owned(), name.to_owned())
    }

    #[test]
    fn a_caller_gets_its_share_and_more_as_time_passes() {
        let (pace, begin) = (RateLimiter::new(60), Instant::now());
        for left in (0..60).rev() {
            assert_eq!(pace.take(caller("a"), begin).unwrap().left, left);
        }
        let refused = pace.take(caller("a"), begin).unwrap_err();
        assert_eq!((refused.left, whole_seconds(refused.more_in)), (0, 1));
        assert_eq!(pace.take(caller("b"), begin).unwrap().left, 59, "another caller has a share of its own");
        assert!(pace.take(caller("a"), begin + Duration::from_secs(1)).is_ok());
        assert!(pace.take(caller("a"), begin + Duration::from_secs(1)).is_err());
        assert_eq!(pace.take(caller("a"), begin + Duration::from_secs(62)).unwrap().left, 59);
    }

    #[test]
    fn callers_without_end_do_not_fill_the_memory() {
        let (pace, begin) = (RateLimiter::new(600), Instant::now());
        for number in 0..2 * MANY {
            let at = begin + Duration::from_millis(u64::try_from(number).unwrap());
            pace.take(caller(&number.to_string()), at).unwrap();
        }
        assert!(pace.whole_at.lock().unwrap().len() <= MANY);
    }
}
