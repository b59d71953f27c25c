//! Table of the fields that the audit trail records, for each route that changes something.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use self::Recording::{Given, Url, Whole};
use super::changes::recorded_url;

/// Maximum length of a recorded value, in bytes. A longer value is recorded as its hash.
const MAX_VALUE_BYTES: usize = 4096;

/// Form in which a field of a request body is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recording {
    /// With its value.
    Whole,
    /// As a URL, without its query.
    Url,
    /// Only that it is given, because it is personal data.
    Given,
}

/// Recorded fields of one route.
pub(crate) struct RecordedFields {
    /// `operationId` of the route.
    action: &'static str,
    /// Fields of the request body.
    request: &'static [(&'static str, Recording)],
    /// Fields of which the handler records the old and the new value.
    pub(super) changes: &'static [&'static str],
}

const fn route(
    action: &'static str,
    request: &'static [(&'static str, Recording)],
    changes: &'static [&'static str],
) -> RecordedFields {
    RecordedFields { action, request, changes }
}

/// All routes that change something. Query parameters and ids in the path are always recorded.
const ROUTES: &[RecordedFields] = &[
    route("abortRollout", &[("reason", Whole)], &["state"]),
    route("adoptAccount", &[("aws_account_id", Whole)], &["approval"]),
    route("approveOperation", &[("request_hash", Whole), ("reason", Whole)], &["approval"]),
    route("approveRequest", &[("request_hash", Whole), ("reason", Whole)], &["approval", "tier"]),
    route("approveWave", &[("sha256", Whole)], &["state"]),
    route("cancelOperation", &[], &[]),
    route(
        "createEnvironment",
        &[
            ("name", Whole),
            ("home_region", Whole),
            ("replica_regions", Whole),
            ("front_door", Whole),
            ("residency", Whole),
        ],
        &[],
    ),
    route(
        "createRollout",
        &[("release", Whole), ("plan", Whole), ("waves", Whole), ("respect_windows", Whole), ("makes_default", Whole)],
        &[],
    ),
    route(
        "createTenant",
        &[
            ("company_name", Whole),
            ("admin_email", Given),
            ("home_region", Whole),
            ("replica_regions", Whole),
            ("front_door", Whole),
            ("residency", Whole),
            ("tier", Whole),
            ("external_id", Whole),
            ("environments", Whole),
            ("labels", Whole),
        ],
        &[],
    ),
    route(
        "createWebhookEndpoint",
        &[("url", Url), ("types", Whole), ("description", Whole), ("format", Whole)],
        &["url", "types", "description", "format"],
    ),
    route("deleteWebhookEndpoint", &[], &["url", "types", "description", "format"]),
    route("disableWebhookEndpoint", &[], &["is_enabled"]),
    route("enableWebhookEndpoint", &[], &["is_enabled"]),
    route("endChangeFreeze", &[], &["change_freeze"]),
    route("liftLegalHold", &[], &["legal_hold"]),
    route("approveRelease", &[("sha256", Whole)], &["approved"]),
    route("moveHome", &[("region", Whole)], &["home_region"]),
    route("offboardEnvironment", &[], &[]),
    route("offboardTenant", &[], &[]),
    route("pauseRollout", &[("reason", Whole)], &["state"]),
    route("pauseVending", &[("reason", Whole)], &["vending_pause"]),
    route("pinEnvironment", &[("reason", Whole), ("until", Whole)], &["pin"]),
    route("refreshResidencyProof", &[], &[]),
    route("previewRelease", &[("environment_id", Whole)], &[]),
    // The values of parameters can be secret; the id of the release leads to its hash.
    route(
        "registerRelease",
        &[
            ("template", Whole),
            ("region_templates", Whole),
            ("urls", Whole),
            ("parameters", Given),
            ("region_parameters", Given),
            ("notes", Whole),
        ],
        &[],
    ),
    route("promoteRollout", &[("reason", Whole)], &["state"]),
    route("rejectOperation", &[("request_hash", Whole), ("reason", Whole)], &["approval"]),
    route("rejectRequest", &[("request_hash", Whole), ("reason", Whole)], &["approval"]),
    route("rejectWave", &[("reason", Whole)], &["state"]),
    route("replayWebhookDelivery", &[], &[]),
    route("replayWebhookEvents", &[("since", Whole)], &[]),
    route("restoreEnvironment", &[], &[]),
    route("restoreTenant", &[], &[]),
    route("resumeRollout", &[], &["state"]),
    route("resumeTenant", &[("reason", Whole)], &["suspension"]),
    route("resumeVending", &[], &["vending_pause"]),
    route("retryFailed", &[], &["state"]),
    route("retryOperation", &[("account_email", Whole)], &["approval"]),
    route("rollBackRollout", &[("reason", Whole)], &["state"]),
    route("rotateWebhookSecret", &[], &["secret"]),
    route("setChangeFreeze", &[("reason", Whole), ("until", Whole)], &["change_freeze"]),
    route("setLegalHold", &[("reason", Whole)], &["legal_hold"]),
    route("testWebhookEndpoint", &[], &[]),
    route("suspendTenant", &[("reason", Whole), ("note", Whole)], &["suspension"]),
    route("unpinEnvironment", &[], &["pin"]),
    route(
        "updateEnvironment",
        &[("replica_regions", Whole), ("front_door", Whole)],
        &["replica_regions", "front_door"],
    ),
    route(
        "updateToRelease",
        &[("release", Whole), ("ignore_window", Whole), ("parameters", Given), ("reason", Whole)],
        &[],
    ),
    route(
        "updateTenant",
        &[
            ("company_name", Whole),
            ("admin_email", Given),
            ("tier", Whole),
            ("external_id", Whole),
            ("labels", Whole),
            ("maintenance_windows", Whole),
        ],
        &["company_name", "admin_email", "tier", "external_id", "labels", "maintenance_windows", "approval"],
    ),
    route(
        "updateWebhookEndpoint",
        &[("url", Url), ("types", Whole), ("description", Whole), ("format", Whole)],
        &["url", "types", "description", "format"],
    ),
    route("upgradeBaseline", &[], &["baseline_version"]),
];

/// Returns the recorded fields of the route `action`, or `None` if the route changes nothing.
pub(super) fn recorded_fields(action: &str) -> Option<&'static RecordedFields> {
    ROUTES.iter().find(|route| route.action == action)
}

/// Returns the recorded fields of a request body. A body that is not a JSON object has none.
pub(super) fn request_fields(action: &str, body: &[u8]) -> Map<String, Value> {
    let Some(route) = recorded_fields(action).filter(|route| !route.request.is_empty()) else { return Map::new() };
    let Ok(body) = serde_json::from_slice::<Map<String, Value>>(body) else { return Map::new() };
    let given = route.request.iter().filter_map(|(name, recording)| {
        let value = body.get(*name)?;
        Some(((*name).to_owned(), recorded_value(value, *recording)))
    });
    given.collect()
}

fn recorded_value(value: &Value, recording: Recording) -> Value {
    let value = match (recording, value) {
        (_, Value::Null) => return Value::Null,
        (Given, _) => return json!("given"),
        (Url, Value::String(url)) => json!(recorded_url(url)),
        (Url | Whole, _) => value.clone(),
    };
    let text = value.to_string();
    if text.len() <= MAX_VALUE_BYTES {
        return value;
    }
    json!({ "bytes": text.len(), "sha256": hex::encode(Sha256::digest(text)) })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Returns the names of the body's fields, for each route of the API that changes something.
    fn documented_fields() -> BTreeMap<String, BTreeSet<String>> {
        let document = json!(crate::router::openapi());
        let mut routes = BTreeMap::new();
        let paths = document["paths"].as_object().unwrap();
        for (method, operation) in paths.values().flat_map(|item| item.as_object().unwrap()) {
            if method == "get" || operation["operationId"].is_null() {
                continue;
            }
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let reference = schema["$ref"].as_str().or(schema["oneOf"][0]["$ref"].as_str());
            let properties = reference.map(|reference| {
                let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
                schema["properties"].as_object().unwrap().keys().cloned().collect()
            });
            routes.insert(operation["operationId"].as_str().unwrap().to_owned(), properties.unwrap_or_default());
        }
        routes
    }

    #[test]
    fn each_field_of_each_route_that_changes_something_is_recorded() {
        let recorded: BTreeMap<String, BTreeSet<String>> = ROUTES
            .iter()
            .map(|route| {
                let names = route.request.iter().map(|(name, _)| (*name).to_owned());
                (route.action.to_owned(), names.collect())
            })
            .collect();
        assert_eq!(recorded, documented_fields(), "add the route or its field to the table in audit/fields.rs");
    }

    #[test]
    fn personal_data_and_long_values_are_not_recorded() {
        let body = json!({
            "company_name": "Example GmbH",
            "admin_email": "admin@example.com",
            "labels": { "note": "x".repeat(5000) },
            "external_id": null,
            "unknown": 1,
        });
        let fields = Value::Object(request_fields("updateTenant", body.to_string().as_bytes()));
        assert_eq!(fields["company_name"], "Example GmbH");
        assert_eq!(fields["admin_email"], "given");
        assert_eq!(fields["external_id"], Value::Null);
        assert_eq!(fields["labels"]["sha256"].as_str().map(str::len), Some(64));
        assert_eq!(fields.get("unknown"), None);
        assert!(!fields.to_string().contains("admin@example.com"));
        for malformed in ["", "[]", "{", "7"] {
            assert!(request_fields("updateTenant", malformed.as_bytes()).is_empty(), "{malformed}");
        }
    }
}
