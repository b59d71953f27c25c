//! Refusal of a request that would exceed the daily limit of accounts.

use freehold_tenancy::db::account_limit::LimitReached;

use crate::app::App;
use crate::problem::{ApiError, Code};

/// Seconds in `Retry-After` if the request can never be accepted as it is.
const ONE_DAY: u32 = 86_400;

/// Counts the refusal and returns it, with the number of accounts that remain and the time of the next attempt.
pub(in crate::routes) fn refuse(app: &App, reached: LimitReached) -> ApiError {
    app.metrics.record_account_limit_refusal();
    let LimitReached { maximum, requested, remaining, until } = reached;
    let advice = match until {
        Some(_) => "Send it again after Retry-After with the same Idempotency-Key, or request fewer environments.",
        None => "Request fewer environments.",
    };
    let plural = if requested == 1 { "" } else { "s" };
    let detail = format!(
        "The request needs {requested} account{plural}, but {remaining} of the limit of {maximum} accounts in 24 \
         hours remain (api.accounts_per_day). Nothing was created. {advice}"
    );
    let wait = until.map(|until| (until - app.clock.now()).num_seconds().max(1));
    let seconds = wait.map_or(ONE_DAY, |seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
    ApiError::new(Code::DailyAccountLimitReached, detail).retry_after(seconds)
}
