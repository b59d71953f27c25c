//! The API's own description, and a page to read it and try it out; nothing of it comes from elsewhere.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use axum::{Extension, Router};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::App;
use crate::problem::{ApiError, Code};

/// The OpenAPI document as JSON, rendered on first use. The router passes it in, because it knows all routes.
#[derive(Clone, Copy)]
pub(crate) struct OpenApiJson(pub(crate) &'static LazyLock<String>);

/// This description
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "service",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")),
)]
pub(crate) async fn openapi_json(Extension(OpenApiJson(json)): Extension<OpenApiJson>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], json.as_str())
}

/// `/docs`
pub(crate) fn swagger_ui() -> Router<App> {
    // Swagger UI would have a public service judge the description.
    SwaggerUi::new("/docs").config(Config::from("/openapi.json").validator_url("none")).into()
}

/// What is said at every other address.
pub(crate) async fn not_found() -> ApiError {
    ApiError::new(Code::RouteNotFound, "There is nothing at this address; see /openapi.json, or /docs.")
}
