//! Validation of the template's parameters against the values that Freehold passes.

use freehold_tenancy::config::{FRONT_DOOR_PARAMETER, OWN_STACK_PARAMETERS};
use freehold_tenancy::{Config, Region};
use regex::Regex;
use serde_json::Value;

use super::{Subject, TemplateReport};
use crate::template::{Template, has_function_urls};

/// Types of parameters that accept the values of Freehold's own parameters.
const TEXT_TYPES: [&str; 2] = ["String", "CommaDelimitedList"];

/// Validates the parameters of one template.
pub(super) fn check(subject: &Subject<'_>, report: &mut TemplateReport) {
    let Subject { config, field, template, regions, .. } = *subject;
    let configured = &config.stack.parameters;
    let may_have_front_door = regions.iter().any(|region| has_function_urls(*region));
    if may_have_front_door
        && config.tiers.iter().any(|tier| tier.front_door)
        && !template.has_parameter(FRONT_DOOR_PARAMETER)
    {
        report.warnings.push(format!(
            "{field}: the template does not declare the parameter {FRONT_DOOR_PARAMETER}, so no environment can have \
             the front door that a tier asks for"
        ));
    }
    for (name, parameter) in template.section("Parameters") {
        let kind = parameter.get("Type").and_then(Value::as_str);
        let Some(kind) = kind else {
            report.add(field, format_args!("the parameter {name} must have a Type"));
            continue;
        };
        let is_own = OWN_STACK_PARAMETERS.contains(&name);
        if is_own && !TEXT_TYPES.contains(&kind) {
            report.add(field, format_args!("the parameter {name} must have the Type String, not {kind}"));
            continue;
        }
        if parameter.get("Default").is_none() && !is_own && !configured.contains_key(name) {
            report.add(
                field,
                format_args!(
                    "the parameter {name} must have a default, or a value in [stack.parameters]; Freehold itself \
                     passes {}",
                    OWN_STACK_PARAMETERS.join(", ")
                ),
            );
        }
        if let Some(violation) = configured.get(name).and_then(|value| violation(kind, parameter, value)) {
            report.add(&format!("stack.parameters.{name}"), format_args!("{violation} (parameter of the template)"));
        }
        for value in values_of_own(config, regions, name) {
            if let Some(violation) = violation(kind, parameter, &value) {
                report.add(field, format_args!("the parameter {name} must accept `{value}`, but a value {violation}"));
            }
        }
    }
}

/// Requires that at least one template declares each configured parameter.
pub(super) fn check_declared(config: &Config, templates: &[Template], report: &mut TemplateReport) {
    let is_declared = |name: &str| templates.iter().any(|template| template.has_parameter(name));
    for name in config.stack.parameters.keys().filter(|name| !is_declared(name)) {
        // The configuration refuses parameters of Freehold itself.
        if !OWN_STACK_PARAMETERS.contains(&name.as_str()) {
            report.add(&format!("stack.parameters.{name}"), "must be declared in the Parameters of the template");
        }
    }
}

/// Returns values that Freehold can pass for one of its own parameters.
fn values_of_own(config: &Config, regions: &[Region], name: &str) -> Vec<String> {
    match name {
        "TenantId" => vec![format!("ten_{}", "0".repeat(26))],
        "EnvironmentId" => vec![format!("env_{}", "0".repeat(26))],
        "EnvironmentName" => vec!["production".to_owned()],
        "Tier" => config.tiers.iter().map(|tier| tier.name.to_string()).collect(),
        "HomeRegion" => regions.iter().map(Region::to_string).collect(),
        FRONT_DOOR_PARAMETER => vec!["true".to_owned(), "false".to_owned()],
        "VerifyRoleArn" => vec!["arn:aws:iam::111122223333:role/freehold-verify".to_owned()],
        _ => Vec::new(),
    }
}

/// Returns the rule of the parameter that a value violates, starting with "must".
fn violation(kind: &str, parameter: &Value, value: &str) -> Option<String> {
    let limit = |name: &str| parameter.get(name).and_then(number);
    let length = f64::from(u32::try_from(value.chars().count()).unwrap_or(u32::MAX));
    if let Some(allowed) = parameter.get("AllowedValues").and_then(Value::as_array)
        && !allowed.iter().any(|one| text_of(one) == value)
    {
        let allowed: Vec<String> = allowed.iter().map(text_of).collect();
        return Some(format!("must be one of {}", allowed.join(", ")));
    }
    if let Some(most) = limit("MaxLength").filter(|most| length > *most) {
        return Some(format!("must have at most {most} characters"));
    }
    if let Some(least) = limit("MinLength").filter(|least| length < *least) {
        return Some(format!("must have at least {least} characters"));
    }
    if kind == "Number" {
        let Ok(value) = value.parse::<f64>() else { return Some("must be a number".to_owned()) };
        if let Some(most) = limit("MaxValue").filter(|most| value > *most) {
            return Some(format!("must be at most {most}"));
        }
        if let Some(least) = limit("MinValue").filter(|least| value < *least) {
            return Some(format!("must be at least {least}"));
        }
    }
    // A pattern that only Java understands is left to AWS.
    let pattern = parameter.get("AllowedPattern").and_then(Value::as_str)?;
    let regex = Regex::new(&format!("^(?:{pattern})$")).ok()?;
    (!regex.is_match(value)).then(|| format!("must match the AllowedPattern {pattern}"))
}

/// Returns a number in the template. In a YAML template, numbers are parsed as strings.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
