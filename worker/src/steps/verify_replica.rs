//! Verifies a replica: the guardrail allows its region, and its stack responds.

use chrono::{DateTime, Utc};
use freehold_tenancy::environment_stack::StackSlot;

use super::StepResult;
use super::shared::NO_REPLICA;
use super::shared::check_target::CheckTarget;
use super::shared::region_checks::{self, CHECK_MAX_AGE, CheckedRegion};
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

/// Fact with the time at which a read in the region was allowed.
const ALLOWED_FACT: &str = "region_allowed_at";

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let Some(replica) = context.replica() else { return Ok(StepOutcome::skipped(NO_REPLICA)) };
    let checked = CheckedRegion::of(context, StackSlot::Replica(replica.slot), replica.region).await?;
    let allowed_at: Option<DateTime<Utc>> = context.step_fact(ALLOWED_FACT);
    let allowed_at = match allowed_at.filter(|at| context.now() - *at < CHECK_MAX_AGE) {
        Some(at) => at,
        None => match checked.check_allowed(context).await? {
            None => context.now(),
            Some(reason) => return region_checks::poll_check(context, reason).await,
        },
    };
    let outcome = match checked.check_stack(context).await {
        Ok(None) => verified(context, &checked),
        Ok(Some(reason)) => region_checks::poll_check(context, reason).await.unwrap_or_else(StepOutcome::failed),
        Err(error) => StepOutcome::failed(error),
    };
    // A failed call does not invalidate the check that passed before it.
    Ok(outcome.with(ALLOWED_FACT, allowed_at.to_rfc3339()))
}

/// Returns the outcome with the verified values as facts.
fn verified(context: &StepContext, checked: &CheckedRegion) -> StepOutcome {
    let outcome = StepOutcome::done().with("region", checked.region.as_str());
    match checked.target(context) {
        Ok(CheckTarget::Url(url)) => outcome.with("answered_at", url.clone()).with("url", url),
        Ok(target @ CheckTarget::Function(_)) => outcome.with("answered_at", target.into_name()),
        Err(_) => outcome,
    }
}
