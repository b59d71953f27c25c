//! AWS's rates, obeyed before the call instead of discovered by being throttled; shared by all workers.

use freehold_tenancy::Clock;
use freehold_tenancy::config::Quotas;
use freehold_tenancy::db::rates::{self, CallRate};
use freehold_tenancy::db::{DbError, PgPool};
use freehold_tenancy::quota::Quota;

use crate::cloud::{CloudError, CloudErrorKind};

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
        if Quota::permits(call) {
            // Who is in line for a place gets the two together, so that the rate too is first come, first served.
            return Ok(());
        }
        let Some(pace) = CallRate::of(&self.quotas, call) else { return Ok(()) };
        match rates::take_or_wait(&self.pool, &pace, self.clock.now()).await {
            Ok(None) => Ok(()),
            Ok(Some(until)) => Err(CloudError {
                kind: CloudErrorKind::Throttled { until: Some(until) },
                call,
                code: "RateReached".to_owned(),
                message: format!("AWS allows {} a second, and those are used up", pace.per_second()),
                request_id: None,
            }),
            Err(error) => Err(unknown(call, &error)),
        }
    }

    /// Notes that AWS throttled `call` although leave was taken, and answers the error with when to ask again: somebody
    /// else is calling too, or AWS allows less than it says. All workers call it less often from now on.
    pub async fn throttled(&self, call: &'static str, mut error: CloudError) -> CloudError {
        metrics::counter!("freehold_aws_throttled_total", "call" => call).increment(1);
        let Some(pace) = CallRate::of(&self.quotas, call) else { return error };
        match rates::record_throttle(&self.pool, &pace, self.clock.now()).await {
            Ok(next) => error.kind = CloudErrorKind::Throttled { until: Some(next) },
            Err(failure) => tracing::warn!(error = %failure, call, "a throttled call could not be noted"),
        }
        error
    }
}

/// The call was not made, and a moment later the database may answer again.
fn unknown(call: &'static str, error: &DbError) -> CloudError {
    CloudError {
        kind: CloudErrorKind::NotYet,
        call,
        code: "RateUnknown".to_owned(),
        message: error.to_string(),
        request_id: None,
    }
}
