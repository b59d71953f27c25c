//! Fleet holds. Account requests that AWS would reject for every tenant are paused for the whole fleet. One alert is
//! raised, and one operation probes AWS for all others. Account requests also wait while an operator has paused vending
//! or a configured maximum number of accounts is reached.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::db::fleet_holds::{self, Admission, ProbeBackoff, WAKE_SPACING};
use freehold_tenancy::db::quotas::QuotaSlot;
use freehold_tenancy::fleet_hold::HoldKind;
use freehold_tenancy::vending::VendingStop;
use freehold_tenancy::wait_reason::WaitReason;

use super::StepContext;
use crate::cloud::CloudError;
use crate::step_outcome::StepError;

/// Delay after which the next operation in the queue takes over a probe that the first one has not started.
const PROBE_TAKEOVER_DELAY: TimeDelta = TimeDelta::minutes(1);

/// Time between the deadline of a probe's account creation and the time at which the probe is considered failed.
const PROBE_GRACE_PERIOD: TimeDelta = TimeDelta::minutes(1);

/// Number of queue positions that each add a minute to the retry time. Operations further back all retry at the same
/// time.
const MAX_ORDERED_POSITION: i64 = 60;

/// Interval at which a queued operation checks whether accounts may be created again.
const STOPPED_CHECK_INTERVAL: TimeDelta = TimeDelta::minutes(15);

/// Minimum time until the next check while a maximum number of accounts is reached.
const MIN_CHECK_INTERVAL: TimeDelta = TimeDelta::seconds(30);

/// Permission to request an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CreationPermit {
    /// No hold is active; the operation still needs a slot.
    Free,
    /// The operation has a slot and requests an account despite the hold, to test whether AWS accepts requests again.
    Probe,
}

/// Returns the first and the longest interval between the probes of a fleet hold.
pub(super) fn probe_backoff(kind: HoldKind) -> ProbeBackoff {
    match kind {
        // Fifteen minutes at first, because the quota may be raised soon; later an hourly call is sufficient.
        HoldKind::AccountQuotaReached => ProbeBackoff { first: TimeDelta::minutes(15), max: TimeDelta::hours(1) },
        // "This can take up to an hour" (Organizations API Reference, FinalizingOrganizationException).
        HoldKind::OrganizationFinalizing => ProbeBackoff { first: TimeDelta::hours(1), max: TimeDelta::hours(1) },
        // A probe of the same template can succeed only if the cause is outside the template.
        HoldKind::TemplateRejected => ProbeBackoff { first: TimeDelta::hours(1), max: TimeDelta::hours(6) },
        // The workers probe by themselves, and this hold is derived from their checks.
        HoldKind::WorkersWithoutAwsAccess => ProbeBackoff { first: TimeDelta::zero(), max: TimeDelta::zero() },
    }
}

/// Returns the kind of fleet hold for an error that affects every tenant, or `None` for an error that affects one
/// tenant only.
pub(crate) fn hold_kind(error: &CloudError) -> Option<HoldKind> {
    if error.has_reason("ACCOUNT_NUMBER_LIMIT_EXCEEDED") {
        Some(HoldKind::AccountQuotaReached)
    } else if error.code == "FinalizingOrganizationException" {
        Some(HoldKind::OrganizationFinalizing)
    } else {
        None
    }
}

/// Returns the error that makes the step wait while no account may be created.
pub(super) fn vending_stopped(stop: VendingStop, now: DateTime<Utc>) -> StepError {
    let until = match &stop {
        VendingStop::DailyCeilingReached { until, .. } => (*until).max(now + MIN_CHECK_INTERVAL),
        // Resuming wakes the queue; a changed configuration is noticed by this check.
        VendingStop::Paused { .. } | VendingStop::CeilingReached { .. } => now + STOPPED_CHECK_INTERVAL,
    };
    StepError::Blocked { reason: WaitReason::VendingStopped(stop), until: Some(until), at_most: None }
}

impl StepContext {
    /// Returns a permit for the account request of `slot`. While a fleet hold is active, queues the operation without a
    /// slot.
    pub(crate) async fn admit_account_request(&self, slot: &QuotaSlot) -> Result<CreationPermit, StepError> {
        let now = self.now();
        let creation = self.config().timeouts.account_creation_seconds;
        let until = now + TimeDelta::seconds(i64::try_from(creation).unwrap_or(i64::MAX / 1000)) + PROBE_GRACE_PERIOD;
        let ceilings = self.config().quotas.account_ceilings();
        let (pool, claim) = (&self.services.pool, &self.claim);
        match fleet_holds::admit(pool, claim, slot, until, PROBE_TAKEOVER_DELAY, ceilings, now).await? {
            Admission::Stopped(stop) => Err(vending_stopped(stop, now)),
            Admission::Free => Ok(CreationPermit::Free),
            Admission::Probe => Ok(CreationPermit::Probe),
            Admission::Held { kind, probe_at, ahead } => {
                // A running probe wakes the queued operations when it finishes.
                let next_probe = if probe_at > now { probe_at } else { now + PROBE_TAKEOVER_DELAY };
                let until =
                    next_probe + PROBE_TAKEOVER_DELAY * i32::try_from(ahead.min(MAX_ORDERED_POSITION)).unwrap_or(0);
                Err(StepError::Blocked { reason: WaitReason::FleetHold(kind), until: Some(until), at_most: None })
            }
        }
    }

    /// Starts a hold, because AWS rejects the request of `slot` for every tenant. Raises one alert per hold. Returns
    /// the error that makes the step wait.
    pub(crate) async fn start_fleet_hold(&self, slot: &QuotaSlot, kind: HoldKind) -> Result<StepError, StepError> {
        let started =
            fleet_holds::start(&self.services.pool, &self.claim, slot, kind, probe_backoff(kind), self.now()).await?;
        if started.is_new {
            let (code, work) = (kind.as_str(), slot.quota.as_str());
            tracing::error!(target: "freehold::alert", code, work, "{}", kind.message());
            metrics::counter!("freehold_fleet_holds_total", "kind" => kind.as_str()).increment(1);
        }
        Ok(StepError::Blocked { reason: WaitReason::FleetHold(kind), until: Some(started.probe_at), at_most: None })
    }

    /// Lifts the hold that this operation is probing, because AWS has accepted the request, and wakes the queue. If
    /// `only` is set, lifts only a hold of that kind.
    pub(crate) async fn lift_fleet_hold(&self, slot: &QuotaSlot, only: Option<HoldKind>) -> Result<(), StepError> {
        if let Some(kind) = fleet_holds::lift(&self.services.pool, &self.claim, slot.quota, only).await? {
            let (code, work) = (kind.as_str(), slot.quota.as_str());
            tracing::info!(target: "freehold::alert", code, work, "fleet hold {code} of {work} is lifted");
            self.wake_in_order(slot).await?;
        }
        Ok(())
    }

    /// Transfers the probe to the next operation in the queue, because the result of this operation does not show
    /// whether AWS still rejects requests.
    pub(crate) async fn hand_over_probe(&self, slot: &QuotaSlot) -> Result<(), StepError> {
        if fleet_holds::end_probe(&self.services.pool, &self.claim, slot.quota).await? {
            self.wake_in_order(slot).await?;
        }
        Ok(())
    }

    async fn wake_in_order(&self, slot: &QuotaSlot) -> Result<(), StepError> {
        let limit = slot.quota.limit(&self.config().quotas);
        if fleet_holds::wake_in_order(&self.services.pool, slot.quota, limit, WAKE_SPACING, self.now()).await? > 0 {
            self.services.work_notifier.notify();
        }
        Ok(())
    }
}
