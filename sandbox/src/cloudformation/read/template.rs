//! ValidateTemplate and GetTemplateSummary.

use std::collections::BTreeSet;

use winterbaume_cloudformation::{model, wire};
use winterbaume_core::MockResponse;

use super::super::template_source::template_text;
use super::super::{rules, validation};
use super::stack_not_found;
use crate::template::{Parameter, Template};
use crate::world::{AwsError, Ctx, Request, State};

pub(in super::super) fn validate_template(
    state: &State,
    ctx: &Ctx,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_validate_template_request(&request.params).map_err(validation)?;
    let body = template_text(state, ctx, request, input.template_body, input.template_u_r_l.as_ref())?;
    let template = Template::parse(&body)?;
    rules::check_resource_types(&template, &ctx.region)?;
    let parameter = |parameter: &Parameter| model::TemplateParameter {
        parameter_key: Some(parameter.name.clone()),
        default_value: parameter.default.clone(),
        description: parameter.description.clone(),
        no_echo: Some(parameter.no_echo),
    };
    let (capabilities, capabilities_reason) = capabilities(&template);
    Ok(wire::serialize_validate_template_response(&model::ValidateTemplateOutput {
        description: template.description.clone(),
        parameters: Some(model::TemplateParameters { items: template.parameters.iter().map(parameter).collect() }),
        capabilities,
        capabilities_reason,
        declared_transforms: transforms(&template),
    }))
}

pub(in super::super) fn get_template_summary(
    state: &mut State,
    ctx: &Ctx,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_get_template_summary_request(&request.params).map_err(validation)?;
    if input.stack_set_name.is_some() {
        return Err(validation("The sandbox does not simulate stack sets."));
    }
    let has_template = input.template_body.is_some() || input.template_u_r_l.is_some();
    let body = match input.stack_name {
        Some(_) if has_template => {
            return Err(validation("Only one of StackName, TemplateBody and TemplateURL can be specified."));
        }
        Some(name) => {
            let stack = state.caller_region(ctx).stacks.find(&name).ok_or_else(|| stack_not_found(&name))?;
            stack.definition.template.clone()
        }
        None => template_text(state, ctx, request, input.template_body, input.template_u_r_l.as_ref())?,
    };
    let template = Template::parse(&body)?;
    rules::check_resource_types(&template, &ctx.region)?;
    let parameter = |parameter: &Parameter| model::ParameterDeclaration {
        parameter_key: Some(parameter.name.clone()),
        default_value: parameter.default.clone(),
        parameter_type: Some(parameter.type_name.clone()),
        no_echo: Some(parameter.no_echo),
        description: parameter.description.clone(),
        parameter_constraints: Some(model::ParameterConstraints {
            allowed_values: Some(model::AllowedValues { items: parameter.allowed_values.clone() }),
        }),
    };
    let types: BTreeSet<&String> = template.resources.iter().map(|resource| &resource.kind).collect();
    let (capabilities, capabilities_reason) = capabilities(&template);
    Ok(wire::serialize_get_template_summary_response(&model::GetTemplateSummaryOutput {
        description: template.description.clone(),
        parameters: Some(model::ParameterDeclarations { items: template.parameters.iter().map(parameter).collect() }),
        resource_types: Some(model::ResourceTypes { items: types.into_iter().cloned().collect() }),
        capabilities,
        capabilities_reason,
        declared_transforms: transforms(&template),
        ..Default::default()
    }))
}

/// Returns the capabilities that a template requires, and the reason.
fn capabilities(template: &Template) -> (Option<model::Capabilities>, Option<String>) {
    let capabilities = template.capabilities();
    if capabilities.is_empty() {
        return (None, None);
    }
    let macros = template.macros();
    let kinds = template.resources.iter().map(|resource| resource.kind.as_str());
    let kinds = kinds.filter(|kind| kind.starts_with("AWS::IAM::"));
    let mut reasons: Vec<&str> = kinds.chain(macros.iter().map(String::as_str)).collect();
    reasons.dedup();
    let reason = format!("The following resource(s) require capabilities: [{}]", reasons.join(", "));
    let items = capabilities.iter().map(|&capability| capability.into()).collect();
    (Some(model::Capabilities { items }), Some(reason))
}

fn transforms(template: &Template) -> Option<model::TransformsList> {
    let macros = template.macros();
    (!macros.is_empty()).then_some(model::TransformsList { items: macros })
}
