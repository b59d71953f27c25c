//! AWS's rates, obeyed before the call instead of discovered by being throttled; shared by all workers.

use chrono::TimeDelta;
use freehold_tenancy::Clock;
use freehold_tenancy::clock::seconds;
use freehold_tenancy::config::{Quotas, Rate};
use freehold_tenancy::db::{PgPool, quotas};

use crate::cloud::{CloudError, Kind};

/// Calls a second and burst, for one caller account. Sources: "Quotas for AWS Organizations", "IAM Identity Center
/// quotas", "Quotas for AWS Account Management". What is not listed has no known rate.
const RATES: &[(&str, f64, u32)] = &[
    ("organizations:CreateAccount", 0.1, 3),
    ("organizations:CloseAccount", 0.05, 1),
    ("organizations:DescribeAccount", 20.0, 30),
    ("organizations:DescribeCreateAccountStatus", 2.0, 2),
    ("organizations:ListCreateAccountStatus", 5.0, 8),
    ("organizations:ListAccounts", 8.0, 12),
    ("organizations:ListParents", 5.0, 8),
    ("organizations:ListAccountsForParent", 5.0, 8),
    ("organizations:DescribeOrganization", 1.0, 2),
    ("organizations:CreateOrganizationalUnit", 1.0, 2),
    ("organizations:MoveAccount", 2.0, 3),
    ("organizations:CreatePolicy", 2.0, 3),
    ("organizations:UpdatePolicy", 2.0, 3),
    ("organizations:AttachPolicy", 2.0, 3),
    ("organizations:DetachPolicy", 2.0, 3),
    ("organizations:TagResource", 4.0, 6),
    ("organizations:ListTagsForResource", 10.0, 15),
    ("account:EnableRegion", 1.0, 1),
    ("account:GetRegionOptStatus", 5.0, 5),
    ("account:ListRegions", 5.0, 5),
    ("sso", 20.0, 20),
    ("identitystore", 20.0, 20),
];

/// The buckets of this installation.
#[derive(Debug, Clone)]
pub struct Limits {
    pool: PgPool,
    clock: Clock,
    quotas: Quotas,
}

impl Limits {
    /// The buckets in the database of `pool`, with the rates that `quotas` sets beside AWS's own.
    pub fn new(pool: PgPool, clock: Clock, quotas: Quotas) -> Self {
        Self { pool, clock, quotas }
    }

    /// Takes leave to make `call`, such as `organizations:MoveAccount`; where there is none now, the error says when.
    pub async fn take(&self, call: &'static str) -> Result<(), CloudError> {
        let Some((bucket, rate)) = self.bucket(call) else { return Ok(()) };
        let now = self.clock.now();
        match quotas::take_token(&self.pool, bucket, interval(rate), rate.burst, now).await {
            Ok(None) => Ok(()),
            Ok(Some(until)) => Err(CloudError {
                kind: Kind::Quota { until: Some(until) },
                call,
                code: "RateReached".to_owned(),
                message: format!("AWS allows {} a second, and those are used up", rate.per_second),
                request_id: None,
            }),
            Err(error) => Err(CloudError {
                // The call was not made, and a moment later the database may answer again.
                kind: Kind::Wait,
                call,
                code: "RateUnknown".to_owned(),
                message: error.to_string(),
                request_id: None,
            }),
        }
    }

    /// Notes that AWS throttled `call` although leave was taken: somebody else is calling too.
    pub async fn throttled(&self, call: &'static str) {
        metrics::counter!("freehold_aws_throttled_total", "call" => call).increment(1);
        let Some((bucket, rate)) = self.bucket(call) else { return };
        let emptied = quotas::empty_bucket(&self.pool, bucket, interval(rate), rate.burst, self.clock.now()).await;
        if let Err(error) = emptied {
            tracing::warn!(%error, call, "a throttled call could not be noted");
        }
    }

    /// The bucket of a call: its own, or the one that its service's calls share.
    fn bucket(&self, call: &'static str) -> Option<(&'static str, Rate)> {
        bucket(call, &self.quotas)
    }
}

/// The bucket of a call and its rate, as `quotas` has it or else AWS.
pub(crate) fn bucket(call: &'static str, quotas: &Quotas) -> Option<(&'static str, Rate)> {
    let service = call.split(':').next().unwrap_or(call);
    let (bucket, per_second, burst) = RATES.iter().copied().find(|(name, ..)| *name == call || *name == service)?;
    let own = quotas.rates.get(bucket).copied();
    Some((bucket, own.unwrap_or(Rate { per_second, burst })))
}

fn interval(rate: Rate) -> TimeDelta {
    seconds(1.0 / rate.per_second)
}
