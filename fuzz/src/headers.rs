//! Fuzz tests of request header parsers.

use axum::http::{HeaderMap, HeaderValue, header};
use freehold_api::fuzzing;

use crate::{split_at_line_break, text};

/// Returns headers with this name, one for each line that is a valid header value, at most four.
fn headers_named(name: &'static str, data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in data.split(|byte| *byte == b'\n').take(4).filter_map(|value| HeaderValue::from_bytes(value).ok()) {
        headers.append(name, value);
    }
    headers
}

/// Response formats of account mappings. Of formats with equal quality values, the first one is preferred.
const FORMATS: [&str; 3] = ["application/json", "application/x-ndjson", "text/csv"];

/// Checks that the format selected by the `Accept` header is the one that a direct implementation of RFC 9110 selects.
pub fn accept(data: &[u8]) {
    let Some(accept) = text(data) else { return };
    let Ok(value) = HeaderValue::from_str(accept) else { return };
    let headers = HeaderMap::from_iter([(header::ACCEPT, value)]);
    let selected = fuzzing::select_format(&headers);
    if accept.is_ascii()
        && let Some(qualities) = qualities(accept)
    {
        let best = qualities.iter().max().copied().filter(|best| *best > 0);
        let first = best.and_then(|best| qualities.iter().position(|quality| *quality == best));
        assert_eq!(selected, first.map(|index| FORMATS[index]), "{accept}");
    }
    // Upper case and unsupported media types make no difference.
    let other = format!("image/png, {}", accept.to_ascii_uppercase());
    let other = HeaderMap::from_iter([(header::ACCEPT, other.parse().unwrap())]);
    assert_eq!(fuzzing::select_format(&other), selected, "{accept}");
}

/// Returns the quality value of each format in thousandths, or `None` if a weight is invalid according to RFC 9110.
fn qualities(accept: &str) -> Option<[u32; 3]> {
    let mut best = [(0, 0); 3];
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weights: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
        let weight = weights.iter().find(|(name, _)| name.eq_ignore_ascii_case("q"));
        let weight = weight.map_or(Some(1000), |(_, weight)| parse_weight(weight.trim()))?;
        for (format, best) in FORMATS.iter().zip(&mut best) {
            let (kind, _) = format.split_once('/').unwrap();
            let specificity = if name == *format {
                3
            } else if name.strip_suffix("/*") == Some(kind) {
                2
            } else {
                u32::from(name == "*/*")
            };
            // Of several equally specific ranges, the last one is used.
            if specificity > 0 && specificity >= best.0 {
                *best = (specificity, weight);
            }
        }
    }
    Some(best.map(|(_, weight)| weight))
}

/// Parses a weight: `0` or `1` and at most three decimals.
fn parse_weight(weight: &str) -> Option<u32> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    let valid =
        ["0", "1"].contains(&whole) && decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let value = format!("{whole}{decimals:0<3}").parse().ok().filter(|_| valid)?;
    (value <= 1000).then_some(value)
}

/// Checks that `If-Match` allows a change if and only if one of the tags is the current one or `*`.
pub fn if_match(data: &[u8]) {
    let (representation, list) = split_at_line_break(data).unwrap_or(("{}", ""));
    let tag = fuzzing::etag(representation);
    let headers = headers_named("if-match", list.as_bytes());
    let tags: Vec<_> = headers.get_all(header::IF_MATCH).iter().filter_map(|value| value.to_str().ok()).collect();
    let tags: Vec<_> = tags.iter().flat_map(|value| value.split(',')).map(str::trim).collect();
    let allowed = fuzzing::if_match(&headers, representation);
    if tags.iter().all(|tag| tag.is_empty()) {
        assert_eq!(allowed, None, "without a tag the header counts as missing");
    } else {
        assert_eq!(allowed, Some(tags.iter().any(|given| *given == "*" || *given == tag)));
    }
    let mut with = headers.clone();
    with.append(header::IF_MATCH, tag.parse().expect("a tag is a valid header value"));
    assert_eq!(fuzzing::if_match(&with, representation), Some(true), "a matching tag allows the change");
}

/// Checks that `Idempotency-Key` must be sent exactly once, with visible ASCII characters, and that quotes around the
/// key are ignored.
pub fn idempotency_key(data: &[u8]) {
    let headers = headers_named("idempotency-key", data);
    let values: Vec<_> = headers.get_all("idempotency-key").iter().collect();
    let key = fuzzing::idempotency_key(&headers);
    let Some(key) = key else {
        if let [value] = values.as_slice() {
            let bytes = value.as_bytes();
            let valid = (1..=255).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic) && bytes != b"\"\"";
            assert!(!valid, "{value:?} was rejected");
        }
        return;
    };
    assert_eq!(values.len(), 1, "several keys were accepted");
    assert!((1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()), "{key:?}");
    let quoted = headers_named("idempotency-key", format!("\"{key}\"").as_bytes());
    assert_eq!(fuzzing::idempotency_key(&quoted), Some(key), "quotes must not change the key");
}

/// Checks that a valid `x-request-id` is kept and an invalid one is replaced by an id that is safe in headers and logs.
pub fn request_id(data: &[u8]) {
    let headers = headers_named("x-request-id", data);
    let id = fuzzing::request_id(&headers);
    let valid = |id: &str| {
        (1..=128).contains(&id.len())
            && id.chars().all(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.'))
    };
    assert!(valid(&id), "{id:?}");
    if let Some(sent) = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(|id| valid(id)) {
        assert_eq!(id, sent, "a valid id must be kept");
    }
}

/// Checks that exactly one bearer token is accepted in `Authorization`, that blanks around the token are removed, and
/// that the case of the scheme is ignored.
pub fn bearer(data: &[u8]) {
    let headers = headers_named("authorization", data);
    let values: Vec<_> = headers.get_all(header::AUTHORIZATION).iter().collect();
    let Some(token) = fuzzing::bearer(&headers) else {
        if let [value] = values.as_slice()
            && let Ok(value) = value.to_str()
        {
            let token = value.strip_prefix("Bearer ").unwrap_or_default().trim();
            assert!(token.is_empty(), "{value:?} was rejected");
        }
        return;
    };
    assert_eq!(values.len(), 1, "several tokens were accepted");
    assert!(!token.is_empty() && token.trim() == token, "{token:?}");
    for scheme in ["bearer", "BEARER", "Bearer"] {
        let again = headers_named("authorization", format!("{scheme} {token}").as_bytes());
        assert_eq!(fuzzing::bearer(&again), Some(token.clone()));
    }
}
