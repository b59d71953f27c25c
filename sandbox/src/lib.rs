//! A simulated AWS organisation for development, demonstrations and tests: several accounts, their regions, and the
//! few services that Freehold uses, at the other end of the real SDK's wire.
//!
//! It can touch nothing real: it opens no connection, it only answers.
//!
//! [`World`] holds everything; [`http`] puts it behind a loopback socket or inside an SDK client; [`faults`] makes it
//! misbehave on purpose.

pub mod account;
pub mod cloudformation;
pub mod faults;
pub mod http;
pub mod iam;
pub mod identitystore;
pub mod lambda;
pub mod organizations;
pub mod policy;
pub mod postgres;
pub mod quotas;
pub mod settings;
pub mod ssoadmin;
pub mod sts;
mod template;
#[cfg(test)]
mod testing;
pub mod world;

pub use settings::{Durations, Settings, Spread};
pub use world::World;
