//! Template checks that do not depend on parameter values: undefined names and dependency cycles.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::references::{self, Reference};
use super::{Template, TemplateError};

const PSEUDO_PARAMETERS: [&str; 8] = [
    "AWS::AccountId",
    "AWS::NoValue",
    "AWS::NotificationARNs",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
];

/// Functions in the order in which CloudFormation lists them.
const FUNCTIONS: [&str; 23] = [
    "Fn::Base64",
    "Fn::GetAtt",
    "Fn::GetAZs",
    "Fn::ImportValue",
    "Fn::Join",
    "Fn::Split",
    "Fn::FindInMap",
    "Fn::Select",
    "Ref",
    "Fn::If",
    "Fn::Equals",
    "Fn::Not",
    "Condition",
    "Fn::And",
    "Fn::Or",
    "Fn::Contains",
    "Fn::EachMemberEquals",
    "Fn::EachMemberIn",
    "Fn::ValueOf",
    "Fn::ValueOfAll",
    "Fn::RefAll",
    "Fn::Sub",
    "Fn::Cidr",
];

pub(super) fn check_template(template: &Template) -> Result<(), TemplateError> {
    check_functions(template)?;
    check_conditions(template)?;
    for resource in &template.resources {
        check_references(template, &resource.properties, "Resources")?;
        let undefined = resource.depends_on.iter().filter(|id| template.resource(id).is_none());
        check_undefined(undefined.map(String::as_str), "Resources")?;
    }
    for output in &template.outputs {
        check_references(template, &output.value, "Outputs")?;
    }
    check_cycles(template)
}

/// Returns an error if CloudFormation does not know a function. Macros can process functions of their own.
fn check_functions(template: &Template) -> Result<(), TemplateError> {
    if !template.transforms.is_empty() {
        return Ok(());
    }
    let properties = template.resources.iter().map(|resource| &resource.properties);
    let outputs = template.outputs.iter().map(|output| &output.value);
    let mut unknown = None;
    for value in properties.chain(outputs).chain(template.conditions.values()) {
        references::visit_functions(value, &mut |name, _| {
            if !FUNCTIONS.contains(&name) && name != "Fn::Transform" {
                unknown.get_or_insert(name);
            }
        });
    }
    match unknown {
        None => Ok(()),
        Some(name) => Err(TemplateError::format(format_args!(
            "Encountered unsupported function: {name} Supported functions are: [{}]",
            FUNCTIONS.join(", ")
        ))),
    }
}

fn check_conditions(template: &Template) -> Result<(), TemplateError> {
    let is_defined = |name: &String| template.conditions.contains_key(name);
    let undefined_error = |name: &str, block: &str| {
        TemplateError::format(format_args!(
            "Unresolved condition dependency {name} in the {block} block of the template"
        ))
    };
    for expression in template.conditions.values() {
        if let Some(undefined) = references::find_condition_names(expression).iter().find(|name| !is_defined(name)) {
            return Err(undefined_error(undefined, "Conditions"));
        }
        let references = references::find_references(expression, &|_| None);
        let undefined = references
            .iter()
            .filter(|reference| !reference.is_pseudo_parameter() && !template.has_parameter(&reference.name));
        check_undefined(undefined.map(|reference| reference.name.as_str()), "Conditions")?;
    }
    let resources = template.resources.iter().map(|resource| (&resource.condition, &resource.properties, "Resources"));
    let outputs = template.outputs.iter().map(|output| (&output.condition, &output.value, "Outputs"));
    for (condition, value, block) in resources.chain(outputs) {
        let if_conditions = if_condition_names(value);
        if let Some(undefined) = condition.iter().chain(&if_conditions).find(|name| !is_defined(name)) {
            return Err(undefined_error(undefined, block));
        }
    }
    Ok(())
}

/// Returns the condition names used by `Fn::If`. Keys named `Condition` are ignored, because in properties they belong
/// to IAM policies.
fn if_condition_names(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(if_condition_names).collect(),
        Value::Object(fields) => {
            let condition = match references::single_entry(value) {
                Some(("Fn::If", Value::Array(parts))) => parts.first().and_then(Value::as_str).map(str::to_owned),
                _ => None,
            };
            condition.into_iter().chain(fields.values().flat_map(if_condition_names)).collect()
        }
        _ => Vec::new(),
    }
}

fn check_references(template: &Template, value: &Value, block: &str) -> Result<(), TemplateError> {
    let is_undefined = |reference: &&Reference| match &reference.attribute {
        Some(_) => template.resource(&reference.name).is_none(),
        None if reference.is_pseudo_parameter() => !PSEUDO_PARAMETERS.contains(&reference.name.as_str()),
        None => template.resource(&reference.name).is_none() && !template.has_parameter(&reference.name),
    };
    let references = references::find_references(value, &|_| None);
    let undefined: BTreeSet<&str> =
        references.iter().filter(is_undefined).map(|reference| reference.name.as_str()).collect();
    check_undefined(undefined.into_iter(), block)
}

fn check_undefined<'a>(undefined: impl Iterator<Item = &'a str>, block: &str) -> Result<(), TemplateError> {
    let undefined: Vec<&str> = undefined.collect();
    if undefined.is_empty() {
        return Ok(());
    }
    Err(TemplateError::format(format_args!(
        "Unresolved resource dependencies [{}] in the {block} block of the template",
        undefined.join(", ")
    )))
}

/// Returns an error if resources depend on each other in a cycle. Repeatedly removes the resources without remaining
/// dependencies; resources that cannot be removed are part of a cycle or depend on one.
fn check_cycles(template: &Template) -> Result<(), TemplateError> {
    let mut waiting: BTreeMap<&str, BTreeSet<String>> = template
        .resources
        .iter()
        .map(|resource| (resource.logical_id.as_str(), template.dependencies(resource, &|_| None)))
        .collect();
    loop {
        let free: Vec<&str> = waiting
            .iter()
            .filter(|(_, needs)| !needs.iter().any(|need| waiting.contains_key(need.as_str())))
            .map(|(id, _)| *id)
            .collect();
        if free.is_empty() {
            break;
        }
        for id in free {
            waiting.remove(id);
        }
    }
    if waiting.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = waiting.into_keys().collect();
    Err(TemplateError(format!("Circular dependency between resources: [{}]", ids.join(", "))))
}
