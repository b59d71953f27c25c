//! Routes of the pages about the installation, and of actions on tenants.

use axum::Router;
use axum::routing::{get, post};

use super::pages::{accounts, audit, events, quotas, sign_up, tenant_actions, webhook_actions, webhooks};
use crate::app::App;

/// Returns the routes of these pages and actions.
pub(super) fn more_routes() -> Router<App> {
    Router::new()
        .route("/console/audit", get(audit::show))
        .route("/console/events", get(events::show))
        .route("/console/accounts", get(accounts::show))
        .route("/console/accounts.csv", get(accounts::csv))
        .route("/console/webhooks", get(webhooks::list))
        .route("/console/webhooks/{id}", get(webhooks::show))
        .route("/console/webhooks/{id}/enable", post(webhook_actions::enable))
        .route("/console/webhooks/{id}/disable", post(webhook_actions::disable))
        .route("/console/webhooks/{id}/test", post(webhook_actions::test))
        .route("/console/webhooks/{id}/rotate", post(webhook_actions::rotate))
        .route("/console/webhooks/{id}/replay", post(webhook_actions::replay))
        .route("/console/webhooks/{id}/delete", post(webhook_actions::delete))
        .route("/console/webhooks/{id}/deliveries/{delivery}", get(webhooks::show_delivery))
        .route("/console/webhooks/{id}/deliveries/{delivery}/resend", post(webhook_actions::resend))
        .route("/console/quotas", get(quotas::show))
        .route("/console/quotas/pause", post(quotas::pause))
        .route("/console/quotas/resume", post(quotas::resume))
        .route("/console/sign-up", get(sign_up::show).post(sign_up::create))
        .route("/console/sign-up/check", post(sign_up::check))
        .route("/console/tenants/{id}/{action}", get(tenant_actions::show).post(tenant_actions::act))
}
