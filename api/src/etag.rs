//! ETags and `If-Match` (RFC 9110, 8.8.3 and 13.1.1).

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use sha2::{Digest, Sha256};

use crate::problem::{ApiError, Code};

/// ETag of one version of a resource.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ETag(String);

impl ETag {
    /// Returns the ETag of a resource with this response body.
    pub(crate) fn for_body(body: &str) -> Self {
        Self(format!("\"{}\"", hex::encode(&Sha256::digest(body)[..16])))
    }

    pub(crate) fn header(&self) -> Result<HeaderValue, ApiError> {
        HeaderValue::from_str(&self.0).map_err(|_| ApiError::internal())
    }
}

/// ETags of the `If-Match` header. As a mandatory extractor, it refuses a request without the header.
#[derive(Debug)]
pub(crate) struct IfMatch(Vec<String>);

impl IfMatch {
    fn from_headers(parts: &Parts) -> Self {
        let given = parts.headers.get_all(header::IF_MATCH).iter().filter_map(|value| value.to_str().ok());
        Self(given.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).collect())
    }

    /// Returns whether the header accepts each version of the resource.
    pub(crate) fn is_any(&self) -> bool {
        self.0.iter().any(|given| given == "*")
    }

    /// Fails unless the header contains `tag` or `*`.
    pub(crate) fn check(&self, tag: &ETag) -> Result<(), ApiError> {
        if self.is_any() || self.0.contains(&tag.0) { Ok(()) } else { Err(precondition_failed()) }
    }
}

pub(crate) fn precondition_failed() -> ApiError {
    ApiError::new(
        Code::PreconditionFailed,
        "The resource has changed since you read this ETag; nothing was changed. Read it again, then retry.",
    )
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let given = Self::from_headers(parts);
        if given.0.iter().all(String::is_empty) {
            return Err(ApiError::new(
                Code::PreconditionRequired,
                "Send If-Match with the ETag from your last read of the resource, to avoid overwriting other changes.",
            ));
        }
        Ok(given)
    }
}

/// Optional extractor for routes that also accept requests without `If-Match`.
impl<S: Send + Sync> OptionalFromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, ApiError> {
        Ok(parts.headers.contains_key(header::IF_MATCH).then(|| Self::from_headers(parts)))
    }
}
