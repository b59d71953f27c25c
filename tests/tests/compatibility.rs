//! Tests that refuse breaking changes of the API after its first release.
//!
//! `openapi/0.1.0.json` is the description of that release. Until 0.1.0 is released, it is the description that the
//! release would have, and a change that breaks nothing known may replace it. After that it never changes: each later
//! release adds its own file, and the latest one counts. `docs/api-design.md` describes how a field is removed.
//!
//! The comparison is our own, because no tool that is maintained and reads OpenAPI 3.1 can be installed from crates.io,
//! PyPI or npm; oasdiff, which fits, is a Go program.

mod changes;
mod schemas;

use std::path::Path;

use serde_json::{Value, json};

use changes::{breaking_changes, undescribed_deprecations};

/// File name of the description of the latest release.
const RELEASED: &str = "0.1.0.json";

fn read(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("an OpenAPI description")
}

fn current() -> Value {
    serde_json::from_str(&freehold_api::openapi_json()).expect("an OpenAPI description")
}

#[test]
fn clients_of_the_released_api_keep_working() {
    let found = breaking_changes(&read(RELEASED), &current());
    assert_eq!(found, [""; 0], "undo the change, or deprecate first: see Deprecation in docs/api-design.md");
}

#[test]
fn a_deprecated_route_describes_when_it_ends() {
    assert_eq!(undescribed_deprecations(&current()), [""; 0]);
    let mut description = current();
    description["paths"]["/v1/regions"]["get"]["deprecated"] = true.into();
    let problems = undescribed_deprecations(&description);
    assert_eq!(problems, ["get /v1/regions 200: no header Deprecation", "get /v1/regions 200: no header Sunset"]);
}

/// Description with one of each: parameters, a request, a response, a header, alternatives, an enum and limits.
fn description() -> Value {
    json!({
        "paths": {
            "/v1/things": {
                "get": {
                    "operationId": "listThings",
                    "parameters": [
                        { "name": "state", "in": "query", "schema": { "$ref": "#/components/schemas/State" } },
                        { "name": "size", "in": "query", "schema": { "type": "integer", "maximum": 200 } }
                    ],
                    "responses": {
                        "200": {
                            "headers": { "Position": { "schema": { "type": "integer" } } },
                            "content": {
                                "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } },
                                "text/csv": { "schema": { "type": "string" } }
                            }
                        },
                        "404": { "$ref": "#/components/responses/Problem" }
                    }
                },
                "post": {
                    "operationId": "createThing",
                    "requestBody": {
                        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/NewThing" } } }
                    },
                    "responses": { "202": {} }
                }
            }
        },
        "components": {
            "responses": { "Problem": { "content": { "application/problem+json": {
                "schema": { "type": "object", "required": ["code"], "properties": { "code": { "type": "string" } } }
            } } } },
            "schemas": {
                "State": { "type": "string", "enum": ["ready", "failed"] },
                "Thing": {
                    "type": "object",
                    "required": ["id", "since"],
                    "properties": {
                        "id": { "type": "string" },
                        "since": { "type": ["string", "null"], "format": "date-time" },
                        "states": { "type": "array", "items": { "$ref": "#/components/schemas/State" } },
                        "parent": { "oneOf": [{ "$ref": "#/components/schemas/Thing" }, { "type": "null" }] },
                        "event": { "oneOf": [
                            { "$ref": "#/components/schemas/Started" }, { "$ref": "#/components/schemas/Ended" }
                        ] }
                    }
                },
                "NewThing": {
                    "type": "object",
                    "required": ["name"],
                    "additionalProperties": false,
                    "properties": {
                        "name": { "type": "string", "maxLength": 200 },
                        "size": { "type": ["integer", "null"], "minimum": 1 },
                        "labels": { "type": "object", "additionalProperties": { "type": "string" } }
                    }
                },
                "Started": { "allOf": [
                    { "$ref": "#/components/schemas/Event" },
                    { "type": "object", "properties": { "type": { "type": "string", "enum": ["started"] } } }
                ] },
                "Ended": { "allOf": [
                    { "$ref": "#/components/schemas/Event" },
                    { "type": "object", "properties": { "type": { "type": "string", "enum": ["ended"] } } }
                ] },
                "Event": { "type": "object", "required": ["time"], "properties": { "time": { "type": "string" } } }
            }
        }
    })
}

/// Sets the value at a JSON pointer, or removes it with `None`.
fn changed(pointer: &str, value: Option<Value>) -> Value {
    let mut description = description();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let key = key.replace("~1", "/");
    let parent = description.pointer_mut(parent).unwrap_or_else(|| panic!("nothing at {parent}"));
    match (parent, value) {
        (Value::Array(values), None) => _ = values.remove(key.parse::<usize>().expect("an index")),
        (Value::Array(values), Some(value)) => values.push(value),
        (Value::Object(fields), None) => assert!(fields.remove(&key).is_some(), "nothing at {pointer}"),
        (Value::Object(fields), Some(value)) => _ = fields.insert(key, value),
        (other, _) => panic!("{other} has no members"),
    }
    description
}

const LIST: &str = "/paths/~1v1~1things/get";
const SCHEMAS: &str = "/components/schemas";

#[test]
fn each_breaking_change_is_refused() {
    let list = |path: &str| format!("{LIST}{path}");
    let schema = |path: &str| format!("{SCHEMAS}{path}");
    let required = json!({ "name": "tenant", "in": "query", "required": true, "schema": { "type": "string" } });
    for (pointer, value, expected) in [
        ("/paths/~1v1~1things".to_owned(), None, "get /v1/things: the route was removed"),
        (LIST.to_owned(), None, "get /v1/things: the route was removed"),
        (list("/operationId"), Some(json!("getThings")), "the operation id has changed"),
        (list("/parameters/0"), None, "the parameter query state was removed"),
        (list("/parameters/-"), Some(required), "the parameter query tenant is required"),
        (list("/parameters/1/required"), Some(json!(true)), "the parameter query size is required"),
        (list("/parameters/1/schema/maximum"), Some(json!(100)), "maximum was lowered"),
        (list("/parameters/1/schema/minimum"), Some(json!(1)), "minimum was raised"),
        (list("/parameters/1/schema/type"), Some(json!("string")), "the type has changed"),
        (list("/responses/404"), None, "get /v1/things 404: the response was removed"),
        (list("/responses/200/headers/Position"), None, "the header Position was removed"),
        (list("/responses/200/content/text~1csv"), None, "the media type text/csv was removed"),
        ("/paths/~1v1~1things/post/requestBody/required".to_owned(), Some(json!(true)), "request body is required"),
        (schema("/State/enum"), Some(json!(["ready"])), "the value \"failed\" was removed"),
        (schema("/Thing/properties/id"), None, "Thing: the field id was removed"),
        (schema("/Thing/properties/id/type"), Some(json!("integer")), "Thing.id: the type has changed"),
        (schema("/Thing/properties/id/type"), Some(json!(["string", "null"])), "Thing.id: the type has changed"),
        (schema("/Thing/properties/since/format"), Some(json!("date")), "Thing.since: the format has changed"),
        (schema("/Thing/properties/since/format"), None, "Thing.since: the format has changed"),
        (schema("/Thing/required/0"), None, "Thing: the field id can be missing"),
        (schema("/Thing/properties/states/type"), Some(json!("string")), "Thing.states: the type has changed"),
        (schema("/Thing/properties/event/oneOf/1"), None, "the alternative Ended was removed"),
        (schema("/Event/properties/time"), None, "the field time was removed"),
        (schema("/NewThing/properties/size"), None, "NewThing: the field size was removed"),
        (schema("/NewThing/required/-"), Some(json!("size")), "NewThing: the field size is required"),
        (schema("/NewThing/properties/size/type"), Some(json!("integer")), "NewThing.size: the type has changed"),
        (schema("/NewThing/properties/name/enum"), Some(json!(["a"])), "only some values are accepted now"),
        (schema("/NewThing/properties/name/pattern"), Some(json!("^a$")), "the pattern has changed"),
        (schema("/NewThing/properties/name/minLength"), Some(json!(2)), "minLength was raised"),
        (schema("/NewThing/properties/labels/additionalProperties/type"), Some(json!("integer")), "labels.*: the type"),
        (
            "/components/responses/Problem/content/application~1problem+json/schema/properties/code".to_owned(),
            None,
            "the field code was removed",
        ),
    ] {
        let found = breaking_changes(&description(), &changed(&pointer, value));
        assert!(found.iter().any(|change| change.contains(expected)), "{pointer}: {found:#?} has no {expected:?}");
    }
}

#[test]
fn additions_pass() {
    assert_eq!(breaking_changes(&description(), &description()), [""; 0]);
    let optional = json!({ "name": "tenant", "in": "query", "schema": { "type": "string" } });
    for (pointer, value) in [
        ("/paths/~1v1~1others".to_owned(), Some(json!({ "get": {} }))),
        (format!("{LIST}/parameters/-"), Some(optional)),
        (format!("{LIST}/parameters/1/schema/maximum"), Some(json!(500))),
        (format!("{LIST}/parameters/1/schema/maximum"), None),
        (format!("{LIST}/responses/410"), Some(json!({}))),
        (format!("{SCHEMAS}/State/enum"), Some(json!(["ready", "failed", "degraded"]))),
        (format!("{SCHEMAS}/Thing/properties/name"), Some(json!({ "type": "string" }))),
        (format!("{SCHEMAS}/Thing/required/-"), Some(json!("states"))),
        (format!("{SCHEMAS}/Thing/properties/event/oneOf/-"), Some(json!({ "$ref": "#/components/schemas/Event" }))),
        (format!("{SCHEMAS}/Thing/properties/id/description"), Some(json!("Id of the thing."))),
        (format!("{SCHEMAS}/NewThing/properties/colour"), Some(json!({ "type": "string" }))),
        (format!("{SCHEMAS}/NewThing/properties/size/type"), Some(json!(["number", "null"]))),
        (format!("{SCHEMAS}/NewThing/properties/name/maxLength"), Some(json!(300))),
        (format!("{SCHEMAS}/NewThing/required/0"), None),
        (format!("{SCHEMAS}/NewThing/additionalProperties"), None),
    ] {
        let found = breaking_changes(&description(), &changed(&pointer, value));
        assert_eq!(found, [""; 0], "{pointer}");
    }
}

#[test]
fn what_was_deprecated_in_a_release_may_be_removed_in_a_later_one() {
    for pointer in [
        LIST.to_owned(),
        format!("{LIST}/parameters/0"),
        format!("{LIST}/responses/200/headers/Position"),
        format!("{SCHEMAS}/Thing/properties/states"),
        format!("{SCHEMAS}/NewThing/properties/size"),
    ] {
        let removed = changed(&pointer, None);
        assert_ne!(breaking_changes(&description(), &removed), [""; 0], "{pointer}");
        let deprecated = changed(&format!("{pointer}/deprecated"), Some(json!(true)));
        assert_eq!(breaking_changes(&deprecated, &removed), [""; 0], "{pointer}");
    }
}
