//! Places under AWS's quotas, and the line for them.

use chrono::TimeDelta;
use freehold_tenancy::db::quotas::{self, QuotaLimits, QuotaSlot, SlotResult};
use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;

use super::{StepContext, seconds_of};
use crate::shared_poller;
use crate::step_outcome::StepError;

impl StepContext {
    /// A place of this step's under `quota`.
    pub fn slot(&self, quota: Quota, item: impl Into<String>) -> QuotaSlot {
        QuotaSlot { quota, step: self.step, item: item.into() }
    }

    /// Takes a place under its quota, with leave to make the call that it is for where that has a line of its own, or says
    /// how long the line is.
    pub async fn acquire_slot(&self, place: &QuotaSlot, limit: u16) -> Result<(), StepError> {
        let line = match self.ask(place, limit).await? {
            // Somebody else in the organisation may have taken the place: what is in progress is counted first.
            SlotResult::UsageUnknown if shared_poller::refresh_usage(&self.services, place.quota).await?? => {
                self.ask(place, limit).await?
            }
            line => line,
        };
        let why =
            || format!("a place under AWS's limit of {limit} {} at a time", place.quota.as_str().replace('-', " "));
        let (why, until) = match line {
            SlotResult::Granted => return Ok(()),
            // Whoever gives a place back wakes the next in line; this is for when that wake-up is lost.
            SlotResult::Queued { ahead } => (why(), self.now() + pause_in_line(ahead, limit)),
            SlotResult::RateLimited { until } => {
                (format!("AWS's limit on {}", place.quota.rate_limited_call().unwrap_or(place.quota.as_str())), until)
            }
            SlotResult::UsageUnknown => {
                let why = format!("a count of the {} that AWS has in progress", place.quota.as_str().replace('-', " "));
                (why, self.now() + TimeDelta::seconds(2))
            }
        };
        Err(StepError::Blocked { why, until: Some(until), at_most: None })
    }

    async fn ask(&self, place: &QuotaSlot, limit: u16) -> Result<SlotResult, StepError> {
        let (services, quotas) = (&self.services, &self.config().quotas);
        let terms = QuotaLimits {
            limit,
            limit_each: place.quota.limit_per_account(quotas),
            yields: seconds_of(quotas.maintenance_delay_seconds),
            call_rate: services.rate_limit_of_quota(place.quota),
            counted_since: match place.quota {
                Quota::AccountCreations => Some(shared_poller::usage_valid_since(services, place.quota).await?),
                _ => None,
            },
        };
        Ok(quotas::acquire(&services.pool, &self.claim, place, &terms, self.now()).await?)
    }

    /// Notes that AWS calls the work that has this place `request_id`, and that the step `timeouts` waits for its end.
    pub async fn record_request_id(
        &self,
        place: &QuotaSlot,
        request_id: &str,
        waits: StepName,
    ) -> Result<(), StepError> {
        quotas::note_request(&self.services.pool, &self.claim, place, request_id, waits, self.now()).await?;
        Ok(())
    }

    /// Those of `requests` that may be what was asked for with this place, and whose id was lost with the answer.
    pub async fn unclaimed(&self, place: &QuotaSlot, requests: &[String]) -> Result<Vec<String>, StepError> {
        Ok(quotas::unclaimed(&self.services.pool, &self.claim, place, requests).await?)
    }

    /// Goes back into the line for a place that somebody else in the organisation has turned out to have taken.
    pub async fn step_back(&self, place: &QuotaSlot) -> Result<(), StepError> {
        quotas::requeue(&self.services.pool, &self.claim, place).await?;
        Ok(())
    }
}

/// How long to wait in line before looking whether the line has moved, though nobody has said so: the longer, the more are
/// ahead.
fn pause_in_line(ahead: i64, limit: u16) -> TimeDelta {
    let ahead = (ahead - i64::from(limit)).clamp(0, 1_000);
    TimeDelta::seconds((30 + 5 * ahead).min(15 * 60))
}
