//! Where webhooks may be sent: a URL is resolved once, every address that comes of it is judged, and those are the only ones
//! that anybody connects to.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::blocked_ranges;
use super::url::ReceiverUrl;
use crate::config::Webhooks;
use crate::db::installation::InstallationKind;

/// The port that needs no permission.
const HTTPS: u16 = 443;

/// How long finding the addresses of a name may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Finds the addresses of a name.
pub trait Resolver: Send + Sync {
    /// All addresses of `host`.
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// What the machine is configured to ask.
struct System;

impl Resolver for System {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let host = host.to_owned();
        async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) }.boxed()
    }
}

/// Decides where webhooks may be sent.
#[derive(Clone)]
pub struct DestinationPolicy {
    allowed_ports: Arc<[u16]>,
    /// A sandbox may also send to its own machine, and without TLS.
    loopback: bool,
    resolver: Arc<dyn Resolver>,
}

impl fmt::Debug for DestinationPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receivers")
            .field("ports", &self.allowed_ports)
            .field("loopback", &self.loopback)
            .finish_non_exhaustive()
    }
}

/// Why nothing is sent to a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// It is not encrypted.
    #[error("this is an https:// URL; http:// is for the loopback addresses of a sandbox")]
    Scheme,
    /// Its port is not 443, and nobody has allowed it.
    #[error("port {0} is not allowed; events are sent to 443 and the ports of [webhooks]")]
    Port(u16),
    /// One of its addresses is not on the public internet.
    #[error("the host has an address that nothing is sent to ({0}); it has to be on the public internet")]
    Address(&'static str),
    /// Its name has no address.
    #[error("the host has no address; is its name spelled right?")]
    Unresolvable,
}

impl DestinationPolicy {
    /// What the configuration of an installation of this kind allows.
    pub fn new(config: &Webhooks, kind: InstallationKind) -> Self {
        let allowed_ports = std::iter::once(HTTPS).chain(config.allowed_ports.iter().copied()).collect();
        Self { allowed_ports, loopback: kind == InstallationKind::Sandbox, resolver: Arc::new(System) }
    }

    /// With another way to find addresses.
    #[must_use]
    pub fn with_resolver(self, resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, ..self }
    }

    /// The addresses that a delivery to `url` may connect to now. Whoever connects must use these, and not ask again.
    pub async fn addresses(&self, url: &ReceiverUrl) -> Result<Vec<SocketAddr>, DestinationError> {
        let plain = !url.is_https();
        if plain && !self.loopback {
            return Err(DestinationError::Scheme);
        }
        if !plain && !self.allowed_ports.contains(&url.port()) {
            return Err(DestinationError::Port(url.port()));
        }
        let addresses = match url.address() {
            Some(address) => vec![address],
            None => self.resolve(url.host()).await?,
        };
        if plain {
            return if addresses.iter().all(IpAddr::is_loopback) {
                Ok(with_port(addresses, url))
            } else {
                Err(DestinationError::Scheme)
            };
        }
        // One bad address among good ones is a name that somebody plays with.
        match addresses.iter().copied().find_map(blocked_ranges::blocked_reason) {
            Some(why) => Err(DestinationError::Address(why)),
            None => Ok(with_port(addresses, url)),
        }
    }

    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, DestinationError> {
        let resolved = tokio::time::timeout(PATIENCE, self.resolver.resolve(host)).await;
        match resolved {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            _ => Err(DestinationError::Unresolvable),
        }
    }
}

fn with_port(addresses: Vec<IpAddr>, url: &ReceiverUrl) -> Vec<SocketAddr> {
    addresses.into_iter().map(|address| SocketAddr::new(address, url.port())).collect()
}
