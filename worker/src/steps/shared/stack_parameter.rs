//! Change of one parameter of a deployed stack. The template and all other parameters stay as they are deployed.

use chrono::{DateTime, Utc};
use freehold_tenancy::Region;
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::environment_stack::{EnvironmentStack, StackChange, StackKind, StackProgress};
use freehold_tenancy::wait_reason::WaitReason;
use serde::{Deserialize, Serialize};

use crate::cloud::{CloudError, CloudErrorKind, Role, StackState, StackStatus, Target};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// State of a parameter that a step sets.
pub(in crate::steps) enum ParameterState {
    /// The deployed stack has the value.
    Set,
    /// The stack is being changed. Contains the outcome of this run.
    Changing(Box<StepOutcome>),
    /// The template of the stack does not declare the parameter.
    NotDeclared,
    /// The account has no such stack.
    StackMissing,
}

/// Intent of a change, which tells after a crash that the change of the stack is Freehold's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ParameterChange {
    region: Region,
    stack: String,
    parameter: String,
    value: String,
}

/// Sets a parameter of a stack on record. The stack has the value once the result is [`ParameterState::Set`].
pub(in crate::steps) async fn set(
    context: &StepContext,
    stack: &EnvironmentStack,
    parameter: &str,
    value: &str,
) -> Result<ParameterState, StepError> {
    let account = context.account()?;
    let name = stack.id.as_deref().unwrap_or(&stack.name);
    let found = match context.aws().stack(&account, Role::Access, stack.region, name).await {
        Ok(found) => found,
        Err(error) => return handle_error(context, &account, stack, error).await,
    };
    let is_deployed = |found: &StackState| {
        let is_gone = matches!(found.status, StackStatus::Deleted | StackStatus::Deleting | StackStatus::RolledBack);
        context.belongs_to_environment(&found.tags) && !is_gone
    };
    let Some(found) = found.filter(is_deployed) else { return Ok(ParameterState::StackMissing) };
    let Some(current) = found.parameters.get(parameter) else { return Ok(ParameterState::NotDeclared) };
    let change = ParameterChange {
        region: stack.region,
        stack: stack.name.clone(),
        parameter: parameter.to_owned(),
        value: value.to_owned(),
    };
    let requested_at = context.pending_intent::<ParameterChange>().filter(|(intent, _)| *intent == change);
    let requested_at = requested_at.map(|(_, at)| at);
    match found.status {
        StackStatus::InProgress => {
            wait_for_update(context, stack, requested_at.unwrap_or_else(|| context.entry_started_at())).await
        }
        StackStatus::Complete | StackStatus::UpdateRolledBack if current == value => match requested_at {
            None => Ok(ParameterState::Set),
            Some(_) => complete_update(context, stack, found).await,
        },
        StackStatus::UpdateRolledBack
            if requested_at.is_some_and(|at| found.updated_at.is_some_and(|updated| updated >= at)) =>
        {
            Err(rolled_back(context, &account, stack, &change, found).await?)
        }
        StackStatus::Complete | StackStatus::UpdateRolledBack => {
            request_update(context, &account, stack, &change, &found).await
        }
        _ => Err(StepError::needs_attention(
            AttentionCode::StackUpdateStuck,
            format!(
                "The stack {} in {} has the state {}, in which its parameter {parameter} cannot be set to {value}. Fix \
                 the stack in CloudFormation, then retry.",
                stack.name, stack.region, found.status_text
            ),
        )),
    }
}

/// Waits for the update of the stack, which was requested at `since`.
async fn wait_for_update(
    context: &StepContext,
    stack: &EnvironmentStack,
    since: DateTime<Utc>,
) -> Result<ParameterState, StepError> {
    let reason = WaitReason::StackUpdate { stack: stack.name.clone() };
    let expected = expected_seconds(context, stack);
    let limit = context.config().timeouts.stack_seconds;
    Ok(changing(context.poll_later(reason, since, expected, limit).await?))
}

/// Writes the result of an update to the stack on record. The next run continues with the next stack.
async fn complete_update(
    context: &StepContext,
    stack: &EnvironmentStack,
    found: StackState,
) -> Result<ParameterState, StepError> {
    context.withdraw_intent().await?;
    let change = StackChange {
        kind: stack.kind,
        slot: stack.slot,
        region: stack.region,
        name: stack.name.clone(),
        progress: StackProgress::Completed { id: found.id, outputs: found.outputs },
        release: None,
    };
    let reason = WaitReason::StackUpdate { stack: stack.name.clone() };
    Ok(changing(StepOutcome { stack: Some(change), ..StepOutcome::wait(reason, context.now()) }))
}

async fn request_update(
    context: &StepContext,
    account: &Target,
    stack: &EnvironmentStack,
    change: &ParameterChange,
    found: &StackState,
) -> Result<ParameterState, StepError> {
    context.record_intent(change).await?;
    let capabilities = match stack.kind {
        StackKind::Tenant => context.config().stack.capabilities.as_slice(),
        StackKind::Baseline | StackKind::FrontDoor => &[],
    };
    let parameter = (change.parameter.as_str(), change.value.as_str());
    match context.aws().set_stack_parameter(account, stack.region, found, parameter, capabilities).await {
        Ok(_) => wait_for_update(context, stack, context.now()).await,
        Err(error) => handle_error(context, account, stack, error).await,
    }
}

/// Returns the error of an update that CloudFormation has rolled back.
async fn rolled_back(
    context: &StepContext,
    account: &Target,
    stack: &EnvironmentStack,
    change: &ParameterChange,
    found: StackState,
) -> Result<StepError, StepError> {
    context.withdraw_intent().await?;
    let failure = context.aws().stack_failure(account, Role::Access, stack.region, &found.id).await?;
    let reason = failure.map_or_else(
        || found.reason.unwrap_or(found.status_text),
        |failure| format!("{}: {}", failure.resource, failure.reason),
    );
    let ParameterChange { parameter, value, .. } = change;
    Ok(StepError::needs_attention(
        AttentionCode::StackFailed,
        format!(
            "The parameter {parameter} of the stack {} in {} cannot be set to {value}: {reason} CloudFormation has \
             restored the stack. Fix the cause, then retry.",
            stack.name, stack.region
        ),
    ))
}

/// Handles a refused call. An account that is closed, or that has left the organisation, has no stack.
async fn handle_error(
    context: &StepContext,
    account: &Target,
    stack: &EnvironmentStack,
    error: CloudError,
) -> Result<ParameterState, StepError> {
    if !matches!(error.kind, CloudErrorKind::NotYet | CloudErrorKind::Denied { .. }) {
        return Err(error.into());
    }
    match context.aws().account(account.id()).await? {
        Some(found) if found.state == "ACTIVE" => Err(StepError::Blocked {
            reason: WaitReason::CloudFormationUsable { region: stack.region, error: error.to_string() },
            until: None,
            at_most: Some(context.propagation_time()),
        }),
        _ => Ok(ParameterState::StackMissing),
    }
}

fn expected_seconds(context: &StepContext, stack: &EnvironmentStack) -> u64 {
    let expected = &context.config().expected_durations;
    match stack.kind {
        StackKind::Baseline => expected.baseline_stack_seconds,
        StackKind::Tenant => expected.tenant_stack_seconds,
        StackKind::FrontDoor => expected.front_door_stack_seconds,
    }
}

fn changing(outcome: StepOutcome) -> ParameterState {
    ParameterState::Changing(Box::new(outcome))
}
