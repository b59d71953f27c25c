//! What is wrong with a template whatever its parameters are: names that lead nowhere, and circles.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::references::{self, Reference};
use super::{Template, TemplateError};

const PSEUDO: [&str; 8] = [
    "AWS::AccountId",
    "AWS::NoValue",
    "AWS::NotificationARNs",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
];

pub(super) fn template(template: &Template) -> Result<(), TemplateError> {
    conditions(template)?;
    for resource in &template.resources {
        names(template, &resource.properties, "Resources")?;
        let strays = resource.depends_on.iter().filter(|id| template.resource(id).is_none());
        unresolved(strays.map(String::as_str), "Resources")?;
    }
    for output in &template.outputs {
        names(template, &output.value, "Outputs")?;
    }
    circles(template)
}

fn conditions(template: &Template) -> Result<(), TemplateError> {
    let known = |name: &String| template.conditions.contains_key(name);
    let unknown = |name: &str, block: &str| {
        TemplateError::format(format_args!(
            "Unresolved condition dependency {name} in the {block} block of the template"
        ))
    };
    for expression in template.conditions.values() {
        if let Some(stray) = references::conditions(expression).iter().find(|name| !known(name)) {
            return Err(unknown(stray, "Conditions"));
        }
        let names = references::of(expression, &|_| None);
        let strays = names.iter().filter(|name| !name.is_pseudo() && !template.has_parameter(&name.name));
        unresolved(strays.map(|name| name.name.as_str()), "Conditions")?;
    }
    let resources = template.resources.iter().map(|resource| (&resource.condition, &resource.properties, "Resources"));
    let outputs = template.outputs.iter().map(|output| (&output.condition, &output.value, "Outputs"));
    for (condition, value, block) in resources.chain(outputs) {
        let in_ifs = ifs(value);
        if let Some(stray) = condition.iter().chain(&in_ifs).find(|name| !known(name)) {
            return Err(unknown(stray, block));
        }
    }
    Ok(())
}

/// Only what `Fn::If` names: in properties, a key `Condition` is IAM's.
fn ifs(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(ifs).collect(),
        Value::Object(fields) => {
            let own = match references::sole(value) {
                Some(("Fn::If", Value::Array(parts))) => parts.first().and_then(Value::as_str).map(str::to_owned),
                _ => None,
            };
            own.into_iter().chain(fields.values().flat_map(ifs)).collect()
        }
        _ => Vec::new(),
    }
}

fn names(template: &Template, value: &Value, block: &str) -> Result<(), TemplateError> {
    let leads_nowhere = |reference: &&Reference| match &reference.attribute {
        Some(_) => template.resource(&reference.name).is_none(),
        None if reference.is_pseudo() => !PSEUDO.contains(&reference.name.as_str()),
        None => template.resource(&reference.name).is_none() && !template.has_parameter(&reference.name),
    };
    let references = references::of(value, &|_| None);
    let strays: BTreeSet<&str> =
        references.iter().filter(leads_nowhere).map(|reference| reference.name.as_str()).collect();
    unresolved(strays.into_iter(), block)
}

fn unresolved<'a>(strays: impl Iterator<Item = &'a str>, block: &str) -> Result<(), TemplateError> {
    let strays: Vec<&str> = strays.collect();
    if strays.is_empty() {
        return Ok(());
    }
    Err(TemplateError::format(format_args!(
        "Unresolved resource dependencies [{}] in the {block} block of the template",
        strays.join(", ")
    )))
}

/// Takes away what depends on nothing that is left, until nothing can be taken away.
fn circles(template: &Template) -> Result<(), TemplateError> {
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
