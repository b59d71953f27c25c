//! Whether something is still what a caller has seen of it (RFC 9110, 8.8.3 and 13.1.1).

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use sha2::{Digest, Sha256};

use crate::problem::{ApiError, Code};

/// Names one state of something; another state has another.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ETag(String);

impl ETag {
    /// That of something that is shown as `body`.
    pub(crate) fn of(body: &str) -> Self {
        Self(format!("\"{}\"", hex::encode(&Sha256::digest(body)[..16])))
    }

    pub(crate) fn header(&self) -> Result<HeaderValue, ApiError> {
        HeaderValue::from_str(&self.0).map_err(|_| ApiError::internal())
    }
}

/// The states that a change is meant for; the route needs to know.
#[derive(Debug)]
pub(crate) struct IfMatch(Vec<String>);

impl IfMatch {
    fn read(parts: &Parts) -> Self {
        let given = parts.headers.get_all(header::IF_MATCH).iter().filter_map(|value| value.to_str().ok());
        Self(given.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).collect())
    }

    /// Lets the change be made, if it is meant for this state.
    pub(crate) fn check(&self, tag: &ETag) -> Result<(), ApiError> {
        if self.0.iter().any(|given| given == "*" || *given == tag.0) { Ok(()) } else { Err(precondition_failed()) }
    }
}

/// Somebody else has changed it.
pub(crate) fn precondition_failed() -> ApiError {
    ApiError::new(
        Code::PreconditionFailed,
        "It has changed since this ETag was given; nothing was done. Get it again, and decide again.",
    )
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let given = Self::read(parts);
        if given.0.iter().all(String::is_empty) {
            return Err(ApiError::new(
                Code::PreconditionRequired,
                "Send If-Match with the ETag of what you have seen, so that you do not undo what somebody else has done.",
            ));
        }
        Ok(given)
    }
}

/// Where a route can do without.
impl<S: Send + Sync> OptionalFromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, ApiError> {
        Ok(parts.headers.contains_key(header::IF_MATCH).then(|| Self::read(parts)))
    }
}
