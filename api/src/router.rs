//! Table of all routes with their policies.

use std::sync::{Arc, LazyLock};

use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::routing::get;
use axum::{Extension, Router};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use crate::app::App;
use crate::console;
use crate::middleware;
use crate::openapi::{base_document, query_parameters, route_operation_id, with_common_responses};
use crate::pipeline;
use crate::route_policy::AuditMode::InStatement;
use crate::route_policy::IdempotencyMode::{InTransaction, ResponseInTransaction};
use crate::route_policy::ResourceScope::{Fleet, List, Operation, Tenant};
use crate::route_policy::{ProtectedRoute, RoutePolicy, policy};
use crate::routes::{
    access_review, account_mappings, approvals, audit, baseline_upgrades, change_freeze, docs, environments, events,
    findings, fleet_holds, health, home_moves, legal_hold, offboarding, operation_events, operations, pins, regions,
    releases, residency_proofs, rollouts, search, suspension, tenants, vending, webhooks,
};
use crate::scope::Scope::{
    AccessRead, AccountMappingsRead, AuditRead, EventsRead, LegalHoldsLift, OperationsApprove, OperationsRead,
    OperationsWrite, ReleasesApprove, ReleasesRead, ReleasesWrite, RolloutsApprove, RolloutsRead, RolloutsWrite,
    TenantsDelete, TenantsRead, TenantsSuspend, TenantsWrite, WebhooksRead, WebhooksWrite,
};
use crate::tenant_view;

static OPENAPI_JSON: LazyLock<String> = LazyLock::new(openapi_json);

/// Returns all routes with their OpenAPI description. A route cannot be added without a policy, unless it is public.
pub(crate) fn routes() -> OpenApiRouter<App> {
    Routes::new()
        .protected(
            policy(TenantsWrite, Fleet).idempotency(InTransaction).audit(InStatement),
            routes!(tenants::create_tenant),
        )
        .protected(policy(TenantsRead, List), routes!(tenants::list_tenants))
        .protected(policy(TenantsRead, Tenant), routes!(tenants::get_tenant))
        .protected(policy(TenantsWrite, Fleet), routes!(tenants::update::update_tenant))
        .protected(policy(TenantsDelete, Tenant), routes!(offboarding::offboard_tenant))
        .protected(policy(TenantsDelete, Tenant), routes!(offboarding::restore_tenant))
        .protected(policy(TenantsDelete, Fleet), routes!(legal_hold::set_legal_hold))
        .protected(policy(TenantsDelete, Fleet).and(LegalHoldsLift), routes!(legal_hold::lift_legal_hold))
        .protected(policy(TenantsSuspend, Fleet), routes!(suspension::suspend_tenant))
        .protected(policy(TenantsSuspend, Fleet), routes!(suspension::resume_tenant))
        .protected(policy(TenantsWrite, Tenant).idempotency(InTransaction), routes!(environments::create_environment))
        .protected(policy(TenantsRead, Tenant), routes!(environments::get_environment))
        .protected(policy(TenantsWrite, Fleet), routes!(environments::update::update_environment))
        .protected(policy(TenantsDelete, Tenant), routes!(offboarding::offboard_environment))
        .protected(policy(TenantsDelete, Tenant), routes!(offboarding::restore_environment))
        .protected(policy(OperationsWrite, Fleet), routes!(baseline_upgrades::upgrade_baseline))
        .protected(policy(TenantsWrite, Fleet), routes!(home_moves::move_home))
        .protected(policy(TenantsWrite, Fleet), routes!(pins::pin_environment))
        .protected(policy(TenantsWrite, Fleet), routes!(pins::unpin_environment))
        .protected(policy(TenantsRead, Tenant), routes!(residency_proofs::get_residency_proof))
        .protected(policy(OperationsWrite, Fleet), routes!(residency_proofs::refresh_residency_proof))
        .public(routes!(residency_proofs::list_residency_proof_keys))
        .protected(policy(OperationsRead, List), routes!(operations::list_operations))
        .protected(policy(OperationsRead, Operation), routes!(operations::get_operation))
        .protected(policy(OperationsRead, Operation), routes!(operation_events::follow_operation))
        .protected(policy(OperationsRead, Fleet).audit_reads(), routes!(operations::bundle::get_support_bundle))
        .protected(policy(OperationsRead, Fleet), routes!(operations::bundle::get_support_bundle_contents))
        .protected(policy(OperationsWrite, Operation), routes!(operations::actions::retry_operation))
        .protected(policy(OperationsWrite, Operation), routes!(operations::actions::cancel_operation))
        .protected(policy(OperationsWrite, Fleet), routes!(operations::actions::adopt_account))
        .protected(policy(OperationsApprove, Fleet), routes!(approvals::approve_operation))
        .protected(policy(OperationsApprove, Fleet), routes!(approvals::reject_operation))
        .protected(policy(OperationsRead, Fleet), routes!(approvals::list_approvals))
        .protected(policy(OperationsRead, Fleet), routes!(approvals::get_approval))
        .protected(policy(OperationsApprove, Fleet), routes!(approvals::approve_request))
        .protected(policy(OperationsApprove, Fleet), routes!(approvals::reject_request))
        .protected(policy(OperationsRead, Fleet), routes!(fleet_holds::list_fleet_holds))
        .protected(policy(OperationsRead, Fleet), routes!(vending::get_vending))
        .protected(policy(OperationsWrite, Fleet), routes!(vending::pause_vending))
        .protected(policy(OperationsWrite, Fleet), routes!(vending::resume_vending))
        .protected(policy(RolloutsRead, Fleet), routes!(change_freeze::get_change_freeze))
        .protected(policy(RolloutsWrite, Fleet), routes!(change_freeze::set_change_freeze))
        .protected(policy(RolloutsWrite, Fleet), routes!(change_freeze::end_change_freeze))
        .protected(policy(OperationsRead, Fleet), routes!(findings::list_findings))
        .protected(policy(TenantsRead, Fleet), routes!(regions::list_regions))
        .protected(policy(TenantsRead, Fleet), routes!(search::search))
        .protected(policy(ReleasesWrite, Fleet), routes!(releases::register_release))
        .protected(policy(ReleasesRead, Fleet), routes!(releases::list_releases))
        .protected(policy(ReleasesRead, Fleet), routes!(releases::get_release))
        .protected(policy(ReleasesRead, Fleet), routes!(releases::diff_release))
        .protected(policy(ReleasesRead, Fleet), routes!(releases::list_release_environments))
        .protected(policy(ReleasesApprove, Fleet), routes!(releases::approve_release))
        .protected(policy(ReleasesWrite, Fleet), routes!(releases::deploy::preview_release))
        .protected(policy(ReleasesWrite, Fleet), routes!(releases::deploy::update_to_release))
        .protected(policy(RolloutsWrite, Fleet), routes!(rollouts::create_rollout))
        .protected(policy(RolloutsRead, Fleet), routes!(rollouts::list_rollouts))
        .protected(policy(RolloutsRead, Fleet), routes!(rollouts::get_rollout))
        .protected(policy(RolloutsRead, Fleet), routes!(rollouts::list_rollout_environments))
        .protected(policy(RolloutsWrite, Fleet), routes!(rollouts::actions::pause_rollout))
        .protected(policy(RolloutsWrite, Fleet), routes!(rollouts::actions::resume_rollout))
        .protected(policy(RolloutsWrite, Fleet), routes!(rollouts::actions::promote_rollout))
        .protected(policy(RolloutsApprove, Fleet), routes!(rollouts::actions::approve_wave))
        .protected(policy(RolloutsApprove, Fleet), routes!(rollouts::actions::reject_wave))
        .protected(policy(RolloutsWrite, Fleet), routes!(rollouts::actions::abort_rollout))
        .protected(policy(RolloutsWrite, Fleet), routes!(rollouts::actions::roll_back_rollout))
        .protected(policy(RolloutsWrite, Fleet), routes!(rollouts::actions::retry_failed))
        .protected(policy(AccountMappingsRead, List), routes!(account_mappings::list_account_mappings))
        .protected(policy(AccountMappingsRead, List), routes!(account_mappings::get_account_history))
        .protected(policy(EventsRead, List), routes!(events::list_events))
        .protected(policy(AuditRead, Fleet), routes!(audit::list_audit_events))
        .protected(policy(AccessRead, Fleet), routes!(access_review::review_access))
        .protected(
            policy(WebhooksWrite, Fleet).idempotency(ResponseInTransaction),
            routes!(webhooks::endpoints::create_webhook_endpoint),
        )
        .protected(policy(WebhooksRead, Fleet), routes!(webhooks::endpoints::list_webhook_endpoints))
        .protected(policy(WebhooksRead, Fleet), routes!(webhooks::endpoints::get_webhook_endpoint))
        .protected(policy(WebhooksWrite, Fleet), routes!(webhooks::update::update_webhook_endpoint))
        .protected(policy(WebhooksWrite, Fleet), routes!(webhooks::endpoints::delete_webhook_endpoint))
        .protected(policy(WebhooksWrite, Fleet), routes!(webhooks::update::disable_webhook_endpoint))
        .protected(policy(WebhooksWrite, Fleet), routes!(webhooks::update::enable_webhook_endpoint))
        .protected(
            policy(WebhooksWrite, Fleet).idempotency(ResponseInTransaction),
            routes!(webhooks::update::rotate_webhook_secret),
        )
        .protected(policy(WebhooksRead, Fleet), routes!(webhooks::deliveries::list_webhook_deliveries))
        .protected(policy(WebhooksRead, Fleet), routes!(webhooks::deliveries::get_webhook_delivery))
        .protected(policy(WebhooksWrite, Fleet), routes!(webhooks::deliveries::test_webhook_endpoint))
        .protected(policy(WebhooksWrite, Fleet), routes!(webhooks::deliveries::replay_webhook_delivery))
        .protected(policy(WebhooksWrite, Fleet), routes!(webhooks::deliveries::replay_webhook_events))
        .public(routes!(health::livez))
        .public(routes!(health::readyz))
        .public(routes!(health::metrics))
        .public(routes!(docs::openapi_json))
        .0
}

/// Returns the OpenAPI 3.1 document of all routes.
pub fn openapi() -> OpenApi {
    routes().split_for_parts().1
}

/// Returns the OpenAPI document as JSON, in a stable order, with a newline at its end.
pub fn openapi_json() -> String {
    let mut document = serde_json::to_value(openapi()).unwrap_or_default();
    tenant_view::describe(&mut document);
    let mut json = serde_json::to_string_pretty(&document).unwrap_or_default();
    json.push('\n');
    json
}

/// Returns the service with all routes and middleware.
pub fn router(app: App) -> Router {
    let api =
        routes().split_for_parts().0.layer(Extension(app.clone())).layer(Extension(docs::OpenApiJson(&OPENAPI_JSON)));
    let console = console::router(&app, api.clone().with_state(app.clone()));
    api.merge(docs::swagger_ui())
        .merge(console)
        .fallback(docs::not_found)
        .layer(from_fn_with_state(app.metrics.clone(), middleware::request_middleware))
        .with_state(app)
}

/// Returns the service with the metrics only, for a listener of its own.
pub(crate) fn metrics_router(app: App) -> Router {
    Router::new().route("/metrics", get(health::all_metrics)).with_state(app)
}

/// Returns the service for connections above the ceiling: the health check of the process and its metrics. All other
/// requests are refused.
pub(crate) fn overload_router(app: App) -> Router {
    Router::new()
        .route("/livez", get(health::livez))
        .route("/metrics", get(health::metrics))
        .fallback(health::refuse_connection)
        .layer(from_fn_with_state(app.metrics.clone(), middleware::request_middleware))
        .with_state(app)
}

/// Builder of the route table. Each route is protected by a policy or declared public.
struct Routes(OpenApiRouter<App>);

impl Routes {
    fn new() -> Self {
        Self(OpenApiRouter::with_openapi(base_document()))
    }

    /// Adds a route that requires a token and applies the policy.
    fn protected(self, policy: RoutePolicy, route: UtoipaMethodRouter<App>) -> Self {
        let (schemas, paths, methods) = route;
        let route = Arc::new(ProtectedRoute {
            policy,
            action: route_operation_id(&paths),
            query_parameters: query_parameters(&paths),
            tenant_views: tenant_view::views_of(&paths),
        });
        let stages = move |Extension(app): Extension<App>, request: Request, next: Next| {
            let route = Arc::clone(&route);
            async move { pipeline::run(&route, &app, request, next).await }
        };
        let paths = with_common_responses(paths, Some(policy));
        Self(self.0.routes((schemas, paths, methods.route_layer(from_fn(stages)))))
    }

    /// Adds a route that needs no token.
    fn public(self, (schemas, paths, methods): UtoipaMethodRouter<App>) -> Self {
        Self(self.0.routes((schemas, with_common_responses(paths, None), methods)))
    }
}
