//! Problem responses (RFC 9457) for requests that were refused or that failed.

mod code;
mod error_page;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use freehold_tenancy::OperationId;
use freehold_tenancy::db::DbError;
use freehold_tenancy::operation::OperationKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use code::Code;
pub(crate) use error_page::{PAGES, error_page, is_page_path};

pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Error response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Type of the problem: `urn:freehold:problem:` followed by the code.
    #[schema(example = "urn:freehold:problem:validation_failed")]
    pub r#type: String,
    /// Short description of the problem; the same for all problems with this code.
    #[schema(example = "Some fields are invalid")]
    pub title: String,
    /// HTTP status code.
    #[schema(example = 422)]
    pub status: u16,
    /// Human-readable description of this error.
    #[schema(example = "1 field is invalid: home_region.")]
    pub detail: String,
    /// Stable, machine-readable code of the problem.
    #[schema(example = "validation_failed")]
    pub code: String,
    /// Id of the request, the same as in the `x-request-id` header. Quote this id in support requests.
    #[schema(example = "0199aa5b6c1e7d3f8a9b0c1d2e3f4a5b")]
    pub request_id: String,
    /// Errors of all invalid fields; omitted if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
    /// Open operation that prevents the request; only with the code `operation_in_progress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c", nullable = false)]
    pub operation_id: Option<String>,
}

/// Error of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Name of the field, such as `home_region` or `environments[1]`.
    #[schema(example = "home_region")]
    pub field: String,
    /// Stable, machine-readable code of the error.
    #[schema(example = "unknown_region")]
    pub code: String,
    /// Human-readable description of the error.
    #[schema(
        example = "`mars-north-1` is not an AWS region that Freehold knows; use a region code such as eu-central-1"
    )]
    pub message: String,
}

/// Error of a request. The middleware adds the request id and writes the body.
#[derive(Debug, Clone)]
pub(crate) struct ApiError(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    operation_id: Option<OperationId>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let (errors, headers) = (Vec::new(), Vec::new());
        Self(Box::new(Parts { code, detail: detail.into(), errors, operation_id: None, headers }))
    }

    pub(crate) fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Returns the error for one invalid field.
    pub(crate) fn invalid_field(field: &str, code: &str, message: String) -> Self {
        let error = FieldError { field: field.to_owned(), code: code.to_owned(), message };
        Self::new(Code::ValidationFailed, format!("1 field is invalid: {field}.")).with_errors(vec![error])
    }

    /// Adds the open operation that prevents the request.
    pub(crate) fn with_operation(mut self, operation: OperationId) -> Self {
        self.0.operation_id = Some(operation);
        self
    }

    /// Returns the error for a token of one tenant, without the text that an operator has written.
    pub(crate) fn for_tenant(mut self) -> Self {
        if self.0.code == Code::LegalHold {
            "The tenant is under a legal hold.".clone_into(&mut self.0.detail);
        }
        self
    }

    /// Adds a response header. An invalid header value is ignored.
    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.push((name, value));
        }
        self
    }

    /// Adds the `Retry-After` header.
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        self.with_header(header::RETRY_AFTER, &seconds.to_string())
    }

    /// Returns the generic error for an HTTP status.
    pub(crate) fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(Code::RouteNotFound, "No route matches this path."),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                Code::MethodNotAllowed,
                "This route does not support the method; the Allow header lists the supported ones.",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(Code::BodyTooLarge, "The body is too large."),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::new(Code::UnsupportedMediaType, "The body must be JSON."),
            status if status.is_client_error() => {
                Self::new(Code::BadRequest, "The request is malformed; see /openapi.json.")
            }
            _ => Self::internal(),
        }
    }

    /// Returns the error for a tenant that does not exist or that the caller cannot access.
    pub(crate) fn tenant_not_found() -> Self {
        Self::new(Code::TenantNotFound, "No tenant has this id.")
    }

    /// Returns the error for an operation that does not exist or that the caller cannot access.
    pub(crate) fn operation_not_found() -> Self {
        Self::new(Code::OperationNotFound, "No operation has this id.")
    }

    pub(crate) fn legal_hold(reason: &str) -> Self {
        let reason = reason.trim_end_matches('.');
        Self::new(Code::LegalHold, format!("The tenant is under a legal hold: {reason}. Lift it first."))
    }

    /// Returns the error for an environment on which another operation is open.
    pub(crate) fn operation_in_progress(operation: OperationId, kind: OperationKind) -> Self {
        let detail = format!(
            "The operation {operation} ({kind}) on the environment is open. Wait until it has finished, or apply one \
             of its remedies, then repeat the request."
        );
        Self::new(Code::OperationInProgress, detail).with_operation(operation)
    }

    /// Returns the error for a request that a change freeze forbids.
    pub(crate) fn change_freeze(reason: &str, until: Option<DateTime<Utc>>) -> Self {
        Self::new(Code::ChangeFreeze, format!("A change freeze is in force{}: {reason}", until_text(until)))
    }

    /// Returns the error for an update of a pinned environment.
    pub(crate) fn pinned(reason: &str, until: Option<DateTime<Utc>>) -> Self {
        let detail = format!("The environment is pinned to its release{}: {reason}", until_text(until));
        Self::new(Code::Pinned, detail)
    }

    /// Returns the error for an internal failure. The log contains the cause and the request id.
    pub(crate) fn internal() -> Self {
        Self::new(
            Code::InternalError,
            "The server failed to process the request; the log entries with this request id contain the details.",
        )
    }

    /// Returns the error for an idempotency key of a request that is still running.
    pub(crate) fn in_flight() -> Self {
        Self::new(Code::IdempotencyKeyInFlight, "A request with this Idempotency-Key is still running; retry later.")
            .retry_after(1)
    }

    /// Returns the problem as a JSON body.
    pub(crate) fn body(&self, request_id: &str) -> String {
        serde_json::to_string(&self.problem(request_id)).unwrap_or_default()
    }

    pub(crate) fn problem(&self, request_id: &str) -> Problem {
        let Parts { code, detail, errors, operation_id, .. } = &*self.0;
        Problem {
            r#type: format!("urn:freehold:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status().as_u16(),
            detail: detail.clone(),
            code: code.as_str().to_owned(),
            request_id: request_id.to_owned(),
            errors: errors.clone(),
            operation_id: operation_id.map(|id| id.to_string()),
        }
    }

    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.code.status()
    }
}

fn until_text(until: Option<DateTime<Utc>>) -> String {
    until.map(|until| format!(" until {}", until.format("%Y-%m-%d %H:%M UTC"))).unwrap_or_default()
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
                "An active tenant already has this external_id; filter the list of tenants by external_id to find it.",
            ),
            DbError::EnvironmentExists => Self::new(
                Code::EnvironmentExists,
                "The tenant already has an environment with this name; use another name, or the existing environment.",
            ),
            DbError::ReservationLost => Self::in_flight(),
            error if error.is_outage() => {
                tracing::error!(%error, "the database is unavailable");
                Self::new(Code::DatabaseUnavailable, "The database is unavailable; nothing was changed.").retry_after(5)
            }
            error => {
                tracing::error!(%error, "unexpected database error");
                Self::internal()
            }
        }
    }
}
