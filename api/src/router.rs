//! Every route, with the scope that a token needs for it and whom it is about.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::{Extension, Router};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::{self, ResourceScope, RoutePolicy};
use crate::routes::{
    account_mappings, approvals, audit, docs, environments, events, findings, fleet_holds, health, legal_hold,
    offboarding, operation_events, operations, tenants, webhooks,
};
use crate::scope::Scope::{
    self, AccountMappingsRead, AuditRead, EventsRead, OperationsApprove, OperationsRead, OperationsWrite,
    TenantsDelete, TenantsRead, TenantsWrite, WebhooksRead, WebhooksWrite,
};
use crate::{middleware, openapi};

/// Every route and its description. A route is added with what it needs, or it is not added.
pub(crate) fn routes() -> OpenApiRouter<App> {
    Routes::new()
        .protected(TenantsWrite, ResourceScope::Fleet, routes!(tenants::create_tenant))
        .protected(TenantsRead, ResourceScope::List, routes!(tenants::list_tenants))
        .protected(TenantsRead, ResourceScope::Tenant, routes!(tenants::get_tenant))
        .protected(TenantsWrite, ResourceScope::Fleet, routes!(tenants::update::update_tenant))
        .protected(TenantsDelete, ResourceScope::Tenant, routes!(offboarding::offboard_tenant))
        .protected(TenantsDelete, ResourceScope::Tenant, routes!(offboarding::restore_tenant))
        .protected(TenantsDelete, ResourceScope::Fleet, routes!(legal_hold::set_legal_hold))
        .protected(TenantsDelete, ResourceScope::Fleet, routes!(legal_hold::lift_legal_hold))
        .protected(TenantsWrite, ResourceScope::Tenant, routes!(environments::create_environment))
        .protected(TenantsRead, ResourceScope::Tenant, routes!(environments::get_environment))
        .protected(TenantsDelete, ResourceScope::Tenant, routes!(offboarding::offboard_environment))
        .protected(TenantsDelete, ResourceScope::Tenant, routes!(offboarding::restore_environment))
        .protected(OperationsRead, ResourceScope::List, routes!(operations::list_operations))
        .protected(OperationsRead, ResourceScope::Operation, routes!(operations::get_operation))
        .protected(OperationsRead, ResourceScope::Operation, routes!(operation_events::follow_operation))
        .protected(OperationsWrite, ResourceScope::Operation, routes!(operations::actions::retry_operation))
        .protected(OperationsWrite, ResourceScope::Operation, routes!(operations::actions::cancel_operation))
        .protected(OperationsWrite, ResourceScope::Fleet, routes!(operations::actions::adopt_account))
        .protected(OperationsApprove, ResourceScope::Fleet, routes!(approvals::approve_operation))
        .protected(OperationsApprove, ResourceScope::Fleet, routes!(approvals::reject_operation))
        .protected(OperationsRead, ResourceScope::Fleet, routes!(fleet_holds::list_fleet_holds))
        .protected(OperationsRead, ResourceScope::Fleet, routes!(findings::list_findings))
        .protected(AccountMappingsRead, ResourceScope::List, routes!(account_mappings::list_account_mappings))
        .protected(AccountMappingsRead, ResourceScope::List, routes!(account_mappings::get_account_history))
        .protected(EventsRead, ResourceScope::List, routes!(events::list_events))
        .protected(AuditRead, ResourceScope::Fleet, routes!(audit::list_audit_events))
        .protected(WebhooksWrite, ResourceScope::Fleet, routes!(webhooks::endpoints::create_webhook_endpoint))
        .protected(WebhooksRead, ResourceScope::Fleet, routes!(webhooks::endpoints::list_webhook_endpoints))
        .protected(WebhooksRead, ResourceScope::Fleet, routes!(webhooks::endpoints::get_webhook_endpoint))
        .protected(WebhooksWrite, ResourceScope::Fleet, routes!(webhooks::update::update_webhook_endpoint))
        .protected(WebhooksWrite, ResourceScope::Fleet, routes!(webhooks::endpoints::delete_webhook_endpoint))
        .protected(WebhooksWrite, ResourceScope::Fleet, routes!(webhooks::update::disable_webhook_endpoint))
        .protected(WebhooksWrite, ResourceScope::Fleet, routes!(webhooks::update::enable_webhook_endpoint))
        .protected(WebhooksWrite, ResourceScope::Fleet, routes!(webhooks::update::rotate_webhook_secret))
        .protected(WebhooksRead, ResourceScope::Fleet, routes!(webhooks::deliveries::list_webhook_deliveries))
        .protected(WebhooksRead, ResourceScope::Fleet, routes!(webhooks::deliveries::get_webhook_delivery))
        .protected(WebhooksWrite, ResourceScope::Fleet, routes!(webhooks::deliveries::replay_webhook_delivery))
        .protected(WebhooksWrite, ResourceScope::Fleet, routes!(webhooks::deliveries::replay_webhook_events))
        .public(routes!(health::livez))
        .public(routes!(health::readyz))
        .public(routes!(health::metrics))
        .public(routes!(docs::openapi_json))
        .0
}

/// Everything that [`crate::serve`] answers.
pub(crate) fn router(app: App) -> Router {
    routes()
        .split_for_parts()
        .0
        .merge(docs::swagger_ui())
        .fallback(docs::not_found)
        .layer(Extension(app.clone()))
        .layer(from_fn_with_state(app.metrics.clone(), middleware::request_middleware))
        .with_state(app)
}

/// Routes, none of which got here without saying who may call it.
struct Routes(OpenApiRouter<App>);

impl Routes {
    fn new() -> Self {
        Self(OpenApiRouter::with_openapi(openapi::base_document()))
    }

    /// A route for callers whose token has the scope, and who may see whom it is about.
    fn protected(self, scope: Scope, reach: ResourceScope, route: UtoipaMethodRouter<App>) -> Self {
        let (schemas, paths, methods) = route;
        let needs = Arc::new(RoutePolicy {
            scope,
            reach,
            action: openapi::action(&paths),
            query: openapi::takes_query(&paths),
        });
        let admit = move |Extension(app): Extension<App>, request: Request, next: Next| {
            let needs = Arc::clone(&needs);
            async move { auth::authorize_request(&needs, &app, request, next).await }
        };
        let paths = openapi::with_common_responses(paths, Some((scope, reach)));
        Self(self.0.routes((schemas, paths, methods.route_layer(from_fn(admit)))))
    }

    /// A route for everybody.
    fn public(self, (schemas, paths, methods): UtoipaMethodRouter<App>) -> Self {
        Self(self.0.routes((schemas, openapi::with_common_responses(paths, None), methods)))
    }
}
