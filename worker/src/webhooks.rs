//! Webhooks: delivery of the feed to webhook endpoints. The feed is fanned out into deliveries. Each delivery is
//! claimed under a lease and sent outside of transactions; its result is stored afterwards.
//!
//! A slow or failing endpoint does not delay others: concurrent deliveries are limited per endpoint, failing endpoints
//! share a small pool, and operations have resources of their own.

mod concurrency;
mod deliver;
pub(crate) mod delivery_loop;
mod retry;
mod secret_rotation;
mod sender;
