//! Changes of the resources of a stack that a change set would make.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use winterbaume_cloudformation::model;

use super::super::stack::{Resource, Stack, StackDefinition};
use super::details::{self, Detail};
use crate::template::{BoundTemplate, PseudoParameters, ResourceDeclaration, ResourceValues, Template, TemplateError};

/// Text in place of a value that is known only after the execution.
pub(super) const KNOWN_AFTER_APPLY: &str = "{{changeSet:KNOWN_AFTER_APPLY}}";

/// Change of a resource, as far as it affects the resources that refer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeKind {
    Unchanged,
    Added,
    Modified,
    /// The resource may be replaced, depending on values that are known only after the execution.
    MaybeReplaced,
    Replaced,
}

/// A stack and the template of its change set, with the changes of the resources that were compared so far.
pub(super) struct Comparison<'a> {
    pub(super) existing: BTreeMap<&'a str, &'a Resource>,
    /// Template of the stack; `None` if the stack has none.
    pub(super) before: Option<BoundTemplate>,
    pub(super) after: BoundTemplate,
    pub(super) changed_parameters: BTreeSet<String>,
    pub(super) changes_tags: bool,
    pub(super) kinds: BTreeMap<String, ChangeKind>,
}

/// Returns the changes that a definition would make to the resources of a stack, ordered by logical id.
pub(super) fn between(
    stack: &Stack,
    definition: &StackDefinition,
    pseudo: PseudoParameters,
) -> Result<Vec<model::ResourceChange>, TemplateError> {
    let after = Template::parse(&definition.template)?.bind(&definition.parameters, pseudo.clone())?;
    let before = Template::parse(&stack.definition.template)
        .and_then(|template| template.bind(&stack.definition.parameters, pseudo))
        .ok();
    let is_changed = |name: &&String| definition.parameters.get(*name) != stack.definition.parameters.get(*name);
    let mut comparison = Comparison {
        existing: stack.present_resources().map(|resource| (resource.logical_id.as_str(), resource)).collect(),
        changed_parameters: definition.parameters.keys().filter(is_changed).cloned().collect(),
        changes_tags: definition.tags != stack.definition.tags,
        kinds: BTreeMap::new(),
        before,
        after,
    };
    let mut changes = comparison.removals();
    let mut waiting: Vec<ResourceDeclaration> = comparison.after.resources().cloned().collect();
    // A resource is compared after the resources that it refers to.
    while !waiting.is_empty() {
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|declared| {
            comparison.after.dependencies(declared).iter().all(|id| comparison.kinds.contains_key(id))
        });
        if ready.is_empty() {
            break;
        }
        for declared in ready {
            let (kind, change) = comparison.compare(&declared);
            comparison.kinds.insert(declared.logical_id, kind);
            changes.extend(change);
        }
        waiting = rest;
    }
    changes.sort_by(|a, b| a.logical_resource_id.cmp(&b.logical_resource_id));
    Ok(changes)
}

impl Comparison<'_> {
    /// Returns the removals of the resources that the template of the change set does not contain.
    fn removals(&self) -> Vec<model::ResourceChange> {
        let removed = self.existing.values().filter(|resource| self.after.resource(&resource.logical_id).is_none());
        removed
            .map(|resource| model::ResourceChange {
                policy_action: Some(if resource.retained { "Retain" } else { "Delete" }.into()),
                before_context: Some(context(&resource.properties)),
                physical_resource_id: resource.physical_id.clone(),
                ..change("Remove", &resource.logical_id, &resource.kind)
            })
            .collect()
    }

    fn compare(&self, declared: &ResourceDeclaration) -> (ChangeKind, Option<model::ResourceChange>) {
        let properties = self.resolved(declared);
        let Some(existing) = self.existing.get(declared.logical_id.as_str()) else {
            let added = model::ResourceChange {
                after_context: Some(context(&properties)),
                ..change("Add", &declared.logical_id, &declared.kind)
            };
            return (ChangeKind::Added, Some(added));
        };
        let details = details::of_resource(self, declared, existing, &properties);
        if details.is_empty() {
            return (ChangeKind::Unchanged, None);
        }
        let kind = replacement(&details);
        let (replacement, policy_action) = match kind {
            ChangeKind::Replaced => ("True", Some("ReplaceAndDelete".to_owned())),
            ChangeKind::MaybeReplaced => ("Conditional", None),
            _ => ("False", None),
        };
        let mut scope = Vec::new();
        for detail in &details {
            if !scope.contains(&detail.attribute.to_owned()) {
                scope.push(detail.attribute.to_owned());
            }
        }
        let modified = model::ResourceChange {
            physical_resource_id: existing.physical_id.clone(),
            replacement: Some(replacement.into()),
            policy_action,
            scope: Some(model::Scope { items: scope }),
            details: Some(model::ResourceChangeDetails {
                items: details.into_iter().map(Detail::into_model).collect(),
            }),
            before_context: Some(context(&existing.properties)),
            after_context: Some(context(&properties)),
            ..change("Modify", &declared.logical_id, &declared.kind)
        };
        (kind, Some(modified))
    }

    /// Returns the properties of a resource after the execution. A value that cannot be resolved before the execution
    /// contains [`KNOWN_AFTER_APPLY`].
    fn resolved(&self, declared: &ResourceDeclaration) -> Value {
        let mut resolved = Map::new();
        for (name, value) in declared.properties.as_object().into_iter().flatten() {
            match self.after.resolve_optional(value, self) {
                Ok(Some(value)) => drop(resolved.insert(name.clone(), value)),
                Ok(None) => {}
                Err(_) => drop(resolved.insert(name.clone(), json!(KNOWN_AFTER_APPLY))),
            }
        }
        Value::Object(resolved)
    }

    /// Returns the resource if it exists and the change set does not replace it.
    fn lasting(&self, logical_id: &str) -> Option<&Resource> {
        let kind = self.kinds.get(logical_id)?;
        self.existing.get(logical_id).copied().filter(|_| *kind != ChangeKind::Replaced)
    }
}

impl ResourceValues for Comparison<'_> {
    fn reference(&self, logical_id: &str) -> Option<Value> {
        self.kinds.get(logical_id)?;
        let id = self.lasting(logical_id).and_then(|resource| resource.physical_id.as_deref());
        Some(json!(id.unwrap_or(KNOWN_AFTER_APPLY)))
    }

    fn attribute(&self, logical_id: &str, attribute: &str) -> Option<Value> {
        self.kinds.get(logical_id)?;
        let value = self.lasting(logical_id).and_then(|resource| resource.attribute(attribute));
        Some(value.unwrap_or_else(|| json!(KNOWN_AFTER_APPLY)))
    }
}

/// Returns whether a resource with these details is replaced: certainly, possibly or not.
fn replacement(details: &[Detail]) -> ChangeKind {
    if details.iter().any(|detail| detail.recreation == "Always" && detail.is_static) {
        ChangeKind::Replaced
    } else if details.iter().any(|detail| detail.recreation != "Never") {
        ChangeKind::MaybeReplaced
    } else {
        ChangeKind::Modified
    }
}

fn change(action: &str, logical_id: &str, kind: &str) -> model::ResourceChange {
    model::ResourceChange {
        action: Some(action.to_owned()),
        logical_resource_id: Some(logical_id.to_owned()),
        resource_type: Some(kind.to_owned()),
        // AWS also lists the scope and the details of a resource that is added or removed.
        scope: Some(model::Scope::default()),
        details: Some(model::ResourceChangeDetails::default()),
        ..Default::default()
    }
}

/// Returns the properties in the form of BeforeContext and AfterContext, in which numbers and flags are strings.
fn context(properties: &Value) -> String {
    json!({ "Properties": details::texts(properties) }).to_string()
}
