//! Every route, with the scope that a token needs for it.

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::{Extension, Router};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::{self, Tokens};
use crate::routes::{
    account_mappings, approvals, docs, environments, events, findings, health, holds, legal_hold, offboarding,
    operations, remedies, tenants,
};
use crate::scope::Scope::{
    self, AccountMappingsRead, OperationsApprove, OperationsRead, OperationsWrite, TenantsDelete, TenantsRead,
    TenantsWrite,
};
use crate::{door, openapi};

/// Every route and its description.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::cover())
        .routes(needs(TenantsWrite, routes!(tenants::create_tenant)))
        .routes(needs(TenantsRead, routes!(tenants::list_tenants)))
        .routes(needs(TenantsRead, routes!(tenants::get_tenant)))
        .routes(needs(TenantsDelete, routes!(offboarding::offboard_tenant)))
        .routes(needs(TenantsDelete, routes!(offboarding::restore_tenant)))
        .routes(needs(TenantsDelete, routes!(legal_hold::set_legal_hold)))
        .routes(needs(TenantsDelete, routes!(legal_hold::lift_legal_hold)))
        .routes(needs(TenantsWrite, routes!(environments::create_environment)))
        .routes(needs(TenantsRead, routes!(environments::get_environment)))
        .routes(needs(TenantsDelete, routes!(offboarding::offboard_environment)))
        .routes(needs(TenantsDelete, routes!(offboarding::restore_environment)))
        .routes(needs(OperationsRead, routes!(operations::list_operations)))
        .routes(needs(OperationsRead, routes!(operations::get_operation)))
        .routes(needs(OperationsRead, routes!(events::follow_operation)))
        .routes(needs(OperationsWrite, routes!(remedies::retry_operation)))
        .routes(needs(OperationsWrite, routes!(remedies::cancel_operation)))
        .routes(needs(OperationsWrite, routes!(remedies::adopt_account)))
        .routes(needs(OperationsApprove, routes!(approvals::approve_operation)))
        .routes(needs(OperationsApprove, routes!(approvals::reject_operation)))
        .routes(needs(OperationsRead, routes!(holds::list_holds)))
        .routes(needs(OperationsRead, routes!(findings::list_findings)))
        .routes(needs(AccountMappingsRead, routes!(account_mappings::list_account_mappings)))
        .routes(open(routes!(health::livez)))
        .routes(open(routes!(health::readyz)))
        .routes(open(routes!(health::metrics)))
        .routes(open(routes!(docs::openapi_json)))
}

/// Everything that [`crate::serve`] answers.
pub(crate) fn router(app: App) -> Router {
    routes()
        .split_for_parts()
        .0
        .merge(docs::swagger_ui())
        .fallback(docs::nothing_here)
        .layer(Extension(app.tokens.clone()))
        .layer(middleware::from_fn_with_state(app.metrics.clone(), door::pass))
        .with_state(app)
}

/// A route for callers whose token has the scope.
fn needs(scope: Scope, (schemas, paths, methods): UtoipaMethodRouter<App>) -> UtoipaMethodRouter<App> {
    let admit = move |Extension(tokens): Extension<Tokens>, request: Request, next: Next| {
        auth::admit(scope, tokens, request, next)
    };
    (schemas, openapi::with_refusals(paths, Some(scope)), methods.route_layer(middleware::from_fn(admit)))
}

/// A route for everybody.
fn open((schemas, paths, methods): UtoipaMethodRouter<App>) -> UtoipaMethodRouter<App> {
    (schemas, openapi::with_refusals(paths, None), methods)
}
