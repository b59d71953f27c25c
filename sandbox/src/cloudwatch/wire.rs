//! Wire formats of CloudWatch. A client chooses one for each request: RPC v2 CBOR, JSON 1.0 or the form of awsQuery.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat};
use http::HeaderMap;
use serde_json::{Map, Value, json};
use winterbaume_core::{MockResponse, xml_escape};

use super::cbor;
use crate::world::{AwsError, Request, set_header};

const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

/// Prefix of error types in CBOR.
const ERROR_NAMESPACE: &str = "com.amazonaws.cloudwatch#";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Cbor,
    Json,
    Query,
}

fn format(headers: &HeaderMap) -> Format {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if header("smithy-protocol") == "rpc-v2-cbor" {
        Format::Cbor
    } else if header("x-amz-target").is_empty() {
        Format::Query
    } else {
        Format::Json
    }
}

/// Returns the operation of a request, or an empty text if the request names none.
pub(super) fn operation(headers: &HeaderMap, path: &str, params: &HashMap<String, String>) -> String {
    match format(headers) {
        Format::Cbor => path.rsplit('/').next().unwrap_or_default().to_owned(),
        Format::Json => {
            let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
            target.rsplit('.').next().unwrap_or_default().to_owned()
        }
        Format::Query => params.get("Action").cloned().unwrap_or_default(),
    }
}

/// Returns the input of a request as JSON, or `None` if it cannot be parsed.
pub(super) fn input(request: &Request) -> Option<Value> {
    match format(&request.headers) {
        Format::Cbor if request.body.is_empty() => Some(json!({})),
        Format::Cbor => cbor::decode(&request.body),
        Format::Json => request.json().ok(),
        Format::Query => Some(form(&request.params)),
    }
    .filter(Value::is_object)
}

/// Returns a successful response. `output` is null for an operation without output.
pub(super) fn respond(request: &Request, output: &Value, request_id: &str) -> MockResponse {
    let body = || if output.is_null() { json!({}) } else { output.clone() };
    match format(&request.headers) {
        Format::Cbor => cbor_response(200, &body()),
        Format::Json => json_response(200, &body()),
        Format::Query => {
            let operation = &request.operation;
            let result = match output {
                Value::Null => String::new(),
                output => format!("<{operation}Result>{}</{operation}Result>", xml(output)),
            };
            let metadata = format!("<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>");
            let body = format!("<{operation}Response xmlns=\"{NAMESPACE}\">{result}{metadata}</{operation}Response>");
            MockResponse::xml(200, body)
        }
    }
}

/// Returns the response for an error in the wire format of the request, or `None` for the form of awsQuery.
pub(crate) fn error(headers: &HeaderMap, error: &AwsError) -> Option<MockResponse> {
    let code = &error.code;
    let mut response = match format(headers) {
        Format::Cbor => {
            let body = json!({ "__type": format!("{ERROR_NAMESPACE}{code}"), "message": error.message });
            cbor_response(error.status, &body)
        }
        Format::Json => json_response(error.status, &json!({ "__type": code, "message": error.message })),
        Format::Query => return None,
    };
    let fault = if error.status < 500 { "Sender" } else { "Receiver" };
    // Clients that once used awsQuery get its error codes from this header.
    set_header(&mut response, "x-amzn-query-error", &format!("{code};{fault}"));
    Some(response)
}

fn cbor_response(status: u16, body: &Value) -> MockResponse {
    let mut response = MockResponse::rest_json(status, cbor::encode(body));
    set_header(&mut response, "content-type", "application/cbor");
    set_header(&mut response, "smithy-protocol", "rpc-v2-cbor");
    response
}

fn json_response(status: u16, body: &Value) -> MockResponse {
    let mut response = MockResponse::rest_json(status, body.to_string());
    set_header(&mut response, "content-type", "application/x-amz-json-1.0");
    response
}

/// Returns whether a member of an output is a time, which is in seconds since 1970.
pub(super) fn is_time(member: &str) -> bool {
    member.ends_with("Timestamp")
}

/// Returns the members of a form as JSON: `A.member.1.B=c` becomes `{"A": [{"B": "c"}]}`.
fn form(params: &HashMap<String, String>) -> Value {
    let mut root = json!({});
    let mut keys: Vec<&String> = params.keys().filter(|key| *key != "Action" && *key != "Version").collect();
    // Items are in the order of their numbers, not of the texts of their numbers.
    keys.sort_by_key(|key| key.split('.').map(|part| (part.parse::<u32>().ok(), part)).collect::<Vec<_>>());
    for key in keys {
        let parts: Vec<&str> = key.split('.').filter(|part| *part != "member").collect();
        insert(&mut root, &parts, &params[key]);
    }
    lists(root)
}

fn insert(place: &mut Value, path: &[&str], text: &str) {
    let Some((first, rest)) = path.split_first() else {
        *place = Value::String(text.to_owned());
        return;
    };
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    if let Some(object) = place.as_object_mut() {
        insert(object.entry(*first).or_insert(Value::Null), rest, text);
    }
}

/// Converts objects whose keys are all numbers to lists.
fn lists(value: Value) -> Value {
    match value {
        Value::Object(fields) if !fields.is_empty() && fields.keys().all(|key| key.parse::<u32>().is_ok()) => {
            fields.into_iter().map(|(_, value)| lists(value)).collect()
        }
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, lists(value))).collect(),
        other => other,
    }
}

fn xml(value: &Value) -> String {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match value.as_f64().filter(|_| is_time(name)) {
                Some(seconds) => format!("<{name}>{}</{name}>", time(seconds)),
                None => format!("<{name}>{}</{name}>", xml(value)),
            })
            .collect(),
        Value::Array(items) => {
            items.iter().flat_map(|item| ["<member>".into(), xml(item), "</member>".into()]).collect()
        }
        Value::String(text) => xml_escape(text),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a time is at most 44 bits long in milliseconds")]
fn time(seconds: f64) -> String {
    let at = DateTime::from_timestamp_millis((seconds * 1_000.0) as i64).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
