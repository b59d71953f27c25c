//! How often what may be called: the rates of AWS.md §10 as token buckets that the world's clock refills.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::world::{AwsError, Ctx, Service, State};

/// A rate: so many calls a second in the long run, so many at once.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rate {
    a_second: f64,
    burst: f64,
}

/// Whose calls a rate counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Those of one calling account.
    Account,
    /// Those of one calling account in one region.
    AccountAndRegion,
    /// Everybody's in the organisation.
    Organization,
}

const fn rate(a_second: f64, burst: f64) -> Rate {
    Rate { a_second, burst }
}

/// The limits on a call. Each has a name: calls whose limits have one name share it.
fn limits(service: Service, operation: &str) -> Vec<(String, Whose, Rate)> {
    let one = |name: &str, whose, rate| vec![(name.to_owned(), whose, rate)];
    let own = |account: Rate| one(operation, Whose::Account, account);
    let both = |account: Rate, organization: Rate| {
        vec![(operation.to_owned(), Whose::Account, account), (operation.to_owned(), Whose::Organization, organization)]
    };
    match (service, operation) {
        (Service::Organizations, "CreateAccount") => own(rate(0.1, 3.0)),
        (Service::Organizations, "CloseAccount") => own(rate(0.05, 1.0)),
        (Service::Organizations, "DescribeCreateAccountStatus") => both(rate(2.0, 2.0), rate(2.0, 3.0)),
        (Service::Organizations, "ListCreateAccountStatus" | "ListParents" | "ListAccountsForParent") => {
            both(rate(5.0, 8.0), rate(6.0, 10.0))
        }
        (Service::Organizations, "DescribeAccount") => both(rate(20.0, 30.0), rate(24.0, 36.0)),
        (Service::Organizations, "ListAccounts") => both(rate(8.0, 12.0), rate(9.0, 15.0)),
        (Service::Organizations, "DescribeOrganization" | "CreateOrganizationalUnit") => own(rate(1.0, 2.0)),
        (Service::Organizations, "MoveAccount" | "CreatePolicy" | "UpdatePolicy" | "AttachPolicy" | "DetachPolicy") => {
            own(rate(2.0, 3.0))
        }
        (Service::Organizations, "TagResource") => own(rate(4.0, 6.0)),
        (Service::Organizations, "ListTagsForResource") => both(rate(10.0, 15.0), rate(12.0, 18.0)),
        (Service::SsoAdmin, _) => one("every operation", Whose::Account, rate(20.0, 20.0)),
        (Service::IdentityStore, _) => own(rate(20.0, 20.0)),
        (Service::Account, "EnableRegion") => own(rate(1.0, 1.0)),
        (Service::Account, "GetRegionOptStatus" | "ListRegions") => own(rate(5.0, 5.0)),
        (Service::Sts, _) => one("every operation", Whose::AccountAndRegion, rate(600.0, 600.0)),
        _ => Vec::new(),
    }
}

/// Token buckets, by what they limit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Buckets(BTreeMap<String, Bucket>);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Bucket {
    tokens: f64,
    at: DateTime<Utc>,
}

impl Buckets {
    /// Takes one token from every bucket, or none from any.
    fn take(&mut self, limits: &[(String, Rate)], now: DateTime<Utc>) -> bool {
        for (name, rate) in limits {
            let bucket = self.0.entry(name.clone()).or_insert(Bucket { tokens: rate.burst, at: now });
            let refill = (now - bucket.at).as_seconds_f64().max(0.0) * rate.a_second;
            bucket.tokens = (bucket.tokens + refill).min(rate.burst);
            bucket.at = now;
        }
        // A millionth of a call of tolerance: refills are rounded.
        let has_one = |name: &String| self.0.get(name).is_some_and(|bucket| bucket.tokens >= 1.0 - 1e-6);
        if !limits.iter().all(|(name, _)| has_one(name)) {
            return false;
        }
        for (name, _) in limits {
            if let Some(bucket) = self.0.get_mut(name) {
                bucket.tokens -= 1.0;
            }
        }
        true
    }
}

/// Takes a token for this call, if rates are limited at all.
pub fn take(state: &mut State, ctx: &Ctx) -> Result<(), AwsError> {
    if !ctx.settings.throttling {
        return Ok(());
    }
    let service = ctx.service.name();
    let limits: Vec<_> = limits(ctx.service, &ctx.operation)
        .into_iter()
        .map(|(name, whose, rate)| {
            let account = &ctx.caller.account;
            let key = match whose {
                Whose::Account => format!("{service}:{name}:{account}"),
                Whose::AccountAndRegion => format!("{service}:{name}:{account}:{}", ctx.region),
                Whose::Organization => format!("{service}:{name}"),
            };
            (key, rate)
        })
        .collect();
    if state.buckets.take(&limits, ctx.now) { Ok(()) } else { Err(throttled(ctx.service)) }
}

/// What a service says to one call too many.
pub fn throttled(service: Service) -> AwsError {
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
        Service::Lambda => AwsError::new("TooManyRequestsException", "Rate Exceeded.").status(429),
        Service::Sts | Service::CloudFormation => AwsError::new("Throttling", "Rate exceeded"),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let mut buckets = Buckets::default();
        let limits = [("CreateAccount".to_owned(), rate(0.1, 3.0))];
        let mut at = |seconds| buckets.take(&limits, DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds));
        assert_eq!([at(0), at(0), at(0), at(0)], [true, true, true, false]);
        assert!(!at(9));
        assert!(at(10), "a refused call costs nothing");
        assert!(!at(11));
    }

    #[test]
    fn a_call_that_one_bucket_refuses_costs_the_other_nothing() {
        let mut buckets = Buckets::default();
        let now = DateTime::UNIX_EPOCH;
        let narrow = ("narrow".to_owned(), rate(1.0, 1.0));
        let wide = ("wide".to_owned(), rate(1.0, 2.0));
        assert!(buckets.take(&[wide.clone(), narrow.clone()], now));
        assert!(!buckets.take(&[wide.clone(), narrow], now));
        assert!(buckets.take(&[wide], now));
    }
}
