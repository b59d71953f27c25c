//! Restriction of a response to the fields that a token of one tenant sees.
//!
//! `routes/schema/tenant_view.rs` declares the fields of each schema. All other fields are removed here, after the
//! handler, so that neither a new field nor a new route shows a tenant more than was declared.

use axum::body::{Body, HttpBody};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Paths;

use crate::problem::ApiError;
use crate::routes::schema::tenant_view::VIEWS;
use crate::routes::schema::view::TenantView;

/// Marker of a response whose handler has applied the view, because the response is not one JSON document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TenantViewApplied;

/// Returns the views of the route's successful JSON responses, each with the status of the response.
pub(crate) fn views_of(paths: &Paths) -> Vec<(StatusCode, &'static TenantView)> {
    let items = paths.paths.values();
    let operations = items.flat_map(|item| [&item.get, &item.post, &item.put, &item.patch, &item.delete]);
    let responses = operations.flatten().flat_map(|operation| &operation.responses.responses);
    let views = responses.filter_map(|(status, response)| {
        let status = status.parse().ok().filter(StatusCode::is_success)?;
        let RefOr::T(response) = response else { return None };
        let RefOr::T(content) = response.content.get("application/json")? else { return None };
        let RefOr::Ref(reference) = content.schema.as_ref()? else { return None };
        let name = reference.ref_location.rsplit('/').next()?;
        Some((status, VIEWS.iter().copied().find(|view| view.schema == name)?))
    });
    views.collect()
}

/// Restricts the response of a request with a token of one tenant. Without a view for its status, no field is sent.
pub(crate) async fn restrict_response(mut response: Response, views: &[(StatusCode, &'static TenantView)]) -> Response {
    if let Some(refusal) = response.extensions_mut().remove::<ApiError>() {
        response.extensions_mut().insert(refusal.for_tenant());
        return response;
    }
    if response.extensions().get::<TenantViewApplied>().is_some() || response.body().is_end_stream() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Ok(whole) = serde_json::from_slice::<Value>(&bytes) else {
        tracing::error!("the response to a token of one tenant is not JSON, and was not sent");
        return ApiError::internal().into_response();
    };
    let view = views.iter().find(|(status, _)| *status == parts.status);
    let restricted = view.map_or_else(|| Value::Object(Map::new()), |(_, view)| view.restrict(whole));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(restricted.to_string()))
}

/// Adds to the descriptions of the fields in an OpenAPI document which of them a token of one tenant does not see.
pub(crate) fn describe(document: &mut Value) {
    for view in VIEWS {
        for (field, note) in (view.hidden.iter().map(|field| (*field, "Not sent to a token of one tenant.".to_owned())))
            .chain(
                view.replaced.iter().map(|(field, value)| (*field, format!("A token of one tenant gets `{value}`."))),
            )
        {
            let property = &mut document["components"]["schemas"][view.schema]["properties"][field];
            // The description of a nullable reference is next to the reference.
            let described =
                if property["oneOf"][0]["description"].is_string() { &mut property["oneOf"][0] } else { property };
            if let Some(text) = described["description"].as_str() {
                described["description"] = format!("{text} {note}").into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_field_of_a_response_is_declared_visible_or_hidden() {
        let document: Value = serde_json::from_str(&crate::openapi_json()).unwrap();
        let schemas = &document["components"]["schemas"];
        let mut fields = 0;
        for view in VIEWS {
            let properties = schemas[view.schema]["properties"].as_object();
            let properties = properties.unwrap_or_else(|| panic!("there is no schema {}", view.schema));
            let described: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
            let parts = view.parts.iter().map(|(name, _)| *name);
            let replaced = view.replaced.iter().map(|(name, _)| *name);
            let all = view.visible.iter().chain(view.hidden).copied().chain(parts).chain(replaced);
            let declared: BTreeSet<&str> = all.clone().collect();
            assert_eq!(all.count(), declared.len(), "a field of {} is declared twice", view.schema);
            let missing: Vec<_> = described.difference(&declared).collect();
            assert!(
                missing.is_empty(),
                "{} has fields {missing:?}: declare in routes/schema/tenant_view.rs whether tenants see them",
                view.schema
            );
            // Events of operations have fields that the schema does not list.
            if view.schema != "OperationEvent" {
                assert_eq!(declared.difference(&described).count(), 0, "{} has undescribed fields", view.schema);
            }
            fields += declared.len();
            for (field, part) in view.parts {
                let text = properties[*field].to_string();
                let is_event = part.schema == "FeedEvent";
                assert!(is_event || text.contains(&format!("/{}\"", part.schema)), "{}.{field}", view.schema);
                assert!(VIEWS.iter().any(|known| known.schema == part.schema), "{} is not in VIEWS", part.schema);
            }
        }
        assert!(fields > 100, "only {fields} fields");
    }

    #[test]
    fn a_field_that_is_not_declared_is_not_sent() {
        let view = VIEWS.iter().find(|view| view.schema == "Tenant").unwrap();
        let tenant = serde_json::json!({
            "id": "ten_1", "new_field": 7, "legal_hold": "x",
            "environments": [{ "id": "env_1", "new": { "id": 7 }, "findings": "text" }],
        });
        let restricted = view.restrict(tenant);
        let expected = serde_json::json!({ "id": "ten_1", "environments": [{ "id": "env_1", "findings": null }] });
        assert_eq!(restricted, expected);
    }
}
