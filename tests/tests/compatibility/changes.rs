//! Finds breaking changes between two OpenAPI descriptions: routes, parameters, bodies and responses.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schemas::{Direction, Schemas};

/// Returns the changes that break an existing client, each with its place. Additions are not among them. What the old
/// description marks as deprecated may be missing in the new one.
pub(super) fn breaking_changes(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison { old, new, schemas: Schemas::new(old, new), found: Vec::new() };
    for (path, methods) in entries(&old["paths"]) {
        for (method, operation) in entries(methods) {
            comparison.operation(path, method, operation);
        }
    }
    let Comparison { schemas, mut found, .. } = comparison;
    found.extend(schemas.found);
    found.sort();
    found.dedup();
    found
}

/// Returns the problems of deprecated operations: each describes the headers `Deprecation` and `Sunset`.
pub(super) fn undescribed_deprecations(description: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, methods) in entries(&description["paths"]) {
        for (method, operation) in entries(methods).filter(|(_, operation)| is_deprecated(operation)) {
            let successes = entries(&operation["responses"]).filter(|(status, _)| status.starts_with('2'));
            for (status, response) in successes {
                let response = resolve(response, description);
                for header in ["Deprecation", "Sunset"].iter().filter(|name| response["headers"].get(name).is_none()) {
                    problems.push(format!("{method} {path} {status}: no header {header}"));
                }
            }
        }
    }
    problems
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    schemas: Schemas<'a>,
    found: Vec<String>,
}

impl<'a> Comparison<'a> {
    fn operation(&mut self, path: &str, method: &str, old: &'a Value) {
        let place = format!("{method} {path}");
        let Some(new) = self.new["paths"].get(path).and_then(|methods| methods.get(method)) else {
            if !is_deprecated(old) {
                self.found.push(format!("{place}: the route was removed"));
            }
            return;
        };
        if old["operationId"] != new["operationId"] {
            self.found.push(format!("{place}: the operation id has changed from {}", old["operationId"]));
        }
        self.parameters(&place, old, new);
        self.request_body(&place, &old["requestBody"], &new["requestBody"]);
        for (status, response) in entries(&old["responses"]) {
            self.response(&format!("{place} {status}"), response, new["responses"].get(status));
        }
    }

    fn parameters(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        let (old, new) = (parameters(old, self.old), parameters(new, self.new));
        for (name, before) in &old {
            match new.get(name) {
                Some(after) => {
                    let place = format!("{place}: parameter {name}");
                    self.schemas.compare(&place, &before["schema"], &after["schema"], Direction::Request);
                }
                None if is_deprecated(before) => {}
                None => self.found.push(format!("{place}: the parameter {name} was removed")),
            }
        }
        let required = new.iter().filter(|(_, after)| is_true(&after["required"]));
        for (name, _) in required.filter(|(name, _)| !old.get(*name).is_some_and(|before| is_true(&before["required"])))
        {
            self.found.push(format!("{place}: the parameter {name} is required"));
        }
    }

    fn request_body(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        let (old, new) = (resolve(old, self.old), resolve(new, self.new));
        if is_true(&new["required"]) && !is_true(&old["required"]) {
            self.found.push(format!("{place}: the request body is required"));
        }
        self.content(&format!("{place}: request"), old, new, Direction::Request);
    }

    fn response(&mut self, place: &str, old: &'a Value, new: Option<&'a Value>) {
        let Some(new) = new else {
            self.found.push(format!("{place}: the response was removed"));
            return;
        };
        let (old, new) = (resolve(old, self.old), resolve(new, self.new));
        for (name, before) in entries(&old["headers"]) {
            match new["headers"].get(name) {
                Some(after) => {
                    let place = format!("{place}: header {name}");
                    self.schemas.compare(&place, &before["schema"], &after["schema"], Direction::Response);
                }
                None if is_deprecated(before) => {}
                None => self.found.push(format!("{place}: the header {name} was removed")),
            }
        }
        self.content(&format!("{place}: response"), old, new, Direction::Response);
    }

    fn content(&mut self, place: &str, old: &'a Value, new: &'a Value, direction: Direction) {
        for (media_type, before) in entries(&old["content"]) {
            match new["content"].get(media_type) {
                Some(after) => self.schemas.compare(place, &before["schema"], &after["schema"], direction),
                None => self.found.push(format!("{place}: the media type {media_type} was removed")),
            }
        }
    }
}

/// Returns the parameters of an operation by location and name.
fn parameters<'a>(operation: &'a Value, description: &'a Value) -> BTreeMap<String, &'a Value> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters
        .map(|parameter| resolve(parameter, description))
        .map(|parameter| {
            let text = |key: &str| parameter[key].as_str().unwrap_or_default();
            (format!("{} {}", text("in"), text("name")), parameter)
        })
        .collect()
}

/// Returns the part of the description to which a reference leads, or the value itself if it is no reference.
pub(super) fn resolve<'a>(value: &'a Value, description: &'a Value) -> &'a Value {
    match value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => description.pointer(pointer).map_or(value, |found| resolve(found, description)),
        None => value,
    }
}

pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

pub(super) fn is_true(value: &Value) -> bool {
    value.as_bool() == Some(true)
}

pub(super) fn is_deprecated(value: &Value) -> bool {
    is_true(&value["deprecated"])
}
