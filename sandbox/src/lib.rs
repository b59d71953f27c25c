//! A simulated AWS organisation for development, demonstrations and tests. It consists of accounts, regions and the AWS
//! services that Freehold uses. The AWS SDK calls the simulated services with the same wire protocols as AWS.
//!
//! The simulation opens no outgoing connections, so it cannot access a real AWS account.
//!
//! [`World`] contains the complete state. [`http`] serves it on a loopback socket or through an in-process HTTP client.
//! [`faults`] injects errors.

pub mod access_portal;
pub mod account;
pub mod cloudformation;
pub mod cloudfront;
pub mod cloudwatch;
pub mod faults;
pub mod http;
pub mod iam;
pub mod identitystore;
pub mod lambda;
pub mod organizations;
pub mod policy;
pub mod postgres;
pub mod quotas;
pub mod s3;
pub mod settings;
pub mod ssoadmin;
pub mod sts;
mod template;
#[cfg(test)]
mod testing;
pub mod world;

pub use settings::{DurationDistribution, Durations, Settings};
pub use world::World;
