//! Comparison of one resource with its declaration.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use winterbaume_cloudformation::model;

use super::super::change_sets::texts;
use super::super::read::format_timestamp;
use super::super::stack::{Resource, Stack};
use super::NOT_CHECKED;
use super::actual::{self, Actual};
use crate::world::{Ctx, State};

/// Returns the drift of a resource, or the reason for which it cannot be detected. Properties that the template does
/// not contain are ignored.
pub(super) fn resource_drift(
    state: &State,
    ctx: &Ctx,
    stack: &Stack,
    resource: &Resource,
    at: DateTime<Utc>,
) -> Result<model::StackResourceDrift, String> {
    let id = resource.physical_id.as_deref().unwrap_or_default();
    if let Some(action) = actual::read_action(&resource.kind) {
        state.authorize(ctx, action, "*").map_err(|error| error.message)?;
    }
    let drift = model::StackResourceDrift {
        stack_id: Some(stack.id.clone()),
        logical_resource_id: Some(resource.logical_id.clone()),
        physical_resource_id: Some(id.to_owned()),
        resource_type: Some(resource.kind.clone()),
        timestamp: Some(format_timestamp(at)),
        ..Default::default()
    };
    let actual = actual::read(state, &ctx.caller.account, &ctx.region, &resource.kind, id);
    let (status, actual) = match actual {
        Actual::NotSimulated => (NOT_CHECKED, None),
        Actual::Deleted => ("DELETED", None),
        Actual::Properties(actual) => ("IN_SYNC", Some(actual)),
    };
    let compared = actual::compared_properties(&resource.kind);
    let expected: Map<String, Value> = resource
        .properties
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| compared.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), texts(value)))
        .collect();
    let drift = model::StackResourceDrift {
        expected_properties: (status != NOT_CHECKED).then(|| json!(expected).to_string()),
        ..drift
    };
    let Some(actual) = actual else {
        return Ok(model::StackResourceDrift { stack_resource_drift_status: Some(status.into()), ..drift });
    };
    let actual: Map<String, Value> = actual
        .into_iter()
        .filter(|(name, _)| expected.contains_key(name))
        .map(|(name, value)| (name, texts(&value)))
        .collect();
    let differences: Vec<_> = expected.iter().filter_map(|(name, value)| difference(name, value, &actual)).collect();
    Ok(model::StackResourceDrift {
        stack_resource_drift_status: Some(if differences.is_empty() { "IN_SYNC" } else { "MODIFIED" }.into()),
        actual_properties: Some(json!(actual).to_string()),
        property_differences: Some(model::PropertyDifferences { items: differences }),
        ..drift
    })
}

fn difference(name: &str, expected: &Value, actual: &Map<String, Value>) -> Option<model::PropertyDifference> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let found = actual.get(name);
    if found.is_some_and(|found| sorted(found) == sorted(expected)) {
        return None;
    }
    Some(model::PropertyDifference {
        property_path: Some(format!("/{name}")),
        expected_value: Some(text(expected)),
        actual_value: Some(found.map_or_else(|| "null".to_owned(), text)),
        difference_type: Some(if found.is_some() { "NOT_EQUAL" } else { "REMOVE" }.into()),
    })
}

/// Sorts a list of texts, because their order has no meaning in the compared properties.
fn sorted(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(items) = value.as_array_mut().filter(|items| items.iter().all(Value::is_string)) {
        items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    }
    value
}
