//! Console: web pages for support staff. A page reads and acts through the routes of the API with the caller of the
//! session, so that scopes, the audit trail and error messages are the same as those of the API.
//!
//! | topic | file |
//! |---|---|
//! | checks of each request, headers of each response | `guard.rs` |
//! | sign-in with an OpenID provider | `sign_in.rs`, `provider.rs` |
//! | sessions | `session.rs` |
//! | calls of the API within the process | `api_calls.rs` |
//! | streams that keep pages current | `live.rs`, `assets/live.js` |
//! | lists that start with the newest entry | `newest.rs` |
//! | texts in forms, and their errors | `inputs.rs` |
//! | pages, with their templates in `api/templates/console` | `pages/`, `layout.rs`, `labels.rs` |
//!
//! Each page is one GET that works without scripts, and each action is one POST.

mod api_calls;
mod guard;
mod inputs;
mod labels;
mod layout;
mod live;
mod more_routes;
mod newest;
mod pages;
mod provider;
mod session;
mod sign_in;
mod timeline;

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use tower_http::compression::CompressionLayer;

use crate::app::App;
use crate::problem::ApiError;
use api_calls::ApiRouter;
use live::LivePages;
use provider::Provider;

/// The only script: htmx with its extension for streams, and the settings of the console. The extension must be in the
/// same file, because otherwise htmx may start before the browser has loaded it.
const SCRIPT: &str = concat!(
    include_str!("console/assets/htmx.min.js"),
    "\n",
    include_str!("console/assets/hx-sse.min.js"),
    "\n",
    include_str!("console/assets/live.js"),
);

/// Returns the routes of the console; none if it is switched off. `api` serves the calls of the pages.
pub(crate) fn router(app: &App, api: Router) -> Router<App> {
    let Some(provider) = Provider::from_config(&app.config) else { return Router::new() };
    let (api, provider) = (ApiRouter(api), Arc::new(provider));
    let with_context = |router: Router<App>| router.layer(Extension(api.clone())).layer(Extension(provider.clone()));
    let live = LivePages::new(with_context(pages()).with_state(app.clone()));
    let followed = pages().route("/console/live", get(live::follow)).layer(Extension(live));
    with_context(followed)
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(app.clone(), guard::refuse_other_sites))
        .layer(from_fn(guard::add_headers))
}

/// Returns the routes of all pages, actions and assets.
fn pages() -> Router<App> {
    Router::new()
        .route("/console", get(pages::overview::show))
        .route("/console/", get(|| async { Redirect::permanent("/console") }))
        .route("/console/attention", get(pages::attention::show))
        .route("/console/tenants", get(pages::tenants::list))
        .route("/console/tenants/{id}", get(pages::tenant::show))
        .route("/console/operations/{id}", get(pages::operation::show))
        .route("/console/operations/{id}/retry", post(pages::actions::retry))
        .route("/console/operations/{id}/cancel", post(pages::actions::cancel))
        .route("/console/operations/{id}/adopt", post(pages::actions::adopt))
        .route("/console/operations/{id}/correct", post(pages::actions::correct))
        .route("/console/approvals", get(pages::approvals::show))
        .route("/console/approvals/{id}/approve", post(pages::approvals::approve))
        .route("/console/approvals/{id}/reject", post(pages::approvals::reject))
        .route("/console/rollouts", get(pages::rollouts::list))
        .route("/console/rollouts/{id}", get(pages::rollouts::show))
        .route("/console/rollouts/{id}/{action}", post(pages::rollouts::act))
        .route("/console/findings", get(pages::findings::show))
        .route("/console/search", get(pages::search::show))
        .merge(more_routes::more_routes())
        .route("/console/sign-in", get(sign_in::page))
        .route("/console/sign-in/go", get(sign_in::start))
        .route("/console/sign-in/back", get(sign_in::finish))
        .route("/console/sign-out", post(sign_in::sign_out))
        .route(
            "/console/style.css",
            get(|| async { asset("text/css; charset=utf-8", include_bytes!("console/assets/style.css")) }),
        )
        .route("/console/script.js", get(|| async { asset("text/javascript; charset=utf-8", SCRIPT.as_bytes()) }))
        .route("/console/icon.svg", get(|| async { asset("image/svg+xml", include_bytes!("console/assets/icon.svg")) }))
        .route("/console/{*rest}", any(not_found))
}

async fn not_found() -> ApiError {
    ApiError::from_status(StatusCode::NOT_FOUND)
}

fn asset(media_type: &'static str, content: &'static [u8]) -> Response {
    ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "max-age=300")], content).into_response()
}
