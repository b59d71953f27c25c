//! Compares the OpenAPI description, without its human-readable texts, with the frozen description after applying the
//! renames.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::compare::{Lines, assert_no_differences, flatten, read_frozen_file};
use super::renames::Renames;

/// OpenAPI keywords with human-readable text as their value.
const TEXT_KEYWORDS: [&str; 3] = ["description", "summary", "title"];

/// OpenAPI keywords with an object as their value, in which the keys are names and not keywords.
const NAME_MAP_KEYWORDS: [&str; 9] =
    ["properties", "headers", "content", "responses", "paths", "schemas", "mapping", "securitySchemes", "variables"];

/// Fields of an example that contain human-readable text, even if the text is a single word.
const TEXT_FIELDS: [&str; 4] = ["title", "detail", "message", "sentence"];

/// Normaliser of an OpenAPI description, which applies the renames and removes human-readable texts.
struct Normaliser<'a>(&'a Renames);

impl Normaliser<'_> {
    /// Normalises a part of the OpenAPI description. `place` is the old name of the schema or operation that contains
    /// the part.
    fn part(&self, value: &Value, place: &str) -> Value {
        match value {
            Value::Object(fields) => self.object(fields, place),
            Value::Array(values) => values.iter().map(|one| self.part(one, place)).collect(),
            other => other.clone(),
        }
    }

    fn object(&self, fields: &Map<String, Value>, place: &str) -> Value {
        let place = fields.get("operationId").and_then(Value::as_str).unwrap_or(place);
        // An example next to a reference belongs to the referenced schema.
        let schema = fields.get("schema").and_then(|schema| schema["$ref"].as_str()?.rsplit('/').next());
        let mut normal = Map::new();
        for (keyword, value) in fields.iter().filter(|(keyword, _)| !TEXT_KEYWORDS.contains(&keyword.as_str())) {
            let value = match (keyword.as_str(), value) {
                (keyword, Value::Object(named)) if NAME_MAP_KEYWORDS.contains(&keyword) => {
                    self.named(keyword, named, place)
                }
                ("$ref", Value::String(reference)) => self.reference(reference).into(),
                ("operationId", Value::String(id)) => Renames::new_name(&self.0.operation_ids, "", id).into(),
                ("tags", Value::Array(tags)) => sorted(tags.iter().map(|tag| self.tag(tag))),
                ("required", Value::Array(names)) => sorted(names.iter().map(|name| self.field(name, place))),
                ("propertyName", name) => self.field(name, place),
                ("enum", Value::Array(words)) => sorted(words.iter().map(|word| self.example(word, place))),
                ("const" | "default", word) => self.example(word, place),
                ("example" | "examples", value) => self.example(value, schema.unwrap_or(place)),
                ("parameters", Value::Array(parameters)) => self.parameters(parameters, place),
                (_, value) => self.part(value, place),
            };
            normal.insert(keyword.clone(), value);
        }
        Value::Object(normal)
    }

    fn named(&self, keyword: &str, named: &Map<String, Value>, place: &str) -> Value {
        let of = |(name, value): (&String, &Value)| {
            let new = match keyword {
                "properties" => Renames::new_name(&self.0.api_fields, place, name),
                "schemas" | "responses" => Renames::new_name(&self.0.schemas, "", name),
                "paths" => self.0.route(name),
                "mapping" => self.0.code(place, name),
                _ => name.clone(),
            };
            let place = if keyword == "schemas" { name } else { place };
            let value = match value {
                Value::String(reference) if keyword == "mapping" => self.reference(reference).into(),
                value => self.part(value, place),
            };
            (new, value)
        };
        Value::Object(named.iter().map(of).collect())
    }

    fn reference(&self, reference: &str) -> String {
        let (path, name) = reference.rsplit_once('/').unwrap_or(("", reference));
        format!("{path}/{}", Renames::new_name(&self.0.schemas, "", name))
    }

    fn field(&self, name: &Value, place: &str) -> Value {
        name.as_str().map_or_else(|| name.clone(), |name| Renames::new_name(&self.0.api_fields, place, name).into())
    }

    /// Normalises a tag, which is a string in an operation and an object at the top level of the description.
    fn tag(&self, tag: &Value) -> Value {
        let name = tag["name"].as_str().or(tag.as_str()).unwrap_or_default();
        Renames::new_name(&self.0.tags, "", name).into()
    }

    /// Normalises parameters and sorts them by location and name, because their order has no meaning.
    fn parameters(&self, parameters: &[Value], place: &str) -> Value {
        let named = parameters.iter().map(|parameter| {
            let mut normal = self.part(parameter, place);
            let name = Renames::new_name(&self.0.parameters, place, parameter["name"].as_str().unwrap_or_default());
            normal["name"] = name.clone().into();
            (format!("{} {name}", parameter["in"].as_str().unwrap_or_default()), normal)
        });
        Value::Object(named.collect())
    }

    /// Normalises an example: renames codes and fields, and removes human-readable texts.
    fn example(&self, value: &Value, place: &str) -> Value {
        match value {
            Value::String(text) if text.contains(char::is_whitespace) => "<text>".into(),
            Value::String(word) => self.0.code(place, word).into(),
            Value::Array(values) => values.iter().map(|one| self.example(one, place)).collect(),
            Value::Object(fields) => {
                let renamed = fields.iter().map(|(name, value)| {
                    let is_text = TEXT_FIELDS.contains(&name.as_str());
                    let value = if is_text { "<text>".into() } else { self.example(value, place) };
                    (Renames::new_name(&self.0.api_fields, place, name), value)
                });
                Value::Object(renamed.collect())
            }
            other => other.clone(),
        }
    }
}

fn sorted(values: impl Iterator<Item = Value>) -> Value {
    let mut values: Vec<_> = values.collect();
    values.sort_by_key(ToString::to_string);
    values.into()
}

/// Returns the lines of the normalised OpenAPI description, a line for each problem code in the table of its
/// introduction, and a line for each scope.
fn lines(description: &str, renames: &Renames) -> Lines {
    let description: Value = serde_json::from_str(description).expect("an OpenAPI description");
    let mut lines = Lines::new();
    flatten(&Normaliser(renames).part(&description, ""), "", &mut lines);
    let table = description["info"]["description"].as_str().expect("a description of the API");
    let mut codes = 0;
    for row in table.lines().filter(|row| row.starts_with("| ") && row.contains('`')) {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        lines.insert(format!("/codes/{} {}", cells[1], renames.code("Problem", cells[2])));
        codes += 1;
    }
    assert!(codes > 50, "only {codes} problem codes were found in the description of the API");
    let scopes = description["components"]["securitySchemes"]["bearer"]["description"].as_str().expect("scopes");
    let scopes = scopes.split('`').skip(1).step_by(2).filter(|scope| scope.contains(':'));
    lines.extend(scopes.map(|scope| format!("/scopes/ {scope}")));
    lines
}

#[test]
fn the_api_is_unchanged() {
    let renames = Renames::read();
    let before = lines(&read_frozen_file("openapi.json"), &renames);
    let now = lines(&freehold_api::openapi_json(), &Renames::default());
    let before = without_relaxed_parameters(before, &now);
    assert_no_differences("openapi.json", &renames, &before, &now);
    let demands = new_demands(&freehold_api::openapi_json(), &before, &now);
    assert!(demands.is_empty(), "requests of existing clients lack what is required now: {demands:#?}");
}

/// Removes the lines of required parameters that are optional now. A client that sends such a parameter gets the same
/// response as before.
fn without_relaxed_parameters(before: Lines, now: &Lines) -> Lines {
    let relaxed: Vec<String> = before
        .iter()
        .filter_map(|line| line.strip_suffix("/required/ true"))
        .filter(|parameter| parameter.contains("/parameters/") && now.contains(&format!("{parameter}/required/ false")))
        .map(|parameter| format!("{parameter}/"))
        .collect();
    let is_relaxed = |line: &String| {
        relaxed.iter().any(|parameter| {
            let Some(part) = line.strip_prefix(parameter) else { return false };
            let nullable = part.strip_prefix("schema/type/ ").map(|name| format!("{parameter}schema/type/-/ {name}"));
            part == "required/ true" || nullable.is_some_and(|nullable| now.contains(&nullable))
        })
    };
    before.into_iter().filter(|line| !is_relaxed(line)).collect()
}

#[test]
fn a_parameter_may_become_optional_but_not_disappear() {
    let described = |change: fn(&mut Value)| {
        let mut description: Value = serde_json::from_str(&freehold_api::openapi_json()).expect("a description");
        let parameters = &mut description["paths"]["/v1/tenants/{id}"]["patch"]["parameters"];
        change(parameters);
        lines(&description.to_string(), &Renames::default())
    };
    let before = described(|_| {});
    let optional = described(|parameters| {
        parameters[1]["required"] = false.into();
        parameters[1]["schema"]["type"] = serde_json::json!(["string", "null"]);
    });
    assert!(without_relaxed_parameters(before.clone(), &optional).is_subset(&optional));
    let removed = described(|parameters| _ = parameters.as_array_mut().expect("parameters").pop());
    assert!(!without_relaxed_parameters(before, &removed).is_subset(&removed));
}

/// Returns the added lines that require more of an existing request: a field of its body, or a parameter.
fn new_demands(description: &str, before: &Lines, now: &Lines) -> Vec<String> {
    let description: Value = serde_json::from_str(description).expect("an OpenAPI description");
    let mut bodies = BTreeSet::new();
    let operations = description["paths"].as_object().expect("paths").values().filter_map(Value::as_object);
    for operation in operations.flat_map(|path| path.values()) {
        collect_schemas(&operation["requestBody"], &description, &mut bodies);
    }
    let is_known = |prefix: &str| before.iter().any(|line| line.starts_with(prefix));
    let requires_more = |line: &&String| {
        let body = bodies.iter().any(|body| {
            let schema = format!("/components/schemas/{body}/");
            line.starts_with(&format!("{schema}required/")) && is_known(&schema)
        });
        let operation = line.split_once("/parameters/").map(|(operation, _)| format!("{operation}/"));
        let is_required_parameter = line.starts_with("/paths/") && line.ends_with("/required/ true");
        body || (is_required_parameter && operation.is_some_and(|operation| is_known(&operation)))
    };
    now.difference(before).filter(requires_more).cloned().collect()
}

/// Adds the names of all schemas to which a part of the description refers.
fn collect_schemas(part: &Value, description: &Value, found: &mut BTreeSet<String>) {
    match part {
        Value::Object(fields) => {
            if let Some(name) = part["$ref"].as_str().and_then(|reference| reference.rsplit('/').next())
                && found.insert(name.to_owned())
            {
                collect_schemas(&description["components"]["schemas"][name], description, found);
            }
            fields.values().for_each(|value| collect_schemas(value, description, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_schemas(value, description, found)),
        _ => {}
    }
}

#[test]
fn a_new_required_field_of_a_request_is_found() {
    let described = |required: &str| {
        let mut description: Value = serde_json::from_str(&freehold_api::openapi_json()).expect("a description");
        let fields = description["components"]["schemas"]["Signup"]["required"].as_array_mut().expect("fields");
        if !required.is_empty() {
            fields.push(required.into());
        }
        description.to_string()
    };
    let [before, now] = ["", "colour"].map(|required| lines(&described(required), &Renames::default()));
    assert!(new_demands(&described("colour"), &before, &before).is_empty());
    assert_eq!(new_demands(&described("colour"), &before, &now).len(), 1);
}

#[test]
fn renames_of_fields_schemas_routes_and_codes_apply() {
    let renames: Renames = toml::from_str(
        "[api_fields]\n\"Hold.log\" = \"attempts\"\n\"Hold.attempts\" = \"attempt_count\"\n[schemas]\nHold = \"FleetHold\"\n\
         [api_codes]\nold_code = \"new_code\"\n[routes]\n\"/v1/holds\" = \"/v1/fleet-holds\"",
    )
    .expect("renames");
    let description = serde_json::json!({
        "paths": { "/v1/holds/{id}": { "get": {
            "operationId": "getHold",
            "parameters": [{ "name": "b", "in": "query" }, { "name": "a", "in": "path", "description": "A text." }],
            "responses": { "200": { "description": "A text.", "content": { "json": {
                "schema": { "$ref": "#/components/schemas/Hold" },
                "example": { "log": ["old_code", "A text."], "attempts": 1, "title": "Word" },
            } } } },
        } } },
        "components": { "schemas": {
            "Hold": {
                "title": "A text.",
                "required": ["log", "attempts"],
                "properties": { "log": { "enum": ["x", "old_code"] }, "attempts": { "example": "A text." }, "title": {} },
            },
            "Other": { "properties": { "log": {}, "description": { "description": "A text." } } },
        } },
    });
    assert_eq!(
        Normaliser(&renames).part(&description, ""),
        serde_json::json!({
            "paths": { "/v1/fleet-holds/{id}": { "get": {
                "operationId": "getHold",
                "parameters": { "query b": { "name": "b", "in": "query" }, "path a": { "name": "a", "in": "path" } },
                "responses": { "200": { "content": { "json": {
                    "schema": { "$ref": "#/components/schemas/FleetHold" },
                    "example": { "attempts": ["new_code", "<text>"], "attempt_count": 1, "title": "<text>" },
                } } } },
            } } },
            "components": { "schemas": {
                "FleetHold": {
                    "required": ["attempt_count", "attempts"],
                    "properties": { "attempts": { "enum": ["new_code", "x"] }, "attempt_count": { "example": "<text>" }, "title": {} },
                },
                "Other": { "properties": { "log": {}, "description": {} } },
            } },
        })
    );
}
