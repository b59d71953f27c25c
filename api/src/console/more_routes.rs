//! Routes of the pages about the installation, and of actions on tenants.

use axum::Router;

use crate::app::App;

/// Returns the routes of these pages and actions.
pub(super) fn more_routes() -> Router<App> {
    Router::new()
}
