//! Ceilings for the number of connections, of the process and of each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_tenancy::config::ApiLimits;

use crate::metrics::Metrics;

/// Counts connections and refuses those above a ceiling.
#[derive(Clone)]
pub(super) struct Ceiling {
    max: u32,
    /// 0 means unlimited.
    max_per_address: u32,
    open: Arc<Mutex<OpenConnections>>,
    metrics: Option<Metrics>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    total: u32,
    by_address: HashMap<IpAddr, u32>,
}

impl Ceiling {
    pub(super) fn new(limits: &ApiLimits, metrics: Option<Metrics>) -> Self {
        let (max, max_per_address) = (limits.max_connections, limits.max_connections_per_address);
        Self { max, max_per_address, open: Arc::default(), metrics }
    }

    /// Counts a connection until the permit is dropped. Fails with the name of the exceeded limit.
    pub(super) fn admit(&self, address: IpAddr) -> Result<ConnectionPermit, &'static str> {
        let (address, mut open) = (counted_address(address), self.open());
        if open.total >= self.max {
            return Err("max_connections");
        }
        if self.max_per_address > 0 {
            let of_address = open.by_address.entry(address).or_default();
            if *of_address >= self.max_per_address {
                return Err("max_connections_per_address");
            }
            *of_address += 1;
        }
        open.total += 1;
        self.record(open.total);
        Ok(ConnectionPermit { ceiling: self.clone(), address })
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, total: u32) {
        if let Some(metrics) = &self.metrics {
            metrics.record_connections(total);
        }
    }
}

/// Right to keep one connection open.
pub(super) struct ConnectionPermit {
    ceiling: Ceiling,
    address: IpAddr,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut open = self.ceiling.open();
        open.total -= 1;
        self.ceiling.record(open.total);
        if let Some(of_address) = open.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// Returns the address under which a connection is counted. An IPv6 client usually has a whole network of 64 bits.
fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        IpAddr::V4(address) => IpAddr::V4(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceiling(max: u32, max_per_address: u32) -> Ceiling {
        let limits =
            ApiLimits { max_connections: max, max_connections_per_address: max_per_address, ..ApiLimits::default() };
        Ceiling::new(&limits, None)
    }

    #[test]
    fn a_closed_connection_makes_room_for_another() {
        let ceiling = ceiling(2, 0);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let (first, _second) = (ceiling.admit(address).ok().unwrap(), ceiling.admit(address).ok().unwrap());
        assert_eq!(ceiling.admit(address).err(), Some("max_connections"));
        drop(first);
        assert!(ceiling.admit(address).is_ok());
    }

    #[test]
    fn each_address_has_its_own_ceiling() {
        let ceiling = ceiling(100, 1);
        let admit = |address: &str| ceiling.admit(address.parse().unwrap());
        let first = admit("192.0.2.1").ok().unwrap();
        assert_eq!(admit("::ffff:192.0.2.1").err(), Some("max_connections_per_address"));
        let _other = admit("192.0.2.2").ok().unwrap();
        let _network = admit("2001:db8::1").ok().unwrap();
        assert_eq!(admit("2001:db8::2:1").err(), Some("max_connections_per_address"), "the same network");
        let _next = admit("2001:db8:0:1::1").ok().unwrap();
        drop(first);
        assert!(admit("192.0.2.1").is_ok());
    }
}
