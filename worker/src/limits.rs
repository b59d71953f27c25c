//! Rate limits of AWS calls, shared by all workers. They are applied before a call, so that AWS rarely throttles.

use freehold_tenancy::Clock;
use freehold_tenancy::config::Quotas;
use freehold_tenancy::db::rates::{self, CallRate};
use freehold_tenancy::db::{DbError, PgPool};

use crate::cloud::{CloudError, CloudErrorKind};

/// Code of the error for a call that was not made because the database is unavailable.
pub(crate) const RATE_UNKNOWN: &str = "RateUnknown";

/// Rate limiter for AWS calls, shared by all workers of an installation.
#[derive(Debug, Clone)]
pub struct AwsRateLimiter {
    pool: PgPool,
    clock: Clock,
    quotas: Quotas,
}

impl AwsRateLimiter {
    /// Creates a rate limiter with AWS's published rates and the overrides of `quotas`. The token buckets are in the
    /// database.
    pub fn new(pool: PgPool, clock: Clock, quotas: Quotas) -> Self {
        Self { pool, clock, quotas }
    }

    /// Takes a token for `call`, such as `organizations:MoveAccount`. If no token is available, the error contains the
    /// retry time.
    pub async fn take_token(&self, call: &'static str) -> Result<(), CloudError> {
        // A call that counts answers takes its token together with a slot, so that slots and tokens are granted in the
        // order of one queue.
        let Some(rate) = self.rate_of(call).filter(|rate| !rate.counts_answers()) else { return Ok(()) };
        match rates::take_or_wait(&self.pool, &rate, self.clock.now()).await {
            Ok(None) => Ok(()),
            Ok(Some(until)) => {
                let kind = CloudErrorKind::Throttled { until: Some(until) };
                let message = format!("the rate limit of {} calls per second is reached", rate.per_second());
                Err(CloudError::from_freehold(kind, call, "RateReached", message))
            }
            Err(error) => Err(database_unavailable(call, &error)),
        }
    }

    /// Records that AWS has answered `call`, so that it has arrived there. Matters only for calls whose token is
    /// granted together with a slot.
    pub async fn record_answer(&self, call: &'static str) {
        let Some(rate) = self.rate_of(call).filter(CallRate::counts_answers) else { return };
        if let Err(failure) = rates::record_answer(&self.pool, &rate, self.clock.now()).await {
            tracing::warn!(error = %failure, call, "cannot record that AWS has answered {call}");
        }
    }

    /// Records that AWS throttled `call` although a token was taken, and lowers the rate of the call for all workers.
    /// The cause is another client in the organisation, or an AWS limit lower than published. Returns `error` with the
    /// retry time.
    pub async fn record_throttle(&self, call: &'static str, mut error: CloudError) -> CloudError {
        metrics::counter!("freehold_aws_throttled_total", "call" => call).increment(1);
        let Some(rate) = self.rate_of(call) else { return error };
        match rates::record_throttle(&self.pool, &rate, self.clock.now()).await {
            Ok(next) => error.kind = CloudErrorKind::Throttled { until: Some(next) },
            Err(failure) => tracing::warn!(error = %failure, call, "cannot record that AWS throttled {call}"),
        }
        error
    }

    fn rate_of(&self, call: &str) -> Option<CallRate> {
        Some(CallRate::of(&self.quotas, call)?.at_speed(self.clock.speed()))
    }
}

/// Creates the error for a call that was not made because the database is unavailable.
fn database_unavailable(call: &'static str, error: &DbError) -> CloudError {
    let message = format!("the call was not made, because its rate limit cannot be read: {error}");
    CloudError::from_freehold(CloudErrorKind::NotYet, call, RATE_UNKNOWN, message)
}
