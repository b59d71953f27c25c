//! Problems: what the API answers when it does not do what it was asked (RFC 9457).

mod code;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use freehold_tenancy::db::DbError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use code::Code;

/// The media type of a problem.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem: `urn:freehold:problem:` and the code.
    #[schema(example = "urn:freehold:problem:validation_failed")]
    pub r#type: String,
    /// The kind of problem in a few words.
    #[schema(example = "Some fields do not fit")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// What happened in this case.
    #[schema(example = "1 field does not fit: home_region.")]
    pub detail: String,
    /// Stable, for programs.
    #[schema(example = "validation_failed")]
    pub code: String,
    /// What to quote when asking for help; the same as the `x-request-id` header.
    #[schema(example = "0199aa5b6c1e7d3f8a9b0c1d2e3f4a5b")]
    pub request_id: String,
    /// Which fields do not fit, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
}

/// A field that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// The field, such as `home_region` or `environments[1]`.
    #[schema(example = "home_region")]
    pub field: String,
    /// Stable, for programs.
    #[schema(example = "unknown_region")]
    pub code: String,
    /// What is wrong with it, for people.
    #[schema(
        example = "`mars-north-1` is not an AWS region that Freehold knows; use a region code such as eu-central-1"
    )]
    pub message: String,
}

/// A problem on its way out; the door gives it the request id and writes it down.
#[derive(Debug, Clone)]
pub(crate) struct ApiError(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts { code, detail: detail.into(), errors: Vec::new(), headers: Vec::new() }))
    }

    pub(crate) fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Leaves the header out where the value cannot be one.
    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.push((name, value));
        }
        self
    }

    /// Asks the caller to come again in so many seconds.
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        self.with_header(header::RETRY_AFTER, &seconds.to_string())
    }

    /// What an answer with this status says when nobody has said anything better.
    pub(crate) fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(Code::RouteNotFound, "There is nothing at this address."),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                Code::MethodNotAllowed,
                "This address does not answer to this method; the Allow header names those that it does.",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(Code::BodyTooLarge, "The body is too large."),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::new(Code::UnsupportedMediaType, "The body must be JSON."),
            status if status.is_client_error() => {
                Self::new(Code::BadRequest, "The request cannot be understood; see /openapi.json.")
            }
            _ => Self::internal(),
        }
    }

    /// There is no such tenant, or not for this caller.
    pub(crate) fn no_tenant() -> Self {
        Self::new(Code::TenantNotFound, "There is no tenant with this id.")
    }

    /// There is no such operation, or not for this caller.
    pub(crate) fn no_operation() -> Self {
        Self::new(Code::OperationNotFound, "There is no operation with this id.")
    }

    /// Destroying is refused because the tenant has a legal hold.
    pub(crate) fn legal_hold(reason: &str) -> Self {
        Self::new(Code::LegalHold, format!("A legal hold is on the tenant: {reason} Lift it first."))
    }

    /// A failure of ours; what it was is in the log, beside the request id.
    pub(crate) fn internal() -> Self {
        Self::new(Code::InternalError, "Something went wrong on our side. The request id finds it in our log.")
    }

    /// The same request, under the same key, has begun and not ended.
    pub(crate) fn in_flight() -> Self {
        Self::new(Code::IdempotencyKeyInFlight, "The same request is being worked on; send it again in a moment.")
            .retry_after(1)
    }

    /// The body, for the request with this id.
    pub(crate) fn body(self, request_id: &str) -> String {
        let Parts { code, detail, errors, .. } = *self.0;
        let problem = Problem {
            r#type: format!("urn:freehold:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status().as_u16(),
            detail,
            code: code.as_str().to_owned(),
            request_id: request_id.to_owned(),
            errors,
        };
        serde_json::to_string(&problem).unwrap_or_default()
    }

    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.code.status()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.headers_mut().extend(self.0.headers.iter().cloned());
        response.extensions_mut().insert(self);
        response
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::ExternalIdTaken => Self::new(
                Code::ExternalIdTaken,
                "A live tenant has this external_id already; find it with GET /v1/tenants?external_id=….",
            ),
            DbError::EnvironmentExists => Self::new(
                Code::EnvironmentExists,
                "The tenant has an environment of this name; see GET /v1/tenants/{id}/environments/{name}.",
            ),
            DbError::ReservationLost => Self::in_flight(),
            error if error.is_outage() => {
                tracing::error!(%error, "the database cannot be reached");
                Self::new(Code::DatabaseUnavailable, "The database cannot be reached; nothing was changed.")
                    .retry_after(5)
            }
            error => {
                tracing::error!(%error, "the database did not answer as expected");
                Self::internal()
            }
        }
    }
}
