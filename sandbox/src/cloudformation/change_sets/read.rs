//! DescribeChangeSet and ListChangeSets.

use winterbaume_cloudformation::{model, wire};
use winterbaume_core::MockResponse;

use super::super::read::{format_timestamp, invalid_token, parameter_models, tag_models};
use super::super::stack::{OnFailure, Stack};
use super::super::validation;
use super::{ChangeSet, find};
use crate::world::{AwsError, Ctx, Request, State, page};

/// Number of changes or change sets per page.
const PAGE_SIZE: usize = 100;

pub(in super::super) fn describe_change_set(
    state: &mut State,
    ctx: &Ctx,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_change_set_request(&request.params).map_err(validation)?;
    let stacks = &state.caller_region(ctx).stacks;
    let (stack, change_set) = find(stacks, input.stack_name.as_deref(), &input.change_set_name)?;
    let is_ready = !matches!(change_set.status(ctx.now), "CREATE_PENDING" | "CREATE_IN_PROGRESS");
    let with_values = input.include_property_values == Some(true);
    let changes = change_set.changes.iter().filter(|_| is_ready);
    let (found, next_token) = page(ctx, changes, input.next_token.as_deref(), Some(PAGE_SIZE), invalid_token)?;
    let items = found.into_iter().map(|change| model::Change {
        r#type: Some("Resource".into()),
        resource_change: Some(if with_values { change.clone() } else { without_values(change.clone()) }),
        hook_invocation_count: None,
    });
    let definition = &change_set.definition;
    let on_stack_failure = change_set.on_failure.map(|on_failure| match on_failure {
        OnFailure::Rollback => "ROLLBACK".to_owned(),
        OnFailure::Delete => "DELETE".to_owned(),
        OnFailure::DoNothing => "DO_NOTHING".to_owned(),
    });
    Ok(wire::serialize_describe_change_set_response(&model::DescribeChangeSetOutput {
        change_set_id: Some(change_set.id.clone()),
        change_set_name: Some(change_set.name.clone()),
        stack_id: Some(stack.id.clone()),
        stack_name: Some(stack.name.clone()),
        description: change_set.description.clone(),
        parameters: Some(parameter_models(definition)),
        creation_time: Some(format_timestamp(change_set.created_at)),
        status: Some(change_set.status(ctx.now).into()),
        status_reason: change_set.failure.clone().filter(|_| is_ready),
        execution_status: Some(change_set.execution_status(ctx.now).into()),
        notification_a_r_ns: Some(model::NotificationARNs { items: change_set.options.notification_arns.clone() }),
        rollback_configuration: Some(change_set.rollback.to_model()),
        capabilities: Some(model::Capabilities { items: definition.capabilities.clone() }),
        tags: Some(tag_models(definition)),
        changes: Some(model::Changes { items: items.collect() }),
        include_nested_stacks: Some(false),
        on_stack_failure,
        next_token,
        ..Default::default()
    }))
}

/// Removes the values of properties, which DescribeChangeSet returns only with IncludePropertyValues.
fn without_values(mut change: model::ResourceChange) -> model::ResourceChange {
    change.before_context = None;
    change.after_context = None;
    for target in change.details.iter_mut().flat_map(|details| &mut details.items).filter_map(|one| one.target.as_mut())
    {
        target.path = None;
        target.before_value = None;
        target.after_value = None;
        target.attribute_change_type = None;
    }
    change
}

pub(in super::super) fn list_change_sets(
    state: &mut State,
    ctx: &Ctx,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_change_sets_request(&request.params).map_err(validation)?;
    let stack = state.caller_region(ctx).stacks.find(&input.stack_name);
    let stack = stack.ok_or_else(|| validation(format!("Stack [{}] does not exist", input.stack_name)))?;
    let active = stack.change_sets.iter().filter(|change_set| !change_set.is_executed());
    let (found, next_token) = page(ctx, active, input.next_token.as_deref(), Some(PAGE_SIZE), invalid_token)?;
    let items = found.into_iter().map(|change_set| summary(ctx, stack, change_set)).collect();
    Ok(wire::serialize_list_change_sets_response(&model::ListChangeSetsOutput {
        summaries: Some(model::ChangeSetSummaries { items }),
        next_token,
    }))
}

fn summary(ctx: &Ctx, stack: &Stack, change_set: &ChangeSet) -> model::ChangeSetSummary {
    let status = change_set.status(ctx.now);
    model::ChangeSetSummary {
        stack_id: Some(stack.id.clone()),
        stack_name: Some(stack.name.clone()),
        change_set_id: Some(change_set.id.clone()),
        change_set_name: Some(change_set.name.clone()),
        execution_status: Some(change_set.execution_status(ctx.now).into()),
        status: Some(status.into()),
        status_reason: change_set.failure.clone().filter(|_| status == "FAILED"),
        creation_time: Some(format_timestamp(change_set.created_at)),
        description: change_set.description.clone(),
        include_nested_stacks: Some(false),
        ..Default::default()
    }
}
