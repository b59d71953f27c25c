//! Verifies regions, stack and access of the environment. An environment is ready only after this step.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Region;
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::step::StepName;
use freehold_tenancy::wait_reason::WaitReason;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::shared::check_target::{self, CheckTarget};
use super::shared::stack_update::missing_output;
use super::shared::{account_request, stack_response};
use super::{StepResult, grant_access};
use crate::cloud::{CloudErrorKind, Grant};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// Checks of this step in the order in which they run.
const CHECKS: [Check; 4] =
    [Check::HomeRegionAllowed, Check::OtherRegionsDenied, Check::StackResponds, Check::AccessAssigned];

/// Time for which a passed check remains valid while other checks wait.
const CHECK_MAX_AGE: TimeDelta = TimeDelta::minutes(15);

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

/// Time after which the state of the account is checked, because the account may be closed.
const CHECK_ACTIVE_AFTER: TimeDelta = TimeDelta::minutes(5);

pub(crate) async fn run(context: &StepContext) -> StepResult {
    // A failed call does not invalidate the checks that passed before it.
    let mut passed: BTreeMap<Check, DateTime<Utc>> = context.step_fact("proofs").unwrap_or_default();
    passed.retain(|_, at| context.now() - *at < CHECK_MAX_AGE);
    let mut visible: BTreeMap<String, DateTime<Utc>> = context.step_fact("shown").unwrap_or_default();
    visible.retain(|_, at| context.now() - *at < CHECK_MAX_AGE);
    for check in CHECKS {
        if passed.contains_key(&check) {
            continue;
        }
        let pending = match check {
            Check::HomeRegionAllowed => check_home_region(context).await,
            Check::OtherRegionsDenied => check_other_regions(context).await,
            Check::StackResponds => check_stack(context).await,
            Check::AccessAssigned => check_access(context, &mut visible).await,
        };
        let outcome = match pending {
            Ok(None) => {
                passed.insert(check, context.now());
                continue;
            }
            Ok(Some(reason)) => {
                if context.now() - context.entry_started_at() > CHECK_ACTIVE_AFTER {
                    account_request::check_active(context).await?;
                }
                let (expected, limits) = (&context.config().expected_durations, &context.config().timeouts);
                let (expected, at_most) = (expected.propagation_seconds, limits.propagation_seconds);
                context.poll_later(reason, context.entry_started_at(), expected, at_most).await
            }
            Err(error) => Err(error),
        };
        let outcome = outcome.unwrap_or_else(StepOutcome::failed);
        return Ok(outcome.with("proofs", json!(passed)).with("shown", json!(visible)));
    }
    Ok(verified(context))
}

/// Returns the outcome with the verified values as facts.
fn verified(context: &StepContext) -> StepOutcome {
    StepOutcome::done()
        .with("denied_in", outside_region(context).map(Region::as_str))
        .with("answered_at", target(context).ok().map(CheckTarget::into_name))
}

/// Checks that a read in the home region is allowed.
async fn check_home_region(context: &StepContext) -> Result<Option<WaitReason>, StepError> {
    let home = home_region(context);
    match context.aws().read_in_region(&context.account()?, home).await {
        Ok(()) => Ok(None),
        Err(error) if matches!(error.kind, CloudErrorKind::Denied { .. } | CloudErrorKind::NotYet) => {
            Ok(Some(WaitReason::HomeRegionAccess { region: home }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Checks that the guardrail denies a read in a region outside the residency. A denial because of a missing permission
/// is not sufficient.
async fn check_other_regions(context: &StepContext) -> Result<Option<WaitReason>, StepError> {
    let Some(region) = outside_region(context) else { return Ok(None) };
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

/// Returns a region outside the residency that every account can use without opt-in.
fn outside_region(context: &StepContext) -> Option<Region> {
    let residency = context.config().residency(&context.environment().residency)?;
    Region::all().find(|region| !region.is_opt_in() && !residency.regions.contains(region))
}

/// Checks that the function of the stack responds as configured in `[stack.check]`.
async fn check_stack(context: &StepContext) -> Result<Option<WaitReason>, StepError> {
    let (account, home) = (context.account()?, home_region(context));
    let request = stack_response::request(context, home);
    let target = target(context).map_err(|output| {
        missing_output(&format!("The stack {} has no output `{output}`.", context.config().stack.name))
    })?;
    let (response, name) = match &target {
        CheckTarget::Url(url) => (context.aws().call_function_url(&account, home, url, &request).await, url),
        CheckTarget::Function(function) => {
            (context.aws().invoke_function(&account, home, function, &request).await, function)
        }
    };
    match response {
        Ok(response) => stack_response::compare(context, home, name, &response).map(|()| None),
        Err(error)
            if matches!(
                error.kind,
                CloudErrorKind::Denied { .. } | CloudErrorKind::NotYet | CloudErrorKind::Unknown
            ) =>
        {
            Ok(Some(WaitReason::StackResponse { error: error.to_string() }))
        }
        Err(error) if error.kind == CloudErrorKind::Failed => {
            Err(stack_response::rejected(context, home, name, &error))
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the target of the stack's check. If the stack lacks it, the error is the name of the missing output.
fn target(context: &StepContext) -> Result<CheckTarget, &str> {
    let stack = &context.config().stack;
    let output = |name: &String| {
        let value = context.fact_of::<String>(StepName::DeployStack, &format!("output_{name}"))?;
        Some((name.clone(), value))
    };
    let outputs: BTreeMap<String, String> =
        [&stack.url_output, &stack.function_output].into_iter().filter_map(output).collect();
    check_target::find(stack, home_region(context), &outputs)
}

/// Returns the region in which the step `deploy-stack` has deployed the stack.
fn home_region(context: &StepContext) -> Region {
    context.fact_of(StepName::DeployStack, "region").unwrap_or(context.environment().home_region)
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
