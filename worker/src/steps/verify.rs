//! Verifies regions, stack and access of the environment. An environment is ready only after this step.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use freehold_tenancy::Region;
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::environment_stack::StackSlot;
use freehold_tenancy::wait_reason::WaitReason;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::shared::check_target::CheckTarget;
use super::shared::region_checks::{self, CHECK_MAX_AGE, CheckedRegion};
use super::{StepResult, grant_access};
use crate::cloud::{CloudErrorKind, Grant};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// Checks of this step in the order in which they run.
const CHECKS: [Check; 4] =
    [Check::HomeRegionAllowed, Check::OtherRegionsDenied, Check::StackResponds, Check::AccessAssigned];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Check {
    // The keys of the fact `proofs` must not change, because running operations have them in their journal.
    #[serde(rename = "home_is_open")]
    HomeRegionAllowed,
    #[serde(rename = "elsewhere_is_shut")]
    OtherRegionsDenied,
    #[serde(rename = "it_answers")]
    StackResponds,
    #[serde(rename = "access_is_granted")]
    AccessAssigned,
}

pub(crate) async fn run(context: &StepContext) -> StepResult {
    // A failed call does not invalidate the checks that passed before it.
    let mut passed: BTreeMap<Check, DateTime<Utc>> = context.step_fact("proofs").unwrap_or_default();
    passed.retain(|_, at| context.now() - *at < CHECK_MAX_AGE);
    let mut visible: BTreeMap<String, DateTime<Utc>> = context.step_fact("shown").unwrap_or_default();
    visible.retain(|_, at| context.now() - *at < CHECK_MAX_AGE);
    let home = CheckedRegion::of(context, StackSlot::Home, context.environment().home_region).await?;
    for check in CHECKS {
        if passed.contains_key(&check) {
            continue;
        }
        let pending = match check {
            Check::HomeRegionAllowed => home.check_allowed(context).await,
            Check::OtherRegionsDenied => check_other_regions(context).await,
            Check::StackResponds => home.check_stack(context).await,
            Check::AccessAssigned => check_access(context, &mut visible).await,
        };
        let outcome = match pending {
            Ok(None) => {
                passed.insert(check, context.now());
                continue;
            }
            Ok(Some(reason)) => region_checks::poll_check(context, reason).await,
            Err(error) => Err(error),
        };
        let outcome = outcome.unwrap_or_else(StepOutcome::failed);
        return Ok(outcome.with("proofs", json!(passed)).with("shown", json!(visible)));
    }
    Ok(verified(context, &home))
}

/// Returns the outcome with the verified values as facts.
fn verified(context: &StepContext, home: &CheckedRegion) -> StepOutcome {
    StepOutcome::done()
        .with("denied_in", region_checks::outside_region(context).map(Region::as_str))
        .with("answered_at", home.target(context).ok().map(CheckTarget::into_name))
}

/// Checks that the guardrail denies a read in a region outside the residency. A denial because of a missing permission
/// is not sufficient.
async fn check_other_regions(context: &StepContext) -> Result<Option<WaitReason>, StepError> {
    let Some(region) = region_checks::outside_region(context) else { return Ok(None) };
    let pending = Some(WaitReason::GuardrailDenial { region });
    match context.aws().read_in_region(&context.account()?, region).await {
        Err(error) if error.kind == (CloudErrorKind::Denied { explicit_deny: true }) => Ok(None),
        Ok(()) => Ok(pending),
        Err(error)
            if matches!(error.kind, CloudErrorKind::Denied { explicit_deny: false } | CloudErrorKind::NotYet) =>
        {
            Ok(pending)
        }
        Err(error) => Err(error.into()),
    }
}

/// Checks that every declared assignment is visible in AWS.
///
/// `visible` contains the assignments that earlier runs have found. They are not checked again, because each check
/// takes an AWS call and the rate limit may interrupt a run before it has checked all assignments.
async fn check_access(
    context: &StepContext,
    visible: &mut BTreeMap<String, DateTime<Utc>>,
) -> Result<Option<WaitReason>, StepError> {
    let grants: BTreeMap<String, Grant> = context.fact("grants").ok_or_else(|| {
        StepError::needs_attention(
            AttentionCode::GrantsUnknown,
            "The journal does not contain the granted access, so it cannot be verified. Report this as a defect, have \
             the journal repaired, then retry.",
        )
    })?;
    let account = context.account()?;
    for (name, grant) in &grants {
        if visible.contains_key(name) {
            continue;
        }
        if !grant_access::is_granted(context, &account, grant).await? {
            return Ok(Some(WaitReason::AssignmentVisible { name: name.clone() }));
        }
        visible.insert(name.clone(), context.now());
    }
    Ok(None)
}
