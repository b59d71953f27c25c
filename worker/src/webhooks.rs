//! Webhooks: sends the feed to whoever has named a URL for it. The feed is fanned out into deliveries; each is claimed under a
//! lease, sent with no transaction open, and what came of it is written afterwards.
//!
//! A receiver that is dead or slow delays nobody else: each endpoint has a lane of its own, those that fail have together no
//! more than a share of what there is, and none of it is the rest of the worker's.

mod concurrency;
mod deliver;
mod delivery_loop;
mod retry;
mod secret_rotation;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use freehold_tenancy::Config;
use freehold_tenancy::db::installation::Installation;
use freehold_tenancy::secrets::Keyring;
use freehold_tenancy::webhook::{DestinationPolicy, Resolver};
use tokio::sync::Semaphore;

use sender::Sender;

/// How long a receiver may take, in real time, from the look for its address to the head of its answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How many write to the database what came of an attempt at a time, so that its connections are left to others.
const WRITING: usize = 4;

/// What a worker needs to send webhooks.
pub(crate) struct Webhooks {
    sender: Sender,
    keyring: Keyring,
    writing: Semaphore,
}

impl Webhooks {
    /// As the configuration of this installation allows.
    pub(crate) fn new(config: &Config, installation: &Installation) -> Self {
        Self {
            sender: Sender::new(DestinationPolicy::new(&config.webhooks, installation.kind)),
            keyring: Keyring::new(&config.secrets),
            writing: Semaphore::new(WRITING),
        }
    }

    pub(crate) fn with_resolver(self, resolver: Arc<dyn Resolver>) -> Self {
        Self { sender: self.sender.with_resolver(resolver), ..self }
    }
}
