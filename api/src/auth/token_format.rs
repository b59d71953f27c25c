//! Strict parsing of the parts of a token, before its signature is verified.
//!
//! Parsers of JSON and JWT differ in their treatment of unusual input. A token is therefore refused if another parser
//! could read other values from it, or if its header requires processing that Freehold does not support.

use std::collections::HashSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::refusal::TokenError;
use super::token_cache::LEEWAY_SECONDS;

/// Header parameters that change the meaning of a token, so that ignoring them would be wrong: extensions that must be
/// understood, an unencoded payload, compression, and encryption.
const UNSUPPORTED_PARAMETERS: [&str; 4] = ["crit", "b64", "zip", "enc"];

/// Maximum number of characters of a key id.
const MAX_KEY_ID_CHARS: usize = 512;

/// Checks that the token has three parts, that header and claims are JSON objects without duplicate names, and that the
/// header has no parameter that Freehold does not support.
pub(super) fn check(token: &str) -> Result<(), TokenError> {
    let invalid = |_| TokenError::Invalid("not a JWT");
    let parts: Vec<&str> = token.splitn(4, '.').collect();
    let [header, claims, _] = parts[..] else { return Err(TokenError::Invalid("not a JWT")) };
    let header = decode_object(header).map_err(invalid)?;
    if UNSUPPORTED_PARAMETERS.iter().any(|name| header.contains_key(*name)) {
        return Err(TokenError::Invalid("the header parameters crit, b64, zip and enc must be absent"));
    }
    let content_type = header.get("cty").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    if content_type.trim_start_matches("application/") == "jwt" {
        return Err(TokenError::Invalid("the token must not contain another token"));
    }
    let has_valid_key_id = match header.get("kid") {
        None => true,
        Some(Value::String(id)) => id.chars().count() <= MAX_KEY_ID_CHARS && !id.chars().any(char::is_control),
        Some(_) => false,
    };
    if !has_valid_key_id {
        return Err(TokenError::Invalid("the header parameter kid must be a text"));
    }
    decode_object(claims).map(|_| ()).map_err(invalid)
}

/// Checks the claims whose format the JWT library does not check.
pub(super) fn check_claims(claims: &Map<String, Value>, now: u64) -> Result<(), TokenError> {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
    let latest = (now + LEEWAY_SECONDS) as f64;
    let is_valid = match claims.get("iat") {
        None | Some(Value::Null) => true,
        Some(issued_at) => issued_at.as_f64().is_some_and(|issued_at| (0.0..=latest).contains(&issued_at)),
    };
    if is_valid { Ok(()) } else { Err(TokenError::Invalid("the claim iat must be a time that is not in the future")) }
}

fn decode_object(part: &str) -> Result<Map<String, Value>, Box<dyn std::error::Error>> {
    let bytes = URL_SAFE_NO_PAD.decode(part)?;
    serde_json::from_slice::<UniqueNames>(&bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// JSON value in which no object has the same name twice.
struct UniqueNames;

impl<'de> Deserialize<'de> for UniqueNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueNamesVisitor)
    }
}

struct UniqueNamesVisitor;

impl<'de> Visitor<'de> for UniqueNamesVisitor {
    type Value = UniqueNames;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value without duplicate names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueNames, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("duplicate name"));
            }
            map.next_value::<UniqueNames>()?;
        }
        Ok(UniqueNames)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<UniqueNames, A::Error> {
        while sequence.next_element::<UniqueNames>()?.is_some() {}
        Ok(UniqueNames)
    }

    fn visit_bool<E>(self, _: bool) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_i64<E>(self, _: i64) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_u64<E>(self, _: u64) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_f64<E>(self, _: f64) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_str<E>(self, _: &str) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_unit<E>(self) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }
}
