//! OpenAPI document and Swagger UI. Neither loads resources from other servers.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use axum::{Extension, Router};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::App;
use crate::problem::{ApiError, Code};

/// OpenAPI document as JSON, generated on first use. The router provides it, because only the router knows all routes.
#[derive(Clone, Copy)]
pub(crate) struct OpenApiJson(pub(crate) &'static LazyLock<String>);

/// Get this OpenAPI document
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "service",
    responses((status = 200, description = "OpenAPI 3.1 document", body = Object, content_type = "application/json")),
)]
pub(crate) async fn openapi_json(Extension(OpenApiJson(json)): Extension<OpenApiJson>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], json.as_str())
}

/// Returns the router of the Swagger UI at `/docs`.
pub(crate) fn swagger_ui() -> Router<App> {
    // By default, Swagger UI sends the document to a public validator.
    SwaggerUi::new("/docs").config(Config::from("/openapi.json").validator_url("none")).into()
}

/// Responds to a request for an unknown path.
pub(crate) async fn not_found() -> ApiError {
    ApiError::new(Code::RouteNotFound, "No route matches this path; see /openapi.json or /docs.")
}
