//! What stands behind the question mark.

use chrono::{DateTime, Datelike, SecondsFormat};
use freehold_api::fuzzing;
use freehold_tenancy::feed::FeedType;

use crate::text;

/// `page_token`: what leads on in one list leads on in that one alone, and nothing else is taken for a token.
pub fn page_token(data: &[u8]) {
    if let Some(token) = text(data)
        && let Some((after, position)) = fuzzing::page_token_read("tenants", token)
    {
        let again = fuzzing::page_token("tenants", after, position);
        assert!(again.eq_ignore_ascii_case(token), "{token} reads as {again}");
    }
    let Some((after, rest)) = data.split_first_chunk::<16>() else { return };
    let after = u128::from_be_bytes(*after);
    let position = rest.first_chunk::<8>().map(|bytes| i64::from_be_bytes(*bytes));
    let token = fuzzing::page_token("tenants", after, position);
    assert_eq!(fuzzing::page_token_read("tenants", &token), Some((after, position)));
    assert_eq!(fuzzing::page_token_read("operations", &token), None, "it leads on in another list");
}

/// The query of the feed: numbers within their bounds, types that there are, each once, or a refusal.
pub fn feed_query(data: &[u8]) {
    let Some(query) = text(data) else { return };
    let Some((after, size, wait, types)) = fuzzing::feed_query(query) else { return };
    assert!(after.is_none_or(|after| after >= 0) && size.is_none_or(|size| (1..=1000).contains(&size)), "{query}");
    assert!(wait.is_none_or(|wait| (0..=25).contains(&wait)), "{query}");
    let mut again = vec![];
    again.extend(after.map(|after| format!("after={after}")));
    again.extend(size.map(|size| format!("page_size={size}")));
    again.extend(wait.map(|wait| format!("wait={wait}")));
    let words = |types: &Vec<FeedType>| types.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(",");
    again.extend(types.as_ref().map(|types| format!("types={}", words(types))));
    assert_eq!(fuzzing::feed_query(&again.join("&")), Some((after, size, wait, types)), "{query}");
}

/// An instant is what RFC 3339 says it is, and PostgreSQL can keep it.
pub fn instant(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Some(instant) = fuzzing::instant(text) else { return };
    assert!((1970..10_000).contains(&instant.year()), "{text}");
    assert_eq!(DateTime::parse_from_rfc3339(text).ok().map(|one| one.to_utc()), Some(instant), "{text}");
    let again = instant.to_rfc3339_opts(SecondsFormat::Nanos, true);
    assert_eq!(fuzzing::instant(&again), Some(instant), "{text} as {again}");
}
