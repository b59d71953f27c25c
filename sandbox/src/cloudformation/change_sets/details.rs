//! Details of the change of a resource: which attribute changes, why, and whether the resource must be replaced.

use std::collections::BTreeSet;

use serde_json::Value;
use winterbaume_cloudformation::model;

use super::super::resources;
use super::super::stack::Resource;
use super::changes::{ChangeKind, Comparison, KNOWN_AFTER_APPLY};
use crate::template::ResourceDeclaration;

/// Change of one attribute of a resource.
#[derive(Clone, Debug)]
pub(super) struct Detail {
    /// Attribute of the declaration of the resource, such as `Properties`.
    pub(super) attribute: &'static str,
    property: Option<String>,
    /// `Always`, `Conditionally` or `Never`.
    pub(super) recreation: &'static str,
    /// True if the new value is known before the execution.
    pub(super) is_static: bool,
    source: Option<&'static str>,
    /// Parameter, resource or attribute whose change causes this change.
    cause: Option<String>,
    before: Option<String>,
    after: Option<String>,
}

impl Detail {
    fn new(attribute: &'static str, property: Option<&str>) -> Self {
        Self {
            attribute,
            property: property.map(str::to_owned),
            recreation: "Never",
            is_static: true,
            source: Some("DirectModification"),
            cause: None,
            before: None,
            after: None,
        }
    }

    pub(super) fn into_model(self) -> model::ResourceChangeDetail {
        let change_type = match (&self.before, &self.after) {
            (None, None) => None,
            (None, Some(_)) => Some("Add"),
            (Some(_), None) => Some("Remove"),
            (Some(_), Some(_)) => Some("Modify"),
        };
        model::ResourceChangeDetail {
            causing_entity: self.cause,
            change_source: self.source.map(str::to_owned),
            evaluation: Some(if self.is_static { "Static" } else { "Dynamic" }.into()),
            target: Some(model::ResourceTargetDefinition {
                attribute: Some(self.attribute.into()),
                path: change_type.and(self.property.as_ref()).map(|property| format!("/Properties/{property}")),
                attribute_change_type: change_type.map(str::to_owned),
                name: self.property,
                requires_recreation: Some(self.recreation.into()),
                before_value: self.before,
                after_value: self.after,
                ..Default::default()
            }),
        }
    }
}

/// Returns the details of the change of a resource, or nothing if the resource does not change. `properties` are the
/// properties after the execution.
pub(super) fn of_resource(
    comparison: &Comparison<'_>,
    declared: &ResourceDeclaration,
    existing: &Resource,
    properties: &Value,
) -> Vec<Detail> {
    let mut details = Vec::new();
    let names: BTreeSet<&String> = [&existing.properties, properties]
        .into_iter()
        .filter_map(Value::as_object)
        .flat_map(|one| one.keys())
        .collect();
    for name in names {
        details.extend(of_property(comparison, declared, existing, properties, name));
    }
    if existing.retained != declared.retained {
        details.push(Detail::new("DeletionPolicy", None));
    }
    if comparison.changes_tags && !existing.kind.starts_with("Custom::") {
        // AWS lists a change of the tags of the stack first, and without a source.
        details.insert(0, Detail { source: None, ..Detail::new("Tags", None) });
    }
    details
}

fn of_property(
    comparison: &Comparison<'_>,
    declared: &ResourceDeclaration,
    existing: &Resource,
    properties: &Value,
    name: &str,
) -> Vec<Detail> {
    let (before, after) = (existing.properties.get(name), properties.get(name));
    let expression = declared.properties.get(name);
    let is_changed = before != after;
    let detail = Detail {
        recreation: resources::recreation(&declared.kind, name),
        before: before.filter(|_| is_changed).map(text),
        after: after.filter(|_| is_changed).map(text),
        ..match name {
            "Tags" => Detail::new("Tags", None),
            _ => Detail::new("Properties", Some(name)),
        }
    };
    let causes = expression.map(|expression| causes(comparison, expression, &detail, is_changed)).unwrap_or_default();
    let before_expression = comparison.before.as_ref().and_then(|template| {
        template.resource(&declared.logical_id).and_then(|declared| declared.properties.get(name))
    });
    let is_direct = is_changed
        && (before_expression != expression
            || causes.is_empty()
            || causes.iter().any(|cause| cause.source == Some("ParameterReference")));
    let is_known = causes.is_empty() && after.is_none_or(|after| !contains_unknown(after));
    let direct = is_direct.then_some(Detail { is_static: is_known, ..detail });
    direct.into_iter().chain(causes).collect()
}

/// Returns one detail per changed parameter or resource to which the expression of a property refers.
fn causes(comparison: &Comparison<'_>, expression: &Value, detail: &Detail, is_changed: bool) -> Vec<Detail> {
    let mut causes: Vec<Detail> = Vec::new();
    for (name, attribute) in comparison.after.references(expression) {
        let is_parameter = attribute.is_none() && comparison.changed_parameters.contains(&name);
        let kind = comparison.kinds.get(&name).copied().unwrap_or(ChangeKind::Unchanged);
        let is_static = match kind {
            _ if is_parameter && is_changed => true,
            _ if is_parameter => continue,
            ChangeKind::Replaced => true,
            ChangeKind::MaybeReplaced => false,
            ChangeKind::Modified if attribute.is_some() => false,
            ChangeKind::Modified | ChangeKind::Unchanged | ChangeKind::Added => continue,
        };
        let (source, cause) = match attribute {
            _ if is_parameter => ("ParameterReference", name),
            Some(attribute) => ("ResourceAttribute", format!("{name}.{attribute}")),
            None => ("ResourceReference", name),
        };
        if !causes.iter().any(|one| one.cause.as_ref() == Some(&cause)) {
            causes.push(Detail { source: Some(source), cause: Some(cause), is_static, ..detail.clone() });
        }
    }
    causes
}

fn contains_unknown(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(KNOWN_AFTER_APPLY),
        Value::Array(items) => items.iter().any(contains_unknown),
        Value::Object(fields) => fields.values().any(contains_unknown),
        _ => false,
    }
}

fn text(value: &Value) -> String {
    match texts(value) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Converts all numbers and flags to strings, as CloudFormation does.
pub(in super::super) fn texts(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(texts).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), texts(value))).collect(),
        Value::Number(number) => Value::String(number.to_string()),
        Value::Bool(flag) => Value::String(flag.to_string()),
        other => other.clone(),
    }
}
