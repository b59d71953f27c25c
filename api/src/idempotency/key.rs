//! Parsing of the `Idempotency-Key` header, and the hash that identifies a request.

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, request::Parts};
use freehold_tenancy::db::idempotency::{ExistingKey, IdempotencyKey, StoredResponse};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::auth::Caller;
use crate::problem::{ApiError, Code};

pub(super) const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";

/// Maximum length of an idempotency key, in characters.
const MAX_KEY_CHARS: usize = 255;

/// Value of the `Idempotency-Key` header, which must be present.
pub(crate) struct Key(String);

impl Key {
    /// Returns the key as it is stored in the database, where it belongs to one caller and one route.
    pub(crate) fn into_stored_key(self, caller: &Caller, route: &str) -> IdempotencyKey {
        IdempotencyKey {
            issuer: caller.issuer.clone(),
            client: caller.client_key(),
            route: route.to_owned(),
            key: self.0,
        }
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        parse_header(&parts.headers)
    }
}

/// Parses the `Idempotency-Key` header, which is quoted as in the IETF draft or unquoted as most clients send it.
pub(super) fn parse_header(headers: &HeaderMap) -> Result<Key, ApiError> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY_HEADER).iter();
    let Some(value) = given.next() else {
        return Err(ApiError::new(
            Code::IdempotencyKeyRequired,
            "Send an Idempotency-Key header, such as a UUID, and the same key when you retry this request.",
        ));
    };
    let text = value.to_str().unwrap_or_default();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let is_valid = (1..=MAX_KEY_CHARS).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if is_valid && given.next().is_none() {
        return Ok(Key(key.to_owned()));
    }
    Err(ApiError::new(
        Code::IdempotencyKeyInvalid,
        format!("Idempotency-Key must be given once, with 1 to {MAX_KEY_CHARS} visible ASCII characters."),
    ))
}

/// Returns the hash of a JSON body. The order of fields, white space and `null` values do not affect the hash.
pub(crate) fn hash(body: &Map<String, Value>) -> [u8; 32] {
    let mut body = Value::Object(body.iter().filter(|(_, value)| !value.is_null()).map(to_owned_pair).collect());
    body.sort_all_objects();
    Sha256::digest(body.to_string()).into()
}

fn to_owned_pair((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// Returns the stored response of an idempotency key that was used before.
///
/// Fails if the key was used for a different request or if its request is still running.
pub(crate) fn stored_response(key: ExistingKey) -> Result<StoredResponse, ApiError> {
    match key {
        ExistingKey::Replayed(response) => Ok(response),
        ExistingKey::OtherRequest => Err(ApiError::new(
            Code::IdempotencyKeyReused,
            "This Idempotency-Key was used with another body; use a new key for a new request.",
        )),
        ExistingKey::InFlight => Err(ApiError::in_flight()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn key(value: &[u8]) -> Result<String, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY_HEADER, HeaderValue::from_bytes(value).unwrap());
        parse_header(&headers).map(|key| key.0)
    }

    #[test]
    fn a_key_is_the_same_with_and_without_quotes() {
        assert_eq!(key(b"\"7f3a\"").unwrap(), "7f3a");
        assert_eq!(key(b"7f3a").unwrap(), "7f3a");
    }

    #[test]
    fn an_invalid_key_is_refused() {
        assert!(key(&[b'x'; MAX_KEY_CHARS]).is_ok());
        for value in [&b""[..], b"\"\"", b"a b", "ü".as_bytes(), &[b'x'; MAX_KEY_CHARS + 1]] {
            assert!(key(value).is_err(), "{value:?} was accepted");
        }
    }

    #[test]
    fn the_order_of_fields_does_not_change_the_hash() {
        let hash_of = |value: Value| hash(value.as_object().unwrap());
        let one = hash_of(json!({ "a": "1", "labels": { "x": "1", "y": "2" } }));
        assert_eq!(one, hash_of(json!({ "labels": { "y": "2", "x": "1" }, "tier": null, "a": "1" })));
        assert_ne!(one, hash_of(json!({ "a": "2", "labels": { "x": "1", "y": "2" } })));
    }
}
