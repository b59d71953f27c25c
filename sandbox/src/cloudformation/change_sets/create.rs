//! CreateChangeSet.

use std::collections::BTreeMap;

use winterbaume_cloudformation::{model, wire};
use winterbaume_core::MockResponse;

use super::super::operation::{check_can_be_updated, has_changes};
use super::super::options::StackOptions;
use super::super::rollback::RollbackConfiguration;
use super::super::stack::{OnFailure, Stack, StackDefinition, Status};
use super::super::template_source::template_text;
use super::super::{Stacks, options, progress, rules, validation};
use super::{ChangeSet, Execution, NO_CHANGES, changes};
use crate::faults::Fault;
use crate::template::{PseudoParameters, Template};
use crate::world::{AwsError, Ctx, Request, State};

/// Part of the time until a change set is ready in which its status is CREATE_PENDING.
const PENDING_PART: i32 = 3;

pub(in super::super) fn create_change_set(
    state: &mut State,
    ctx: &Ctx,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_create_change_set_request(&request.params).map_err(validation)?;
    check_input(&input)?;
    let creates = match input.change_set_type.as_deref() {
        None | Some("UPDATE") => false,
        Some("CREATE") => true,
        Some("IMPORT") => return Err(validation("The sandbox does not import resources into stacks.")),
        Some(other) => return Err(rules::enum_error("changeSetType", other, "IMPORT, UPDATE, CREATE")),
    };
    let on_failure = on_failure(input.on_stack_failure.as_deref(), creates)?;
    let text = match input.use_previous_template {
        Some(true) if input.template_body.is_some() || input.template_u_r_l.is_some() => {
            return Err(validation("Specify only one of TemplateBody, TemplateURL and UsePreviousTemplate"));
        }
        Some(true) => None,
        _ => Some(template_text(state, ctx, request, input.template_body.clone(), input.template_u_r_l.as_ref())?),
    };
    let uuid = state.ids.uuid();
    let previous = state.caller_region(ctx).stacks.find(&input.stack_name).map(|stack| stack.options.clone());
    let stack_options = StackOptions::from_request(state, ctx, request, &previous.unwrap_or_default())?;
    let stacks = &state.caller_region(ctx).stacks;
    let existing = stacks.find(&input.stack_name).filter(|stack| stack.status != Status::DeleteComplete);
    let stack = stack_of_change_set(ctx, stacks, existing, &input, creates, &uuid)?;
    let id = format!(
        "arn:aws:cloudformation:{}:{}:changeSet/{}/{uuid}",
        ctx.region, ctx.caller.account, input.change_set_name
    );
    if let Some(same_name) = stack.change_set(&input.change_set_name).filter(|one| !one.is_executed()) {
        if same_name.token.is_some() && same_name.token == input.client_token {
            return Ok(response(&same_name.id, &stack.id));
        }
        let message = format!("ChangeSet [{}] already exists", input.change_set_name);
        return Err(AwsError::new("AlreadyExistsException", message));
    }

    let has_template = !stack.definition.template.is_empty();
    let text = match text {
        Some(text) => text,
        None if has_template => stack.definition.template.clone(),
        None => return Err(validation("UsePreviousTemplate is only for a stack that has a template.")),
    };
    let template = Template::parse(&text)?;
    options::check_allowed_types(request, &template)?;
    let previous = has_template.then_some(&stack.definition);
    let definition = StackDefinition {
        parameters: rules::resolve_parameters(
            &template,
            input.parameters,
            previous.map(|previous| &previous.parameters),
        )?,
        tags: match input.tags {
            Some(tags) => rules::parse_tags(Some(tags))?,
            None => stack.definition.tags.clone(),
        },
        capabilities: input.capabilities.map(|capabilities| capabilities.items).unwrap_or_default(),
        template: text,
    };
    rules::check_definition(&template, &definition, progress::pseudo_parameters(&stack))?;
    if let Some(previous) = previous {
        rules::check_types_unchanged(&previous.template, &template)?;
    }
    let pseudo = PseudoParameters { exports: stacks.exports(), ..progress::pseudo_parameters(&stack) };
    let changes = changes::between(&stack, &definition, pseudo)?;
    let is_empty = previous.is_some_and(|previous| !has_changes(previous, &definition, &template));
    let failure = match &ctx.fault {
        Some(Fault::FailedState { reason }) => Some(reason.clone()),
        _ => is_empty.then(|| NO_CHANGES.to_owned()),
    };
    let duration = ctx.draw_duration(ctx.settings.durations.change_set, &format!("{}/{uuid}", stack.name));
    let change_set = ChangeSet {
        id: id.clone(),
        name: input.change_set_name,
        description: input.description,
        created_at: ctx.now,
        started_at: ctx.now + duration / PENDING_PART,
        ready_at: (ctx.fault != Some(Fault::Stuck)).then(|| ctx.now + duration),
        token: input.client_token,
        definition,
        on_failure,
        rollback: RollbackConfiguration::from_request(request, input.rollback_configuration, &stack.rollback)?,
        options: stack_options,
        changes: if failure.is_some() { Vec::new() } else { changes },
        failure,
        execution: Execution::NotStarted,
    };
    let stack_id = stack.id.clone();
    let stacks = &mut state.caller_region(ctx).stacks;
    stacks.by_id.entry(stack_id.clone()).or_insert(stack).change_sets.push(change_set);
    Ok(response(&id, &stack_id))
}

/// Validates the members of a request that do not depend on the stack.
fn check_input(input: &model::CreateChangeSetInput) -> Result<(), AwsError> {
    if !input.stack_name.starts_with("arn:") {
        rules::check_stack_name(&input.stack_name)?;
    }
    rules::check_name("changeSetName", &input.change_set_name)?;
    let lengths =
        [("clientToken", input.client_token.as_deref(), 128), ("description", input.description.as_deref(), 1_024)];
    for (member, text, max) in lengths {
        let Some(text) = text else { continue };
        if text.is_empty() || text.chars().count() > max {
            let rule = format!("Member must have length between 1 and {max}");
            return Err(rules::constraint_error(member, text, &rule));
        }
    }
    match input.deployment_mode.as_deref() {
        None => Ok(()),
        Some("REVERT_DRIFT") => Err(validation("The sandbox does not simulate the deployment mode REVERT_DRIFT.")),
        Some(other) => Err(rules::enum_error("deploymentMode", other, "REVERT_DRIFT")),
    }
}

fn on_failure(value: Option<&str>, creates: bool) -> Result<Option<OnFailure>, AwsError> {
    Ok(Some(match value {
        None => return Ok(None),
        Some("DO_NOTHING") => OnFailure::DoNothing,
        Some("ROLLBACK") => OnFailure::Rollback,
        Some("DELETE") if creates => OnFailure::Delete,
        Some("DELETE") => {
            return Err(validation("OnStackFailure DELETE is only valid if ChangeSetType is CREATE."));
        }
        Some(other) => return Err(rules::enum_error("onStackFailure", other, "DO_NOTHING, ROLLBACK, DELETE")),
    }))
}

/// Returns a copy of the stack of the new change set, or a new stack for a change set that creates its stack.
fn stack_of_change_set(
    ctx: &Ctx,
    stacks: &Stacks,
    existing: Option<&Stack>,
    input: &model::CreateChangeSetInput,
    creates: bool,
    uuid: &str,
) -> Result<Stack, AwsError> {
    let name = &input.stack_name;
    match (existing, creates) {
        (Some(stack), true) if stack.status == Status::ReviewInProgress => Ok(stack.clone()),
        (Some(stack), true) => Err(validation(format!(
            "Stack [{}] already exists and cannot be created again with the changeSet [{}].",
            stack.name, input.change_set_name
        ))),
        (Some(stack), false) => {
            check_can_be_updated(stack)?;
            Ok(stack.clone())
        }
        (None, true) if !name.starts_with("arn:") => {
            stacks.check_quota()?;
            let id = format!("arn:aws:cloudformation:{}:{}:stack/{name}/{uuid}", ctx.region, ctx.caller.account);
            let definition = StackDefinition {
                template: String::new(),
                parameters: BTreeMap::new(),
                tags: BTreeMap::new(),
                capabilities: Vec::new(),
            };
            let mut stack = Stack::new(id, name.clone(), definition, ctx.now);
            stack.set_status(Status::ReviewInProgress, Some("User Initiated".into()), ctx.now, None);
            Ok(stack)
        }
        (None, _) => Err(validation(format!("Stack [{name}] does not exist"))),
    }
}

fn response(id: &str, stack_id: &str) -> MockResponse {
    wire::serialize_create_change_set_response(&model::CreateChangeSetOutput {
        id: Some(id.to_owned()),
        stack_id: Some(stack_id.to_owned()),
    })
}
