//! What AWS refuses one tenant and would refuse every other is held for the fleet: one alert, and one operation that asks
//! again on behalf of all.

use chrono::TimeDelta;
use freehold_tenancy::db::fleet_holds::{self, Admission, ProbeBackoff};
use freehold_tenancy::db::quotas::QuotaSlot;
use freehold_tenancy::fleet_hold::HoldKind;

use crate::cloud::CloudError;
use crate::context::StepContext;
use crate::quota;
use crate::step::StepError;

/// How much later than the first in line the next one probes, should the first not come.
const PROBE_TAKEOVER_DELAY: TimeDelta = TimeDelta::minutes(1);

/// How long after its deadline a creation that probes is no longer waited for.
const PROBE_GRACE: TimeDelta = TimeDelta::minutes(1);

/// Those in line look again a minute apart, as they stand; further back, all at once.
const MAX_ORDERED_POSITION: i64 = 60;

/// How far apart those in line are woken, so that they ask in their order; AWS allows a creation each ten seconds.
const WAKE_SPACING: TimeDelta = TimeDelta::milliseconds(500);

/// How an operation may ask for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CreationPermit {
    /// As ever.
    Free,
    /// In spite of a hold: to find out whether it is still needed. It has a place.
    Probe,
}

/// How long nobody asks after a refusal.
fn pause(kind: HoldKind) -> ProbeBackoff {
    match kind {
        // A raised quota is worth fifteen minutes; one that nobody raises, a call an hour.
        HoldKind::AccountQuotaReached => ProbeBackoff { first: TimeDelta::minutes(15), longest: TimeDelta::hours(1) },
        // "This can take up to an hour" (Organizations API Reference, FinalizingOrganizationException).
        HoldKind::OrganizationFinalizing => ProbeBackoff { first: TimeDelta::hours(1), longest: TimeDelta::hours(1) },
    }
}

/// The hold that follows from a refusal, if one does.
pub(crate) fn cause(error: &CloudError) -> Option<HoldKind> {
    if error.has_reason("ACCOUNT_NUMBER_LIMIT_EXCEEDED") {
        Some(HoldKind::AccountQuotaReached)
    } else if error.code == "FinalizingOrganizationException" {
        Some(HoldKind::OrganizationFinalizing)
    } else {
        None
    }
}

/// Lets the operation ask for what `place` is for, unless that is held: then it stands in line without a place.
pub(crate) async fn admit(context: &StepContext, place: &QuotaSlot) -> Result<CreationPermit, StepError> {
    let now = context.now();
    let creation = context.config().timeouts.account_creation_seconds;
    let until = now + TimeDelta::seconds(i64::try_from(creation).unwrap_or(i64::MAX / 1000)) + PROBE_GRACE;
    match fleet_holds::admit(&context.worker.pool, &context.claim, place, until, PROBE_TAKEOVER_DELAY, now).await? {
        Admission::Free => Ok(CreationPermit::Free),
        Admission::Probe => Ok(CreationPermit::Probe),
        Admission::Held { kind, probe_at, ahead } => {
            // Where a probe is under way, its end wakes the line.
            let look_at = if probe_at > now { probe_at } else { now + PROBE_TAKEOVER_DELAY };
            let until = look_at + PROBE_TAKEOVER_DELAY * i32::try_from(ahead.min(MAX_ORDERED_POSITION)).unwrap_or(0);
            Err(StepError::Blocked { why: kind.waits_for().to_owned(), until: Some(until), at_most: None })
        }
    }
}

/// AWS has refused what `place` is for as it would refuse everybody: nobody asks until a probe, and who is on call hears of
/// it once. Answers how the operation itself goes on.
pub(crate) async fn begin(context: &StepContext, place: &QuotaSlot, kind: HoldKind) -> Result<StepError, StepError> {
    let begun =
        fleet_holds::start(&context.worker.pool, &context.claim, place, kind, pause(kind), context.now()).await?;
    if begun.is_new {
        tracing::error!(target: "freehold::alert", code = kind.as_str(), work = place.quota, "{}", kind.message());
        metrics::counter!("freehold_fleet_holds_total", "kind" => kind.as_str()).increment(1);
    }
    Ok(StepError::Blocked { why: kind.waits_for().to_owned(), until: Some(begun.probe_at), at_most: None })
}

/// AWS has done what `place` is for: where this operation was probing a hold (of one kind, if `only` names one), that is
/// lifted, and the line goes on in its order.
pub(crate) async fn lift(context: &StepContext, place: &QuotaSlot, only: Option<HoldKind>) -> Result<(), StepError> {
    if let Some(kind) = fleet_holds::lift(&context.worker.pool, &context.claim, place.quota, only).await? {
        tracing::info!(target: "freehold::alert", code = kind.as_str(), work = place.quota, "the hold is lifted");
        wake_queue(context, place).await?;
    }
    Ok(())
}

/// The probe came to an end that says nothing about the hold: the next in line probes.
pub(crate) async fn hand_over(context: &StepContext, place: &QuotaSlot) -> Result<(), StepError> {
    if fleet_holds::hand_over(&context.worker.pool, &context.claim, place.quota).await? {
        wake_queue(context, place).await?;
    }
    Ok(())
}

async fn wake_queue(context: &StepContext, place: &QuotaSlot) -> Result<(), StepError> {
    let places = quota::places(&context.config().quotas, place.quota);
    if fleet_holds::wake_in_order(&context.worker.pool, place.quota, places, WAKE_SPACING, context.now()).await? > 0 {
        context.worker.work_notifier.notify();
    }
    Ok(())
}
