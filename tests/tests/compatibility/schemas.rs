//! Finds breaking changes between two schemas of OpenAPI 3.1, of a request or of a response.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::changes::{entries, is_deprecated, resolve};

/// Direction in which a value is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    /// The client sends the value: the API must accept everything that it accepted before.
    Request,
    /// The API sends the value: the client must receive nothing that it did not have to expect before.
    Response,
}

/// Limits of values; the first raises the bar, so it must not rise in requests, and the second must not fall.
const LOWER_LIMITS: [&str; 4] = ["minimum", "minLength", "minItems", "minProperties"];
const UPPER_LIMITS: [&str; 4] = ["maximum", "maxLength", "maxItems", "maxProperties"];

/// Comparison of the schemas of two descriptions.
pub(super) struct Schemas<'a> {
    old: &'a Value,
    new: &'a Value,
    /// Pairs of references that were compared already; schemas can contain themselves.
    compared: BTreeSet<(String, String, Direction)>,
    pub(super) found: Vec<String>,
}

/// Object schema with the fields of all parts of its `allOf`.
#[derive(Default)]
struct Fields<'a> {
    properties: BTreeMap<&'a str, &'a Value>,
    required: BTreeSet<&'a str>,
    /// True if the object must not have other fields.
    is_closed: bool,
    /// Schema of other fields.
    others: Option<&'a Value>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(old: &'a Value, new: &'a Value) -> Self {
        Self { old, new, compared: BTreeSet::new(), found: Vec::new() }
    }

    /// Compares two schemas, and adds the breaking changes. The place of a change is the named schema, or else `place`.
    pub(super) fn compare(&mut self, place: &str, old: &'a Value, new: &'a Value, direction: Direction) {
        let mut place = place;
        if let (Some(before), Some(after)) = (name_of(old), name_of(new)) {
            if !self.compared.insert((before.to_owned(), after.to_owned(), direction)) {
                return;
            }
            place = before;
        }
        let (before, after) = (alternatives(old, self.old), alternatives(new, self.new));
        let (resolved_old, resolved_new) = (resolve(old, self.old), resolve(new, self.new));
        self.types(place, resolved_old, resolved_new, direction);
        match (&before[..], &after[..]) {
            ([], _) | (_, []) => {}
            ([before], [after]) if is_same(before, old) && is_same(after, new) => {
                self.values(place, resolved_old, resolved_new, direction);
                self.fields(place, resolved_old, resolved_new, direction);
                let items = (resolved_old.get("items"), resolved_new.get("items"));
                self.compare_optional(&format!("{place}[]"), items.0, items.1, direction);
            }
            ([before], [after]) => self.compare(place, before, after, direction),
            _ => self.alternatives(place, &before, &after, direction),
        }
    }

    /// Each alternative of the old schema must still exist. Named ones are compared with those of the same name.
    fn alternatives(&mut self, place: &str, old: &[&'a Value], new: &[&'a Value], direction: Direction) {
        for before in old {
            let named = name_of(before).and_then(|name| new.iter().find(|after| name_of(after) == Some(name)));
            if let Some(after) = named {
                self.compare(place, before, after, direction);
                continue;
            }
            let is_compatible = |after: &&'a Value| {
                let mut comparison = Self::new(self.old, self.new);
                comparison.compare(place, before, after, direction);
                comparison.found.is_empty()
            };
            if !new.iter().any(is_compatible) {
                let name = name_of(before).unwrap_or("one");
                self.found.push(format!("{place}: the alternative {name} was removed or changed"));
            }
        }
    }

    fn types(&mut self, place: &str, old: &Value, new: &Value, direction: Direction) {
        let (before, after) = (types(old, self.old), types(new, self.new));
        let (smaller, larger) = match direction {
            Direction::Request => (before, after),
            Direction::Response => (after, before),
        };
        let is_accepted = |name: &str| larger.contains(name) || name == "integer" && larger.contains("number");
        // No type means any type.
        let is_compatible = larger.is_empty() || !smaller.is_empty() && smaller.iter().all(|name| is_accepted(name));
        if !is_compatible {
            self.found.push(format!("{place}: the type has changed from {} to {}", type_text(old), type_text(new)));
        }
    }

    /// Compares enums, formats, patterns and limits.
    fn values(&mut self, place: &str, old: &Value, new: &Value, direction: Direction) {
        let is_request = direction == Direction::Request;
        match (enum_values(old), enum_values(new)) {
            // A value that a response no longer has was renamed or removed: programs compare it.
            (Some(before), Some(after)) => {
                for value in before.iter().filter(|value| !after.contains(value)) {
                    self.found.push(format!("{place}: the value {value} was removed"));
                }
            }
            (None, Some(_)) if is_request => self.found.push(format!("{place}: only some values are accepted now")),
            _ => {}
        }
        for keyword in ["format", "pattern"] {
            let has_changed = match (old.get(keyword), new.get(keyword)) {
                (Some(before), Some(after)) => before != after,
                (None, Some(_)) => is_request,
                (Some(_), None) => !is_request,
                (None, None) => false,
            };
            if has_changed {
                self.found.push(format!("{place}: the {keyword} has changed"));
            }
        }
        if !is_request {
            return;
        }
        let limit = |schema: &Value, keyword: &str| schema[keyword].as_f64();
        for keyword in LOWER_LIMITS {
            if limit(new, keyword).is_some_and(|after| limit(old, keyword).is_none_or(|before| before < after)) {
                self.found.push(format!("{place}: {keyword} was raised"));
            }
        }
        for keyword in UPPER_LIMITS {
            if limit(new, keyword).is_some_and(|after| limit(old, keyword).is_none_or(|before| before > after)) {
                self.found.push(format!("{place}: {keyword} was lowered"));
            }
        }
    }

    fn fields(&mut self, place: &str, old: &'a Value, new: &'a Value, direction: Direction) {
        let (before, after) = (Fields::of(old, self.old), Fields::of(new, self.new));
        for (name, schema) in &before.properties {
            match after.properties.get(name) {
                Some(now) => self.compare(&format!("{place}.{name}"), schema, now, direction),
                None if is_deprecated(resolve(schema, self.old)) => {}
                None => self.found.push(format!("{place}: the field {name} was removed")),
            }
        }
        let is_known = |name: &str| after.properties.contains_key(name);
        match direction {
            Direction::Request => {
                for name in after.required.difference(&before.required) {
                    self.found.push(format!("{place}: the field {name} is required"));
                }
                if after.is_closed && !before.is_closed && !(before.properties.is_empty() && before.others.is_none()) {
                    self.found.push(format!("{place}: other fields are no longer accepted"));
                }
            }
            Direction::Response => {
                for name in before.required.difference(&after.required).filter(|name| is_known(name)) {
                    self.found.push(format!("{place}: the field {name} can be missing"));
                }
            }
        }
        self.compare_optional(&format!("{place}.*"), before.others, after.others, direction);
    }

    fn compare_optional(&mut self, place: &str, old: Option<&'a Value>, new: Option<&'a Value>, direction: Direction) {
        match (old, new) {
            (Some(old), Some(new)) => self.compare(place, old, new, direction),
            (Some(_), None) if direction == Direction::Response => {
                self.found.push(format!("{place}: the schema was removed"));
            }
            (None, Some(_)) if direction == Direction::Request => {
                self.found.push(format!("{place}: a schema was added"));
            }
            _ => {}
        }
    }
}

impl<'a> Fields<'a> {
    fn of(schema: &'a Value, description: &'a Value) -> Self {
        let mut fields = Self::default();
        fields.add(schema, description);
        fields
    }

    fn add(&mut self, schema: &'a Value, description: &'a Value) {
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.add(resolve(part, description), description);
        }
        self.properties.extend(entries(&schema["properties"]).map(|(name, schema)| (name.as_str(), schema)));
        self.required.extend(schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
        self.is_closed |= schema["additionalProperties"] == Value::Bool(false);
        self.others = schema.get("additionalProperties").filter(|others| others.is_object()).or(self.others);
    }
}

/// Returns the name of the schema that a value refers to, or `None` if it is no reference.
fn name_of(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

fn is_same(one: &Value, other: &Value) -> bool {
    std::ptr::eq(one, other)
}

/// Returns the alternatives of a schema except for `null`; a schema without alternatives is its own and only one.
fn alternatives<'a>(schema: &'a Value, description: &'a Value) -> Vec<&'a Value> {
    let resolved = resolve(schema, description);
    match resolved.get("oneOf").or_else(|| resolved.get("anyOf")).and_then(Value::as_array) {
        Some(all) => all.iter().filter(|one| resolve(one, description)["type"] != "null").collect(),
        None => vec![schema],
    }
}

/// Returns the types that a schema accepts; empty if it accepts all.
fn types<'a>(schema: &'a Value, description: &'a Value) -> BTreeSet<&'a str> {
    let schema = resolve(schema, description);
    let union = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    if let Some(alternatives) = union {
        let each: Vec<_> = alternatives.iter().map(|one| types(one, description)).collect();
        let accepts_all = each.iter().any(BTreeSet::is_empty);
        return if accepts_all { BTreeSet::new() } else { each.into_iter().flatten().collect() };
    }
    match &schema["type"] {
        Value::String(name) => BTreeSet::from([name.as_str()]),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ if schema.get("allOf").is_some() => BTreeSet::from(["object"]),
        _ => BTreeSet::new(),
    }
}

fn type_text(schema: &Value) -> String {
    schema.get("type").map_or_else(|| "a schema without type".to_owned(), ToString::to_string)
}

fn enum_values(schema: &Value) -> Option<Vec<&Value>> {
    let values = schema["enum"].as_array().map(|values| values.iter().collect());
    values.or_else(|| schema.get("const").map(|value| vec![value]))
}
