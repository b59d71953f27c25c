//! Webhooks: sends the feed to whoever has named a URL for it. The feed is fanned out into deliveries; each is claimed under a
//! lease, sent with no transaction open, and what came of it is written afterwards.
//!
//! A receiver that is dead or slow delays nobody else: each endpoint has a lane of its own, those that fail have together no
//! more than a share of what there is, and none of it is the rest of the worker's.

mod concurrency;
mod deliver;
pub(crate) mod delivery_loop;
mod retry;
mod secret_rotation;
mod sender;
