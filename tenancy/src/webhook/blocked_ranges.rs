//! IP address ranges that webhooks are never sent to: everything outside the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the reason why `address` is blocked, or `None` if it is permitted.
pub fn blocked_reason(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => blocked_v4(address),
        IpAddr::V6(address) => blocked_v6(address),
    }
}

/// IPv4 network, prefix length and purpose (IANA, "IPv4 Special-Purpose Address Registry").
type V4Range = ([u8; 4], u32, &'static str);

const BLOCKED_V4: [V4Range; 17] = [
    ([0, 0, 0, 0], 8, "this network"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "carrier-grade NAT"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([168, 63, 129, 16], 32, "cloud metadata"),
    ([169, 254, 0, 0], 16, "link-local, cloud metadata"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "protocol assignments"),
    ([192, 0, 2, 0], 24, "documentation"),
    ([192, 88, 99, 0], 24, "6to4 relay"),
    ([192, 168, 0, 0], 16, "private"),
    ([198, 18, 0, 0], 15, "benchmarking"),
    ([198, 51, 100, 0], 24, "documentation"),
    ([203, 0, 113, 0], 24, "documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
    ([255, 255, 255, 255], 32, "broadcast"),
];

fn blocked_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within = |network: [u8; 4], length: u32| {
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        address.to_bits() & mask == Ipv4Addr::from(network).to_bits() & mask
    };
    BLOCKED_V4.iter().find(|(network, length, _)| within(*network, *length)).map(|(_, _, purpose)| *purpose)
}

/// IPv6 network, prefix length and purpose (IANA, "IPv6 Special-Purpose Address Registry").
type V6Range = ([u16; 8], u32, &'static str);

const BLOCKED_V6: [V6Range; 12] = [
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, "IPv4-mapped"),
    ([0, 0, 0, 0, 0, 0, 0, 0], 96, "IPv4-compatible"),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, "NAT64"),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "NAT64"),
    // Includes Teredo (2001::/32).
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "protocol assignments"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
    // Includes fd00:ec2::254, the metadata service of AWS.
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "private"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
];

fn blocked_v6(address: Ipv6Addr) -> Option<&'static str> {
    let within = |network: [u16; 8], length: u32| {
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        address.to_bits() & mask == Ipv6Addr::from(network).to_bits() & mask
    };
    let range = BLOCKED_V6.iter().find(|(network, length, _)| within(*network, *length));
    // IANA allocates global addresses in 2000::/3 only.
    let is_unallocated = !within([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
    range.map(|(_, _, purpose)| *purpose).or(is_unallocated.then_some("reserved"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_adjacent_to_a_blocked_range_are_permitted() {
        for address in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2001:db7:ffff::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700::1111",
            "3ffe::1",
            "3fff:1000::1",
        ] {
            assert_eq!(blocked_reason(address.parse().unwrap()), None, "{address}");
        }
    }
}
