//! Calls of the API within the process, with the caller of a session instead of a token.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, Request, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::net::SocketAddr;
use tower::ServiceExt;

use crate::auth::{Caller, SignedIn};
use crate::middleware::RequestId;
use crate::problem::ApiError;

/// Maximum size of a response that a page reads.
const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Routes of the API without the outermost middleware.
#[derive(Clone)]
pub(crate) struct ApiRouter(pub(crate) Router);

/// Client of the API for one request to the console.
pub(super) struct Api {
    router: Router,
    caller: Caller,
    request_id: Option<RequestId>,
    address: Option<ConnectInfo<SocketAddr>>,
    forwarded_for: Vec<axum::http::HeaderValue>,
}

impl Api {
    /// Creates the client of a request to the console.
    pub(super) fn new(router: Router, caller: Caller, parts: &Parts) -> Self {
        Self {
            router,
            caller,
            request_id: parts.extensions.get().cloned(),
            address: parts.extensions.get().copied(),
            forwarded_for: parts.headers.get_all(FORWARDED_FOR).iter().cloned().collect(),
        }
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Reads `path`, which contains the query.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let body = self.send(Method::GET, path, None).await?;
        serde_json::from_slice(&body).map_err(|error| {
            tracing::error!(path, %error, "a response of the API does not match its schema");
            ApiError::internal()
        })
    }

    /// Sends a request that changes something.
    pub(super) async fn post(&self, path: &str, body: Option<&Value>) -> Result<(), ApiError> {
        self.send(Method::POST, path, body).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Vec<u8>, ApiError> {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request.body(body).map_err(|_| ApiError::internal())?;
        for value in &self.forwarded_for {
            request.headers_mut().append(FORWARDED_FOR, value.clone());
        }
        let extensions = request.extensions_mut();
        extensions.insert(SignedIn(self.caller.clone()));
        self.request_id.clone().map(|id| extensions.insert(id));
        self.address.map(|address| extensions.insert(address));
        let Ok(mut response) = self.router.clone().oneshot(request).await;
        if let Some(refusal) = response.extensions_mut().remove::<ApiError>() {
            return Err(refusal);
        }
        if !response.status().is_success() {
            return Err(ApiError::from_status(response.status()));
        }
        let body = axum::body::to_bytes(response.into_body(), MAX_RESPONSE_BYTES).await;
        body.map(|body| body.to_vec()).map_err(|_| ApiError::internal())
    }
}
