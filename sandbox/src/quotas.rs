//! Rate limits of API calls. The rates are taken from the AWS documentation. Token buckets are refilled according to
//! the simulated clock.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::world::{AwsError, Ctx, Service, State};

/// A rate limit: the sustained rate in calls per second, and the maximum size of a burst.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rate {
    per_second: f64,
    burst: f64,
}

/// Scope of a rate limit: the set of calls that share a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RateScope {
    /// All calls of one account.
    Account,
    /// All calls of one account in one region.
    AccountAndRegion,
    /// All calls of the organisation.
    Organization,
}

const fn rate(per_second: f64, burst: f64) -> Rate {
    Rate { per_second, burst }
}

/// Returns the rate limits of a call. Operations whose limits have the same name share a token bucket.
fn rate_limits(service: Service, operation: &str) -> Vec<(String, RateScope, Rate)> {
    let single = |name: &str, scope, rate| vec![(name.to_owned(), scope, rate)];
    let per_account = |account: Rate| single(operation, RateScope::Account, account);
    let per_account_and_organization = |account: Rate, organization: Rate| {
        vec![
            (operation.to_owned(), RateScope::Account, account),
            (operation.to_owned(), RateScope::Organization, organization),
        ]
    };
    match (service, operation) {
        (Service::Organizations, "CreateAccount") => per_account(rate(0.1, 3.0)),
        (Service::Organizations, "CloseAccount") => per_account(rate(0.05, 1.0)),
        (Service::Organizations, "DescribeCreateAccountStatus") => {
            per_account_and_organization(rate(2.0, 2.0), rate(2.0, 3.0))
        }
        (Service::Organizations, "ListCreateAccountStatus" | "ListParents" | "ListAccountsForParent") => {
            per_account_and_organization(rate(5.0, 8.0), rate(6.0, 10.0))
        }
        (Service::Organizations, "DescribeAccount") => per_account_and_organization(rate(20.0, 30.0), rate(24.0, 36.0)),
        (Service::Organizations, "ListAccounts") => per_account_and_organization(rate(8.0, 12.0), rate(9.0, 15.0)),
        (Service::Organizations, "DescribeOrganization" | "CreateOrganizationalUnit") => per_account(rate(1.0, 2.0)),
        (Service::Organizations, "MoveAccount" | "CreatePolicy" | "UpdatePolicy" | "AttachPolicy" | "DetachPolicy") => {
            per_account(rate(2.0, 3.0))
        }
        (Service::Organizations, "TagResource") => per_account(rate(4.0, 6.0)),
        (Service::Organizations, "ListTagsForResource") => {
            per_account_and_organization(rate(10.0, 15.0), rate(12.0, 18.0))
        }
        (Service::SsoAdmin, _) => single("every operation", RateScope::Account, rate(20.0, 20.0)),
        (Service::IdentityStore, _) => per_account(rate(20.0, 20.0)),
        (Service::Account, "EnableRegion") => per_account(rate(1.0, 1.0)),
        (Service::Account, "GetRegionOptStatus" | "ListRegions") => per_account(rate(5.0, 5.0)),
        (Service::CloudWatch, "DescribeAlarms") => single(operation, RateScope::AccountAndRegion, rate(9.0, 9.0)),
        (Service::CloudWatch, "PutMetricAlarm") => single(operation, RateScope::AccountAndRegion, rate(3.0, 3.0)),
        (Service::Sts, _) => single("every operation", RateScope::AccountAndRegion, rate(600.0, 600.0)),
        _ => Vec::new(),
    }
}

/// Token buckets, by the key of their rate limit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TokenBuckets(BTreeMap<String, TokenBucket>);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct TokenBucket {
    tokens: f64,
    at: DateTime<Utc>,
}

impl TokenBuckets {
    /// Takes one token from each bucket, or none if one of the buckets is empty. Returns whether tokens were taken.
    fn take_tokens(&mut self, rate_limits: &[(String, Rate)], now: DateTime<Utc>) -> bool {
        for (name, rate) in rate_limits {
            let bucket = self.0.entry(name.clone()).or_insert(TokenBucket { tokens: rate.burst, at: now });
            let refill = (now - bucket.at).as_seconds_f64().max(0.0) * rate.per_second;
            bucket.tokens = (bucket.tokens + refill).min(rate.burst);
            bucket.at = now;
        }
        // Refills are rounded, so a difference of one millionth is tolerated.
        let has_token = |name: &String| self.0.get(name).is_some_and(|bucket| bucket.tokens >= 1.0 - 1e-6);
        if !rate_limits.iter().all(|(name, _)| has_token(name)) {
            return false;
        }
        for (name, _) in rate_limits {
            if let Some(bucket) = self.0.get_mut(name) {
                bucket.tokens -= 1.0;
            }
        }
        true
    }
}

/// Takes the tokens for a call. Returns the throttling error of the service if a token bucket is empty.
pub fn take_tokens(state: &mut State, ctx: &Ctx) -> Result<(), AwsError> {
    if !ctx.settings.throttling {
        return Ok(());
    }
    let service = ctx.service.name();
    let rate_limits: Vec<_> = rate_limits(ctx.service, &ctx.operation)
        .into_iter()
        .map(|(name, scope, rate)| {
            let account = &ctx.caller.account;
            let key = match scope {
                RateScope::Account => format!("{service}:{name}:{account}"),
                RateScope::AccountAndRegion => format!("{service}:{name}:{account}:{}", ctx.region),
                RateScope::Organization => format!("{service}:{name}"),
            };
            (key, rate)
        })
        .collect();
    if state.buckets.take_tokens(&rate_limits, ctx.now) { Ok(()) } else { Err(throttling_error(ctx.service)) }
}

/// Returns the throttling error of a service.
pub fn throttling_error(service: Service) -> AwsError {
    match service {
        Service::Organizations => AwsError::new(
            "TooManyRequestsException",
            "AWS Organizations can't complete your request because another request is already in progress. Try again \
             later.",
        ),
        Service::Account => AwsError::new(
            "TooManyRequestsException",
            "The operation failed because it was called too frequently and exceeded a throttle limit.",
        )
        .status(429),
        Service::SsoAdmin | Service::IdentityStore => {
            AwsError::new("ThrottlingException", "There are too many requests processing. Try again later.")
        }
        Service::Sso | Service::SsoOidc => {
            AwsError::new("TooManyRequestsException", "Request limit exceeded").status(429)
        }
        Service::Lambda => AwsError::new("TooManyRequestsException", "Rate Exceeded.").status(429),
        Service::Sts | Service::CloudFormation | Service::CloudWatch => AwsError::new("Throttling", "Rate exceeded"),
        Service::S3 => AwsError::new("SlowDown", "Please reduce your request rate.").status(503),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_calls_are_limited_to_the_rate() {
        let mut buckets = TokenBuckets::default();
        let rate_limits = [("CreateAccount".to_owned(), rate(0.1, 3.0))];
        let mut at = |seconds| buckets.take_tokens(&rate_limits, DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds));
        assert_eq!([at(0), at(0), at(0), at(0)], [true, true, true, false]);
        assert!(!at(9));
        assert!(at(10), "a throttled call takes no token");
        assert!(!at(11));
    }

    #[test]
    fn a_call_throttled_by_one_bucket_takes_no_token_from_the_other() {
        let mut buckets = TokenBuckets::default();
        let now = DateTime::UNIX_EPOCH;
        let narrow = ("narrow".to_owned(), rate(1.0, 1.0));
        let wide = ("wide".to_owned(), rate(1.0, 2.0));
        assert!(buckets.take_tokens(&[wide.clone(), narrow.clone()], now));
        assert!(!buckets.take_tokens(&[wide.clone(), narrow], now));
        assert!(buckets.take_tokens(&[wide], now));
    }
}
