//! Audit entries of API requests. Each request that may change data is recorded with its caller, action, source and
//! result.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use freehold_tenancy::audit::{Actor, AuditEntry, AuditKind, AuditOutcome, AuditResult, Source};
use freehold_tenancy::{OperationId, TenantId};

use crate::auth::Caller;
use crate::idempotency;
use crate::middleware::RequestId;
use crate::problem::ApiError;

/// Maximum stored length of a value that the caller supplies, in bytes.
const MAX_VALUE_BYTES: usize = 256;

/// Returns the audit entry of a request and the tenant id in the request path, if there is one.
pub(crate) fn audit_entry(action: &str, caller: &Caller, request: &Request) -> (AuditEntry, Option<TenantId>) {
    let (path, whole) = (request.uri().path(), request.uri().path_and_query());
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let actor =
        Actor::Caller { issuer: caller.issuer.clone(), subject: caller.subject.clone(), client: caller.client.clone() };
    let entry = AuditEntry {
        source: address.map(|ConnectInfo(address)| Source {
            address: address.ip().to_string(),
            forwarded_for: forwarded_for(request.headers()),
        }),
        request_id: request.extensions().get::<RequestId>().map(|RequestId(id)| id.clone()),
        resource: Some(whole.map_or(path, PathAndQuery::as_str).chars().take(MAX_VALUE_BYTES).collect()),
        operation_id: path.split('/').find_map(|part| part.parse::<OperationId>().ok()),
        ..AuditEntry::new(AuditKind::ApiCall, action, actor)
    };
    (entry, path.split('/').find_map(|part| part.parse().ok()))
}

fn forwarded_for(headers: &HeaderMap) -> Option<String> {
    let values: Vec<_> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    // The nearest proxy adds the last value, so the end of a long text is stored.
    let all = values.join(", ");
    let from = all.len().saturating_sub(MAX_VALUE_BYTES);
    (!all.is_empty()).then(|| all[from..].to_owned())
}

/// Returns the audit outcome of a request, based on the response.
pub(crate) fn audit_outcome(response: &Response) -> AuditOutcome {
    let status = response.status();
    let result = match status.as_u16() {
        ..400 => AuditResult::Succeeded,
        400..500 => AuditResult::Refused,
        _ => AuditResult::Failed,
    };
    let refused = response.extensions().get::<ApiError>().map(|refusal| refusal.code().as_str());
    let replayed = idempotency::is_replayed(response).then_some("replayed");
    let code = refused.or(replayed).map(ToOwned::to_owned);
    AuditOutcome { status: Some(status.as_u16()), code, ..AuditOutcome::of(result) }
}

/// Returns the tenant id in the `Location` header of a response.
pub(crate) fn tenant_from_location(response: &Response) -> Option<TenantId> {
    response.headers().get(header::LOCATION)?.to_str().ok()?.split('/').find_map(|part| part.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

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
