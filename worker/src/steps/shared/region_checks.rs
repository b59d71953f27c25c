//! Checks of one region of an environment: the guardrail allows it, and its stack responds.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use freehold_tenancy::Region;
use freehold_tenancy::environment_stack::StackSlot;
use freehold_tenancy::operation::OperationKind;
use freehold_tenancy::step::StepName;
use freehold_tenancy::wait_reason::WaitReason;

use super::check_target::{self, CheckTarget};
use super::stack_update::missing_output;
use super::{account_request, stack_response, tenant_stack};
use crate::cloud::CloudErrorKind;
use crate::context::StepContext;
use crate::step_outcome::StepError;
use crate::steps::StepResult;

/// Time for which a passed check remains valid while other checks wait.
pub(in crate::steps) const CHECK_MAX_AGE: TimeDelta = TimeDelta::minutes(15);

/// Time for which a region other than the home may fail to respond before a move of the home leaves it out.
const OUTAGE_PATIENCE: TimeDelta = TimeDelta::minutes(1);

/// Time after which the state of the account is checked, because the account may be closed.
const CHECK_ACTIVE_AFTER: TimeDelta = TimeDelta::minutes(5);

/// Returns a region outside the residency that every account can use without opt-in, or `None` if there is none.
pub(in crate::steps) fn outside_region(context: &StepContext) -> Option<Region> {
    let residency = context.config().residency(&context.environment().residency)?;
    Region::all().find(|region| !region.is_opt_in() && !residency.regions.contains(region))
}

/// Region of an environment with the stack that is deployed there.
pub(in crate::steps) struct CheckedRegion {
    pub region: Region,
    slot: StackSlot,
    /// Outputs of the stack.
    outputs: BTreeMap<String, String>,
}

impl CheckedRegion {
    /// Returns the region of `slot`. `region` is used if the deployment is neither on record nor in the journal.
    pub(in crate::steps) async fn of(
        context: &StepContext,
        slot: StackSlot,
        region: Region,
    ) -> Result<Self, StepError> {
        let stacks = context.stacks().await?;
        if let Some(stack) = tenant_stack::find(&stacks, slot).filter(|stack| !stack.outputs.is_empty()) {
            return Ok(Self { region: stack.region, slot, outputs: stack.outputs.clone() });
        }
        // A worker of the previous version has deployed the stack without a row.
        let deployed_by = StepName::deployment_of(slot);
        let stack = &context.config().stack;
        let output = |name: &String| {
            let value = context.fact_of::<String>(deployed_by, &format!("output_{name}"))?;
            Some((name.clone(), value))
        };
        let outputs = [&stack.url_output, &stack.function_output].into_iter().filter_map(output).collect();
        let deployed_in = context.fact_of(deployed_by, "region");
        Ok(Self { region: deployed_in.unwrap_or(region), slot, outputs })
    }

    /// Checks that a read in the region is allowed.
    pub(in crate::steps) async fn check_allowed(&self, context: &StepContext) -> Result<Option<WaitReason>, StepError> {
        let region = self.region;
        match context.aws().read_in_region(&context.account()?, region).await {
            Ok(()) => Ok(None),
            Err(error) if matches!(error.kind, CloudErrorKind::Denied { .. } | CloudErrorKind::NotYet) => {
                Ok(Some(match self.slot {
                    StackSlot::Home => WaitReason::HomeRegionAccess { region },
                    StackSlot::Replica(_) => WaitReason::ReplicaRegionAccess { region },
                }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Checks that the function of the stack responds as configured in `[stack.check]`.
    pub(in crate::steps) async fn check_stack(&self, context: &StepContext) -> Result<Option<WaitReason>, StepError> {
        let (account, region) = (context.account()?, self.region);
        let request = stack_response::request(context, region);
        let target = self.target(context).map_err(|output| {
            missing_output(&format!("The stack {} in {region} has no output `{output}`.", context.config().stack.name))
        })?;
        let (response, name) = match &target {
            CheckTarget::Url(url) => (context.aws().call_function_url(&account, region, url, &request).await, url),
            CheckTarget::Function(function) => {
                (context.aws().invoke_function(&account, region, function, &request).await, function)
            }
        };
        match response {
            Ok(response) => stack_response::compare(context, region, name, &response).map(|()| None),
            Err(error)
                if matches!(
                    error.kind,
                    CloudErrorKind::Denied { .. } | CloudErrorKind::NotYet | CloudErrorKind::Unknown
                ) =>
            {
                Ok(Some(WaitReason::StackResponse { error: error.to_string() }))
            }
            Err(error) if error.kind == CloudErrorKind::Failed => {
                Err(stack_response::rejected(context, region, name, &error))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the target of the stack's check. If the stack lacks it, the error is the name of the missing output.
    pub(in crate::steps) fn target<'a>(&self, context: &'a StepContext) -> Result<CheckTarget, &'a str> {
        check_target::find(&context.config().stack, self.region, &self.outputs)
    }
}

/// Returns whether a step of a move of the home may leave out a region that does not respond. A single lost answer is
/// no outage.
pub(in crate::steps) fn is_left_out(context: &StepContext) -> bool {
    context.operation_kind() == OperationKind::MoveHome && context.now() >= context.entry_started_at() + OUTAGE_PATIENCE
}

/// Returns the outcome that polls again for a check that has not passed yet.
pub(in crate::steps) async fn poll_check(context: &StepContext, reason: WaitReason) -> StepResult {
    if context.now() - context.entry_started_at() > CHECK_ACTIVE_AFTER {
        account_request::check_active(context).await?;
    }
    let (expected, limits) = (&context.config().expected_durations, &context.config().timeouts);
    let (expected, at_most) = (expected.propagation_seconds, limits.propagation_seconds);
    context.poll_later(reason, context.entry_started_at(), expected, at_most).await
}
