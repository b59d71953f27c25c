//! Stages that process a request to a protected route, in this order:
//!
//! 1. authenticate: verify the bearer token and store the [`Caller`] in the request extensions. The console sets the
//!    caller of its session instead
//! 2. rate limit
//! 3. authorise: scope and tenant scope
//! 4. audit: open an entry, and complete it with the outcome (for safe methods only if the policy says so)
//! 5. idempotency: run once per key, or replay the stored response (POST only)
//! 6. route: the handler in `routes/`
//! 7. tenant view: remove the fields that a token of one tenant does not see
//!
//! Stages do not call each other. Only this file defines their order.

use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use freehold_tenancy::jitter;
use tracing::Instrument;

use crate::app::App;
use crate::audit;
use crate::auth::{self, Caller, SignedIn, TenantScope};
use crate::extract::{self, QueryFields};
use crate::idempotency::{self, ReservedKey};
use crate::problem::{ApiError, Code};
use crate::route_policy::{AuditMode, IdempotencyMode, ProtectedRoute, RoutePolicy};
use crate::tenant_view;

/// Runs all stages and returns the response.
pub(crate) async fn run(route: &ProtectedRoute, app: &App, request: Request, next: Next) -> Response {
    let mut response = run_stages(route, app, request, next).await.unwrap_or_else(IntoResponse::into_response);
    // Shared caches must not store responses to authenticated requests.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn run_stages(route: &ProtectedRoute, app: &App, mut request: Request, next: Next) -> Result<Response, ApiError> {
    let (caller, rate_limit) = if let Some(SignedIn(caller)) = request.extensions_mut().remove::<SignedIn>() {
        (caller, None)
    } else {
        let caller = auth::authenticate(&app.token_verifier, request.headers()).await?;
        let limit = app.rate_limiter.check(&caller);
        (caller, limit.inspect_err(|_| app.metrics.count_refusal("requests_per_minute"))?)
    };
    let is_audited = !request.method().is_safe() || route.policy.audits_reads;
    let (mut parts, body) = request.into_parts();
    let authorized = authorize(route, app, &caller, &mut parts).await;
    request = Request::from_parts(parts, body);
    let mut response = match authorized {
        Ok(()) => {
            request.extensions_mut().insert(caller.clone());
            if is_audited { run_audited(route, app, &caller, request, next).await } else { next.run(request).await }
        }
        Err(refusal) if !is_audited => refusal.into_response(),
        Err(refusal) => {
            let (entry, tenant) = audit::audit_entry(route, &caller, &request);
            let response = refusal.into_response();
            app.audit.note(&entry, tenant, &audit::refused_outcome(&route.action, &response)).await;
            response
        }
    };
    if matches!(caller.tenant_scope, TenantScope::Tenant(_)) {
        response = tenant_view::restrict_response(response, &route.tenant_views).await;
    }
    if let Some(rate_limit) = rate_limit {
        rate_limit.write_headers(response.headers_mut());
    }
    Ok(response)
}

async fn authorize(route: &ProtectedRoute, app: &App, caller: &Caller, parts: &mut Parts) -> Result<(), ApiError> {
    let RoutePolicy { scope, further_scope, resource, .. } = route.policy;
    for scope in std::iter::once(scope).chain(further_scope) {
        if !caller.scopes.contains(scope.as_str()) {
            return Err(auth::insufficient_scope(scope));
        }
    }
    caller.tenant_scope.authorize(resource, parts, &app.pool).await?;
    if route.query_parameters.is_empty() && !parts.method.is_safe() {
        // An unknown query parameter on a write is refused: `?dry_run=true` must not be ignored.
        let QueryFields(query) = QueryFields::from_request_parts(parts, &()).await?;
        query.finish(Some(()))?;
    }
    Ok(())
}

/// Runs the audit, idempotency and route stages of a request that may change data, or whose policy audits reads.
async fn run_audited(route: &ProtectedRoute, app: &App, caller: &Caller, request: Request, next: Next) -> Response {
    let (mut entry, tenant) = audit::audit_entry(route, caller, &request);
    // The body is read first, so that no audit entry stays open during a slow upload.
    let (mut parts, body) = request.into_parts();
    // Bodies that began together do not end together, so that their refusals do not delay the requests of others.
    let time_limit = app.config.api.limits.body_timeout().mul_f64(jitter::factor(0.5..1.0));
    let body = match extract::read_body_within(time_limit, &parts.headers, body).await {
        Ok(body) => body,
        // No action was requested yet. A record of each would let slow clients keep the database busy.
        Err(refusal) if refusal.code() == Code::BodyTimeout => {
            app.metrics.count_refusal("body_timeout");
            return refusal.into_response();
        }
        Err(refusal) => {
            let response = refusal.into_response();
            app.audit.note(&entry, tenant, &audit::refused_outcome(&route.action, &response)).await;
            return response;
        }
    };
    audit::add_body(&mut entry, &body);
    let is_dry_run = entry.query.get("dry_run").is_some_and(|value| value == "true");
    let (route, app, caller, tasks) = (route.clone(), app.clone(), caller.clone(), &app.tasks);
    let work = async move {
        match route.policy.audit {
            AuditMode::ByMiddleware if !is_dry_run => {
                let open_entry = match app.audit.begin(&entry, tenant).await {
                    Ok(open_entry) => open_entry,
                    Err(error) => return ApiError::from(error).into_response(),
                };
                let handler = run_idempotent(&route, &app, &caller, parts, body, next);
                let (response, changes) = audit::with_changes(handler).await;
                app.audit.end(open_entry, &audit::audit_outcome(&route.action, &response, changes)).await;
                response
            }
            // A dry run changes nothing, so that only its refusal is recorded.
            AuditMode::ByMiddleware | AuditMode::InStatement => {
                parts.extensions.insert(entry.clone());
                let response = run_idempotent(&route, &app, &caller, parts, body, next).await;
                if response.status().is_success() && !idempotency::is_replayed(&response) {
                    app.audit.schedule_chaining();
                } else {
                    let tenant = tenant.or_else(|| audit::tenant_from_location(&response));
                    app.audit.note(&entry, tenant, &audit::refused_outcome(&route.action, &response)).await;
                }
                response
            }
        }
    };
    // The task continues if the client disconnects, so that a started change finishes and its audit entry is completed.
    match tasks.spawn(work.in_current_span()).await {
        Ok(response) => response,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => ApiError::internal().into_response(),
    }
}

/// Runs the handler, at most once per idempotency key. A safe method has no key.
async fn run_idempotent(
    route: &ProtectedRoute,
    app: &App,
    caller: &Caller,
    mut parts: Parts,
    body: Vec<u8>,
    next: Next,
) -> Response {
    let mode = route.policy.idempotency;
    if mode == IdempotencyMode::InTransaction || parts.method.is_safe() || !idempotency::has_key(&parts) {
        return next.run(Request::from_parts(parts, Body::from(body))).await;
    }
    let reservation = match idempotency::reserve(&app.pool, caller, &parts, &body, app.clock.now()).await {
        Ok(ReservedKey::Reserved(reservation)) => reservation,
        Ok(ReservedKey::Replayed(response)) => return response,
        Err(refusal) => return refusal.into_response(),
    };
    parts.extensions.insert(reservation.clone());
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !response.status().is_success() {
        idempotency::release(&app.pool, &reservation).await;
        return response;
    }
    match mode {
        IdempotencyMode::ByMiddleware => idempotency::store_response(&app.pool, &reservation, response).await,
        IdempotencyMode::ResponseInTransaction | IdempotencyMode::InTransaction => response,
    }
}
