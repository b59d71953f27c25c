//! Change set that brings the tenant stack of one region to the release of an operation. Updates execute it, previews
//! only read it.

use std::sync::Arc;

use freehold_tenancy::attention::{Attention, AttentionCode};
use freehold_tenancy::config::{Capability, TemplateUrl};
use freehold_tenancy::environment_stack::{ALARM_OUTPUT, EnvironmentStack, StackSlot};
use freehold_tenancy::release::{PARAMETERS_FIELD, RELEASE_FIELD, Release, ReleaseTemplate, StackParameters};
use freehold_tenancy::{Region, ReleaseId};

use super::tenant_stack;
use crate::cloud::{NewChangeSet, NewStack, StackState, Tags};
use crate::context::StepContext;
use crate::step_outcome::StepError;
use crate::template::{CurrentTemplate, LoadedRelease};

/// Maximum number of rollback triggers of an update.
const MAX_ALARMS: usize = 5;

/// Release that a stack gets, with the values of one environment and region.
pub(in crate::steps) struct ReleaseTarget {
    loaded: Arc<LoadedRelease>,
    pub(in crate::steps) template_url: Option<TemplateUrl>,
    /// Parameters of release and environment.
    pub(in crate::steps) parameters: StackParameters,
    template: CurrentTemplate,
    /// All parameters that the template declares, with those that Freehold passes.
    all_parameters: StackParameters,
    capabilities: Vec<Capability>,
    tags: Tags,
    stack_name: String,
}

/// Returns the stack of `slot`, and what the release of the operation makes of it.
pub(in crate::steps) async fn target_of(
    context: &StepContext,
    slot: StackSlot,
) -> Result<(EnvironmentStack, ReleaseTarget), StepError> {
    let stacks = context.stacks().await?;
    let Some(stack) = tenant_stack::find(&stacks, slot) else {
        let message = "The environment has no tenant stack. Repair the environment, then request the update again.";
        return Err(StepError::Failed(Attention::new(AttentionCode::StackBroken, message.to_owned())));
    };
    let id: Option<ReleaseId> = context.input_field(RELEASE_FIELD);
    let loaded = match id {
        Some(id) => context.release(id).await?,
        None => None,
    };
    let region = stack.region;
    let Some((loaded, template)) = loaded.and_then(|loaded| Some((Arc::clone(&loaded), loaded.template_in(region)?)))
    else {
        let message = format!("The release has no template for {region}. Register a release for this region.");
        return Err(StepError::Failed(Attention::new(AttentionCode::StackRejected, message)));
    };
    let content = &loaded.release.content;
    let template_url = match content.template_in(region) {
        Some(ReleaseTemplate::Url(entry)) => Some(entry.clone()),
        _ => None,
    };
    let of_environment: StackParameters = context.input_field(PARAMETERS_FIELD).unwrap_or_default();
    let parameters = content.parameters_in(region, &of_environment);
    let mut all_parameters = tenant_stack::own_parameters(context, &stacks);
    all_parameters.extend(parameters.clone());
    let target = ReleaseTarget {
        template_url,
        all_parameters: template.loaded.template.declared_only(all_parameters),
        parameters,
        template,
        capabilities: context.config().stack.capabilities.clone(),
        tags: context.tags(),
        stack_name: stack.name.clone(),
        loaded,
    };
    Ok((stack.clone(), target))
}

impl ReleaseTarget {
    pub(in crate::steps) fn release(&self) -> &Release {
        &self.loaded.release
    }

    /// Returns the name of a change set of this operation.
    pub(in crate::steps) fn change_set_name(context: &StepContext, region: Region, attempt: u64) -> String {
        format!("freehold-{}-{region}-{attempt}", context.operation_id()).replace('_', "-")
    }

    /// Returns the change set with this name for `stack`.
    pub(in crate::steps) fn new_change_set(&self, stack: &StackState, name: String) -> NewChangeSet {
        let template = &self.template.loaded;
        let new = NewStack {
            name: self.stack_name.clone(),
            template: template.body.clone(),
            template_url: self.template_url.clone(),
            capabilities: self.capabilities.clone(),
            parameters: self.all_parameters.clone(),
            tags: self.tags.clone(),
            token: name.clone(),
        };
        // An alarm that only the old template or only the new one has would fail the update.
        let is_guard =
            |output: &String| output.ends_with(ALARM_OUTPUT) && template.template.output(output.as_str()).is_some();
        let alarms = stack.outputs.iter().filter(|(output, _)| is_guard(output)).map(|(_, arn)| arn.clone());
        NewChangeSet { name, stack: new, alarms: alarms.take(MAX_ALARMS).collect() }
    }
}
