//! Points in time on the command line.

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};

/// Parses a time in RFC 3339 format, or a day, which means its start in UTC.
pub(crate) fn parse_time(text: &str) -> Result<DateTime<Utc>, &'static str> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    time.map_err(|_| "must be a day such as 2026-11-01, or a time such as 2026-11-01T09:30:00Z")
}

/// Formats a time for the query of a request.
pub(crate) fn format_time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_or_a_time_with_its_zone() {
        assert_eq!(parse_time("2026-11-01").unwrap().to_rfc3339(), "2026-11-01T00:00:00+00:00");
        assert_eq!(parse_time("2026-11-01T01:00:00+01:00").unwrap(), parse_time("2026-11-01").unwrap());
        for text in ["", "yesterday", "2026-13-01", "2026-11-01T09:30:00", "2026-11-01 09:30"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
