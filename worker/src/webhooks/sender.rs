//! Sends webhook requests. A request goes only to addresses that the policy allows, without redirects and proxies.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use freehold_tenancy::webhook::{AttemptError, DestinationError, DestinationPolicy, ReceiverUrl, Resolver};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, StatusCode, redirect, retry};

#[cfg(test)]
mod tests;

/// HTTP client for webhook receivers.
pub(super) struct Sender {
    destination_policy: DestinationPolicy,
    resolver: PinnedResolver,
    /// HTTP client, which is created on first use, because most workers never send a webhook. `None` if TLS cannot be
    /// set up.
    http: OnceLock<Option<Client>>,
    sent: AtomicU64,
}

/// Body and signature headers of a webhook request.
pub(super) struct Message {
    pub(super) id: String,
    pub(super) timestamp: i64,
    pub(super) signature: String,
    pub(super) body: String,
}

/// Error of a webhook request that received no response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SendError {
    pub(super) error: AttemptError,
    pub(super) message: String,
}

/// DNS resolver that returns only the addresses that the policy has allowed for a host.
#[derive(Clone, Default)]
struct PinnedResolver(Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>);

impl Resolve for PinnedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name.as_str()).cloned();
        Box::pin(async move {
            let addresses = addresses.ok_or("the addresses of this host have not been checked")?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl Sender {
    pub(super) fn new(destination_policy: DestinationPolicy) -> Self {
        Self { destination_policy, resolver: PinnedResolver::default(), http: OnceLock::new(), sent: AtomicU64::new(0) }
    }

    fn http(&self) -> Option<&Client> {
        let client = || {
            Client::builder()
                .no_proxy()
                .redirect(redirect::Policy::none())
                .retry(retry::never())
                .referer(false)
                // Each delivery opens a connection to the addresses that were checked for it.
                .pool_max_idle_per_host(0)
                .dns_resolver(self.resolver.clone())
                .user_agent(concat!("freehold/", env!("CARGO_PKG_VERSION")))
                .build()
                .ok()
        };
        self.http.get_or_init(client).as_ref()
    }

    pub(super) fn with_resolver(self, resolver: Arc<dyn Resolver>) -> Self {
        Self { destination_policy: self.destination_policy.with_resolver(resolver), ..self }
    }

    /// Returns the number of webhook requests that tried to open a connection.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Posts a message. Returns status and headers of the response; the body is not read.
    pub(super) async fn post(&self, url: &str, message: Message) -> Result<(StatusCode, HeaderMap), SendError> {
        // The URL was checked when it was saved, but the policy or the addresses of the host may have changed since
        // then.
        let url: ReceiverUrl = url.parse().map_err(|why: &str| SendError {
            error: AttemptError::Refused,
            message: format!("Nothing was sent: {why}."),
        })?;
        let mut addresses = self.destination_policy.addresses(&url).await.map_err(destination_error)?;
        // Port 0 selects the port of the URL; endpoints on the same host may have other ports.
        for address in &mut addresses {
            address.set_port(0);
        }
        self.send(&url, addresses, message).await
    }

    /// Posts a message. Connects only to `addresses`, which belong to the URL's host.
    async fn send(
        &self,
        url: &ReceiverUrl,
        addresses: Vec<SocketAddr>,
        message: Message,
    ) -> Result<(StatusCode, HeaderMap), SendError> {
        let http = self.http().ok_or_else(|| SendError {
            error: AttemptError::Unreachable,
            message: "Nothing was sent: TLS cannot be set up on the worker's machine.".to_owned(),
        })?;
        self.resolver.0.lock().unwrap_or_else(PoisonError::into_inner).insert(url.host().to_owned(), addresses);
        self.sent.fetch_add(1, Ordering::Relaxed);
        let request = http
            .post(url.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", message.timestamp)
            .header("webhook-signature", message.signature)
            .body(message.body);
        let response = request.send().await.map_err(|error| no_response(&error))?;
        Ok((response.status(), response.headers().clone()))
    }
}

fn destination_error(reason: DestinationError) -> SendError {
    let error = match reason {
        DestinationError::Unresolvable => AttemptError::Unresolvable,
        _ => AttemptError::Refused,
    };
    SendError { error, message: format!("Nothing was sent: {reason}.") }
}

/// Converts an error of the HTTP client. The client's error text is not used, because it may contain the URL, and the
/// URL may contain secrets.
fn no_response(error: &reqwest::Error) -> SendError {
    let (error, message) = if error.is_connect() {
        (AttemptError::Unreachable, "Cannot connect to the receiver, or its certificate is not valid for its name.")
    } else {
        (AttemptError::ConnectionClosed, "The connection was closed before the receiver responded.")
    };
    SendError { error, message: message.to_owned() }
}
