//! What CloudFormation checks before it begins anything: lengths, patterns, capabilities, parameters.

use std::collections::BTreeMap;

use winterbaume_cloudformation::model;

use super::resources::KINDS;
use super::stack::Design;
use super::validation;
use crate::template::{Pseudo, Template, TemplateError};
use crate::world::AwsError;

/// A template in the body of a request: AWS CloudFormation quotas.
const LONGEST_BODY: usize = 51_200;

/// The stack's name: a letter, then letters, digits and hyphens; 128 in all.
pub(super) fn name(name: &str) -> Result<(), AwsError> {
    let mut characters = name.chars();
    let well_formed = characters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !well_formed {
        return Err(constraint(
            "stackName",
            name,
            "Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*",
        ));
    }
    if name.len() > 128 {
        return Err(constraint("stackName", name, "Member must have length less than or equal to 128"));
    }
    Ok(())
}

/// `ClientRequestToken`.
pub(super) fn token(token: Option<&str>) -> Result<(), AwsError> {
    let Some(token) = token else { return Ok(()) };
    let well_formed = token.starts_with(|c: char| c.is_ascii_alphanumeric())
        && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !well_formed {
        let pattern = "Member must satisfy regular expression pattern: [a-zA-Z0-9][-a-zA-Z0-9]*";
        return Err(constraint("clientRequestToken", token, pattern));
    }
    if token.len() > 128 {
        return Err(constraint("clientRequestToken", token, "Member must have length less than or equal to 128"));
    }
    Ok(())
}

/// The template's text, which has to come in the body of the request.
pub(super) fn body(body: Option<String>, url: Option<&String>) -> Result<String, AwsError> {
    match (body, url) {
        (Some(_), Some(_)) => Err(validation("Specify only one of TemplateBody and TemplateURL")),
        (None, Some(_)) => Err(validation("The sandbox has no S3: give the template as TemplateBody")),
        (None, None) => Err(validation("Either Template URL or Template Body must be specified.")),
        (Some(body), None) if body.is_empty() => {
            Err(constraint("templateBody", "", "Member must have length greater than or equal to 1"))
        }
        (Some(body), None) if body.len() > LONGEST_BODY => {
            let start: String = body.chars().take(40).collect();
            let limit = format!("Member must have length less than or equal to {LONGEST_BODY}");
            Err(constraint("templateBody", &format!("{start}…"), &limit))
        }
        (Some(body), None) => Ok(body),
    }
}

/// Tags: 50 at most, keys of 1 to 128 characters, values of up to 256, no key twice.
pub(super) fn tags(tags: Option<model::Tags>) -> Result<BTreeMap<String, String>, AwsError> {
    let tags = tags.map(|tags| tags.items).unwrap_or_default();
    if tags.len() > 50 {
        return Err(constraint("tags", "[…]", "Member must have length less than or equal to 50"));
    }
    let mut named = BTreeMap::new();
    for tag in tags {
        if tag.key.is_empty() || tag.key.chars().count() > 128 {
            return Err(constraint("tags.1.member.key", &tag.key, "Member must have length between 1 and 128"));
        }
        if tag.value.is_empty() || tag.value.chars().count() > 256 {
            return Err(constraint("tags.1.member.value", &tag.value, "Member must have length between 1 and 256"));
        }
        if tag.key.starts_with("aws:") {
            return Err(validation("aws: prefixed tag key names are not allowed for external use."));
        }
        if named.insert(tag.key.clone(), tag.value).is_some() {
            return Err(validation(format!("Duplicate tag key {}", tag.key)));
        }
    }
    Ok(named)
}

/// The values of the parameters: as given, as before, or the defaults.
pub(super) fn parameters(
    template: &Template,
    given: Option<model::Parameters>,
    before: Option<&BTreeMap<String, String>>,
) -> Result<BTreeMap<String, String>, AwsError> {
    let mut values = BTreeMap::new();
    for parameter in given.map(|given| given.items).unwrap_or_default() {
        let key = parameter.parameter_key.unwrap_or_default();
        let value = match (parameter.use_previous_value.unwrap_or(false), parameter.parameter_value) {
            (true, Some(_)) => {
                return Err(validation(format!(
                    "Invalid input for parameter key {key}. Cannot specify usePreviousValue as true and non empty value \
                     for a parameter"
                )));
            }
            (true, None) => before.and_then(|before| before.get(&key)).cloned().ok_or_else(|| {
                validation(format!(
                    "Invalid input for parameter key {key}. Cannot specify usePreviousValue as true for a parameter key \
                     not in the previous template"
                ))
            })?,
            (false, value) => value.unwrap_or_default(),
        };
        if values.insert(key.clone(), value).is_some() {
            return Err(validation(format!("Parameter {key} is given twice")));
        }
    }
    for parameter in &template.parameters {
        if let Some(default) = &parameter.default {
            values.entry(parameter.name.clone()).or_insert_with(|| default.clone());
        }
    }
    Ok(values)
}

/// Whether the design as a whole can be a stack.
pub(super) fn design(template: &Template, design: &Design, pseudo: Pseudo) -> Result<(), AwsError> {
    kinds(template)?;
    template.clone().bind(&design.parameters, pseudo)?;
    capabilities(template, &design.capabilities)
}

/// Whether every type of resource is one that this world can create.
pub(super) fn kinds(template: &Template) -> Result<(), TemplateError> {
    let mut unknown: Vec<&str> = template.resources.iter().map(|resource| resource.kind.as_str()).collect();
    unknown.retain(|kind| !KINDS.contains(kind));
    unknown.sort_unstable();
    unknown.dedup();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(TemplateError(format!("Template format error: Unrecognized resource types: [{}]", unknown.join(", "))))
}

fn capabilities(template: &Template, given: &[String]) -> Result<(), AwsError> {
    const KNOWN: [&str; 3] = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"];
    if let Some(unknown) = given.iter().find(|capability| !KNOWN.contains(&capability.as_str())) {
        return Err(constraint(
            "capabilities",
            &format!("[{unknown}]"),
            "Member must satisfy constraint: [Member must satisfy enum value set: [CAPABILITY_IAM, \
             CAPABILITY_NAMED_IAM, CAPABILITY_AUTO_EXPAND]]",
        ));
    }
    let given = |capability: &str| given.iter().any(|given| given == capability);
    match template.capability() {
        Some(needed) if !given(needed) && !given("CAPABILITY_NAMED_IAM") => {
            Err(AwsError::new("InsufficientCapabilitiesException", format!("Requires capabilities : [{needed}]")))
        }
        _ => Ok(()),
    }
}

fn constraint(member: &str, value: &str, rule: &str) -> AwsError {
    validation(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {rule}"
    ))
}
