//! Durations in arguments, such as `15m`.

use std::time::Duration;

/// Parses a number with the unit s, m, h or d.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let error = "must be a number with the unit s, m, h or d, e.g. 15m";
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(error)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(error.to_owned()),
    };
    let number: u32 = number.parse().map_err(|_| error)?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(parse("15m"), Ok(Duration::from_mins(15)));
        assert_eq!(parse("7d"), Ok(Duration::from_hours(168)));
        for text in ["", "m", "15", "1.5h", "-1h", "1w", "15µ"] {
            assert!(parse(text).is_err(), "{text} was accepted");
        }
    }
}
