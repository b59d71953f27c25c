//! What the API writes into the audit trail: who called what that may change something, from where, with which result.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use freehold_tenancy::audit::{Actor, AuditEntry, AuditKind, AuditOutcome, AuditResult, Source};
use freehold_tenancy::{OperationId, TenantId};
use tracing::Instrument;

use crate::app::App;
use crate::auth::Caller;
use crate::extract;
use crate::idempotency;
use crate::middleware::RequestId;
use crate::problem::ApiError;

/// The route whose one statement writes the record itself.
const SIGNUP: &str = "createTenant";

/// How much of what a caller says of itself is kept, in bytes.
const LONGEST: usize = 256;

/// Marks an answer whose record is written, or that needs none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AuditWritten;

/// The deed that a request is, and the tenant that its path names.
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
        resource: Some(whole.map_or(path, PathAndQuery::as_str).chars().take(LONGEST).collect()),
        operation_id: path.split('/').find_map(|part| part.parse::<OperationId>().ok()),
        ..AuditEntry::new(AuditKind::ApiCall, action, actor)
    };
    (entry, path.split('/').find_map(|part| part.parse().ok()))
}

fn forwarded_for(headers: &HeaderMap) -> Option<String> {
    let values: Vec<_> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    // Who is nearest stands last.
    let all = values.join(", ");
    let from = all.len().saturating_sub(LONGEST);
    (!all.is_empty()).then(|| all[from..].to_owned())
}

/// What came of a request.
fn outcome(response: &Response) -> AuditOutcome {
    let status = response.status();
    let result = match status.as_u16() {
        ..400 => AuditResult::Succeeded,
        400..500 => AuditResult::Refused,
        _ => AuditResult::Failed,
    };
    let refused = response.extensions().get::<ApiError>().map(|refusal| refusal.code().as_str());
    let replayed = response.headers().contains_key(idempotency::REPLAYED).then_some("replayed");
    let code = refused.or(replayed).map(ToOwned::to_owned);
    AuditOutcome { status: Some(status.as_u16()), code, ..AuditOutcome::of(result) }
}

/// The tenant that an answer is about.
fn tenant_from_location(response: &Response) -> Option<TenantId> {
    response.headers().get(header::LOCATION)?.to_str().ok()?.split('/').find_map(|part| part.parse().ok())
}

/// Puts a call on record that was not admitted.
pub(crate) async fn record_refusal(
    app: &App,
    action: &str,
    caller: &Caller,
    request: Request,
    refusal: Response,
) -> Response {
    if !request.method().is_safe() {
        let ((entry, tenant), outcome) = (audit_entry(action, caller, &request), outcome(&refusal));
        app.audit.note(&entry, tenant, &outcome).await;
    }
    refusal
}

/// Lets a call that may change something happen, on record.
pub(crate) async fn run_audited(app: &App, action: &str, caller: &Caller, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let (entry, tenant) = audit_entry(action, caller, &request);
    // How long a body takes is its caller's affair, and none of the record's.
    let (mut parts, body) = request.into_parts();
    let body = match extract::read(&parts.headers, body).await {
        Ok(body) => body,
        Err(refusal) => {
            let refusal = refusal.into_response();
            app.audit.note(&entry, tenant, &outcome(&refusal)).await;
            return refusal;
        }
    };
    // In a task of its own: what has begun comes to its end, and on record, though the caller hangs up.
    let (tasks, app, action, caller) = (&app.tasks, app.clone(), action.to_owned(), caller.clone());
    let on_record = async move {
        if action == SIGNUP {
            parts.extensions.insert(entry.clone());
            let response = next.run(Request::from_parts(parts, Body::from(body))).await;
            if response.extensions().get::<AuditWritten>().is_some() {
                app.audit.schedule_chaining();
            } else {
                app.audit.note(&entry, tenant.or_else(|| tenant_from_location(&response)), &outcome(&response)).await;
            }
            return response;
        }
        let begun = match app.audit.begin(&entry, tenant).await {
            Ok(begun) => begun,
            Err(error) => return ApiError::from(error).into_response(),
        };
        let response = idempotency::run_idempotent(&app, &action, &caller, parts, body, next).await;
        app.audit.end(begun, &outcome(&response)).await;
        response
    };
    match tasks.spawn(on_record.in_current_span()).await {
        Ok(response) => response,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => ApiError::internal().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_way_the_end_is_kept() {
        let mut headers = HeaderMap::new();
        assert_eq!(forwarded_for(&headers), None);
        headers.append("x-forwarded-for", "a".repeat(300).parse().unwrap());
        headers.append("x-forwarded-for", "203.0.113.7".parse().unwrap());
        let kept = forwarded_for(&headers).unwrap();
        assert_eq!(kept.len(), LONGEST);
        assert!(kept.ends_with(", 203.0.113.7"));
    }
}
