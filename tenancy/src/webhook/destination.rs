//! Policy for webhook destinations, which prevents server-side request forgery. A host name is resolved once, every
//! resulting address is validated, and the delivery connects to the validated addresses only.

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

/// Port that is always permitted.
const HTTPS_PORT: u16 = 443;

const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Resolver of host names, which tests can replace.
pub trait Resolver: Send + Sync {
    /// Returns all addresses of `host`.
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// Resolver that uses the operating system.
struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let host = host.to_owned();
        async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) }.boxed()
    }
}

/// Policy that decides which URLs may receive webhooks.
#[derive(Clone)]
pub struct DestinationPolicy {
    allowed_ports: Arc<[u16]>,
    /// Whether HTTP without TLS to loopback addresses is permitted; true in a sandbox only.
    loopback: bool,
    resolver: Arc<dyn Resolver>,
}

impl fmt::Debug for DestinationPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DestinationPolicy")
            .field("ports", &self.allowed_ports)
            .field("loopback", &self.loopback)
            .finish_non_exhaustive()
    }
}

/// Reason why a URL is not permitted as a destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// The scheme of the URL is not https.
    #[error("must be an https:// URL; only a sandbox permits http://, to loopback addresses")]
    Scheme,
    /// The port is neither 443 nor one of `allowed_ports`.
    #[error("port {0} is not permitted; use 443 or a port of allowed_ports in [webhooks]")]
    Port(u16),
    /// The host has an address outside the public internet.
    #[error("the host has an address outside the public internet ({0}); all its addresses must be public")]
    Address(&'static str),
    /// The host name has no address.
    #[error("the host name has no address; check its spelling")]
    Unresolvable,
}

impl DestinationPolicy {
    /// Creates the policy of an installation from its configuration and kind.
    pub fn new(config: &Webhooks, kind: InstallationKind) -> Self {
        let allowed_ports = std::iter::once(HTTPS_PORT).chain(config.allowed_ports.iter().copied()).collect();
        Self { allowed_ports, loopback: kind == InstallationKind::Sandbox, resolver: Arc::new(SystemResolver) }
    }

    /// Replaces the resolver of the operating system, for tests.
    #[must_use]
    pub fn with_resolver(self, resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, ..self }
    }

    /// Returns the addresses to which a delivery to `url` may connect now. The caller must connect to these addresses
    /// and must not resolve the name again, because DNS can return other addresses the next time.
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
        // One blocked address is enough to reject the URL, because a mix of public and private addresses indicates an
        // attack.
        match addresses.iter().copied().find_map(blocked_ranges::blocked_reason) {
            Some(reason) => Err(DestinationError::Address(reason)),
            None => Ok(with_port(addresses, url)),
        }
    }

    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, DestinationError> {
        let resolved = tokio::time::timeout(RESOLVE_TIMEOUT, self.resolver.resolve(host)).await;
        match resolved {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            _ => Err(DestinationError::Unresolvable),
        }
    }
}

fn with_port(addresses: Vec<IpAddr>, url: &ReceiverUrl) -> Vec<SocketAddr> {
    addresses.into_iter().map(|address| SocketAddr::new(address, url.port())).collect()
}
