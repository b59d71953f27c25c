//! Calls of the API within the process, with the caller of a session instead of a token.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, Request, StatusCode, header};
use axum::response::Response;
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
        parse(path, &read(self.send(Method::GET, path, &[], None).await?).await?)
    }

    /// Reads `path`. Returns the ETag of the response too.
    pub(super) async fn get_with_etag<T: DeserializeOwned>(&self, path: &str) -> Result<(T, String), ApiError> {
        let response = self.send(Method::GET, path, &[], None).await?;
        let etag = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.unwrap_or_default().to_owned();
        Ok((parse(path, &read(response).await?)?, etag))
    }

    /// Reads `path` in the format `media_type`, without its body in memory.
    pub(super) async fn download(&self, path: &str, media_type: &str) -> Result<Response, ApiError> {
        self.send(Method::GET, path, &[(header::ACCEPT, media_type)], None).await
    }

    /// Sends a request that changes something.
    pub(super) async fn post(&self, path: &str, body: Option<&Value>) -> Result<(), ApiError> {
        self.send(Method::POST, path, &[], body).await.map(drop)
    }

    /// Sends a request that changes something, with headers, and returns its response.
    pub(super) async fn post_with<T: DeserializeOwned>(
        &self,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: Option<&Value>,
    ) -> Result<T, ApiError> {
        parse(path, &read(self.send(Method::POST, path, headers, body).await?).await?)
    }

    /// Replaces the resource at `path`.
    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<(), ApiError> {
        self.send(Method::PUT, path, &[], Some(body)).await.map(drop)
    }

    /// Deletes the resource at `path` if its ETag is `etag`; `None` deletes each version.
    pub(super) async fn delete(&self, path: &str, etag: Option<&str>) -> Result<(), ApiError> {
        let headers: Vec<_> = etag.into_iter().map(|etag| (header::IF_MATCH, etag)).collect();
        self.send(Method::DELETE, path, &headers, None).await.map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: Option<&Value>,
    ) -> Result<Response, ApiError> {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request.body(body).map_err(|_| ApiError::from_status(StatusCode::BAD_REQUEST))?;
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
        Ok(response)
    }
}

/// Returns the body of a response.
async fn read(response: Response) -> Result<Bytes, ApiError> {
    let body = axum::body::to_bytes(response.into_body(), MAX_RESPONSE_BYTES).await;
    body.map_err(|_| ApiError::internal())
}

fn parse<T: DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        tracing::error!(path, %error, "a response of the API does not match its schema");
        ApiError::internal()
    })
}
