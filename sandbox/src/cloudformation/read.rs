//! API calls that read stacks, such as DescribeStacks and ListStacks.

mod resources;
mod template;

pub(super) use resources::{describe_stack_resource, describe_stack_resources, list_stack_resources};
pub(super) use template::{get_template_summary, validate_template};

use chrono::{DateTime, SecondsFormat, Utc};
use winterbaume_cloudformation::{model, wire};
use winterbaume_core::MockResponse;

use super::stack::{Event, Stack, StackDefinition, Status};
use super::{change_sets, validation};
use crate::template::Template;
use crate::world::{AwsError, Ctx, Request, State, page};

/// Number of stacks or events per page.
const PAGE_SIZE: usize = 100;

pub(super) fn describe_stacks(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_stacks_request(&request.params).map_err(validation)?;
    let stacks = &state.caller_region(ctx).stacks;
    let (found, next_token) = if let Some(name) = input.stack_name.filter(|name| !name.is_empty()) {
        (vec![stacks.find(&name).ok_or_else(|| stack_not_found(&name))?], None)
    } else {
        let active = stacks.iter().filter(|stack| stack.status != Status::DeleteComplete);
        page(ctx, active, input.next_token.as_deref(), Some(PAGE_SIZE), invalid_token)?
    };
    let items = found.into_iter().map(|stack| stack_model(ctx, stack)).collect();
    Ok(wire::serialize_describe_stacks_response(&model::DescribeStacksOutput {
        stacks: Some(model::Stacks { items }),
        next_token,
    }))
}

pub(super) fn list_stacks(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_stacks_request(&request.params).map_err(validation)?;
    let filter = input.stack_status_filter.map(|filter| filter.items).unwrap_or_default();
    let mut stacks: Vec<&Stack> = state
        .caller_region(ctx)
        .stacks
        .iter()
        .filter(|stack| filter.is_empty() || filter.iter().any(|status| status == stack.status.as_str()))
        .collect();
    stacks.sort_by(|a, b| (b.created_at, &a.id).cmp(&(a.created_at, &b.id)));
    let (found, next_token) = page(ctx, stacks, input.next_token.as_deref(), Some(PAGE_SIZE), invalid_token)?;
    let items = found
        .into_iter()
        .map(|stack| model::StackSummary {
            stack_id: Some(stack.id.clone()),
            stack_name: Some(stack.name.clone()),
            stack_status: Some(stack.status.as_str().into()),
            stack_status_reason: stack.reason.clone(),
            template_description: description(stack),
            creation_time: Some(format_timestamp(stack.created_at)),
            last_updated_time: stack.updated_at.map(format_timestamp),
            deletion_time: stack.deleted_at.map(format_timestamp),
            drift_information: Some(model::StackDriftInformationSummary {
                stack_drift_status: Some(stack.drift_status(ctx.now).into()),
                last_check_timestamp: stack.drift_checked_at(ctx.now).map(format_timestamp),
            }),
            ..Default::default()
        })
        .collect();
    Ok(wire::serialize_list_stacks_response(&model::ListStacksOutput {
        stack_summaries: Some(model::StackSummaries { items }),
        next_token,
    }))
}

pub(super) fn describe_stack_events(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_stack_events_request(&request.params).map_err(validation)?;
    let stack = state.caller_region(ctx).stacks.find(&input.stack_name);
    let stack = stack.ok_or_else(|| validation(format!("Stack [{}] does not exist", input.stack_name)))?;
    let newest_first = stack.events.iter().rev();
    let (found, next_token) = page(ctx, newest_first, input.next_token.as_deref(), Some(PAGE_SIZE), invalid_token)?;
    let to_model = |event: &Event| model::StackEvent {
        stack_id: Some(stack.id.clone()),
        stack_name: Some(stack.name.clone()),
        event_id: Some(event.id.clone()),
        logical_resource_id: Some(event.logical_id.clone()),
        physical_resource_id: Some(event.physical_id.clone().unwrap_or_default()),
        resource_type: Some(event.kind.clone()),
        resource_status: Some(event.status.as_str().into()),
        resource_status_reason: event.reason.clone(),
        client_request_token: event.token.clone(),
        timestamp: Some(format_timestamp(event.at)),
        ..Default::default()
    };
    Ok(wire::serialize_describe_stack_events_response(&model::DescribeStackEventsOutput {
        stack_events: Some(model::StackEvents { items: found.into_iter().map(to_model).collect() }),
        next_token,
    }))
}

pub(super) fn get_template(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_get_template_request(&request.params).map_err(validation)?;
    let name = input.stack_name.unwrap_or_default();
    let stacks = &state.caller_region(ctx).stacks;
    let body = match input.change_set_name.as_deref() {
        Some(change_set) => change_sets::template(stacks, Some(&name), change_set)?,
        None => &stacks.find(&name).ok_or_else(|| stack_not_found(&name))?.definition.template,
    };
    // A stack that its change set has not created yet has an empty template.
    let body = if body.is_empty() { "{}" } else { body };
    Ok(wire::serialize_get_template_response(&model::GetTemplateOutput {
        template_body: Some(body.to_owned()),
        stages_available: Some(model::StageList { items: vec!["Original".into(), "Processed".into()] }),
    }))
}

/// Returns the response of DescribeAccountLimits, which contains the default quotas of AWS CloudFormation.
pub(super) fn describe_account_limits() -> MockResponse {
    let limit = |name: &str, value| model::AccountLimit { name: Some(name.into()), value: Some(value) };
    let items = vec![limit("StackLimit", 2_000), limit("StackOutputsLimit", 200)];
    wire::serialize_describe_account_limits_response(&model::DescribeAccountLimitsOutput {
        account_limits: Some(model::AccountLimitList { items }),
        next_token: None,
    })
}

fn stack_model(ctx: &Ctx, stack: &Stack) -> model::Stack {
    let template = Template::parse(&stack.definition.template).ok();
    let outputs = stack.outputs.iter().map(|(key, output)| model::Output {
        output_key: Some(key.clone()),
        output_value: Some(crate::cloudfront::local_url(ctx, &crate::lambda::local_function_url(ctx, &output.value))),
        description: output.description.clone(),
        export_name: output.export.clone(),
    });
    model::Stack {
        stack_id: Some(stack.id.clone()),
        stack_name: Some(stack.name.clone()),
        description: template.as_ref().and_then(|template| template.description.clone()),
        stack_status: Some(stack.status.as_str().into()),
        stack_status_reason: stack.reason.clone(),
        creation_time: Some(format_timestamp(stack.created_at)),
        last_updated_time: stack.updated_at.map(format_timestamp),
        deletion_time: stack.deleted_at.map(format_timestamp),
        parameters: Some(parameter_models(&stack.definition)),
        outputs: Some(model::Outputs { items: outputs.collect() }),
        tags: Some(tag_models(&stack.definition)),
        capabilities: Some(model::Capabilities { items: stack.definition.capabilities.clone() }),
        disable_rollback: Some(stack.on_failure == super::stack::OnFailure::DoNothing),
        enable_termination_protection: Some(stack.termination_protected),
        notification_a_r_ns: Some(model::NotificationARNs { items: stack.options.notification_arns.clone() }),
        role_a_r_n: stack.options.role_arn.clone(),
        timeout_in_minutes: stack.options.timeout_minutes,
        rollback_configuration: Some(stack.rollback.to_model()),
        drift_information: Some(model::StackDriftInformation {
            stack_drift_status: Some(stack.drift_status(ctx.now).into()),
            last_check_timestamp: stack.drift_checked_at(ctx.now).map(format_timestamp),
        }),
        ..Default::default()
    }
}

/// Returns the parameter values of a definition. The values of parameters with `NoEcho` are hidden.
pub(super) fn parameter_models(definition: &StackDefinition) -> model::Parameters {
    let template = Template::parse(&definition.template).ok();
    let is_no_echo = |name: &str| {
        let declared = template.iter().flat_map(|template| &template.parameters);
        declared.into_iter().any(|parameter| parameter.name == name && parameter.no_echo)
    };
    let parameters = definition.parameters.iter().map(|(name, value)| model::Parameter {
        parameter_key: Some(name.clone()),
        parameter_value: Some(if is_no_echo(name) { "****".into() } else { value.clone() }),
        ..Default::default()
    });
    model::Parameters { items: parameters.collect() }
}

pub(super) fn tag_models(definition: &StackDefinition) -> model::Tags {
    let tags = definition.tags.iter().map(|(key, value)| model::Tag { key: key.clone(), value: value.clone() });
    model::Tags { items: tags.collect() }
}

fn description(stack: &Stack) -> Option<String> {
    Template::parse(&stack.definition.template).ok()?.description
}

fn stack_not_found(name: &str) -> AwsError {
    validation(format!("Stack with id {name} does not exist"))
}

pub(super) fn invalid_token() -> AwsError {
    validation("Invalid NextToken")
}

pub(super) fn format_timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
