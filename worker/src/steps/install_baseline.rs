//! Deploys the stack with the two restricted roles that Freehold uses in the account: freehold-access and
//! freehold-verify.

use std::collections::BTreeMap;

use freehold_tenancy::Region;
use freehold_tenancy::baseline::{BASELINE_STACK, BASELINE_TAG, BASELINE_VERSION_FACT, BaselineVersion};
use freehold_tenancy::config::Capability;
use freehold_tenancy::environment_stack::{EnvironmentStack, StackKind, StackSlot};

use super::StepResult;
use super::shared::stack_deployment::StackDeployment;
use crate::cloud::Role;
use crate::context::StepContext;
use crate::step_outcome::StepError;
use crate::template::baseline;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    // A retry of a failed deployment runs this step again after it was done, because the stack may need permissions
    // that were configured since.
    let is_retried = context.entry().is_some_and(|entry| entry.retried_at.is_some());
    if is_retried && context.step_fact::<String>(BASELINE_VERSION_FACT).is_some() {
        return upgrade(context).await;
    }
    deployment(context).await?.run(context).await
}

/// Returns whether the environment has the current version of the baseline according to the database.
pub(super) fn is_current_on_record(context: &StepContext) -> bool {
    let current = BaselineVersion::current(&context.config().access_role);
    context.environment().baseline_version.as_ref().is_some_and(|version| !version.is_older_than(&current))
}

/// Brings an existing baseline stack to the current version.
pub(super) async fn upgrade(context: &StepContext) -> StepResult {
    let current = BaselineVersion::current(&context.config().access_role);
    let is_current = |tag: Option<&String>| !BaselineVersion::from_tag(tag.map(String::as_str)).is_older_than(&current);
    deployment(context).await?.upgrade(context, |stack| is_current(stack.tags.get(BASELINE_TAG))).await
}

/// Returns the deployment of the baseline stack.
async fn deployment(context: &StepContext) -> Result<StackDeployment, StepError> {
    let stacks = context.stacks().await?;
    let on_record = find(&stacks);
    let parameters = BTreeMap::from([
        ("ControlRoleArn".to_owned(), context.config().organization.control_role_arn.clone()),
        ("ExternalId".to_owned(), context.environment().id.to_string()),
    ]);
    let role = &context.config().access_role;
    let mut tags = context.tags();
    tags.insert(BASELINE_TAG.to_owned(), BaselineVersion::current(role).to_string());
    Ok(StackDeployment {
        kind: StackKind::Baseline,
        slot: StackSlot::Home,
        role: Role::Organization,
        region: on_record.map_or_else(|| first_region(context), |stack| stack.region),
        name: BASELINE_STACK.to_owned(),
        stack_id: on_record.and_then(|stack| stack.id.clone()),
        template: baseline::template(role),
        template_url: None,
        capabilities: vec![Capability::NamedIam],
        parameters,
        tags,
        release: None,
        tenant_template: None,
        expected_seconds: context.config().expected_durations.baseline_stack_seconds,
    })
}

/// Returns the baseline among the stacks of an environment, which has at most one.
pub(super) fn find(stacks: &[EnvironmentStack]) -> Option<&EnvironmentStack> {
    stacks.iter().find(|stack| stack.kind == StackKind::Baseline)
}

/// Returns the region of the baseline on record, or that of the first baseline.
pub(super) async fn region(context: &StepContext) -> Result<Region, StepError> {
    let stacks = context.stacks().await?;
    Ok(find(&stacks).map_or_else(|| first_region(context), |stack| stack.region))
}

/// Returns the region in which the first baseline of an environment is installed: the home region, or a different one
/// if the home region requires opt-in.
pub(super) fn first_region(context: &StepContext) -> Region {
    let home = context.environment().home_region;
    let residency = context.config().residency(&context.environment().residency);
    let candidates = residency.map(|residency| residency.regions.as_slice()).unwrap_or_default();
    std::iter::once(&home)
        .chain(candidates)
        .find(|region| !region.is_opt_in())
        .copied()
        // This region works for every residency, because the organisation's role is exempt from the guardrail.
        .or_else(|| "us-east-1".parse().ok())
        .unwrap_or(home)
}
