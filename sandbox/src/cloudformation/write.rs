//! API calls that create, update or delete stacks.

use std::collections::BTreeMap;

use winterbaume_cloudformation::{model, wire};
use winterbaume_core::MockResponse;

use super::operation::{check_can_be_updated, check_token_unused, has_changes, start_operation};
use super::options::StackOptions;
use super::rollback::RollbackConfiguration;
use super::stack::{OnFailure, Phase, Stack, StackDefinition, Status};
use super::template_source::template_text;
use super::{options, progress, rules, validation};
use crate::faults::Fault;
use crate::template::{PseudoParameters, Template};
use crate::world::{AwsError, Ctx, Request, State};

pub(super) fn create_stack(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_create_stack_request(&request.params).map_err(validation)?;
    let name = input.stack_name;
    let token = input.client_request_token;
    rules::check_stack_name(&name)?;
    rules::check_token(token.as_deref())?;
    let on_failure = match (input.on_failure.as_deref(), input.disable_rollback) {
        (Some(_), Some(_)) => return Err(validation("Specify only one of DisableRollback and OnFailure")),
        (Some("DO_NOTHING"), None) | (None, Some(true)) => OnFailure::DoNothing,
        (Some("DELETE"), None) => OnFailure::Delete,
        (Some("ROLLBACK"), None) | (None, _) => OnFailure::Rollback,
        (Some(other), None) => return Err(validation(format!("OnFailure cannot be {other}"))),
    };
    let body = template_text(state, ctx, request, input.template_body, input.template_u_r_l.as_ref())?;
    let template = Template::parse(&body)?;
    options::check_allowed_types(request, &template)?;
    let stack_options = StackOptions::from_request(state, ctx, request, &StackOptions::default())?;
    let definition = StackDefinition {
        parameters: rules::resolve_parameters(&template, input.parameters, None)?,
        tags: rules::parse_tags(input.tags)?,
        capabilities: input.capabilities.map(|capabilities| capabilities.items).unwrap_or_default(),
        template: body,
    };

    let rollback =
        RollbackConfiguration::from_request(request, input.rollback_configuration, &RollbackConfiguration::default())?;

    let uuid = state.ids.uuid();
    let stacks = &mut state.caller_region(ctx).stacks;
    if let Some(existing) = stacks.find_active(&name) {
        if creation_token(existing) == token.as_deref() && token.is_some() {
            return Ok(create_response(&existing.id));
        }
        return Err(AwsError::new("AlreadyExistsException", format!("Stack [{name}] already exists")));
    }
    check_token_unused(stacks, token.as_deref())?;
    stacks.check_quota()?;
    let id = format!("arn:aws:cloudformation:{}:{}:stack/{name}/{uuid}", ctx.region, ctx.caller.account);
    let pseudo_parameters = PseudoParameters {
        account: ctx.caller.account.clone(),
        region: ctx.region.clone(),
        stack_id: id.clone(),
        stack_name: name.clone(),
        exports: BTreeMap::new(),
        notification_arns: stack_options.notification_arns.clone(),
    };
    rules::check_definition(&template, &definition, pseudo_parameters)?;

    let mut stack = Stack::new(id.clone(), name, definition, ctx.now);
    stack.on_failure = on_failure;
    stack.rollback = rollback;
    stack.options = stack_options;
    stack.termination_protected = input.enable_termination_protection.unwrap_or(false);
    stack.set_status(Status::CreateInProgress, Some("User Initiated".into()), ctx.now, token.clone());
    start_operation(ctx, &mut stack, Phase::Create, progress::build_tasks(&template), token.clone());
    stack.retain_except_on_create(request);
    stacks.insert(stack, token);
    Ok(create_response(&id))
}

pub(super) fn update_stack(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_update_stack_request(&request.params).map_err(validation)?;
    let token = input.client_request_token;
    rules::check_token(token.as_deref())?;
    let uses_previous = input.use_previous_template == Some(true);
    let new_template = (!uses_previous)
        .then(|| template_text(state, ctx, request, input.template_body, input.template_u_r_l.as_ref()));
    let previous = state.caller_region(ctx).stacks.find(&input.stack_name).map(|stack| stack.options.clone());
    let stack_options = StackOptions::from_request(state, ctx, request, &previous.unwrap_or_default())?;
    let stacks = &mut state.caller_region(ctx).stacks;
    let stack = stacks.find(&input.stack_name).filter(|stack| stack.status != Status::DeleteComplete);
    let stack = stack.ok_or_else(|| validation(format!("Stack [{}] does not exist", input.stack_name)))?;
    if let Some(token) = &token
        && stacks.tokens.get(token) == Some(&stack.id)
        && stack.work.as_ref().is_some_and(|work| work.token.as_ref() == Some(token))
    {
        return Ok(update_response(&stack.id));
    }
    check_token_unused(stacks, token.as_deref())?;
    check_can_be_updated(stack)?;
    let body = new_template.unwrap_or_else(|| Ok(stack.definition.template.clone()))?;
    let template = Template::parse(&body)?;
    options::check_allowed_types(request, &template)?;
    let tags = match input.tags {
        Some(tags) => rules::parse_tags(Some(tags))?,
        None => stack.definition.tags.clone(),
    };
    let definition = StackDefinition {
        parameters: rules::resolve_parameters(&template, input.parameters, Some(&stack.definition.parameters))?,
        tags,
        capabilities: input.capabilities.map(|capabilities| capabilities.items).unwrap_or_default(),
        template: body,
    };
    rules::check_definition(&template, &definition, progress::pseudo_parameters(stack))?;
    rules::check_types_unchanged(&stack.definition.template, &template)?;
    if !has_changes(&stack.definition, &definition, &template) {
        return Err(validation("No updates are to be performed."));
    }

    let rollback = RollbackConfiguration::from_request(request, input.rollback_configuration, &stack.rollback)?;
    let id = stack.id.clone();
    let mut stack = stacks.remove(&id).ok_or_else(|| validation(format!("Stack [{id}] does not exist")))?;
    stack.rollback = rollback;
    stack.options = stack_options;
    stack.expire_change_sets();
    stack.previous_definition = Some(std::mem::replace(&mut stack.definition, definition));
    stack.updated_at = Some(ctx.now);
    stack.set_status(Status::UpdateInProgress, Some("User Initiated".into()), ctx.now, token.clone());
    start_operation(ctx, &mut stack, Phase::Update, progress::build_tasks(&template), token.clone());
    stack.retain_except_on_create(request);
    stacks.insert(stack, token);
    Ok(update_response(&id))
}

pub(super) fn continue_update_rollback(
    state: &mut State,
    ctx: &Ctx,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_continue_update_rollback_request(&request.params).map_err(validation)?;
    rules::check_token(input.client_request_token.as_deref())?;
    let stacks = &mut state.caller_region(ctx).stacks;
    let stack = stacks.find(&input.stack_name).filter(|stack| stack.status != Status::DeleteComplete);
    let stack = stack.ok_or_else(|| validation(format!("Stack [{}] does not exist", input.stack_name)))?;
    if stack.status != Status::UpdateRollbackFailed {
        return Err(validation(format!(
            "Stack:{} is in {} state and can not continue update rollback.",
            stack.id,
            stack.status.as_str()
        )));
    }
    let skipped = input.resources_to_skip.map(|skip| skip.items).unwrap_or_default();
    let id = stack.id.clone();
    if let Some(mut stack) = stacks.remove(&id) {
        let token = input.client_request_token;
        stack.set_status(Status::UpdateRollbackInProgress, Some("User Initiated".into()), ctx.now, token.clone());
        let tasks = progress::restore_tasks(&stack.resources, &skipped);
        start_operation(ctx, &mut stack, Phase::UpdateRollback, tasks, token.clone());
        stacks.insert(stack, token);
    }
    Ok(wire::serialize_continue_update_rollback_response(&model::ContinueUpdateRollbackOutput {}))
}

/// Rolls back an update in progress. An update that already deletes its old resources can no longer be cancelled.
pub(super) fn cancel_update_stack(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_cancel_update_stack_request(&request.params).map_err(validation)?;
    let token = input.client_request_token;
    rules::check_token(token.as_deref())?;
    let stacks = &mut state.caller_region(ctx).stacks;
    let stack = stacks.find(&input.stack_name).filter(|stack| stack.status != Status::DeleteComplete);
    let stack = stack.ok_or_else(|| validation(format!("Stack [{}] does not exist", input.stack_name)))?;
    if token.as_ref().is_some_and(|token| stacks.tokens.get(token) == Some(&stack.id)) {
        return Ok(wire::serialize_cancel_update_stack_response());
    }
    check_token_unused(stacks, token.as_deref())?;
    if stack.status != Status::UpdateInProgress {
        return Err(validation("CancelUpdateStack cannot be called from current stack status"));
    }
    let id = stack.id.clone();
    if let Some(mut stack) = stacks.remove(&id) {
        if let Some(work) = &mut stack.work {
            work.is_cancelled = true;
            work.time = work.time.max(ctx.now);
            work.token = token.clone().or(work.token.take());
        }
        stacks.insert(stack, token);
    }
    Ok(wire::serialize_cancel_update_stack_response())
}

/// Start of the reason of a deletion that CloudFormation has cancelled, so that the stack keeps its status.
const DELETE_CANCELLED: &str = "Delete canceled";

pub(super) fn delete_stack(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_delete_stack_request(&request.params).map_err(validation)?;
    let token = input.client_request_token;
    rules::check_token(token.as_deref())?;
    let role = input.role_a_r_n.map(|arn| options::check_role(state, ctx, &arn)).transpose()?;
    let stacks = &mut state.caller_region(ctx).stacks;
    let Some(stack) = stacks.find(&input.stack_name).filter(|stack| stack.status != Status::DeleteComplete) else {
        return Ok(wire::serialize_delete_stack_response());
    };
    if stack.status == Status::DeleteInProgress {
        return Ok(wire::serialize_delete_stack_response());
    }
    check_token_unused(stacks, token.as_deref())?;
    if stack.termination_protected {
        return Err(validation(format!(
            "Stack [{}] cannot be deleted while TerminationProtection is enabled",
            stack.name
        )));
    }
    if stack.status.is_in_progress() && stack.status != Status::CreateInProgress {
        return Err(validation(format!(
            "Stack [{}] cannot be deleted while in status {}",
            stack.id,
            stack.status.as_str()
        )));
    }
    let mut retain = input.retain_resources.map(|retain| retain.items).unwrap_or_default();
    let force = input.deletion_mode.as_deref() == Some("FORCE_DELETE_STACK");
    if force && stack.status != Status::DeleteFailed {
        return Err(validation(format!(
            "Invalid operation on stack [{}]. FORCE_DELETE_STACK is only for a stack in the DELETE_FAILED state.",
            stack.id
        )));
    }
    if force {
        let failed = stack.resources.values().filter(|resource| resource.status == Status::DeleteFailed);
        retain.extend(failed.map(|resource| resource.logical_id.clone()));
    }
    if !retain.is_empty() && stack.status != Status::DeleteFailed {
        return Err(validation(format!(
            "Invalid operation on stack [{}]. Specify resources to retain only when stack is in the DELETE_FAILED \
             state.",
            stack.id
        )));
    }

    let id = stack.id.clone();
    if let Some(mut stack) = stacks.remove(&id) {
        if let Some(Fault::FailedState { reason }) = &ctx.fault
            && reason.starts_with(DELETE_CANCELLED)
        {
            stack.set_status(stack.status, Some(reason.clone()), ctx.now, token.clone());
            stacks.insert(stack, token);
            return Ok(wire::serialize_delete_stack_response());
        }
        for logical_id in &retain {
            if let Some(resource) = stack.resources.get_mut(logical_id) {
                resource.retained = true;
            }
        }
        stack.change_sets.clear();
        stack.options.role_arn = role.or(stack.options.role_arn.take());
        stack.set_status(Status::DeleteInProgress, Some("User Initiated".into()), ctx.now, token.clone());
        let tasks = progress::deletion_tasks(&stack.resources);
        start_operation(ctx, &mut stack, Phase::Delete, tasks, token.clone());
        stacks.insert(stack, token);
    }
    Ok(wire::serialize_delete_stack_response())
}

pub(super) fn update_termination_protection(
    state: &mut State,
    ctx: &Ctx,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_update_termination_protection_request(&request.params).map_err(validation)?;
    let stack = state.caller_region(ctx).stacks.find_mut(&input.stack_name);
    let stack = stack
        .filter(|stack| stack.status != Status::DeleteComplete)
        .ok_or_else(|| validation(format!("Stack [{}] does not exist", input.stack_name)))?;
    stack.termination_protected = input.enable_termination_protection;
    let stack_id = Some(stack.id.clone());
    Ok(wire::serialize_update_termination_protection_response(&model::UpdateTerminationProtectionOutput { stack_id }))
}

fn creation_token(stack: &Stack) -> Option<&str> {
    stack.events.first()?.token.as_deref()
}

fn create_response(id: &str) -> MockResponse {
    let output = model::CreateStackOutput { stack_id: Some(id.to_owned()), operation_id: None };
    wire::serialize_create_stack_response(&output)
}

fn update_response(id: &str) -> MockResponse {
    let output = model::UpdateStackOutput { stack_id: Some(id.to_owned()), operation_id: None };
    wire::serialize_update_stack_response(&output)
}
