//! Extractors that turn the JSON body and the query into [`Fields`], and a path parameter into a typed id.

mod fields;

use std::str::FromStr;
use std::time::Duration;

use axum::body::Body as RequestBody;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::{HeaderMap, header, request::Parts};
use chrono::{DateTime, Datelike, Utc};
use futures::StreamExt;
use serde_json::{Map, Value};

pub(crate) use fields::{Fields, sanitize_field_name};

use crate::problem::{ApiError, Code, FieldError};

/// Maximum size of a request body, several times the size of the largest signup.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Fields of the JSON object in the request body.
pub(crate) struct JsonFields(pub(crate) Fields);

impl<S: Send + Sync> FromRequest<S> for JsonFields {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::new(
                Code::UnsupportedMediaType,
                "The body must be JSON, with the header `Content-Type: application/json`.",
            ));
        }
        let (parts, body) = request.into_parts();
        let bytes = read_body(&parts.headers, body).await?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(values)) => Ok(Self(Fields::from_body(values))),
            Ok(_) => Err(ApiError::new(Code::ValidationFailed, "The body must be a JSON object.").with_errors(vec![
                FieldError {
                    field: String::new(),
                    code: "wrong_type".to_owned(),
                    message: "must be an object".to_owned(),
                },
            ])),
            Err(error) => Err(ApiError::new(Code::InvalidJson, format!("The body is not JSON: {error}."))),
        }
    }
}

/// Fields of the JSON object in the request body, or `None` if the body is missing or an empty object.
pub(crate) struct OptionalJsonFields(pub(crate) Option<Fields>);

impl<S: Send + Sync> FromRequest<S> for OptionalJsonFields {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        use axum::body::HttpBody;

        // Only a body that is declared as JSON is read. Any other body is ignored.
        if request.body().is_end_stream() || !is_json(request.headers()) {
            return Ok(Self(None));
        }
        let (parts, body) = request.into_parts();
        let bytes = read_body(&parts.headers, body).await?;
        // A body of `null` is treated as missing.
        if bytes.trim_ascii() == b"null" {
            return Ok(Self(None));
        }
        let JsonFields(fields) = JsonFields::from_request(Request::from_parts(parts, bytes.into()), state).await?;
        Ok(Self((!fields.values().is_empty()).then_some(fields)))
    }
}

/// Reads the request body. Fails if the body is too large or incomplete, or does not arrive within `time_limit`.
pub(crate) async fn read_body_within(
    time_limit: Duration,
    headers: &HeaderMap,
    body: RequestBody,
) -> Result<Vec<u8>, ApiError> {
    tokio::time::timeout(time_limit, read_body(headers, body)).await.unwrap_or_else(|_| {
        let seconds = time_limit.as_secs();
        let detail = format!("The body did not arrive within {seconds} seconds; nothing was changed.");
        Err(ApiError::new(Code::BodyTimeout, detail))
    })
}

/// Reads the request body. Fails if the body is too large or incomplete.
async fn read_body(headers: &HeaderMap, body: RequestBody) -> Result<Vec<u8>, ApiError> {
    let content_length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if content_length.is_some_and(|length: usize| length > MAX_BODY_BYTES) {
        return Err(body_too_large());
    }
    let mut chunks = body.into_data_stream();
    let mut body = Vec::with_capacity(content_length.unwrap_or_default());
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(
            &chunk.map_err(|_| ApiError::new(Code::BadRequest, "The request ended before the whole body arrived."))?,
        );
        if body.len() > MAX_BODY_BYTES {
            return Err(body_too_large());
        }
    }
    Ok(body)
}

fn body_too_large() -> ApiError {
    ApiError::new(Code::BodyTooLarge, format!("The body is larger than {MAX_BODY_BYTES} bytes."))
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    // The body of a PATCH is a JSON merge patch (RFC 7396) with either media type.
    ["application/json", "application/merge-patch+json"].iter().any(|json| media_type.eq_ignore_ascii_case(json))
}

/// Fields of the query string.
pub(crate) struct QueryFields(pub(crate) Fields);

impl<S: Send + Sync> FromRequestParts<S> for QueryFields {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::new(Code::InvalidQuery, "The query string must consist of name=value pairs."))?;
        let mut values = Map::new();
        let mut repeated = Vec::new();
        for (name, value) in pairs {
            if values.insert(name.clone(), Value::String(value)).is_some() {
                repeated.push(name);
            }
        }
        let mut fields = Fields::from_query(values);
        for name in repeated {
            fields.error(name, "repeated", "must be given only once");
        }
        Ok(Self(fields))
    }
}

/// Path parameter at position `INDEX`, or `None` if its value is invalid. An invalid id results in the same 404
/// response as an unknown id.
pub(crate) struct PathParam<T, const INDEX: usize = 0>(pub(crate) Option<T>);

impl<S: Send + Sync, T: FromStr, const INDEX: usize> FromRequestParts<S> for PathParam<T, INDEX> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let given = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let given = given.ok().and_then(|Path(values)| values.into_iter().nth(INDEX));
        Ok(Self(given.and_then(|(_, value)| value.parse().ok())))
    }
}

/// Integer from `MIN` to `MAX`, inclusive.
pub(crate) struct BoundedInt<const MIN: i64, const MAX: i64>(pub(crate) i64);

impl<const MIN: i64, const MAX: i64> FromStr for BoundedInt<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| (MIN..=MAX).contains(number));
        number.map(Self).ok_or_else(|| match MAX {
            i64::MAX => format!("must be a whole number of at least {MIN}"),
            max => format!("must be a whole number from {MIN} to {max}"),
        })
    }
}

/// Search text of a query. Control characters are refused, because PostgreSQL cannot store NUL characters.
pub(crate) struct SearchText<const MAX: usize>(pub(crate) String);

impl<const MAX: usize> FromStr for SearchText<MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_valid = (1..=MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        let refusal = || format!("must have 1 to {MAX} characters and no control characters");
        is_valid.then(|| Self(text.to_owned())).ok_or_else(refusal)
    }
}

/// Point in time in RFC 3339 format.
pub(crate) struct Instant(pub(crate) DateTime<Utc>);

impl FromStr for Instant {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instant = DateTime::parse_from_rfc3339(text).map(|instant| instant.to_utc());
        // PostgreSQL supports a smaller range of times than the parser.
        let is_storable = |instant: &DateTime<Utc>| (1970..10_000).contains(&instant.year());
        instant.ok().filter(is_storable).map(Self).ok_or("must be a time such as 2026-10-31T00:00:00Z")
    }
}
