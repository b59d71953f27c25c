//! Content negotiation (RFC 9110, 12.5.1).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::extract::Fields;
use crate::problem::{ApiError, Code};

/// Response format of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON, one page per response.
    Json,
    /// The whole list, one JSON object per line.
    NdJson,
    /// The whole list as comma-separated values.
    Csv,
}

impl Format {
    const ALL: [Self; 3] = [Self::Json, Self::NdJson, Self::Csv];

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::NdJson => "application/x-ndjson",
            Self::Csv => "text/csv",
        }
    }

    /// Returns the format for the `Accept` headers of a request. Without such a header, the format is JSON.
    pub(crate) fn negotiate(headers: &HeaderMap, available: &[Self]) -> Result<Self, ApiError> {
        let media_types: Vec<_> = available.iter().map(|format| format.media_type()).collect();
        let chosen = negotiate_media_type(headers, &media_types)?;
        Ok(available.iter().copied().find(|format| format.media_type() == chosen).unwrap_or(Self::Json))
    }

    /// Records an error for each field of pages, which only JSON supports.
    pub(crate) fn refuse_pages_of_exports(self, query: &mut Fields) {
        for name in ["page_size", "page_token"] {
            if self != Self::Json && query.has_value(name) {
                query.error(name, "invalid", "not supported with CSV or NDJSON: the export is not paginated");
            }
        }
    }
}

/// Returns the one of the media types that the `Accept` headers of a request prefer. Without such a header, returns the
/// first of them. Fails if none is acceptable.
pub(crate) fn negotiate_media_type(headers: &HeaderMap, available: &[&'static str]) -> Result<&'static str, ApiError> {
    let given: Vec<_> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accept = if given.is_empty() { "*/*".to_owned() } else { given.join(",") };
    best_media_type(&accept, available).ok_or_else(|| {
        let detail = format!("Available formats are {}; Accept must allow one of them.", available.join(", "));
        ApiError::new(Code::NotAcceptable, detail)
    })
}

/// Returns the media type with the highest quality value in the `Accept` header, or `None` if none is acceptable. If
/// several have the same quality value, the first of them in `available` is returned.
fn best_media_type(accept: &str, available: &[&'static str]) -> Option<&'static str> {
    let quality = |media_type: &str| {
        let ranges = accept.split(',').filter_map(|range| MediaRange::parse(range, media_type));
        ranges.max_by_key(|range| range.specificity).map_or(0, |range| range.quality)
    };
    let best = available.iter().copied().rev().max_by_key(|media_type| quality(media_type))?;
    (quality(best) > 0).then_some(best)
}

/// Media range in the `Accept` header that matches a media type.
struct MediaRange {
    /// Specificity of the media range: 1 for `*/*`, 2 for `type/*`, 3 for an exact match.
    specificity: u8,
    /// Quality value `q` in thousandths.
    quality: u16,
}

impl MediaRange {
    fn parse(range: &str, media_type: &str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let (kind, _) = media_type.split_once('/')?;
        let specificity = match name.as_str() {
            "*/*" => 1,
            name if name.strip_suffix("/*") == Some(kind) => 2,
            name if name == media_type => 3,
            _ => return None,
        };
        let weight = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("q"));
        let quality: f32 = weight.map_or(Some(1.0), |(_, weight)| weight.trim().parse().ok())?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is clamped first")]
        let quality = (quality.clamp(0.0, 1.0) * 1000.0).round() as u16;
        Some(Self { specificity, quality })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Format {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Self::negotiate(&parts.headers, &Self::ALL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_with_the_highest_quality_is_chosen() {
        for (accept, format) in [
            ("application/json", Some(Format::Json)),
            ("*/*", Some(Format::Json)),
            ("text/csv", Some(Format::Csv)),
            ("TEXT/CSV; charset=utf-8", Some(Format::Csv)),
            ("text/*", Some(Format::Csv)),
            ("application/x-ndjson, application/json;q=0.5", Some(Format::NdJson)),
            ("text/csv;q=0.2, application/*;q=0.1", Some(Format::Csv)),
            ("application/json;q=0, */*", Some(Format::NdJson)),
            ("application/x-ndjson;q=0.501, text/csv;q=0.502", Some(Format::Csv)),
            ("text/html, */*;q=0.1", Some(Format::Json)),
            ("text/html", None),
            ("text/csv;q=0", None),
            ("", None),
            ("text/csv;q=much", None),
        ] {
            let available = Format::ALL.map(Format::media_type);
            assert_eq!(best_media_type(accept, &available), format.map(Format::media_type), "{accept}");
        }
        let accept = "text/csv, application/json;q=0.5";
        let available = ["application/json", "application/x-ndjson"];
        assert_eq!(best_media_type(accept, &available), Some("application/json"));
    }
}
