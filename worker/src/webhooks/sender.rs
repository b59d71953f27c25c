//! One request to one receiver: to exactly the addresses that were judged, without redirects and proxies.

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

/// Sends to receivers.
pub(super) struct Sender {
    destination_policy: DestinationPolicy,
    judged: PinnedResolver,
    /// Made when it is first needed: most workers never send anything.
    http: OnceLock<Option<Client>>,
    sent: AtomicU64,
}

/// What is sent.
pub(super) struct Message {
    pub(super) id: String,
    pub(super) timestamp: i64,
    pub(super) signature: String,
    pub(super) body: String,
}

/// Why there was no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SendError {
    pub(super) error: AttemptError,
    pub(super) message: String,
}

/// The addresses that were judged, by host: whoever connects knows no others.
#[derive(Clone, Default)]
struct PinnedResolver(Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>);

impl Resolve for PinnedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name.as_str()).cloned();
        Box::pin(async move {
            let known = known.ok_or("nobody has judged the addresses of this host")?;
            Ok(Box::new(known.into_iter()) as Addrs)
        })
    }
}

impl Sender {
    pub(super) fn new(destination_policy: DestinationPolicy) -> Self {
        Self { destination_policy, judged: PinnedResolver::default(), http: OnceLock::new(), sent: AtomicU64::new(0) }
    }

    fn http(&self) -> Option<&Client> {
        let client = || {
            Client::builder()
                .no_proxy()
                .redirect(redirect::Policy::none())
                .retry(retry::never())
                .referer(false)
                // Each delivery goes to the addresses that were judged for it.
                .pool_max_idle_per_host(0)
                .dns_resolver(self.judged.clone())
                .user_agent(concat!("freehold/", env!("CARGO_PKG_VERSION")))
                .build()
                .ok()
        };
        self.http.get_or_init(client).as_ref()
    }

    pub(super) fn with_resolver(self, resolver: Arc<dyn Resolver>) -> Self {
        Self { destination_policy: self.destination_policy.with_resolver(resolver), ..self }
    }

    /// How many requests have got so far that a connection was opened for them, or tried to be.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Posts a message and answers the status and the headers of the answer, whose body nobody reads.
    pub(super) async fn post(&self, url: &str, message: Message) -> Result<(StatusCode, HeaderMap), SendError> {
        // It was judged when it was written; the rules, and what its name leads to, may be others today.
        let url: ReceiverUrl = url.parse().map_err(|why: &str| SendError {
            error: AttemptError::Refused,
            message: format!("Nothing was sent: {why}."),
        })?;
        let mut addresses = self.destination_policy.addresses(&url).await.map_err(refused)?;
        // The port is the URL's; another endpoint of the same host may have another.
        for address in &mut addresses {
            address.set_port(0);
        }
        self.send(&url, addresses, message).await
    }

    /// Posts to these addresses, whatever else the host of `url` may have.
    async fn send(
        &self,
        url: &ReceiverUrl,
        addresses: Vec<SocketAddr>,
        message: Message,
    ) -> Result<(StatusCode, HeaderMap), SendError> {
        let http = self.http().ok_or_else(|| SendError {
            error: AttemptError::Unreachable,
            message: "Nothing was sent: the worker's machine cannot set TLS up.".to_owned(),
        })?;
        self.judged.0.lock().unwrap_or_else(PoisonError::into_inner).insert(url.host().to_owned(), addresses);
        self.sent.fetch_add(1, Ordering::Relaxed);
        let request = http
            .post(url.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", message.timestamp)
            .header("webhook-signature", message.signature)
            .body(message.body);
        let response = request.send().await.map_err(|error| unanswered(&error))?;
        Ok((response.status(), response.headers().clone()))
    }
}

fn refused(refused: DestinationError) -> SendError {
    let error = match refused {
        DestinationError::Unresolvable => AttemptError::Unresolvable,
        _ => AttemptError::Refused,
    };
    SendError { error, message: format!("Nothing was sent: {refused}.") }
}

/// What a failure means; its own words may hold the URL, which may hold secrets of the receiver's.
fn unanswered(error: &reqwest::Error) -> SendError {
    let (error, message) = if error.is_connect() {
        (AttemptError::Unreachable, "The receiver takes no connection, or its certificate does not fit its name.")
    } else {
        (AttemptError::ConnectionClosed, "The connection broke before the receiver had answered.")
    };
    SendError { error, message: message.to_owned() }
}
