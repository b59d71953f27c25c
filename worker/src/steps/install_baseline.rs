//! Deploys the stack with the two restricted roles that Freehold uses in the account: freehold-access and
//! freehold-verify.

use std::collections::BTreeMap;

use freehold_tenancy::Region;

use super::StepResult;
use super::shared::stack_deployment::StackDeployment;
use crate::cloud::Role;
use crate::context::StepContext;
use crate::template::BASELINE_TEMPLATE;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    deployment(context).run(context).await
}

/// Returns the deployment of the baseline stack.
pub(super) fn deployment(context: &StepContext) -> StackDeployment {
    let parameters = BTreeMap::from([
        ("ControlRoleArn".to_owned(), context.config().organization.control_role_arn.clone()),
        ("ExternalId".to_owned(), context.environment().id.to_string()),
    ]);
    StackDeployment {
        role: Role::Organization,
        region: region(context),
        name: "freehold-baseline".to_owned(),
        template: BASELINE_TEMPLATE.to_owned(),
        parameters,
        expected_seconds: context.config().expected_durations.baseline_stack_seconds,
    }
}

/// Returns the region of the stack: the home region, or a different one if the home region requires opt-in.
fn region(context: &StepContext) -> Region {
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
