//! Deploys the tenant stack into the environment's account, in the home region.

use std::collections::BTreeMap;

use super::StepResult;
use super::shared::stack_deployment::StackDeployment;
use crate::cloud::Role;
use crate::context::StepContext;
use crate::step_outcome::StepError;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let result = deployment(context).await.run(context).await;
    let needs_attention = match &result {
        Ok(outcome) => outcome.failed.as_ref().is_some_and(StepError::is_needs_attention),
        Err(error) => error.is_needs_attention(),
    };
    if needs_attention {
        context.leave_template_queue().await?;
    }
    result
}

async fn deployment(context: &StepContext) -> StackDeployment {
    let current = context.stack_template(context.environment().home_region).await;
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
    let (stack, region) = (&context.config().stack, environment.home_region);
    // AWS refuses parameters that a template does not declare.
    parameters.extend(stack.parameters.clone());
    let parameters = current.loaded.template.declared_only(parameters);
    StackDeployment {
        role: Role::Access,
        region,
        name: stack.name.clone(),
        template: current.loaded.body.clone(),
        template_url: stack.template_urls.get(&region).cloned(),
        capabilities: stack.capabilities.clone(),
        parameters,
        tags: context.tags(),
        tenant_template: Some(current),
        expected_seconds: context.config().expected_durations.tenant_stack_seconds,
    }
}
