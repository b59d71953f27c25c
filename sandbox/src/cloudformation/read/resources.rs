//! DescribeStackResource, DescribeStackResources and ListStackResources.

use winterbaume_cloudformation::{model, wire};
use winterbaume_core::MockResponse;

use super::super::stack::{Resource, Stack};
use super::super::validation;
use super::{PAGE_SIZE, format_timestamp, invalid_token, stack_not_found};
use crate::world::{AwsError, Ctx, Request, State, page};

pub(in super::super) fn describe_stack_resources(
    state: &mut State,
    ctx: &Ctx,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_stack_resources_request(&request.params).map_err(validation)?;
    let stacks = &state.caller_region(ctx).stacks;
    let stack = match (input.stack_name, input.physical_resource_id) {
        (Some(name), _) => stacks.find(&name).ok_or_else(|| stack_not_found(&name))?,
        (None, Some(id)) => {
            let owns = |stack: &&Stack| stack.present_resources().any(|one| one.physical_id.as_deref() == Some(&id));
            stacks.iter().find(owns).ok_or_else(|| validation(format!("Stack for {id} does not exist")))?
        }
        (None, None) => return Err(validation("Either StackName or PhysicalResourceId must be specified.")),
    };
    let filter = input.logical_resource_id;
    let to_model = |resource: &Resource| model::StackResource {
        stack_id: Some(stack.id.clone()),
        stack_name: Some(stack.name.clone()),
        logical_resource_id: Some(resource.logical_id.clone()),
        physical_resource_id: resource.physical_id.clone(),
        resource_type: Some(resource.kind.clone()),
        resource_status: Some(resource.status.as_str().into()),
        resource_status_reason: resource.reason.clone(),
        timestamp: Some(format_timestamp(resource.changed_at)),
        drift_information: Some(drift_information(ctx, stack, resource)),
        ..Default::default()
    };
    let items: Vec<_> = stack
        .resources
        .values()
        .filter(|resource| filter.as_ref().is_none_or(|filter| *filter == resource.logical_id))
        .map(to_model)
        .collect();
    if let Some(filter) = filter.filter(|_| items.is_empty()) {
        return Err(resource_not_found(&filter, stack));
    }
    Ok(wire::serialize_describe_stack_resources_response(&model::DescribeStackResourcesOutput {
        stack_resources: Some(model::StackResources { items }),
    }))
}

pub(in super::super) fn describe_stack_resource(
    state: &mut State,
    ctx: &Ctx,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_stack_resource_request(&request.params).map_err(validation)?;
    let stack = state.caller_region(ctx).stacks.find(&input.stack_name);
    let stack = stack.ok_or_else(|| validation(format!("Stack '{}' does not exist", input.stack_name)))?;
    let resource = stack.resources.get(&input.logical_resource_id);
    let resource = resource.ok_or_else(|| resource_not_found(&input.logical_resource_id, stack))?;
    Ok(wire::serialize_describe_stack_resource_response(&model::DescribeStackResourceOutput {
        stack_resource_detail: Some(model::StackResourceDetail {
            stack_id: Some(stack.id.clone()),
            stack_name: Some(stack.name.clone()),
            logical_resource_id: Some(resource.logical_id.clone()),
            physical_resource_id: resource.physical_id.clone(),
            resource_type: Some(resource.kind.clone()),
            resource_status: Some(resource.status.as_str().into()),
            resource_status_reason: resource.reason.clone(),
            last_updated_timestamp: Some(format_timestamp(resource.changed_at)),
            metadata: Some("{}".into()),
            drift_information: Some(drift_information(ctx, stack, resource)),
            ..Default::default()
        }),
    }))
}

pub(in super::super) fn list_stack_resources(
    state: &mut State,
    ctx: &Ctx,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_stack_resources_request(&request.params).map_err(validation)?;
    let stack = state.caller_region(ctx).stacks.find(&input.stack_name);
    let stack = stack.ok_or_else(|| stack_not_found(&input.stack_name))?;
    let token = input.next_token;
    let (found, next_token) = page(ctx, stack.resources.values(), token.as_deref(), Some(PAGE_SIZE), invalid_token)?;
    let to_model = |resource: &Resource| {
        let drift = drift_information(ctx, stack, resource);
        model::StackResourceSummary {
            logical_resource_id: Some(resource.logical_id.clone()),
            physical_resource_id: resource.physical_id.clone(),
            resource_type: Some(resource.kind.clone()),
            resource_status: Some(resource.status.as_str().into()),
            resource_status_reason: resource.reason.clone(),
            last_updated_timestamp: Some(format_timestamp(resource.changed_at)),
            drift_information: Some(model::StackResourceDriftInformationSummary {
                stack_resource_drift_status: drift.stack_resource_drift_status,
                last_check_timestamp: drift.last_check_timestamp,
            }),
            ..Default::default()
        }
    };
    Ok(wire::serialize_list_stack_resources_response(&model::ListStackResourcesOutput {
        stack_resource_summaries: Some(model::StackResourceSummaries {
            items: found.into_iter().map(to_model).collect(),
        }),
        next_token,
    }))
}

fn drift_information(ctx: &Ctx, stack: &Stack, resource: &Resource) -> model::StackResourceDriftInformation {
    let (status, checked_at) = stack.resource_drift_status(&resource.logical_id, ctx.now);
    model::StackResourceDriftInformation {
        stack_resource_drift_status: Some(status),
        last_check_timestamp: checked_at.map(format_timestamp),
    }
}

fn resource_not_found(id: &str, stack: &Stack) -> AwsError {
    validation(format!("Resource {id} does not exist for stack {}", stack.name))
}
