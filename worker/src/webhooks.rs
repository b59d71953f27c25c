//! Delivery of the event feed to webhook endpoints. A delivery is created for each event and endpoint, claimed with a
//! lease, and sent outside of transactions. Its result is stored afterwards.
//!
//! A slow or failing endpoint does not delay others. Concurrent deliveries are limited per endpoint, failing endpoints
//! share a small pool, and operations have separate resources.

mod body;
mod concurrency;
mod deliver;
pub(crate) mod delivery_loop;
mod retry;
mod secret_rotation;
mod sender;
