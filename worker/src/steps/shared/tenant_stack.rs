//! Deployment and deletion of the tenant stack in one region of an environment.

use std::sync::Arc;

use freehold_tenancy::Region;
use freehold_tenancy::config::FRONT_DOOR_PARAMETER;
use freehold_tenancy::environment::Environment;
use freehold_tenancy::environment_stack::{EnvironmentStack, StackKind, StackSlot};
use freehold_tenancy::front_door::FrontDoorState;
use freehold_tenancy::operation::OperationKind;
use freehold_tenancy::release::{DeployedRelease, RELEASE_FIELD, ReleaseSource, StackParameters};
use freehold_tenancy::step::StepName;

use super::stack_deletion::StackDeletion;
use super::stack_deployment::StackDeployment;
use super::stack_parameter::{self, ParameterState};
use crate::cloud::Role;
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};
use crate::steps::{StepResult, install_baseline};
use crate::template::{CurrentTemplate, LoadedRelease};

/// Output of the baseline with the role that verifies the stack.
const VERIFY_ROLE_OUTPUT: &str = "VerifyRoleArn";

/// Parameter of the tenant stack with the home region of the environment.
pub(in crate::steps) const HOME_REGION_PARAMETER: &str = "HomeRegion";

/// Deploys the tenant stack of `slot`. A new stack is created in `region`; a stack on record stays where it is.
pub(in crate::steps) async fn deploy(context: &StepContext, slot: StackSlot, region: Region) -> StepResult {
    let result = deployment(context, slot, region).await?.run(context).await;
    let needs_attention = match &result {
        Ok(outcome) => outcome.failed.as_ref().is_some_and(StepError::is_needs_attention),
        Err(error) => error.is_needs_attention(),
    };
    if needs_attention {
        context.leave_template_queue().await?;
    }
    let outcome = result?;
    let is_done = outcome.wait.is_none() && outcome.failed.is_none();
    if is_done && context.operation_kind() != OperationKind::Onboard {
        // The home may have moved while the region did not respond.
        let home = context.environment().home_region;
        if let Some(stack) = find(&context.stacks().await?, slot)
            && let ParameterState::Changing(changing) =
                stack_parameter::set(context, stack, HOME_REGION_PARAMETER, home.as_str()).await?
        {
            return Ok(StepOutcome { facts: outcome.facts, ..*changing });
        }
    }
    Ok(outcome)
}

/// Deletes the tenant stack of `slot`. `region` is searched for a stack that is not on record, because a worker of the
/// previous version or a recovery has left no row.
pub(in crate::steps) async fn delete(context: &StepContext, slot: StackSlot, region: Region) -> StepResult {
    let stacks = context.stacks().await?;
    let on_record = find(&stacks, slot);
    let deletion = StackDeletion {
        kind: StackKind::Tenant,
        slot,
        created_by: StepName::deployment_of(slot),
        role: Role::Access,
        region: on_record.map_or(region, |stack| stack.region),
        name: on_record.map_or_else(|| context.config().stack.name.clone(), |stack| stack.name.clone()),
        on_record: on_record.cloned(),
    };
    deletion.run(context).await
}

/// Returns the tenant stack of `slot` among the stacks of an environment.
pub(in crate::steps) fn find(stacks: &[EnvironmentStack], slot: StackSlot) -> Option<&EnvironmentStack> {
    stacks.iter().find(|stack| stack.kind == StackKind::Tenant && stack.slot == slot)
}

/// Returns whether the function of a stack must accept CloudFront.
fn has_front_door(environment: &Environment) -> bool {
    environment.front_door.as_ref().is_some_and(|one| one.state != FrontDoorState::Deleting)
}

async fn deployment(context: &StepContext, slot: StackSlot, region: Region) -> Result<StackDeployment, StepError> {
    let stacks = context.stacks().await?;
    let on_record = find(&stacks, slot);
    let region = on_record.map_or(region, |stack| stack.region);
    let stack = &context.config().stack;
    let (loaded, current) = release(context, &stacks, on_record, region).await?;
    let content = &loaded.release.content;
    // Environments of a release have parameters of their own.
    let of_release = content.parameters_in(region, &context.environment().parameters);
    let mut parameters = own_parameters(context, &stacks);
    parameters.extend(of_release.clone());
    // AWS refuses parameters that a template does not declare.
    let parameters = current.loaded.template.declared_only(parameters);
    Ok(StackDeployment {
        kind: StackKind::Tenant,
        slot,
        role: Role::Access,
        region,
        name: on_record.map_or_else(|| stack.name.clone(), |stack| stack.name.clone()),
        stack_id: on_record.and_then(|stack| stack.id.clone()),
        template: current.loaded.body.clone(),
        template_url: content.urls.get(&region).cloned(),
        release: Some(DeployedRelease { id: loaded.release.id, parameters: of_release }),
        capabilities: stack.capabilities.clone(),
        parameters,
        tags: context.tags(),
        tenant_template: Some(current),
        expected_seconds: context.config().expected_durations.tenant_stack_seconds,
    })
}

/// Returns the release to deploy, with its template. An environment keeps its release: a repair, a restore and a new
/// replica deploy the release of the environment. A new environment gets the default release. A retry deploys the
/// configured template again if that is where the release comes from, because the template may have been corrected.
async fn release(
    context: &StepContext,
    stacks: &[EnvironmentStack],
    on_record: Option<&EnvironmentStack>,
    region: Region,
) -> Result<(Arc<LoadedRelease>, CurrentTemplate), StepError> {
    let home = || find(stacks, StackSlot::Home);
    let recorded = on_record.and_then(|stack| stack.release.as_ref()).or_else(|| home()?.release.as_ref());
    let id = match recorded {
        Some(release) => Some(release.id),
        None if context.operation_kind() == OperationKind::Onboard => match context.step_fact(RELEASE_FIELD) {
            Some(id) => Some(id),
            None => context.default_release().await?,
        },
        None => None,
    };
    if let Some(id) = id
        && let Some(loaded) = context.release(id).await?
        && (loaded.release.source == ReleaseSource::Api || !is_retried(context))
        && (loaded.release.source == ReleaseSource::Api || recorded.is_some())
        && let Some(template) = loaded.template_in(region)
    {
        return Ok((loaded, template));
    }
    let current = context.stack_template(region).await;
    Ok((context.configured_release().await?, current))
}

fn is_retried(context: &StepContext) -> bool {
    context.entry().is_some_and(|entry| entry.retried_at.is_some())
}

/// Returns the parameters that Freehold passes to a template.
pub(in crate::steps) fn own_parameters(context: &StepContext, stacks: &[EnvironmentStack]) -> StackParameters {
    let (tenant, environment) = (context.tenant(), context.environment());
    let mut parameters = StackParameters::from([
        ("TenantId".to_owned(), tenant.id.to_string()),
        ("EnvironmentId".to_owned(), environment.id.to_string()),
        ("EnvironmentName".to_owned(), environment.name.to_string()),
        ("Tier".to_owned(), tenant.tier.to_string()),
        (HOME_REGION_PARAMETER.to_owned(), environment.home_region.to_string()),
        (FRONT_DOOR_PARAMETER.to_owned(), has_front_door(environment).to_string()),
    ]);
    let verify_role = install_baseline::find(stacks).and_then(|baseline| baseline.outputs.get(VERIFY_ROLE_OUTPUT));
    let verify_role = verify_role.cloned().or_else(|| {
        // A worker of the previous version has installed the baseline without a row.
        context.fact_of(StepName::InstallBaseline, &format!("output_{VERIFY_ROLE_OUTPUT}"))
    });
    parameters.extend(verify_role.map(|role| (VERIFY_ROLE_OUTPUT.to_owned(), role)));
    parameters
}
