//! Taking a request apart: its JSON body and its query become [`Fields`], an id in its path becomes an id.

mod fields;

use std::str::FromStr;

use axum::body::Body as RequestBody;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::{HeaderMap, header, request::Parts};
use chrono::{DateTime, Datelike, Utc};
use futures::StreamExt;
use serde_json::{Map, Value};

pub(crate) use fields::{Fields, shortened};

use crate::problem::{ApiError, Code, FieldError};

/// How large a body may be, in bytes: several times what the longest signup takes.
pub(crate) const LARGEST_BODY: usize = 64 * 1024;

/// A JSON object from the body.
pub(crate) struct JsonFields(pub(crate) Fields);

impl<S: Send + Sync> FromRequest<S> for JsonFields {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::new(
                Code::UnsupportedMediaType,
                "The body must be JSON, and say so: `Content-Type: application/json`.",
            ));
        }
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body).await?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(values)) => Ok(Self(Fields::of_body(values))),
            Ok(_) => Err(ApiError::new(Code::ValidationFailed, "The body must be a JSON object.").with_errors(vec![
                FieldError {
                    field: String::new(),
                    code: "wrong_type".to_owned(),
                    message: "this must be an object".to_owned(),
                },
            ])),
            Err(error) => Err(ApiError::new(Code::InvalidJson, format!("The body is not JSON: {error}."))),
        }
    }
}

/// A JSON object from the body, where there is a body.
pub(crate) struct OptionalJsonFields(pub(crate) Option<Fields>);

impl<S: Send + Sync> FromRequest<S> for OptionalJsonFields {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        use axum::body::HttpBody;

        // What is not said to be JSON was never read here.
        if request.body().is_end_stream() || !is_json(request.headers()) {
            return Ok(Self(None));
        }
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body).await?;
        // `null` is as good as nothing.
        if bytes.trim_ascii() == b"null" {
            return Ok(Self(None));
        }
        let JsonFields(fields) = JsonFields::from_request(Request::from_parts(parts, bytes.into()), state).await?;
        Ok(Self((!fields.values().is_empty()).then_some(fields)))
    }
}

/// The body, if it is not too large.
pub(crate) async fn read(headers: &HeaderMap, body: RequestBody) -> Result<Vec<u8>, ApiError> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > LARGEST_BODY) {
        return Err(too_large());
    }
    let mut chunks = body.into_data_stream();
    let mut body = Vec::with_capacity(announced.unwrap_or_default());
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(
            &chunk.map_err(|_| ApiError::new(Code::BadRequest, "The body did not arrive in full."))?,
        );
        if body.len() > LARGEST_BODY {
            return Err(too_large());
        }
    }
    Ok(body)
}

fn too_large() -> ApiError {
    ApiError::new(Code::BodyTooLarge, format!("The body is larger than {LARGEST_BODY} bytes."))
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    // A change is a merge patch, whether or not it says so (RFC 7396).
    ["application/json", "application/merge-patch+json"].iter().any(|json| media_type.eq_ignore_ascii_case(json))
}

/// What stands behind the question mark.
pub(crate) struct QueryFields(pub(crate) Fields);

impl<S: Send + Sync> FromRequestParts<S> for QueryFields {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::new(Code::InvalidQuery, "The query is not made of names and values."))?;
        let mut values = Map::new();
        let mut repeated = Vec::new();
        for (name, value) in pairs {
            if values.insert(name.clone(), Value::String(value)).is_some() {
                repeated.push(name);
            }
        }
        let mut fields = Fields::of_query(values);
        for name in repeated {
            fields.error(name, "repeated", "give this once");
        }
        Ok(Self(fields))
    }
}

/// An id or a name from the path, by its place among the route's parameters. What cannot be one names nothing.
pub(crate) struct PathParam<T, const INDEX: usize = 0>(pub(crate) Option<T>);

impl<S: Send + Sync, T: FromStr, const INDEX: usize> FromRequestParts<S> for PathParam<T, INDEX> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let given = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let given = given.ok().and_then(|Path(values)| values.into_iter().nth(INDEX));
        Ok(Self(given.and_then(|(_, value)| value.parse().ok())))
    }
}

/// A whole number within bounds, both of which it may be.
pub(crate) struct BoundedInt<const LEAST: i64, const MOST: i64>(pub(crate) i64);

impl<const LEAST: i64, const MOST: i64> FromStr for BoundedInt<LEAST, MOST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| (LEAST..=MOST).contains(number));
        number.map(Self).ok_or_else(|| match MOST {
            i64::MAX => format!("this is a whole number from {LEAST} on"),
            most => format!("this is a whole number from {LEAST} to {most}"),
        })
    }
}

/// What somebody looks for: no longer than what is searched, and nothing that PostgreSQL takes for no text.
pub(crate) struct SearchText<const MOST: usize>(pub(crate) String);

impl<const MOST: usize> FromStr for SearchText<MOST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (1..=MOST).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        let refusal = || format!("this has 1 to {MOST} characters, none of them a control character");
        fits.then(|| Self(text.to_owned())).ok_or_else(refusal)
    }
}

/// A point in time as RFC 3339 has it.
pub(crate) struct Instant(pub(crate) DateTime<Utc>);

impl FromStr for Instant {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instant = DateTime::parse_from_rfc3339(text).map(|instant| instant.to_utc());
        // PostgreSQL's years end before those of a text do.
        let fits = |instant: &DateTime<Utc>| (1970..10_000).contains(&instant.year());
        instant.ok().filter(fits).map(Self).ok_or("this is a time such as 2026-10-31T00:00:00Z")
    }
}
