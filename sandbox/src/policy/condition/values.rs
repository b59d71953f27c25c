//! Numbers, dates and IP addresses in conditions.

use std::net::IpAddr;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// Order that a condition operator requires between the value of the request and the value in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    /// Parses the end of an operator's name, such as `LessThan`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "Equals" => Self::Equal,
            "LessThan" => Self::Less,
            "LessThanEquals" => Self::LessOrEqual,
            "GreaterThan" => Self::Greater,
            "GreaterThanEquals" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    pub(super) fn holds<T: PartialOrd>(self, value: &T, expected: &T) -> bool {
        match self {
            Self::Equal => value == expected,
            Self::Less => value < expected,
            Self::LessOrEqual => value <= expected,
            Self::Greater => value > expected,
            Self::GreaterOrEqual => value >= expected,
        }
    }
}

pub(super) fn parse_number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Parses a date in ISO 8601 or in seconds since 1970.
pub(super) fn parse_date(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let day = || Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN).and_utc());
    let seconds = || DateTime::from_timestamp(text.parse().ok()?, 0);
    DateTime::parse_from_rfc3339(text).ok().map(|date| date.with_timezone(&Utc)).or_else(day).or_else(seconds)
}

/// Parses an address or a network in CIDR notation. Returns the address and the length of the prefix.
pub(super) fn parse_network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(bits), |length| length.parse().ok())?;
    (length <= bits).then_some((address, length))
}

/// Returns whether `address` is in `network`. Returns `false` if one of them is not valid.
pub(super) fn is_in_network(address: &str, network: &str) -> bool {
    let (Ok(address), Some((network, length))) = (address.parse::<IpAddr>(), parse_network(network)) else {
        return false;
    };
    // Both are shifted to the upper end, so that prefixes of IPv4 and IPv6 are compared in the same way.
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    };
    address.is_ipv4() == network.is_ipv4()
        && (bits(address) ^ bits(network)).checked_shr(128 - length).is_none_or(|rest| rest == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_compared_with_the_prefix_of_a_network() {
        assert!(is_in_network("203.0.113.7", "203.0.113.0/24"));
        assert!(!is_in_network("203.0.114.7", "203.0.113.0/24"));
        assert!(is_in_network("203.0.113.7", "203.0.113.7"));
        assert!(is_in_network("203.0.113.7", "0.0.0.0/0"));
        assert!(is_in_network("2001:db8::1", "2001:db8::/32"));
        assert!(!is_in_network("2001:db9::1", "2001:db8::/32"));
        assert!(!is_in_network("203.0.113.7", "::/0"));
        assert!(!is_in_network("203.0.113.7", "203.0.113.0/33"));
    }

    #[test]
    fn a_date_is_a_day_a_time_or_a_number_of_seconds() {
        let expected = DateTime::from_timestamp(1_795_651_200, 0);
        for text in ["2026-11-26", "2026-11-26T00:00:00Z", "2026-11-26T01:00:00+01:00", "1795651200"] {
            assert_eq!(parse_date(text), expected, "{text}");
        }
        assert_eq!(parse_date("tomorrow"), None);
    }
}
