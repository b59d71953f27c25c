//! Opts the account in to its home region, if the region requires opt-in.

use chrono::{DateTime, Utc};
use freehold_tenancy::Region;
use freehold_tenancy::quota::Quota;
use freehold_tenancy::wait_reason::WaitReason;

use super::StepResult;
use crate::cloud::RegionStatus;
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    enable(context, context.environment().home_region, "").await
}

/// Opts the account in to `region`, if the region requires opt-in. `item` distinguishes the slots of the operation.
pub(super) async fn enable(context: &StepContext, region: Region, item: &str) -> StepResult {
    if !region.is_opt_in() {
        return Ok(StepOutcome::skipped(format!("region {region} needs no opt-in")));
    }
    let account = context.account()?;
    let slot = context.slot(Quota::RegionOptIns, item);
    let pending_intent = || context.pending_intent::<Region>().map(|(_, at)| at);
    let since: DateTime<Utc> = context.step_fact("asked_at").or_else(pending_intent).unwrap_or_else(|| context.now());
    match context.aws().region_status(&account, region).await? {
        RegionStatus::Enabled => {
            let outcome = StepOutcome::done().with("region", region.as_str()).with_released_slot(slot);
            let is_requested = context.step_fact::<DateTime<Utc>>("asked_at").is_some();
            Ok(if is_requested {
                outcome.with("took_seconds", context.estimated_duration_seconds(since))
            } else {
                outcome
            })
        }
        RegionStatus::Enabling => wait(context, region, since).await,
        RegionStatus::Disabling | RegionStatus::Disabled => {
            context.acquire_slot(&slot, context.config().quotas.region_opt_ins).await?;
            context.record_intent(&region).await?;
            match context.aws().enable_region(&account, region).await {
                Ok(()) => Ok(wait(context, region, context.now()).await?.with("asked_at", context.now().to_rfc3339())),
                // After a concurrent change of the region, the next run reads the new status.
                Err(error) => Err(error.into()),
            }
        }
    }
}

async fn wait(context: &StepContext, region: Region, since: DateTime<Utc>) -> StepResult {
    let reason = WaitReason::RegionOptIn { region };
    let (expected, limits) = (&context.config().expected_durations, &context.config().timeouts);
    context.poll_later(reason, since, expected.region_opt_in_seconds, limits.region_opt_in_seconds).await
}
