//! Content negotiation for the list of account mappings (RFC 9110, 12.5.1).

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use crate::problem::{ApiError, Code};

/// Response format of the list of account mappings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON, one page per response.
    Json,
    /// All mappings, one JSON object per line.
    NdJson,
    /// All mappings as comma-separated values.
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

    /// Returns the format with the highest quality value in the `Accept` header, or `None` if no format is acceptable.
    /// If several formats have the same quality value, the first of them in `ALL` is returned.
    fn from_accept_header(accept: &str) -> Option<Self> {
        let quality = |format: Self| {
            let ranges = accept.split(',').filter_map(|range| MediaRange::parse(range, format.media_type()));
            ranges.max_by_key(|range| range.specificity).map_or(0, |range| range.quality)
        };
        let best = Self::ALL.into_iter().rev().max_by_key(|format| quality(*format))?;
        (quality(best) > 0).then_some(best)
    }
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
        let given: Vec<_> =
            parts.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        if given.is_empty() {
            return Ok(Self::Json);
        }
        Self::from_accept_header(&given.join(",")).ok_or_else(|| {
            let known = Self::ALL.map(Self::media_type).join(", ");
            ApiError::new(Code::NotAcceptable, format!("Available formats are {known}; Accept must allow one of them."))
        })
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
            assert_eq!(Format::from_accept_header(accept), format, "{accept}");
        }
    }
}
