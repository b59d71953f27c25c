//! Audit entries of API requests. Each request that may change data is recorded with its caller, action, source and
//! result.

mod changes;
mod fields;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Query, Request};
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use freehold_tenancy::audit::{Actor, AuditEntry, AuditKind, AuditOutcome, AuditResult, Source};
use freehold_tenancy::{ApprovalId, OperationId, TenantId, WebhookDeliveryId, WebhookEndpointId};

use self::changes::Changes;
pub(crate) use self::changes::{
    record_approval, record_approval_state, record_change, record_hidden_change, record_id, recorded_url, with_changes,
};

use crate::auth::Caller;
use crate::idempotency;
use crate::middleware::RequestId;
use crate::problem::ApiError;
use crate::route_policy::ProtectedRoute;

/// Maximum stored length of a value that the caller supplies, in bytes.
const MAX_VALUE_BYTES: usize = 256;

/// Returns the audit entry of a request without its body, and the tenant id in the request path, if there is one.
pub(crate) fn audit_entry(
    route: &ProtectedRoute,
    caller: &Caller,
    request: &Request,
) -> (AuditEntry, Option<TenantId>) {
    let (path, query) = (normalize_path(request.uri().path()), request.uri().query());
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let actor =
        Actor::Caller { issuer: caller.issuer.clone(), subject: caller.subject.clone(), client: caller.client.clone() };
    let resource = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    let entry = AuditEntry {
        source: address.map(|ConnectInfo(address)| Source {
            address: address.ip().to_string(),
            forwarded_for: forwarded_for(request.headers()),
        }),
        request_id: request.extensions().get::<RequestId>().map(|RequestId(id)| id.clone()),
        resource: Some(first_characters(&resource)),
        ids: ids_in_path(&path),
        query: recorded_query(route, request.uri()),
        operation_id: path.split('/').find_map(|part| part.parse::<OperationId>().ok()),
        ..AuditEntry::new(AuditKind::ApiCall, &route.action, actor)
    };
    (entry, path.split('/').find_map(|part| part.parse().ok()))
}

/// Adds the recorded fields of the request body to an entry.
pub(crate) fn add_body(entry: &mut AuditEntry, body: &[u8]) {
    entry.request = fields::request_fields(&entry.action, body);
}

/// Returns the path with all percent-encoded letters, digits, `-`, `.`, `_` and `~` decoded, as the route reads it
/// (RFC 3986, section 6.2.2.2).
fn normalize_path(path: &str) -> String {
    let mut parts = path.split('%');
    let mut normalized = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let decoded = byte.map(char::from).filter(|c| c.is_ascii_alphanumeric() || "-._~".contains(*c));
        if let Some(decoded) = decoded {
            normalized.push(decoded);
            normalized.push_str(&part[2..]);
        } else {
            normalized.push('%');
            normalized.push_str(part);
        }
    }
    normalized
}

fn ids_in_path(path: &str) -> Vec<String> {
    let is_id = |part: &&str| {
        part.parse::<TenantId>().is_ok()
            || part.parse::<OperationId>().is_ok()
            || part.parse::<ApprovalId>().is_ok()
            || part.parse::<WebhookEndpointId>().is_ok()
            || part.parse::<WebhookDeliveryId>().is_ok()
    };
    path.split('/').filter(is_id).map(ToOwned::to_owned).collect()
}

/// Returns the query parameters that the route declares, each cut to the maximum length.
fn recorded_query(route: &ProtectedRoute, uri: &Uri) -> BTreeMap<String, String> {
    let Ok(Query(parameters)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else { return BTreeMap::new() };
    let mut recorded = BTreeMap::<String, String>::new();
    for (name, value) in parameters.into_iter().filter(|(name, _)| route.query_parameters.contains(name)) {
        let values = recorded.entry(name).or_default();
        let separator = if values.is_empty() { "" } else { ", " };
        *values = first_characters(&format!("{values}{separator}{value}"));
    }
    recorded
}

fn first_characters(text: &str) -> String {
    text.chars().take(MAX_VALUE_BYTES).collect()
}

fn forwarded_for(headers: &HeaderMap) -> Option<String> {
    let values: Vec<_> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    // The nearest proxy adds the last value, so the end of a long text is stored.
    let all = values.join(", ");
    let from = all.len().saturating_sub(MAX_VALUE_BYTES);
    (!all.is_empty()).then(|| all[from..].to_owned())
}

/// Returns the audit outcome of a request, based on the response and on the changes that the handler has recorded.
pub(crate) fn audit_outcome(action: &str, response: &Response, changes: Changes) -> AuditOutcome {
    let status = response.status();
    let result = match status.as_u16() {
        ..400 => AuditResult::Succeeded,
        400..500 => AuditResult::Refused,
        _ => AuditResult::Failed,
    };
    let refused = response.extensions().get::<ApiError>().map(|refusal| refusal.code().as_str());
    let replayed = idempotency::is_replayed(response).then_some("replayed");
    let code = refused.or(replayed).map(ToOwned::to_owned);
    let Changes { mut ids, fields: mut changes } = changes;
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    ids.extend(location.map(ids_in_path).unwrap_or_default());
    ids.sort_unstable();
    ids.dedup();
    let declared = fields::recorded_fields(action).map_or(&[][..], |route| route.changes);
    debug_assert!(
        changes.keys().all(|field| declared.contains(&field.as_str())),
        "{action} does not declare {changes:?}"
    );
    changes.retain(|field, _| declared.contains(&field.as_str()));
    AuditOutcome { status: Some(status.as_u16()), code, ids, changes, ..AuditOutcome::of(result) }
}

/// Returns the audit outcome of a request that was refused before its handler ran.
pub(crate) fn refused_outcome(action: &str, response: &Response) -> AuditOutcome {
    audit_outcome(action, response, Changes::default())
}

/// Returns the tenant id in the `Location` header of a response.
pub(crate) fn tenant_from_location(response: &Response) -> Option<TenantId> {
    response.headers().get(header::LOCATION)?.to_str().ok()?.split('/').find_map(|part| part.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_characters_of_an_id_are_decoded() {
        let id = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b";
        let encoded: String = id.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"));
        for path in [format!("/v1/tenants/{encoded}"), format!("/v1/tenants/{}", id.replace('_', "%5f"))] {
            assert_eq!(normalize_path(&path), format!("/v1/tenants/{id}"), "{path}");
        }
        for unchanged in ["/a%2Fb", "/%", "/%2", "/%zz", "/%C3%A9", "/%éé", ""] {
            assert_eq!(normalize_path(unchanged), unchanged);
        }
        assert_eq!(ids_in_path(&format!("/v1/tenants/{id}/environments/staging")), [id]);
    }

    #[test]
    fn the_end_of_a_long_forwarded_for_header_is_kept() {
        let mut headers = HeaderMap::new();
        assert_eq!(forwarded_for(&headers), None);
        headers.append("x-forwarded-for", "a".repeat(300).parse().unwrap());
        headers.append("x-forwarded-for", "203.0.113.7".parse().unwrap());
        let kept = forwarded_for(&headers).unwrap();
        assert_eq!(kept.len(), MAX_VALUE_BYTES);
        assert!(kept.ends_with(", 203.0.113.7"));
    }
}
