//! The stack of the front door, with the functions that it sends requests to.

use std::collections::BTreeMap;

use freehold_tenancy::Region;
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::environment_stack::{EnvironmentStack, EnvironmentStackState, StackKind, StackSlot};
use freehold_tenancy::front_door::{FRONT_DOOR_STACK, stack_region};

use super::stack_deployment::StackDeployment;
use super::tenant_stack;
use crate::cloud::Role;
use crate::context::StepContext;
use crate::step_outcome::StepError;
use crate::template::front_door;

/// Output of the stack with the URL of the distribution.
pub(in crate::steps) const URL_OUTPUT: &str = "FrontDoorUrl";

/// Output of the stack with the domain name of the distribution.
pub(in crate::steps) const DOMAIN_OUTPUT: &str = "DomainName";

/// Parameter of the stack that tells whether the distribution answers requests.
pub(in crate::steps) const ENABLED_PARAMETER: &str = "Enabled";

/// Functions behind a front door, each with its region and the domain name of its URL.
pub(in crate::steps) struct Origins {
    pub home: (Region, String),
    /// Replica that answers reads if the home region fails: the first one that is deployed and not leaving.
    pub failover: Option<(Region, String)>,
}

impl Origins {
    pub(in crate::steps) fn of(context: &StepContext, stacks: &[EnvironmentStack]) -> Result<Self, StepError> {
        let home = tenant_stack::find(stacks, StackSlot::Home);
        let home = home.and_then(|stack| origin(context, stack)).ok_or_else(|| {
            not_possible(format!(
                "The stack of the home region {} has no output `{}` with a Function URL, which a front door needs. \
                 Remove the front door, or have a template with this output deployed, then retry.",
                context.environment().home_region,
                context.config().stack.url_output
            ))
        })?;
        let serving = context.environment().replicas.iter().filter(|replica| replica.leaving_at.is_none());
        let failover = serving
            .filter_map(|replica| tenant_stack::find(stacks, StackSlot::Replica(replica.slot)))
            .filter(|stack| stack.state == EnvironmentStackState::Present)
            .find_map(|stack| origin(context, stack));
        Ok(Self { home, failover })
    }
}

/// Returns whether CloudFront can send requests to the function of a stack, which needs a Function URL.
pub(in crate::steps) fn is_origin(context: &StepContext, stack: &EnvironmentStack) -> bool {
    origin(context, stack).is_some()
}

fn origin(context: &StepContext, stack: &EnvironmentStack) -> Option<(Region, String)> {
    let url = stack.outputs.get(&context.config().stack.url_output)?;
    Some((stack.region, context.aws().function_url_domain(stack.region, url)?))
}

/// Returns the stack of the front door among the stacks of an environment, which has at most one.
pub(in crate::steps) fn find(stacks: &[EnvironmentStack]) -> Option<&EnvironmentStack> {
    stacks.iter().find(|stack| stack.kind == StackKind::FrontDoor)
}

/// Returns the deployment of the stack, with an enabled distribution.
pub(in crate::steps) fn deployment(
    context: &StepContext,
    stacks: &[EnvironmentStack],
    origins: &Origins,
) -> StackDeployment {
    let on_record = find(stacks);
    let template = front_door::template(&context.config().front_door.write_paths);
    let mut tags = context.tags();
    tags.insert(front_door::VERSION_TAG.to_owned(), front_door::version(&template));
    let (_, home) = &origins.home;
    let failover = origins.failover.as_ref().map(|(_, domain)| domain.clone()).unwrap_or_default();
    StackDeployment {
        kind: StackKind::FrontDoor,
        slot: StackSlot::Home,
        role: Role::Access,
        region: on_record.map_or_else(stack_region, |stack| stack.region),
        name: FRONT_DOOR_STACK.to_owned(),
        stack_id: on_record.and_then(|stack| stack.id.clone()),
        template,
        template_url: None,
        capabilities: Vec::new(),
        parameters: BTreeMap::from([
            ("EnvironmentId".to_owned(), context.environment().id.to_string()),
            ("HomeDomain".to_owned(), home.clone()),
            ("ReplicaDomain".to_owned(), failover),
            (ENABLED_PARAMETER.to_owned(), "true".to_owned()),
        ]),
        tags,
        release: None,
        tenant_template: None,
        expected_seconds: context.config().expected_durations.front_door_stack_seconds,
    }
}

/// Returns the error for an environment that cannot have a front door.
pub(in crate::steps) fn not_possible(message: impl Into<String>) -> StepError {
    StepError::needs_attention(AttentionCode::FrontDoorNotPossible, message)
}
