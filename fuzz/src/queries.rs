//! Fuzz tests of query parameter parsers.

use chrono::{DateTime, Datelike, SecondsFormat};
use freehold_api::fuzzing;
use freehold_tenancy::feed::FeedType;

use crate::text;

/// Checks that a page token is valid only for the list that issued it, and that only issued tokens are accepted.
pub fn page_token(data: &[u8]) {
    if let Some(token) = text(data)
        && let Some((after, position)) = fuzzing::parse_page_token("tenants", token)
    {
        let encoded = fuzzing::page_token("tenants", after, position);
        assert!(encoded.eq_ignore_ascii_case(token), "{token} is encoded as {encoded}");
    }
    let Some((after, rest)) = data.split_first_chunk::<16>() else { return };
    let after = u128::from_be_bytes(*after);
    let position = rest.first_chunk::<8>().map(|bytes| i64::from_be_bytes(*bytes));
    let token = fuzzing::page_token("tenants", after, position);
    assert_eq!(fuzzing::parse_page_token("tenants", &token), Some((after, position)));
    assert_eq!(fuzzing::parse_page_token("operations", &token), None, "accepted for another list");
}

/// Checks that accepted numbers of a feed query are within their limits, and that accepted values can be parsed again.
pub fn feed_query(data: &[u8]) {
    let Some(query) = text(data) else { return };
    let Some((after, size, wait, types)) = fuzzing::feed_query(query) else { return };
    assert!(after.is_none_or(|after| after >= 0) && size.is_none_or(|size| (1..=1000).contains(&size)), "{query}");
    assert!(wait.is_none_or(|wait| (0..=25).contains(&wait)), "{query}");
    let mut encoded = vec![];
    encoded.extend(after.map(|after| format!("after={after}")));
    encoded.extend(size.map(|size| format!("page_size={size}")));
    encoded.extend(wait.map(|wait| format!("wait={wait}")));
    let names = |types: &Vec<FeedType>| types.iter().map(|item| item.as_str()).collect::<Vec<_>>().join(",");
    encoded.extend(types.as_ref().map(|types| format!("types={}", names(types))));
    assert_eq!(fuzzing::feed_query(&encoded.join("&")), Some((after, size, wait, types)), "{query}");
}

/// Checks that an accepted time agrees with RFC 3339 and is within the range of the database.
pub fn instant(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Some(instant) = fuzzing::instant(text) else { return };
    assert!((1970..10_000).contains(&instant.year()), "{text}");
    assert_eq!(DateTime::parse_from_rfc3339(text).ok().map(|item| item.to_utc()), Some(instant), "{text}");
    let encoded = instant.to_rfc3339_opts(SecondsFormat::Nanos, true);
    assert_eq!(fuzzing::instant(&encoded), Some(instant), "{text} as {encoded}");
}
