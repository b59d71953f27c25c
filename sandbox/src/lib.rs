//! A simulated AWS organisation for development, demonstrations and tests: several accounts, their regions, and the
//! few services that Freehold uses. The real AWS SDK talks to the simulation over its usual wire protocols.
//!
//! The simulation cannot touch a real AWS account: it opens no outgoing connection.
//!
//! [`World`] holds the whole state; [`http`] serves it on a loopback socket or inside an SDK client; [`faults`] injects
//! errors.

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
