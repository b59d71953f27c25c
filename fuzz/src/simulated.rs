//! What the simulated AWS reads, by links to its files: as a crate it would bring all of the AWS SDK's types along.

#![allow(dead_code, unused_imports, unreachable_pub, clippy::all, clippy::pedantic, reason = "it is another crate's")]

pub(crate) mod policy;
pub(crate) mod template;
