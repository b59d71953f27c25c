//! Retry schedule of deliveries, and the rule that disables failing endpoints.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::jitter;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// Pauses after each failed attempt (Standard Webhooks 1.0, "Deliverability and reliability"). The first attempt is
/// made immediately; the tenth is the last.
const RETRY_INTERVALS: [TimeDelta; 9] = [
    TimeDelta::seconds(5),
    TimeDelta::minutes(5),
    TimeDelta::minutes(30),
    TimeDelta::hours(2),
    TimeDelta::hours(5),
    TimeDelta::hours(10),
    TimeDelta::hours(14),
    TimeDelta::hours(20),
    TimeDelta::hours(24),
];

/// Random variation of the pauses as a fraction, so that deliveries that failed together are not retried together.
const JITTER: f64 = 0.1;

/// Maximum pause that a receiver can request with Retry-After. It equals the longest regular pause.
const MAX_RETRY_AFTER: TimeDelta = TimeDelta::hours(24);

/// Time for which all attempts to an endpoint must have failed before the endpoint is disabled.
const DISABLE_AFTER: TimeDelta = TimeDelta::days(5);

/// Minimum age of a failing delivery before it can disable its endpoint, unless no further attempt follows.
const MIN_DELIVERY_AGE: TimeDelta = TimeDelta::days(3);

/// Returns the time of the next attempt after `tries` failed attempts, or `None` after the last attempt.
pub(super) fn next_attempt_at(tries: i32, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let interval = RETRY_INTERVALS.get(usize::try_from(tries.checked_sub(1)?).ok()?)?;
    let jitter = jitter::factor(1.0 - JITTER..1.0 + JITTER);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "milliseconds of a day or so")]
    let interval = (interval.num_milliseconds() as f64 * jitter) as i64;
    Some(now + TimeDelta::milliseconds(interval))
}

/// Returns the time until which the receiver requests a pause with Retry-After, or `None` without such a request.
pub(super) fn retry_after(status: StatusCode, headers: &HeaderMap, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let time = |text: &str| DateTime::parse_from_rfc2822(text).ok().map(|time| time.to_utc());
    let wait = match text.parse::<u32>() {
        Ok(seconds) => TimeDelta::seconds(seconds.into()),
        // The time is relative to the receiver's own clock if the response has a Date header.
        Err(_) => time(text)? - headers.get(DATE).and_then(|date| time(date.to_str().ok()?)).unwrap_or(now),
    };
    (wait > TimeDelta::zero()).then(|| now + wait.min(MAX_RETRY_AFTER))
}

/// Returns the time since which all attempts must have failed for the endpoint to be disabled, or `None` to keep it
/// enabled.
pub(super) fn failing_before(started_at: DateTime<Utc>, is_last: bool, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (is_last || started_at <= now - MIN_DELIVERY_AGE).then(|| now - DISABLE_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(reqwest::header::HeaderName, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn there_are_ten_attempts_within_three_and_a_half_days() {
        let start = DateTime::UNIX_EPOCH;
        let (mut now, mut attempts) = (start, 1);
        while let Some(next) = next_attempt_at(attempts, now) {
            let usual = RETRY_INTERVALS[usize::try_from(attempts - 1).unwrap()];
            assert!(
                next - now >= usual * 9 / 10 && next - now <= usual * 11 / 10,
                "attempt {attempts}: {}",
                next - now
            );
            (now, attempts) = (next, attempts + 1);
        }
        assert_eq!(attempts, 10);
        assert!(
            next_attempt_at(0, now).is_none()
                && next_attempt_at(i32::MAX, now).is_none()
                && next_attempt_at(i32::MIN, now).is_none()
        );
    }

    #[test]
    fn retry_after_is_respected_up_to_its_limit() {
        let now = DateTime::UNIX_EPOCH;
        let wait_of = |status: u16, all: &[_]| retry_after(StatusCode::from_u16(status).unwrap(), &headers(all), now);
        assert_eq!(wait_of(429, &[(RETRY_AFTER, "90")]), Some(now + TimeDelta::seconds(90)));
        assert_eq!(wait_of(503, &[(RETRY_AFTER, "4294967295")]), Some(now + MAX_RETRY_AFTER));
        let dates = [(DATE, "Tue, 24 Nov 2026 18:00:00 GMT"), (RETRY_AFTER, "Tue, 24 Nov 2026 18:10:00 GMT")];
        assert_eq!(wait_of(503, &dates), Some(now + TimeDelta::minutes(10)));
        for invalid in ["", "soon", "-5", "0", "99999999999999", "Tue, 24 Nov 1969 18:10:00 GMT"] {
            assert_eq!(wait_of(429, &[(RETRY_AFTER, invalid)]), None, "{invalid}");
        }
        assert_eq!(wait_of(500, &[(RETRY_AFTER, "90")]), None);
        assert_eq!(wait_of(429, &[]), None);
    }
}
