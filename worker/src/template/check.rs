//! Validates the template of the tenant stack before any account is created, so that AWS does not refuse it later.

mod parameters;
mod references;

use std::collections::BTreeSet;

use freehold_tenancy::aws::quotas::{
    MAX_TEMPLATE_BYTES, MAX_TEMPLATE_NAME_LENGTH, MAX_TEMPLATE_OUTPUTS, MAX_TEMPLATE_PARAMETERS, MAX_TEMPLATE_RESOURCES,
};
use freehold_tenancy::aws::resource_types;
use freehold_tenancy::config::{CheckKind, is_forbidden_service};
use freehold_tenancy::{Config, Region};
use serde_json::Value;

use super::access_role::AllowedActions;
use super::{Template, baseline, read};

/// Sections of a template that CloudFormation knows.
const SECTIONS: [&str; 10] = [
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Hooks",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
];

const FORMAT_VERSION: &str = "2010-09-09";

/// Field name at the start of the messages about the template.
const FIELD: &str = "stack.template";

/// Result of a validation. Each message starts with the name of a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateReport {
    /// Size of the template in bytes.
    pub bytes: usize,
    /// Reasons why AWS would refuse the template, or why no environment could become ready.
    pub problems: Vec<String>,
    /// Problems of the built-in template, which the operator cannot edit.
    pub warnings: Vec<String>,
}

impl TemplateReport {
    fn add(&mut self, field: &str, problem: impl std::fmt::Display) {
        self.problems.push(format!("{field}: {problem}"));
    }
}

/// Validates the configured template, or the built-in template, for all regions and tiers in the configuration.
pub fn check(config: &Config) -> TemplateReport {
    let mut report = match read(&config.stack) {
        Ok(text) => check_text(config, &text),
        Err(error) => TemplateReport { problems: vec![error.to_string()], ..TemplateReport::default() },
    };
    if let Some(problem) = baseline::size_problem(&config.access_role) {
        report.add("access_role.statements", problem);
    }
    report
}

pub(crate) fn check_text(config: &Config, text: &str) -> TemplateReport {
    let mut report = TemplateReport { bytes: text.len(), ..TemplateReport::default() };
    if text.len() > MAX_TEMPLATE_BYTES {
        report.add(FIELD, format_args!("must have at most {MAX_TEMPLATE_BYTES} bytes, not {}", text.len()));
    }
    match Template::parse(text) {
        Err(error) => report.problems.push(error.to_string()),
        Ok(template) => {
            sections(&template, &mut report);
            transforms(&template, &mut report);
            parameters::check(config, &template, &mut report);
            outputs(config, &template, &mut report);
            resources(config, &template, &mut report);
            references::check(&template, &mut report);
        }
    }
    report
}

fn sections(template: &Template, report: &mut TemplateReport) {
    // `transforms` reports the section Transform.
    for (name, value) in template.root.iter().filter(|(name, _)| *name != "Transform") {
        let is_text = matches!(name.as_str(), "AWSTemplateFormatVersion" | "Description");
        if !SECTIONS.contains(&name.as_str()) {
            report
                .add(FIELD, format_args!("must not contain the section `{name}`, which CloudFormation does not know"));
        } else if is_text != value.is_string() || !(is_text || value.is_object()) {
            let kind = if is_text { "a text" } else { "an object" };
            report.add(FIELD, format_args!("the section {name} must be {kind}"));
        }
    }
    if let Some(version) = template.root.get("AWSTemplateFormatVersion").and_then(Value::as_str)
        && version != FORMAT_VERSION
    {
        report.add(FIELD, format_args!("AWSTemplateFormatVersion must be {FORMAT_VERSION}, not {version}"));
    }
    for (section, most) in [
        ("Parameters", MAX_TEMPLATE_PARAMETERS),
        ("Resources", MAX_TEMPLATE_RESOURCES),
        ("Outputs", MAX_TEMPLATE_OUTPUTS),
    ] {
        let count = template.section(section).count();
        if count > most {
            report.add(FIELD, format_args!("the section {section} must have at most {most} entries, not {count}"));
        }
        for (name, value) in template.section(section) {
            if name.len() > MAX_TEMPLATE_NAME_LENGTH || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                report
                    .add(FIELD, format_args!("the name `{name}` in {section} must be at most 255 letters and digits"));
            }
            if !value.is_object() {
                report.add(FIELD, format_args!("{name} in {section} must be an object"));
            }
        }
    }
    if template.section("Resources").next().is_none() {
        report.add(FIELD, "must have at least one resource");
    }
}

/// Refuses macros. They need a capability that Freehold does not pass.
fn transforms(template: &Template, report: &mut TemplateReport) {
    let is_used =
        template.root.contains_key("Transform") || template.root.values().any(|value| has_key(value, "Fn::Transform"));
    if is_used {
        report.add(
            FIELD,
            "must not use Transform, because Freehold does not pass the capability that macros need; \
             deploy the processed template (`aws cloudformation package`, `sam package`)",
        );
    }
}

fn has_key(value: &Value, key: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| has_key(item, key)),
        Value::Object(entries) => entries.iter().any(|(name, value)| name == key || has_key(value, key)),
        _ => false,
    }
}

fn outputs(config: &Config, template: &Template, report: &mut TemplateReport) {
    let stack = &config.stack;
    let (url, function) = (template.output(&stack.url_output), template.output(&stack.function_output));
    let lacking: Vec<_> = regions(config).filter(|region| !has_function_urls(*region)).map(Region::as_str).collect();
    let missing = |name: &str| {
        let names: Vec<&str> = template.section("Outputs").map(|(name, _)| name).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        format!("must be an output of the template, which lacks `{name}`; its outputs are: {names}")
    };
    match stack.check.kind {
        CheckKind::Invoke if function.is_none() => {
            report.add("stack.function_output", missing(&stack.function_output));
        }
        CheckKind::Invoke => {}
        CheckKind::Url => {
            let needs_url = regions(config).any(has_function_urls) || function.is_none();
            if url.is_none() && needs_url {
                report.add("stack.url_output", missing(&stack.url_output));
            } else if url.is_some_and(|output| output.is_conditional) && function.is_none() && !lacking.is_empty() {
                report.add(
                    "stack.function_output",
                    format_args!(
                        "{}; without a Function URL, Freehold invokes the function in {}",
                        missing(&stack.function_output),
                        lacking.join(", ")
                    ),
                );
            }
        }
    }
    for (name, output) in template.section("Outputs") {
        if output.is_object() && output.get("Value").is_none() {
            report.add(FIELD, format_args!("the output {name} must have a Value"));
        }
    }
}

fn resources(config: &Config, template: &Template, report: &mut TemplateReport) {
    let (mut checked, allowed) = (BTreeSet::new(), AllowedActions::of_access_role(&config.access_role));
    for (name, resource) in template.section("Resources") {
        let Some(kind) = resource.get("Type").and_then(Value::as_str) else {
            report.add(FIELD, format_args!("the resource {name} must have a Type"));
            continue;
        };
        if config.stack.accepted_resource_types.iter().any(|one| one == kind) || !checked.insert(kind) {
            continue;
        }
        if !resource_types::exists(kind) {
            report.add(
                FIELD,
                format_args!(
                    "the Type {kind} of the resource {name} must be a resource type of AWS; if AWS has added it \
                     recently, list it in stack.accepted_resource_types"
                ),
            );
            continue;
        }
        let actions = resource_types::creating_actions(kind);
        if let Some(action) = actions.first()
            && !actions.iter().any(|action| allowed.contains(action))
        {
            report.add(
                FIELD,
                format_args!(
                    "the Type {kind} of the resource {name} needs permissions that the role freehold-access lacks, \
                     such as {action}; {}",
                    statement_to_add(action)
                ),
            );
        }
        let has_type =
            |region: &Region| !resource_types::has_data(*region) || resource_types::is_available(kind, *region);
        let lacking: Vec<_> = regions(config).filter(|region| !has_type(region)).map(Region::as_str).collect();
        if lacking.is_empty() {
            continue;
        }
        let problem = format!(
            "{FIELD}: the Type {kind} of the resource {name} must be replaced, because AWS lacks it in {}; if AWS has \
             added it there recently, list it in stack.accepted_resource_types",
            lacking.join(", ")
        );
        // The operator cannot edit the built-in template.
        if config.stack.template.is_none() { report.warnings.push(problem) } else { report.problems.push(problem) }
    }
}

/// Returns the advice that adds the permission for an action, and for the other actions of its service.
fn statement_to_add(action: &str) -> String {
    let service = action.split(':').next().unwrap_or_default();
    if is_forbidden_service(service) {
        return "access_role.statements must not allow it, so the resource must be deployed in another way".to_owned();
    }
    let resource = if service == "iam" { "arn:aws:iam::*:role/freehold-tenant-*" } else { "*" };
    format!(
        "add {{ Effect = \"Allow\", Action = \"{service}:*\", Resource = \"{resource}\" }} to access_role.statements, \
         with fewer actions and a narrower Resource if possible"
    )
}

/// Returns whether CloudFormation can create a Function URL in a region.
pub(crate) fn has_function_urls(region: Region) -> bool {
    !resource_types::has_data(region) || resource_types::is_available("AWS::Lambda::Url", region)
}

fn regions(config: &Config) -> impl Iterator<Item = Region> {
    config.residencies.iter().flat_map(|residency| residency.regions.iter().copied())
}

#[cfg(test)]
mod tests;
