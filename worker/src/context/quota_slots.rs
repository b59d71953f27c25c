//! Slots of AWS quotas and the queue for them.

use chrono::TimeDelta;
use freehold_tenancy::db::quotas::{self, QuotaLimits, QuotaSlot, SlotResult};
use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;
use freehold_tenancy::wait_reason::WaitReason;

use super::fleet_holds::vending_stopped;
use super::{StepContext, seconds_of};
use crate::shared_poller;
use crate::step_outcome::StepError;

impl StepContext {
    /// Returns the slot that this step uses for `item` under `quota`.
    pub fn slot(&self, quota: Quota, item: impl Into<String>) -> QuotaSlot {
        QuotaSlot { quota, step: self.step, item: item.into() }
    }

    /// Acquires a slot. If the quota and its AWS call share one queue, also takes a token from the call's rate limit.
    /// Without a free slot, returns an error that keeps the operation in the queue.
    pub async fn acquire_slot(&self, slot: &QuotaSlot, limit: u16) -> Result<(), StepError> {
        let result = match self.try_acquire(slot, limit).await? {
            // Other programs in the organisation use slots too, so the requests in progress at AWS are counted first.
            SlotResult::UsageUnknown if shared_poller::refresh_usage(&self.services, slot.quota).await?? => {
                self.try_acquire(slot, limit).await?
            }
            result => result,
        };
        let quota = slot.quota;
        let (reason, until) = match result {
            SlotResult::Granted => return Ok(()),
            // A released slot wakes the next operation in the queue. The check is needed only if that wake-up is lost.
            SlotResult::Queued { ahead } => {
                (WaitReason::Quota { quota, limit }, self.now() + queue_check_interval(ahead, limit))
            }
            SlotResult::RateLimited { until } => {
                let call = quota.rate_limited_call().unwrap_or(quota.as_str()).to_owned();
                (WaitReason::RateLimit { call }, until)
            }
            SlotResult::Stopped(stop) => return Err(vending_stopped(stop, self.now())),
            SlotResult::UsageUnknown => (WaitReason::QuotaUsageKnown(quota), self.now() + TimeDelta::seconds(2)),
        };
        Err(StepError::Blocked { reason, until: Some(until), at_most: None })
    }

    async fn try_acquire(&self, slot: &QuotaSlot, limit: u16) -> Result<SlotResult, StepError> {
        let (services, quotas) = (&self.services, &self.config().quotas);
        let limits = QuotaLimits {
            limit,
            limit_per_environment: slot.quota.limit_per_account(quotas),
            maintenance_delay: seconds_of(quotas.maintenance_delay_seconds),
            call_rate: services.rate_limit_of_quota(slot.quota),
            counted_since: match slot.quota {
                Quota::AccountCreations => Some(shared_poller::usage_valid_since(services, slot.quota).await?),
                _ => None,
            },
            ceilings: (slot.quota == Quota::AccountCreations).then(|| quotas.account_ceilings()),
        };
        Ok(quotas::acquire(&services.pool, &self.claim, slot, &limits, self.now()).await?)
    }

    /// Records the request id of the work that uses the slot, and the step that waits for it.
    pub async fn record_request_id(
        &self,
        slot: &QuotaSlot,
        request_id: &str,
        waiting_step: StepName,
    ) -> Result<(), StepError> {
        quotas::note_request(&self.services.pool, &self.claim, slot, request_id, waiting_step, self.now()).await?;
        Ok(())
    }

    /// Returns the ids in `requests` that are not recorded for another slot. They may include a request whose response
    /// was lost.
    pub async fn unclaimed_requests(&self, slot: &QuotaSlot, requests: &[String]) -> Result<Vec<String>, StepError> {
        Ok(quotas::unclaimed(&self.services.pool, &self.claim, slot, requests).await?)
    }

    /// Queues the operation again, because another program in the organisation uses the slot.
    pub async fn requeue(&self, slot: &QuotaSlot) -> Result<(), StepError> {
        quotas::requeue(&self.services.pool, &self.claim, slot).await?;
        Ok(())
    }
}

/// Returns the time after which a queued operation checks the queue if nothing has woken it. The time grows with the
/// queue position.
fn queue_check_interval(ahead: i64, limit: u16) -> TimeDelta {
    let ahead = (ahead - i64::from(limit)).clamp(0, 1_000);
    TimeDelta::seconds((30 + 5 * ahead).min(15 * 60))
}
