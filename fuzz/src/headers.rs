//! Headers of a request.

use axum::http::{HeaderMap, HeaderValue, header};
use freehold_api::fuzzing;

use crate::{text, two};

/// Headers of this name, one for each line that can be one.
fn headers(name: &'static str, data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in data.split(|byte| *byte == b'\n').take(4).filter_map(|value| HeaderValue::from_bytes(value).ok()) {
        headers.append(name, value);
    }
    headers
}

/// What account mappings come as, best first where all are as good.
const FORMATS: [&str; 3] = ["application/json", "application/x-ndjson", "text/csv"];

/// `Accept`: the format that is answered is the one that RFC 9110, read word by word, ranks first.
pub fn accept(data: &[u8]) {
    let Some(accept) = text(data) else { return };
    let Ok(value) = HeaderValue::from_str(accept) else { return };
    let given = HeaderMap::from_iter([(header::ACCEPT, value)]);
    let answered = fuzzing::format(&given);
    if accept.is_ascii()
        && let Some(qualities) = qualities(accept)
    {
        let best = qualities.iter().max().copied().filter(|best| *best > 0);
        let first = best.and_then(|best| qualities.iter().position(|quality| *quality == best));
        assert_eq!(answered, first.map(|place| FORMATS[place]), "{accept}");
    }
    // Neither case nor what nobody here serves changes anything.
    let other = format!("image/png, {}", accept.to_ascii_uppercase());
    let other = HeaderMap::from_iter([(header::ACCEPT, other.parse().unwrap())]);
    assert_eq!(fuzzing::format(&other), answered, "{accept}");
}

/// The quality of each format in thousandths, where every weight is one that RFC 9110 allows.
fn qualities(accept: &str) -> Option<[u32; 3]> {
    let mut best = [(0, 0); 3];
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weights: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
        let weight = weights.iter().find(|(name, _)| name.eq_ignore_ascii_case("q"));
        let weight = weight.map_or(Some(1000), |(_, weight)| thousandths(weight.trim()))?;
        for (format, best) in FORMATS.iter().zip(&mut best) {
            let (kind, _) = format.split_once('/').unwrap();
            let precision = if name == *format {
                3
            } else if name.strip_suffix("/*") == Some(kind) {
                2
            } else {
                u32::from(name == "*/*")
            };
            // The last of several that are as precise.
            if precision > 0 && precision >= best.0 {
                *best = (precision, weight);
            }
        }
    }
    Some(best.map(|(_, weight)| weight))
}

/// A weight: `0` or `1` and at most three decimals.
fn thousandths(weight: &str) -> Option<u32> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    let fits = ["0", "1"].contains(&whole) && decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let value = format!("{whole}{decimals:0<3}").parse().ok().filter(|_| fits)?;
    (value <= 1000).then_some(value)
}

/// `If-Match`: a change is allowed where one of the tags is the one that was given, or is `*`, and only there.
pub fn if_match(data: &[u8]) {
    let (shown, list) = two(data).unwrap_or(("{}", ""));
    let tag = fuzzing::etag(shown);
    let given = headers("if-match", list.as_bytes());
    let tags: Vec<_> = given.get_all(header::IF_MATCH).iter().filter_map(|value| value.to_str().ok()).collect();
    let tags: Vec<_> = tags.iter().flat_map(|value| value.split(',')).map(str::trim).collect();
    let allowed = fuzzing::if_match(&given, shown);
    if tags.iter().all(|tag| tag.is_empty()) {
        assert_eq!(allowed, None, "no tag is none to go by");
    } else {
        assert_eq!(allowed, Some(tags.iter().any(|given| *given == "*" || *given == tag)));
    }
    let mut with = given.clone();
    with.append(header::IF_MATCH, tag.parse().expect("a tag is fit for a header"));
    assert_eq!(fuzzing::if_match(&with, shown), Some(true), "one more tag that fits");
}

/// `Idempotency-Key`: visible ASCII, the same with quotes and without, and one of it.
pub fn idempotency_key(data: &[u8]) {
    let given = headers("idempotency-key", data);
    let values: Vec<_> = given.get_all("idempotency-key").iter().collect();
    let key = fuzzing::idempotency_key(&given);
    let Some(key) = key else {
        if let [value] = values.as_slice() {
            let bytes = value.as_bytes();
            let fits = (1..=255).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic) && bytes != b"\"\"";
            assert!(!fits, "{value:?} was refused");
        }
        return;
    };
    assert_eq!(values.len(), 1, "several keys were taken for one");
    assert!((1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()), "{key:?}");
    let quoted = headers("idempotency-key", format!("\"{key}\"").as_bytes());
    assert_eq!(fuzzing::idempotency_key(&quoted), Some(key), "quotes make it another key");
}

/// `x-request-id`: what a caller brings is kept or replaced, and is always fit for a header and a log.
pub fn request_id(data: &[u8]) {
    let given = headers("x-request-id", data);
    let id = fuzzing::request_id(&given);
    let fits = |id: &str| {
        (1..=128).contains(&id.len())
            && id.chars().all(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.'))
    };
    assert!(fits(&id), "{id:?}");
    if let Some(brought) = given.get("x-request-id").and_then(|value| value.to_str().ok()).filter(|id| fits(id)) {
        assert_eq!(id, brought, "what fits is kept");
    }
}

/// `Authorization`: one bearer token, without blanks around it, in whatever case the scheme is written.
pub fn bearer(data: &[u8]) {
    let given = headers("authorization", data);
    let values: Vec<_> = given.get_all(header::AUTHORIZATION).iter().collect();
    let Some(token) = fuzzing::bearer(&given) else {
        if let [value] = values.as_slice()
            && let Ok(value) = value.to_str()
        {
            let token = value.strip_prefix("Bearer ").unwrap_or_default().trim();
            assert!(token.is_empty(), "{value:?} was refused");
        }
        return;
    };
    assert_eq!(values.len(), 1, "several were taken for one");
    assert!(!token.is_empty() && token.trim() == token, "{token:?}");
    for scheme in ["bearer", "BEARER", "Bearer"] {
        let again = headers("authorization", format!("{scheme} {token}").as_bytes());
        assert_eq!(fuzzing::bearer(&again), Some(token.clone()));
    }
}
