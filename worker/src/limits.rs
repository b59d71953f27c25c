//! Rate limits of AWS calls, shared by all workers. They are applied before a call, so that AWS rarely throttles.

use freehold_tenancy::Clock;
use freehold_tenancy::config::Quotas;
use freehold_tenancy::db::rates::{self, CallRate};
use freehold_tenancy::db::{DbError, PgPool};
use freehold_tenancy::quota::Quota;

use crate::cloud::{CloudError, CloudErrorKind};

/// The token buckets of an installation.
#[derive(Debug, Clone)]
pub struct Limits {
    pool: PgPool,
    clock: Clock,
    quotas: Quotas,
}

impl Limits {
    /// Creates the limits: AWS's published rates, with the overrides of `quotas`. The buckets are in the database.
    pub fn new(pool: PgPool, clock: Clock, quotas: Quotas) -> Self {
        Self { pool, clock, quotas }
    }

    /// Takes a token for `call`, such as `organizations:MoveAccount`. If there is none, the error holds the retry time.
    pub async fn take(&self, call: &'static str) -> Result<(), CloudError> {
        if Quota::permits(call) {
            // A queued operation gets its token together with its slot, so that both are first come, first served.
            return Ok(());
        }
        let Some(rate) = CallRate::of(&self.quotas, call) else { return Ok(()) };
        match rates::take_or_wait(&self.pool, &rate, self.clock.now()).await {
            Ok(None) => Ok(()),
            Ok(Some(until)) => Err(CloudError {
                kind: CloudErrorKind::Throttled { until: Some(until) },
                call,
                code: "RateReached".to_owned(),
                message: format!("the rate limit of {} calls per second is reached", rate.per_second()),
                request_id: None,
            }),
            Err(error) => Err(unknown(call, &error)),
        }
    }

    /// Records that AWS throttled `call` despite a token, and lowers its rate for all workers. The cause is another
    /// client in the organisation, or a rate lower than published. Returns the error with the time to retry.
    pub async fn throttled(&self, call: &'static str, mut error: CloudError) -> CloudError {
        metrics::counter!("freehold_aws_throttled_total", "call" => call).increment(1);
        let Some(rate) = CallRate::of(&self.quotas, call) else { return error };
        match rates::record_throttle(&self.pool, &rate, self.clock.now()).await {
            Ok(next) => error.kind = CloudErrorKind::Throttled { until: Some(next) },
            Err(failure) => tracing::warn!(error = %failure, call, "cannot record that AWS throttled {call}"),
        }
        error
    }
}

/// Creates the error of a call that was not made because the database is unavailable.
fn unknown(call: &'static str, error: &DbError) -> CloudError {
    CloudError {
        kind: CloudErrorKind::NotYet,
        call,
        code: "RateUnknown".to_owned(),
        message: error.to_string(),
        request_id: None,
    }
}
