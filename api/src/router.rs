//! Every route, with the scope that a token needs for it and whom it is about.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::{Extension, Router};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::{self, Needs, Reach};
use crate::routes::{
    account_mappings, approvals, audit, docs, environments, events, feed, findings, health, holds, legal_hold,
    offboarding, operations, remedies, tenants, webhooks,
};
use crate::scope::Scope::{
    self, AccountMappingsRead, AuditRead, EventsRead, OperationsApprove, OperationsRead, OperationsWrite,
    TenantsDelete, TenantsRead, TenantsWrite, WebhooksRead, WebhooksWrite,
};
use crate::{door, openapi};

/// Every route and its description. A route is added with what it needs, or it is not added.
pub(crate) fn routes() -> OpenApiRouter<App> {
    Routes::new()
        .needs(TenantsWrite, Reach::Fleet, routes!(tenants::create_tenant))
        .needs(TenantsRead, Reach::List, routes!(tenants::list_tenants))
        .needs(TenantsRead, Reach::Tenant, routes!(tenants::get_tenant))
        .needs(TenantsWrite, Reach::Fleet, routes!(tenants::change::update_tenant))
        .needs(TenantsDelete, Reach::Tenant, routes!(offboarding::offboard_tenant))
        .needs(TenantsDelete, Reach::Tenant, routes!(offboarding::restore_tenant))
        .needs(TenantsDelete, Reach::Fleet, routes!(legal_hold::set_legal_hold))
        .needs(TenantsDelete, Reach::Fleet, routes!(legal_hold::lift_legal_hold))
        .needs(TenantsWrite, Reach::Tenant, routes!(environments::create_environment))
        .needs(TenantsRead, Reach::Tenant, routes!(environments::get_environment))
        .needs(TenantsDelete, Reach::Tenant, routes!(offboarding::offboard_environment))
        .needs(TenantsDelete, Reach::Tenant, routes!(offboarding::restore_environment))
        .needs(OperationsRead, Reach::List, routes!(operations::list_operations))
        .needs(OperationsRead, Reach::Operation, routes!(operations::get_operation))
        .needs(OperationsRead, Reach::Operation, routes!(events::follow_operation))
        .needs(OperationsWrite, Reach::Operation, routes!(remedies::retry_operation))
        .needs(OperationsWrite, Reach::Operation, routes!(remedies::cancel_operation))
        .needs(OperationsWrite, Reach::Fleet, routes!(remedies::adopt_account))
        .needs(OperationsApprove, Reach::Fleet, routes!(approvals::approve_operation))
        .needs(OperationsApprove, Reach::Fleet, routes!(approvals::reject_operation))
        .needs(OperationsRead, Reach::Fleet, routes!(holds::list_holds))
        .needs(OperationsRead, Reach::Fleet, routes!(findings::list_findings))
        .needs(AccountMappingsRead, Reach::List, routes!(account_mappings::list_account_mappings))
        .needs(AccountMappingsRead, Reach::List, routes!(account_mappings::get_account_history))
        .needs(EventsRead, Reach::List, routes!(feed::list_events))
        .needs(AuditRead, Reach::Fleet, routes!(audit::list_audit_events))
        .needs(WebhooksWrite, Reach::Fleet, routes!(webhooks::endpoints::create_webhook_endpoint))
        .needs(WebhooksRead, Reach::Fleet, routes!(webhooks::endpoints::list_webhook_endpoints))
        .needs(WebhooksRead, Reach::Fleet, routes!(webhooks::endpoints::get_webhook_endpoint))
        .needs(WebhooksWrite, Reach::Fleet, routes!(webhooks::change::update_webhook_endpoint))
        .needs(WebhooksWrite, Reach::Fleet, routes!(webhooks::endpoints::delete_webhook_endpoint))
        .needs(WebhooksWrite, Reach::Fleet, routes!(webhooks::change::disable_webhook_endpoint))
        .needs(WebhooksWrite, Reach::Fleet, routes!(webhooks::change::enable_webhook_endpoint))
        .needs(WebhooksWrite, Reach::Fleet, routes!(webhooks::change::rotate_webhook_secret))
        .needs(WebhooksRead, Reach::Fleet, routes!(webhooks::deliveries::list_webhook_deliveries))
        .needs(WebhooksRead, Reach::Fleet, routes!(webhooks::deliveries::get_webhook_delivery))
        .needs(WebhooksWrite, Reach::Fleet, routes!(webhooks::deliveries::replay_webhook_delivery))
        .needs(WebhooksWrite, Reach::Fleet, routes!(webhooks::deliveries::replay_webhook_events))
        .open(routes!(health::livez))
        .open(routes!(health::readyz))
        .open(routes!(health::metrics))
        .open(routes!(docs::openapi_json))
        .0
}

/// Everything that [`crate::serve`] answers.
pub(crate) fn router(app: App) -> Router {
    routes()
        .split_for_parts()
        .0
        .merge(docs::swagger_ui())
        .fallback(docs::nothing_here)
        .layer(Extension(app.clone()))
        .layer(middleware::from_fn_with_state(app.metrics.clone(), door::pass))
        .with_state(app)
}

/// Routes, none of which got here without saying who may call it.
struct Routes(OpenApiRouter<App>);

impl Routes {
    fn new() -> Self {
        Self(OpenApiRouter::with_openapi(openapi::cover()))
    }

    /// A route for callers whose token has the scope, and who may see whom it is about.
    fn needs(self, scope: Scope, reach: Reach, route: UtoipaMethodRouter<App>) -> Self {
        let (schemas, paths, methods) = route;
        let needs =
            Arc::new(Needs { scope, reach, action: openapi::action(&paths), query: openapi::takes_query(&paths) });
        let admit = move |Extension(app): Extension<App>, request: Request, next: Next| {
            let needs = Arc::clone(&needs);
            async move { auth::admit(&needs, &app, request, next).await }
        };
        let paths = openapi::with_refusals(paths, Some((scope, reach)));
        Self(self.0.routes((schemas, paths, methods.route_layer(middleware::from_fn(admit)))))
    }

    /// A route for everybody.
    fn open(self, (schemas, paths, methods): UtoipaMethodRouter<App>) -> Self {
        Self(self.0.routes((schemas, openapi::with_refusals(paths, None), methods)))
    }
}
