//! Validation of requests before a stack operation starts: lengths, patterns, capabilities and parameters.

use std::collections::{BTreeMap, BTreeSet};

use freehold_tenancy::Region;
use freehold_tenancy::aws::resource_types;
use winterbaume_cloudformation::model;

use super::stack::StackDefinition;
use super::validation;
use crate::template::{PseudoParameters, ResourceDeclaration, Template, TemplateError};
use crate::world::AwsError;

/// Validates the name of a stack.
pub(super) fn check_stack_name(name: &str) -> Result<(), AwsError> {
    check_name("stackName", name)
}

/// Validates the name of a stack or change set, which must start with a letter, contain only letters, digits and
/// hyphens, and have at most 128 characters.
pub(super) fn check_name(member: &str, name: &str) -> Result<(), AwsError> {
    let mut characters = name.chars();
    let well_formed = characters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !well_formed {
        let pattern = "Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*";
        return Err(constraint_error(member, name, pattern));
    }
    if name.len() > 128 {
        return Err(constraint_error(member, name, "Member must have length less than or equal to 128"));
    }
    Ok(())
}

pub(super) fn check_token(token: Option<&str>) -> Result<(), AwsError> {
    let Some(token) = token else { return Ok(()) };
    let well_formed = token.starts_with(|c: char| c.is_ascii_alphanumeric())
        && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !well_formed {
        let pattern = "Member must satisfy regular expression pattern: [a-zA-Z0-9][-a-zA-Z0-9]*";
        return Err(constraint_error("clientRequestToken", token, pattern));
    }
    if token.len() > 128 {
        return Err(constraint_error("clientRequestToken", token, "Member must have length less than or equal to 128"));
    }
    Ok(())
}

/// Returns the tags of a request by key. Returns an error for more than 50 tags, for keys of more than 128 or values of
/// more than 256 characters, and for duplicate keys.
pub(super) fn parse_tags(tags: Option<model::Tags>) -> Result<BTreeMap<String, String>, AwsError> {
    let tags = tags.map(|tags| tags.items).unwrap_or_default();
    if tags.len() > 50 {
        return Err(constraint_error("tags", "[…]", "Member must have length less than or equal to 50"));
    }
    let mut by_key = BTreeMap::new();
    for tag in tags {
        if tag.key.is_empty() || tag.key.chars().count() > 128 {
            return Err(constraint_error("tags.1.member.key", &tag.key, "Member must have length between 1 and 128"));
        }
        if tag.value.is_empty() || tag.value.chars().count() > 256 {
            return Err(constraint_error(
                "tags.1.member.value",
                &tag.value,
                "Member must have length between 1 and 256",
            ));
        }
        if tag.key.starts_with("aws:") {
            return Err(validation("aws: prefixed tag key names are not allowed for external use."));
        }
        if by_key.insert(tag.key.clone(), tag.value).is_some() {
            return Err(validation(format!("Duplicate tag key {}", tag.key)));
        }
    }
    Ok(by_key)
}

/// Returns the value of each parameter, taken from the request, the previous definition or the default.
pub(super) fn resolve_parameters(
    template: &Template,
    request: Option<model::Parameters>,
    previous: Option<&BTreeMap<String, String>>,
) -> Result<BTreeMap<String, String>, AwsError> {
    let mut values = BTreeMap::new();
    for parameter in request.map(|request| request.items).unwrap_or_default() {
        let key = parameter.parameter_key.unwrap_or_default();
        let value = match (parameter.use_previous_value.unwrap_or(false), parameter.parameter_value) {
            (true, Some(_)) => {
                return Err(validation(format!(
                    "Invalid input for parameter key {key}. Cannot specify usePreviousValue as true and non empty \
                     value for a parameter"
                )));
            }
            (true, None) => previous.and_then(|previous| previous.get(&key)).cloned().ok_or_else(|| {
                validation(format!(
                    "Invalid input for parameter key {key}. Cannot specify usePreviousValue as true for a parameter \
                     key not in the previous template"
                ))
            })?,
            (false, value) => value.unwrap_or_default(),
        };
        if values.insert(key.clone(), value).is_some() {
            return Err(validation(format!("Parameter {key} is specified more than once")));
        }
    }
    for parameter in &template.parameters {
        if let Some(default) = &parameter.default {
            values.entry(parameter.name.clone()).or_insert_with(|| default.clone());
        }
    }
    Ok(values)
}

/// Validates the resource types, parameters, capabilities and macros of a stack definition. A resource type that the
/// region lacks is accepted if the condition of its resources is false.
pub(super) fn check_definition(
    template: &Template,
    definition: &StackDefinition,
    pseudo: PseudoParameters,
) -> Result<(), AwsError> {
    let (account, region) = (pseudo.account.clone(), pseudo.region.clone());
    check_capabilities(template, &definition.capabilities)?;
    check_macros(template, &account)?;
    check_types(template.resources.iter(), None)?;
    let bound = template.clone().bind(&definition.parameters, pseudo)?;
    Ok(check_types(bound.resources(), Some(&region))?)
}

/// Checks that all resource types of a template exist in a region. Conditions are not evaluated.
pub(super) fn check_resource_types(template: &Template, region: &str) -> Result<(), TemplateError> {
    check_types(template.resources.iter(), Some(region))
}

/// Checks that resource types exist, in a region or in any region.
fn check_types<'a>(
    resources: impl Iterator<Item = &'a ResourceDeclaration>,
    region: Option<&str>,
) -> Result<(), TemplateError> {
    let region: Option<Region> = region.and_then(|region| region.parse().ok());
    let is_known = |kind: &str| {
        kind.starts_with("Custom::")
            || (kind.starts_with("AWS::")
                && kind.split("::").count() == 3
                && region
                    .map_or_else(|| resource_types::exists(kind), |region| resource_types::is_usable(kind, region)))
    };
    let unknown: BTreeSet<&str> =
        resources.map(|resource| resource.kind.as_str()).filter(|kind| !is_known(kind)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let unknown: Vec<&str> = unknown.into_iter().collect();
    Err(TemplateError(format!("Template format error: Unrecognized resource types: [{}]", unknown.join(", "))))
}

/// Returns an error if a resource has another type than in the current template of its stack.
pub(super) fn check_types_unchanged(current: &str, new: &Template) -> Result<(), AwsError> {
    let Ok(current) = Template::parse(current) else { return Ok(()) };
    let has_other_type = |resource: &&ResourceDeclaration| {
        current.resource(&resource.logical_id).is_some_and(|current| current.kind != resource.kind)
    };
    let changed: Vec<&str> =
        new.resources.iter().filter(has_other_type).map(|resource| resource.logical_id.as_str()).collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(validation(format!(
        "Update of resource type is not permitted. The new template modifies resource type of the following \
         resources: [{}]",
        changed.join(", ")
    )))
}

fn check_capabilities(template: &Template, capabilities: &[String]) -> Result<(), AwsError> {
    const KNOWN_CAPABILITIES: [&str; 3] = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"];
    if let Some(unknown) = capabilities.iter().find(|capability| !KNOWN_CAPABILITIES.contains(&capability.as_str())) {
        return Err(constraint_error(
            "capabilities",
            &format!("[{unknown}]"),
            "Member must satisfy constraint: [Member must satisfy enum value set: [CAPABILITY_IAM, \
             CAPABILITY_NAMED_IAM, CAPABILITY_AUTO_EXPAND]]",
        ));
    }
    let has = |wanted: &str| capabilities.iter().any(|capability| capability == wanted);
    let mut missing = template.capabilities();
    missing.retain(|needed| {
        let is_included = *needed == "CAPABILITY_IAM" && has("CAPABILITY_NAMED_IAM");
        !is_included && !has(needed)
    });
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("Requires capabilities : [{}]", missing.join(", "));
    Err(AwsError::new("InsufficientCapabilitiesException", message))
}

/// Refuses macros. The sandbox runs none; only AWS::LanguageExtensions is accepted, because a template without its
/// functions stays the same.
fn check_macros(template: &Template, account: &str) -> Result<(), AwsError> {
    match template.macros().iter().find(|name| *name != "AWS::LanguageExtensions") {
        None => Ok(()),
        Some(name) if name.starts_with("AWS::") => {
            Err(validation(format!("The sandbox does not run the macro {name}: deploy the processed template")))
        }
        Some(name) => Err(validation(format!("No transform named {account}::{name} found."))),
    }
}

pub(super) fn constraint_error(member: &str, value: &str, rule: &str) -> AwsError {
    validation(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {rule}"
    ))
}

/// Returns the error for a text that is none of the allowed values, which are separated by a comma and a blank.
pub(super) fn enum_error(member: &str, value: &str, allowed: &str) -> AwsError {
    constraint_error(member, value, &format!("Member must satisfy enum value set: [{allowed}]"))
}
