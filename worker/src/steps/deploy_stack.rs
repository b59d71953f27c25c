//! Deploys the tenant stack into the environment's account, in the home region.

use std::collections::BTreeMap;

use super::StepResult;
use super::shared::stack_deployment::StackDeployment;
use crate::cloud::Role;
use crate::context::StepContext;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    deployment(context).run(context).await
}

fn deployment(context: &StepContext) -> StackDeployment {
    let (tenant, environment) = (context.tenant(), context.environment());
    let mut parameters = BTreeMap::from([
        ("TenantId".to_owned(), tenant.id.to_string()),
        ("EnvironmentId".to_owned(), environment.id.to_string()),
        ("EnvironmentName".to_owned(), environment.name.to_string()),
        ("Tier".to_owned(), tenant.tier.to_string()),
        ("HomeRegion".to_owned(), environment.home_region.to_string()),
    ]);
    if let Some(role) = context.fact("output_VerifyRoleArn") {
        parameters.insert("VerifyRoleArn".to_owned(), role);
    }
    // AWS refuses parameters that a template does not declare.
    let mut parameters = context.stack_template().declared_only(parameters);
    parameters.extend(context.config().stack.parameters.clone());
    StackDeployment {
        role: Role::Access,
        region: environment.home_region,
        name: context.config().stack.name.clone(),
        template: context.stack_template_body().to_owned(),
        parameters,
        tags: context.tags(),
        expected_seconds: context.config().expected_durations.tenant_stack_seconds,
    }
}
