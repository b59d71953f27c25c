//! The `Idempotency-Key` header and the hash that identifies a request.

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, request::Parts};
use freehold_tenancy::db::idempotency::{ExistingKey, IdempotencyKey, StoredResponse};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::auth::Caller;
use crate::problem::{ApiError, Code};

pub(super) const HEADER: &str = "idempotency-key";

/// How long a key may be.
const LONGEST: usize = 255;

/// The `Idempotency-Key` header, which the route needs.
pub(crate) struct Key(String);

impl Key {
    /// The key as `caller` means it, for this route.
    pub(crate) fn of(self, caller: &Caller, route: &str) -> IdempotencyKey {
        IdempotencyKey {
            issuer: caller.issuer.clone(),
            client: caller.client_key(),
            route: route.to_owned(),
            key: self.0,
        }
    }

    /// Whose keys those are that come from `caller` for this route, whatever they are.
    pub(crate) fn any_of(caller: &Caller, route: &str) -> IdempotencyKey {
        Self(String::new()).of(caller, route)
    }

    /// The key itself.
    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        read(&parts.headers)
    }
}

/// Quoted, as the IETF draft has it, or bare, as most callers do.
pub(super) fn read(headers: &HeaderMap) -> Result<Key, ApiError> {
    let mut given = headers.get_all(HEADER).iter();
    let Some(value) = given.next() else {
        return Err(ApiError::new(
            Code::IdempotencyKeyRequired,
            "Send an Idempotency-Key header, such as a UUID, and the same one when you send this request again.",
        ));
    };
    let text = value.to_str().unwrap_or_default();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let fits = (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if fits && given.next().is_none() {
        return Ok(Key(key.to_owned()));
    }
    Err(ApiError::new(
        Code::IdempotencyKeyInvalid,
        format!("Send one Idempotency-Key of 1 to {LONGEST} visible ASCII characters, without blanks."),
    ))
}

/// What makes two bodies the same: their fields, whatever their order and blanks; `null` is as good as none.
pub(crate) fn hash(body: &Map<String, Value>) -> [u8; 32] {
    let mut body = Value::Object(body.iter().filter(|(_, value)| !value.is_null()).map(owned).collect());
    body.sort_all_objects();
    Sha256::digest(body.to_string()).into()
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// The answer to a request whose key has been used, where there is one.
pub(crate) fn stored_response(known: ExistingKey) -> Result<StoredResponse, ApiError> {
    match known {
        ExistingKey::Replayed(answer) => Ok(answer),
        ExistingKey::OtherRequest => Err(ApiError::new(
            Code::IdempotencyKeyReused,
            "This Idempotency-Key came with another body before; use a new key for a new request.",
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
        headers.insert(HEADER, HeaderValue::from_bytes(value).unwrap());
        read(&headers).map(|key| key.0)
    }

    #[test]
    fn a_key_is_the_same_with_and_without_quotes() {
        assert_eq!(key(b"\"7f3a\"").unwrap(), "7f3a");
        assert_eq!(key(b"7f3a").unwrap(), "7f3a");
    }

    #[test]
    fn a_key_is_neither_empty_nor_endless_nor_unreadable() {
        assert!(key(&[b'x'; LONGEST]).is_ok());
        for value in [&b""[..], b"\"\"", b"a b", "ü".as_bytes(), &[b'x'; LONGEST + 1]] {
            assert!(key(value).is_err(), "{value:?} was taken for a key");
        }
    }

    #[test]
    fn the_order_of_fields_does_not_make_another_request() {
        let hash_of = |value: Value| hash(value.as_object().unwrap());
        let one = hash_of(json!({ "a": "1", "labels": { "x": "1", "y": "2" } }));
        assert_eq!(one, hash_of(json!({ "labels": { "y": "2", "x": "1" }, "tier": null, "a": "1" })));
        assert_ne!(one, hash_of(json!({ "a": "2", "labels": { "x": "1", "y": "2" } })));
    }
}
