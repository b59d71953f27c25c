//! Routes of the pages about the installation, and of actions on tenants.

use axum::Router;
use axum::routing::get;

use super::pages::{accounts, audit, events};
use crate::app::App;

/// Returns the routes of these pages and actions.
pub(super) fn more_routes() -> Router<App> {
    Router::new()
        .route("/console/audit", get(audit::show))
        .route("/console/events", get(events::show))
        .route("/console/accounts", get(accounts::show))
        .route("/console/accounts.csv", get(accounts::csv))
}
