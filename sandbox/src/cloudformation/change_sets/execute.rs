//! ExecuteChangeSet and DeleteChangeSet.

use winterbaume_cloudformation::{model, wire};
use winterbaume_core::MockResponse;

use super::super::operation::{check_can_be_updated, check_token_unused, start_operation};
use super::super::stack::{OnFailure, Phase, Status};
use super::super::{progress, rules, validation};
use super::{Execution, find, invalid_status, not_found};
use crate::template::Template;
use crate::world::{AwsError, Ctx, Request, State};

pub(in super::super) fn execute_change_set(
    state: &mut State,
    ctx: &Ctx,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_execute_change_set_request(&request.params).map_err(validation)?;
    let token = input.client_request_token;
    rules::check_token(token.as_deref())?;
    let stacks = &mut state.caller_region(ctx).stacks;
    let (stack, change_set) = find(stacks, input.stack_name.as_deref(), &input.change_set_name)?;
    let response = || wire::serialize_execute_change_set_response(&model::ExecuteChangeSetOutput {});
    if token.is_some() && stacks.tokens.get(token.as_deref().unwrap_or_default()) == Some(&change_set.id) {
        return Ok(response());
    }
    check_token_unused(stacks, token.as_deref())?;
    if change_set.execution_status(ctx.now) != "AVAILABLE" {
        return Err(invalid_status(change_set, "executed", ctx.now));
    }
    let creates = stack.status == Status::ReviewInProgress;
    if !creates {
        check_can_be_updated(stack)?;
    }
    let template = Template::parse(&change_set.definition.template)?;
    let (stack_id, id) = (stack.id.clone(), change_set.id.clone());
    let mut stack = stacks.remove(&stack_id).ok_or_else(|| not_found(&id))?;
    stack.change_sets.retain(|one| one.id == id);
    if let Some(change_set) = stack.change_sets.first_mut() {
        change_set.execution = Execution::InProgress(token.clone());
        let definition = std::mem::replace(&mut stack.definition, change_set.definition.clone());
        stack.previous_definition = (!creates).then_some(definition);
        stack.options = change_set.options.clone();
        stack.rollback = change_set.rollback.clone();
        stack.on_failure = match input.disable_rollback {
            Some(true) => OnFailure::DoNothing,
            _ => change_set.on_failure.unwrap_or(OnFailure::Rollback),
        };
    }
    stack.updated_at = Some(ctx.now);
    let (status, phase) =
        if creates { (Status::CreateInProgress, Phase::Create) } else { (Status::UpdateInProgress, Phase::Update) };
    stack.set_status(status, Some("User Initiated".into()), ctx.now, token.clone());
    start_operation(ctx, &mut stack, phase, progress::build_tasks(&template), token.clone());
    stack.retain_except_on_create(request);
    stacks.insert(stack, None);
    if let Some(token) = token {
        stacks.tokens.insert(token, id);
    }
    Ok(response())
}

/// Deletes a change set. Succeeds if the stack has no such change set.
pub(in super::super) fn delete_change_set(
    state: &mut State,
    ctx: &Ctx,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_delete_change_set_request(&request.params).map_err(validation)?;
    let stacks = &mut state.caller_region(ctx).stacks;
    let found = match find(stacks, input.stack_name.as_deref(), &input.change_set_name) {
        Err(error) if error.code == "ChangeSetNotFound" => None,
        found => Some(found?),
    };
    if let Some((stack, change_set)) = found {
        if matches!(change_set.execution, Execution::InProgress(_))
            || matches!(change_set.status(ctx.now), "CREATE_PENDING" | "CREATE_IN_PROGRESS")
        {
            return Err(invalid_status(change_set, "deleted", ctx.now));
        }
        let (stack_id, id) = (stack.id.clone(), change_set.id.clone());
        if let Some(stack) = stacks.by_id.get_mut(&stack_id) {
            stack.change_sets.retain(|one| one.id != id);
        }
    }
    Ok(wire::serialize_delete_change_set_response(&model::DeleteChangeSetOutput {}))
}
