//! Parsers of the simulated AWS, included by symbolic links, because the crate `sandbox` depends on the AWS SDK.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "the modules are part of another crate"
)]

pub(crate) mod policy;
pub(crate) mod template;
