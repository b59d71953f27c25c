//! Rate limit per API client, so that one client cannot use up the capacity of the API.
//!
//! Each API process counts requests separately, so the limit applies per process behind a load balancer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::caller::Caller;
use crate::problem::{ApiError, Code};

/// Response header with the rate limit (draft-ietf-httpapi-ratelimit-headers).
const POLICY_HEADER: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Response header with the number of remaining requests.
const REMAINING_HEADER: HeaderName = HeaderName::from_static("ratelimit");

/// Length of the rate limit window, after which a client has its full number of requests available again.
const RATE_LIMIT_WINDOW: Duration = Duration::from_mins(1);

/// Number of clients in memory above which idle clients are removed.
const CLEANUP_THRESHOLD: usize = 10_000;

/// Maximum number of clients in memory. If more are active within a minute, their counts start again.
const MAX_CLIENTS: usize = 100_000;

/// Rate limiter with the state of each client; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RateLimiter {
    per_minute: u32,
    clients: Arc<Mutex<Clients>>,
}

#[derive(Debug)]
struct Clients {
    /// Time at which a client has its full number of requests available again, by issuer and client key.
    bucket_full_at: HashMap<(String, String), Instant>,
    /// Number of clients at which idle clients are removed. It is at least twice the number of active clients, so that
    /// few requests search all clients.
    cleanup_at: usize,
}

impl Clients {
    /// Removes idle clients if there are many clients.
    fn clean_up(&mut self, now: Instant) {
        if self.bucket_full_at.len() < self.cleanup_at {
            return;
        }
        self.bucket_full_at.retain(|_, bucket_full_at| *bucket_full_at > now);
        if self.bucket_full_at.len() >= MAX_CLIENTS {
            self.bucket_full_at.clear();
        }
        self.cleanup_at = (2 * self.bucket_full_at.len()).clamp(CLEANUP_THRESHOLD, MAX_CLIENTS);
    }
}

/// Rate limit and number of remaining requests of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimitStatus {
    per_minute: u32,
    remaining: u32,
    /// Time until one more request is available.
    next_request_in: Duration,
}

impl RateLimiter {
    /// Creates a limiter; 0 requests per minute means unlimited.
    pub(crate) fn new(per_minute: u32) -> Self {
        let clients = Clients { bucket_full_at: HashMap::new(), cleanup_at: CLEANUP_THRESHOLD };
        Self { per_minute, clients: Arc::new(Mutex::new(clients)) }
    }

    /// Counts a request of the caller. Returns `None` if no rate limit is configured; fails if the limit is exceeded.
    pub(crate) fn check(&self, caller: &Caller) -> Result<Option<RateLimitStatus>, ApiError> {
        if self.per_minute == 0 {
            return Ok(None);
        }
        let key = (caller.issuer.clone(), caller.client_key());
        match self.consume_request(key, Instant::now()) {
            Ok(status) => Ok(Some(status)),
            Err(status) => {
                let seconds = whole_seconds(status.next_request_in);
                let detail = format!(
                    "The client exceeds its limit of {} requests per minute; retry in {seconds} s.",
                    self.per_minute
                );
                let refusal = ApiError::new(Code::TooManyRequests, detail).retry_after(seconds);
                Err(status
                    .headers()
                    .into_iter()
                    .fold(refusal, |refusal, (name, value)| refusal.with_header(name, &value)))
            }
        }
    }

    /// Consumes one request, using the generic cell rate algorithm (GCRA): consumed requests become available again one
    /// by one, at equal intervals.
    fn consume_request(&self, caller: (String, String), now: Instant) -> Result<RateLimitStatus, RateLimitStatus> {
        let interval = RATE_LIMIT_WINDOW / self.per_minute;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.clean_up(now);
        let bucket_full_at = clients.bucket_full_at.entry(caller).or_insert(now);
        let used = bucket_full_at.saturating_duration_since(now) + interval;
        let status = |used: Duration, next_request_in| {
            let remaining =
                (RATE_LIMIT_WINDOW.saturating_sub(used).as_secs_f64() / interval.as_secs_f64() + 1e-6).floor();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the limit per minute")]
            let remaining = remaining as u32;
            RateLimitStatus { per_minute: self.per_minute, remaining, next_request_in }
        };
        if used > RATE_LIMIT_WINDOW {
            return Err(status(used, used.saturating_sub(RATE_LIMIT_WINDOW)));
        }
        *bucket_full_at = now + used;
        Ok(status(used, interval))
    }
}

impl RateLimitStatus {
    pub(crate) fn write_headers(self, headers: &mut HeaderMap) {
        for (name, value) in self.headers() {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }

    fn headers(self) -> [(HeaderName, String); 2] {
        let policy = format!(r#""requests";q={};w={}"#, self.per_minute, RATE_LIMIT_WINDOW.as_secs());
        let remaining = format!(r#""requests";r={};t={}"#, self.remaining, whole_seconds(self.next_request_in));
        [(POLICY_HEADER, policy), (REMAINING_HEADER, remaining)]
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
    fn a_client_gets_more_requests_as_time_passes() {
        let (limiter, start) = (RateLimiter::new(60), Instant::now());
        for remaining in (0..60).rev() {
            assert_eq!(limiter.consume_request(caller("a"), start).unwrap().remaining, remaining);
        }
        let refused = limiter.consume_request(caller("a"), start).unwrap_err();
        assert_eq!((refused.remaining, whole_seconds(refused.next_request_in)), (0, 1));
        assert_eq!(
            limiter.consume_request(caller("b"), start).unwrap().remaining,
            59,
            "another client has its own limit"
        );
        assert!(limiter.consume_request(caller("a"), start + Duration::from_secs(1)).is_ok());
        assert!(limiter.consume_request(caller("a"), start + Duration::from_secs(1)).is_err());
        assert_eq!(limiter.consume_request(caller("a"), start + Duration::from_secs(62)).unwrap().remaining, 59);
    }

    #[test]
    fn idle_clients_are_removed_from_memory() {
        let (limiter, start) = (RateLimiter::new(600), Instant::now());
        for number in 0..2 * CLEANUP_THRESHOLD {
            let at = start + Duration::from_millis(u64::try_from(number).unwrap());
            limiter.consume_request(caller(&number.to_string()), at).unwrap();
        }
        assert!(limiter.clients.lock().unwrap().bucket_full_at.len() <= CLEANUP_THRESHOLD);
    }

    #[test]
    fn the_number_of_clients_in_memory_is_limited() {
        let (limiter, start) = (RateLimiter::new(600), Instant::now());
        for number in 0..2 * MAX_CLIENTS {
            limiter.consume_request(caller(&number.to_string()), start).unwrap();
            assert!(limiter.clients.lock().unwrap().bucket_full_at.len() <= MAX_CLIENTS);
        }
    }
}
